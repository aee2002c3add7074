-- Plans that change while work goes on.
--
-- Why the base and the diff are stored: a version of a plan is made against the one before it. People approve that
-- change, and a version is applied only while its base still is the plan of the goal. The diff is of the time at
-- which it was made, and after that of the time at which it was applied.
--
-- Why `sources`: a task keeps its id and its name in the goal when a document names it otherwise, for example because
-- the ref was used before. The next version must find the task by the ref that the document has.
--
-- Why `held`: what an agent works on keeps its text. The plan says otherwise from then on, and the same plan must
-- change it once it is offered again; so what it was compared with is kept beside what it says.
--
-- Why a superseded plan may have been applied: a goal has one applied plan, the latest. The versions before it keep
-- the time at which they were.
--
-- Why `tasks.dropped`: a task that the plan no longer wants must not decide how its container and its goal end. A task
-- that somebody cancels does. The mark is written with the change of the plan and read at ends only, so the claim does
-- not see it.

alter table plans
    add column base    integer,
    add column diff    jsonb,
    add column brief   text,
    add column reason  text,
    add column sources jsonb not null default '{}',
    add column held    jsonb not null default '{}',
    drop constraint plans_applied_at_iff_applied,
    add constraint plans_applied_at_when_applied
        check (case state when 'applied' then applied_at is not null
                          when 'superseded' then true
                          else applied_at is null end),
    add constraint plans_base_before check (base < number);
comment on column plans.base is 'Number of the plan that it changes; null: the first plan, or an edit of it.';
comment on column plans.diff is 'What it changes in the tasks of the goal; null for the first plan.';
comment on column plans.brief is 'The new brief that it was made of, until it is applied; null: the brief stays.';
comment on column plans.reason is 'Why the plan was changed, in the words of whoever did it; or why it was superseded.';
comment on column plans.sources is 'Refs of the document by the names of their tasks in the goal, where these differ.';
comment on column plans.held is 'What it changes of tasks that could not change when it was applied: these tasks with the values before, by name. The same plan tries again.';
comment on column plans.state is 'proposed, applied, rejected, or superseded: a newer version replaced it.';
comment on column plans.applied_at is 'Time at which it was applied; kept when a newer version replaces it.';

alter table tasks add column dropped boolean not null default false;
comment on column tasks.dropped is 'The plan no longer wants it: if it does not get done, that does not count against its container and goal. Cleared when it comes back.';
comment on column tasks.children_failed is 'Children that failed or were cancelled, without dropped ones.';
