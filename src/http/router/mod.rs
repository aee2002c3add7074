//! The page: every operation of the HTTP API with its method, path, handler and layers.
//!
//! The axum router and the OpenAPI document are made from this table. A row is
//!
//! ```text
//! METHOD "path" => module::handler [refusals], layers;
//! ```
//!
//! - `refusals` are the problem codes of the use case. The signature of the handler says the others
//!   ([`super::describe`]): its caller, its path, query, headers and body.
//! - `long_poll`: the request may stay open for [`super::state::LONGEST_WAIT`] and more, and counts
//!   among the waiting requests while it waits.
//! - `list`: the request reads a list; a few run at a time ([`super::fairness`]).
//! - `scan`: the request reads much; very few run at a time, each for as long as a long poll.
//! - `transfer`: the request sends or receives the bytes of an artifact: no limit of a body, a deadline by rate.
//! - `body_limit = bytes`: the largest body, where it is not [`BODY_LIMIT`].
//! - `always`: answered even while other requests are refused because of overload.
//!
//! [`super::serve::layers`] applies the layers of all requests. A handler repeats its method and path
//! for its reader; a test compares both. What is not an operation (`/docs`, `/`) is in
//! [`super::docs`].
//!
//! [`BODY_LIMIT`]: super::extract::body::BODY_LIMIT

mod route;

use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter},
    routes,
};

use super::{
    api::{
        agents, answers, approvals, artifacts, assignments, attempts, attention, audit, budgets,
        claims, comments, concurrency_keys, events, explain, freezes, goals, identities, keys,
        knowledge, lessons, links, planners, plans, playbooks, policies, prices, problems,
        projects, quota_windows, rates, reports, risk_floors, rules, schedules, sessions, sign_in,
        supervisor, tasks, verify, whoami, workspace,
    },
    decide,
    describe::Extent,
    docs, health,
    state::HttpState,
};
use crate::domain::refusal::Code;
use route::{Route, operations};

const MIB: usize = 1024 * 1024;

