//! What waits for its batch, by group.

use std::collections::{HashMap, HashSet, VecDeque};

use tokio::sync::oneshot;

use super::{Batched, Limits, stopping};
use crate::app::{Error, Result};

/// See the module.
pub(super) struct Queue<B: Batched> {
    /// What waits, by group. A group without waiting commands has no lane.
    lanes: HashMap<B::Group, VecDeque<Waiting<B>>>,
    /// The groups that have a lane, in the order of their turns.
    turns: VecDeque<B::Group>,
    /// The groups that have a batch at work, or rest after one.
    pub at_work: HashSet<B::Group>,
    /// Commands that wait, of all groups.
    pub waiting: usize,
    /// Workers that do batches.
    pub workers: usize,
    /// Whether commands are taken.
    pub open: bool,
}

/// A command, and who waits for its answer.
pub(super) struct Waiting<B: Batched> {
    pub command: B,
    pub caller: oneshot::Sender<Result<B::Answer>>,
}

impl<B: Batched> Queue<B> {
    /// An empty one that takes commands.
    pub(super) fn open() -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            at_work: HashSet::new(),
            waiting: 0,
            workers: 0,
            open: true,
        }
    }

    /// Takes a command in; says whether one more worker should start.
    pub(super) fn push(
        &mut self,
        group: B::Group,
        waiting: Waiting<B>,
        limits: Limits,
    ) -> Result<bool> {
        if !self.open {
            return Err(stopping());
        }
        if self.waiting >= limits.queue {
            metrics::counter!("muster_batch_refused_total", "kind" => B::KIND).increment(1);
            return Err(Error::Unavailable(format!("the queue of {} is full", B::KIND)));
        }
        self.waiting += 1;
        let lane = self.lanes.entry(group.clone()).or_default();
        if lane.is_empty() {
            self.turns.push_back(group);
        }
        lane.push_back(waiting);
        let more = self.workers < limits.in_flight;
        self.workers += usize::from(more);
        Ok(more)
    }

    /// How many commands of a group wait.
    pub(super) fn waits(&self, group: &B::Group) -> usize {
        self.lanes.get(group).map_or(0, VecDeque::len)
    }

    /// Up to `most` commands of the group whose turn it is, without those that nobody waits for.
    pub(super) fn pop(&mut self, most: usize) -> Option<(B::Group, Vec<Waiting<B>>)> {
        while let Some(group) = self.next_group() {
            let Some(lane) = self.lanes.get_mut(&group) else { continue };
            let mut batch = Vec::with_capacity(most.min(lane.len()));
            while batch.len() < most
                && let Some(waiting) = lane.pop_front()
            {
                self.waiting -= 1;
                if !waiting.caller.is_closed() {
                    batch.push(waiting);
                }
            }
            if lane.is_empty() {
                self.lanes.remove(&group);
            } else {
                self.turns.push_back(group.clone());
            }
            if !batch.is_empty() {
                self.at_work.insert(group.clone());
                return Some((group, batch));
            }
        }
        None
    }

    /// The first group in turn that has no batch at work.
    fn next_group(&mut self) -> Option<B::Group> {
        let place = self.turns.iter().position(|group| !self.at_work.contains(group))?;
        self.turns.remove(place)
    }
}
