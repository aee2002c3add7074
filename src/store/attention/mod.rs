//! Everything that waits for a person, read from the live tables.
//!
//! All statements of one answer run in one read-only transaction begun by [`begin`]: they see one
//! snapshot and lock nothing. Each starts from a partial index of the waiting rows, so decided,
//! finished and unblocked work costs nothing. Approvals, quarantined tasks and failed work may be many
//! and are paged; the others are bounded by the numbers of capability sets, limits, freezes and stalled
//! goals.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{SystemTx, Tx, traced};
use crate::domain::{
    approval::{PayloadHash, Risk, kind::Subject},
    attention::{COUNTED, FAILED_SHOWN_FOR, head_starts},
    ids::{AgentId, ApprovalId, BudgetId, GoalId, LimitId, ProjectId, TaskId},
    settings,
    states::ApprovalKind,
};

mod asked;
mod capacity;
mod failed;
mod lessons;
mod oversized;
mod prices;
mod released;
mod schedules;
mod sealing;
mod stops;
mod unplanned;
mod unverified;

pub use asked::{AskedOf, asked_of};
pub use capacity::{AbleAgent, KeptTasks, ShortSet, fleet, kept, ready_capabilities, waiting_in};
pub use failed::{FailedGoal, FailedTask, failed_goals, failed_tasks};
pub use lessons::{QuarantinedLesson, quarantined_lessons};
pub use oversized::{Oversized, oversized};
pub use prices::{AwaitedModel, awaited_models};
pub use released::{ReleasedAgain, released_again};
pub use schedules::{PausedSchedule, paused_schedules};
pub use sealing::{Blocker, blockers_of_sealing, unsealed_since};
pub use stops::{
    ExhaustedLimit, FreezeWaits, RestingGoal, exhausted_limits, freezes_with_waiting, resting_goals,
};
pub use unplanned::{UnplannedGoal, unplanned_goals};
pub use unverified::{UnverifiedGoal, unverified_goals};

// The condition of the index `tasks_quarantined` contains this number.
const _: () = assert!(settings::LOST_LIMIT == 3, "the index tasks_quarantined says otherwise");

/// Makes the transaction a read-only snapshot with plans for the given arguments, and returns its
/// time. Must be its first statement.
pub async fn begin(tx: &mut SystemTx) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(traced!(tx, "attention.begin"))
        .await?;
    let row = sqlx::query!(
        r#"select transaction_timestamp() as "now!",
                  set_config('plan_cache_mode', 'force_custom_plan', true) as "plan""#
    )
    .fetch_one(traced!(tx, "attention.begin"))
    .await?;
    Ok(row.now)
}

/// Filter of the items.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// Only items of this goal.
    pub goal: Option<GoalId>,
    /// Only items of this project's goals.
    pub project: Option<ProjectId>,
    /// Ids of the filtered goals that have not ended; `None` without a filter.
    pub live: Option<&'a [Uuid]>,
}

/// Ids of the filtered goals that have not ended; `None` without a filter.
pub async fn live_goals(
    tx: &mut Tx,
    goal: Option<GoalId>,
    project: Option<ProjectId>,
) -> sqlx::Result<Option<Vec<Uuid>>> {
    if goal.is_none() && project.is_none() {
        return Ok(None);
    }
    let goals = sqlx::query_scalar!(
        "select goal_id from goals
         where workspace_id = $1 and state in ('planning', 'proposed', 'active', 'verifying')
           and ($2::uuid is null or goal_id = $2) and ($3::uuid is null or project_id = $3)
         order by goal_id",
        tx.workspace.0,
        goal.map(|id| id.0),
        project.map(|id| id.0),
    )
    .fetch_all(traced!(tx, "attention.live_goals"))
    .await?;
    Ok(Some(goals))
}

/// A pending approval.
#[derive(Debug)]
pub struct PendingApproval {
    /// The approval.
    pub approval_id: ApprovalId,
    /// Its kind.
    pub kind: ApprovalKind,
    /// Its goal.
    pub goal_id: GoalId,
    /// Its task.
    pub task_id: Option<TaskId>,
    /// The agent whose attempt asks or is reviewed.
    pub agent_id: Option<AgentId>,
    /// The limit it proposes to raise.
    pub limit_id: Option<LimitId>,
    /// The budget of that limit.
    pub budget_id: Option<BudgetId>,
    /// Title, one line.
    pub title: String,
    /// Hash of the payload; a decision must name it.
    pub payload_sha256: PayloadHash,
    /// Risk stated by the requester.
    pub risk: Risk,
    /// Time of its creation.
    pub created_at: DateTime<Utc>,
    /// Number of tasks waiting for the limit, counted up to [`COUNTED`].
    pub waiting: i64,
    /// Whether the decision must choose the next step of the task.
    pub last_round: bool,
    /// Required criteria without evidence in the reviewed result.
    pub missing: Vec<i16>,
}

