//! Cycles: claim, report spend, complete, by many agents at once.
//!
//! *Closed loop*, an agent claims again as soon as it has completed: that finds the throughput, and
//! its latencies are those of a queue as long as there are agents. *Open loop*, cycles arrive when
//! a schedule says; the latency of a claim counts from there, also when no agent was free, and the
//! spend and the completion count from when they are sent. A timer is a millisecond coarse, which
//! is in every latency of an open loop.
//!
//! A cycle counts when its completion is answered with 2xx within the window. A latency counts when
//! it began within the window, however late it ended: otherwise the longest would be left out.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    api::{self, ClaimTerms, Lease},
    error::{BenchError, Result},
    fleet::Agent,
    http::Answer,
    statistics::{Latencies, Summary},
};

/// How long a claim waits for work: a dry moment must be no busy loop, nor keep the end waiting.
const WAIT_SECONDS: u32 = 2;
/// Longer than any round of cycles keeps a task.
const LEASE_SECONDS: u32 = 60;

/// When a round begins, and what of it counts.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The beginning of the round.
    pub start: Instant,
    /// From here it counts.
    pub from: Instant,
    /// To here.
    pub until: Instant,
}

impl Window {
    /// A window of `length` that begins after `lead_in`, from now on.
    #[must_use]
    pub fn now(lead_in: Duration, length: Duration) -> Self {
        let start = Instant::now();
        Self { start, from: start + lead_in, until: start + lead_in + length }
    }

    /// Whether an instant counts.
    #[must_use]
    pub fn holds(&self, at: Instant) -> bool {
        self.from <= at && at < self.until
    }

    /// How many things per second `count` are.
    #[must_use]
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / (self.until - self.from).as_secs_f64()
    }
}

/// What the agents of a round did.
#[derive(Debug)]
pub struct Record {
    window: Window,
    claim: Latencies,
    spend: Latencies,
    complete: Latencies,
    cycle: Latencies,
    cycles: u64,
    claimed: u64,
    dry: u64,
    refused: BTreeMap<String, u64>,
    /// Cycles by the second in which they were completed, from the start of the window.
    seconds: Vec<u64>,
}

/// A record that all agents of a round write to; they run on one thread.
pub type Shared = Rc<RefCell<Record>>;

impl Record {
    /// Nothing yet.
    #[must_use]
    pub fn new(window: Window) -> Shared {
        Rc::new(RefCell::new(Self {
            window,
            claim: Latencies::default(),
            spend: Latencies::default(),
            complete: Latencies::default(),
            cycle: Latencies::default(),
            cycles: 0,
            claimed: 0,
            dry: 0,
            refused: BTreeMap::new(),
            seconds: Vec::new(),
        }))
    }

    /// How many tasks were claimed, whether or not it counts.
    #[must_use]
    pub fn claimed(&self) -> u64 {
        self.claimed
    }

    /// Completed cycles by second of the window.
    #[must_use]
    pub fn seconds(&self) -> &[u64] {
        &self.seconds
    }

    fn completed(&mut self, sent: Instant, arrived: Instant) {
        let now = Instant::now();
        if self.window.holds(sent) {
            self.complete.record(now - sent);
        }
        if self.window.holds(arrived) {
            self.cycle.record(now - arrived);
        }
        if !self.window.holds(now) {
            return;
        }
        self.cycles += 1;
        let second = (now - self.window.from).as_secs() as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, 0);
        }
        self.seconds[second] += 1;
    }

    fn refuse(&mut self, verb: &str, answer: &Answer) {
        *self.refused.entry(format!("{verb}: {}", answer.status.as_u16())).or_default() += 1;
    }

    /// What it comes to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome {
            cycles_per_second: self.window.per_second(self.cycles),
            cycles: self.cycles,
            claimed: self.claimed,
            dry_claims: self.dry,
            refused: self.refused.clone(),
            claim: self.claim.summary(),
            spend: self.spend.summary(),
            complete: self.complete.summary(),
            cycle: self.cycle.summary(),
        }
    }
}

/// What a round came to.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Completed cycles per second.
    pub cycles_per_second: f64,
    /// Completed cycles in the window.
    pub cycles: u64,
    /// Tasks claimed in the whole round.
    #[serde(skip)]
    pub claimed: u64,
    /// Claims that found nothing within their wait. Above zero the supply was the limit.
    pub dry_claims: u64,
    /// Refused requests, by verb and status.
    pub refused: BTreeMap<String, u64>,
    /// Latency of claims.
    pub claim: Summary,
    /// Latency of reports of spend.
    pub spend: Summary,
    /// Latency of completions.
    pub complete: Summary,
    /// From the claim, or its scheduled arrival, to the answer of the completion.
    pub cycle: Summary,
}

impl Outcome {
    /// Says when the work ran out or requests were refused: then the figures mean something else.
    pub fn warn_unless_clean(&self) {
        if self.dry_claims > 0 || !self.refused.is_empty() {
            tracing::warn!(dry = self.dry_claims, refused = ?self.refused, "not a clean round");
        }
    }
}

