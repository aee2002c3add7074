//! The policies frozen with approvals: their stages, schedules and due times.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::{
    domain::{
        approval::Risk,
        ids::{ApprovalId, GoalId, PolicyId, ProjectId},
        policy::{PolicySpec, matching::Asked},
        spend::Amounts,
        states::ApprovalKind,
    },
    store::{Tx, columns::uuids, traced},
};

/// The properties of approvals that policies match.
///
/// Capabilities and cost of a plan are the union and sum over its tasks; the cost of a limit is its
/// proposed increase.
pub async fn asked(
    tx: &mut Tx,
    approvals: &[ApprovalId],
) -> sqlx::Result<Vec<(ApprovalId, Asked)>> {
    let rows = sqlx::query!(
        r#"
        select a.approval_id as "approval_id: ApprovalId", a.kind as "kind: ApprovalKind",
               a.risk as "risk: Risk",
               (select g.project_id from goals g
                where g.workspace_id = $1 and g.goal_id = a.goal_id) as "project: ProjectId",
               coalesce(case when a.plan_id is not null then (
                   select array_agg(distinct c.name)
                   from jsonb_array_elements(a.payload) t,
                        jsonb_array_elements_text(coalesce(t.value -> 'capabilities', '[]')) c (name))
               else (
                   select s.capabilities from tasks t
                   join capability_sets s
                     on s.workspace_id = $1 and s.capability_key = t.capability_key
                   where t.workspace_id = $1 and t.task_id = a.task_id)
               end, '{}') as "capabilities!",
               coalesce(case when a.plan_id is not null then (
                   select jsonb_object_agg(u.unit, u.amount) from (
                       select e.key as unit,
                              least(sum(e.value::bigint), 9000000000000000000)::bigint as amount
                       from jsonb_array_elements(a.payload) t,
                            jsonb_each_text(case jsonb_typeof(t.value -> 'estimate')
                                when 'object' then t.value -> 'estimate' else '{}' end) e
                       group by e.key) u)
               when a.limit_id is not null then jsonb_build_object(a.payload -> 'short' ->> 'unit',
                   (a.payload ->> 'proposed')::bigint - (a.payload -> 'short' ->> 'limit')::bigint)
               else (
                   select x.estimate from task_texts x
                   where x.workspace_id = $1 and x.task_id = a.task_id)
               end, '{}') as "cost!: Json<Amounts>"
        from approvals a where a.workspace_id = $1 and a.approval_id = any($2)
        "#,
        tx.workspace.0,
        &uuids(approvals),
    )
    .fetch_all(traced!(tx, "approvals.frozen_policy.asked"))
    .await?;
    let asked = rows.into_iter().map(|row| {
        let asked = Asked {
            kind: row.kind,
            risk: row.risk,
            project: row.project,
            capabilities: row.capabilities,
            cost: row.cost.0,
        };
        (row.approval_id, asked)
    });
    Ok(asked.collect())
}

/// The policy under which the plan of a goal was approved; `None` without one.
pub async fn of_plan(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<PolicySpec>> {
    let found = sqlx::query_scalar!(
        r#"select a.policy as "policy: Json<PolicySpec>" from approvals a
           join plans p on p.workspace_id = $1 and p.plan_id = a.plan_id and p.discovered_from is null
           where a.workspace_id = $1 and a.goal_id = $2 and a.kind = 'plan' and a.state = 'approved'
           order by a.approval_id desc limit 1"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "approvals.frozen_policy.of_plan"))
    .await?;
    Ok(found.flatten().map(|policy| policy.0))
}

/// A policy to be frozen with an approval.
#[derive(Debug)]
pub struct Frozen {
    /// The approval.
    pub approval_id: ApprovalId,
    /// The policy.
    pub policy_id: PolicyId,
    /// Version of the policy.
    pub version: i32,
    /// Document of the policy.
    pub document: PolicySpec,
    /// Whether excluded people may decide all the same.
    pub allow_self: bool,
    /// Expiry of the first stage.
    pub expires_at: Option<DateTime<Utc>>,
    /// Time of the first reminder.
    pub remind_at: Option<DateTime<Utc>>,
}

/// Freezes policies with pending approvals and puts these at the first stage.
pub async fn freeze(tx: &mut Tx, frozen: &[Frozen]) -> sqlx::Result<()> {
    let expiries: Vec<Option<DateTime<Utc>>> = frozen.iter().map(|f| f.expires_at).collect();
    let reminders: Vec<Option<DateTime<Utc>>> = frozen.iter().map(|f| f.remind_at).collect();
    sqlx::query!(
        "update approvals a
         set policy_id = n.policy_id, policy_version = n.version, policy = n.document, stage = 1,
             escalation = 0, reminded = 0, allow_self = n.allow_self, expires_at = n.expires_at, remind_at = n.remind_at
         from unnest($2::uuid[], $3::uuid[], $4::integer[], $5::jsonb[], $6::timestamptz[],
                     $7::timestamptz[], $8::bool[])
              as n (approval_id, policy_id, version, document, expires_at, remind_at, allow_self)
         where a.workspace_id = $1 and a.approval_id = n.approval_id and a.state = 'pending'",
        tx.workspace.0,
        &frozen.iter().map(|f| f.approval_id.0).collect::<Vec<_>>(),
        &frozen.iter().map(|f| f.policy_id.0).collect::<Vec<_>>(),
        &frozen.iter().map(|f| f.version).collect::<Vec<_>>(),
        &frozen.iter().map(|f| Json(&f.document)).collect::<Vec<_>>() as &[Json<&PolicySpec>],
        &expiries as &[Option<DateTime<Utc>>],
        &reminders as &[Option<DateTime<Utc>>],
        &frozen.iter().map(|f| f.allow_self).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "approvals.frozen_policy.freeze"))
    .await?;
    Ok(())
}

/// The policy and stage of an approval.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct Standing {
    pub policy_id: PolicyId,
    pub policy: Json<PolicySpec>,
    pub stage: i16,
    pub escalation: i16,
    pub expires_at: Option<DateTime<Utc>>,
    pub remind_at: Option<DateTime<Utc>>,
    pub reminded: i16,
}

