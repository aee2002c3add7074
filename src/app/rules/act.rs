//! Actions of intervention rules, and effects of the answers to their questions.
//!
//! Each action is one transaction with its intervention row and its event. `ask` and `park` take a
//! running task from its agent, and a ready one from an attempt that has lapsed: the lease is void
//! from then on, the agent can still report its usage, and the next holder gets the last checkpoint.
//! A subject that cannot be parked (a goal, or a task that waits for its subtasks) goes on while the
//! question is pending.

use serde_json::{Value, json};

use super::Rule;
use crate::{
    app::{
        Result, Unit,
        approvals::ask,
        attempts::{
            end::{End, end},
            takeover,
        },
        freezes::{self, NewFreeze},
        goals::cancel_locked,
        tasks::{
            cascade::{self, resume},
            change::Change,
        },
        unit::locks::{find, locked},
    },
    domain::{
        approval::Risk,
        form::AnswerSchema,
        freeze::{FreezeMode, FreezeScope},
        ids::{ApprovalId, AttemptId, GoalId, InterventionId, NudgeId, TaskId},
        journal::{Kind, NewRow},
        rule::{self, Choice, Closing, Finding, Subject, Then},
        states::{ApprovalKind, TaskState},
        task::{Next, TaskFacts},
        words::Words as _,
    },
    store::{
        self,
        approvals::{ApprovalFacts, NewApproval},
        goals::GoalFacts,
        rules::{
            interventions::{Asked, ClosedRow, NewIntervention},
            nudges::NewNudge,
        },
    },
};

/// Maximum number of agents of a goal that get one nudge.
const NUDGED: i64 = 500;
/// Maximum length in characters of the generated sentence.
const SENTENCE: usize = 500;

/// The subject of an action: an active goal or one of its tasks, locked.
#[derive(Debug, Clone)]
pub(in crate::app) struct Target {
    pub goal: GoalId,
    /// The task, if the rule is about tasks.
    pub task: Option<TaskFacts>,
    /// The running attempt of the task.
    pub attempt: Option<AttemptId>,
}

/// Opens an intervention and acts. Returns `false` if the rule already has an open one about the
/// same subject.
///
/// # Errors
/// On any error the whole unit must be rolled back.
pub(in crate::app) async fn open(
    unit: &mut Unit,
    rule: &Rule,
    target: Target,
    finding: &Finding,
) -> Result<bool> {
    let id: InterventionId = unit.id();
    let task_id = target.task.as_ref().map(|task| task.task_id);
    let new = NewIntervention {
        intervention_id: id,
        rule_id: rule.id,
        rule_version: rule.version,
        subject: rule.when.subject(),
        goal_id: target.goal,
        task_id,
        attempt_id: target.attempt,
        condition: rule.when.condition(),
        action: rule.then.action(),
        detail: &finding.detail,
        measure: finding.measure,
    };
    if !store::rules::interventions::open(unit.tx(), &new).await? {
        return Ok(false);
    }
    let data = json!({
        "rule_id": rule.id, "rule": rule.name, "intervention_id": id, "condition": new.condition,
        "detail": finding.detail, "action": new.action,
    });
    let row = NewRow::new(Kind::RuleTriggered).goal(target.goal).task(task_id);
    unit.record(row.attempt(target.attempt).data(data));
    let sentence = sentence(rule, finding);
    match &rule.then {
        Then::Nudge { text } => nudge(unit, rule, &target, text).await?,
        Then::Ask { title, body, risk } => {
            let title = title.as_deref().unwrap_or(&sentence);
            let question = Question { title, body, risk: risk.unwrap_or(Risk::Medium) };
            ask(unit, rule, id, target, finding, question).await?;
        }
        Then::Park {} => {
            let question = Question { title: &sentence, body: PARKED, risk: Risk::Medium };
            ask(unit, rule, id, target, finding, question).await?;
        }
        Then::Freeze { mode, on } => freeze(unit, id, &target, (*mode, *on), sentence).await?,
        Then::Reassign {} => {
            if let Some(task) = target.task {
                reassign(unit, task, &sentence).await?;
            }
            close(unit, &[(id, Closing::Done)]).await?;
        }
    }
    Ok(true)
}

