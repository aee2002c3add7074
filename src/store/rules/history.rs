//! The past of a rule's subjects, for dry runs.
//!
//! Covers the tasks, or goals, of the latest attempts started in a time span, at most [`ATTEMPTS`].
//! Each condition has a query for the moments at which its facts changed, with these facts as JSON;
//! the domain decides whether the condition held. Omits changes at the end of a task: the rule
//! would have found it ended.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        approval,
        ids::{GoalId, TaskId, WorkspaceId},
        rule::{Condition, Facts, Scope, Subject, When},
        states::ApprovalKind,
    },
    store::{Tx, traced},
};

/// Most attempts covered.
pub const ATTEMPTS: i64 = 20_000;
/// Most moments checked.
pub const MOMENTS: i64 = 50_000;

/// The covered part of the history.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Start of the span.
    pub from: DateTime<Utc>,
    /// End of the span, exclusive.
    pub until: DateTime<Utc>,
    /// Scope of the rule.
    pub scope: &'a Scope,
}

impl Past<'_> {
    /// The span as ids of attempts, which begin with their creation time.
    fn ids(self) -> [Uuid; 2] {
        [self.from, self.until].map(|at| {
            let at = u64::try_from(at.timestamp_millis()).unwrap_or_default();
            uuid::Builder::from_unix_timestamp_millis(at, &[0; 10]).into_uuid()
        })
    }
}

/// The facts of a task or goal at a past moment.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The task; only for conditions about tasks.
    pub task_id: Option<TaskId>,
    /// The goal.
    pub goal_id: GoalId,
    /// Time of the change; `None` if the history does not tell.
    pub at: Option<DateTime<Utc>>,
    /// Time at which the condition is checked.
    pub judged_at: DateTime<Utc>,
    /// The facts at that time.
    pub facts: Json<Facts>,
}

/// Size of the covered history.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Number of tasks.
    pub tasks: i64,
    /// Number of goals.
    pub goals: i64,
    /// Number of attempts, at most [`ATTEMPTS`].
    pub attempts: i64,
}

/// Turns `name -> row: query;` into functions over the covered tasks (`mine`). `$1` is the
/// workspace, `$7` the end of the span, `$8` the row limit, `$9` and on are arguments.
macro_rules! history {
    ($($name:ident -> $row:ident ($($argument:expr),*) : $query:tt;)+) => {$(
        async fn $name(tx: &mut Tx, past: Past<'_>) -> sqlx::Result<Vec<$row>> {
            let [from, until] = past.ids();
            sqlx::query_as!(
                $row,
                "with latest as materialized (
                     select a.task_id, a.goal_id from attempts a
                     where a.workspace_id = $1 and a.attempt_id >= $2 and a.attempt_id < $3
                     order by a.attempt_id desc limit $6
                 ), mine as materialized (
                     select l.task_id, l.goal_id, count(*) as attempts,
                            max(coalesce(t.ended_at, 'infinity')) as ended_at
                     from latest l
                     join tasks t on t.workspace_id = $1 and t.task_id = l.task_id
                     join goals g on g.workspace_id = $1 and g.goal_id = l.goal_id
                     where t.created_at < $7::timestamptz
                       and ($4::uuid is null or g.project_id = $4)
                       and ($5::text[] = '{}' or exists (select from capability_sets s
                           where s.workspace_id = $1 and s.capability_key = t.capability_key
                             and s.capabilities && $5))
                     group by l.task_id, l.goal_id
                 ), goals_mine as (
                     select distinct goal_id from mine
                 ) " + $query,
                past.workspace.0,
                from,
                until,
                past.scope.project_id.map(|id| id.0),
                &past.scope.capabilities,
                ATTEMPTS,
                past.until,
                MOMENTS,
                $($argument),*
            )
            .fetch_all(traced!(tx, "rules.history"))
            .await
        }
    )+};
}

