-- Schedules: goals that are posted again and again.
--
-- Why the next due time is stored: servers ask for what is due several times a second, and an index finds it. A paused,
-- ended or deleted schedule has none, so it is not in the index. It only moves forward.
--
-- Why a row per fire, written with its goal: any number of servers may find the same due time. They take turns by the
-- lock of the schedule, and the unique index lets none fire a due time that another has fired, whatever went wrong.
--
-- Why a fire may have no goal: whoever misses a goal wants to know why there is none. A long absence is one row that
-- counts the due times in it.
--
-- Why a schedule is hidden and not deleted: goals name the schedule that posted them.
--
-- Why `posts_as` beside `created_by`: the goals are posted by a key, as every goal is, and separation of duties excludes
-- it. When the key ends, somebody else takes over.

create table schedules (
    workspace_id     uuid        not null,
    schedule_id      uuid        not null,
    name             text        not null,
    cron             text        not null,
    time_zone        text        not null,
    overlap          text        not null,
    catch_up_seconds integer     not null,
    deadline_seconds integer,
    starts_at        timestamptz,
    ends_at          timestamptz,
    goal             jsonb       not null,
    posts_as         uuid        not null,
    pause            text,
    pause_detail     text,
    paused_at        timestamptz,
    next_due         timestamptz,
    last_due         timestamptz,
    last_goal_id     uuid,
    queued           integer     not null default 0,
    refused_in_row   integer     not null default 0,
    version          integer     not null default 1,
    created_by       uuid        not null,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    deleted_at       timestamptz,
    constraint schedules_pkey primary key (workspace_id, schedule_id),
    constraint schedules_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint schedules_posts_as_fkey foreign key (workspace_id, posts_as) references keys (workspace_id, key_id),
    constraint schedules_created_by_fkey foreign key (workspace_id, created_by) references keys (workspace_id, key_id),
    constraint schedules_overlap_known check (overlap in ('skip', 'queue', 'cancel')),
    constraint schedules_pause_known check (pause in ('asked', 'key_ended', 'refused')),
    constraint schedules_paused_since check ((pause is null) = (paused_at is null)),
    constraint schedules_catch_up_range check (catch_up_seconds between 0 and 604800),
    constraint schedules_deadline_range check (deadline_seconds between 60 and 315360000),
    constraint schedules_bounds_in_order check (starts_at < ends_at),
    constraint schedules_queued_range check (queued between 0 and 100),
    constraint schedules_resting_is_not_due check (next_due is null or (pause is null and deleted_at is null))
);
create unique index schedules_name_unique on schedules (workspace_id, name) where deleted_at is null;
create index schedules_due on schedules (workspace_id, next_due) where next_due is not null;
create index schedules_queued on schedules (workspace_id, schedule_id) where queued > 0;

comment on table  schedules is 'Goals that are posted again and again. Rows are never deleted.';
comment on column schedules.workspace_id is 'The workspace.';
comment on column schedules.schedule_id is 'UUIDv7.';
comment on column schedules.name is 'One line, unique among the schedules that are not deleted.';
comment on column schedules.cron is 'Cron expression of five fields, in local times of the zone.';
comment on column schedules.time_zone is 'Name of an IANA time zone.';
comment on column schedules.overlap is 'What a fire does while the goal of the fire before is open: skip, queue or cancel.';
comment on column schedules.catch_up_seconds is 'Age up to which due times that no server fired are fired late.';
comment on column schedules.deadline_seconds is 'Time from the due time to the deadline of the goal; null: no deadline.';
comment on column schedules.starts_at is 'Nothing is due before it; null: no such bound.';
comment on column schedules.ends_at is 'Nothing is due at it or after it; null: no such bound.';
comment on column schedules.goal is 'The goal to post: the body of a request that posts one.';
comment on column schedules.posts_as is 'The key that posts its goals: of whoever made the schedule, last edited its goal, or took it over.';
comment on column schedules.pause is 'Why it is paused: asked, key_ended or refused; null: it is not.';
comment on column schedules.pause_detail is 'The reason in words; null: none.';
comment on column schedules.paused_at is 'Time of the pause; null: it is not paused.';
comment on column schedules.next_due is 'Next due time; null while it is paused, and when there is none.';
comment on column schedules.last_due is 'Last due time that was fired, in whatever way; null: none.';
comment on column schedules.last_goal_id is 'The goal that it posted last; it may be pruned. Null: none.';
comment on column schedules.queued is 'Number of its fires that are queued.';
comment on column schedules.refused_in_row is 'Consecutive fires by the clock whose goals were refused.';
comment on column schedules.version is 'Rises by one with every edit and pause.';
comment on column schedules.created_by is 'The key that made it.';
comment on column schedules.created_at is 'Time of its creation.';
comment on column schedules.updated_at is 'Time of the last edit or pause.';
comment on column schedules.deleted_at is 'Time of its deletion; null: it is not deleted.';

