//! What a new plan changes of the criteria of its goal.
//!
//! Compared as tasks are: what the plan in force wrote, what the new one writes, and the criterion as it is. So the same
//! plan again changes nothing, whatever was decided meanwhile.
//!
//! Which is which: by its text; else by its words without case and punctuation; else by similarity, the most similar
//! first; else by place, between the same neighbours, if nothing was decided or checked yet.
//!
//! What becomes of a verdict:
//! - Other words are another condition: the criterion is open again, and its verdict and its check are void. Case and
//!   punctuation are no words.
//! - A box that is ticked satisfies an open criterion, as in the first plan. It does not stand against evidence, a person or
//!   a check: a person decides then, and not one about their own work.
//! - A box that is unticked takes back what a tick satisfied, and nothing that evidence or a person did.
//! - A criterion that the plan leaves out is removed with its verdict.
//!
//! Criteria that were given beside the plan are not in its document, and stay.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, VecDeque},
};

use serde::{Deserialize, Serialize};

use super::matching::{GAP, SIMILAR, Words, plain};
use crate::domain::{
    goal::criteria::{CriterionState, Written},
    plan::{CriterionSpec, yes},
    refusal::Refusal,
    settings,
    words::words,
};

words! {
    /// What becomes of a criterion of a goal under a new plan.
    pub enum CriterionAction {
        /// The goal gets it.
        Add => "add",
        /// It stays as it is.
        Keep => "keep",
        /// Its words, its state or whether the goal needs it change.
        Change => "change",
        /// The goal has it no longer.
        Remove => "remove",
    }
}

words! {
    /// Why a criterion of a goal is added, kept, changed or removed.
    pub enum CriterionReason {
        /// The goal has no such criterion.
        New => "new",
        /// The plan says the same as before.
        Unchanged => "unchanged",
        /// It has other words. Its verdict is void.
        Reworded => "reworded",
        /// Only its case and punctuation change. Its verdict stays.
        Spelling => "spelling",
        /// Whether the goal needs it.
        Edited => "edited",
        /// The plan says that it is met.
        Ticked => "ticked",
        /// The plan no longer says that it is met.
        Unticked => "unticked",
        /// The plan says otherwise than evidence, a person or a check of it, and these count.
        Decided => "decided",
        /// It was given beside the plan, which does not change it.
        Given => "given",
        /// The new plan leaves it out.
        Removed => "removed",
    }
}

/// One criterion of a goal in a diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CriterionEntry {
    /// What becomes of it.
    #[serde(default = "add")]
    pub action: CriterionAction,
    /// Why, as a word for programs.
    #[serde(default = "new")]
    pub reason: CriterionReason,
    /// Its number in the goal; `null` for an added one.
    #[serde(default)]
    #[schema(example = 1)]
    pub number: Option<i16>,
    /// The condition, as the plan says it; of a removed one as the goal had it.
    #[schema(example = "last year's file imports without an error")]
    pub text: String,
    /// The condition before, if its text changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Whether the goal completes only if it is satisfied.
    #[serde(default = "yes")]
    pub required: bool,
    /// Whether the plan says that it is met.
    #[serde(default)]
    pub satisfied: bool,
    /// Its state after the change; of a removed one its last state.
    #[serde(default = "open")]
    pub state: CriterionState,
    /// Why, for people. Empty if the word says it all.
    #[serde(default)]
    pub why: String,
}

// A diff of earlier versions has only criteria that are added.
const fn add() -> CriterionAction {
    CriterionAction::Add
}

const fn new() -> CriterionReason {
    CriterionReason::New
}

const fn open() -> CriterionState {
    CriterionState::Open
}

impl CriterionEntry {
    /// Whether the plan changes something of it.
    #[must_use]
    pub const fn changes(&self) -> bool {
        match self.action {
            CriterionAction::Keep => false,
            CriterionAction::Add | CriterionAction::Change | CriterionAction::Remove => true,
        }
    }

    /// The criterion as the plan says it; `None` if the plan leaves it out.
    #[must_use]
    pub fn wanted(&self) -> Option<CriterionSpec> {
        let Self { text, required, satisfied, .. } = self;
        match self.action {
            CriterionAction::Remove => None,
            CriterionAction::Add | CriterionAction::Keep | CriterionAction::Change => {
                let (text, required, satisfied) = (text.clone(), *required, *satisfied);
                Some(CriterionSpec { text, required, satisfied, ..CriterionSpec::default() })
            }
        }
    }
}

/// Who decided a criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decider {
    /// A plan: a ticked box.
    Plan,
    /// The evidence of a check.
    Evidence,
    /// A person.
    Person,
}

