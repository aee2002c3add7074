//! For each invariant, the smallest damage that breaks it and nothing else.
//!
//! `task('x')`, `goal('x')` and `attempt('x', n)` are ids of what [`super::place`] made, and
//! `tell(kind, task, goal)` appends an event as muster would.

use muster::domain::invariant::Invariant;

/// The statements that break the invariant. A new invariant does not compile without some.
pub fn corruption(invariant: Invariant) -> &'static [&'static str] {
    match invariant {
        Invariant::OneLiveAttempt => &["update attempts set state = 'running', ended_at = null,
            lease_expires_at = hard_deadline where attempt_id = attempt('busy', 1)"],
        Invariant::LiveAttemptIsCurrent => &[
            "update tasks set state = 'ready' where ref = 'busy'",
            "select tell('task.ready', task('busy'), goal('busy'))",
        ],
        Invariant::RunningTaskHasAttempt => &[
            "update attempts set state = 'cancelled', ended_at = started_at
             where attempt_id = attempt('busy', 2)",
            "update budget_windows set reserved = 0",
            "update reservations set held = 0, closed_at = now() where closed_at is null",
        ],
        Invariant::AttemptsNumbered => {
            &["update attempts set number = number + 10 where task_id = task('twice')"]
        }
        Invariant::CurrentAttemptIsLast => &["update tasks set
            current_attempt_id = attempt('twice', 1) where ref = 'twice'"],
        Invariant::AttemptsUsedCounted => {
            &["update tasks set attempts_used = attempts_used + 1 where ref = 'twice'"]
        }
        Invariant::DoneByOneAttempt => &["update attempts set state = 'cancelled'
            where attempt_id = attempt('twice', 2)"],
        Invariant::ContainersNotTried => {
            &["update tasks set current_attempt_id = attempt('twice', 1) where ref = 'box'"]
        }
        Invariant::EndingsAnswered => {
            &["delete from attempt_results where attempt_id = attempt('twice', 2)"]
        }
        Invariant::EvidenceGiven => &["delete from evidence"],
        Invariant::TiersSupported => {
            &["update evidence set tier = 'machine_checked' where criterion is not null"]
        }
        Invariant::AgentsWithinLimit => &["update agents set max_concurrent = 0"],
        Invariant::KeptForAgents => &[
            "insert into agents (workspace_id, agent_id, name, capabilities, max_concurrent, state,
                                 created_at, updated_at)
             select workspace_id, task('open'), 'gone', '{}', 1, 'retired', created_at, created_at
             from workspaces",
            "update tasks set assigned_agent_id = task_id where ref = 'open'",
        ],
        Invariant::ConcurrencyWithinMost => &["update concurrency_keys set most = 0"],
        Invariant::ConcurrencyGranted => &["delete from concurrency_grants"],
        Invariant::ResourcesNotShared => &[
            "insert into resource_grants (workspace_id, attempt_id, scope_id, resource, mode, granted_at)
             select workspace_id, attempt('busy', 2), workspace_id, 'src/main.rs', 'shared', created_at
             from workspaces",
        ],
        Invariant::GrantsOfRunning => &[
            "insert into resource_grants (workspace_id, attempt_id, scope_id, resource, mode, granted_at)
             select workspace_id, attempt('twice', 1), workspace_id, 'doc', 'shared', created_at
             from workspaces",
        ],
        Invariant::HandOffsEndAttempts => &[
            "insert into hand_offs (workspace_id, task_id, number, attempt_id, from_agent, to_agent,
                                    offer_until, note, handed_at)
             select workspace_id, task('busy'), 2, attempt('busy', 2), task('busy'), task('busy'),
                    created_at, 'go on', created_at
             from workspaces",
        ],
        Invariant::CommentsWithinGoal => &[
            "insert into comments (workspace_id, comment_id, goal_id, created_by, created_at, text,
                                   kind, answers)
             select workspace_id, goal('busy'), goal('busy'), goal('busy'), created_at, 'yes',
                    'answer', goal('busy')
             from workspaces",
        ],
        Invariant::OffersEnd => &[
            "update tasks set offer_until = created_at - interval '1 hour' where ref = 'open'",
        ],
        Invariant::LeasesWithinDeadline => &["update attempts set
            lease_expires_at = hard_deadline + interval '1 s' where state = 'running'"],
        Invariant::ReadyInOrder => {
            &["update tasks set ranked_from = ranked_from + interval '1 s' where ref = 'open'"]
        }
        Invariant::GoalCounters => &["update goals set tasks_total = tasks_total + 1,
            tasks_done = tasks_done + 1 where goal_id = goal('busy')"],
        Invariant::GoalWeights => &["update goals set weight_total = weight_total + 1
            where goal_id = goal('busy')"],
        Invariant::GoalEndsWithTasks => &[
            "update goals set state = 'active', ended_at = null where goal_id = goal('shown')",
            "update journal set kind = 'goal.updated' where kind = 'goal.completed'",
        ],
        Invariant::CompletedGoalIsDone => &[
            "update goals set state = 'completed' where goal_id = goal('box')",
            "update journal set kind = 'goal.completed' where kind = 'goal.failed'",
        ],
        Invariant::PlannedWhilePlanning => &[
            "insert into planning_runs (workspace_id, run_id, goal_id, ordinal, planner, state, created_at)
             select workspace_id, goal_id, goal_id, 1, 'outline', 'waiting', created_at
             from goals where goal_id = goal('busy')",
        ],
        Invariant::GoalCriteriaMet => &[
            "insert into goal_criteria (workspace_id, goal_id, number, required, state, text)
             select workspace_id, goal('shown'), 1, true, 'open', 'it works' from workspaces",
        ],
        Invariant::EndedGoalIsQuiet => &[
            "update goals set state = 'cancelled', ended_at = updated_at
             where goal_id = goal('busy')",
            "select tell('goal.cancelled', null, goal('busy'))",
        ],
        Invariant::OnePlanApplied => {
            &["update plans set state = 'rejected' where goal_id = goal('shown')"]
        }
        Invariant::NeedsCounted => {
            &["update tasks set needs_unmet = needs_unmet + 1 where ref = 'blocked'"]
        }
        Invariant::DependencySatisfied => {
            &["update dependencies set satisfied_at = null where task_id = task('after')"]
        }
        Invariant::OfferedWithNeedsMet => &[
            "update tasks set needs_unmet = 1 where ref = 'open'",
            "insert into dependencies select workspace_id, task('open'), task('later')
             from workspaces",
        ],
        Invariant::DoneAfterNeeds => &["insert into dependencies
            select workspace_id, task('twice'), task('open') from workspaces"],
        Invariant::ChildrenCounted => &["update tasks set children_open = 1 where ref = 'twice'"],
        Invariant::ContainerFollowsChildren => &[
            "update tasks set state = 'done', failure_class = null where ref = 'box'",
            "update goals set tasks_done = tasks_done + 1, tasks_failed = tasks_failed - 1
             where goal_id = goal('box')",
            "update journal set kind = 'task.done'
             where kind = 'task.failed' and task_id = task('box')",
        ],
        Invariant::LostCausesEnd => &[
            "update tasks set needs_unmet = needs_unmet + 1 where ref = 'blocked'",
            "insert into dependencies select workspace_id, task('blocked'), task('hopeless')
             from workspaces",
        ],
        Invariant::AttemptRowsBelong => &["insert into attempt_progress
            select workspace_id, task('open'), null, null, created_at from workspaces"],
        Invariant::LinksWithinGoal => {
            &["update attempts set goal_id = goal('shown') where task_id = task('later')"]
        }
        Invariant::EndedAtTheEnd => {
            &["update attempts set ended_at = null where attempt_id = attempt('twice', 1)"]
        }
        Invariant::WaitingIsAsked => {
            &["update approvals set state = 'approved', verdict = 'approve',
            decided_at = created_at where task_id = task('asked')"]
        }
        Invariant::QuestionIsAwaited => &["insert into approvals (workspace_id, approval_id, kind,
             state, goal_id, task_id, title, body, created_at, payload_sha256, revision, risk)
            select workspace_id, task('open'), 'start', 'pending', goal('open'), task('open'), '',
                   '', created_at, sha256(''), 1, 'low' from workspaces"],
        Invariant::JournalWithoutGaps => {
            &["delete from journal where kind = 'agent.registered'"]
        }
        Invariant::TaskEventsInOrder => &["update journal set kind = 'task.waiting'
            where kind = 'task.ready' and task_id = task('twice')"],
        Invariant::EventsTellTheState => &["update journal set kind = 'task.ready'
            where kind = 'task.waiting' and task_id = task('blocked')"],
        Invariant::TaskEndToldOnce => &["select tell('task.done', task('twice'), goal('twice'))"],
        Invariant::GoalEndToldOnce => {
            &["update journal set kind = 'goal.updated' where kind = 'goal.completed'"]
        }
        Invariant::AttemptsTold => &["update journal set data = '{\"attempt\": 9}'
            where kind = 'task.running' and attempt_id = attempt('twice', 2)"],
        Invariant::AttemptSpendCounted => &["update attempt_spend set entries = entries + 1"],
        Invariant::SpendTotalsCounted => {
            &["update spend_totals set amount = amount + 1 where node = 'project'"]
        }
        Invariant::WindowsReservedCounted => &["update budget_windows set reserved = reserved - 1"],
        Invariant::WindowsSettledCounted => &["update budget_windows set settled = settled + 1"],
        Invariant::ReservationsOfRunning => &[
            "update reservations set held = 5, closed_at = null
             where attempt_id = attempt('twice', 1)",
            "update budget_windows set reserved = reserved + 5",
        ],
        Invariant::ShortOfALimit => {
            &["update tasks set short_limit_id = task_id where ref = 'asked'"]
        }
        Invariant::FreezesHold => {
            &["insert into freezes (workspace_id, freeze_id, scope, scope_id,
             mode, reason, generation, set_at)
            select workspace_id, task('busy'), 'task', task('busy'), 'stop', '', 1, created_at
            from workspaces"]
        }
        Invariant::ArtifactsReferred => &[
            "insert into artifacts (workspace_id, upload_id, created_by, size, created_at, uploaded_at,
                                    sha256, media_type)
             select workspace_id, workspace_id, workspace_id, 1, created_at, created_at, sha256('x'),
                    'text/plain'
             from workspaces",
            "insert into artifact_totals as t (workspace_id, bytes)
             select workspace_id, 4096 from workspaces
             on conflict (workspace_id) do update set bytes = t.bytes + 4096",
            "insert into artifact_uploads (workspace_id, upload_id, begun_at, sweep_from, sha256)
             select workspace_id, upload_id, created_at, created_at, sha256 from artifacts",
        ],
        Invariant::ArtifactBytesCounted => &["insert into artifact_totals as t (workspace_id, bytes)
            select workspace_id, 1 from workspaces
            on conflict (workspace_id) do update set bytes = t.bytes + 1"],
        Invariant::VotesReachQuorum => &[
            "insert into approval_policies (workspace_id, policy_id, name, document, created_at,
                                            updated_at)
             select workspace_id, task('busy'), 'two', '{}', created_at, created_at
             from workspaces",
            "insert into approvals (workspace_id, approval_id, kind, state, goal_id, task_id, title,
                body, payload_sha256, revision, risk, verdict, created_at, decided_at, decided_by,
                policy_id, policy_version, policy)
             select workspace_id, task('busy'), 'action', 'approved', goal('busy'), task('busy'), '',
                '', sha256(''), 1, 'medium', 'approve', created_at, created_at, task('busy'),
                task('busy'), 1, '{\"stages\": [{\"approvers\": [], \"quorum\": 2}]}'
             from workspaces",
        ],
        Invariant::ApprovalsExpire => &[
            "insert into approval_policies (workspace_id, policy_id, name, document, created_at,
                                            updated_at)
             select workspace_id, task('busy'), 'late', '{}', created_at, created_at
             from workspaces",
            "update approvals set policy_id = task('busy'), policy_version = 1, policy = '{}',
                expires_at = created_at where state = 'pending' and kind = 'start'",
        ],
        Invariant::AnswersCloseRules => &[
            "insert into rules (workspace_id, rule_id, name, enabled, subject, condition,
                condition_is, capabilities, action, action_is, cooldown_ms, created_at, updated_at)
             select workspace_id, workspace_id, 'r', false, 'task', 'looping', '{}', '{}', 'ask', '{}',
                0, created_at, created_at from workspaces",
            "insert into approvals (workspace_id, approval_id, kind, state, goal_id, task_id, title,
                body, payload_sha256, revision, risk, verdict, created_at, decided_at, decided_by)
             select workspace_id, task('busy'), 'input', 'answered', goal('busy'), task('busy'), '',
                '', sha256(''), 1, 'medium', 'answer', created_at, created_at, task('busy')
             from workspaces",
            "insert into interventions (workspace_id, intervention_id, rule_id, rule_version, subject,
                subject_id, goal_id, task_id, condition, action, detail, measure, approval_id, opened_at)
             select workspace_id, workspace_id, workspace_id, 1, 'task', task('busy'), goal('busy'),
                task('busy'), 'looping', 'ask', '', 0, task('busy'), created_at from workspaces",
        ],
        Invariant::LessonsWritten => &[
            "insert into lessons (workspace_id, lesson_id, cluster_id, created_at, changed_at, learned_at,
                doc, kind, origin, state, trust)
             select workspace_id, workspace_id, workspace_id, created_at, created_at, created_at,
                9000, 'howto', 'person', 'active', 'person' from workspaces",
            "insert into docs (workspace_id, lesson_id, doc, shelf, length, title_terms)
             select workspace_id, workspace_id, 9000, 4, 0, 0 from workspaces",
        ],
        Invariant::LessonsIndexed => &[
            "insert into lessons (workspace_id, lesson_id, cluster_id, created_at, changed_at, learned_at,
                kind, origin, state, trust)
             select workspace_id, workspace_id, workspace_id, created_at, created_at, created_at,
                'howto', 'person', 'active', 'person' from workspaces",
            "insert into lesson_versions (workspace_id, lesson_id, version, written_at, fingerprint, kind,
                title, body)
             select workspace_id, workspace_id, 1, created_at, sha256(''), 'howto', 't', 'b' from workspaces",
        ],
        Invariant::JournalEndsWithHead => {
            &["insert into journal_chains select workspace_id, 1000000, sha256(''), 0
             from workspaces on conflict (workspace_id) do update set sealed_to = 1000000"]
        }
        Invariant::LeasesSwept => &["update attempts set lease_expires_at = started_at
            where state = 'running'"],
        Invariant::PromotedInTime => {
            &["update tasks set ready_from = created_at where ref = 'later'"]
        }
        Invariant::SchedulesFireInTime => {
            &["insert into schedules (workspace_id, schedule_id, name, cron, time_zone, overlap,
                  catch_up_seconds, goal, posts_as, next_due, created_by, created_at, updated_at)
               select workspace_id, workspace_id, 's', '* * * * *', 'UTC', 'skip', 0, '{}', key_id,
                  created_at, key_id, created_at, created_at from keys order by created_at limit 1"]
        }
        Invariant::DeadlinesEnforced => {
            &["update tasks set finish_by = created_at where ref = 'blocked'"]
        }
    }
}