/// Up to `rows` pending approvals after a position, in the order of attention.
pub async fn pending_approvals(
    tx: &mut Tx,
    scope: Scope<'_>,
    (rank, id): (DateTime<Utc>, Uuid),
    rows: i64,
) -> sqlx::Result<Vec<PendingApproval>> {
    let (risks, heads) = head_starts();
    sqlx::query_as!(
        PendingApproval,
        r#"
        select a.approval_id as "approval_id: ApprovalId", a.kind as "kind: ApprovalKind",
               a.goal_id as "goal_id: GoalId", a.task_id as "task_id: TaskId",
               (select t.agent_id from attempts t where t.workspace_id = $1
                and t.attempt_id = a.attempt_id) as "agent_id: AgentId",
               a.limit_id as "limit_id: LimitId",
               (select l.budget_id from budget_limits l where l.workspace_id = $1
                and l.limit_id = a.limit_id) as "budget_id: BudgetId",
               a.title, a.payload_sha256 as "payload_sha256: PayloadHash",
               a.risk as "risk: Risk", a.created_at,
               (select count(*) from (
                    select from tasks t where t.workspace_id = $1 and a.limit_id is not null
                    and t.short_limit_id = a.limit_id limit $9) w) as "waiting!",
               a.last_round,
               array(select c.number from criteria c
                     where a.kind = any($10::text[])
                       and c.workspace_id = $1 and c.task_id = a.task_id
                       and c.required and not exists (
                           select from evidence e where e.workspace_id = $1
                           and e.attempt_id = a.attempt_id and e.criterion = c.number
                           and (e.met or c.goal_criterion is not null or c.checks is not null)
                           and tier_rank(e.tier) >= tier_rank(c.min_tier))
                       and c.min_tier <> 'person'
                     order by c.number) as "missing!"
        from unnest($2::text[], $3::bigint[]) as r (risk, head)
        cross join lateral (
            select * from approvals a
            where a.workspace_id = $1 and a.state = 'pending' and a.risk = r.risk
              and (a.created_at, a.approval_id)
                  > ($4::timestamptz + r.head * interval '1 second', $5::uuid)
              and ($6::uuid is null or a.goal_id = $6)
              and ($7::uuid is null or exists (
                  select from goals g where g.workspace_id = $1 and g.goal_id = a.goal_id
                  and g.project_id = $7))
            order by a.created_at, a.approval_id limit $8
        ) a
        order by a.created_at - r.head * interval '1 second', a.approval_id limit $8
        "#,
        tx.workspace.0,
        &risks as &[&str],
        &heads,
        rank,
        id,
        scope.goal.map(|id| id.0),
        scope.project.map(|id| id.0),
        rows,
        COUNTED,
        &ApprovalKind::with(Subject::Result),
    )
    .fetch_all(traced!(tx, "attention.pending_approvals"))
    .await
}

/// A quarantined task that no person has acknowledged.
#[derive(Debug)]
pub struct Quarantined {
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Title, one line.
    pub title: String,
    /// The agent of the last lost lease.
    pub agent_id: Option<AgentId>,
    /// Number of consecutive lost leases.
    pub lost_in_row: i32,
    /// Time of its failure.
    pub ended_at: DateTime<Utc>,
    /// Whether its goal and its parent leave room for a retry.
    pub may_return: bool,
}

