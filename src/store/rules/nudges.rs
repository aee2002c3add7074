//! Nudges: hints stored until the holder of a task reads them.

use std::collections::HashMap;

use uuid::Uuid;

use crate::{
    domain::ids::{AttemptId, NudgeId, RuleId, TaskId},
    store::{Tx, traced},
};

/// A nudge to be stored.
#[derive(Debug, Clone)]
pub struct NewNudge<'a> {
    /// Its id.
    pub nudge_id: NudgeId,
    /// The task; its holder receives the nudge.
    pub task_id: TaskId,
    /// The rule that created it.
    pub rule_id: RuleId,
    /// Text for the agent.
    pub text: &'a str,
}

/// Stores nudges.
pub async fn insert(tx: &mut Tx, nudges: &[NewNudge<'_>]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &nudges.iter().map($of).collect::<Vec<_>>()
        };
    }
    let texts: Vec<&str> = nudges.iter().map(|nudge| nudge.text).collect();
    sqlx::query!(
        "insert into nudges (workspace_id, created_at, nudge_id, task_id, rule_id, text)
         select $1, $2, n.* from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[]) as n",
        tx.workspace.0,
        tx.now,
        column!(|n| n.nudge_id.0),
        column!(|n| n.task_id.0),
        column!(|n| n.rule_id.0),
        &texts as &[&str],
    )
    .execute(traced!(tx, "rules.nudges.insert"))
    .await?;
    Ok(())
}

/// A delivered nudge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredNudge {
    /// The rule that created it.
    pub rule_id: RuleId,
    /// Text for the agent.
    pub text: String,
}

/// Delivers the pending nudges of tasks to their attempts, each `(attempt, task)`; each nudge once,
/// oldest first.
pub async fn deliver(
    tx: &mut Tx,
    attempts: &[(AttemptId, TaskId)],
) -> sqlx::Result<HashMap<AttemptId, Vec<DeliveredNudge>>> {
    let ids: Vec<Uuid> = attempts.iter().map(|(attempt, _)| attempt.0).collect();
    let tasks: Vec<Uuid> = attempts.iter().map(|(_, task)| task.0).collect();
    let rows = sqlx::query!(
        r#"
        with mine as materialized (
            select n.nudge_id, a.attempt_id
            from unnest($3::uuid[], $4::uuid[]) as a (attempt_id, task_id)
            join nudges n on n.workspace_id = $1 and n.task_id = a.task_id and n.closed_at is null
            order by n.nudge_id for no key update of n
        ), told as (
            update nudges n set told_to = m.attempt_id, closed_at = $2
            from mine m where n.workspace_id = $1 and n.nudge_id = m.nudge_id and n.closed_at is null
            returning n.nudge_id, n.rule_id, n.text, n.told_to
        )
        select told_to as "told_to!: AttemptId", rule_id as "rule_id!: RuleId", text as "text!"
        from told order by nudge_id
        "#,
        tx.workspace.0,
        tx.now,
        &ids,
        &tasks,
    )
    .fetch_all(traced!(tx, "rules.nudges.deliver"))
    .await?;
    let mut told: HashMap<AttemptId, Vec<DeliveredNudge>> = HashMap::new();
    for row in rows {
        let nudge = DeliveredNudge { rule_id: row.rule_id, text: row.text };
        told.entry(row.told_to).or_default().push(nudge);
    }
    Ok(told)
}

/// Closes the nudges of ended tasks.
pub async fn forget_ended(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!(
        "update nudges n set closed_at = $2 from tasks t
         where n.workspace_id = $1 and n.closed_at is null
           and t.workspace_id = $1 and t.task_id = n.task_id and t.ended_at is not null",
        tx.workspace.0,
        tx.now,
    )
    .execute(traced!(tx, "rules.nudges.forget_ended"))
    .await?;
    Ok(())
}
