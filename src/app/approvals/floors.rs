//! Risk floors: their rules, and the floor of an approval.
//!
//! Only admins change the rules, because the risk chooses the deciders. The floor of an
//! approval is determined when it is asked, before its policy is chosen, and once more when its payload
//! is revised; then it only rises. A rule that is made or deleted later changes no approval.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    app::{
        App, Error, Result, Unit,
        caller::{AdminCaller, Caller as _, MonitorCaller},
        unit::idempotency::{Outcome, Request},
    },
    domain::{
        approval::{
            Risk,
            floor::{
                FloorRule, FloorSpec, FloorSubject, FloorTask, PayloadCondition, RiskFloor,
                effective, floor, raise, tasks_of_plan,
            },
            kind::Subject,
        },
        ids::{GoalId, KeyId, ProjectId, RiskFloorId, TaskId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
        states::ApprovalKind,
    },
    store::{
        self, Hold, Tx,
        approvals::{
            ApprovalFacts, NewApproval,
            floors::{FloorRow, NewFloor, SubjectRow},
        },
    },
};

/// A rule for the least risk of approvals. It is never edited: create another one and delete this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RiskFloorRule {
    /// Id of the rule; stable for its life.
    pub id: RiskFloorId,
    /// Name of the rule, unique in the workspace.
    #[schema(example = "destructive SQL")]
    pub name: String,
    /// The least risk of the approvals that it covers.
    pub risk: Risk,
    /// Only approvals of this kind; `null`: all kinds.
    pub kind: Option<ApprovalKind>,
    /// Only approvals about a task that requires this capability, or about a plan with such a task;
    /// `null`: all.
    pub capability: Option<String>,
    /// Only approvals in goals of this project; `null`: all.
    pub project_id: Option<ProjectId>,
    /// Conditions on the payload; all must hold. Empty: any payload, and none.
    pub payload: Vec<PayloadCondition>,
    /// The key that created the rule; `null` if that had no key.
    pub created_by: Option<KeyId>,
    /// When the rule was created. It covers approvals asked or revised from then on.
    pub created_at: DateTime<Utc>,
}

impl From<FloorRow> for RiskFloorRule {
    fn from(row: FloorRow) -> Self {
        let FloorRow {
            floor_id,
            name,
            risk,
            kind,
            capability,
            project_id,
            payload,
            created_by,
            created_at,
        } = row;
        let payload = payload.0;
        Self {
            id: floor_id,
            name,
            risk,
            kind,
            capability,
            project_id,
            payload,
            created_by,
            created_at,
        }
    }
}

impl App {
    /// Creates a rule. It covers approvals asked or revised from then on.
    ///
    /// # Errors
    /// `invalid`; `not_found` if the project does not exist; `already_exists` if the name is taken.
    pub async fn create_risk_floor(
        &self,
        caller: &AdminCaller,
        spec: &FloorSpec,
        request: Option<&Request>,
    ) -> Result<Outcome<RiskFloorRule>> {
        spec.check()?;
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            check_project(unit, spec).await?;
            let count = store::approvals::floors::count(unit.tx()).await?;
            if count >= settings::RISK_FLOORS {
                let detail = format!("there are {count} rules; delete one first");
                return Err(Refusal::invalid_at("", detail).into());
            }
            let floor_id: RiskFloorId = unit.id();
            let new = NewFloor { floor_id, spec, by: unit.actor() };
            if !store::approvals::floors::insert(unit.tx(), &new).await? {
                return Err(taken(&spec.name));
            }
            let rule = read(unit.tx(), floor_id).await?;
            unit.record(event(Kind::RiskFloorCreated, &rule).after(&rule));
            Ok(rule)
        })
        .await
    }

    /// Reads one rule.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_risk_floor(
        &self,
        caller: &MonitorCaller,
        floor: RiskFloorId,
    ) -> Result<RiskFloorRule> {
        read(&mut self.reader(caller.principal().workspace).await?, floor).await
    }

    /// Up to `rows` rules after `after`, newest first.
    pub async fn list_risk_floors(
        &self,
        caller: &MonitorCaller,
        after: Option<RiskFloorId>,
        rows: u32,
    ) -> Result<Vec<RiskFloorRule>> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let rows = store::approvals::floors::list(&mut tx, None, after, rows.into()).await?;
        Ok(rows.into_iter().map(RiskFloorRule::from).collect())
    }

    /// Deletes a rule. Approvals already asked keep their risk.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete_risk_floor(&self, caller: &AdminCaller, floor: RiskFloorId) -> Result<()> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let rule = read(unit.tx(), floor).await?;
        if !store::approvals::floors::delete(unit.tx(), floor).await? {
            return Err(Refusal::not_found("risk floor").into());
        }
        unit.record(event(Kind::RiskFloorDeleted, &rule).before(&rule));
        self.commit(unit).await
    }
}