/// How the cycles of a round begin.
#[derive(Debug, Clone)]
pub enum Pace {
    /// As soon as the agent is free.
    Closed,
    /// When the schedule says, counted from the start of the round; whoever is free takes the next.
    Open(Rc<Schedule>),
}

/// Arrivals that are taken one by one.
#[derive(Debug)]
pub struct Schedule {
    arrivals: Vec<Duration>,
    next: Cell<usize>,
}

impl Schedule {
    /// Arrivals in their order.
    #[must_use]
    pub fn new(arrivals: Vec<Duration>) -> Rc<Self> {
        Rc::new(Self { arrivals, next: Cell::new(0) })
    }

    fn take(&self) -> Option<Duration> {
        let next = self.next.get();
        self.next.set(next + 1);
        self.arrivals.get(next).copied()
    }
}

/// Lets the agents work until the window is over, and gives them back when each has completed what
/// it had claimed. `max` is the number of tasks of one claim.
///
/// # Errors
/// When a connection fails. Refusals are counted.
pub async fn cycles(
    agents: Vec<Agent>,
    max: u32,
    pace: &Pace,
    record: &Shared,
) -> Result<Vec<Agent>> {
    let terms = ClaimTerms { max, wait_seconds: WAIT_SECONDS, lease_seconds: LEASE_SECONDS };
    let mut works = JoinSet::new();
    for agent in agents {
        works.spawn_local(work(agent, terms, pace.clone(), Rc::clone(record)));
    }
    let mut back = Vec::with_capacity(works.len());
    while let Some(ended) = works.join_next().await {
        back.push(ended.map_err(|_| BenchError::Impossible("an agent panicked".into()))??);
    }
    Ok(back)
}

async fn work(mut agent: Agent, terms: ClaimTerms, pace: Pace, record: Shared) -> Result<Agent> {
    let window = record.borrow().window;
    loop {
        let arrived = match &pace {
            Pace::Closed => Instant::now(),
            Pace::Open(schedule) => {
                let Some(arrival) = schedule.take() else { return Ok(agent) };
                let arrival = window.start + arrival;
                tokio::time::sleep_until(arrival.into()).await;
                arrival
            }
        };
        if arrived >= window.until {
            return Ok(agent);
        }
        for lease in claim(&mut agent, terms, arrived, &record).await? {
            finish(&mut agent, &lease, arrived, &record).await?;
        }
    }
}

async fn claim(
    agent: &mut Agent,
    terms: ClaimTerms,
    arrived: Instant,
    record: &Shared,
) -> Result<Vec<Lease>> {
    let answer = agent.claim(terms).await?;
    let answered = Instant::now();
    let mut record = record.borrow_mut();
    if !answer.status.is_success() {
        record.refuse("claim", &answer);
        return Ok(Vec::new());
    }
    let leases = api::claimed(&answer)?;
    record.claimed += leases.len() as u64;
    if leases.is_empty() {
        record.dry += 1;
    } else if record.window.holds(arrived) {
        record.claim.record(answered - arrived);
    }
    Ok(leases)
}

async fn finish(agent: &mut Agent, lease: &Lease, arrived: Instant, record: &Shared) -> Result<()> {
    let sent = Instant::now();
    let answer = agent.say(lease, "spend", lease.spend()).await?;
    {
        let mut record = record.borrow_mut();
        if !answer.status.is_success() {
            record.refuse("spend", &answer);
        } else if record.window.holds(sent) {
            record.spend.record_since(sent);
        }
    }
    let sent = Instant::now();
    let answer = agent.say(lease, "complete", lease.complete()).await?;
    let mut record = record.borrow_mut();
    if answer.status.is_success() {
        record.completed(sent, arrived);
    } else {
        record.refuse("complete", &answer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happens_in_the_window_counts() {
        let window = Window::now(Duration::ZERO, Duration::from_secs(3600));
        let record = Record::new(window);
        record.borrow_mut().completed(window.start, window.start);
        assert_eq!(record.borrow().outcome().cycles, 1);
        assert_eq!(record.borrow().seconds(), [1]);
        let over = Record::new(Window::now(Duration::ZERO, Duration::ZERO));
        over.borrow_mut().completed(window.start, window.start);
        assert_eq!(over.borrow().outcome().cycles, 0);
        assert!((window.per_second(7200) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_latency_that_ends_after_the_window_counts() {
        let length = Duration::from_millis(1);
        let window = Window::now(Duration::ZERO, length);
        let record = Record::new(window);
        while Instant::now() < window.until {
            std::hint::spin_loop();
        }
        record.borrow_mut().completed(window.start, window.start);
        let outcome = record.borrow().outcome();
        assert_eq!((outcome.cycles, outcome.complete.count, outcome.cycle.count), (0, 1, 1));
    }

    #[test]
    fn an_arrival_is_taken_once_and_in_order() {
        let schedule = Schedule::new(vec![Duration::from_secs(1), Duration::from_secs(2)]);
        assert_eq!(schedule.take(), Some(Duration::from_secs(1)));
        assert_eq!(schedule.take(), Some(Duration::from_secs(2)));
        assert_eq!(schedule.take(), None);
    }
}