/// The policy and stage of a locked approval; `None` without a policy.
pub async fn standing(tx: &mut Tx, approval: ApprovalId) -> sqlx::Result<Option<Standing>> {
    sqlx::query_as!(
        Standing,
        r#"select policy_id as "policy_id!: PolicyId", policy as "policy!: Json<PolicySpec>", stage, escalation,
                  expires_at, remind_at, reminded
           from approvals
           where workspace_id = $1 and approval_id = $2 and policy_id is not null"#,
        tx.workspace.0,
        approval.0,
    )
    .fetch_optional(traced!(tx, "approvals.frozen_policy.standing"))
    .await
}

/// A stage and its times.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// The stage.
    pub stage: i16,
    /// Number of escalations in the stage.
    pub escalation: i16,
    /// Expiry of the stage.
    pub expires_at: Option<DateTime<Utc>>,
    /// Time of the next reminder.
    pub remind_at: Option<DateTime<Utc>>,
    /// Number of reminders sent.
    pub reminded: i16,
}

/// Sets the stage and times of a locked approval.
pub async fn set_schedule(tx: &mut Tx, approval: ApprovalId, to: Schedule) -> sqlx::Result<()> {
    let Schedule { stage, escalation, expires_at, remind_at, reminded } = to;
    sqlx::query!(
        "update approvals set stage = $3, escalation = $4, expires_at = $5, remind_at = $6,
                reminded = $7, version = version + 1
         where workspace_id = $1 and approval_id = $2",
        tx.workspace.0,
        approval.0,
        stage,
        escalation,
        expires_at,
        remind_at,
        reminded,
    )
    .execute(traced!(tx, "approvals.frozen_policy.set_schedule"))
    .await?;
    Ok(())
}

/// Raises the version of a locked approval, for a vote.
pub async fn touch(tx: &mut Tx, approval: ApprovalId) -> sqlx::Result<()> {
    sqlx::query!(
        "update approvals set version = version + 1 where workspace_id = $1 and approval_id = $2",
        tx.workspace.0,
        approval.0,
    )
    .execute(traced!(tx, "approvals.frozen_policy.touch"))
    .await?;
    Ok(())
}

/// Expires a locked approval that was not decided in time.
pub async fn expire(tx: &mut Tx, approval: ApprovalId, reason: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update approvals set state = 'expired', reason = $3, decided_at = $4,
                version = version + 1
         where workspace_id = $1 and approval_id = $2 and state = 'pending'",
        tx.workspace.0,
        approval.0,
        reason,
        tx.now,
    )
    .execute(traced!(tx, "approvals.frozen_policy.expire"))
    .await?;
    Ok(())
}

/// Pending approvals past their expiry or reminder time, longest due first.
pub async fn due(tx: &mut Tx) -> sqlx::Result<Vec<ApprovalId>> {
    sqlx::query_scalar!(
        r#"
        select d.approval_id as "approval_id!: ApprovalId" from (
            (select approval_id, expires_at as at from approvals
             where workspace_id = $1 and state = 'pending' and expires_at <= $2
             order by expires_at limit 200)
            union all
            (select approval_id, remind_at from approvals
             where workspace_id = $1 and state = 'pending' and remind_at <= $2
               and (expires_at is null or expires_at > $2)
             order by remind_at limit 200)) d
        order by d.at
        "#,
        tx.workspace.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "approvals.frozen_policy.due"))
    .await
}
