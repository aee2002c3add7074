//! Answers of earlier tasks: a task is done with the result of one that had solved it.
//!
//! The effects are those of every completion: an attempt is accepted with the result and evidence that names the earlier
//! task, dependents are satisfied, the goal goes on. So nothing that reads results has to know of answers.
//!
//! - **The holder of an attempt** accepts an answer instead of completing it. Its request is judged as a completion. Evidence
//!   of an agent that looked at an earlier result shows nothing that has to be checked: if a required criterion demands
//!   more than a claim, only an operator may accept.
//! - **An operator** accepts an answer for a task that nobody works on. An attempt is begun and accepted in the same
//!   transaction, without a reservation, because nothing is spent. Required criteria that an answer cannot show are waived
//!   by an approval that the operator decides, so whoever posted the goal or is otherwise excluded from its decisions may
//!   not do it. If the result needs a person's approval, or a criterion does, the answer is submitted, and the approval
//!   decides.
//! - What the earlier task had used counts as saved.
//!
//! A result that is pruned, missing or larger than a result may be is replaced by its digest.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    finish::{
        answer::{CompleteRequest, EvidenceInput, FinishAnswer},
        command::{Finish, FinishCommand, Judged},
        transaction::{Judgement, answer, hold as hold_batch, judge, write},
    },
    start::{begun, new_attempt},
    takeover::hold,
};
use crate::{
    app::{
        App, Result, Unit,
        access::lease,
        approvals::ask::withdraw_questions,
        artifacts::refer,
        caller::{Caller as _, HolderCaller, Principal, ProjectOperatorCaller},
        knowledge::answers::saving,
        tasks::{cascade, change::Change},
        unit::{
            idempotency::{Outcome, Request},
            locks::{find, locked},
        },
    },
    domain::{
        access::scope::Scope,
        approval::{
            Verdict,
            excluded::{Decider, separate},
            review::Waiver,
        },
        criterion::{self, Criterion, CriterionType, EvidenceTier},
        freeze::{self, Act},
        ids::{AttemptId, GoalId, LessonId, ProjectId, TaskId},
        journal::{Kind, NewRow},
        refusal::{Code, FieldError, Refusal},
        settings,
        states::{ApprovalKind, AttemptState, TaskState},
        task::{
            Ending, Next, TaskFacts,
            holder::Holder,
            lease::LeaseTerms,
            takeover::{Taking, take_answer},
        },
    },
    store::{
        self, Hold, Tx,
        approvals::{Decision, NewApproval, reviews::Waiving},
        attempts::{claim::ReadyTask, results::NewEvidence},
        knowledge::answers::{AnswerRow, NewAccepted},
    },
};

/// Closes a task with the result of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptAnswerRequest {
    /// Digest of the earlier task: one of `GET /v1/tasks/{task_id}/answers`.
    pub lesson_id: LessonId,
    /// Reason, for people. At most 16 KiB.
    #[serde(default)]
    #[schema(example = "the importer is the same")]
    pub reason: String,
}

/// Completes an attempt with the result of an earlier task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptAnswerInAttempt {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// Digest of the earlier task: one of `solved` in the claim.
    pub lesson_id: LessonId,
}

/// A task that has the result of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AnsweredTask {
    /// Id of the task.
    pub task_id: TaskId,
    /// `done`; `reviewing` if its result needs an approval, which is asked for.
    pub task_state: TaskState,
    /// The attempt that has the result: `GET /v1/attempts/{attempt_id}`.
    pub attempt_id: AttemptId,
    /// The earlier task.
    pub answered_by: TaskId,
    /// Its digest.
    pub lesson_id: LessonId,
    /// What the earlier task had cost, in millionths of a US dollar.
    pub saved_usd_micros: i64,
    /// Tokens that it had used.
    pub saved_tokens: i64,
    /// Time that its attempts had taken, in milliseconds.
    pub saved_wall_ms: i64,
}

impl App {
    /// Closes a task that nobody works on with the result of an earlier one.
    ///
    /// # Errors
    /// `not_found`, `invalid`, `task_ended`, `goal_ended`, `wrong_state`, `frozen`, `separation_of_duties`.
    pub async fn accept_answer(
        &self,
        caller: &ProjectOperatorCaller,
        task: TaskId,
        asked: &AcceptAnswerRequest,
        request: Option<&Request>,
    ) -> Result<Outcome<AnsweredTask>> {
        let principal = caller.principal();
        self.see_task(principal, task).await?;
        self.create(principal, request, Hold::Share, async |unit| {
            if asked.reason.len() > settings::MESSAGE_BYTES {
                return Err(Refusal::invalid_at("/reason", "must have at most 16 KiB").into());
            }
            let facts = hold(unit, task, None).await?;
            by_operator(unit, principal, facts, asked).await
        })
        .await
    }

