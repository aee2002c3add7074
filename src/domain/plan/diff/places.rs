//! Where the tasks are after a new plan: what contains them, what they need, and what is cancelled.
//!
//! A document may put tasks below a task that exists with work of its own, or below one that has ended. They stand
//! beside it then, in the nearest open container around it. So that they still wait for what it waits for, they
//! get its needs; and what needs it needs them too.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Origin, Present, Wanted};
use crate::domain::{
    refusal::{Code, FieldError, Refusal},
    settings,
    task::edit::Standing,
};

/// Most levels that a walk to the outermost container takes.
const LEVELS: usize = 3 * settings::NESTING;

/// A new container of a task that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    /// Its name; `None`: none.
    pub to: Option<String>,
    /// Whether the task can move now.
    pub now: bool,
}

/// What an added container of the document contains then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing: all of it stays where it is.
    Nothing,
    /// Added tasks only.
    Added,
    /// Tasks of the goal, and perhaps added ones.
    Moved,
}

pub(super) struct Places {
    /// The content of each added container.
    pub content: HashMap<usize, Content>,
    /// The container of each new task in the document.
    pub parents: Vec<Option<usize>>,
    /// The container that each has then, by name.
    pub homes: Vec<Option<String>>,
    /// The move of each task that exists.
    pub moved: Vec<Option<Moved>>,
    /// What each needs then, by name and sorted.
    pub needs: Vec<Vec<String>>,
    /// The tasks that are cancelled, by name.
    pub cancelled: HashSet<String>,
    /// Of those that are not from the plan, the cancelled task that they need or are in.
    pub because: HashMap<String, String>,
}

