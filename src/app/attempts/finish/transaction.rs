//! Transaction of a batch of ends: lock, judge each command, write.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    answer::{CompleteRequest, Covered, FinishAnswer},
    command::{Finish, FinishCommand, Judged},
};
use crate::{
    app::{
        App, Result, Unit,
        approvals::ask,
        artifacts::refer::{self, References},
        attempts::end::{End, Finished, end_limited},
        budgets::standing,
        caller::Actor,
        coalesce::Batched,
        goals::planning::parts,
        knowledge::handed,
        tasks::checks,
        unit::locks::{self, Locked, find},
    },
    domain::{
        criterion::{self, Criterion, EvidenceTier, evidence::Artifacts},
        freeze::{self, Act, FreezeMode},
        ids::{AgentId, AttemptId, TaskId, WorkspaceId},
        plan::split::{self, Division},
        refusal::{Code, Refusal},
        spend::SpendReport,
        states::{ApprovalKind, AttemptState, FailureClass, TaskState},
        task::{
            self, AttemptFacts, Ending, Failure, Next, TaskFacts, heartbeat,
            holder::Holder,
            independence,
            release::{self, Released},
        },
    },
    store::{
        self,
        approvals::NewApproval,
        attempts::results::{NewEvidence, StoredOutcome},
    },
};

impl Batched for FinishCommand {
    type Context = App;
    type Group = WorkspaceId;
    type Answer = FinishAnswer;
    const KIND: &'static str = "finish";

    fn group(&self) -> WorkspaceId {
        self.workspace
    }

    async fn run(
        app: App,
        workspace: WorkspaceId,
        batch: Vec<Self>,
    ) -> Result<Vec<Result<FinishAnswer>>> {
        let mut unit = app.begin(workspace, Actor::SERVICE).await?;
        let held = hold(&mut unit, &batch).await?;
        let mut seen = HashMap::new();
        let mut judged = Vec::new();
        let mut answers = Vec::with_capacity(batch.len());
        for command in &batch {
            // A second command for the same task finds it as the first one left it: only the same
            // request again has an answer then.
            if let Some((hash, answer)) = seen.get(&command.attempt) {
                answers.push(again(command, hash, answer));
                continue;
            }
            match judge(&unit, command, &held) {
                Ok(Judgement::Given(answer)) => answers.push(Ok(answer)),
                Ok(Judgement::New(new)) => {
                    let answer = new.answer.clone();
                    seen.insert(command.attempt, (command.request_sha256, answer.clone()));
                    answers.push(Ok(answer));
                    judged.push(new);
                }
                Err(refusal) => answers.push(Err(refusal.into())),
            }
        }
        write(&mut unit, &judged).await?;
        app.commit(unit).await?;
        Ok(answers)
    }
}

/// Writes a batch of ends and all their consequences.
pub(in crate::app) async fn write(unit: &mut Unit, judged: &[Judged<'_>]) -> Result<()> {
    if judged.is_empty() {
        return Ok(());
    }
    evidence(unit, judged).await?;
    let limited = limited(judged, unit.now());
    end_limited(unit, judged.iter().map(finished).collect(), Vec::new(), &limited).await?;
    refer::write(unit, &references(judged)).await?;
    let ends = judged.iter().map(|one| {
        let Judged { command, attempt, task, .. } = one;
        handed::Handed {
            attempt: attempt.attempt_id,
            goal: task.goal_id,
            lessons: command.finish.lessons(),
            verdicts: command.finish.verdicts(),
            owner: handed::owner(command.holder, &command.actor),
        }
    });
    let ends: Vec<handed::Handed<'_>> =
        ends.filter(|end| !end.lessons.is_empty() || !end.verdicts.is_empty()).collect();
    handed::write(unit, &ends).await?;
    let oversized: Vec<&Judged<'_>> = judged
        .iter()
        .filter(|judged| judged.command.is_too_large() && judged.ending.next == Next::Park)
        .collect();
    if !oversized.is_empty() {
        let tasks: Vec<TaskId> = oversized.iter().map(|judged| judged.task.task_id).collect();
        store::tasks::split::mark_oversized(unit.tx(), &tasks).await?;
    }
    for judged in oversized {
        parts::begin(unit, judged.task.goal_id, judged.task.task_id).await?;
    }
    reviews(unit, judged).await
}

/// The agents whose provider limits their rate, each once, with the latest time that was said of it.
fn limited(judged: &[Judged<'_>], now: DateTime<Utc>) -> Vec<(AgentId, DateTime<Utc>)> {
    let limited = judged.iter().filter_map(|judged| {
        let failure = judged.command.failure().filter(Failure::is_rate_limit)?;
        Some((judged.attempt.holder.agent()?, now + failure.rate_limit()))
    });
    let limited: BTreeMap<AgentId, DateTime<Utc>> =
        limited.fold(BTreeMap::new(), |mut latest, (agent, until)| {
            let known = latest.entry(agent).or_insert(until);
            *known = until.max(*known);
            latest
        });
    limited.into_iter().collect()
}

/// What the completions of a batch refer to.
fn references(judged: &[Judged<'_>]) -> Vec<References> {
    let of = |judged: &Judged<'_>| {
        let Finish::Complete(request) = &judged.command.finish else { return None };
        let in_evidence: Vec<_> = request.evidence.iter().filter_map(|e| e.artifact).collect();
        if request.artifacts.is_empty() && in_evidence.is_empty() {
            return None;
        }
        let (attempt, goal) = (judged.attempt.attempt_id, judged.task.goal_id);
        Some(References { attempt, goal, in_result: request.artifacts.clone(), in_evidence })
    };
    judged.iter().filter_map(of).collect()
}

fn spend<'a>(judged: &Judged<'a>) -> &'a SpendReport {
    match &judged.command.finish {
        Finish::Complete(request) => &request.spend,
        Finish::Fail(request) => &request.spend,
        Finish::Release(request) => &request.spend,
    }
}

