//! Whether tasks may start beside what running attempts hold.
//!
//! The caller reads what is held under locks, asks for each task, and takes what it starts. So the
//! tasks of one batch are compared with each other as well.

use std::collections::HashMap;

use uuid::Uuid;

use super::resource::Touch;
use crate::domain::ids::{AgentId, AttemptId, ConcurrencyKeyId, TaskId};

/// What a task needs to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Its concurrency keys.
    pub keys: Vec<ConcurrencyKeyId>,
    /// Where its resources conflict with others: its project, or the workspace.
    pub scope: Uuid,
    /// Its resources.
    pub touches: Vec<Touch>,
}

/// A concurrency key, and how many hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// Its name.
    pub name: String,
    /// Most grants.
    pub most: i64,
    /// Grants that there are.
    pub held: i64,
}

/// A running attempt that holds a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Where the resource conflicts with others.
    pub scope: Uuid,
    /// The resource.
    pub touch: Touch,
    /// The attempt; `None`: it starts in this unit of work.
    pub attempt: Option<AttemptId>,
    /// The task of the attempt.
    pub task: TaskId,
    /// Its agent; `None`: a person holds it.
    pub agent: Option<AgentId>,
}

/// What keeps a task from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// All grants of a key are given.
    Key {
        /// Its name.
        name: String,
        /// Their number.
        most: i64,
    },
    /// A resource is held.
    Resource {
        /// The resource that is wanted.
        wanted: String,
        /// What holds an overlapping one.
        held: Holding,
    },
}

impl Obstacle {
    /// The obstacle for people: who holds what.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Key { name, most } => {
                format!("all {most} grants of the concurrency key `{name}` are held")
            }
            Self::Resource { wanted, held } => {
                let Holding { scope: _, touch, attempt, task, agent } = held;
                let by = match agent {
                    Some(agent) => format!("agent {agent}"),
                    None => "a person".to_owned(),
                };
                let attempt = attempt.map(|attempt| format!("attempt {attempt} of "));
                let attempt = attempt.unwrap_or_default();
                format!(
                    "`{wanted}` overlaps with `{}`, which {by} holds ({}) with {attempt}task {task}",
                    touch.resource, touch.mode
                )
            }
        }
    }
}

/// What is held, and what tasks need.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The keys that the tasks need.
    pub keys: HashMap<ConcurrencyKeyId, KeyUse>,
    /// What is held in their scopes.
    pub held: Vec<Holding>,
}

impl Ledger {
    /// What keeps a task with these needs from starting; `None`: nothing. What `own` holds is no obstacle.
    #[must_use]
    pub fn obstacle(&self, needs: &Needs, own: Option<AttemptId>) -> Option<Obstacle> {
        let full =
            needs.keys.iter().filter_map(|id| self.keys.get(id)).find(|key| key.held >= key.most);
        if let Some(key) = full {
            return Some(Obstacle::Key { name: key.name.clone(), most: key.most });
        }
        needs.touches.iter().find_map(|wanted| {
            let others = self.held.iter().filter(|held| held.scope == needs.scope);
            let others = others.filter(|held| own.is_none() || held.attempt != own);
            let held = others.into_iter().find(|held| held.touch.conflicts(wanted))?;
            Some(Obstacle::Resource { wanted: wanted.resource.clone(), held: held.clone() })
        })
    }

    /// Notes that a task with these needs starts.
    pub fn take(&mut self, task: TaskId, agent: Option<AgentId>, needs: &Needs) {
        for id in &needs.keys {
            if let Some(key) = self.keys.get_mut(id) {
                key.held += 1;
            }
        }
        self.held.extend(needs.touches.iter().map(|touch| Holding {
            scope: needs.scope,
            touch: touch.clone(),
            attempt: None,
            task,
            agent,
        }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::resource::TouchMode, *};

    proptest! {
        /// However tasks come: no key has more grants than it may, no two conflict, and none is refused
        /// that could start.
        #[test]
        fn what_starts_is_exactly_what_fits(
            most in prop::collection::vec(1i64..4, 3),
            tasks in prop::collection::vec(
                (prop::collection::btree_set(0usize..3, 0..3),
                 prop::collection::vec(("[ab](/[ab*]){0,2}", any::<bool>()), 0..3), 0u128..2),
                0..20,
            ),
        ) {
            let id = |n: usize| ConcurrencyKeyId(Uuid::from_u128(n as u128));
            let mut ledger = Ledger::default();
            for (n, most) in most.iter().enumerate() {
                ledger.keys.insert(id(n), KeyUse { name: n.to_string(), most: *most, held: 0 });
            }
            let mut started: Vec<Needs> = Vec::new();
            for (n, (keys, touches, scope)) in tasks.into_iter().enumerate() {
                let touch = |(resource, shared)| Touch {
                    resource,
                    mode: if shared { TouchMode::Shared } else { TouchMode::Exclusive },
                };
                let needs = Needs {
                    keys: keys.into_iter().map(id).collect(),
                    scope: Uuid::from_u128(scope),
                    touches: touches.into_iter().map(touch).collect(),
                };
                let full = needs.keys.iter().any(|key| {
                    let held = started.iter().filter(|other| other.keys.contains(key)).count();
                    held as i64 >= ledger.keys[key].most
                });
                let conflict = started.iter().filter(|other| other.scope == needs.scope).any(|other| {
                    other.touches.iter().any(|a| needs.touches.iter().any(|b| a.conflicts(b)))
                });
                let obstacle = ledger.obstacle(&needs, None);
                prop_assert_eq!(obstacle.is_some(), full || conflict);
                if obstacle.is_none() {
                    ledger.take(TaskId(Uuid::from_u128(n as u128)), None, &needs);
                    started.push(needs);
                }
            }
        }
    }
}