async fn read(tx: &mut Tx, floor: RiskFloorId) -> Result<RiskFloorRule> {
    let found = store::approvals::floors::list(tx, Some(floor), None, 1).await?.pop();
    Ok(found.ok_or_else(|| Refusal::not_found("risk floor"))?.into())
}

async fn check_project(unit: &mut Unit, spec: &FloorSpec) -> Result<()> {
    let Some(project) = spec.project_id else { return Ok(()) };
    if store::approvals::policies::project_exists(unit.tx(), project).await? {
        return Ok(());
    }
    Err(Refusal::not_found("project").into())
}

fn taken(name: &str) -> Error {
    let detail = format!("there is a rule called `{name}`; delete it first, or take another name");
    Refusal::new(Code::AlreadyExists, detail).into()
}

/// Agents read events, so the event has no condition that they could work around.
fn event(kind: Kind, rule: &RiskFloorRule) -> NewRow {
    NewRow::new(kind).data(json!({"floor_id": rule.id, "name": rule.name, "risk": rule.risk}))
}

/// Raises the risk of new approvals to their floors. The caller chooses their policies afterwards.
pub(super) async fn apply(unit: &mut Unit, questions: &mut [NewApproval]) -> Result<()> {
    let about: Vec<(GoalId, Option<TaskId>)> =
        questions.iter().map(|question| (question.goal_id, question.task_id)).collect();
    let rules = store::approvals::floors::in_force(unit.tx()).await?;
    let rows = store::approvals::floors::subjects(unit.tx(), &about).await?;
    for (question, row) in questions.iter_mut().zip(rows) {
        let asked = Asked {
            kind: question.kind,
            task_id: question.task_id,
            payload: question.payload.as_ref(),
        };
        let found = asked.floor(row, &rules);
        question.risk = effective(question.risk, found.as_ref());
        question.risk_floor = found;
    }
    Ok(())
}

/// Raises the risk of a locked approval to the floors of its revised payload. `facts`: the approval
/// after the revision. Returns whether the risk has risen.
pub(super) async fn reassess(unit: &mut Unit, facts: &mut ApprovalFacts) -> Result<bool> {
    let rules = store::approvals::floors::in_force(unit.tx()).await?;
    let about = [(facts.goal_id, facts.task_id)];
    let rows = store::approvals::floors::subjects(unit.tx(), &about).await?;
    let asked = Asked { kind: facts.kind, task_id: facts.task_id, payload: facts.payload.as_ref() };
    let found = rows.into_iter().next().and_then(|row| asked.floor(row, &rules));
    let before = facts.risk_floor.take().map(|floor| floor.0);
    let kept = raise(before.clone(), found);
    let risk = effective(facts.risk, kept.as_ref());
    let risen = risk > facts.risk;
    if risen || kept != before {
        store::approvals::floors::raise(unit.tx(), facts.approval_id, risk, kept.as_ref()).await?;
    }
    (facts.risk, facts.risk_floor) = (risk, kept.map(Into::into));
    Ok(risen)
}

/// An approval, as it is asked or after a revision.
struct Asked<'a> {
    kind: ApprovalKind,
    task_id: Option<TaskId>,
    payload: Option<&'a Value>,
}

impl Asked<'_> {
    fn floor(&self, row: SubjectRow, rules: &[FloorRule]) -> Option<RiskFloor> {
        let Self { kind, task_id, payload } = *self;
        let SubjectRow { project, capabilities, reference, risk } = row;
        let (tasks, capabilities) = match (kind.subject(), payload) {
            (Subject::Plan, Some(plan)) => tasks_of_plan(plan),
            (
                Subject::Plan
                | Subject::Start
                | Subject::Result
                | Subject::Limit
                | Subject::Question,
                _,
            ) => {
                let task = reference.map(|reference| FloorTask { task_id, reference, risk });
                (task.into_iter().collect(), capabilities)
            }
        };
        floor(&FloorSubject { kind, project, capabilities, tasks, payload }, rules)
    }
}
