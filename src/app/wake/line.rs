//! The line of claims that wait, in the order of their arrival.
//!
//! Pure bookkeeping under a lock: who waits, what each is able to do, and what the watcher last saw
//! ready. A call wakes one waiter; it then claims like any other claim, and when others were faster
//! it comes back to its old place. So that a waiter that cannot take what is ready (its agent's slots
//! are full, say) does not ask at every change, it rests after a call in vain, longer each time.
//!
//! A newcomer may fall asleep without asking the database anything ([`Line::doze`]): when its key is
//! remembered from a claim that was answered a moment ago, and the watcher has looked since the
//! last hint and saw nothing ready that it could do. The watcher looks after such newcomers with
//! its next look: whoever's key was revoked meanwhile, or whose request was answered before, is
//! called, and finds that out for itself. Nobody is ever given a task without having been
//! authenticated at that moment.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
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

/// How long a waiter rests after its first call in vain; doubles with each.
const REST: Duration = Duration::from_millis(25);
/// How long it rests at most.
const REST_MAX: Duration = Duration::from_millis(500);
/// How long a key is remembered after its last claim began to wait: longer than any claim waits.
const REMEMBERED: Duration = Duration::from_secs(120);

/// Who waits.
#[derive(Debug, Clone)]
pub(in crate::app) struct Who {
    pub agent: AgentId,
    pub key: KeyId,
    /// What the agent is able to do.
    pub able: Arc<[String]>,
    /// The `Idempotency-Key` of the claim.
    pub repeat: Option<Box<str>>,
}

/// What is remembered of a key that was authenticated.
#[derive(Debug, Clone)]
pub(in crate::app) struct Known {
    pub secret: SecretHash,
    pub agent: AgentId,
    pub owner: Option<Person>,
    pub able: Arc<[String]>,
}

/// A newcomer that fell asleep without asking.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub ticket: u64,
    pub agent: AgentId,
    pub key: KeyId,
    pub repeat: Option<Box<str>>,
}

#[derive(Debug)]
struct Sleeper {
    agent: AgentId,
    able: Arc<[String]>,
    rests: Option<(Stopwatch, Duration)>,
    call: oneshot::Sender<()>,
}

