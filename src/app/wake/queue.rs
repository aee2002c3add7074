//! The queue of claims that wait, in the order of their arrival.
//!
//! Pure bookkeeping under a lock: the waiters, their capabilities, and the ready tasks of the watcher's
//! last look. A call wakes one waiter, which then claims like any other claim; if another claim was
//! faster, it returns to its old place. A waiter that cannot take a ready task (its agent has no free
//! slot) is not called at every change: after a call in vain it rests, longer each time.
//!
//! A claim may also wait without a query of its own ([`WaitQueue::enqueue_unverified`]), if its key is
//! remembered from a recent claim, no hint came since the watcher's last look, and that look saw nothing
//! ready for its capabilities. The next look verifies such waiters: a claim whose key was revoked, or
//! whose request was answered before, is called and finds out itself. No task is ever given to an agent
//! that was not authenticated at that moment.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    clock::Stopwatch,
    domain::{
        access::{person::Person, token::SecretHash},
        ids::{AgentId, KeyId},
        task::claim::covers,
    },
    store::attempts::waiting::ReadySet,
};

/// Where agents are known to differ, and how good they are expected to be there.
#[derive(Clone, Copy)]
pub(super) struct Better<'a> {
    /// By ready set: whether agents are known to differ at its tasks.
    pub differ: &'a [bool],
    /// The expected score of an agent at a task that requires these capabilities.
    pub mean: &'a dyn Fn(AgentId, &[String]) -> Option<f64>,
}

impl Better<'_> {
    /// The best of the scores of an agent at the sets at which agents differ; least of all if it is able to do none.
    fn score(&self, agent: AgentId, sets: &[usize], ready: &[ReadySet]) -> f64 {
        let differing =
            sets.iter().filter(|set| self.differ.get(**set).is_some_and(|differ| *differ));
        let scores = differing.filter_map(|set| (self.mean)(agent, &ready[*set].capabilities));
        scores.fold(f64::NEG_INFINITY, f64::max)
    }
}

/// A waiter that may be called: the highest score first, equals in the order of arrival.
#[derive(Debug)]
struct Scored {
    score: f64,
    ticket: Reverse<u64>,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(self.ticket.cmp(&other.ticket))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scored {}

/// The ready sets within each list of capabilities. The waiters of a fleet share few lists.
#[derive(Debug, Default)]
struct Covered(HashMap<usize, Vec<usize>>);

impl Covered {
    /// Indexes of the sets within a list.
    fn by(&mut self, able: &Arc<[String]>, ready: &[ReadySet]) -> &[usize] {
        let sets = || {
            let sets = ready.iter().enumerate();
            sets.filter(|(_, set)| covers(able, &set.capabilities))
                .map(|(index, _)| index)
                .collect()
        };
        // Interned: the same list is at the same address.
        self.0.entry(Arc::as_ptr(able).addr()).or_insert_with(sets)
    }
}

/// The first of these sets with a task left for the agent.
fn first_fit(ready: &[ReadySet], sets: &[usize], agent: AgentId) -> Option<usize> {
    sets.iter().copied().find(|set| ready[*set].count > 0 && ready[*set].keeping.admits(agent))
}

/// Rest of a waiter after its first call in vain; doubles with each further one.
const REST: Duration = Duration::from_millis(25);
/// Maximum rest.
const REST_MAX: Duration = Duration::from_millis(500);
/// Time for which a key is remembered after its last claim began to wait; longer than any claim
/// waits.
const REMEMBERED: Duration = Duration::from_secs(120);

/// A waiting claim.
#[derive(Debug, Clone)]
pub(in crate::app) struct Who {
    pub agent: AgentId,
    pub key: KeyId,
    /// Capabilities of the agent.
    pub able: Arc<[String]>,
    /// The `Idempotency-Key` of the claim.
    pub repeat: Option<Box<str>>,
}

/// The remembered entry of an authenticated key.
#[derive(Debug, Clone)]
pub(in crate::app) struct Known {
    pub secret: SecretHash,
    pub agent: AgentId,
    pub owner: Option<Person>,
    pub able: Arc<[String]>,
}

/// A waiting claim without a query of its own.
#[derive(Debug)]
pub(super) struct Unverified {
    pub ticket: u64,
    pub agent: AgentId,
    pub key: KeyId,
    pub repeat: Option<Box<str>>,
}

#[derive(Debug)]
struct Waiter {
    agent: AgentId,
    able: Arc<[String]>,
    rests: Option<(Stopwatch, Duration)>,
    call: oneshot::Sender<()>,
}

impl Waiter {
    fn is_resting(&self) -> bool {
        self.rests.is_some_and(|(since, time)| since.elapsed() < time)
    }
}

/// The queue of one workspace.
#[derive(Debug, Default)]
pub(super) struct WaitQueue {
    tickets: u64,
    /// Tickets in use, waiting or not.
    places: usize,
    waiting: BTreeMap<u64, Waiter>,
    unverified: BTreeMap<u64, Unverified>,
    known: HashMap<KeyId, (Stopwatch, Known)>,
    abilities: HashSet<Arc<[String]>>,
    /// Ready tasks of the last look, less the called ones.
    ready: Vec<ReadySet>,
    looks: u64,
    /// By agent, the look that saw it change: capabilities cached before it are stale.
    changed: HashMap<AgentId, (Stopwatch, u64)>,
    /// Number of the first look; earlier changes of agents were not observed.
    began: u64,
    hints: u64,
    /// Number of hints when the last look began; `None` before the first look or after a failed
    /// one.
    seen: Option<u64>,
    /// A waiter rested while there was a task for it.
    passed_over: bool,
    /// When a task that was left for a better agent goes to anybody: since when, and how long from then.
    rouse: Option<(Stopwatch, Duration)>,
    /// Something changed while nobody was waiting, or a called claim ended without an answer; no look has queried ready
    /// tasks since.
    unseen: bool,
}

impl WaitQueue {
    /// Takes the next ticket, at the end of the queue.
    pub(super) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.places += 1;
        self.tickets
    }

