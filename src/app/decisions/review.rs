//! The review loop: effects of decisions about results.
//!
//! - *Accepted*: every required criterion has evidence, or the decision waives it by its number. A
//!   waiver is stored with the decider, the time and the reason, and shown with the approval, the
//!   attempt and the task from then on.
//! - *Rejected*: the reason and the feedback points are stored with the attempt and shown to the
//!   next one. The rejection does not count as a try. The next attempt has what is left of the same
//!   budgets.
//! - *Rejected for the last time* (`max_rework`): the task is not sent back. It stays `reviewing`,
//!   because its result still waits for a person, without a slot, a lease or a running deadline. A
//!   second approval of the same result asks for a choice: `accept` that result after all,
//!   `reassign` the task for one more round, `split` it into subtasks followed by one more round,
//!   or `cancel` it. If that round is rejected too, a person is asked again.
//!
//! With a policy several people vote. Each acceptance must name the missing evidence; the content
//! of the deciding vote takes effect. On a timeout, a policy that accepts only accepts a result
//! that lacks no evidence, and one that rejects cancels a task without a round left.
//!
//! A result that lacks evidence reaches a review only if the task requires one. Otherwise it is
//! refused with `evidence_missing` on submission, and the attempt goes on.

use serde_json::{Value, json};

use super::request::DecisionRequest;
use crate::{
    app::{
        Result, Unit,
        approvals::ask,
        attempts::takeover,
        budgets::create,
        tasks::{cascade, change::Change, subtasks},
        unit::locks::{find, locked},
    },
    domain::{
        approval::{
            excluded::Decider,
            kind::Subject,
            review::{
                self, Choice, Rejection, ReviewChoice, approved_by_person, check_choice,
                check_feedback, check_waivers,
            },
        },
        ids::AttemptId,
        states::ApprovalKind,
        task::{Ending, TaskFacts, holder::Holder},
    },
    store::{
        self,
        approvals::{ApprovalFacts, NewApproval, reviews::Waiving},
        goals::GoalFacts,
    },
};

/// Refuses a decision that does not fit the result. Applies to every vote, so each acceptance names
/// the missing evidence.
///
/// # Errors
/// `invalid`, `evidence_missing`.
pub(in crate::app) async fn admit(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    request: &DecisionRequest,
) -> Result<()> {
    let (Subject::Result, Some(task), Some(attempt)) =
        (facts.kind.subject(), facts.task_id, facts.attempt_id)
    else {
        return Ok(());
    };
    check_choice(facts.last_round, request.choice.as_ref())?;
    let criteria = store::approvals::reviews::shown(unit.tx(), task, attempt).await?;
    if request.approves() {
        return Ok(check_waivers(&approved_by_person(&criteria), &request.waive)?);
    }
    Ok(check_feedback(&criteria, &request.feedback)?)
}

/// Adds the details of a result's decision to its event data.
pub(in crate::app) fn describe(data: &mut Value, request: &DecisionRequest) {
    if !request.waive.is_empty() {
        let numbers: Vec<i16> = request.waive.iter().map(|waiver| waiver.criterion).collect();
        data["waived"] = json!(numbers);
    }
    if let Some(choice) = &request.choice {
        data["choice"] = json!(choice.action);
    }
}

/// A decision about a result: the rows of its goal, task and approval are locked.
struct Review<'a> {
    facts: &'a ApprovalFacts,
    goal: &'a GoalFacts,
    task: TaskFacts,
    attempt: AttemptId,
    /// The holder of the attempt that submitted it.
    holder: Holder,
    request: &'a DecisionRequest,
}

/// Applies a decision about a result.
///
/// # Errors
/// `invalid`, `evidence_missing`; the refusals of subtasks and reassignments.
pub(in crate::app) async fn decide(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    goal: &GoalFacts,
    task: TaskFacts,
    attempt: AttemptId,
    request: &DecisionRequest,
) -> Result<()> {
    let holder = find(&locked(unit, &[attempt]).await?, attempt)?.holder;
    let review = Review { facts, goal, task, attempt, holder, request };
    let Some(choice) = &request.choice else {
        return if request.approves() {
            accept(unit, review).await
        } else {
            reject(unit, review).await
        };
    };
    let (approval, action) = (facts.approval_id, choice.action);
    store::approvals::reviews::set_choice(unit.tx(), approval, action).await?;
    match action {
        ReviewChoice::Accept => accept(unit, review).await,
        ReviewChoice::Reassign => reassign(unit, review, choice).await,
        ReviewChoice::Split => split(unit, review, choice).await,
        ReviewChoice::Cancel => cancel(unit, review).await,
    }
}