/// A criterion of the goal as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentCriterion {
    /// Its number in the goal.
    pub number: i16,
    /// The condition.
    pub text: String,
    /// Whether the goal needs it.
    pub required: bool,
    /// Its state.
    pub state: CriterionState,
    /// How the plan in force has it; `None`: it was given beside the plan.
    pub written: Option<Written>,
    /// Who decided it; nobody while it is open.
    pub decider: Option<Decider>,
    /// Whether a task was made that checks or reworks it.
    pub checked: bool,
}

impl PresentCriterion {
    const fn satisfied(&self) -> bool {
        match self.state {
            CriterionState::Satisfied => true,
            CriterionState::Open | CriterionState::Rejected => false,
        }
    }

    /// Whether there is more to it than its words.
    const fn begun(&self) -> bool {
        self.checked || self.decider.is_some()
    }
}

/// The state of a criterion after an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// As before, with its verdict and its check.
    Stays,
    /// Not decided, and to be checked from the beginning.
    Open,
    /// Met, as the plan says.
    Satisfied,
}

/// The edit of a criterion that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriterionEdit {
    /// Its number in the goal.
    pub number: i16,
    /// The condition afterwards.
    pub text: String,
    /// Whether the goal needs it afterwards.
    pub required: bool,
    /// Its state afterwards.
    pub then: Then,
    /// Whether it was decided before and is open afterwards.
    pub reopened: bool,
}

/// The criteria of a goal under a new plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// What changes, for people: those of the plan in its order, then those that are removed.
    pub entries: Vec<CriterionEntry>,
    /// The criteria to add.
    pub add: Vec<CriterionSpec>,
    /// The edits of existing ones.
    pub edit: Vec<CriterionEdit>,
    /// The criteria to remove.
    pub remove: Vec<i16>,
    /// How the new plan has those that stay.
    pub written: Vec<(i16, Written)>,
}

impl Followed {
    /// Criteria whose checks and reworks are of what is no longer so.
    #[must_use]
    pub fn restarted(&self) -> Vec<i16> {
        let edits = self.edit.iter().filter(|edit| edit.then != Then::Stays);
        edits.map(|edit| edit.number).chain(self.remove.iter().copied()).collect()
    }
}

/// Compares the criteria of a new plan with those of its goal. `sources`: refs of the document where the goal has another
/// name for the task, by that name: a criterion of a container begins with its name.
///
/// # Errors
/// `invalid` at `/brief` if the goal would have too many.
pub fn follow(
    present: &[PresentCriterion],
    wanted: Vec<CriterionSpec>,
    sources: &BTreeMap<String, String>,
) -> Result<Followed, Refusal> {
    let wanted = named(wanted, sources);
    let pairs = pairs(present, &wanted);
    let mut found = Followed::default();
    for (wish, pair) in wanted.into_iter().zip(&pairs) {
        match pair {
            Some(at) => compare(&mut found, &present[*at], wish),
            None => added(&mut found, wish),
        }
    }
    for (at, criterion) in present.iter().enumerate() {
        if criterion.written.is_some() && !pairs.contains(&Some(at)) {
            found.entries.push(removed(criterion));
            found.remove.push(criterion.number);
        }
    }
    let stay = present.len().saturating_sub(found.remove.len());
    if stay + found.add.len() > settings::GOAL_CRITERIA {
        let most = settings::GOAL_CRITERIA;
        let detail = format!("the goal would have more than {most} criteria");
        return Err(Refusal::invalid_at("/brief", detail));
    }
    Ok(found)
}

/// The criteria with the names that the goal has for their containers.
fn named(mut wanted: Vec<CriterionSpec>, sources: &BTreeMap<String, String>) -> Vec<CriterionSpec> {
    let names: HashMap<&str, &str> =
        sources.iter().map(|(name, source)| (source.as_str(), name.as_str())).collect();
    for criterion in &mut wanted {
        let Some((source, rest)) = criterion.text.split_once(": ") else { continue };
        if let Some(name) = names.get(source) {
            criterion.text = format!("{name}: {rest}");
        }
    }
    wanted
}

fn added(found: &mut Followed, wish: CriterionSpec) {
    found.entries.push(CriterionEntry {
        action: CriterionAction::Add,
        reason: CriterionReason::New,
        number: None,
        text: wish.text.clone(),
        before: None,
        required: wish.required,
        satisfied: wish.satisfied,
        state: if wish.satisfied { CriterionState::Satisfied } else { CriterionState::Open },
        why: String::new(),
    });
    found.add.push(wish);
}

fn removed(criterion: &PresentCriterion) -> CriterionEntry {
    let why = match verdict(criterion) {
        "" => String::new(),
        verdict => format!("its verdict goes with it: {verdict}"),
    };
    CriterionEntry {
        action: CriterionAction::Remove,
        reason: CriterionReason::Removed,
        number: Some(criterion.number),
        text: criterion.text.clone(),
        before: None,
        required: criterion.required,
        satisfied: criterion.written == Some(Written::Ticked),
        state: criterion.state,
        why,
    }
}