const PARKED: &str = "An intervention rule has parked this task. Answer `continue` to have it offered \
                      again, or `cancel`.";

/// The generated sentence for rules without a text of their own.
fn sentence(rule: &Rule, finding: &Finding) -> String {
    format!("{}: {}", rule.name, finding.detail).chars().take(SENTENCE).collect()
}

async fn nudge(unit: &mut Unit, rule: &Rule, target: &Target, text: &str) -> Result<()> {
    let tasks: Vec<TaskId> = match &target.task {
        Some(task) => vec![task.task_id],
        None => store::rules::interventions::worked_on(unit.tx(), target.goal, NUDGED).await?,
    };
    let ids: Vec<NudgeId> = unit.ids(tasks.len());
    let new = |(nudge_id, task_id)| NewNudge { nudge_id, task_id, rule_id: rule.id, text };
    let nudges: Vec<NewNudge<'_>> = ids.into_iter().zip(tasks).map(new).collect();
    store::rules::nudges::insert(unit.tx(), &nudges).await?;
    Ok(())
}

async fn freeze(
    unit: &mut Unit,
    id: InterventionId,
    target: &Target,
    (mode, on): (FreezeMode, Subject),
    reason: String,
) -> Result<()> {
    let (scope, what) = match (on, &target.task) {
        (Subject::Task, Some(task)) => (FreezeScope::Task, task.task_id.0),
        (Subject::Goal, _) | (Subject::Task, None) => (FreezeScope::Goal, target.goal.0),
    };
    let new = NewFreeze { scope, scope_id: Some(what), capability: None, mode, reason };
    let freeze = freezes::set(unit, &new, Some(what)).await?;
    store::rules::interventions::note(unit.tx(), id, None, Some(freeze)).await?;
    Ok(())
}

/// The question to a person.
struct Question<'a> {
    title: &'a str,
    body: &'a str,
    risk: Risk,
}

async fn ask(
    unit: &mut Unit,
    rule: &Rule,
    id: InterventionId,
    target: Target,
    finding: &Finding,
    question: Question<'_>,
) -> Result<()> {
    let Target { goal, task, attempt } = target;
    let about = task.as_ref().map(|task| task.task_id);
    let had = task.as_ref().is_some_and(|task| task.current_attempt.is_some());
    let parked = match task {
        Some(task) => park(unit, task, &format!("waits for a person: {}", finding.detail)).await?,
        None => false,
    };
    // Only a task that had an agent can be reassigned to another.
    let had = parked && had;
    let offered = |one: &&Choice| had || **one != Choice::Reassign;
    let choices = Choice::ALL.iter().filter(offered).map(|one| one.as_str().to_owned());
    let choices: Vec<String> = choices.collect();
    let approval: ApprovalId = unit.id();
    let question = NewApproval {
        // Only a parked task is the approval's subject: the decision resumes it.
        task_id: about.filter(|_| parked),
        attempt_id: attempt.filter(|_| parked),
        title: question.title.to_owned(),
        body: question.body.to_owned(),
        payload: Some(json!({
            "rule_id": rule.id, "rule": rule.name, "intervention_id": id,
            "condition": rule.when.condition(), "detail": finding.detail, "task_id": about,
        })),
        risk: question.risk,
        answer_schema: Some(json!(AnswerSchema::of_options(&choices))),
        ..NewApproval::new(approval, ApprovalKind::Input, goal)
    };
    ask::ask(unit, vec![question]).await?;
    store::rules::interventions::note(unit.tx(), id, Some(approval), None).await?;
    Ok(())
}

/// Parks a task until a person decides. Returns whether it is parked.
async fn park(unit: &mut Unit, task: TaskFacts, reason: &str) -> Result<bool> {
    match (task.state, task.current_attempt) {
        (TaskState::Running, Some(attempt)) => {
            take(unit, task, attempt, reason).await.map(|()| true)
        }
        // A task that was tried before waits only for its backoff.
        (TaskState::Ready, _) | (TaskState::Waiting, Some(_)) => {
            store::attempts::withdraw(unit.tx(), &[task.task_id]).await?;
            let change = Change::of_task(task, Next::Park, reason.to_owned());
            cascade::apply(unit, vec![change]).await?;
            Ok(true)
        }
        (TaskState::Running | TaskState::Waiting, None)
        | (
            TaskState::Parked
            | TaskState::Reviewing
            | TaskState::Done
            | TaskState::Failed
            | TaskState::Cancelled,
            _,
        ) => Ok(false),
    }
}