    /// Completes a running attempt with the result of an earlier task.
    ///
    /// # Errors
    /// `not_found`, `not_your_attempt`, `lease_lost`, `frozen`, `already_completed`, `evidence_missing`, `invalid`;
    /// nothing is stored then.
    pub async fn accept_answer_in_attempt(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        asked: &AcceptAnswerInAttempt,
        request: Option<&Request>,
    ) -> Result<Outcome<AnsweredTask>> {
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            by_holder(unit, caller, attempt, asked).await
        })
        .await
    }
}

/// An answer that may be accepted for a task.
struct Answer {
    row: AnswerRow,
    result: Value,
    artifacts: Vec<crate::domain::artifact::digest::ArtifactDigest>,
    usd_micros: i64,
    tokens: i64,
    wall_ms: i64,
}

impl Answer {
    /// Reads an answer that is seen in the project of a task, or by the scope of a person.
    async fn read(
        tx: &mut Tx,
        lesson: LessonId,
        task: TaskId,
        project: Option<ProjectId>,
        scope: Option<&Scope>,
    ) -> Result<Self> {
        let refused = || {
            let detail =
                "there is no digest of a done task with this id that could answer this one";
            Refusal::invalid_at("/lesson_id", detail)
        };
        let row = store::knowledge::answers::find(tx, lesson).await?.ok_or_else(refused)?;
        let seen = match scope {
            Some(scope) => scope.sees(row.project_id),
            None => row.project_id.is_none() || row.project_id == project,
        };
        if !seen || row.task_id == task {
            return Err(refused().into());
        }
        let artifacts = match row.attempt_id {
            Some(attempt) => store::knowledge::answers::artifacts(tx, attempt).await?,
            None => Vec::new(),
        };
        let used = store::knowledge::answers::used(tx, &[row.task_id]).await?;
        let (usd_micros, tokens, wall_ms) = saving(used.get(&row.task_id));
        let result = result_of(&row);
        Ok(Self { row, result, artifacts, usd_micros, tokens, wall_ms })
    }

    /// What is said as evidence.
    fn says(&self) -> String {
        let AnswerRow { task_id, lesson_id, title, .. } = &self.row;
        format!("solved before: task {task_id} ({title}), digest {lesson_id}")
    }

    fn view(&self, task: TaskId, state: TaskState, attempt: AttemptId) -> AnsweredTask {
        AnsweredTask {
            task_id: task,
            task_state: state,
            attempt_id: attempt,
            answered_by: self.row.task_id,
            lesson_id: self.row.lesson_id,
            saved_usd_micros: self.usd_micros,
            saved_tokens: self.tokens,
            saved_wall_ms: self.wall_ms,
        }
    }
}

/// The result of the earlier task, or its digest.
fn result_of(row: &AnswerRow) -> Value {
    let fits = |result: &&Value| result.to_string().len() <= settings::JSON_BYTES;
    let stands = row.result.as_ref().filter(|result| !result.is_null()).filter(fits);
    stands.cloned().unwrap_or_else(
        || json!({"task_id": row.task_id, "lesson_id": row.lesson_id, "digest": row.body}),
    )
}

/// Whether an answer shows a criterion: text of no particular tier.
fn is_shown(criterion: &Criterion) -> bool {
    criterion.r#type == CriterionType::Text && criterion.min_tier == EvidenceTier::Claimed
}

/// The project of a task that may be answered.
///
/// # Errors
/// `wrong_state` for a task that the service made: its result is a plan or a judgement about other work.
async fn project_of(unit: &mut Unit, task: TaskId) -> Result<Option<ProjectId>> {
    let subject = store::knowledge::answers::subjects(unit.tx(), &[task]).await?.remove(&task);
    let subject = subject.ok_or_else(|| Refusal::not_found("task"))?;
    if subject.has_purpose {
        let detail = "the task plans, verifies, checks or reworks: no earlier result is about that";
        return Err(Refusal::new(Code::WrongState, detail).into());
    }
    Ok(subject.project_id)
}