/// The verdict of evidence or a person, in words.
const fn verdict(criterion: &PresentCriterion) -> &'static str {
    match (criterion.state, criterion.decider) {
        (CriterionState::Satisfied, Some(Decider::Evidence)) => "evidence satisfied it",
        (CriterionState::Satisfied, Some(Decider::Person)) => "a person approved it",
        (CriterionState::Rejected, Some(Decider::Person)) => "a person rejected it",
        (CriterionState::Rejected, _) => "a check found that it is not met",
        (CriterionState::Open, _) | (CriterionState::Satisfied, Some(Decider::Plan) | None) => "",
    }
}

/// What follows for a criterion, and why.
struct Judged {
    then: Then,
    reason: CriterionReason,
    why: String,
    /// Whether the plan could not have its way.
    held: bool,
}

impl Judged {
    fn of(then: Then, reason: CriterionReason) -> Self {
        Self { then, reason, why: String::new(), held: false }
    }

    fn held(reason: CriterionReason, why: String) -> Self {
        Self { then: Then::Stays, reason, why, held: true }
    }
}

fn compare(found: &mut Followed, criterion: &PresentCriterion, wish: CriterionSpec) {
    let judged = judge(criterion, &wish);
    let Judged { then, reason, ref why, held } = judged;
    let given = criterion.written.is_none();
    let text = if given { criterion.text.clone() } else { wish.text };
    let required = if given { criterion.required } else { wish.required };
    let state = match then {
        Then::Stays => criterion.state,
        Then::Open => CriterionState::Open,
        Then::Satisfied => CriterionState::Satisfied,
    };
    let before = (text != criterion.text).then(|| criterion.text.clone());
    let differs = before.is_some() || required != criterion.required || then != Then::Stays;
    if differs {
        found.edit.push(CriterionEdit {
            number: criterion.number,
            text: text.clone(),
            required,
            then,
            reopened: then == Then::Open && criterion.state != CriterionState::Open,
        });
    }
    if !given {
        let ticked = wish.satisfied && (!held || criterion.written == Some(Written::Ticked));
        found.written.push((criterion.number, Written::of(ticked)));
    }
    found.entries.push(CriterionEntry {
        action: if differs { CriterionAction::Change } else { CriterionAction::Keep },
        reason,
        number: Some(criterion.number),
        text,
        before,
        required,
        satisfied: wish.satisfied,
        state,
        why: why.clone(),
    });
}

fn judge(criterion: &PresentCriterion, wish: &CriterionSpec) -> Judged {
    let Some(base) = criterion.written else {
        let why = if wish.satisfied && !criterion.satisfied() {
            "it was given beside the plan: a person decides it, or evidence"
        } else {
            ""
        };
        return Judged::held(CriterionReason::Given, why.to_owned());
    };
    let spelled = wish.text != criterion.text;
    if spelled && plain(&wish.text) != plain(&criterion.text) {
        return reworded(criterion, wish);
    }
    let edited = wish.required != criterion.required;
    let other = || {
        let reason = match (edited, spelled) {
            (true, _) => CriterionReason::Edited,
            (false, true) => CriterionReason::Spelling,
            (false, false) => CriterionReason::Unchanged,
        };
        // Its check was made for what the goal needed before.
        let again = edited && criterion.begun() && !criterion.satisfied();
        Judged::of(if again { Then::Open } else { Then::Stays }, reason)
    };
    match (base, wish.satisfied) {
        (Written::Open, false) | (Written::Ticked, true) => other(),
        (Written::Open, true) if criterion.satisfied() => other(),
        (Written::Open, true) if !criterion.begun() => {
            Judged::of(Then::Satisfied, CriterionReason::Ticked)
        }
        (Written::Open, true) => {
            let verdict = match verdict(criterion) {
                "" => "it is being checked",
                verdict => verdict,
            };
            Judged {
                why: format!("{verdict}; a tick does not stand against that: a person decides it"),
                reason: CriterionReason::Decided,
                held: true,
                ..other()
            }
        }
        (Written::Ticked, false) => match criterion.decider {
            Some(Decider::Plan) if criterion.satisfied() => {
                Judged::of(Then::Open, CriterionReason::Unticked)
            }
            Some(Decider::Evidence | Decider::Person) if criterion.satisfied() => {
                let why = format!("{}, and it stays satisfied", verdict(criterion));
                Judged { why, reason: CriterionReason::Decided, ..other() }
            }
            Some(_) | None => other(),
        },
    }
}