    /// Number of completed looks.
    pub(super) fn looks(&self) -> u64 {
        self.looks
    }

    /// Notes a hint at ready tasks: the last look is outdated.
    pub(super) fn hint(&mut self) {
        self.hints += 1;
    }

    /// Number of hints so far; recorded when a look begins.
    pub(super) fn hints(&self) -> u64 {
        self.hints
    }

    /// Whether a look must query ready tasks; `changed`: whether it found a change. Returns the
    /// maximum number of tasks to query: one per ticket. Tickets include claims that are running
    /// their own query, because they may begin to wait before the look ends. Without waiters
    /// nothing is queried; the next claim that waits triggers a look.
    pub(super) fn asks(&mut self, changed: bool) -> Option<usize> {
        self.unseen |= changed;
        let asks = !self.waiting.is_empty() && (self.unseen || self.passed_over);
        asks.then_some(self.places)
    }

    /// Whether the watcher must look because an earlier look queried nothing.
    pub(super) fn is_unseen(&self) -> bool {
        self.unseen
    }

    /// Number of waiting claims.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Waits after a query of its own found nothing, for the `in_vain`-th time; the query began
    /// after `looks` completed looks.
    pub(super) fn enqueue(
        &mut self,
        ticket: u64,
        who: Who,
        looks: u64,
        in_vain: u32,
    ) -> oneshot::Receiver<()> {
        let (call, called) = oneshot::channel();
        let able = self.intern(who.able);
        // A look ended meanwhile and could not call a claim that was not waiting yet.
        let missed = in_vain == 0 && self.looks > looks && take(&mut self.ready, &able, who.agent);
        if missed || self.changed_since(who.agent, looks) {
            let _ = call.send(());
            return called;
        }
        let rests = in_vain.checked_sub(1).map(|times| (Stopwatch::start(), rest(times)));
        // After a call in vain there may still be a task, so the next look must query.
        self.passed_over |= rests.is_some();
        self.waiting.insert(ticket, Waiter { agent: who.agent, able, rests, call });
        called
    }

    /// Waits without a query of its own, if the last look shows that nothing is ready for it;
    /// otherwise returns `None`.
    pub(super) fn enqueue_unverified(
        &mut self,
        ticket: u64,
        who: Who,
    ) -> Option<oneshot::Receiver<()>> {
        if self.unseen || self.seen != Some(self.hints) || any(&self.ready, &who.able, who.agent) {
            return None;
        }
        let (call, called) = oneshot::channel();
        if let Some((last, _)) = self.known.get_mut(&who.key) {
            *last = Stopwatch::start();
        }
        let Who { agent, key, able, repeat } = who;
        self.unverified.insert(ticket, Unverified { ticket, agent, key, repeat });
        self.waiting.insert(ticket, Waiter { agent, able, rests: None, call });
        Some(called)
    }