async fn criteria_of(unit: &mut Unit, task: TaskId) -> Result<Vec<Criterion>> {
    let rows = store::attempts::results::criteria(unit.tx(), &[task]).await?;
    Ok(rows.into_iter().map(|(_, criterion)| criterion).collect())
}

/// A completion with the answer, and evidence for the criteria that it shows.
fn completion(answer: &Answer, criteria: &[Criterion], lease: String) -> CompleteRequest {
    let evidence = criteria.iter().filter(|criterion| criterion.required && is_shown(criterion));
    let evidence = evidence.map(|criterion| EvidenceInput {
        criterion: Some(criterion.number),
        met: true,
        text: answer.says(),
        uri: None,
        artifact: None,
        value: None,
        exit_code: None,
    });
    CompleteRequest {
        lease,
        result: Some(answer.result.clone()),
        evidence: evidence.collect(),
        artifacts: answer.artifacts.clone(),
        ..CompleteRequest::default()
    }
}

/// The holder of an attempt completes it with an answer.
async fn by_holder(
    unit: &mut Unit,
    caller: &HolderCaller,
    attempt: AttemptId,
    asked: &AcceptAnswerInAttempt,
) -> Result<AnsweredTask> {
    let principal = caller.principal();
    let places = store::attempts::locate(unit.tx(), &[attempt]).await?;
    let place = places.first().copied().ok_or_else(|| Refusal::not_found("attempt"))?;
    let project = project_of(unit, place.task_id).await?;
    let found = Answer::read(unit.tx(), asked.lesson_id, place.task_id, project, None).await?;
    let criteria = criteria_of(unit, place.task_id).await?;
    refuse_demanding(&criteria)?;
    let request = completion(&found, &criteria, asked.lease.clone());
    let command = FinishCommand {
        workspace: principal.workspace,
        actor: principal.actor(),
        holder: caller.holder(),
        attempt,
        lease_sha256: lease::hash(&asked.lease),
        request_sha256: super::finish::fingerprint("accept-answer", asked)?,
        finish: Finish::Complete(request),
    };
    let batch = [command];
    let held = hold_batch(unit, &batch).await?;
    let judged = match judge(unit, &batch[0], &held)? {
        // The same request again: everything is written.
        Judgement::Given(FinishAnswer { task_id, task_state, attempt_id, .. }) => {
            return Ok(found.view(task_id, task_state, attempt_id));
        }
        Judgement::New(judged) => judged,
    };
    let view = found.view(place.task_id, judged.answer.task_state, attempt);
    let goal = place.goal_id;
    write(unit, &[judged]).await?;
    keep(unit, principal, &found, goal, &view, caller.holder(), "").await?;
    Ok(view)
}

/// Refuses an agent's word where a required criterion demands more.
fn refuse_demanding(criteria: &[Criterion]) -> Result<()> {
    let is_by_schema = |criterion: &&Criterion| criterion.r#type == CriterionType::JsonSchema;
    let demanding = criteria
        .iter()
        .filter(|criterion| criterion.required && !is_shown(criterion) && !is_by_schema(criterion));
    let numbers: Vec<String> = demanding.map(|criterion| criterion.number.to_string()).collect();
    if numbers.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "the required criteria {} demand evidence that an earlier result is not; complete the attempt, or let an \
         operator accept the answer when nobody works on the task",
        numbers.join(", ")
    );
    let errors = vec![FieldError::new("/lesson_id", &detail)];
    Err(Refusal::at(Code::EvidenceMissing, detail, errors).into())
}

