//! Interventions as returned by the API.

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        ids::{ApprovalId, AttemptId, FreezeId, GoalId, InterventionId, RuleId, TaskId},
        rule::{Action, Closing, Condition, Subject},
    },
    store::{Tx, traced},
};

/// An intervention.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct InterventionRow {
    pub intervention_id: InterventionId,
    pub rule_id: RuleId,
    /// The name of the rule.
    pub rule: String,
    pub rule_version: i32,
    pub subject: Subject,
    pub goal_id: GoalId,
    pub task_id: Option<TaskId>,
    pub attempt_id: Option<AttemptId>,
    pub condition: Condition,
    pub detail: String,
    pub action: Action,
    pub approval_id: Option<ApprovalId>,
    pub freeze_id: Option<FreezeId>,
    pub opened_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
    pub closing: Option<Closing>,
}

/// Filter of [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct InterventionFilter {
    /// Only this one.
    pub intervention: Option<InterventionId>,
    /// Only of this rule.
    pub rule: Option<RuleId>,
    /// Only about this goal and its tasks.
    pub goal: Option<GoalId>,
    /// Only about this task.
    pub task: Option<TaskId>,
    /// Only open ones, or only closed ones.
    pub open: Option<bool>,
}

/// Lists interventions after `after`, newest first (by id, descending).
pub async fn list(
    tx: &mut Tx,
    filter: InterventionFilter,
    after: Option<InterventionId>,
    rows: i64,
) -> sqlx::Result<Vec<InterventionRow>> {
    sqlx::query_as!(
        InterventionRow,
        r#"
        select i.intervention_id as "intervention_id: InterventionId",
               i.rule_id as "rule_id: RuleId", r.name as rule, i.rule_version,
               i.subject as "subject: Subject", i.goal_id as "goal_id: GoalId",
               i.task_id as "task_id: TaskId", i.attempt_id as "attempt_id: AttemptId",
               i.condition as "condition: Condition", i.detail, i.action as "action: Action",
               i.approval_id as "approval_id: ApprovalId", i.freeze_id as "freeze_id: FreezeId",
               i.opened_at, i.closed_at, i.closing as "closing: Closing"
        from interventions i
        join rules r on r.workspace_id = $1 and r.rule_id = i.rule_id
        where i.workspace_id = $1
          and ($2::uuid is null or i.intervention_id = $2)
          and ($3::uuid is null or i.rule_id = $3)
          and ($4::uuid is null or i.goal_id = $4)
          and ($5::uuid is null or i.task_id = $5)
          and ($6::bool is null or (i.closed_at is null) = $6)
          and ($7::uuid is null or i.intervention_id < $7)
        order by i.intervention_id desc
        limit $8
        "#,
        tx.workspace.0,
        filter.intervention.map(|id| id.0),
        filter.rule.map(|id| id.0),
        filter.goal.map(|id| id.0),
        filter.task.map(|id| id.0),
        filter.open,
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "rules.intervention_read.list"))
    .await
}
