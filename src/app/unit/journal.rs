//! Journal rows of a unit of work, collected until it commits.

use std::collections::HashMap;

use crate::{
    domain::{
        access::{actor::Actor, person::Person},
        ids::{AttemptId, GoalId},
        journal::NewRow,
        spend::Amounts,
    },
    entropy::Entropy,
    store::goals::GoalFacts,
};

/// Rows of a unit of work, in the order of recording.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    rows: Vec<NewRow>,
    /// The people for whom the locked goals were posted. Known from the locks; no query is made for
    /// this.
    people: HashMap<GoalId, Vec<String>>,
}

impl Recorded {
    /// Adds a row.
    pub fn add(&mut self, row: NewRow) {
        self.rows.push(row);
    }

    /// Adds locked goals.
    pub fn know(&mut self, goals: &[GoalFacts]) {
        self.people.extend(goals.iter().map(|goal| (goal.goal_id, goal.on_behalf_of.clone())));
    }

    /// Adds the attempts' total spend to the rows about their tasks; it is only known after they
    /// were recorded.
    pub fn note_spend(&mut self, spent: &HashMap<AttemptId, Amounts>) {
        for row in &mut self.rows {
            let spent = row.attempt.and_then(|attempt| spent.get(&attempt));
            if let (Some(spent), Some(("task", _))) = (spent, row.subject()) {
                row.data.insert("attempt_spend".into(), serde_json::json!(spent));
            }
        }
    }

    /// The complete rows of a unit that acts for `acting`.
    pub fn finish(self, acting: &Actor, entropy: &Entropy) -> Vec<NewRow> {
        let Self { mut rows, people } = self;
        for row in &mut rows {
            let actor = row.actor.get_or_insert_with(|| acting.clone());
            let wanted_by = row.goal.and_then(|goal| people.get(&goal)).into_iter().flatten();
            let owner = actor.owner.as_ref().map(Person::as_str);
            let actor = actor.person.as_ref().map(Person::as_str);
            for person in owner.into_iter().chain(wanted_by.map(String::as_str)) {
                let named = row.on_behalf_of.iter().any(|name| name == person);
                if !named && actor != Some(person) {
                    row.on_behalf_of.push(person.to_owned());
                }
            }
            row.salt = entropy.bytes();
        }
        rows
    }
}
