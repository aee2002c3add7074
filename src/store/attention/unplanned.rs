//! Planning goals for which no planner is left.

use chrono::{DateTime, Utc};

use super::Scope;
use crate::{
    domain::{attention::COUNTED, ids::GoalId, plan::new_goal::PlannerChoice},
    store::{Tx, traced},
};

/// A planning goal without a planner that has its turn.
#[derive(Debug)]
pub struct UnplannedGoal {
    /// The goal.
    pub goal_id: GoalId,
    /// Title, one line.
    pub title: String,
    /// Target time for the end of its tasks.
    pub deadline: Option<DateTime<Utc>>,
    /// Time at which the last planner failed.
    pub since: DateTime<Utc>,
    /// The planners of its last chain, in their order.
    pub planners: Vec<PlannerChoice>,
    /// The last of them.
    pub planner: Option<PlannerChoice>,
    /// The beginning of what that one said.
    pub error: Option<String>,
    /// The beginning of the first finding in its plan.
    pub finding: Option<String>,
}

/// Planning goals without a planner that has its turn, each with what was said last. Examines the first [`COUNTED`]
/// goals, by id.
pub async fn unplanned_goals(tx: &mut Tx, scope: Scope<'_>) -> sqlx::Result<Vec<UnplannedGoal>> {
    sqlx::query_as!(
        UnplannedGoal,
        r#"
        select g.goal_id as "goal_id: GoalId", g.title, g.deadline,
               coalesce(r.ended_at, g.updated_at) as "since!",
               array(select c.planner from planning_runs c
                     where c.workspace_id = $1 and c.goal_id = g.goal_id and c.created_at = r.created_at
                     order by c.ordinal) as "planners!: Vec<PlannerChoice>",
               r.planner as "planner?: PlannerChoice", left(r.said ->> 'error', 500) as error,
               left(concat_ws(': ', r.said #>> '{findings,0,pointer}', r.said #>> '{findings,0,detail}'), 300)
                   as finding
        from goals g
        left join lateral (
            select planner, said, created_at, ended_at from planning_runs
            where workspace_id = $1 and goal_id = g.goal_id and state = 'failed'
            order by ordinal desc limit 1
        ) r on true
        where g.workspace_id = $1 and g.state = 'planning'
          and not exists (
              select from planning_runs l
              where l.workspace_id = $1 and l.goal_id = g.goal_id and l.state in ('waiting', 'running'))
          and ($2::uuid[] is null or g.goal_id = any($2))
        order by g.goal_id limit $3
        "#,
        tx.workspace.0,
        scope.live,
        COUNTED,
    )
    .fetch_all(traced!(tx, "attention.unplanned.unplanned_goals"))
    .await
}
