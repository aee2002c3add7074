//! Models without a price, and the tasks that wait for it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Scope;
use crate::{
    domain::{
        attention::COUNTED,
        ids::{GoalId, TaskId},
    },
    store::{Tx, traced},
};

/// A model whose price tasks wait for, or what ended tasks spent.
#[derive(Debug)]
pub struct AwaitedModel {
    /// An id derived from the provider and the model.
    pub id: Uuid,
    /// The called provider, if agents stated it.
    pub provider: Option<String>,
    /// The model.
    pub model: String,
    /// Number of waiting tasks.
    pub waiting: i64,
    /// Number of ended tasks whose spend waits.
    pub ended: i64,
    /// When the first of them began to wait.
    pub since: DateTime<Utc>,
    /// The first task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
}

/// The models whose prices tasks or their spend wait for, at most [`COUNTED`].
pub async fn awaited_models(tx: &mut Tx, scope: Scope<'_>) -> sqlx::Result<Vec<AwaitedModel>> {
    sqlx::query_as!(
        AwaitedModel,
        r#"
        select md5(w.provider || '/' || w.model)::uuid as "id!", nullif(w.provider, '') as provider,
               w.model, min(w.noted_at) as "since!",
               least(count(*) filter (where t.ended_at is null), $4) as "waiting!",
               least(count(*) filter (where t.ended_at is not null), $4) as "ended!",
               (array_agg(w.task_id order by w.noted_at, w.task_id))[1] as "task_id!: TaskId",
               (array_agg(t.goal_id order by w.noted_at, w.task_id))[1] as "goal_id!: GoalId"
        from price_waits w
        join tasks t on t.workspace_id = $1 and t.task_id = w.task_id
        where w.workspace_id = $1
          and ($2::uuid is null or t.goal_id = $2)
          and ($3::uuid is null or exists (
              select from goals g where g.workspace_id = $1 and g.goal_id = t.goal_id
              and g.project_id = $3))
        group by w.provider, w.model
        order by min(w.noted_at), w.provider, w.model limit $4
        "#,
        tx.workspace.0,
        scope.goal.map(|id| id.0),
        scope.project.map(|id| id.0),
        COUNTED,
    )
    .fetch_all(traced!(tx, "attention.awaited_models"))
    .await
}
