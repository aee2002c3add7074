//! What the model remembers, and what can happen next.

use super::{facts, guards::Guard, properties, rules};
use muster::domain::states::{AttemptState, TaskState};
use stateright::{Model, Property};

/// How much is explored.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub tasks: u8,
    /// Attempts in all.
    pub attempts: usize,
    /// Of the one agent, whose processes all workers are.
    pub max_concurrent: u32,
    /// Whether spend is reported.
    pub spend: bool,
    /// Whether attempts are also failed and released.
    pub endings: bool,
}

/// The protocol, whole or without one of its guards.
#[derive(Debug, Clone)]
pub struct Lease {
    pub bounds: Bounds,
    pub without: Option<Guard>,
}

/// A row of `tasks`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Task {
    pub state: TaskState,
    pub current: Option<usize>,
    pub used: i32,
    pub lost: i32,
    /// How often it was done. Not stored: for the properties.
    pub ends: u8,
}

/// A row of `attempts`, with what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub task: u8,
    pub state: AttemptState,
    /// Whether its lease has run out.
    pub lapsed: bool,
    /// Whether anybody heard of its claim.
    pub told: bool,
    /// The stored answer: what it was ended with, and how.
    pub answer: Option<(Request, AttemptState)>,
    /// The first answer that a request to end it got. Not stored: for the properties.
    pub acknowledged: Option<(Request, AttemptState)>,
    pub entry: bool,
    pub reported: i64,
    /// What was charged in all.
    pub charged: i64,
}

/// What a worker can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    Complete,
    Fail,
    Release,
    Beat,
    /// An entry, always with the same key.
    Entry,
    /// A cumulative total.
    Total(i64),
}

/// A request on its way: whose lease it shows, and the attempt that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Message {
    pub lease: usize,
    pub attempt: usize,
    pub request: Request,
}

/// What a process has looked at without locks, in order to write later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Look {
    /// Which tasks were ready, and how many attempts the agent ran.
    Claim { ready: Vec<u8>, running: u32 },
    /// A silent attempt.
    Expire { attempt: usize, seen: Option<(Task, Attempt)> },
    /// A request that ends an attempt.
    Finish { message: Message, seen: Option<(Task, Attempt)> },
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub tasks: Vec<Task>,
    pub attempts: Vec<Attempt>,
    pub processes: [Option<Look>; 2],
    /// What went wrong that the rows do not show.
    pub wrong: Wrong,
    /// What was seen to be possible.
    pub late_completion: bool,
}

/// What must never happen, noticed when it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Wrong {
    /// A write was accepted that showed a lease older than the newest.
    pub stale_write: bool,
    /// The same request was answered otherwise than before.
    pub other_answer: bool,
    /// A lease was taken away before its end.
    pub early_expiry: bool,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    LookToClaim {
        process: usize,
    },
    LookToExpire {
        process: usize,
        attempt: usize,
    },
    LookToFinish {
        process: usize,
        message: Message,
    },
    /// Locks, judges and writes what the process looked at; an answer may get lost.
    Write {
        process: usize,
        heard: bool,
    },
    /// A request that takes no look before its locks.
    Deliver(Message),
    /// A lease runs out.
    Lapse {
        attempt: usize,
    },
    /// A backoff passes.
    Promote {
        task: u8,
    },
}

impl Model for Lease {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let task = Task { state: TaskState::Ready, current: None, used: 0, lost: 0, ends: 0 };
        vec![State {
            tasks: vec![task; usize::from(self.bounds.tasks)],
            attempts: Vec::new(),
            processes: [None, None],
            wrong: Wrong::default(),
            late_completion: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let finishes = self.finishes(state);
        for process in 0..state.processes.len() {
            // The processes are alike: the second looks only while the first is at work.
            let free = state.processes[process].is_none();
            if free && (process == 0 || state.processes[0].is_some()) {
                let ready = state.tasks.iter().any(|task| task.state == TaskState::Ready);
                if ready && state.attempts.len() < self.bounds.attempts {
                    actions.push(Action::LookToClaim { process });
                }
                for (attempt, row) in state.attempts.iter().enumerate() {
                    if row.state == AttemptState::Running && row.lapsed {
                        actions.push(Action::LookToExpire { process, attempt });
                    }
                }
                let finish =
                    |message: &Message| Action::LookToFinish { process, message: *message };
                actions.extend(finishes.iter().map(finish));
            }
            if !free {
                actions.push(Action::Write { process, heard: true });
                if matches!(state.processes[process], Some(Look::Claim { .. })) {
                    actions.push(Action::Write { process, heard: false });
                }
            }
        }
        actions.extend(self.reports(state).into_iter().map(Action::Deliver));
        for (attempt, row) in state.attempts.iter().enumerate() {
            if row.state == AttemptState::Running && !row.lapsed {
                actions.push(Action::Lapse { attempt });
            }
        }
        for (task, row) in (0..).zip(&state.tasks) {
            if row.state == TaskState::Waiting {
                actions.push(Action::Promote { task });
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        rules::step(self, &mut state, action);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Lease {
    /// Whether the guard is there.
    pub fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    /// Every request to end an attempt that a worker could send.
    fn finishes(&self, state: &State) -> Vec<Message> {
        let mut requests = vec![Request::Complete];
        if self.bounds.endings {
            requests.extend([Request::Fail, Request::Release]);
        }
        messages(state, &requests)
    }

    /// Every other request that a worker could send.
    fn reports(&self, state: &State) -> Vec<Message> {
        let mut requests = vec![Request::Beat];
        if self.bounds.spend {
            requests.extend([Request::Entry, Request::Total(5), Request::Total(9)]);
        }
        messages(state, &requests)
    }
}

/// Any lease that was told, with the attempt it is of or the newest of the task.
fn messages(state: &State, requests: &[Request]) -> Vec<Message> {
    let mut messages = Vec::new();
    for (lease, row) in state.attempts.iter().enumerate().filter(|(_, row)| row.told) {
        let newest = facts::newest(state, row.task).unwrap_or(lease);
        for request in requests {
            messages.push(Message { lease, attempt: lease, request: *request });
            if newest != lease {
                messages.push(Message { lease, attempt: newest, request: *request });
            }
        }
    }
    messages
}
