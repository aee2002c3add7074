-- Work that agents discover, and tasks that are too large.
--
-- Why discovered work is a plan: it is a proposed set of tasks of a goal, and a person decides about it as about
-- any plan: with the policies, stages, links and edits of approvals. A table of its own would need all of these
-- once more. The columns say which plans these are, so that rejecting one does not cancel the goal.
--
-- Why `tasks.discovered_from`: the work stands beside the task that found it, not inside. The chain of these
-- references bounds how far agents can go on from what they found.
--
-- Why `oversized_at`: a task that was too large twice is parked until somebody divides it. Failing it would cancel
-- all that needs it. A parked task needs a reason that people can see, and a partial index lists these few.
--
-- Why a split task becomes a container, and `split_at`: its dependents go on waiting for it, and it is done when its
-- parts are. Unlike a container of a plan it may have had attempts.

alter table goals
    add column discovered text not null default 'ask',
    add constraint goals_discovered_known check (discovered in ('ask', 'accept', 'refuse'));
comment on column goals.discovered is 'What becomes of work that its agents discover: ask (a person decides), accept (its tasks are created at once) or refuse.';

alter table plans
    add column discovered_from uuid,
    add column discovered_by uuid,
    add column required boolean not null default false,
    add constraint plans_discovered_from_fkey foreign key (workspace_id, discovered_from) references tasks (workspace_id, task_id),
    add constraint plans_discovered_by_fkey foreign key (workspace_id, discovered_by) references attempts (workspace_id, attempt_id),
    add constraint plans_discovered_by_an_attempt check ((discovered_from is null) = (discovered_by is null)),
    add constraint plans_required_if_discovered check (not required or discovered_from is not null);
comment on column plans.discovered_from is 'The task whose attempt discovered this work; null: a plan of the goal.';
comment on column plans.discovered_by is 'The attempt that discovered this work.';
comment on column plans.required is 'Discovered work that the goal cannot complete without: it stays open until a person has decided.';
create index plans_discovered_from on plans (workspace_id, discovered_from) where discovered_from is not null;
create index plans_discovered_by on plans (workspace_id, discovered_by) where discovered_by is not null;
-- A goal that would complete looks for what holds it up.
create index plans_awaited on plans (workspace_id, goal_id) where required and state = 'proposed';

alter table tasks
    add column discovered_from uuid,
    add column oversized_at timestamptz,
    add column split_at timestamptz,
    add constraint tasks_discovered_from_fkey foreign key (workspace_id, discovered_from) references tasks (workspace_id, task_id)
        deferrable initially immediate,
    add constraint tasks_oversized_while_parked check (oversized_at is null or state = 'parked'),
    add constraint tasks_split_is_container check (split_at is null or container),
    drop constraint tasks_failure_class_known,
    add constraint tasks_failure_class_known check (failure_class in ('transient', 'rate_limited', 'resources', 'too_large', 'invalid_input', 'permanent', 'timeout', 'lost', 'start_timeout', 'finish_timeout', 'children_failed'));
comment on column tasks.discovered_from is 'The task whose attempt discovered it; null: none did.';
comment on column tasks.oversized_at is 'Since when it is parked because it is too large, until somebody divides it; null: it is not.';
comment on column tasks.split_at is 'Time at which it was divided: since then it is a container of its parts; null: never.';
create index tasks_discovered on tasks (workspace_id, discovered_from) where discovered_from is not null;
create index tasks_oversized on tasks (workspace_id, oversized_at, task_id) where oversized_at is not null;

alter table attempt_results
    drop constraint attempt_results_failure_class_known,
    add constraint attempt_results_failure_class_known check (failure_class in ('transient', 'rate_limited', 'resources', 'too_large', 'invalid_input', 'permanent', 'timeout', 'lost', 'start_timeout', 'finish_timeout', 'children_failed'));
