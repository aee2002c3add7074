//! Decisions of people, and their effects.
//!
//! A decision and its effect are one transaction: there is no moment at which something is
//! approved and still waits. The pending state is the guard: whoever decides second is told so and
//! changes nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    App, Error, Result, Unit, approval_views,
    approval_views::Approval,
    budget_steps, budgets,
    caller::{Caller as _, OperatorCaller},
    goals::{apply, cancel_locked, corrupt, lock_goal},
    lay::Ground,
    settle::{self, Change},
    spend::{find, locked},
};
use crate::{
    domain::{
        budget::Period,
        check::Checks,
        event::{EventKind, NewEvent},
        ids::{ApprovalId, AttemptId, PlanId, TaskId},
        plan::TaskSpec,
        refusal::{Code, Refusal},
        settings,
        states::{ApprovalKind, ApprovalState, GoalState, PlanState, TaskState},
        task::{self, Next, TaskFacts},
        words::words,
    },
    store::{
        self,
        approvals::{ApprovalFacts, Decision},
        goals::GoalFacts,
    },
};

words! {
    /// What a person decides.
    pub enum Verdict {
        /// Yes.
        Approve => "approve",
        /// No; needs a reason.
        Reject => "reject",
        /// The answer to a question of kind `input`.
        Answer => "answer",
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// `approve` or `reject`; for a question of kind `input`: `answer` or `reject`.
    pub decision: Verdict,
    /// Why; needed to reject. The next attempt reads it. At most 16 KiB.
    #[serde(default)]
    #[schema(example = "the migration has no down script")]
    pub reason: Option<String>,
    /// The answer to a question: any JSON, at most 256 KiB.
    #[serde(default)]
    #[schema(example = json!("use the staging account"))]
    pub answer: Option<Value>,
}

impl DecisionRequest {
    fn check(&self, kind: ApprovalKind) -> std::result::Result<(), Refusal> {
        let mut checks = Checks::new();
        let question = kind == ApprovalKind::Input;
        match self.decision {
            Verdict::Approve => checks.ensure(
                !question,
                "/decision",
                "a question is decided with `answer` or `reject`",
            ),
            Verdict::Answer => {
                checks.ensure(question, "/decision", "only a question of kind `input` is answered");
                checks.ensure(self.answer.is_some(), "/answer", "must be given");
            }
            Verdict::Reject => {
                let said = self.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
                checks.ensure(said, "/reason", "must say why: whoever goes on needs to know");
            }
        }
        checks.ensure(
            self.answer.is_none() || self.decision == Verdict::Answer,
            "/answer",
            "belongs to the decision `answer` alone",
        );
        if let Some(reason) = &self.reason {
            checks.bytes("/reason", reason, settings::MESSAGE_BYTES);
        }
        checks.json("/answer", self.answer.as_ref());
        checks.finish()
    }

    fn state(&self) -> ApprovalState {
        match self.decision {
            Verdict::Approve => ApprovalState::Approved,
            Verdict::Reject => ApprovalState::Rejected,
            Verdict::Answer => ApprovalState::Answered,
        }
    }

    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

impl App {
    /// Decides what waits for a person.
    ///
    /// # Errors
    /// `not_found`, `already_decided`, `invalid`; nothing is changed then.
    pub async fn decide(
        &self,
        caller: &OperatorCaller,
        approval: ApprovalId,
        request: &DecisionRequest,
    ) -> Result<Approval> {
        let principal = caller.principal();
        let workspace = principal.workspace;
        // What an approval is about never changes, so it is read before anything is locked.
        let facts = store::approvals::find(&mut *self.reader().await?, workspace, approval)
            .await?
            .ok_or_else(|| Refusal::not_found("approval"))?;
        request.check(facts.kind)?;
        let mut unit = if facts.kind == ApprovalKind::Budget {
            self.begin_alone(workspace, Some(principal.key)).await?
        } else {
            self.begin(workspace, Some(principal.key)).await?
        };
        let goal = lock_goal(&mut unit, facts.goal_id).await?;
        let task = lock_task(&mut unit, facts.task_id).await?;
        record(&mut unit, &facts, request).await?;
        take_effect(&mut unit, &facts, &goal, task, request).await?;
        let decided = approval_views::read(unit.conn(), workspace, approval).await?;
        self.commit(unit).await?;
        Ok(decided)
    }
}

async fn lock_task(unit: &mut Unit, task: Option<TaskId>) -> Result<Option<TaskFacts>> {
    let Some(task) = task else { return Ok(None) };
    let workspace = unit.workspace();
    let locked = store::tasks::lock(unit.conn(), workspace, &[task]).await?;
    Ok(locked.into_iter().next())
}

/// Stores the decision, if nobody decided before.
async fn record(unit: &mut Unit, facts: &ApprovalFacts, request: &DecisionRequest) -> Result<()> {
    let (workspace, now) = (unit.workspace(), unit.now());
    let decision = Decision {
        approval_id: facts.approval_id,
        state: request.state(),
        reason: request.reason.as_deref(),
        answer: request.answer.as_ref(),
        decided_by: unit.actor(),
    };
    if !store::approvals::decide(unit.conn(), workspace, now, &decision).await? {
        let detail = "somebody decided this before, or what it was about has ended; read it again";
        return Err(Refusal::new(Code::AlreadyDecided, detail).into());
    }
    let mut event = NewEvent::new(EventKind::ApprovalDecided)
        .goal(facts.goal_id)
        .attempt(facts.attempt_id)
        .approval(facts.approval_id)
        .data(json!({"kind": facts.kind, "state": request.state()}));
    event.task = facts.task_id;
    unit.record(event);
    Ok(())
}

async fn take_effect(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    goal: &GoalFacts,
    task: Option<TaskFacts>,
    request: &DecisionRequest,
) -> Result<()> {
    let approved = request.state() != ApprovalState::Rejected;
    match (facts.kind, task, facts.attempt_id, facts.plan_id) {
        (ApprovalKind::Plan, _, _, Some(plan)) if approved => apply_plan(unit, goal, plan).await,
        (ApprovalKind::Plan, _, _, Some(plan)) => {
            let (workspace, now) = (unit.workspace(), unit.now());
            let state = PlanState::Rejected;
            store::goals::set_plan_state(unit.conn(), workspace, now, plan, state).await?;
            unit.record(NewEvent::new(EventKind::PlanRejected).goal(goal.goal_id));
            let reason = format!("the plan was rejected: {}", request.reason());
            cancel_locked(unit, goal.goal_id, &reason).await
        }
        (ApprovalKind::Start, Some(task), _, _) => start(unit, task, approved, request).await,
        (ApprovalKind::Result, Some(task), Some(attempt), _) => {
            review(unit, task, attempt, approved, request).await
        }
        (ApprovalKind::Action | ApprovalKind::Input, Some(task), _, _) => resume(unit, task).await,
        (ApprovalKind::Budget, _, _, _) => budget(unit, facts, approved, request).await,
        (
            ApprovalKind::Plan
            | ApprovalKind::Start
            | ApprovalKind::Result
            | ApprovalKind::Action
            | ApprovalKind::Input,
            _,
            _,
            _,
        ) => Err(Error::Corrupt("an approval without its subject".into())),
    }
}

/// A limit is raised, or what waits for it is given up: with a limit that begins anew it waits for
/// that.
async fn budget(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    approved: bool,
    request: &DecisionRequest,
) -> Result<()> {
    let limit = facts.limit_id.ok_or_else(|| Error::Corrupt("a budget without a limit".into()))?;
    let payload = facts.payload.clone().unwrap_or_default();
    if approved {
        let proposed = payload["proposed"].as_i64();
        let amount = proposed.ok_or_else(|| Error::Corrupt("a raise without an amount".into()))?;
        return budgets::raise(unit, limit, amount, request.reason.as_deref()).await;
    }
    if payload["short"]["period"] != json!(Period::Lifetime) {
        return Ok(());
    }
    let reason = format!("its budget was not raised: {}", request.reason());
    budget_steps::give_up(unit, limit, &reason).await
}

async fn apply_plan(unit: &mut Unit, goal: &GoalFacts, plan: PlanId) -> Result<()> {
    let (workspace, now) = (unit.workspace(), unit.now());
    let document = store::goals::plan_document(unit.conn(), workspace, plan).await?;
    let tasks: Vec<TaskSpec> = serde_json::from_value(document).map_err(corrupt)?;
    store::goals::set_plan_state(unit.conn(), workspace, now, plan, PlanState::Applied).await?;
    let active = GoalState::Active;
    store::goals::set_state(unit.conn(), workspace, now, goal.goal_id, active, None).await?;
    let ground = Ground { goal: goal.goal_id, priority: goal.priority, position: 0, parent: None };
    apply(unit, ground, plan, &tasks).await
}

async fn start(
    unit: &mut Unit,
    task: TaskFacts,
    approved: bool,
    request: &DecisionRequest,
) -> Result<()> {
    let (workspace, now) = (unit.workspace(), unit.now());
    let next = if approved {
        store::moves::start_approved(unit.conn(), workspace, task.task_id).await?;
        Next::Retry(now)
    } else {
        Next::Cancelled
    };
    let reason = (!approved).then(|| format!("its start was rejected: {}", request.reason()));
    settle::settle(unit, vec![Change::of_task(task, next, reason)]).await
}

async fn review(
    unit: &mut Unit,
    task: TaskFacts,
    attempt: AttemptId,
    accepted: bool,
    request: &DecisionRequest,
) -> Result<()> {
    let (workspace, now) = (unit.workspace(), unit.now());
    let attempts = locked(unit, &[attempt]).await?;
    let agent = find(&attempts, attempt)?.agent_id;
    let ending = task::review(&task, accepted, now);
    let end = [(attempt, ending.attempt)];
    store::attempts::end(unit.conn(), workspace, now, &end).await?;
    if let Some(feedback) = &request.reason {
        store::results::set_feedback(unit.conn(), workspace, attempt, feedback).await?;
    }
    let reason = (!accepted).then(|| format!("its result was rejected: {}", request.reason()));
    settle::settle(unit, vec![Change::by_attempt(task, attempt, agent, ending, reason)]).await
}

/// The question is decided either way: the task goes on, and its next attempt reads the outcome.
async fn resume(unit: &mut Unit, task: TaskFacts) -> Result<()> {
    if task.state != TaskState::Parked {
        return Err(Error::Corrupt("a question about a task that is not parked".into()));
    }
    let now = unit.now();
    settle::settle(unit, vec![Change::of_task(task, Next::Retry(now), None)]).await
}
