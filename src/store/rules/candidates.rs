//! Candidates of a rule: found without locks, checked again under locks.
//!
//! Each condition has a query that starts from few rows: running tasks, tried tasks, tasks with
//! subtasks. A common wrapper omits tasks and goals outside of the rule's scope, with an open
//! intervention of the rule, or within its cooldown.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{
    domain::{
        ids::{GoalId, RuleId, TaskId, WorkspaceId},
        rule::{Closing, Scope, Subject, When},
    },
    store::{Tx, columns::words, traced},
};

/// The parts of a rule that the search needs.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The rule.
    pub rule: RuleId,
    /// The scope of the rule.
    pub scope: &'a Scope,
    /// Start of the cooldown: omits subjects with an intervention closed later.
    pub closed_before: DateTime<Utc>,
    /// The current time.
    pub now: DateTime<Utc>,
}

/// A task or goal that may meet a rule's condition.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Id of the task or goal.
    pub subject_id: Uuid,
    /// The goal itself, or the goal of the task.
    pub goal_id: GoalId,
    /// How the rule's last intervention on it was closed.
    pub closing: Option<Closing>,
    /// Measure of the last intervention.
    pub measure: Option<i64>,
}

impl Candidate {
    /// The subject as a task; only for rules about tasks.
    #[must_use]
    pub fn task(&self) -> TaskId {
        TaskId(self.subject_id)
    }
}

/// Most candidates of one search. Those without an earlier intervention of the rule come first.
const MOST: i64 = 1_000;
/// Most goals per search for which the critical path is computed; earliest deadlines first.
const PATHS: i64 = 100;

/// Turns `name(arguments): query;` into a search for tasks. The query selects task ids; `$1` is the
/// workspace, `$8` the current time, `$9` and on are the arguments.
macro_rules! of_tasks {
    ($($name:ident ($($argument:ident : $type:ty),*) : $query:tt;)+) => {$(
        async fn $name(
            tx: &mut Tx,
            search: Search<'_>,
            $($argument: $type),*
        ) -> sqlx::Result<Vec<Candidate>> {
            sqlx::query_as!(
                Candidate,
                "with candidate (task_id) as (" + $query + ")
                 select t.task_id as \"subject_id!\", t.goal_id as \"goal_id!: GoalId\",
                        last.closing as \"closing?: Closing\", last.measure as \"measure?\"
                 from (select distinct task_id from candidate, (select $8::timestamptz) as moment) c
                 join tasks t on t.workspace_id = $1 and t.task_id = c.task_id
                 left join lateral (
                     select i.closed_at, i.closing, i.measure from interventions i
                     where i.workspace_id = $1 and i.rule_id = $2 and i.subject_id = t.task_id
                     order by i.intervention_id desc limit 1) last on true
                 where t.ended_at is null and not t.container and t.cancel_requested_at is null
                   and not exists (select from interventions i where i.workspace_id = $1
                       and i.rule_id = $2 and i.subject_id = t.task_id and i.closed_at is null)
                   and (last.closed_at is null or last.closed_at <= $3)
                   and ($4::uuid is null or exists (select from goals g where g.workspace_id = $1
                       and g.goal_id = t.goal_id and g.project_id = $4))
                   and ($5::text[] = '{}' or exists (select from capability_sets s
                       where s.workspace_id = $1 and s.capability_key = t.capability_key
                         and s.capabilities && $5))
                   and exists (select from goals g where g.workspace_id = $1
                       and g.goal_id = t.goal_id and g.state = any($7))
                 order by last.closed_at is not null, t.task_id limit $6",
                search.workspace.0,
                search.rule.0,
                search.closed_before,
                search.scope.project_id.map(|id| id.0),
                &search.scope.capabilities,
                MOST,
                &["active", "verifying"] as &[&str],
                search.now,
                $($argument),*
            )
            .fetch_all(traced!(tx, "rules.candidates"))
            .await
        }
    )+};
}