fn class(judged: &Judged<'_>) -> Option<FailureClass> {
    match &judged.command.finish {
        Finish::Fail(request) => Some(request.class),
        Finish::Complete(_) | Finish::Release(_) => None,
    }
}

fn finished<'a>(judged: &Judged<'a>) -> End<'a> {
    let Judged { command, attempt, task, ending, answer, evidence: _, checks: _ } = judged;
    let reason = match ending.next {
        Next::Cancelled => Some("cancelled on request".to_owned()),
        Next::Failed(_) | Next::Retry(_) => command.message(),
        Next::Done | Next::Review | Next::Park => None,
    };
    End {
        failure: class(judged),
        message: command.message(),
        request: Some(Finished {
            answer: json!(answer),
            request_sha256: command.request_sha256,
            result: command.result(),
        }),
        checkpoint: command.checkpoint(),
        spend: Some(spend(judged)),
        actor: Some(command.actor.clone()),
        ..End::new(attempt, (*task).clone(), *ending, reason)
    }
}

async fn evidence(unit: &mut Unit, judged: &[Judged<'_>]) -> Result<()> {
    let rows: Vec<NewEvidence> =
        judged.iter().flat_map(|judged| judged.evidence.iter().cloned()).collect();
    Ok(store::attempts::results::insert_evidence(unit.tx(), &rows).await?)
}

/// The evidence of a completion as it is stored: that of the request, and what the server found.
fn stored(
    request: &CompleteRequest,
    task: &TaskFacts,
    attempt: AttemptId,
    covered: &Covered,
) -> Vec<NewEvidence> {
    let row = |number: i16, criterion: Option<i16>, tier: EvidenceTier, text: String| NewEvidence {
        attempt_id: attempt,
        number,
        criterion,
        met: true,
        text,
        uri: None,
        artifact: None,
        value: None,
        exit_code: None,
        tier,
        criteria_version: task.criteria_version,
    };
    let given =
        request.evidence.iter().zip(&covered.pieces).map(|(evidence, (piece, tier))| NewEvidence {
            met: piece.met,
            uri: evidence.uri.clone(),
            artifact: piece.artifact,
            value: piece.value,
            exit_code: piece.exit_code,
            ..row(0, piece.criterion, *tier, evidence.text.clone())
        });
    let fits = |number: &i16| {
        row(0, Some(*number), EvidenceTier::MachineChecked, "the result fits the schema".to_owned())
    };
    let found = covered.fitting.iter().map(fits);
    let numbered = given.chain(found).zip(1i16..);
    numbered.map(|(evidence, number)| NewEvidence { number, ..evidence }).collect()
}

async fn reviews(unit: &mut Unit, judged: &[Judged<'_>]) -> Result<()> {
    let reviewed: Vec<&Judged<'_>> =
        judged.iter().filter(|judged| judged.ending.next == Next::Review).collect();
    if reviewed.is_empty() {
        return Ok(());
    }
    let tasks: Vec<_> = reviewed.iter().map(|judged| judged.task.task_id).collect();
    // The supervisor judges plans; people are asked about the plan that it takes.
    let plans = store::planning::making_plans(unit.tx(), &tasks).await?;
    let reviewed: Vec<&Judged<'_>> =
        reviewed.into_iter().filter(|judged| !plans.contains(&judged.task.task_id)).collect();
    let (checked, reviewed): (Vec<&Judged<'_>>, Vec<&Judged<'_>>) =
        reviewed.into_iter().partition(|judged| judged.checks);
    let checked: Vec<AttemptId> = checked.iter().map(|judged| judged.attempt.attempt_id).collect();
    checks::begin(unit, &checked).await?;
    if reviewed.is_empty() {
        return Ok(());
    }
    let criteria = store::attempts::results::shown_criteria(unit.tx(), &tasks).await?;
    let question = |judged: &&Judged<'_>| {
        // A reviewer must see the criteria beside the result.
        let mut payload = judged.command.payload();
        payload["criteria"] =
            criteria.get(&judged.task.task_id).cloned().unwrap_or_else(|| json!([]));
        NewApproval {
            task_id: Some(judged.task.task_id),
            attempt_id: Some(judged.attempt.attempt_id),
            payload: Some(payload),
            asked_by: judged.command.actor.key,
            ..NewApproval::new(unit.id(), ApprovalKind::Result, judged.task.goal_id)
        }
    };
    let questions: Vec<NewApproval> = reviewed.iter().map(question).collect();
    ask::ask(unit, questions).await
}

/// Rows of a batch, locked or read under its locks.
#[derive(Debug)]
pub(in crate::app::attempts) struct LockedBatch {
    attempts: HashMap<AttemptId, AttemptFacts>,
    tasks: BTreeMap<TaskId, TaskFacts>,
    outcomes: HashMap<AttemptId, StoredOutcome>,
    criteria: HashMap<TaskId, Vec<Criterion>>,
    frozen: HashMap<AttemptId, FreezeMode>,
    /// Of the attempts to be released.
    released: HashMap<AttemptId, Released>,
    /// Of the tasks that may be offered again, those that wait for a price.
    awaiting: HashSet<TaskId>,
    /// Of the tasks that are said to be too large.
    divisions: HashMap<TaskId, Division>,
    /// Of the artifacts that completions refer to, those that there are.
    artifacts: Artifacts,
    /// Of the checks to be completed, those whose holder may not do them.
    barred: Vec<TaskId>,
    /// The lessons that the attempts were given whose ends say something of some.
    given: handed::Given,
}

pub(in crate::app::attempts) async fn hold(
    unit: &mut Unit,
    batch: &[FinishCommand],
) -> Result<LockedBatch> {
    let ids: Vec<AttemptId> = batch.iter().map(|command| command.attempt).collect();
    let places = store::attempts::locate(unit.tx(), &ids).await?;
    let Locked { goals: _, tasks, attempts } = locks::of_attempts(unit, &places).await?;
    let ids_of_tasks: Vec<TaskId> = tasks.keys().copied().collect();
    let outcomes = store::attempts::results::outcomes(unit.tx(), &ids).await?;
    let mut criteria: HashMap<TaskId, Vec<Criterion>> = HashMap::new();
    for (task, criterion) in store::attempts::results::criteria(unit.tx(), &ids_of_tasks).await? {
        criteria.entry(task).or_default().push(criterion);
    }
    let frozen: HashMap<AttemptId, FreezeMode> =
        places.iter().filter_map(|place| Some((place.attempt_id, place.frozen?))).collect();
    let released = released(unit, batch, &attempts, &frozen).await?;
    let awaiting = awaiting(unit, batch, &attempts).await?;
    let divisions = divisions(unit, batch, &attempts).await?;
    let digests = batch.iter().flat_map(|command| match &command.finish {
        Finish::Complete(request) => request.digests().collect(),
        Finish::Fail(_) | Finish::Release(_) => Vec::new(),
    });
    let artifacts = refer::known(unit, digests).await?;
    let barred = barred(unit, batch, &attempts, &tasks).await?;
    let judging = batch.iter().filter(|command| !command.finish.verdicts().is_empty());
    let judging: Vec<AttemptId> = judging.map(|command| command.attempt).collect();
    let given = handed::Given::read(unit, &judging).await?;
    Ok(LockedBatch {
        artifacts,
        barred,
        given,
        attempts,
        awaiting,
        divisions,
        tasks,
        released,
        frozen,
        outcomes: outcomes.into_iter().map(|outcome| (outcome.attempt_id, outcome)).collect(),
        criteria,
    })
}

/// Of the tasks that a batch gives back, those that wait for a price. Reads nothing without such tasks.
async fn awaiting(
    unit: &mut Unit,
    batch: &[FinishCommand],
    attempts: &HashMap<AttemptId, AttemptFacts>,
) -> Result<HashSet<TaskId>> {
    let given_back = batch.iter().filter(|command| match command.finish {
        Finish::Fail(_) | Finish::Release(_) => true,
        Finish::Complete(_) => false,
    });
    let tasks = given_back.filter_map(|command| Some(attempts.get(&command.attempt)?.task_id));
    let tasks: Vec<TaskId> = tasks.collect();
    if tasks.is_empty() {
        return Ok(HashSet::new());
    }
    Ok(store::spend::waits::of_tasks(unit.tx(), &tasks).await?.into_keys().collect())
}

/// Of the checks that a batch completes, those whose holder may not do them. Reads nothing without checks.
async fn barred(
    unit: &mut Unit,
    batch: &[FinishCommand],
    attempts: &HashMap<AttemptId, AttemptFacts>,
    tasks: &BTreeMap<TaskId, TaskFacts>,
) -> Result<Vec<TaskId>> {
    let completed = batch.iter().filter(|command| matches!(command.finish, Finish::Complete(_)));
    let held = completed.filter_map(|command| {
        let attempt = attempts.get(&command.attempt)?;
        let task = tasks.get(&attempt.task_id).filter(|task| task.checks.is_some())?;
        Some((task.task_id, attempt.holder))
    });
    let held: Vec<(TaskId, Holder)> = held.collect();
    if held.is_empty() {
        return Ok(Vec::new());
    }
    Ok(store::tasks::checks::barred(unit.tx(), &held).await?)
}

/// What is known of the tasks that a batch reports as too large. Reads nothing without such tasks.
async fn divisions(
    unit: &mut Unit,
    batch: &[FinishCommand],
    attempts: &HashMap<AttemptId, AttemptFacts>,
) -> Result<HashMap<TaskId, Division>> {
    let too_large = batch.iter().filter(|command| command.is_too_large());
    let tasks = too_large.filter_map(|command| Some(attempts.get(&command.attempt)?.task_id));
    let tasks: Vec<TaskId> = tasks.collect();
    if tasks.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(store::tasks::split::divisions(unit.tx(), &tasks).await?)
}

/// How the attempts of a batch were that are to be released. Reads nothing if there are none.
async fn released(
    unit: &mut Unit,
    batch: &[FinishCommand],
    attempts: &HashMap<AttemptId, AttemptFacts>,
    frozen: &HashMap<AttemptId, FreezeMode>,
) -> Result<HashMap<AttemptId, Released>> {
    let releases: Vec<(AttemptId, Option<Value>)> = batch
        .iter()
        .filter(|command| matches!(command.finish, Finish::Release(_)))
        .map(|command| (command.attempt, command.checkpoint()))
        .collect();
    if releases.is_empty() {
        return Ok(HashMap::new());
    }
    let now = unit.now();
    let rows = store::attempts::results::before_release(unit.tx(), &releases).await?;
    let standings = standing::of(unit.tx(), rows.iter().map(|row| row.attempt_id)).await?;
    let mut found = HashMap::new();
    for row in rows {
        let Some(attempt) = attempts.get(&row.attempt_id) else { continue };
        let limits = standings.get(&row.attempt_id).map(Vec::as_slice).unwrap_or_default();
        // A cancelled task is not offered again, so it needs no pause.
        let told = heartbeat::directive(attempt, row.started_at, false, row.agent_state, now)
            .max(standing::directive(limits, now));
        let is_frozen = frozen.contains_key(&row.attempt_id);
        let released = Released::of(row.progressed, told, row.agent_state, is_frozen);
        found.insert(row.attempt_id, released);
    }
    Ok(found)
}

pub(in crate::app::attempts) enum Judgement<'a> {
    /// The stored answer to an identical request.
    Given(FinishAnswer),
    /// A new answer, to be written.
    New(Judged<'a>),
}

pub(in crate::app::attempts) fn judge<'a>(
    unit: &Unit,
    command: &'a FinishCommand,
    held: &'a LockedBatch,
) -> std::result::Result<Judgement<'a>, Refusal> {
    let attempt = find(&held.attempts, command.attempt)?;
    let task = held.tasks.get(&attempt.task_id).ok_or_else(|| Refusal::not_found("task"))?;
    task::own(attempt, command.holder, &command.lease_sha256)?;
    if let Some(answer) = answered(command, held) {
        return Ok(Judgement::Given(answer));
    }
    refuse_second_result(command, attempt.state)?;
    let (mut evidence, mut checks) = (Vec::new(), false);
    let ending = match &command.finish {
        Finish::Complete(request) => {
            let ending = task::complete(task, attempt, command.holder, &command.lease_sha256)?;
            independence::admit_holder(held.barred.contains(&task.task_id))?;
            let criteria = held.criteria.get(&task.task_id).map_or(&[][..], Vec::as_slice);
            let needs = criterion::needs_of(criteria);
            let reviewed = task.approve_result || needs.person;
            let covered = request.covers(criteria, &held.artifacts, reviewed)?;
            request.refers(&held.artifacts)?;
            evidence = stored(request, task, attempt.attempt_id, &covered);
            checks = needs.checks();
            if checks || needs.person { task::submitted(ending) } else { ending }
        }
        Finish::Fail(request) => {
            task::fence(attempt, command.holder, &command.lease_sha256)?;
            let plain = Failure { class: request.class, retryable: None, retry_after: None };
            let failure = command.failure().unwrap_or(plain);
            let ending = task::fail(task, attempt, failure, unit.entropy().jitter(), unit.now());
            match held.divisions.get(&task.task_id).filter(|_| command.is_too_large()) {
                Some(division) => split::too_large(ending, *division),
                None => ending,
            }
        }
        Finish::Release(_) => {
            task::fence(attempt, command.holder, &command.lease_sha256)?;
            let released = held.released.get(&command.attempt).copied();
            let released = released.unwrap_or(Released::WithReason);
            release::release(task, released, unit.entropy().jitter(), unit.now())
        }
    };
    held.given.admit(command.attempt, command.finish.verdicts())?;
    freeze::admit(held.frozen.get(&command.attempt).copied(), Act::Rest)?;
    let next = task::held_back(ending.next, held.awaiting.contains(&task.task_id));
    let answer = answer(attempt, Ending { next, ..ending }, unit.now());
    Ok(Judgement::New(Judged { command, attempt, task, ending, answer, evidence, checks }))
}