create table schedule_fires (
    workspace_id uuid        not null,
    fire_id      uuid        not null,
    schedule_id  uuid        not null,
    due_at       timestamptz not null,
    decided_at   timestamptz not null,
    outcome      text        not null,
    goal_id      uuid,
    times        integer     not null default 1,
    asked_by     uuid,
    code         text,
    detail       text,
    constraint schedule_fires_pkey primary key (workspace_id, fire_id),
    constraint schedule_fires_schedule_fkey foreign key (workspace_id, schedule_id)
        references schedules (workspace_id, schedule_id),
    constraint schedule_fires_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint schedule_fires_asked_by_fkey foreign key (workspace_id, asked_by) references keys (workspace_id, key_id),
    constraint schedule_fires_outcome_known check (outcome in ('posted', 'queued', 'skipped', 'missed', 'refused')),
    constraint schedule_fires_posted_has_goal check ((outcome = 'posted') = (goal_id is not null)),
    constraint schedule_fires_times_of_missed check (times = 1 or (times > 1 and outcome = 'missed')),
    constraint schedule_fires_code_of_refused check ((outcome = 'refused') = (code is not null))
);
create unique index schedule_fires_once on schedule_fires (workspace_id, schedule_id, due_at) where asked_by is null;
create index schedule_fires_of_schedule on schedule_fires (workspace_id, schedule_id, fire_id);
create index schedule_fires_queued on schedule_fires (workspace_id, schedule_id, due_at, fire_id) where outcome = 'queued';
create index schedule_fires_goal on schedule_fires (workspace_id, goal_id) where goal_id is not null;

comment on table  schedule_fires is 'What became of the due times of schedules, and of fires that somebody asked for. A row goes with its goal, or by age.';
comment on column schedule_fires.workspace_id is 'The workspace.';
comment on column schedule_fires.fire_id is 'UUIDv7.';
comment on column schedule_fires.schedule_id is 'The schedule.';
comment on column schedule_fires.due_at is 'The due time; of a fire that somebody asked for, the time of the request; of several missed ones, the last.';
comment on column schedule_fires.decided_at is 'Time of the outcome.';
comment on column schedule_fires.outcome is 'What became of it: posted, queued, skipped, missed or refused.';
comment on column schedule_fires.goal_id is 'The goal that it posted; null: none.';
comment on column schedule_fires.times is 'Number of due times that the row stands for; more than 1 only if they were missed.';
comment on column schedule_fires.asked_by is 'The key that asked for it; null: it was due.';
comment on column schedule_fires.code is 'Code of the refusal; null: the goal was not refused.';
comment on column schedule_fires.detail is 'The outcome in words; null: nothing is to be said.';

alter table goals
    add column schedule_id uuid,
    add constraint goals_schedule_fkey foreign key (workspace_id, schedule_id)
        references schedules (workspace_id, schedule_id);
comment on column goals.schedule_id is 'The schedule that posted it; null: none did.';