    /// Whether the watcher has not verified this claim yet.
    pub(super) fn is_unverified(&self, ticket: u64) -> bool {
        self.unverified.contains_key(&ticket)
    }

    /// The claims to verify. They stay unverified until [`WaitQueue::verified`].
    pub(super) fn unverified(&self) -> Vec<Unverified> {
        let copy = |n: &Unverified| Unverified {
            ticket: n.ticket,
            agent: n.agent,
            key: n.key,
            repeat: n.repeat.clone(),
        };
        self.unverified.values().map(copy).collect()
    }

    /// Marks claims as verified.
    pub(super) fn verified(&mut self, tickets: impl Iterator<Item = u64>) {
        for ticket in tickets {
            self.unverified.remove(&ticket);
        }
    }

    /// Gives the ticket back.
    pub(super) fn leave(&mut self, ticket: u64) {
        self.places -= 1;
        self.waiting.remove(&ticket);
        self.unverified.remove(&ticket);
    }

    /// A called claim ended without an answer: the task that it was called for may still be ready, so the next look
    /// queries again.
    pub(super) fn lost(&mut self) {
        self.unseen = true;
    }

    /// Records the ready tasks of a look that began after `hints` hints. Calls, in the order of
    /// arrival, as many waiters as there are ready tasks for them.
    ///
    /// `better`: where agents are known to differ; the best are called first, and equals in the order of arrival.
    ///
    /// Thousands may wait, and this is under the lock of the queue: lists of capabilities are compared once each, only
    /// those are scored that could be called, and nobody is sorted behind the last one that is called.
    pub(super) fn call_best(
        &mut self,
        hints: u64,
        mut ready: Vec<ReadySet>,
        better: Option<Better<'_>>,
    ) {
        let mut called = Vec::new();
        let mut left: i64 = ready.iter().map(|set| set.count).sum();
        let mut covered = Covered::default();
        self.passed_over = false;
        match better {
            None => {
                for (ticket, waiter) in &self.waiting {
                    if left == 0 {
                        break;
                    }
                    let sets = covered.by(&waiter.able, &ready);
                    let Some(set) = first_fit(&ready, sets, waiter.agent) else { continue };
                    if waiter.is_resting() {
                        self.passed_over = true;
                        continue;
                    }
                    ready[set].count -= 1;
                    left -= 1;
                    called.push(*ticket);
                }
            }
            Some(better) => {
                let (mut scored, mut resting) = (Vec::new(), Vec::new());
                for (ticket, waiter) in &self.waiting {
                    let sets = covered.by(&waiter.able, &ready);
                    if first_fit(&ready, sets, waiter.agent).is_none() {
                        continue;
                    }
                    if waiter.is_resting() {
                        resting.push(waiter);
                        continue;
                    }
                    let score = better.score(waiter.agent, sets, &ready);
                    scored.push(Scored { score, ticket: Reverse(*ticket) });
                }
                let mut scored = BinaryHeap::from(scored);
                while left > 0
                    && let Some(Scored { ticket: Reverse(ticket), .. }) = scored.pop()
                {
                    let Some(waiter) = self.waiting.get(&ticket) else { continue };
                    let sets = covered.by(&waiter.able, &ready);
                    if let Some(set) = first_fit(&ready, sets, waiter.agent) {
                        ready[set].count -= 1;
                        left -= 1;
                        called.push(ticket);
                    }
                }
                self.passed_over = resting.into_iter().any(|waiter| {
                    let sets = covered.by(&waiter.able, &ready);
                    first_fit(&ready, sets, waiter.agent).is_some()
                });
            }
        }
        self.wake(called);
        self.ready = ready;
        self.unseen = false;
        self.looked(hints);
    }

    /// The same, in the order of arrival.
    #[cfg(test)]
    pub(super) fn call(&mut self, hints: u64, ready: Vec<ReadySet>) {
        self.call_best(hints, ready, None);
    }

    /// Has resting waiters called in `left`, or earlier if that was asked for before.
    pub(super) fn rouse_in(&mut self, left: Duration) {
        let earlier = self.rouse_left().is_some_and(|other| other <= left);
        if !earlier {
            self.rouse = Some((Stopwatch::start(), left));
        }
    }

