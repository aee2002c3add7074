//! Revising the payload of an approval, while it is pending or by approving it with edits.
//!
//! A new payload is checked like the original, and the old one is kept. An edited plan becomes
//! another plan of the goal, so the proposed one can still be read.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    app::{
        App, Error, Result, Unit,
        approvals::{
            policies,
            views::{self, Approval},
        },
        caller::{Caller as _, OperatorCaller, ProjectReaderCaller},
        goals::{
            discovered,
            ground::{self, Judgement},
            planning::refuse_taken,
        },
        unit::locks::{lock_goal, lock_pending},
    },
    domain::{
        approval::{PayloadHash, check_revision, kind::Edit, same_payload},
        check::Checks,
        ids::{ApprovalId, GoalId, KeyId, PlanId},
        journal::{Kind, NewRow},
        plan::{self, TaskSpec},
        states::{GoalState, PlanState, Planner},
    },
    store::{
        self,
        approvals::{
            ApprovalFacts,
            revisions::{NewRevision, RevisionRow},
        },
    },
};

/// A revision of an approval's payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviseRequest {
    /// The `payload_sha256` that you read. If the payload was revised meanwhile, nothing is
    /// replaced and the refusal is `payload_changed`.
    #[schema(example = "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b")]
    pub payload_sha256: PayloadHash,
    /// The new payload; checked like the original. At most 256 KiB.
    #[schema(example = json!({"command": "drop table users_old"}))]
    pub payload: Value,
}

/// A former payload of an approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Revision {
    /// Number of the revision, from 1 for the original payload.
    #[schema(minimum = 1)]
    pub revision: i32,
    /// The payload at that revision; `null` if it had none.
    pub payload: Option<Value>,
    /// SHA-256 of the payload in canonical form, as a decision would have named it.
    pub payload_sha256: PayloadHash,
    /// The key that replaced it; `null`: it was replaced without a key.
    pub replaced_by: Option<KeyId>,
    /// When the next revision replaced it.
    pub replaced_at: DateTime<Utc>,
}

/// The former payloads of an approval, without the current one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Revisions {
    /// Former payloads, oldest first; empty if the payload was never revised.
    pub items: Vec<Revision>,
}

impl App {
    /// Replaces the payload of a pending approval.
    ///
    /// # Errors
    /// `not_found`, `already_decided`, `payload_changed`, `invalid`; nothing was changed then.
    pub async fn revise(
        &self,
        caller: &OperatorCaller,
        approval: ApprovalId,
        request: &ReviseRequest,
    ) -> Result<Approval> {
        let principal = caller.principal();
        let workspace = principal.workspace;
        let about = views::about(&mut self.reader(workspace).await?, approval).await?;
        let mut unit = self.begin(workspace, principal.actor()).await?;
        lock_goal(&mut unit, about.goal_id).await?;
        let facts = lock_pending(&mut unit, approval).await?;
        same_payload(request.payload_sha256, facts.payload_sha256)?;
        let before = json!({"revision": facts.revision, "payload_sha256": facts.payload_sha256});
        let facts = replace(&mut unit, facts, &request.payload).await?;
        let after = json!({"revision": facts.revision, "payload_sha256": facts.payload_sha256});
        let row = NewRow::new(Kind::ApprovalRevised)
            .goal(facts.goal_id)
            .task(facts.task_id)
            .approval(approval)
            .before(&before)
            .after(&after);
        unit.record(row.data(json!({"kind": facts.kind, "revision": facts.revision})));
        let revised = views::read(unit.tx(), approval).await?;
        self.commit(unit).await?;
        Ok(revised)
    }

    /// Lists the former payloads of an approval.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn approval_revisions(
        &self,
        caller: &ProjectReaderCaller,
        approval: ApprovalId,
    ) -> Result<Revisions> {
        let workspace = caller.principal().workspace;
        self.see_approval(caller.principal(), approval).await?;
        let mut tx = self.reader(workspace).await?;
        views::about(&mut tx, approval).await?;
        let rows = store::approvals::revisions::list(&mut tx, approval).await?;
        Ok(Revisions { items: rows.into_iter().map(view).collect() })
    }
}

fn view(row: RevisionRow) -> Revision {
    let RevisionRow { revision, payload, payload_sha256, replaced_by, replaced_at } = row;
    Revision { revision, payload, payload_sha256, replaced_by, replaced_at }
}

/// Replaces the payload of an approval that is locked and pending. Returns the approval's new
/// facts.
///
/// # Errors
/// `invalid` and `plan_invalid`, if the payload would not have been accepted as the original
/// either.
pub(in crate::app) async fn replace(
    unit: &mut Unit,
    facts: ApprovalFacts,
    payload: &Value,
) -> Result<ApprovalFacts> {
    let mut checks = Checks::new();
    check_revision(&mut checks, facts.kind, facts.payload.as_ref(), payload);
    checks.finish()?;
    let (payload, plan_id) = match facts.kind.traits().edit {
        Edit::Plan => {
            let before = facts.plan_id;
            let before = before.ok_or_else(|| Error::Corrupt("a plan without its plan".into()))?;
            let goal = lock_goal(unit, facts.goal_id).await?;
            let origin = discovered::origin(unit, before).await?;
            let tasks = match origin {
                None => plan::read(payload, "/payload")?,
                Some(_) => discovered::read(unit, &goal, payload, "/payload").await?,
            };
            if goal.state == GoalState::Proposed {
                // The tasks of a first plan are new; a version names those that exist.
                refuse_taken(unit, facts.goal_id, &tasks, "/payload").await?;
            }
            // In stored form, with defaults for absent fields.
            let document = json!(tasks);
            let plan = another_plan(unit, facts.goal_id, before, &tasks, &document).await?;
            if let Some(origin) = origin {
                store::goals::discovered::set_origin(unit.tx(), plan, origin).await?;
            }
            (document, Some(plan))
        }
        Edit::Json | Edit::Raise | Edit::Fixed => (payload.clone(), facts.plan_id),
    };
    let by = unit.actor();
    let approval_id = facts.approval_id;
    let new = NewRevision { approval_id, payload: &payload, plan_id, by };
    store::approvals::revisions::replace(unit.tx(), &new).await?;
    let mut facts = ApprovalFacts {
        payload_sha256: PayloadHash::of(Some(&payload)),
        payload: Some(payload),
        revision: facts.revision + 1,
        plan_id,
        ..facts
    };
    policies::ask_anew(unit, &mut facts).await?;
    Ok(facts)
}

/// Stores the edited plan and supersedes the proposed one.
async fn another_plan(
    unit: &mut Unit,
    goal: GoalId,
    before: PlanId,
    tasks: &[TaskSpec],
    document: &Value,
) -> Result<PlanId> {
    let superseded = PlanState::Superseded;
    store::goals::set_plan_state(unit.tx(), before, superseded).await?;
    let plan: PlanId = unit.id();
    store::goals::insert_plan(
        unit.tx(),
        goal,
        plan,
        Planner::Tasks,
        PlanState::Proposed,
        document,
        &json!([]),
    )
    .await?;
    let mut ground = ground::of_goal(unit.tx(), goal).await?;
    // A version of a plan names the tasks of its goal.
    ground.open_tasks.retain(|task| !task.same_goal);
    let Judgement { findings, numbers } = ground::judge(tasks, &ground);
    store::goals::plans::judge(unit.tx(), plan, &findings, &numbers).await?;
    store::goals::plans::inherit(unit.tx(), before, plan).await?;
    Ok(plan)
}
