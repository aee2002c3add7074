//! Places that workspaces share by turns: connections to the database, and reads that cost much.
//!
//! A queue in the order of arrival would let one workspace with a thousand requests keep all others
//! waiting. Here a free place goes to the workspace that has waited longest for its turn, and none has more
//! than a part of the places: so a workspace with one request waits for no more than one of each other
//! workspace, and the requests of one workspace leave processors to the rest. A workspace that is alone may
//! have all places, if it is so agreed.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::clock::Stopwatch;

/// Who has asked for nothing for so long leaves the others alone.
const GONE_AFTER: Duration = Duration::from_secs(1);

/// The places, shared by holders of the kind `K`. Cheap to clone.
#[derive(Debug)]
pub struct Turns<K: Copy + Eq + Hash>(Arc<Mutex<Queue<K>>>);

#[derive(Debug)]
struct Queue<K: Copy + Eq + Hash> {
    free: usize,
    /// The most places of one holder, beside others.
    each: usize,
    /// The most places of one holder that is alone, and who is; `None` if that is `each` too.
    alone: Option<(usize, Presence<K>)>,
    /// Places in use, by holder.
    held: HashMap<K, usize>,
    /// Who waits, by holder. A holder for whom nobody waits has no lane.
    lanes: HashMap<K, VecDeque<oneshot::Sender<Turn<K>>>>,
    /// The holders with a lane, in the order of their turns.
    order: VecDeque<K>,
}

/// Who asked last, and when.
type Asked<K> = Option<(K, Stopwatch)>;

/// Who has asked lately, for places of any kind. Cheap to clone; the places that share it know of all.
#[derive(Debug, Clone)]
pub struct Presence<K>(Arc<Mutex<[Asked<K>; 2]>>);

impl<K: Copy + Eq> Default for Presence<K> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new([None; 2])))
    }
}

impl<K: Copy + Eq> Presence<K> {
    /// The two that asked last, the last one first.
    fn asked(&self) -> MutexGuard<'_, [Asked<K>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, of: K) {
        let [last, before] = &mut *self.asked();
        if last.is_some_and(|(who, _)| who != of) {
            *before = last.take();
        }
        *last = Some((of, Stopwatch::start()));
    }

    /// Whether nobody else has asked lately.
    fn is_alone(&self, of: K) -> bool {
        let asked = self.asked();
        let other = asked.iter().flatten().find(|(who, _)| *who != of);
        other.is_none_or(|(_, since)| since.elapsed() > GONE_AFTER)
    }
}

/// A place in use; goes to the next turn when it is dropped.
#[derive(Debug)]
pub struct Turn<K: Copy + Eq + Hash> {
    of: K,
    turns: Option<Turns<K>>,
}

impl<K: Copy + Eq + Hash> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Copy + Eq + Hash> Turns<K> {
    /// `places` free places, half of them for one holder.
    #[must_use]
    pub fn halved(places: usize) -> Self {
        Self::new(places, places.div_ceil(2), None)
    }

    /// `places` free places, and as many for one holder.
    #[must_use]
    pub fn ordered(places: usize) -> Self {
        Self::new(places, places, None)
    }

    /// `places` free places, at most `each` of them for one holder beside others. One that is alone leaves a
    /// quarter, so that the next one who comes need not wait until it ends something.
    #[must_use]
    pub fn shared(places: usize, each: usize, presence: &Presence<K>) -> Self {
        let alone = places - places / 4;
        Self::new(places, each.min(alone), Some((alone, presence.clone())))
    }

    fn new(places: usize, each: usize, alone: Option<(usize, Presence<K>)>) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            free: places,
            each,
            alone,
            held: HashMap::new(),
            lanes: HashMap::new(),
            order: VecDeque::new(),
        })))
    }

    /// A place, when it is the turn of `of`.
    pub async fn take(&self, of: K) -> Turn<K> {
        loop {
            let called = {
                let mut queue = self.queue();
                if let Some((_, presence)) = &queue.alone {
                    presence.ask(of);
                }
                if queue.admits(of) {
                    queue.hold(of);
                    return self.turn(of);
                }
                let (sender, called) = oneshot::channel();
                let lane = queue.lanes.entry(of).or_default();
                lane.push_back(sender);
                if lane.len() == 1 {
                    queue.order.push_back(of);
                }
                called
            };
            // The sender is only dropped with all places, which `self` keeps.
            if let Ok(turn) = self.called(called).await {
                return turn;
            }
        }
    }

    /// Waits for a turn. Nobody is called when the others are gone, so those who wait look from time to time.
    async fn called(
        &self,
        mut called: oneshot::Receiver<Turn<K>>,
    ) -> Result<Turn<K>, oneshot::error::RecvError> {
        if self.queue().alone.is_none() {
            return called.await;
        }
        loop {
            match tokio::time::timeout(GONE_AFTER, &mut called).await {
                Ok(turn) => return turn,
                Err(_) => self.pass_on(),
            }
        }
    }

    fn turn(&self, of: K) -> Turn<K> {
        Turn { of, turns: Some(self.clone()) }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands free places on. Those who are gone are passed over.
    fn pass_on(&self) {
        loop {
            let Some((next, of)) = self.queue().next() else { return };
            if let Err(mut unused) = next.send(self.turn(of)) {
                unused.turns = None;
                self.queue().release(of);
            }
        }
    }
}