    /// Time until resting waiters are called.
    pub(super) fn rouse_left(&self) -> Option<Duration> {
        self.rouse.map(|(since, left)| left.saturating_sub(since.elapsed()))
    }

    /// Ends the rest of all waiters if that is due. The next look queries then.
    pub(super) fn rouse(&mut self) {
        if self.rouse_left() == Some(Duration::ZERO) {
            self.rouse = None;
            for waiter in self.waiting.values_mut() {
                waiter.rests = None;
            }
            self.passed_over = true;
        }
    }

    /// Records the end of a look that began after `hints` hints.
    pub(super) fn looked(&mut self, hints: u64) {
        self.looks += 1;
        self.seen = Some(hints);
    }

    /// Records a failed look: the ready tasks are unknown.
    pub(super) fn blind(&mut self) {
        self.seen = None;
    }

    /// Calls these claims, regardless of ready tasks.
    pub(super) fn wake(&mut self, tickets: Vec<u64>) {
        for ticket in tickets {
            self.unverified.remove(&ticket);
            if let Some(waiter) = self.waiting.remove(&ticket) {
                let _ = waiter.call.send(());
            }
        }
    }

    /// Forgets changed agents and calls their claims, which query the change themselves.
    pub(super) fn wake_agents(&mut self, agents: &[AgentId]) {
        let agents: BTreeSet<AgentId> = agents.iter().copied().collect();
        let look = self.looks + 1;
        self.changed.extend(agents.iter().map(|agent| (*agent, (Stopwatch::start(), look))));
        self.known.retain(|_, (_, known)| !agents.contains(&known.agent));
        let theirs = self.waiting.iter().filter(|(_, waiter)| agents.contains(&waiter.agent));
        let theirs = theirs.map(|(ticket, _)| *ticket).collect();
        self.wake(theirs);
    }

    /// Begins to observe changes of agents with the current look: every claim that queried before
    /// must query again.
    pub(super) fn begin(&mut self) {
        self.began = self.looks + 1;
        let everybody = self.waiting.keys().copied().collect();
        self.wake(everybody);
    }

    /// Whether the capabilities of an agent may have changed after `looks` completed looks.
    fn changed_since(&self, agent: AgentId, looks: u64) -> bool {
        self.began > looks || self.changed.get(&agent).is_some_and(|(_, look)| *look > looks)
    }

    /// Remembers an authenticated key, for a claim whose query began after `looks` completed looks.
    pub(super) fn remember(&mut self, key: KeyId, mut known: Known, looks: u64) {
        if self.changed_since(known.agent, looks) {
            return;
        }
        known.able = self.intern(known.able);
        self.known.insert(key, (Stopwatch::start(), known));
    }

    /// The remembered entry of a key.
    pub(super) fn recall(&self, key: KeyId) -> Option<Known> {
        self.known.get(&key).map(|(_, known)| known.clone())
    }

    /// Forgets entries that were unused for [`REMEMBERED`].
    pub(super) fn tidy(&mut self) {
        self.known.retain(|_, (last, _)| last.elapsed() < REMEMBERED);
        self.changed.retain(|_, (last, _)| last.elapsed() < REMEMBERED);
        self.abilities.retain(|able| Arc::strong_count(able) > 1);
    }

    /// The shared copy of a list of capabilities.
    fn intern(&mut self, able: Arc<[String]>) -> Arc<[String]> {
        if let Some(copy) = self.abilities.get(&able) {
            return Arc::clone(copy);
        }
        self.abilities.insert(Arc::clone(&able));
        able
    }
}

fn rest(times: u32) -> Duration {
    REST.saturating_mul(1 << times.min(10)).min(REST_MAX)
}

/// Whether a set has a task left for an agent with the capabilities `able`.
fn fits(set: &ReadySet, able: &[String], agent: AgentId) -> bool {
    set.count > 0 && set.keeping.admits(agent) && covers(able, &set.capabilities)
}

fn any(ready: &[ReadySet], able: &[String], agent: AgentId) -> bool {
    ready.iter().any(|set| fits(set, able, agent))
}

/// Takes one ready task for the agent; returns whether there was one.
fn take(ready: &mut [ReadySet], able: &[String], agent: AgentId) -> bool {
    let set = ready.iter_mut().find(|set| fits(set, able, agent));
    set.map(|set| set.count -= 1).is_some()
}

#[cfg(test)]
pub(super) mod tests;
