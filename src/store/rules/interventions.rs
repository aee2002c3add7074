//! Interventions of rules, and how they are closed.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    domain::{
        ids::{ApprovalId, AttemptId, FreezeId, GoalId, InterventionId, RuleId, TaskId},
        rule::{Action, Closing, Condition, Subject},
    },
    store::{Tx, columns::uuids, traced},
};

/// An intervention to be stored.
#[derive(Debug, Clone)]
pub struct NewIntervention<'a> {
    /// Its id.
    pub intervention_id: InterventionId,
    /// The rule.
    pub rule_id: RuleId,
    /// Version of the rule.
    pub rule_version: i32,
    /// Kind of the subject.
    pub subject: Subject,
    /// The goal.
    pub goal_id: GoalId,
    /// The task, for a rule about tasks.
    pub task_id: Option<TaskId>,
    /// The running attempt.
    pub attempt_id: Option<AttemptId>,
    /// The condition that holds.
    pub condition: Condition,
    /// The action taken.
    pub action: Action,
    /// Findings, for people.
    pub detail: &'a str,
    /// Measured value, in the unit of the condition.
    pub measure: i64,
}

/// Opens an intervention; returns `false` if the rule has an open one on the same subject.
pub async fn open(tx: &mut Tx, new: &NewIntervention<'_>) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into interventions (workspace_id, intervention_id, rule_id, rule_version, subject,
             subject_id, goal_id, task_id, attempt_id, condition, action, detail, measure, opened_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         on conflict (workspace_id, rule_id, subject_id) where closed_at is null do nothing",
        tx.workspace.0,
        new.intervention_id.0,
        new.rule_id.0,
        new.rule_version,
        new.subject.as_str(),
        new.task_id.map_or(new.goal_id.0, |task| task.0),
        new.goal_id.0,
        new.task_id.map(|id| id.0),
        new.attempt_id.map(|id| id.0),
        new.condition.as_str(),
        new.action.as_str(),
        new.detail,
        new.measure,
        tx.now,
    )
    .execute(traced!(tx, "rules.interventions.open"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Stores the approval or freeze created by an intervention.
pub async fn note(
    tx: &mut Tx,
    intervention: InterventionId,
    approval: Option<ApprovalId>,
    freeze: Option<FreezeId>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update interventions set approval_id = $3, freeze_id = $4
         where workspace_id = $1 and intervention_id = $2",
        tx.workspace.0,
        intervention.0,
        approval.map(|id| id.0),
        freeze.map(|id| id.0),
    )
    .execute(traced!(tx, "rules.interventions.note"))
    .await?;
    Ok(())
}

/// Time, closing and measure of a rule's latest closed intervention on a subject. The caller has
/// locked the subject.
pub async fn last_closed(
    tx: &mut Tx,
    rule: RuleId,
    subject: Uuid,
) -> sqlx::Result<Option<(DateTime<Utc>, Closing, i64)>> {
    let row = sqlx::query!(
        r#"select closed_at as "closed_at!", closing as "closing!: Closing", measure
           from interventions
           where workspace_id = $1 and rule_id = $2 and subject_id = $3 and closed_at is not null
           order by intervention_id desc limit 1"#,
        tx.workspace.0,
        rule.0,
        subject,
    )
    .fetch_optional(traced!(tx, "rules.interventions.last_closed"))
    .await?;
    Ok(row.map(|row| (row.closed_at, row.closing, row.measure)))
}

/// An open intervention and the state of its effects.
#[derive(Debug, Clone)]
pub struct OpenRow {
    /// The intervention.
    pub intervention_id: InterventionId,
    /// The rule.
    pub rule_id: RuleId,
    /// The rule's current condition, JSON.
    pub condition_is: serde_json::Value,
    /// Whether the rule is enabled.
    pub enabled: bool,
    /// The action taken.
    pub action: Action,
    /// Kind of the subject.
    pub subject: Subject,
    /// The goal.
    pub goal_id: GoalId,
    /// The task, for a rule about tasks.
    pub task_id: Option<TaskId>,
    /// Whether the task or goal has ended.
    pub ended: bool,
    /// Its approval, while pending.
    pub asks: Option<ApprovalId>,
    /// Whether its approval was cancelled.
    pub withdrawn: bool,
    /// Whether its freeze was lifted.
    pub lifted: bool,
}

/// Open interventions, oldest first.
pub async fn open_ones(
    tx: &mut Tx,
    after: Option<InterventionId>,
    most: i64,
) -> sqlx::Result<Vec<OpenRow>> {
    sqlx::query_as!(
        OpenRow,
        r#"
        select i.intervention_id as "intervention_id: InterventionId",
               i.rule_id as "rule_id: RuleId", r.condition_is, r.enabled,
               i.action as "action: Action", i.subject as "subject: Subject",
               i.goal_id as "goal_id: GoalId", i.task_id as "task_id: TaskId",
               coalesce(t.ended_at, g.ended_at) is not null as "ended!",
               case when a.state = 'pending' then a.approval_id end as "asks: ApprovalId",
               coalesce(a.state in ('cancelled', 'expired'), false) as "withdrawn!",
               f.lifted_at is not null as "lifted!"
        from interventions i
        join rules r on r.workspace_id = $1 and r.rule_id = i.rule_id
        join goals g on g.workspace_id = $1 and g.goal_id = i.goal_id
        left join tasks t on t.workspace_id = $1 and t.task_id = i.task_id
        left join approvals a on a.workspace_id = $1 and a.approval_id = i.approval_id
        left join freezes f on f.workspace_id = $1 and f.freeze_id = i.freeze_id
        where i.workspace_id = $1 and i.closed_at is null
          and ($2::uuid is null or i.intervention_id > $2)
        order by i.intervention_id limit $3
        "#,
        tx.workspace.0,
        after.map(|id| id.0),
        most,
    )
    .fetch_all(traced!(tx, "rules.interventions.open_ones"))
    .await
}

/// An intervention just closed.
#[derive(Debug, Clone, Copy)]
pub struct ClosedRow {
    /// The intervention.
    pub intervention_id: InterventionId,
    /// The rule.
    pub rule_id: RuleId,
    /// The goal.
    pub goal_id: GoalId,
    /// The task, for a rule about tasks.
    pub task_id: Option<TaskId>,
    /// How it was closed.
    pub closing: Closing,
}

/// Closes those of the interventions that are open; returns them.
pub async fn close(
    tx: &mut Tx,
    closings: &[(InterventionId, Closing)],
) -> sqlx::Result<Vec<ClosedRow>> {
    let ids: Vec<InterventionId> = closings.iter().map(|(id, _)| *id).collect();
    let words: Vec<&str> = closings.iter().map(|(_, closing)| closing.as_str()).collect();
    sqlx::query_as!(
        ClosedRow,
        r#"
        with mine as materialized (
            select i.intervention_id, c.closing
            from unnest($3::uuid[], $4::text[]) as c (intervention_id, closing)
            join interventions i on i.workspace_id = $1 and i.intervention_id = c.intervention_id
            where i.closed_at is null
            order by i.intervention_id for no key update of i
        )
        update interventions i set closed_at = greatest($2, i.opened_at), closing = m.closing
        from mine m
        where i.workspace_id = $1 and i.intervention_id = m.intervention_id and i.closed_at is null
        returning i.intervention_id as "intervention_id: InterventionId",
                  i.rule_id as "rule_id: RuleId", i.goal_id as "goal_id: GoalId",
                  i.task_id as "task_id: TaskId", i.closing as "closing!: Closing"
        "#,
        tx.workspace.0,
        tx.now,
        &uuids(&ids),
        &words as &[&str],
    )
    .fetch_all(traced!(tx, "rules.interventions.close"))
    .await
}

/// The intervention behind an approval.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The intervention.
    pub intervention_id: InterventionId,
    /// The task, for a rule about tasks.
    pub task_id: Option<TaskId>,
}

/// The intervention that created the approval; `None` if no rule did.
pub async fn that_asked(tx: &mut Tx, approval: ApprovalId) -> sqlx::Result<Option<Asked>> {
    sqlx::query_as!(
        Asked,
        r#"select intervention_id as "intervention_id: InterventionId", task_id as "task_id: TaskId"
           from interventions where workspace_id = $1 and approval_id = $2"#,
        tx.workspace.0,
        approval.0,
    )
    .fetch_optional(traced!(tx, "rules.interventions.that_asked"))
    .await
}

/// Running tasks of a goal, without containers; at most `most`.
pub async fn worked_on(tx: &mut Tx, goal: GoalId, most: i64) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"select task_id as "task_id: TaskId" from tasks
           where workspace_id = $1 and goal_id = $2 and state = 'running' and not container
           order by position, task_id limit $3"#,
        tx.workspace.0,
        goal.0,
        most,
    )
    .fetch_all(traced!(tx, "rules.interventions.worked_on"))
    .await
}