async fn accept(unit: &mut Unit, review: Review<'_>) -> Result<()> {
    let now = unit.now();
    let (task, attempt) = (review.task.task_id, review.attempt);
    let mut criteria = store::approvals::reviews::shown(unit.tx(), task, attempt).await?;
    let acting = unit.acting();
    let (key, person) = (acting.key, acting.person.clone());
    // Nobody approved what was accepted because its time ran out.
    let by_person = key.is_some() || person.is_some() || acting.link.is_some();
    let demanded = by_person && criteria.iter().any(|criterion| criterion.person);
    if by_person {
        criteria = approved_by_person(&criteria);
    }
    let waive = &review.request.waive;
    check_waivers(&criteria, waive)?;
    let decider = Decider { key, person, ..Decider::NOBODY };
    let approval_id = review.facts.approval_id;
    let waiving = Waiving { attempt_id: attempt, approval_id, decider: &decider };
    if !waive.is_empty() {
        store::approvals::reviews::waive(unit.tx(), &waiving, waive).await?;
    }
    if demanded {
        let reason = review.request.reason.as_deref();
        store::approvals::reviews::approve(unit.tx(), task, &waiving, reason).await?;
    }
    if review.request.reason.is_some() {
        say(unit, &review).await?;
    }
    let ending = review::review(&review.task, true, now);
    end(unit, review, ending).await
}

async fn reject(unit: &mut Unit, review: Review<'_>) -> Result<()> {
    say(unit, &review).await?;
    let (now, task) = (unit.now(), review.task.task_id);
    let (reworks, rejection) = review::rejected(&review.task, now);
    store::approvals::reviews::set_reworks(unit.tx(), task, reworks).await?;
    match rejection {
        Rejection::Again(ending) => end(unit, review, ending).await,
        Rejection::Choose => ask(unit, &review, reworks).await,
    }
}

/// Requests a choice about a task without a round left. The approval shows the same result again,
/// with the last feedback.
async fn ask(unit: &mut Unit, review: &Review<'_>, reworks: i32) -> Result<()> {
    let Review { facts, goal: _, task, attempt, holder: _, request } = review;
    let mut payload = facts.payload.clone().unwrap_or_else(|| json!({}));
    payload["rejections"] = json!(reworks);
    payload["rejected_for"] = json!({"reason": request.reason, "feedback": request.feedback});
    let question = NewApproval {
        task_id: Some(task.task_id),
        attempt_id: Some(*attempt),
        payload: Some(payload),
        last_round: true,
        ..NewApproval::new(unit.id(), ApprovalKind::Result, task.goal_id)
    };
    ask::ask(unit, vec![question]).await
}

/// One more round, by another agent.
async fn reassign(unit: &mut Unit, review: Review<'_>, choice: &Choice) -> Result<()> {
    say(unit, &review).await?;
    let (now, task, request) = (unit.now(), review.task.clone(), review.request);
    let holder = review.holder;
    one_more_round(unit, &task).await?;
    let ending = review::review(&task, false, now);
    end(unit, review, ending).await?;
    takeover::keep_from(unit, &task, choice.agent_id, holder, request.reason()).await
}

/// Subtasks first, then one more round.
async fn split(unit: &mut Unit, review: Review<'_>, choice: &Choice) -> Result<()> {
    say(unit, &review).await?;
    one_more_round(unit, &review.task).await?;
    let ids =
        subtasks::add(unit, review.goal, &review.task, &choice.tasks, "/choice/tasks").await?;
    create::of_tasks(unit, &ids, &choice.tasks).await?;
    let ending = review::split(&review.task);
    end(unit, review, ending).await
}

async fn cancel(unit: &mut Unit, review: Review<'_>) -> Result<()> {
    let reason = not_accepted(review.request);
    let changes = cascade::cancel(unit, &[review.task.task_id], &reason).await?;
    cascade::apply(unit, changes).await
}

async fn one_more_round(unit: &mut Unit, task: &TaskFacts) -> Result<()> {
    let reworks = review::one_more_round(task);
    Ok(store::approvals::reviews::set_reworks(unit.tx(), task.task_id, reworks).await?)
}

/// Stores the reason and feedback for the next attempt.
async fn say(unit: &mut Unit, review: &Review<'_>) -> Result<()> {
    let request = review.request;
    let attempt = review.attempt;
    let (reason, points) = (request.reason.as_deref(), json!(request.feedback));
    Ok(store::approvals::reviews::add_feedback(unit.tx(), attempt, reason, &points).await?)
}

/// The recorded reason for a task without an accepted result: rejected, or timed out.
fn not_accepted(request: &DecisionRequest) -> String {
    format!("its result was not accepted: {}", request.reason())
}

async fn end(unit: &mut Unit, review: Review<'_>, ending: Ending) -> Result<()> {
    let Review { facts: _, goal: _, task, attempt, holder, request } = review;
    store::attempts::end(unit.tx(), &[(attempt, ending.attempt)]).await?;
    let rejects = !request.approves();
    let reason = rejects.then(|| not_accepted(request));
    let change = Change::by_attempt(task, attempt, holder, ending, reason);
    cascade::apply(unit, vec![change]).await
}