history! {
    size -> Size(): "
        select count(*) as \"tasks!\", count(distinct goal_id) as \"goals!\",
               (select count(*) from latest) as \"attempts!\"
        from mine limit $8";

    failures -> Moment(): "
        select m.task_id as \"task_id?: TaskId\", m.goal_id as \"goal_id!: GoalId\",
               a.ended_at as \"at?\", coalesce(a.ended_at, $7) as \"judged_at!\",
               jsonb_build_object(
                   'failures', row_number() over earlier,
                   'last_failures', case when lag(r.failure_class) over earlier is null
                       then jsonb_build_array()
                       else jsonb_build_array(
                           jsonb_build_object('class', r.failure_class,
                                              'message', coalesce(r.message, '')),
                           jsonb_build_object('class', lag(r.failure_class) over earlier,
                                              'message', coalesce(lag(r.message) over earlier, '')))
                       end) as \"facts!: Json<Facts>\"
        from mine m
        join attempts a on a.workspace_id = $1 and a.task_id = m.task_id
             and a.state in ('failed', 'expired')
        join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
        where a.ended_at < m.ended_at
        window earlier as (partition by m.task_id order by a.number)
        order by a.ended_at limit $8";

    silences -> Moment(): "
        select m.task_id as \"task_id?: TaskId\", m.goal_id as \"goal_id!: GoalId\",
               coalesce(p.progressed_at, p.updated_at, a.started_at) as \"at?\",
               coalesce(a.ended_at, $7) as \"judged_at!\",
               jsonb_build_object('progressed_at',
                   coalesce(p.progressed_at, p.updated_at, a.started_at)) as \"facts!: Json<Facts>\"
        from mine m
        join attempts a on a.workspace_id = $1 and a.task_id = m.task_id
        left join attempt_progress p on p.workspace_id = $1 and p.attempt_id = a.attempt_id
        order by a.started_at limit $8";

    costs -> Moment(): "
        select m.task_id as \"task_id?: TaskId\", m.goal_id as \"goal_id!: GoalId\",
               c.recorded_at as \"at?\", c.recorded_at as \"judged_at!\",
               jsonb_build_object('used', jsonb_build_object(c.unit, c.used),
                   'estimates', jsonb_build_object(c.unit, c.estimate)) as \"facts!: Json<Facts>\"
        from mine m
        join task_texts x on x.workspace_id = $1 and x.task_id = m.task_id
             and x.estimate is not null
        cross join lateral (
            select e.unit, e.recorded_at, x.estimate -> e.unit as estimate,
                   least(sum(e.amount) over earlier + trunc(sum(e.fraction) over earlier / 1000000.0),
                         9223372036854775807)::bigint as used
            from attempts a
            join spend_entries e on e.workspace_id = $1 and e.attempt_id = a.attempt_id
            where a.workspace_id = $1 and a.task_id = m.task_id and x.estimate ? e.unit
            window earlier as (partition by e.unit order by e.recorded_at)) c
        where c.recorded_at < m.ended_at
        order by c.recorded_at limit $8";

    rejections -> Moment(&ApprovalKind::with(approval::kind::Subject::Result)): "
        select m.task_id as \"task_id?: TaskId\", m.goal_id as \"goal_id!: GoalId\",
               r.at as \"at?\", coalesce(r.at, $7) as \"judged_at!\",
               jsonb_build_object('rework', r.count) as \"facts!: Json<Facts>\"
        from mine m cross join lateral (
            select coalesce(p.decided_at, a.ended_at) as at,
                   row_number() over (order by a.number) as count
            from attempts a
            left join approvals p on p.workspace_id = $1 and p.task_id = m.task_id
                 and p.attempt_id = a.attempt_id and p.kind = any($9::text[])
                 and p.state = 'rejected'
            where a.workspace_id = $1 and a.task_id = m.task_id and a.state = 'rejected') r
        where r.at < m.ended_at
        order by r.at limit $8";

    subtasks -> Moment(): "
        select m.task_id as \"task_id?: TaskId\", m.goal_id as \"goal_id!: GoalId\",
               c.created_at as \"at?\", c.created_at as \"judged_at!\",
               jsonb_build_object('subtasks', c.count) as \"facts!: Json<Facts>\"
        from mine m cross join lateral (
            select created_at, sum(count(*)) over (order by created_at) as count
            from tasks where workspace_id = $1 and parent_id = m.task_id
            group by created_at) c
        where c.created_at < m.ended_at and c.created_at < $7
        order by c.created_at limit $8";

    requirements -> Moment(): "
        select m.task_id as \"task_id?: TaskId\", m.goal_id as \"goal_id!: GoalId\",
               a.at as \"at?\", coalesce(a.at, $7) as \"judged_at!\",
               jsonb_build_object('capabilities', s.capabilities) as \"facts!: Json<Facts>\"
        from mine m
        join tasks t on t.workspace_id = $1 and t.task_id = m.task_id
        join capability_sets s on s.workspace_id = $1 and s.capability_key = t.capability_key
        cross join lateral (
            select min(started_at) as at from attempts
            where workspace_id = $1 and task_id = m.task_id and attempt_id >= $2) a
        where s.capabilities <> '{}'
        order by a.at limit $8";

    loops -> Moment(): "
        select m.task_id as \"task_id?: TaskId\", m.goal_id as \"goal_id!: GoalId\",
               l.found_at as \"at?\", l.found_at as \"judged_at!\",
               jsonb_build_object('loops', jsonb_build_array(l.pattern), 'loops_found', 1)
                   as \"facts!: Json<Facts>\"
        from mine m
        join attempt_loops l on l.workspace_id = $1 and l.task_id = m.task_id
        where l.found_at < m.ended_at
        order by l.found_at limit $8";

    task_shares -> Moment(): "
        select m.task_id as \"task_id?: TaskId\", m.goal_id as \"goal_id!: GoalId\",
               null::timestamptz as \"at?\", coalesce(w.ends_at, $7) as \"judged_at!\",
               jsonb_build_object('shares', jsonb_build_array(jsonb_build_object(
                   'unit', l.unit, 'limit', w.amount, 'used',
                              least(w.settled + ceil(w.fraction / 1000000.0), 9223372036854775807)::bigint,
                   'starts_at', w.starts_at))) as \"facts!: Json<Facts>\"
        from mine m
        join budget_limits l on l.workspace_id = $1 and l.node = 'task' and l.node_id = m.task_id
             and l.removed_at is null
        join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
             and w.starts_at < $7
        limit $8";

    goal_shares -> Moment(): "
        select null::uuid as \"task_id?: TaskId\", m.goal_id as \"goal_id!: GoalId\",
               null::timestamptz as \"at?\", coalesce(w.ends_at, $7) as \"judged_at!\",
               jsonb_build_object('shares', jsonb_build_array(jsonb_build_object(
                   'unit', l.unit, 'limit', w.amount, 'used',
                              least(w.settled + ceil(w.fraction / 1000000.0), 9223372036854775807)::bigint,
                   'starts_at', w.starts_at))) as \"facts!: Json<Facts>\"
        from goals_mine m
        join budget_limits l on l.workspace_id = $1 and l.node = 'goal' and l.node_id = m.goal_id
             and l.removed_at is null
        join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
             and w.starts_at < $7
        limit $8";

    deadlines -> Moment(): "
        select null::uuid as \"task_id?: TaskId\", m.goal_id as \"goal_id!: GoalId\",
               null::timestamptz as \"at?\",
               -- A goal that has ended was open until just before.
               coalesce(g.ended_at - interval '1 us', $7) as \"judged_at!\",
               jsonb_build_object('due', g.deadline) as \"facts!: Json<Facts>\"
        from goals_mine m
        join goals g on g.workspace_id = $1 and g.goal_id = m.goal_id and g.deadline is not null
        limit $8";
}

/// Size of the covered history.
pub async fn looked_at(tx: &mut Tx, past: Past<'_>) -> sqlx::Result<Size> {
    Ok(size(tx, past).await?.pop().unwrap_or(Size { tasks: 0, goals: 0, attempts: 0 }))
}

/// The moments at which the facts of a condition changed.
pub async fn moments(tx: &mut Tx, past: Past<'_>, when: &When) -> sqlx::Result<Vec<Moment>> {
    match (when.condition(), when.subject()) {
        (Condition::BudgetUsed, Subject::Task) => task_shares(tx, past).await,
        (Condition::BudgetUsed, Subject::Goal) => goal_shares(tx, past).await,
        (Condition::Failures | Condition::SameFailure, _) => failures(tx, past).await,
        (Condition::NoProgress, _) => silences(tx, past).await,
        (Condition::DeadlineSlack, _) => deadlines(tx, past).await,
        (Condition::CostOverEstimate, _) => costs(tx, past).await,
        (Condition::ReworkOver, _) => rejections(tx, past).await,
        (Condition::SubtasksOver, _) => subtasks(tx, past).await,
        (Condition::RiskyCapability, _) => requirements(tx, past).await,
        (Condition::Looping, _) => loops(tx, past).await,
    }
}