fn reworded(criterion: &PresentCriterion, wish: &CriterionSpec) -> Judged {
    let then = match (wish.satisfied, criterion.begun()) {
        (true, _) => Then::Satisfied,
        (false, true) => Then::Open,
        (false, false) => Then::Stays,
    };
    let next = if wish.satisfied { "the plan says that it is met" } else { "it is checked anew" };
    let why = match verdict(criterion) {
        "" if criterion.checked => format!("its check was of the words before; {next}"),
        "" => String::new(),
        verdict => format!("{verdict} in the words before; {next}"),
    };
    Judged { then, reason: CriterionReason::Reworded, why, held: false }
}

/// For each criterion of the new plan that of the goal: its place in `present`.
fn pairs(present: &[PresentCriterion], wanted: &[CriterionSpec]) -> Vec<Option<usize>> {
    let mut pairing = Pairing {
        present,
        wanted,
        taken: vec![false; present.len()],
        pairs: vec![None; wanted.len()],
    };
    pairing.by_text(true, str::to_owned);
    pairing.by_text(false, str::to_owned);
    pairing.by_text(true, plain);
    pairing.by_similarity();
    pairing.by_place();
    pairing.pairs
}

struct Pairing<'a> {
    present: &'a [PresentCriterion],
    wanted: &'a [CriterionSpec],
    /// Of each criterion of the goal, whether it is paired.
    taken: Vec<bool>,
    pairs: Vec<Option<usize>>,
}

impl Pairing<'_> {
    fn pair(&mut self, old: usize, new: usize) {
        self.taken[old] = true;
        self.pairs[new] = Some(old);
    }

    /// The criteria of the plan in force (`planned`), or of nothing, that are left.
    fn olds(&self, planned: bool) -> Vec<usize> {
        let left = |at: &usize| !self.taken[*at] && self.present[*at].written.is_some() == planned;
        (0..self.present.len()).filter(left).collect()
    }

    fn news(&self) -> Vec<usize> {
        (0..self.wanted.len()).filter(|at| self.pairs[*at].is_none()).collect()
    }

    /// Pairs what has the same key, in the order of both.
    fn by_text(&mut self, planned: bool, key: impl Fn(&str) -> String) {
        let mut waiting: HashMap<String, VecDeque<usize>> = HashMap::new();
        for old in self.olds(planned) {
            waiting.entry(key(&self.present[old].text)).or_default().push_back(old);
        }
        for new in self.news() {
            let queue = waiting.get_mut(&key(&self.wanted[new].text));
            if let Some(old) = queue.and_then(VecDeque::pop_front) {
                self.pair(old, new);
            }
        }
    }

    /// Pairs similar texts, the most similar first. Too many are compared in their order.
    fn by_similarity(&mut self) {
        let (olds, news) = (self.olds(true), self.news());
        let mut words = Words::default();
        let paired = olds.len().saturating_mul(news.len()) > GAP;
        let mut found = Vec::new();
        for (place, &old) in olds.iter().enumerate() {
            words.compare_with(old, &self.present[old].text);
            let news = if paired { news.get(place..=place).unwrap_or_default() } else { &news };
            for &new in news {
                let title = self.present.len() + new;
                let alike = words.alike(title, &self.wanted[new].text);
                if alike >= SIMILAR {
                    found.push((Reverse(alike), new, old));
                }
            }
        }
        found.sort_unstable();
        for (_, new, old) in found {
            if !self.taken[old] && self.pairs[new].is_none() {
                self.pair(old, new);
            }
        }
    }

    /// Pairs what is left alone between the same neighbours, unless something was decided or checked.
    fn by_place(&mut self) {
        let planned: Vec<usize> =
            (0..self.present.len()).filter(|at| self.present[*at].written.is_some()).collect();
        let place: HashMap<usize, usize> =
            planned.iter().enumerate().map(|(place, old)| (*old, place)).collect();
        // What was given beside the plan stands between no neighbours.
        let of_plan =
            |new: &usize| self.pairs[*new].is_none_or(|old| self.present[old].written.is_some());
        let lines: Vec<usize> = (0..self.wanted.len()).filter(of_plan).collect();
        for (line, &new) in lines.iter().enumerate() {
            if self.pairs[new].is_some() {
                continue;
            }
            let place = |line: usize| self.pairs[lines[line]].and_then(|old| place.get(&old));
            // The place after the neighbour above; the first place if there is none.
            let above = match line.checked_sub(1) {
                None => Some(0),
                Some(above) => place(above).map(|at| at + 1),
            };
            let below =
                if line + 1 < lines.len() { place(line + 1).copied() } else { Some(planned.len()) };
            let (Some(at), Some(below)) = (above, below) else { continue };
            let Some(old) = planned.get(at).copied().filter(|_| at + 1 == below) else { continue };
            if !self.taken[old] && !self.present[old].begun() {
                self.pair(old, new);
            }
        }
    }
}

#[cfg(test)]
mod tests;
