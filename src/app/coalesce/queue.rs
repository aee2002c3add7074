//! The waiting commands, by group.

use std::collections::{HashMap, HashSet, VecDeque};

use tokio::sync::oneshot;

use super::{Batched, Limits, stopping};
use crate::app::{Error, Result};

/// See the module.
pub(super) struct Queue<B: Batched> {
    /// Waiting commands by group. A group without waiting commands has no lane.
    lanes: HashMap<B::Group, VecDeque<Waiting<B>>>,
    /// The groups with a lane, in the order of their turns.
    turns: VecDeque<B::Group>,
    /// The groups with a running batch, or resting after one.
    pub at_work: HashSet<B::Group>,
    /// Number of waiting commands of all groups.
    pub waiting: usize,
    /// Number of running workers.
    pub workers: usize,
    /// Whether commands are accepted.
    pub open: bool,
}

/// A waiting command with its caller.
pub(super) struct Waiting<B: Batched> {
    pub command: B,
    pub caller: oneshot::Sender<Result<B::Answer>>,
}

impl<B: Batched> Queue<B> {
    /// An empty queue that accepts commands.
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

    /// Adds a command; returns whether another worker should start.
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

    /// Number of waiting commands of a group.
    pub(super) fn waits(&self, group: &B::Group) -> usize {
        self.lanes.get(group).map_or(0, VecDeque::len)
    }

    /// Up to `most` commands of the group in turn, without those whose caller is gone.
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

    /// The first group in turn without a running batch.
    fn next_group(&mut self) -> Option<B::Group> {
        let place = self.turns.iter().position(|group| !self.at_work.contains(group))?;
        self.turns.remove(place)
    }
}
