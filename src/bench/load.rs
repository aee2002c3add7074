//! Cycles of many agents at once: claim, report spend, complete.
//!
//! In a *closed loop* an agent claims again right after its completion. That shows the throughput;
//! its latencies include a queue of all agents. In an *open loop* cycles arrive on a schedule. The
//! latency of a claim counts from its arrival, also while no agent is free; spend and completion
//! count from their sending. Every latency of an open loop has the error of the timer, a millisecond.
//!
//! A cycle counts if its completion is answered with 2xx within the window. A latency counts if it
//! begins within the window, however late it ends; otherwise the longest would be missing.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    api::{self, ClaimTerms, Lease},
    error::Result,
    fleet::Agent,
    http::Answer,
    statistics::{Latencies, Summary},
    together::together,
};

/// Longest wait of a claim: long enough to avoid a busy loop, short enough for the end of a round.
const WAIT_SECONDS: u32 = 2;
/// Longer than any task of a round is held.
const LEASE_SECONDS: u32 = 60;

/// The start of a round and its counted part.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Start of the round.
    pub start: Instant,
    /// Start of the counted part.
    pub from: Instant,
    /// End of the counted part.
    pub until: Instant,
}

impl Window {
    /// A round from now on: the uncounted `lead_in`, then the counted `length`.
    pub fn now(lead_in: Duration, length: Duration) -> Self {
        let start = Instant::now();
        Self { start, from: start + lead_in, until: start + lead_in + length }
    }

    /// Whether an instant is in the counted part.
    pub fn holds(&self, at: Instant) -> bool {
        self.from <= at && at < self.until
    }

    /// The rate of `count` in the counted part, per second.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / (self.until - self.from).as_secs_f64()
    }
}

/// The counts of a round.
#[derive(Debug)]
pub struct Record {
    window: Window,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    claim: Latencies,
    spend: Latencies,
    complete: Latencies,
    cycle: Latencies,
    cycles: u64,
    claimed: u64,
    dry: u64,
    refused: BTreeMap<String, u64>,
    /// Completed cycles of each second of the window.
    seconds: Vec<u64>,
}

/// The record of all agents of a round, which run on one thread.
pub type Shared = Rc<RefCell<Record>>;

impl Record {
    /// An empty record.
    pub fn new(window: Window) -> Shared {
        Rc::new(RefCell::new(Self { window, tally: Tally::default() }))
    }

    /// Claimed tasks, including those outside the window.
    pub fn claimed(&self) -> u64 {
        self.tally.claimed
    }

    /// Completed cycles of each second of the window.
    pub fn seconds(&self) -> &[u64] {
        &self.tally.seconds
    }

    fn claimed_at(&mut self, leases: usize, arrived: Instant) {
        self.tally.claimed += leases as u64;
        if leases == 0 {
            self.tally.dry += 1;
        } else if self.window.holds(arrived) {
            self.tally.claim.record_since(arrived);
        }
    }

    fn spent(&mut self, sent: Instant) {
        if self.window.holds(sent) {
            self.tally.spend.record_since(sent);
        }
    }

    fn completed(&mut self, sent: Instant, arrived: Instant) {
        let (now, Self { window, tally }) = (Instant::now(), self);
        if window.holds(sent) {
            tally.complete.record(now - sent);
        }
        if window.holds(arrived) {
            tally.cycle.record(now - arrived);
        }
        if !window.holds(now) {
            return;
        }
        tally.cycles += 1;
        let second = (now - window.from).as_secs() as usize;
        if tally.seconds.len() <= second {
            tally.seconds.resize(second + 1, 0);
        }
        tally.seconds[second] += 1;
    }

    /// Whether the request was accepted; counts a refusal.
    fn accepts(&mut self, verb: &str, answer: &Answer) -> bool {
        if !answer.status.is_success() {
            let refusal = format!("{verb}: {}", answer.status.as_u16());
            *self.tally.refused.entry(refusal).or_default() += 1;
        }
        answer.status.is_success()
    }

    /// The result of the round.
    pub fn outcome(&self) -> Outcome {
        let tally = &self.tally;
        Outcome {
            cycles_per_second: self.window.per_second(tally.cycles),
            cycles: tally.cycles,
            claimed: tally.claimed,
            dry_claims: tally.dry,
            refused: tally.refused.clone(),
            claim: tally.claim.summary(),
            spend: tally.spend.summary(),
            complete: tally.complete.summary(),
            cycle: tally.cycle.summary(),
        }
    }
}

/// The result of a round.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Completed cycles per second.
    pub cycles_per_second: f64,
    /// Completed cycles in the window.
    pub cycles: u64,
    /// Claimed tasks of the whole round, each of which was completed unless refused.
    #[serde(skip)]
    pub claimed: u64,
    /// Claims that found no task within their wait. Above zero the supply was the limit.
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
    /// Warns of missing work and refused requests, which change the meaning of the figures.
    pub fn warn_unless_clean(&self) {
        if self.dry_claims > 0 || !self.refused.is_empty() {
            tracing::warn!(dry = self.dry_claims, refused = ?self.refused, "not a clean round");
        }
    }
}

/// The start of each cycle of a round.
#[derive(Debug, Clone)]
pub enum Pace {
    /// As soon as the agent is free.
    Closed,
    /// On a schedule, counted from the start of the round; the first free agent takes the next.
    Open(Rc<Schedule>),
}

/// Arrivals, each taken by one agent.
#[derive(Debug)]
pub struct Schedule {
    arrivals: Vec<Duration>,
    next: Cell<usize>,
}

impl Schedule {
    /// Arrivals in their order.
    pub fn new(arrivals: Vec<Duration>) -> Rc<Self> {
        Rc::new(Self { arrivals, next: Cell::new(0) })
    }

    fn take(&self) -> Option<Duration> {
        let next = self.next.get();
        self.next.set(next + 1);
        self.arrivals.get(next).copied()
    }
}

/// Runs the agents until the end of the window and returns them after they completed their claimed
/// tasks. `max` is the number of tasks per claim. Refusals are counted.
pub async fn cycles(
    agents: Vec<Agent>,
    max: u32,
    pace: &Pace,
    record: &Shared,
) -> Result<Vec<Agent>> {
    let terms = ClaimTerms { max, wait_seconds: WAIT_SECONDS, lease_seconds: LEASE_SECONDS };
    let works = agents.into_iter().map(|agent| work(agent, terms, pace.clone(), Rc::clone(record)));
    together(works).await
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
        let answer = agent.claim(terms).await?;
        if !record.borrow_mut().accepts("claim", &answer) {
            continue;
        }
        let leases = api::claimed(&answer)?;
        record.borrow_mut().claimed_at(leases.len(), arrived);
        for lease in leases {
            finish(&mut agent, &lease, arrived, &record).await?;
        }
    }
}

async fn finish(agent: &mut Agent, lease: &Lease, arrived: Instant, record: &Shared) -> Result<()> {
    let sent = Instant::now();
    let answer = agent.say(lease, "spend", lease.spend()).await?;
    if record.borrow_mut().accepts("spend", &answer) {
        record.borrow_mut().spent(sent);
    }
    let sent = Instant::now();
    let answer = agent.say(lease, "complete", lease.complete()).await?;
    if record.borrow_mut().accepts("complete", &answer) {
        record.borrow_mut().completed(sent, arrived);
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