/// Up to `rows` quarantined tasks after a time and id, oldest first.
pub async fn quarantined(
    tx: &mut Tx,
    scope: Scope<'_>,
    (since, id): (DateTime<Utc>, Uuid),
    rows: i64,
) -> sqlx::Result<Vec<Quarantined>> {
    sqlx::query_as!(
        Quarantined,
        r#"
        select t.task_id as "task_id: TaskId", t.goal_id as "goal_id: GoalId", x.title,
               (select a.agent_id from attempts a where a.workspace_id = $1
                and a.attempt_id = t.current_attempt_id) as "agent_id: AgentId",
               t.lost_in_row, t.ended_at as "ended_at!",
               (g.state <> 'cancelled'
                and (p.task_id is null or (p.container and p.state <> 'cancelled')
                     or (p.state = 'parked' and p.children_open > 0))) as "may_return!"
        from (
            select * from tasks t
            where t.workspace_id = $1 and t.state = 'failed' and t.failure_class = 'lost'
              and t.lost_in_row >= 3 and t.acknowledged_at is null
              and (t.ended_at, t.task_id) > ($2, $3)
              and ($4::uuid is null or t.goal_id = $4)
              and exists (
                  select from goals g where g.workspace_id = $1 and g.goal_id = t.goal_id
                  and ($5::uuid is null or g.project_id = $5) and not g.archived
                  and not exists (
                      select from projects p
                      where p.workspace_id = $1 and p.project_id = g.project_id and p.archived))
            order by t.ended_at, t.task_id limit $6
        ) t
        join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        left join tasks p on p.workspace_id = $1 and p.task_id = t.parent_id
        order by t.ended_at, t.task_id
        "#,
        tx.workspace.0,
        since,
        id,
        scope.goal.map(|id| id.0),
        scope.project.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "attention.quarantined"))
    .await
}

/// Numbers of the items that are paged, each counted up to [`COUNTED`].
#[derive(Debug, Clone, Copy)]
pub struct PagedCounts {
    /// Pending approvals.
    pub approvals: i64,
    /// Quarantined tasks that no person has acknowledged.
    pub quarantined: i64,
    /// Items of [`failed_goals`].
    pub failed_goals: i64,
    /// Items of [`failed_tasks`].
    pub failed_tasks: i64,
}

/// Counts the items that are paged.
pub async fn counts(tx: &mut Tx, scope: Scope<'_>) -> sqlx::Result<PagedCounts> {
    sqlx::query_as!(
        PagedCounts,
        r#"
        select (select count(*) from (
                    select from approvals a
                    where a.workspace_id = $1 and a.state = 'pending'
                      and ($2::uuid is null or a.goal_id = $2)
                      and ($3::uuid is null or exists (
                          select from goals g where g.workspace_id = $1
                          and g.goal_id = a.goal_id and g.project_id = $3))
                    limit $4) a) as "approvals!",
               (select count(*) from (
                    select from tasks t
                    where t.workspace_id = $1 and t.state = 'failed' and t.failure_class = 'lost'
                      and t.lost_in_row >= 3 and t.acknowledged_at is null
                      and ($2::uuid is null or t.goal_id = $2)
                      and exists (
                          select from goals g where g.workspace_id = $1 and g.goal_id = t.goal_id
                          and ($3::uuid is null or g.project_id = $3) and not g.archived
                          and not exists (
                              select from projects p where p.workspace_id = $1
                              and p.project_id = g.project_id and p.archived))
                    limit $4) t) as "quarantined!",
               (select count(*) from (
                    select from goals g
                    where g.workspace_id = $1 and g.state = 'failed' and g.acknowledged_at is null
                      and g.ended_at > $5
                      and ($2::uuid is null or g.goal_id = $2)
                      and ($3::uuid is null or g.project_id = $3)
                      and not g.archived and not exists (
                          select from projects p where p.workspace_id = $1
                          and p.project_id = g.project_id and p.archived)
                      and exists (
                          select from tasks t
                          where t.workspace_id = $1 and t.goal_id = g.goal_id and t.state = 'failed'
                            and not t.container and t.purpose is distinct from 'plan'
                            and not (t.failure_class = 'lost' and t.lost_in_row >= 3
                                     and t.acknowledged_at is null))
                    limit $4) g) as "failed_goals!",
               (select count(*) from (
                    select from goals g
                    join tasks t on t.workspace_id = $1 and t.goal_id = g.goal_id
                         and t.state = 'failed' and t.acknowledged_at is null and not t.container
                         and t.purpose is null
                         and not (t.failure_class = 'lost' and t.lost_in_row >= 3)
                    left join tasks p on p.workspace_id = $1 and p.task_id = t.parent_id
                    where g.workspace_id = $1 and g.state = 'active' and g.tasks_failed > 0
                      and ($2::uuid is null or g.goal_id = $2)
                      and ($3::uuid is null or g.project_id = $3)
                      and (p.task_id is null or (p.container and p.state <> 'cancelled')
                           or (p.state = 'parked' and p.children_open > 0))
                    limit $4) t) as "failed_tasks!"
        "#,
        tx.workspace.0,
        scope.goal.map(|id| id.0),
        scope.project.map(|id| id.0),
        COUNTED,
        tx.now - FAILED_SHOWN_FOR,
    )
    .fetch_one(traced!(tx, "attention.counts"))
    .await
}