/// An operator closes a task with an answer. The task and its goal are locked.
async fn by_operator(
    unit: &mut Unit,
    principal: &Principal,
    task: TaskFacts,
    asked: &AcceptAnswerRequest,
) -> Result<AnsweredTask> {
    let (now, id, goal) = (unit.now(), task.task_id, task.goal_id);
    let waits = store::attempts::takeover::waits(unit.tx(), id).await?;
    let taking = take_answer(&task, waits)?;
    let frozen = store::attempts::takeover::frozen(unit.tx(), id).await?;
    freeze::admit(frozen, Act::Rest)?;
    let project = project_of(unit, id).await?;
    let scope = Some(&principal.scope);
    let found = Answer::read(unit.tx(), asked.lesson_id, id, project, scope).await?;
    let criteria = criteria_of(unit, id).await?;
    let reviewed = task.approve_result || criterion::needs_of(&criteria).person;
    let lacking: Vec<i16> = criteria
        .iter()
        .filter(|criterion| criterion.required && !is_shown(criterion))
        .map(|criterion| criterion.number)
        .collect();
    let waiving = !reviewed && !lacking.is_empty();
    let excluded = match waiving {
        // Before the attempt begins: accepting an answer makes nobody its author.
        true => separated(unit, principal, &task).await?,
        false => None,
    };
    offer(unit, task.clone(), taking, now).await?;
    let holder = Holder::Key(principal.key);
    let attempt = begin(unit, id, holder, now).await?;
    let facts = locked(unit, &[attempt]).await?;
    let facts = find(&facts, attempt)?;
    let task = store::tasks::lock(unit.tx(), &[id]).await?.into_iter().next();
    let task = task.ok_or_else(|| Refusal::not_found("task"))?;
    let ending = match reviewed {
        true => (AttemptState::Submitted, Next::Review),
        false => (AttemptState::Accepted, Next::Done),
    };
    let ending = Ending {
        lost_in_row: 0,
        released_in_row: 0,
        ..Ending::unchanged(&task, ending.0, ending.1)
    };
    let artifacts = refer::known(unit, found.artifacts.iter().copied()).await?;
    let mut request = completion(&found, &criteria, String::new());
    request.artifacts.retain(|digest| artifacts.contains_key(digest));
    let evidence = evidence_of(&request, &task, attempt);
    let command = FinishCommand {
        workspace: principal.workspace,
        actor: principal.actor(),
        holder,
        attempt,
        lease_sha256: [0; 32],
        request_sha256: super::finish::fingerprint("accept-answer", asked)?,
        finish: Finish::Complete(request),
    };
    let answer = answer(facts, ending, now);
    let view = found.view(id, answer.task_state, attempt);
    let judged = Judged {
        command: &command,
        attempt: facts,
        task: &task,
        ending,
        answer,
        evidence,
        checks: false,
    };
    write(unit, &[judged]).await?;
    if let Some(question) = excluded {
        waive(unit, principal, question, attempt, &lacking, &asked.reason).await?;
    }
    keep(unit, principal, &found, goal, &view, holder, &asked.reason).await?;
    Ok(view)
}

/// The approval by which an operator waives criteria, if nothing excludes the operator from decisions about the task.
///
/// # Errors
/// `separation_of_duties`.
async fn separated(
    unit: &mut Unit,
    principal: &Principal,
    task: &TaskFacts,
) -> Result<Option<NewApproval>> {
    let question = NewApproval {
        task_id: Some(task.task_id),
        ..NewApproval::new(unit.id(), ApprovalKind::Result, task.goal_id)
    };
    let asked = [question];
    let mut excluded = store::approvals::excluded::excluded(unit.tx(), &asked).await?;
    let [question] = asked;
    let found = excluded.remove(&question.approval_id).unwrap_or_default();
    let excluded: Vec<_> = found.into_iter().collect();
    separate(&excluded, &principal.decider())?;
    Ok(Some(NewApproval { excluded, ..question }))
}

/// Makes the task ready, whatever it waited for.
async fn offer(unit: &mut Unit, task: TaskFacts, taking: Taking, now: DateTime<Utc>) -> Result<()> {
    let id = task.task_id;
    store::spend::waits::forget_task(unit.tx(), id).await?;
    match taking {
        Taking::Nothing | Taking::Revoke => return Ok(()),
        Taking::Withdraw => {
            withdraw_questions(unit, &[id], "the task was answered by an earlier one").await?;
        }
        Taking::Offer => {}
    }
    cascade::apply(unit, vec![Change::of_task(task, Next::Retry(now), None)]).await
}

/// Begins an attempt that ends in the same transaction. It reserves nothing and holds no grants.
async fn begin(
    unit: &mut Unit,
    task: TaskId,
    holder: Holder,
    now: DateTime<Utc>,
) -> Result<AttemptId> {
    let offered = store::attempts::takeover::offered(unit.tx(), task).await?;
    let timeout = settings::TAKEOVER_TIMEOUT.as_millis() as i64;
    let ready = ReadyTask { attempt_timeout_ms: Some(timeout), ..offered };
    let mut started = new_attempt(unit, holder, LeaseTerms::default(), &ready);
    // A deadline that has passed does not keep a task open that is done.
    let soon = now + TimeDelta::milliseconds(started.attempt.lease_ms);
    started.attempt.hard_deadline = started.attempt.hard_deadline.max(soon);
    started.attempt.lease_expires_at = soon;
    unit.record(begun(&started.attempt));
    let id = started.attempt.attempt_id;
    store::attempts::start(unit.tx(), &[started.attempt]).await?;
    Ok(id)
}