/// Ends the running attempt of a task.
async fn take(unit: &mut Unit, task: TaskFacts, attempt: AttemptId, reason: &str) -> Result<()> {
    let held = locked(unit, &[attempt]).await?;
    let ending = rule::taken(&task);
    let taken = End::new(find(&held, attempt)?, task, ending, reason.to_owned());
    end(unit, vec![taken], Vec::new()).await
}

/// Offers a running or ready task to other agents.
async fn reassign(unit: &mut Unit, task: TaskFacts, reason: &str) -> Result<()> {
    if task.state == TaskState::Running {
        return takeover::reassign_in(unit, task, None, reason).await;
    }
    takeover::bar_last(unit, &task, reason).await
}

/// Cancels approvals whose subject has ended or whose rule's condition no longer holds.
pub(in crate::app) async fn withdraw(unit: &mut Unit, questions: &[ApprovalId]) -> Result<()> {
    if questions.is_empty() {
        return Ok(());
    }
    let reason = "its subject has ended, or the condition of the rule no longer holds";
    let gone = store::approvals::withdraw(unit.tx(), questions, reason).await?;
    for (approval, goal) in gone {
        unit.record(ask::withdrawn(approval, goal));
    }
    Ok(())
}

/// Applies the answer to a rule's question. The approval, its task and its goal are locked. Returns
/// `false` if no rule asked.
pub(in crate::app) async fn decided(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    goal: &GoalFacts,
    task: Option<&TaskFacts>,
    answer: Option<&Value>,
) -> Result<bool> {
    let asked = store::rules::interventions::that_asked(unit.tx(), facts.approval_id).await?;
    let Some(Asked { intervention_id, task_id }) = asked else { return Ok(false) };
    match (choice(answer), task, task_id) {
        (Choice::Continue, Some(task), _) => resume(unit, task.clone()).await?,
        (Choice::Reassign, Some(task), _) => {
            takeover::bar_last(unit, task, "a person chose `reassign` when a rule asked").await?;
            resume(unit, task.clone()).await?;
        }
        (Choice::Continue | Choice::Reassign, None, _) => {}
        (Choice::Cancel, _, Some(task)) => {
            let changes = cascade::cancel(unit, &[task], CANCELLED).await?;
            cascade::apply(unit, changes).await?;
        }
        (Choice::Cancel, _, None) if goal.state.is_worked_on() => {
            cancel_locked(unit, goal.goal_id, CANCELLED).await?;
        }
        (Choice::Cancel, _, None) => {}
    }
    close(unit, &[(intervention_id, Closing::Decided)]).await?;
    Ok(true)
}

const CANCELLED: &str = "a person cancelled it when a rule asked";

/// The person's choice. A declined approval means `continue`, and so does a policy default that is
/// none of the choices.
fn choice(answer: Option<&Value>) -> Choice {
    let chosen = answer.and_then(|answer| answer["choice"].as_str()?.parse().ok());
    chosen.unwrap_or(Choice::Continue)
}

/// Closes interventions and records each. Returns the number of those that were open.
pub(in crate::app) async fn close(
    unit: &mut Unit,
    closings: &[(InterventionId, Closing)],
) -> Result<u64> {
    let closed = store::rules::interventions::close(unit.tx(), closings).await?;
    let count = closed.len() as u64;
    for ClosedRow { intervention_id, rule_id, goal_id, task_id, closing } in closed {
        let data = serde_json::json!({
            "rule_id": rule_id, "intervention_id": intervention_id, "closing": closing,
        });
        unit.record(NewRow::new(Kind::RuleCleared).goal(goal_id).task(task_id).data(data));
    }
    Ok(count)
}