impl Sleeper {
    fn is_resting(&self) -> bool {
        self.rests.is_some_and(|(since, time)| since.elapsed() < time)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Line {
    tickets: u64,
    /// Seats that are taken, asleep or not.
    seats: usize,
    asleep: BTreeMap<u64, Sleeper>,
    newcomers: BTreeMap<u64, Newcomer>,
    known: HashMap<KeyId, (Stopwatch, Known)>,
    abilities: HashSet<Arc<[String]>>,
    /// What the last look saw ready, less what was called for.
    ready: Vec<ReadySet>,
    looks: u64,
    /// The looks that saw agents change: what these were able to do before is not the truth.
    changed: HashMap<AgentId, (Stopwatch, u64)>,
    /// The first look: before it nobody saw agents change.
    began: u64,
    hints: u64,
    /// The hints that there had been when the last look began; none before the first.
    seen: Option<u64>,
    /// Somebody rested while there was something it could do.
    passed_over: bool,
    /// Something changed while nobody was asleep, and nobody asked what is ready since.
    unseen: bool,
}

impl Line {
    /// Takes a seat: the next place at the end.
    pub(super) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.seats += 1;
        self.tickets
    }

    /// Looks that have ended.
    pub(super) fn looks(&self) -> u64 {
        self.looks
    }

    /// Tasks became ready: what was seen is not the truth any more.
    pub(super) fn hint(&mut self) {
        self.hints += 1;
    }

    /// Hints so far; a look notes them when it begins.
    pub(super) fn hints(&self) -> u64 {
        self.hints
    }

    /// Whether a look must ask what is ready, when it found that something changed or not: how
    /// much there may be that matters, which is one task per seat. A look counts those who look for
    /// themselves at this moment too, because they can fall asleep before it ends. While nobody
    /// sleeps nobody is asked for; whoever falls asleep after that has the watcher look again.
    pub(super) fn asks(&mut self, changed: bool) -> Option<usize> {
        self.unseen |= changed;
        let asks = !self.asleep.is_empty() && (self.unseen || self.passed_over);
        asks.then_some(self.seats)
    }

    /// Whether the watcher should look because of what it did not ask.
    pub(super) fn is_unseen(&self) -> bool {
        self.unseen
    }

    /// How many are asleep.
    pub(super) fn len(&self) -> usize {
        self.asleep.len()
    }

    /// Falls asleep after a look of its own that began when `looks` looks had ended and found
    /// nothing, for the `in_vain`-th time.
    pub(super) fn sleep(
        &mut self,
        ticket: u64,
        who: Who,
        looks: u64,
        in_vain: u32,
    ) -> oneshot::Receiver<()> {
        let (call, called) = oneshot::channel();
        let able = self.intern(who.able);
        // The watcher looked meanwhile and could not call somebody who was not asleep.
        let missed = in_vain == 0 && self.looks > looks && take(&mut self.ready, &able, who.agent);
        if missed || self.changed_since(who.agent, looks) {
            let _ = call.send(());
            return called;
        }
        let rests = in_vain.checked_sub(1).map(|times| (Stopwatch::start(), rest(times)));
        // Back from a call in vain: there may still be something, so the next look must look.
        self.passed_over |= rests.is_some();
        self.asleep.insert(ticket, Sleeper { agent: who.agent, able, rests, call });
        called
    }

    /// Falls asleep without a look of its own, when the last look of the watcher tells that there
    /// is nothing; otherwise nothing happens.
    pub(super) fn doze(&mut self, ticket: u64, who: Who) -> Option<oneshot::Receiver<()>> {
        if self.unseen || self.seen != Some(self.hints) || any(&self.ready, &who.able, who.agent) {
            return None;
        }
        let (call, called) = oneshot::channel();
        if let Some((last, _)) = self.known.get_mut(&who.key) {
            *last = Stopwatch::start();
        }
        let Who { agent, key, able, repeat } = who;
        self.newcomers.insert(ticket, Newcomer { ticket, agent, key, repeat });
        self.asleep.insert(ticket, Sleeper { agent, able, rests: None, call });
        Some(called)
    }

    /// Whether the watcher has yet to look after a newcomer.
    pub(super) fn is_unproven(&self, ticket: u64) -> bool {
        self.newcomers.contains_key(&ticket)
    }

    /// Newcomers to be looked after. They stay newcomers until [`Line::proven`].
    pub(super) fn newcomers(&self) -> Vec<Newcomer> {
        let copy = |n: &Newcomer| Newcomer {
            ticket: n.ticket,
            agent: n.agent,
            key: n.key,
            repeat: n.repeat.clone(),
        };
        self.newcomers.values().map(copy).collect()
    }

    /// The watcher has looked after these.
    pub(super) fn proven(&mut self, tickets: impl Iterator<Item = u64>) {
        for ticket in tickets {
            self.newcomers.remove(&ticket);
        }
    }

    /// Leaves the line and its seat.
    pub(super) fn leave(&mut self, ticket: u64) {
        self.seats -= 1;
        self.asleep.remove(&ticket);
        self.newcomers.remove(&ticket);
    }

    /// Notes what a look saw that began when there had been `hints` hints, and calls, in the order
    /// of arrival, as many waiters as there are ready tasks for them.
    pub(super) fn call(&mut self, hints: u64, mut ready: Vec<ReadySet>) {
        let mut called = Vec::new();
        let mut left: i64 = ready.iter().map(|set| set.count).sum();
        // Waiters of a fleet share few lists of abilities: each is compared once.
        let mut hopeless = HashSet::new();
        self.passed_over = false;
        for (ticket, sleeper) in &self.asleep {
            if left == 0 {
                break;
            }
            let able = Arc::as_ptr(&sleeper.able).addr();
            if hopeless.contains(&able) {
                continue;
            }
            if !ready.iter().any(|set| set.count > 0 && covers(&sleeper.able, &set.capabilities)) {
                hopeless.insert(able);
            } else if !any(&ready, &sleeper.able, sleeper.agent) {
                continue;
            } else if sleeper.is_resting() {
                self.passed_over = true;
            } else if take(&mut ready, &sleeper.able, sleeper.agent) {
                left -= 1;
                called.push(*ticket);
            }
        }
        self.wake(called);
        self.ready = ready;
        self.unseen = false;
        self.looked(hints);
    }

    /// A look ended that began when there had been `hints` hints.
    pub(super) fn looked(&mut self, hints: u64) {
        self.looks += 1;
        self.seen = Some(hints);
    }

    /// A look failed: nobody knows what is ready.
    pub(super) fn blind(&mut self) {
        self.seen = None;
    }

    /// Calls these, whatever is ready.
    pub(super) fn wake(&mut self, tickets: Vec<u64>) {
        for ticket in tickets {
            self.newcomers.remove(&ticket);
            if let Some(sleeper) = self.asleep.remove(&ticket) {
                let _ = sleeper.call.send(());
            }
        }
    }

    /// Forgets agents that changed, and calls their claims: they find out what changed.
    pub(super) fn wake_agents(&mut self, agents: &[AgentId]) {
        let agents: BTreeSet<AgentId> = agents.iter().copied().collect();
        let look = self.looks + 1;
        self.changed.extend(agents.iter().map(|agent| (*agent, (Stopwatch::start(), look))));
        self.known.retain(|_, (_, known)| !agents.contains(&known.agent));
        let theirs = self.asleep.iter().filter(|(_, sleeper)| agents.contains(&sleeper.agent));
        let theirs = theirs.map(|(ticket, _)| *ticket).collect();
        self.wake(theirs);
    }

    /// From the look that is being made on, changes of agents are seen: whoever looked for itself
    /// before looks once more.
    pub(super) fn begin(&mut self) {
        self.began = self.looks + 1;
        let everybody = self.asleep.keys().copied().collect();
        self.wake(everybody);
    }

    /// Whether what an agent was able to do may have changed since `looks` looks had ended.
    fn changed_since(&self, agent: AgentId, looks: u64) -> bool {
        self.began > looks || self.changed.get(&agent).is_some_and(|(_, look)| *look > looks)
    }

    /// Remembers a key that was authenticated, for a claim that began when `looks` looks had ended.
    pub(super) fn remember(&mut self, key: KeyId, mut known: Known, looks: u64) {
        if self.changed_since(known.agent, looks) {
            return;
        }
        known.able = self.intern(known.able);
        self.known.insert(key, (Stopwatch::start(), known));
    }

    /// What is remembered of a key.
    pub(super) fn recall(&self, key: KeyId) -> Option<Known> {
        self.known.get(&key).map(|(_, known)| known.clone())
    }

    /// Forgets what nobody has used for a while.
    pub(super) fn tidy(&mut self) {
        self.known.retain(|_, (last, _)| last.elapsed() < REMEMBERED);
        self.changed.retain(|_, (last, _)| last.elapsed() < REMEMBERED);
        self.abilities.retain(|able| Arc::strong_count(able) > 1);
    }

    /// The one copy of a list of abilities.
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

/// Whether a set has a task left for an agent that is able to do `able`.
fn fits(set: &ReadySet, able: &[String], agent: AgentId) -> bool {
    set.count > 0 && set.keeping.admits(agent) && covers(able, &set.capabilities)
}

fn any(ready: &[ReadySet], able: &[String], agent: AgentId) -> bool {
    ready.iter().any(|set| fits(set, able, agent))
}

/// Takes one ready task that the agent can do, if there is one.
fn take(ready: &mut [ReadySet], able: &[String], agent: AgentId) -> bool {
    let set = ready.iter_mut().find(|set| fits(set, able, agent));
    set.map(|set| set.count -= 1).is_some()
}

#[cfg(test)]
mod tests;