impl Places {
    /// # Errors
    /// `plan_invalid` if the needs become too many.
    pub(super) fn of(
        present: &[Present],
        wanted: &[Wanted],
        pairs: &[Option<usize>],
        names: &[String],
    ) -> Result<Self, Refusal> {
        let own: HashMap<&str, usize> =
            wanted.iter().enumerate().map(|(at, task)| (task.spec.r#ref.as_str(), at)).collect();
        let parents: Vec<Option<usize>> =
            wanted.iter().map(|task| own.get(task.spec.parent.as_deref()?).copied()).collect();
        let mut places = Self {
            homes: vec![None; wanted.len()],
            moved: vec![None; wanted.len()],
            needs: Vec::new(),
            cancelled: HashSet::new(),
            because: HashMap::new(),
            content: HashMap::new(),
            parents,
        };
        places.settle(present, pairs, names);
        places.fill(pairs, names);
        places.leave(present, pairs, names);
        places.needs = places.all_needs(present, wanted, &own, names)?;
        Ok(places)
    }

    /// The containers of a new task in the document, the nearest first.
    fn around(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.parents[index], |at| self.parents[*at]).take(LEVELS)
    }

    /// What contains each task then.
    fn settle(&mut self, present: &[Present], pairs: &[Option<usize>], names: &[String]) {
        let takes = |at: &usize| match pairs[*at] {
            None => true,
            Some(at) => match present[at].standing {
                Standing::Closed | Standing::Open => !present[at].cancelling,
                Standing::Waits
                | Standing::Offered
                | Standing::AsksToStart
                | Standing::Short
                | Standing::Rests
                | Standing::Held
                | Standing::Reviewed
                | Standing::Failed
                | Standing::Ended(_) => false,
            },
        };
        for (index, pair) in pairs.iter().enumerate() {
            let home = self.around(index).find(takes).map(|at| names[at].clone());
            let Some(task) = pair.map(|at| &present[at]) else {
                self.homes[index] = home;
                continue;
            };
            self.homes[index].clone_from(&task.spec.parent);
            if !task.planned() {
                continue;
            }
            let said = self.parents[index].map(|at| &names[at]);
            if task.finished() || said == task.base().parent.as_ref() || home == task.spec.parent {
                continue;
            }
            let now = match task.standing {
                Standing::Waits
                | Standing::Offered
                | Standing::AsksToStart
                | Standing::Short
                | Standing::Closed => true,
                Standing::Rests
                | Standing::Held
                | Standing::Reviewed
                | Standing::Open
                | Standing::Failed
                | Standing::Ended(_) => false,
            };
            if now {
                self.homes[index].clone_from(&home);
            }
            self.moved[index] = Some(Moved { to: home, now });
        }
    }

    /// What the added containers contain.
    fn fill(&mut self, pairs: &[Option<usize>], names: &[String]) {
        let added: HashMap<&str, usize> = (0..names.len())
            .filter(|at| pairs[*at].is_none())
            .map(|at| (names[at].as_str(), at))
            .collect();
        for parent in self.parents.iter().flatten().filter(|at| pairs[**at].is_none()) {
            self.content.insert(*parent, Content::Nothing);
        }
        for (index, home) in self.homes.iter().enumerate() {
            let Some(at) = home.as_deref().and_then(|name| added.get(name)) else { continue };
            let content = self.content.entry(*at).or_insert(Content::Added);
            if pairs[index].is_some() {
                *content = Content::Moved;
            } else if *content == Content::Nothing {
                *content = Content::Added;
            }
        }
    }

    /// What is cancelled: open tasks of the plan that the new one leaves out, but for containers that something
    /// stays in; and what is not from the plan and cannot be done without them.
    fn leave(&mut self, present: &[Present], pairs: &[Option<usize>], names: &[String]) {
        let taken: HashSet<usize> = pairs.iter().flatten().copied().collect();
        let by_name: HashMap<&str, usize> =
            present.iter().enumerate().map(|(at, task)| (task.spec.r#ref.as_str(), at)).collect();
        let mut going: HashSet<usize> = (0..present.len())
            .filter(|at| !taken.contains(at) && present[*at].planned() && !present[*at].finished())
            .collect();
        let homes = names.iter().zip(&self.homes).zip(pairs);
        let stays = homes.filter(|((name, _), pair)| {
            pair.is_none() || by_name.get(name.as_str()).is_some_and(|at| !present[*at].finished())
        });
        let mut kept: Vec<usize> =
            stays.filter_map(|((_, home), _)| by_name.get(home.as_deref()?).copied()).collect();
        while let Some(at) = kept.pop() {
            if going.remove(&at) {
                kept.extend(present[at].spec.parent.as_deref().and_then(|name| by_name.get(name)));
            }
        }
        let mut dependents: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, task) in present.iter().enumerate() {
            let beside = match task.origin {
                Origin::Beside => !taken.contains(&at) && !task.finished(),
                Origin::Plan { .. } | Origin::Former | Origin::Closed => false,
            };
            for name in task.spec.needs.iter().chain(&task.spec.parent).filter(|_| beside) {
                dependents.entry(name).or_default().push(at);
            }
        }
        let mut next: Vec<usize> = going.iter().copied().collect();
        next.sort_unstable();
        while let Some(at) = next.pop() {
            let name = present[at].spec.r#ref.as_str();
            for lost in dependents.get(name).into_iter().flatten() {
                if going.insert(*lost) {
                    self.because.insert(present[*lost].spec.r#ref.clone(), name.to_owned());
                    next.push(*lost);
                }
            }
        }
        self.cancelled = going.iter().map(|at| present[*at].spec.r#ref.clone()).collect();
    }

    fn all_needs(
        &self,
        present: &[Present],
        wanted: &[Wanted],
        own: &HashMap<&str, usize>,
        names: &[String],
    ) -> Result<Vec<Vec<String>>, Refusal> {
        let mut homes: HashMap<&str, Option<&str>> = present
            .iter()
            .map(|task| (task.spec.r#ref.as_str(), task.spec.parent.as_deref()))
            .collect();
        homes.extend(
            names.iter().zip(&self.homes).map(|(name, home)| (name.as_str(), home.as_deref())),
        );
        let mut escaped: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut left: Vec<Vec<usize>> = vec![Vec::new(); wanted.len()];
        for (index, left) in left.iter_mut().enumerate() {
            if self.parents[index].is_none() {
                continue;
            }
            let next = |name: &&str| homes.get(name).copied().flatten();
            let inside: HashSet<&str> =
                std::iter::successors(self.homes[index].as_deref(), next).take(LEVELS).collect();
            *left = self.around(index).filter(|at| !inside.contains(names[*at].as_str())).collect();
            for at in left.iter() {
                escaped.entry(*at).or_default().push(index);
            }
        }
        let mut total = 0;
        let mut all = Vec::with_capacity(wanted.len());
        for (index, task) in wanted.iter().enumerate() {
            let around: HashSet<usize> = self.around(index).collect();
            let stated = task
                .spec
                .needs
                .iter()
                .chain(left[index].iter().flat_map(|at| &wanted[*at].spec.needs));
            let mut needs: HashSet<usize> = HashSet::new();
            for need in stated.filter_map(|name| own.get(name.as_str())) {
                let with = escaped.get(need).into_iter().flatten();
                needs.extend(
                    std::iter::once(need)
                        .chain(with)
                        .filter(|at| **at != index && !around.contains(at)),
                );
            }
            total += needs.len();
            if total > settings::PLAN_DEPENDENCIES {
                let most = settings::PLAN_DEPENDENCIES;
                let detail = format!(
                    "tasks that exist with work of their own would contain others, and what needs them would have \
                     more than {most} dependencies: leave them without content"
                );
                let errors = vec![FieldError::new("/tasks", &detail)];
                return Err(Refusal::at(Code::PlanInvalid, detail, errors));
            }
            let named: BTreeSet<&String> = needs.into_iter().map(|at| &names[at]).collect();
            all.push(named.into_iter().cloned().collect());
        }
        Ok(all)
    }
}
