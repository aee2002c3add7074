//! Effects of reviews: waivers, feedback, rework counts, choices.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    domain::{
        access::person::Person,
        approval::{
            excluded::Decider,
            review::{ReviewChoice, Shown, Waiver},
        },
        ids::{ApprovalId, AttemptId, KeyId, TaskId},
    },
    store::{Tx, traced},
};

/// The criteria of a task, and what the evidence of an attempt shows of each.
pub async fn shown(tx: &mut Tx, task: TaskId, attempt: AttemptId) -> sqlx::Result<Vec<Shown>> {
    sqlx::query_as!(
        Shown,
        r#"
        select c.number, c.required,
               -- A person comes on top of what the type wants, and does not stand in for it.
               c.min_tier = 'person' and not e.unmet
                   and case c.type
                       when 'artifact' then e.rank >= tier_rank('machine_checked')
                       when 'metric' then e.rank >= tier_rank('claimed')
                       when 'command' then e.ran
                       when 'review' then e.rank >= tier_rank('reviewed')
                       else true end as "person!",
               -- Whatever a reviewer says, its program was to be run.
               e.rank >= tier_rank(c.min_tier) and not e.unmet
                   and (c.type <> 'command' or c.checks is not null or e.ran) as "shown!"
        from criteria c
        cross join lateral (
            select coalesce(max(tier_rank(e.tier)) filter (where e.met or c.goal_criterion is not null
                                                           or c.checks is not null), 0) as rank,
                   coalesce(bool_or(not e.met) and c.goal_criterion is null and c.checks is null, false) as unmet,
                   coalesce(bool_or(e.met and e.exit_code is not null and e.by_attempt_id is not null), false) as ran
            from evidence e
            where e.workspace_id = $1 and e.attempt_id = $3 and e.criterion = c.number
        ) e
        where c.workspace_id = $1 and c.task_id = $2
        order by c.number
        "#,
        tx.workspace.0,
        task.0,
        attempt.0,
    )
    .fetch_all(traced!(tx, "approvals.reviews.shown"))
    .await
}

/// Attempt, approval and decider of waivers.
#[derive(Debug)]
pub struct Waiving<'a> {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The approval being decided.
    pub approval_id: ApprovalId,
    /// The key and person that decide.
    pub decider: &'a Decider,
}

/// Stores waivers.
pub async fn waive(tx: &mut Tx, waiving: &Waiving<'_>, waivers: &[Waiver]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into waivers (workspace_id, attempt_id, approval_id, waived_by, waived_by_person,
                              waived_at, criterion, reason)
         select $1, $2, $3, $4, $5, $6, w.* from unnest($7::smallint[], $8::text[]) as w",
        tx.workspace.0,
        waiving.attempt_id.0,
        waiving.approval_id.0,
        waiving.decider.key.map(|id| id.0),
        waiving.decider.person.as_ref().map(Person::as_str),
        tx.now,
        &waivers.iter().map(|waiver| waiver.criterion).collect::<Vec<_>>(),
        &waivers.iter().map(|waiver| waiver.reason.clone()).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "approvals.reviews.waive"))
    .await?;
    Ok(())
}

/// Stores what a person shows by approving a result: the criteria that demand a person and are not waived. The decider is
/// of `waiving`.
pub async fn approve(
    tx: &mut Tx,
    task: TaskId,
    waiving: &Waiving<'_>,
    reason: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into evidence (workspace_id, attempt_id, number, criterion, text, met, tier, approval_id,
                               criteria_version)
         select $1, $2, (l.last + row_number() over (order by c.number))::smallint, c.number,
                coalesce($5::text, 'the result was approved'), true, 'person', $4, t.criteria_version
         from criteria c
         join tasks t on t.workspace_id = $1 and t.task_id = c.task_id
         cross join (select coalesce(max(number), 0) as last from evidence
                     where workspace_id = $1 and attempt_id = $2) l
         where c.workspace_id = $1 and c.task_id = $3 and c.min_tier = 'person' and c.required
           and not exists (select from waivers w
                           where w.workspace_id = $1 and w.attempt_id = $2 and w.criterion = c.number)",
        tx.workspace.0,
        waiving.attempt_id.0,
        task.0,
        waiving.approval_id.0,
        reason,
    )
    .execute(traced!(tx, "approvals.reviews.approve"))
    .await?;
    Ok(())
}

/// A stored waiver.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct WaiverRow {
    pub criterion: i16,
    pub approval_id: ApprovalId,
    pub reason: String,
    pub waived_by: Option<KeyId>,
    pub waived_by_person: Option<Person>,
    pub waived_at: DateTime<Utc>,
}

/// The waivers of an attempt, in order of criteria.
pub async fn of_attempt(tx: &mut Tx, attempt: AttemptId) -> sqlx::Result<Vec<WaiverRow>> {
    sqlx::query_as!(
        WaiverRow,
        r#"select criterion, approval_id as "approval_id: ApprovalId", reason,
                  waived_by as "waived_by: KeyId", waived_by_person as "waived_by_person: Person",
                  waived_at
           from waivers where workspace_id = $1 and attempt_id = $2 order by criterion"#,
        tx.workspace.0,
        attempt.0,
    )
    .fetch_all(traced!(tx, "approvals.reviews.of_attempt"))
    .await
}

/// The waivers of an approval, in order of criteria.
pub async fn of_approval(tx: &mut Tx, approval: ApprovalId) -> sqlx::Result<Vec<WaiverRow>> {
    sqlx::query_as!(
        WaiverRow,
        r#"select criterion, approval_id as "approval_id: ApprovalId", reason,
                  waived_by as "waived_by: KeyId", waived_by_person as "waived_by_person: Person",
                  waived_at
           from waivers where workspace_id = $1 and approval_id = $2 order by criterion"#,
        tx.workspace.0,
        approval.0,
    )
    .fetch_all(traced!(tx, "approvals.reviews.of_approval"))
    .await
}

/// Appends a reviewer's feedback on a result, for the next attempt.
pub async fn add_feedback(
    tx: &mut Tx,
    attempt: AttemptId,
    feedback: Option<&str>,
    points: &Value,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update attempt_results
         set feedback = nullif(concat_ws(E'\\n\\n', feedback, $3::text), ''),
             feedback_points = feedback_points || $4::jsonb
         where workspace_id = $1 and attempt_id = $2",
        tx.workspace.0,
        attempt.0,
        feedback,
        points,
    )
    .execute(traced!(tx, "approvals.reviews.add_feedback"))
    .await?;
    Ok(())
}

/// Sets the number of rejected results of a locked task.
pub async fn set_reworks(tx: &mut Tx, task: TaskId, reworks: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set reworks = $3, version = version + 1
         where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
        reworks,
    )
    .execute(traced!(tx, "approvals.reviews.set_reworks"))
    .await?;
    Ok(())
}

/// Stores the choice made with the last decision on a result. Has no effect on an expired approval:
/// nobody chose.
pub async fn set_choice(
    tx: &mut Tx,
    approval: ApprovalId,
    choice: ReviewChoice,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update approvals set choice = $3
         where workspace_id = $1 and approval_id = $2 and state in ('approved', 'rejected')",
        tx.workspace.0,
        approval.0,
        choice.as_str(),
    )
    .execute(traced!(tx, "approvals.reviews.set_choice"))
    .await?;
    Ok(())
}