of_tasks! {
    budget_of_tasks(percent: i64, unit: Option<&str>): "
        select t.task_id from tasks t
        join budget_limits l on l.workspace_id = $1 and l.node = 'task' and l.node_id = t.task_id
             and l.removed_at is null
        join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
             and w.starts_at <= $8 and (w.ends_at is null or w.ends_at > $8)
        where t.workspace_id = $1 and t.state = 'running' and (w.settled > 0 or w.fraction > 0)
          and (w.settled + ceil(w.fraction / 1000000.0)) * 100 >= w.amount::numeric * $9::bigint
          and ($10::text is null or l.unit = $10)";

    failures(count: i64): "
        select task_id from tasks
        where workspace_id = $1 and attempts_started > 0 and state in ('waiting', 'ready')
          and attempts_used >= $9::bigint
        union all
        select task_id from tasks
        where workspace_id = $1 and state = 'running' and attempts_used >= $9";

    no_progress(seconds: i64): "
        select a.task_id from attempts a
        left join attempt_progress p on p.workspace_id = $1 and p.attempt_id = a.attempt_id
        where a.workspace_id = $1 and a.state = 'running'
          and coalesce(p.progressed_at, p.updated_at, a.started_at) <= $8::timestamptz - $9::bigint * interval '1 s'";

    cost_over_estimate(percent: i64, unit: Option<&str>): "
        select t.task_id from tasks t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        where t.workspace_id = $1 and t.state = 'running' and x.estimate is not null and exists (
            select from jsonb_each(x.estimate) e
            join task_spend s on s.workspace_id = $1 and s.task_id = t.task_id and s.unit = e.key
            where ($10::text is null or e.key = $10)
              and s.amount::numeric * 100
                  > coalesce(e.value ->> 'want', e.value #>> '{}')::numeric * $9::bigint)";

    rework_over(count: i64): "
        select t.task_id from (
            select task_id from tasks
            where workspace_id = $1 and attempts_started > 0 and state in ('waiting', 'ready')
              and attempts_started > $9::bigint
            union all
            select task_id from tasks
            where workspace_id = $1 and state = 'running' and attempts_started > $9) t
        where (select count(*) from attempts a where a.workspace_id = $1 and a.task_id = t.task_id
               and a.state = 'rejected') > $9";

    subtasks_over(count: i64): "
        select t.task_id from tasks t
        where t.workspace_id = $1 and t.state = 'parked' and t.children_open > 0
          and (select count(*) from tasks c where c.workspace_id = $1 and c.parent_id = t.task_id)
              > $9::bigint";

    risky_capability(capabilities: &[String]): "
        select t.task_id from capability_sets s
        join tasks t on t.workspace_id = $1 and t.capability_key = s.capability_key
             and t.state = 'ready'
        where s.workspace_id = $1 and s.capabilities && $9::text[]
        union all
        select t.task_id from tasks t
        join capability_sets s on s.workspace_id = $1 and s.capability_key = t.capability_key
        where t.workspace_id = $1 and t.state = 'running' and s.capabilities && $9";

    looping(patterns: &[String]): "
        select l.task_id from attempt_loops l
        join attempts a on a.workspace_id = $1 and a.attempt_id = l.attempt_id
             and a.state = 'running'
        where l.workspace_id = $1 and l.left_at is null
          and ($9::text[] = '{}' or l.pattern = any($9))";
}

/// Turns `name(arguments): query;` into a search for goals, like [`of_tasks`]. The query selects
/// goal ids and a sort key; `$5` is the current time, `$7` and on are the arguments.
macro_rules! of_goals {
    ($($name:ident ($most:expr; $($argument:ident : $type:ty),*) : $query:tt;)+) => {$(
        async fn $name(
            tx: &mut Tx,
            search: Search<'_>,
            $($argument: $type),*
        ) -> sqlx::Result<Vec<Candidate>> {
            sqlx::query_as!(
                Candidate,
                "with candidate (goal_id, first) as (" + $query + ")
                 select g.goal_id as \"subject_id!\", g.goal_id as \"goal_id!: GoalId\",
                        last.closing as \"closing?: Closing\", last.measure as \"measure?\"
                 from (select goal_id, min(first) as first
                       from candidate, (select $5::timestamptz) as moment group by goal_id) c
                 join goals g on g.workspace_id = $1 and g.goal_id = c.goal_id
                 left join lateral (
                     select i.closed_at, i.closing, i.measure from interventions i
                     where i.workspace_id = $1 and i.rule_id = $2 and i.subject_id = g.goal_id
                     order by i.intervention_id desc limit 1) last on true
                 where g.state in ('active', 'verifying')
                   and not exists (select from interventions i where i.workspace_id = $1
                       and i.rule_id = $2 and i.subject_id = g.goal_id and i.closed_at is null)
                   and (last.closed_at is null or last.closed_at <= $3)
                   and ($4::uuid is null or g.project_id = $4)
                 order by last.closed_at is not null, c.first, g.goal_id limit $6",
                search.workspace.0,
                search.rule.0,
                search.closed_before,
                search.scope.project_id.map(|id| id.0),
                search.now,
                $most,
                $($argument),*
            )
            .fetch_all(traced!(tx, "rules.candidates"))
            .await
        }
    )+};
}

of_goals! {
    budget_of_goals(MOST; percent: i64, unit: Option<&str>): "
        select g.goal_id, g.created_at from goals g
        join budget_limits l on l.workspace_id = $1 and l.node = 'goal' and l.node_id = g.goal_id
             and l.removed_at is null
        join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
             and w.starts_at <= $5 and (w.ends_at is null or w.ends_at > $5)
        where g.workspace_id = $1 and g.state in ('active', 'verifying') and (w.settled > 0 or w.fraction > 0)
          and (w.settled + ceil(w.fraction / 1000000.0)) * 100 >= w.amount::numeric * $7::bigint
          and ($8::text is null or l.unit = $8)";

    deadline_slack(PATHS;): "
        select goal_id, deadline from goals
        where workspace_id = $1 and state in ('active', 'verifying') and deadline is not null";
}

/// Finds the candidates of a condition.
pub async fn find(tx: &mut Tx, search: Search<'_>, when: &When) -> sqlx::Result<Vec<Candidate>> {
    match when {
        When::BudgetUsed { of: Subject::Task, percent, unit } => {
            budget_of_tasks(tx, search, *percent, unit.as_deref()).await
        }
        When::BudgetUsed { of: Subject::Goal, percent, unit } => {
            budget_of_goals(tx, search, *percent, unit.as_deref()).await
        }
        When::Failures { count } => failures(tx, search, *count).await,
        // Two equal failures require two failures.
        When::SameFailure {} => failures(tx, search, 2).await,
        When::NoProgress { seconds } => no_progress(tx, search, *seconds).await,
        When::DeadlineSlack { below_seconds: _ } => deadline_slack(tx, search).await,
        When::CostOverEstimate { percent, unit } => {
            cost_over_estimate(tx, search, *percent, unit.as_deref()).await
        }
        When::ReworkOver { count } => rework_over(tx, search, *count).await,
        When::SubtasksOver { count } => subtasks_over(tx, search, *count).await,
        When::RiskyCapability { capabilities } => risky_capability(tx, search, capabilities).await,
        When::Looping { patterns } => looping(tx, search, &words(patterns)).await,
    }
}

/// Start of the cooldown: interventions closed later than this keep the rule silent.
#[must_use]
pub fn closed_before(now: DateTime<Utc>, cooldown_ms: i64) -> DateTime<Utc> {
    now - TimeDelta::milliseconds(cooldown_ms)
}
