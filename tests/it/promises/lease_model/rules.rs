//! The steps: what the service does in one transaction, with muster's own rules.

use std::collections::HashMap;

use super::{
    facts::{self, AGENT, HOLDER},
    guards::Guard,
    state::{Action, Attempt, Lease, Look, Message, Request, State, Task},
};
use muster::domain::{
    refusal::Refusal,
    spend::{self, UnitSpend, amount::Exact},
    states::{AttemptState, FailureClass, TaskState},
    task::{
        self, AttemptFacts, Ending, Failure, Freed, Next, TaskFacts,
        claim::{self, Candidate, Wish},
        heartbeat,
        release::{Released, release},
    },
};

const JITTER: f64 = 0.5;

pub fn step(model: &Lease, state: &mut State, action: Action) {
    match action {
        Action::LookToClaim { process } => {
            state.processes[process] = Some(look_to_claim(model, state));
        }
        Action::LookToExpire { process, attempt } => {
            let seen = (!model.has(Guard::ExpiryUnderLock)).then(|| rows(state, attempt));
            state.processes[process] = Some(Look::Expire { attempt, seen });
        }
        Action::LookToFinish { process, message } => {
            let locked = model.has(Guard::FinishUnderLock) && model.has(Guard::EndedTaskStays);
            let seen = (!locked).then(|| rows(state, message.attempt));
            state.processes[process] = Some(Look::Finish { message, seen });
        }
        Action::Write { process, heard } => match state.processes[process].take() {
            Some(Look::Claim { ready, running }) => claim(model, state, &ready, running, heard),
            Some(Look::Expire { attempt, seen }) => expire(model, state, attempt, seen),
            Some(Look::Finish { message, seen }) => finish(model, state, message, seen),
            None => {}
        },
        Action::Deliver(message) => report(model, state, message),
        Action::Lapse { attempt } => state.attempts[attempt].lapsed = true,
        Action::Promote { task } => {
            let row = &mut state.tasks[usize::from(task)];
            let facts = facts::of_task(task, row);
            let past = facts.ready_from;
            let freed = task::freed(facts.container, facts.approve_start, past, past);
            assert_eq!(freed, Freed::Ready);
            row.state = freed.state();
        }
    }
}

fn rows(state: &State, attempt: usize) -> (Task, Attempt) {
    let row = state.attempts[attempt].clone();
    (state.tasks[usize::from(row.task)].clone(), row)
}

fn ready(state: &State) -> Vec<u8> {
    let rows = (0..).zip(&state.tasks);
    rows.filter(|(_, row)| row.state == TaskState::Ready).map(|(task, _)| task).collect()
}

fn running(state: &State) -> u32 {
    let running = state.attempts.iter().filter(|row| row.state == AttemptState::Running);
    running.count() as u32
}

/// What is looked at matters only where it is not looked at again under the locks.
fn look_to_claim(model: &Lease, state: &State) -> Look {
    Look::Claim {
        ready: if model.has(Guard::OneLive) { Vec::new() } else { ready(state) },
        running: if model.has(Guard::AgentLimit) { 0 } else { running(state) },
    }
}

fn claim(model: &Lease, state: &mut State, seen: &[u8], seen_running: u32, heard: bool) {
    if state.attempts.len() >= model.bounds.attempts {
        return;
    }
    let ready = if model.has(Guard::OneLive) { ready(state) } else { seen.to_vec() };
    let running = if model.has(Guard::AgentLimit) { running(state) } else { seen_running };
    let wishes = [Wish { agent: AGENT, able: Vec::new(), max: 1 }];
    let candidates: Vec<_> = ready
        .into_iter()
        .map(|task| Candidate { task, required: Vec::new(), keeping: claim::Keeping::Anybody })
        .collect();
    let free = model.bounds.max_concurrent.saturating_sub(running);
    let given = claim::assign(&wishes, &candidates, &HashMap::from([(AGENT, free)]), |_, _| {
        claim::Funding::Granted
    });
    for task in given.into_iter().flatten() {
        let row = &mut state.tasks[usize::from(task)];
        row.state = TaskState::Running;
        row.current = Some(state.attempts.len());
        state.attempts.push(Attempt {
            task,
            state: AttemptState::Running,
            lapsed: false,
            told: heard,
            answer: None,
            acknowledged: None,
            entry: false,
            reported: 0,
            charged: 0,
        });
    }
}

fn expire(model: &Lease, state: &mut State, index: usize, seen: Option<(Task, Attempt)>) {
    let (task, attempt) = seen.unwrap_or_else(|| rows(state, index));
    let facts = (facts::of_task(attempt.task, &task), facts::of_attempt(index, &attempt));
    let Some(mut ending) = task::expire(&facts.0, &facts.1, JITTER, facts::now(&attempt)) else {
        return;
    };
    if !model.has(Guard::ExpiryCounts) {
        ending.attempts_used = task.used;
        ending.lost_in_row = task.lost;
        ending.next = Next::Retry(facts::now(&attempt));
    }
    let early = !state.attempts[index].lapsed;
    if apply(model, state, index, ending) && early {
        state.wrong.early_expiry = true;
    }
}