impl<K: Copy + Eq + Hash> Queue<K> {
    fn admits(&self, of: K) -> bool {
        let held = self.held.get(&of).copied().unwrap_or_default();
        let may_more =
            |(most, presence): &(usize, Presence<K>)| held < *most && presence.is_alone(of);
        self.free > 0 && (held < self.each || self.alone.as_ref().is_some_and(may_more))
    }

    fn hold(&mut self, of: K) {
        self.free -= 1;
        *self.held.entry(of).or_default() += 1;
    }

    fn release(&mut self, of: K) {
        self.free += 1;
        if let Some(held) = self.held.get_mut(&of) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&of);
            }
        }
    }

    /// Whose turn it is, with the place.
    fn next(&mut self) -> Option<(oneshot::Sender<Turn<K>>, K)> {
        let place = self.order.iter().position(|of| self.admits(*of))?;
        let of = self.order.remove(place)?;
        let lane = self.lanes.get_mut(&of)?;
        let next = lane.pop_front()?;
        if lane.is_empty() {
            self.lanes.remove(&of);
        } else {
            self.order.push_back(of);
        }
        self.hold(of);
        Some((next, of))
    }
}

impl<K: Copy + Eq + Hash> Turn<K> {
    /// Whose turn it is.
    #[must_use]
    pub fn holder(&self) -> K {
        self.of
    }
}

impl<K: Copy + Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.queue().release(self.of);
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::BoxFuture};

    use super::*;

    type Asked<'a> = (u32, BoxFuture<'a, Turn<u32>>);

    /// What is ready now; the others wait on.
    fn ready(waiting: &mut Vec<Asked<'_>>) -> Vec<(u32, Turn<u32>)> {
        let mut ready = Vec::new();
        waiting.retain_mut(|(who, take)| match take.now_or_never() {
            Some(turn) => {
                ready.push((*who, turn));
                false
            }
            None => true,
        });
        ready
    }

    fn asks(turns: &Turns<u32>, who: u32) -> Asked<'_> {
        (who, turns.take(who).boxed())
    }

    #[test]
    fn nobody_has_more_than_half() {
        let turns = Turns::halved(3);
        let mut waiting: Vec<_> = (0..4).map(|_| asks(&turns, 1)).collect();
        let held = ready(&mut waiting);
        assert_eq!((held.len(), waiting.len()), (2, 2));
        waiting.push(asks(&turns, 2));
        let other = ready(&mut waiting);
        assert_eq!(other.iter().map(|(who, _)| *who).collect::<Vec<_>>(), [2]);
        drop(other);
        assert!(ready(&mut waiting).is_empty());
        drop(held);
        assert_eq!(ready(&mut waiting).len(), 2);
        assert_eq!(turns.queue().free, 3);
        assert!(turns.queue().held.is_empty());
    }

    #[tokio::test]
    async fn who_is_alone_has_most() {
        let turns = Turns::shared(4, 1, &Presence::default());
        let mut waiting: Vec<_> = (0..5).map(|_| asks(&turns, 1)).collect();
        let held = ready(&mut waiting);
        assert_eq!(held.len(), 3);
        waiting.push(asks(&turns, 2));
        let other = ready(&mut waiting);
        assert_eq!(other.iter().map(|(who, _)| *who).collect::<Vec<_>>(), [2]);
        drop(held);
        assert_eq!(ready(&mut waiting).len(), 1, "one each beside others");
    }

    #[test]
    fn who_asks_once_waits_for_one_of_another() {
        let turns = Turns::halved(1);
        let mut waiting: Vec<_> = (0..1_000).map(|_| asks(&turns, 1)).collect();
        let mut held = ready(&mut waiting);
        waiting.push(asks(&turns, 2));
        waiting.push(asks(&turns, 3));
        assert!(ready(&mut waiting).is_empty());
        let mut order = Vec::new();
        for _ in 0..5 {
            drop(held);
            held = ready(&mut waiting);
            order.extend(held.iter().map(|(who, _)| *who));
        }
        assert_eq!(order, [1, 2, 3, 1, 1]);
    }

    /// The others are gone: who waits has more than one place beside them, without anybody giving one back.
    #[tokio::test]
    async fn who_is_left_alone_has_most() {
        let turns = Turns::shared(4, 1, &Presence::default());
        drop(turns.take(2).await);
        let _held = turns.take(1).await;
        let second = turns.take(1);
        let turn = tokio::time::timeout(Duration::from_secs(30), second).await;
        assert_eq!(turn.expect("a second place").holder(), 1);
    }

    /// A caller that is gone, before or after its turn came, costs nobody a place.
    #[test]
    fn who_is_gone_is_passed_over() {
        let turns = Turns::halved(1);
        let mut waiting = vec![asks(&turns, 1)];
        let held = ready(&mut waiting);
        let mut gone: Vec<_> = (0..10_000).map(|_| asks(&turns, 1)).collect();
        assert!(ready(&mut gone).is_empty());
        let mut called = vec![asks(&turns, 2)];
        assert!(ready(&mut called).is_empty());
        let mut last = vec![asks(&turns, 3)];
        assert!(ready(&mut last).is_empty());
        drop(gone);
        drop(held);
        // The place was handed to 2, which goes without having looked.
        assert!(ready(&mut last).is_empty());
        drop(called);
        let held = ready(&mut last);
        assert_eq!(held.len(), 1);
        drop(held);
        assert_eq!(turns.queue().free, 1);
        assert!(turns.queue().held.is_empty());
    }
}