operations! {
    "goals" {
        GET    "/v1/goals"                  => goals::list_goals, list;
        POST   "/v1/goals"                  => goals::create_goal
            [AlreadyExists, NoTasksFound, PlanInvalid, BudgetExhausted, WorkspaceFull, NotFound], body_limit = 4 * MIB,
            long_poll;
        GET    "/v1/goals/{goal_id}"        => goals::get_goal, long_poll;
        PATCH  "/v1/goals/{goal_id}"        => goals::update_goal
            [GoalEnded, WrongState, BudgetExhausted, SeparationOfDuties, NotAnApprover];
        DELETE "/v1/goals/{goal_id}"        => goals::delete_goal [WrongState];
        GET    "/v1/goals/{goal_id}/progress" => goals::goal_progress;
        POST   "/v1/goals/{goal_id}/tasks"  => goals::add_tasks
            [GoalEnded, WrongState, PlanInvalid, SeparationOfDuties, NotAnApprover, WorkspaceFull],
             body_limit = 4 * MIB;
        POST   "/v1/goals/{goal_id}/replan" => goals::replan_goal
            [GoalEnded, WrongState, PlanChanged, PlanInvalid, NoTasksFound, WorkspaceFull],
             body_limit = 4 * MIB, long_poll;
        POST   "/v1/goals/{goal_id}/cancel" => goals::cancel_goal [GoalEnded];
        POST   "/v1/goals/{goal_id}/retry"  => goals::retry_goal
            [WrongState, GoalEnded, BudgetExhausted, WorkspaceFull];
        POST   "/v1/goals/{goal_id}/acknowledge" => goals::acknowledge_goal [WrongState];
        POST   "/v1/goals/{goal_id}/archive"   => goals::archive_goal [WrongState];
        POST   "/v1/goals/{goal_id}/unarchive" => goals::unarchive_goal;
        POST   "/v1/goals/{goal_id}/criteria/{number}/decide" => goals::decide_goal_criterion
            [GoalEnded, WrongState, SeparationOfDuties];
    }
    "plans" {
        POST   "/v1/plans/preview"          => goals::preview_plan
            [NoTasksFound, PlanInvalid, NotFound], body_limit = 4 * MIB;
        GET    "/v1/goals/{goal_id}/plans"  => plans::list_plans, list;
        GET    "/v1/goals/{goal_id}/planning" => plans::list_planning_runs, list;
        POST   "/v1/goals/{goal_id}/plan"   => plans::plan_goal
            [GoalEnded, WrongState, NoTasksFound, PlanInvalid, BudgetExhausted, WorkspaceFull, NotFound],
             body_limit = 4 * MIB;
    }
    "playbooks" {
        GET    "/v1/playbooks"                  => playbooks::list_playbooks, list;
        POST   "/v1/playbooks"                  => playbooks::create_playbook
            [WorkspaceFull];
        POST   "/v1/playbooks/try"              => playbooks::try_new_playbook
            [PlanInvalid];
        GET    "/v1/playbooks/{name}"           => playbooks::get_playbook;
        GET    "/v1/playbooks/{name}/versions"  => playbooks::list_playbook_versions, list;
        POST   "/v1/playbooks/{name}/try"       => playbooks::try_playbook [PlanInvalid];
        POST   "/v1/playbooks/{name}/archive"   => playbooks::archive_playbook [WrongState];
        POST   "/v1/playbooks/{name}/unarchive" => playbooks::unarchive_playbook [WrongState];
    }
    "schedules" {
        GET    "/v1/schedules"                      => schedules::list_schedules, list;
        POST   "/v1/schedules"                      => schedules::create_schedule
            [AlreadyExists, NoTasksFound, PlanInvalid, NotFound, WorkspaceFull], body_limit = 4 * MIB;
        POST   "/v1/schedules/preview"              => schedules::preview_schedule;
        GET    "/v1/schedules/{schedule_id}"        => schedules::get_schedule;
        PATCH  "/v1/schedules/{schedule_id}"        => schedules::update_schedule
            [AlreadyExists, NoTasksFound, PlanInvalid], body_limit = 4 * MIB;
        DELETE "/v1/schedules/{schedule_id}"        => schedules::delete_schedule;
        POST   "/v1/schedules/{schedule_id}/pause"  => schedules::pause_schedule;
        POST   "/v1/schedules/{schedule_id}/resume" => schedules::resume_schedule;
        POST   "/v1/schedules/{schedule_id}/fire"   => schedules::fire_schedule
            [WrongState, AlreadyExists, NoTasksFound, PlanInvalid, BudgetExhausted, WorkspaceFull];
        GET    "/v1/schedules/{schedule_id}/fires"  => schedules::list_fires, list;
    }
    "tasks" {
        GET    "/v1/tasks"                       => tasks::list_tasks, list;
        GET    "/v1/tasks/{task_id}"             => tasks::get_task;
        GET    "/v1/tasks/{task_id}/explain"     => explain::explain_task, scan;
        PATCH  "/v1/tasks/{task_id}"             => tasks::update_task
            [TaskEnded, WrongState, PlanInvalid, SeparationOfDuties, NotAnApprover];
        POST   "/v1/tasks/{task_id}/cancel"      => tasks::cancel_task [TaskEnded];
        POST   "/v1/tasks/{task_id}/reassign"    => tasks::reassign_task
            [TaskEnded, GoalEnded, WrongState, PreconditionFailed];
        POST   "/v1/tasks/{task_id}/split"       => tasks::split_task
            [TaskEnded, GoalEnded, WrongState, PlanInvalid, SeparationOfDuties, NotAnApprover, WorkspaceFull],
             body_limit = 4 * MIB;
        POST   "/v1/tasks/{task_id}/takeover"    => tasks::take_over_task
            [TaskEnded, GoalEnded, WrongState, PreconditionFailed, Frozen, ResourceHeld, BudgetExhausted,
             SeparationOfDuties];
        POST   "/v1/tasks/{task_id}/acknowledge" => tasks::acknowledge_task [WrongState];
        POST   "/v1/tasks/{task_id}/retry"       => tasks::retry_task
            [WrongState, GoalEnded, BudgetExhausted, WorkspaceFull];
        POST   "/v1/tasks/{task_id}/reopen"      => tasks::reopen_task
            [WrongState, GoalEnded, BudgetExhausted, WorkspaceFull];
    }
    "comments" {
        GET    "/v1/tasks/{task_id}/comments" => comments::list_task_comments, list;
        POST   "/v1/tasks/{task_id}/comments" => comments::comment_on_task
            [NotYourAttempt, WrongState, WorkspaceFull];
        GET    "/v1/goals/{goal_id}/comments" => comments::list_goal_comments, list;
        POST   "/v1/goals/{goal_id}/comments" => comments::comment_on_goal
            [NotYourAttempt, WrongState, WorkspaceFull];
        GET    "/v1/comments/{comment_id}"    => comments::get_comment;
    }
    "knowledge" {
        POST   "/v1/knowledge/search"  => knowledge::search_lessons;
        POST   "/v1/knowledge/context" => knowledge::knowledge_context [NotFound];
        POST   "/v1/knowledge/answers" => answers::find_answers;
        GET    "/v1/knowledge/uplift"  => answers::lesson_uplift [NotFound], scan;
        GET    "/v1/knowledge/statistics" => lessons::lesson_statistics, scan;
        GET    "/v1/tasks/{task_id}/answers"       => answers::list_task_answers;
        POST   "/v1/tasks/{task_id}/accept-answer" => answers::accept_answer
            [TaskEnded, GoalEnded, WrongState, Frozen, SeparationOfDuties];
        POST   "/v1/attempts/{attempt_id}/accept-answer" => answers::accept_answer_in_attempt
            [NotYourAttempt, LeaseLost, Frozen, AlreadyCompleted, EvidenceMissing, WrongState, SeparationOfDuties];
    }
    "lessons" {
        GET    "/v1/lessons"              => lessons::list_lessons, list;
        POST   "/v1/lessons"              => lessons::create_lesson;
        GET    "/v1/lessons/export"       => lessons::export_lessons, scan;
        POST   "/v1/lessons/import"       => lessons::import_lessons, body_limit = 16 * MIB, scan;
        GET    "/v1/lessons/{lesson_id}"  => lessons::get_lesson;
        PATCH  "/v1/lessons/{lesson_id}"  => lessons::update_lesson;
        GET    "/v1/lessons/{lesson_id}/versions" => lessons::list_lesson_versions, list;
        POST   "/v1/lessons/{lesson_id}/confirm" => lessons::confirm_lesson;
        POST   "/v1/lessons/{lesson_id}/archive" => lessons::archive_lesson;
        POST   "/v1/lessons/{lesson_id}/restore" => lessons::restore_lesson [WrongState];
        POST   "/v1/lessons/{lesson_id}/promote" => lessons::promote_lesson [WrongState];
        POST   "/v1/lessons/{lesson_id}/merge" => lessons::merge_lessons;
        POST   "/v1/lessons/{lesson_id}/supersede" => lessons::supersede_lesson;
        POST   "/v1/lessons/{lesson_id}/contradict" => lessons::contradict_lesson;
    }
    "concurrency-keys" {
        GET    "/v1/concurrency-keys" => concurrency_keys::list_concurrency_keys, list;
        POST   "/v1/concurrency-keys" => concurrency_keys::create_concurrency_key
            [NotFound, AlreadyExists, WorkspaceFull];
        GET    "/v1/concurrency-keys/{concurrency_key_id}" => concurrency_keys::get_concurrency_key;
        PATCH  "/v1/concurrency-keys/{concurrency_key_id}" => concurrency_keys::update_concurrency_key;
        DELETE "/v1/concurrency-keys/{concurrency_key_id}" => concurrency_keys::delete_concurrency_key
            [WrongState];
    }
    "artifacts" {
        GET    "/v1/artifacts"          => artifacts::list_artifacts, list;
        PUT    "/v1/artifacts/{sha256}" => artifacts::put_artifact
            [WrongState, DigestMismatch, WorkspaceFull, NotYourAttempt], transfer;
        GET    "/v1/artifacts/{sha256}" => artifacts::get_artifact [WrongState], transfer;
        DELETE "/v1/artifacts/{sha256}" => artifacts::delete_artifact [WrongState];
    }
    "claims" {
        POST   "/v1/claims" => claims::claim [AgentNotActive], long_poll;
    }
    "attempts" {
        POST   "/v1/attempts/{attempt_id}/heartbeat" => attempts::heartbeat
            [NotYourAttempt, LeaseLost];
        POST   "/v1/heartbeats"                      => attempts::heartbeat_many;
        POST   "/v1/attempts/{attempt_id}/spend"     => attempts::report_spend
            [NotYourAttempt, LeaseLost];
        POST   "/v1/attempts/{attempt_id}/spend/corrections" => attempts::correct_spend;
        POST   "/v1/attempts/{attempt_id}/authorize" => attempts::authorize
            [NotYourAttempt, LeaseLost, Frozen, BudgetExhausted];
        POST   "/v1/attempts/{attempt_id}/complete"  => attempts::complete
            [NotYourAttempt, LeaseLost, Frozen, AlreadyCompleted, EvidenceMissing, SeparationOfDuties];
        POST   "/v1/attempts/{attempt_id}/fail"      => attempts::fail
            [NotYourAttempt, LeaseLost, Frozen, AlreadyCompleted];
        POST   "/v1/attempts/{attempt_id}/release"   => attempts::release
            [NotYourAttempt, LeaseLost, Frozen, AlreadyCompleted];
        POST   "/v1/attempts/{attempt_id}/subtasks"  => attempts::add_subtasks
            [NotYourAttempt, LeaseLost, Frozen, GoalEnded, TaskEnded, PlanInvalid, WorkspaceFull,
             AlreadyExists],
             body_limit = 4 * MIB;
        POST   "/v1/attempts/{attempt_id}/split"     => attempts::split
            [NotYourAttempt, LeaseLost, Frozen, GoalEnded, TaskEnded, WrongState, PlanInvalid, WorkspaceFull],
             body_limit = 4 * MIB;
        POST   "/v1/attempts/{attempt_id}/hand-off"  => attempts::hand_off
            [NotYourAttempt, LeaseLost, Frozen, GoalEnded, TaskEnded, WrongState];
        POST   "/v1/attempts/{attempt_id}/discovered" => attempts::report_discovered
            [NotYourAttempt, LeaseLost, Frozen, GoalEnded, TaskEnded, WrongState, PlanInvalid, WorkspaceFull];
        POST   "/v1/attempts/{attempt_id}/resources" => attempts::change_resources
            [NotYourAttempt, LeaseLost, Frozen, GoalEnded, TaskEnded, ResourceHeld, WorkspaceFull];
        POST   "/v1/attempts/{attempt_id}/approvals" => attempts::ask
            [NotYourAttempt, LeaseLost, Frozen, GoalEnded, TaskEnded];
        GET    "/v1/assignments"                     => assignments::list_assignments, list;
        GET    "/v1/attempts/{attempt_id}"           => attempts::get_attempt;
        GET    "/v1/attempts/{attempt_id}/spend"     => attempts::list_attempt_spend, list;
        GET    "/v1/tasks/{task_id}/attempts"        => tasks::list_task_attempts, list;
        GET    "/v1/agents/{agent_id}/attempts"      => attempts::list_agent_attempts, list;
    }
    "approvals" {
        GET    "/v1/approvals"                           => approvals::list_approvals, list;
        GET    "/v1/approvals/{approval_id}"             => approvals::get_approval, long_poll;
        GET    "/v1/approvals/{approval_id}/revisions"   => approvals::list_approval_revisions, list;
        POST   "/v1/approvals/{approval_id}/revise"      => approvals::revise_approval
            [AlreadyDecided, PayloadChanged, PlanInvalid];
        POST   "/v1/approvals/{approval_id}/decide"      => approvals::decide_approval
            [EvidenceMissing, AlreadyDecided, SeparationOfDuties, NotAnApprover, AlreadyVoted,
             PayloadChanged, PlanInvalid, GoalEnded, WrongState, TaskEnded, BudgetExhausted, WorkspaceFull];
        GET    "/v1/approvals/{approval_id}/links"                  => links::list_approval_links, list;
        POST   "/v1/approvals/{approval_id}/links"                  => links::create_approval_link
            [AlreadyDecided, SeparationOfDuties, NotAnApprover, LinkRefused];
        GET    "/v1/approvals/{approval_id}/links/{link_id}"        => links::get_approval_link;
        POST   "/v1/approvals/{approval_id}/links/{link_id}/revoke" => links::revoke_approval_link;
        GET    "/decide/{token}"                         => decide::show_link;
        POST   "/decide/{token}"                         => decide::decide_by_link;
        GET    "/v1/approval-policies"                      => policies::list_approval_policies, list;
        POST   "/v1/approval-policies"                      => policies::create_approval_policy
            [NotFound, AlreadyExists];
        GET    "/v1/approval-policies/{policy_id}"          => policies::get_approval_policy;
        PUT    "/v1/approval-policies/{policy_id}"          => policies::replace_approval_policy
            [AlreadyExists];
        DELETE "/v1/approval-policies/{policy_id}"          => policies::retire_approval_policy;
        POST   "/v1/approval-policies/{policy_id}/simulate" => policies::simulate_approval_policy, scan;
        GET    "/v1/risk-floors"            => risk_floors::list_risk_floors, list;
        POST   "/v1/risk-floors"            => risk_floors::create_risk_floor [NotFound, AlreadyExists];
        GET    "/v1/risk-floors/{floor_id}" => risk_floors::get_risk_floor;
        DELETE "/v1/risk-floors/{floor_id}" => risk_floors::delete_risk_floor;
    }
    "attention" {
        GET    "/v1/attention" => attention::list_attention, list;
    }
    "projects" {
        GET    "/v1/projects"              => projects::list_projects, list;
        POST   "/v1/projects"              => projects::create_project [AlreadyExists];
        GET    "/v1/projects/{project_id}" => projects::get_project;
        PATCH  "/v1/projects/{project_id}" => projects::update_project [AlreadyExists];
        POST   "/v1/projects/{project_id}/archive"   => projects::archive_project [WrongState];
        POST   "/v1/projects/{project_id}/unarchive" => projects::unarchive_project;
    }
    "budgets" {
        GET    "/v1/budgets"             => budgets::list_budgets, list;
        POST   "/v1/budgets"             => budgets::create_budget [NotFound, AlreadyExists];
        GET    "/v1/budgets/{budget_id}" => budgets::get_budget;
        PATCH  "/v1/budgets/{budget_id}" => budgets::update_budget [BudgetExhausted];
        POST   "/v1/budgets/{budget_id}/archive"   => budgets::archive_budget [WrongState];
        POST   "/v1/budgets/{budget_id}/unarchive" => budgets::unarchive_budget;
    }
    "reports" {
        GET    "/v1/reports/spend"            => reports::get_spend_report, scan;
        GET    "/v1/reports/spend.csv"        => reports::export_spend_report, scan;
        GET    "/v1/reports/focus.csv"        => reports::export_focus, scan;
        GET    "/v1/reports/forecast"         => reports::forecast_budget [NotFound], scan;
        GET    "/v1/reports/routing"          => reports::get_routing_report, scan;
        GET    "/v1/reports/agents"           => reports::get_agents_report, scan;
        GET    "/v1/reports/bottlenecks"      => reports::get_bottlenecks_report, scan;
        GET    "/v1/goals/{goal_id}/estimate" => reports::estimate_goal, scan;
    }
    "prices" {
        GET    "/v1/prices"        => prices::list_prices, list;
        POST   "/v1/prices"        => prices::create_price;
        POST   "/v1/prices/import" => prices::import_prices, body_limit = 16 * MIB;
        GET    "/v1/prices/find"   => prices::find_price [NotFound];
        POST   "/v1/prices/rerate" => prices::rerate_spend, scan;
    }
    "agents" {
        GET    "/v1/agents"            => agents::list_agents, list;
        POST   "/v1/agents"            => agents::register_agent
            [AgentNotActive, WorkspaceFull];
        GET    "/v1/agents/{agent_id}" => agents::get_agent;
        GET    "/v1/agents/{agent_id}/explain" => explain::explain_agent, scan;
        PATCH  "/v1/agents/{agent_id}" => agents::update_agent;
        POST   "/v1/agents/{agent_id}/archive"   => agents::archive_agent [WrongState];
        POST   "/v1/agents/{agent_id}/unarchive" => agents::unarchive_agent;
    }
    "rates" {
        GET    "/v1/rates"           => rates::list_rates, list;
        POST   "/v1/rates"           => rates::create_rate [AlreadyExists];
        GET    "/v1/rates/{rate_id}" => rates::get_rate;
        PATCH  "/v1/rates/{rate_id}" => rates::update_rate;
        DELETE "/v1/rates/{rate_id}" => rates::delete_rate;
        GET    "/v1/quota-windows"             => quota_windows::list_quota_windows, list;
        POST   "/v1/quota-windows"             => quota_windows::create_quota_window [AlreadyExists];
        GET    "/v1/quota-windows/{window_id}" => quota_windows::get_quota_window;
        PATCH  "/v1/quota-windows/{window_id}" => quota_windows::update_quota_window;
        DELETE "/v1/quota-windows/{window_id}" => quota_windows::delete_quota_window;
    }
    "freezes" {
        GET    "/v1/freezes"                  => freezes::list_freezes, list;
        POST   "/v1/freezes"                  => freezes::set_freeze [NotFound];
        GET    "/v1/freezes/{freeze_id}"      => freezes::get_freeze;
        POST   "/v1/freezes/{freeze_id}/lift" => freezes::lift_freeze;
    }
    "rules" {
        GET    "/v1/rules"                             => rules::list_rules, list;
        POST   "/v1/rules"                             => rules::create_rule [AlreadyExists];
        POST   "/v1/rules/dry-run"                     => rules::dry_run_rule, scan;
        GET    "/v1/rules/{rule_id}"                   => rules::get_rule;
        PATCH  "/v1/rules/{rule_id}"                   => rules::update_rule [AlreadyExists];
        DELETE "/v1/rules/{rule_id}"                   => rules::delete_rule;
        GET    "/v1/interventions"                     => rules::list_interventions, list;
        GET    "/v1/interventions/{intervention_id}"   => rules::get_intervention;
    }
    "events" {
        GET    "/v1/events" => events::list_events, long_poll;
    }
    "audit" {
        GET    "/v1/audit"        => audit::list_audit, list;
        GET    "/v1/audit/verify" => audit::verify_audit, scan;
        GET    "/v1/audit/export" => audit::export_audit, scan;
    }
    "keys" {
        GET    "/v1/keys"                 => keys::list_keys;
        POST   "/v1/keys"                 => keys::create_key [WorkspaceFull];
        GET    "/v1/keys/{key_id}"        => keys::get_key;
        POST   "/v1/keys/{key_id}/revoke" => keys::revoke_key [LastAdminKey];
        POST   "/v1/keys/{key_id}/rotate" => keys::rotate_key [WrongState, WorkspaceFull];
        POST   "/v1/keys/rotate"          => keys::rotate_own_key [WrongState, WorkspaceFull];
        GET    "/v1/whoami"               => whoami::whoami;
    }
    "sessions" {
        GET    "/v1/sessions"              => sessions::list_sessions, list;
        POST   "/v1/sessions"              => sessions::begin_session;
        DELETE "/v1/sessions"              => sessions::end_sessions;
        DELETE "/v1/sessions/{session_id}" => sessions::end_session;
    }
    "planners" {
        GET    "/v1/planner" => planners::get_planner;
        PUT    "/v1/planner" => planners::set_planner [WrongState];
        DELETE "/v1/planner" => planners::delete_planner [NotFound];
    }
    "workspaces" {
        GET    "/v1/workspace" => workspace::get_workspace;
        PATCH  "/v1/workspace" => workspace::update_workspace;
    }
    "sign-in" {
        GET    "/v1/sign-in/oidc"          => sign_in::begin_sign_in [NotFound, Unavailable];
        GET    "/v1/sign-in/oidc/callback" => sign_in::finish_sign_in
            [NotFound, SignInRefused, WorkspaceFull, Unavailable];
        GET    "/v1/identities"               => identities::list_identities;
        GET    "/v1/identities/{identity_id}" => identities::get_identity;
        PATCH  "/v1/identities/{identity_id}" => identities::update_identity;
    }
    "health" {
        GET    "/v1/supervisor" => supervisor::get_supervisor;
        GET    "/v1/verify"     => verify::verify, scan;
        GET    "/livez"         => health::livez, always;
        GET    "/readyz"        => health::readyz, always;
        GET    "/metrics"       => health::metrics, always;
    }
    "problems" {
        GET    "/problems"        => problems::list_problems;
        GET    "/problems/{code}" => problems::get_problem;
    }
    "docs" {
        GET    "/openapi.json" => docs::openapi_json;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;
    use crate::http::{describe, unions};

    #[test]
    fn a_name_of_a_schema_means_one_schema() {
        let mut known = BTreeMap::new();
        let mut ambiguous = BTreeSet::new();
        for (schemas, _, _) in rows(Extent::Whole) {
            for (name, schema) in schemas {
                let schema = serde_json::to_value(schema).unwrap();
                let first = known.entry(name.clone()).or_insert_with(|| schema.clone());
                if *first != schema {
                    ambiguous.insert(name);
                }
            }
        }
        let mut document = serde_json::to_value(routes(Extent::Whole).into_openapi()).unwrap();
        for member in unions::name_members(&mut document) {
            if known.insert(member.clone(), Value::Null).is_some() {
                ambiguous.insert(member);
            }
        }
        assert!(
            ambiguous.is_empty(),
            "these names mean several schemas, of which the document has only one; \
             name the others with `#[schema(as = ...)]`: {ambiguous:?}"
        );
    }

    #[test]
    fn the_page_says_what_is_served() {
        let mut document = routes(Extent::Whole).into_openapi();
        let mut served = Vec::new();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in describe::operations(item) {
                let id = operation.operation_id.clone().unwrap_or_default();
                served.push((method.to_string(), path.clone(), id));
            }
        }
        let row = |(method, path, id): &(&str, &str, &str)| {
            ((*method).to_owned(), (*path).to_owned(), (*id).to_owned())
        };
        let mut rows: Vec<_> = PAGE.iter().map(row).collect();
        served.sort();
        rows.sort();
        assert_eq!(rows, served);
    }

    /// They run dozens of statements: as short requests, a page of explanations would hold up claims.
    #[test]
    fn explanations_take_the_places_of_scans() {
        let mut document = routes(Extent::Whole).into_openapi();
        for path in ["/v1/tasks/{task_id}/explain", "/v1/agents/{agent_id}/explain"] {
            let item = document.paths.paths.get_mut(path).unwrap();
            for (_, operation) in describe::operations(item) {
                assert!(describe::is_marked(operation, describe::SCAN), "{path}");
            }
        }
    }
}
