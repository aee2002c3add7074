//! What a unit of work has to write into the audit, collected until it commits.

use std::collections::HashMap;

use crate::{
    domain::{
        access::actor::Actor,
        audit::{Mutation, NewEntry},
        ids::GoalId,
    },
    store::goals::GoalFacts,
};

/// The entries of a unit of work.
#[derive(Debug, Default)]
pub(super) struct Trail {
    mutations: Vec<Mutation>,
    /// The goals whose rows the unit holds, as they were: nothing is asked of the database for this.
    goals: HashMap<GoalId, GoalFacts>,
}

impl Trail {
    /// Adds one.
    pub fn add(&mut self, mutation: Mutation) {
        self.mutations.push(mutation);
    }

    /// Notes goals that are held.
    pub fn know(&mut self, goals: &[GoalFacts]) {
        for goal in goals {
            self.goals.entry(goal.goal_id).or_insert_with(|| goal.clone());
        }
    }

    /// A goal as it was when it was first held.
    pub fn goal(&self, goal: GoalId) -> Option<&GoalFacts> {
        self.goals.get(&goal)
    }

    /// What is to be written, for a unit that acts for `acting`.
    pub fn entries(self, acting: &Actor) -> Vec<NewEntry> {
        let Self { mutations, goals } = self;
        let entry = |mutation: Mutation| {
            let goal = mutation.about().and_then(|goal| goals.get(&goal));
            mutation.entry(acting, goal.map_or(&[], |goal| &goal.on_behalf_of))
        };
        mutations.into_iter().map(entry).collect()
    }
}