/// The stored answer to an identical request.
pub(in crate::app::attempts) fn answered(
    command: &FinishCommand,
    held: &LockedBatch,
) -> Option<FinishAnswer> {
    let stored = held.outcomes.get(&command.attempt)?;
    if stored.request_sha256 != command.request_sha256 {
        return None;
    }
    serde_json::from_value(stored.outcome.clone()).ok()
}

/// Refuses a second, different result: `already_completed` instead of `lease_lost`.
pub(in crate::app::attempts) fn refuse_second_result(
    command: &FinishCommand,
    attempt: AttemptState,
) -> std::result::Result<(), Refusal> {
    let completed = matches!(
        attempt,
        AttemptState::Accepted | AttemptState::Submitted | AttemptState::Rejected
    );
    if completed && matches!(command.finish, Finish::Complete(_)) {
        let detail = "this attempt was already completed with another result, which stands";
        return Err(Refusal::new(Code::AlreadyCompleted, detail));
    }
    Ok(())
}

pub(in crate::app::attempts) fn again(
    command: &FinishCommand,
    hash: &[u8; 32],
    answer: &FinishAnswer,
) -> Result<FinishAnswer> {
    if command.request_sha256 == *hash {
        return Ok(answer.clone());
    }
    refuse_second_result(command, answer.attempt_state)?;
    let detail = "another request ended this attempt at the same moment; its answer stands";
    Err(Refusal::new(Code::LeaseLost, detail).into())
}

pub(in crate::app::attempts) fn answer(
    attempt: &AttemptFacts,
    ending: Ending,
    now: DateTime<Utc>,
) -> FinishAnswer {
    let (task_state, retry_at) = match ending.next {
        Next::Done => (TaskState::Done, None),
        Next::Review => (TaskState::Reviewing, None),
        Next::Failed(_) => (TaskState::Failed, None),
        Next::Cancelled => (TaskState::Cancelled, None),
        Next::Park => (TaskState::Parked, None),
        Next::Retry(at) if at > now => (TaskState::Waiting, Some(at)),
        Next::Retry(at) => (TaskState::Ready, Some(at)),
    };
    FinishAnswer {
        attempt_id: attempt.attempt_id,
        attempt_state: ending.attempt,
        task_id: attempt.task_id,
        task_state,
        retry_at,
    }
}