/// Completing, failing and releasing, in the order of the service's own judgement.
fn finish(model: &Lease, state: &mut State, message: Message, seen: Option<(Task, Attempt)>) {
    let index = message.attempt;
    let (task, attempt) = seen.unwrap_or_else(|| rows(state, index));
    let before = state.attempts[index].acknowledged;
    let answer = match judge(model, message, &task, &attempt) {
        Ok(Verdict::Given(answer)) => Some(answer),
        Ok(Verdict::New(ending)) => {
            let late = attempt.state == AttemptState::Expired;
            if !apply(model, state, index, ending) {
                return;
            }
            note_write(state, message);
            state.late_completion |= late;
            let row = &mut state.attempts[index];
            row.answer = Some((message.request, ending.attempt));
            Some(ending.attempt)
        }
        // Whoever shows another lease is told nothing of this attempt.
        Err(_) if message.lease != index => return,
        Err(_) => None,
    };
    match (before, answer) {
        (Some((request, told)), answer) if request == message.request => {
            state.wrong.other_answer |= answer != Some(told);
        }
        (None, Some(answer)) => {
            state.attempts[index].acknowledged = Some((message.request, answer));
        }
        (Some(_), _) | (None, None) => {}
    }
}

enum Verdict {
    Given(AttemptState),
    New(Ending),
}

fn judge(
    model: &Lease,
    message: Message,
    task: &Task,
    attempt: &Attempt,
) -> Result<Verdict, Refusal> {
    let mut task_facts = facts::of_task(attempt.task, task);
    let mut facts = facts::of_attempt(message.attempt, attempt);
    let lease = shown(model, message);
    task::own(&facts, HOLDER, &lease)?;
    if let Some((request, answer)) = attempt.answer
        && request == message.request
        && model.has(Guard::StoredAnswer)
    {
        return Ok(Verdict::Given(answer));
    }
    let now = facts::now(attempt);
    let ending = match message.request {
        Request::Complete => {
            if !model.has(Guard::UntouchedTask) {
                untouched(&mut task_facts, &facts);
            }
            task::complete(&task_facts, &facts, HOLDER, &lease)?
        }
        Request::Fail => {
            fence(model, &mut facts, &lease)?;
            let failure =
                Failure { class: FailureClass::Transient, retryable: None, retry_after: None };
            task::fail(&task_facts, &facts, failure, JITTER, now)
        }
        Request::Release | Request::Beat | Request::Entry | Request::Total(_) => {
            fence(model, &mut facts, &lease)?;
            // Pauses between releases are a matter of time, which the model leaves out.
            release(&task_facts, Released::AfterProgress, JITTER, now)
        }
    };
    Ok(Verdict::New(ending))
}

/// The token as the service takes it.
fn shown(model: &Lease, message: Message) -> [u8; 32] {
    let lease = if model.has(Guard::LeaseToken) { message.lease } else { message.attempt };
    facts::lease(lease)
}

fn fence(model: &Lease, facts: &mut AttemptFacts, lease: &[u8; 32]) -> Result<(), Refusal> {
    if !model.has(Guard::AttemptState) {
        facts.state = AttemptState::Running;
    }
    task::fence(facts, HOLDER, lease)
}

fn untouched(task: &mut TaskFacts, attempt: &AttemptFacts) {
    task.current_attempt = Some(attempt.attempt_id);
    task.state = TaskState::Ready;
}

/// Writes an ending; not for a task that has ended, when the whole transaction is taken back.
fn apply(model: &Lease, state: &mut State, index: usize, ending: Ending) -> bool {
    let now = facts::now(&state.attempts[index]);
    let task = &mut state.tasks[usize::from(state.attempts[index].task)];
    if task.state.is_terminal() && model.has(Guard::EndedTaskStays) {
        return false;
    }
    task.state = match ending.next {
        Next::Done => TaskState::Done,
        Next::Review => TaskState::Reviewing,
        Next::Failed(_) => TaskState::Failed,
        Next::Cancelled => TaskState::Cancelled,
        Next::Park => TaskState::Parked,
        Next::Retry(at) if at > now => TaskState::Waiting,
        Next::Retry(_) => TaskState::Ready,
    };
    task.used = ending.attempts_used;
    task.lost = ending.lost_in_row;
    task.ends += u8::from(ending.next == Next::Done);
    state.attempts[index].state = ending.attempt;
    true
}

/// A write of an attempt was accepted: it must have shown the newest lease of the task.
fn note_write(state: &mut State, message: Message) {
    let newest = facts::newest(state, state.attempts[message.lease].task);
    state.wrong.stale_write |= newest != Some(message.lease);
}

/// Heartbeats and spend, which lock the attempt and nothing else.
fn report(model: &Lease, state: &mut State, message: Message) {
    let index = message.attempt;
    let mut facts = facts::of_attempt(index, &state.attempts[index]);
    let lease = shown(model, message);
    match message.request {
        Request::Beat => {
            if fence(model, &mut facts, &lease).is_err() {
                return;
            }
            note_write(state, message);
            let now = facts::now(&state.attempts[index]);
            let row = &mut state.attempts[index];
            row.lapsed = row.lapsed && heartbeat::renewed(&facts, now) <= now;
        }
        Request::Entry => {
            let row = &mut state.attempts[index];
            if task::own(&facts, HOLDER, &lease).is_ok()
                && !(row.entry && model.has(Guard::EntryKey))
            {
                row.entry = true;
                row.charged += 1;
            }
        }
        Request::Total(total) => {
            if task::own(&facts, HOLDER, &lease).is_err() {
                return;
            }
            let row = &mut state.attempts[index];
            let before = UnitSpend { reported: row.reported, ..UnitSpend::default() };
            let before = if model.has(Guard::TotalRise) { before } else { UnitSpend::default() };
            if let Some(rise) = spend::rise("usd_micros", Exact::whole(total), before) {
                row.charged += rise.amount;
                row.reported = row.reported.max(total);
            }
        }
        Request::Complete | Request::Fail | Request::Release => {}
    }
}