fn evidence_of(
    request: &CompleteRequest,
    task: &TaskFacts,
    attempt: AttemptId,
) -> Vec<NewEvidence> {
    let numbered = request.evidence.iter().zip(1_i16..);
    let rows = numbered.map(|(evidence, number)| NewEvidence {
        attempt_id: attempt,
        number,
        criterion: evidence.criterion,
        met: true,
        text: evidence.text.clone(),
        uri: None,
        artifact: None,
        value: None,
        exit_code: None,
        tier: EvidenceTier::Claimed,
        criteria_version: task.criteria_version,
    });
    rows.collect()
}

/// Waives criteria that an answer does not show, by an approval that is decided with it.
async fn waive(
    unit: &mut Unit,
    principal: &Principal,
    question: NewApproval,
    attempt: AttemptId,
    criteria: &[i16],
    reason: &str,
) -> Result<()> {
    let approval = question.approval_id;
    let (goal, task) = (question.goal_id, question.task_id);
    let question = NewApproval { attempt_id: Some(attempt), ..question };
    let decider: Decider = principal.decider();
    store::approvals::insert(unit.tx(), &[question]).await?;
    let said = (!reason.is_empty()).then_some(reason);
    let decision = Decision {
        approval_id: approval,
        verdict: Verdict::Approve,
        reason: said,
        answer: None,
        decider: &decider,
        nobody_else: false,
    };
    store::approvals::decide(unit.tx(), &decision).await?;
    let why = said.unwrap_or("an earlier task had solved it").to_owned();
    let waivers: Vec<Waiver> =
        criteria.iter().map(|number| Waiver { criterion: *number, reason: why.clone() }).collect();
    let waiving = Waiving { attempt_id: attempt, approval_id: approval, decider: &decider };
    store::approvals::reviews::waive(unit.tx(), &waiving, &waivers).await?;
    let row =
        |kind: Kind| NewRow::new(kind).goal(goal).task(task).attempt(attempt).approval(approval);
    unit.record(row(Kind::ApprovalRequested).data(json!({"kind": ApprovalKind::Result})));
    let data = json!({"kind": ApprovalKind::Result, "state": Verdict::Approve.state(),
                      "verdict": Verdict::Approve, "person": decider.person, "waived": criteria});
    unit.record(row(Kind::ApprovalDecided).data(data));
    Ok(())
}

/// Records what was accepted, and what it saved.
async fn keep(
    unit: &mut Unit,
    principal: &Principal,
    answer: &Answer,
    goal: GoalId,
    view: &AnsweredTask,
    holder: Holder,
    reason: &str,
) -> Result<()> {
    let accepted = NewAccepted {
        task_id: view.task_id,
        goal_id: goal,
        source_task: answer.row.task_id,
        lesson_id: answer.row.lesson_id,
        accepted_by: Some(principal.key),
        person: principal.person.clone(),
        agent_id: holder.agent(),
        usd_micros: answer.usd_micros,
        tokens: answer.tokens,
        wall_ms: answer.wall_ms,
    };
    store::knowledge::answers::accept(unit.tx(), &accepted).await?;
    let reason: String = reason.chars().take(300).collect();
    let data = json!({
        "lesson_id": view.lesson_id, "answered_by": view.answered_by, "saved_usd_micros": view.saved_usd_micros,
        "saved_tokens": view.saved_tokens, "saved_wall_ms": view.saved_wall_ms, "reason": reason,
    });
    let row = NewRow::new(Kind::TaskAnswered).goal(goal).task(view.task_id);
    unit.record(row.attempt(view.attempt_id).agent(holder.agent()).data(data));
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn row(result: Option<Value>) -> AnswerRow {
        AnswerRow {
            lesson_id: LessonId(Uuid::nil()),
            project_id: None,
            task_id: TaskId(Uuid::nil()),
            title: "Write the importer".into(),
            body: "It was written.".into(),
            attempt_id: None,
            result,
        }
    }

    #[test]
    fn a_digest_stands_in_for_what_is_no_result() {
        let result = json!({"commit": "4f2a91c"});
        assert_eq!(result_of(&row(Some(result.clone()))), result);
        let large = json!("x".repeat(settings::JSON_BYTES));
        for missing in [None, Some(Value::Null), Some(large)] {
            assert_eq!(result_of(&row(missing))["digest"], "It was written.");
        }
    }
}
