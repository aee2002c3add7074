//! The findings about a plan: its own errors, and what the fleet, the budget and the deadline say to it.
//!
//! [`structural`] repeats the check that refuses plans, as findings. [`against`] judges a plan by its ground.
//! Errors come first, each kind in the order of the plan; a kind has at most twenty findings of single tasks,
//! and one that names the others. Nothing is compared with everything: the work is linear in the plan, but for
//! sets of capabilities, each of which is compared with the groups of agents.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    PlanContext, TaskSpec, check_plan,
    document::TASKS,
    finding::{Finding, FindingCode},
    ground::{Fleet, Groups},
    network::Network,
    numbers::{DurationSource, PlanNumbers, duration, numbers, waiting},
    order::circle,
    wording::{self, Titles},
};
use crate::domain::{check::pointer, spend::ATTEMPTS};

pub use super::ground::{Able, AgentGroup, Ground, OpenTask};

/// The most findings of one kind about single tasks.
pub const PER_CODE: usize = 20;
/// The number of tasks from which a chain is worth a warning.
const CHAIN: usize = 3;

/// All findings about a plan that stands alone: errors first.
#[must_use]
pub fn validate(tasks: &[TaskSpec], ground: &Ground) -> Vec<Finding> {
    let mut findings = structural(tasks);
    if !findings.iter().any(|finding| finding.code == FindingCode::TooMany) {
        findings.extend(against(tasks, ground, &numbers(tasks, ground)));
    }
    // Stable: within errors and warnings the order stays.
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// The errors of the plan itself, as findings.
#[must_use]
pub fn structural(tasks: &[TaskSpec]) -> Vec<Finding> {
    let context = PlanContext { at: TASKS, taken: &HashSet::new(), around: None };
    let Err(refusal) = check_plan(tasks, context) else { return Vec::new() };
    let finding = |error: crate::domain::refusal::FieldError| {
        let code = error.code.and_then(|code| code.parse().ok()).unwrap_or(FindingCode::BadValue);
        let task = task_at(&error.pointer).and_then(|index| tasks.get(index));
        let finding = Finding::new(code, error.pointer, error.detail);
        if code == FindingCode::Cycle {
            return finding.about(circle(tasks, &[]).unwrap_or_default());
        }
        finding.about(task.map(|task| task.r#ref.as_str()))
    };
    refusal.errors.into_iter().map(finding).collect()
}

/// The index of the task at a pointer.
fn task_at(pointer: &str) -> Option<usize> {
    pointer.strip_prefix(TASKS)?.strip_prefix('/')?.split('/').next()?.parse().ok()
}

/// The findings about a plan by its ground; `numbers` are those of the plan.
#[must_use]
pub fn against(tasks: &[TaskSpec], ground: &Ground, numbers: &PlanNumbers) -> Vec<Finding> {
    let network = Network::of(tasks);
    let leaves: Vec<usize> = network.leaves().collect();
    let fleet = Fleet::of(&ground.agents);
    let judge = Judge { tasks, ground, fleet, numbers, network, leaves, found: Vec::new() };
    judge.all()
}

struct Judge<'a> {
    tasks: &'a [TaskSpec],
    ground: &'a Ground,
    fleet: Fleet<'a>,
    numbers: &'a PlanNumbers,
    network: Network,
    /// The tasks that are worked on.
    leaves: Vec<usize>,
    found: Vec<Finding>,
}

impl<'a> Judge<'a> {
    fn all(mut self) -> Vec<Finding> {
        self.capabilities();
        self.budgets();
        self.deadline();
        self.criteria();
        self.reviewers();
        self.chain();
        self.titles();
        self.duplicates();
        self.verification();
        self.one_agent();
        self.found
    }

    fn at(&self, task: usize, field: &str) -> String {
        pointer(&pointer(TASKS, task), field)
    }

    fn refs(&self, tasks: &[usize]) -> Vec<&'a str> {
        tasks.iter().map(|task| self.tasks[*task].r#ref.as_str()).collect()
    }

    /// One finding per task, and one that names those beyond [`PER_CODE`].
    fn list(&mut self, code: FindingCode, field: &str, found: &[(usize, String)], others: &str) {
        for (task, detail) in found.iter().take(PER_CODE) {
            let finding = Finding::new(code, self.at(*task, field), detail);
            self.found.push(finding.about([self.tasks[*task].r#ref.as_str()]));
        }
        if let Some(rest) = found.get(PER_CODE..).filter(|rest| !rest.is_empty()) {
            let rest: Vec<usize> = rest.iter().map(|(task, _)| *task).collect();
            let detail = format!("{} more tasks {others}", rest.len());
            self.found.push(Finding::new(code, TASKS, detail).about(self.refs(&rest)));
        }
    }

    fn capabilities(&mut self) {
        let mut users: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut sets: BTreeMap<&[String], Vec<usize>> = BTreeMap::new();
        for task in &self.leaves {
            let capabilities = &self.tasks[*task].capabilities;
            for capability in capabilities {
                users.entry(capability).or_default().push(*task);
            }
            if !capabilities.is_empty() {
                sets.entry(capabilities).or_default().push(*task);
            }
        }
        let known = |capability: &str| self.ground.capabilities.contains_key(capability);
        let mut unknown: Vec<(&str, &Vec<usize>)> = users
            .iter()
            .filter(|(name, _)| !known(name))
            .map(|(name, users)| (*name, users))
            .collect();
        unknown.sort_by_key(|(_, users)| users[0]);
        let mut found = Vec::new();
        for (name, users) in unknown.iter().take(PER_CODE) {
            let near = wording::nearest(name, self.ground.capabilities.keys().map(String::as_str));
            let near: Vec<String> = near.into_iter().map(|name| format!("`{name}`")).collect();
            let hint = match (near.is_empty(), self.ground.agents.is_empty()) {
                (false, _) => format!("did you mean {}?", near.join(" or ")),
                (true, true) => "no agent is registered".to_owned(),
                (true, false) => "see GET /v1/agents for those that agents have".to_owned(),
            };
            let place = self.tasks[users[0]].capabilities.iter().position(|one| one == name);
            let at = pointer(&self.at(users[0], "capabilities"), place.unwrap_or(0));
            let detail = format!("no agent has the capability `{name}`: {hint}");
            found.push(
                Finding::new(FindingCode::UnknownCapability, at, detail).about(self.refs(users)),
            );
        }
        if unknown.len() > PER_CODE {
            let names: Vec<&str> =
                unknown[PER_CODE..].iter().map(|(name, _)| *name).take(PER_CODE).collect();
            let detail = format!(
                "{} more capabilities are unknown: {}",
                unknown.len() - PER_CODE,
                names.join(", ")
            );
            found.push(Finding::new(FindingCode::UnknownCapability, TASKS, detail));
        }
        let mut nobody: Vec<(&[String], &Vec<usize>)> = sets
            .iter()
            .filter(|(set, _)| set.iter().all(|name| known(name)) && self.fleet.agents(set) == 0)
            .map(|(set, users)| (*set, users))
            .collect();
        nobody.sort_by_key(|(_, users)| users[0]);
        for (set, users) in nobody.iter().take(PER_CODE) {
            let names: Vec<String> = set.iter().map(|name| format!("`{name}`")).collect();
            let detail = format!(
                "no agent has all of {}: split the task by capability, or register an agent that has them",
                names.join(", ")
            );
            let at = self.at(users[0], "capabilities");
            found.push(Finding::new(FindingCode::NobodyAble, at, detail).about(self.refs(users)));
        }
        if nobody.len() > PER_CODE {
            let detail =
                format!("nobody has {} more sets of capabilities", nobody.len() - PER_CODE);
            found.push(Finding::new(FindingCode::NobodyAble, TASKS, detail));
        }
        self.found.extend(found);
    }

    fn budgets(&mut self) {
        for (unit, left) in &self.ground.budget_left {
            let expected = if unit == ATTEMPTS {
                Some(self.numbers.tasks)
            } else {
                self.numbers.cost.iter().find(|band| band.unit == *unit).map(|band| band.p50)
            };
            let Some(expected) = expected.filter(|expected| expected > left) else { continue };
            let detail = format!(
                "the plan is expected to use {expected} of `{unit}`, and {left} is left of the tightest limit: \
                 plan less, or let an operator raise the budget"
            );
            self.found.push(Finding::new(FindingCode::OverBudget, TASKS, detail));
        }
    }

    /// What is only assumed about durations is no reason: such tasks take no time here.
    fn deadline(&mut self) {
        let Some(deadline) = self.ground.deadline else { return };
        let left = (deadline - self.ground.now).num_milliseconds();
        let known = |task: usize| match duration(&self.tasks[task], self.ground) {
            (ms, _, DurationSource::Estimate | DurationSource::Measured) => ms,
            (_, _, DurationSource::Default) => 0,
        };
        let path = self.network.longest(known, |task| waiting(&self.tasks[task], self.ground));
        if path.tasks.is_empty() || path.length <= left {
            return;
        }
        let detail = if left <= 0 {
            "the deadline has passed: give the goal a later one".to_owned()
        } else {
            format!(
                "the longest chain of tasks takes {} and the deadline is in {}: shorten the tasks of the chain, let \
                 them run side by side, or give the goal a later deadline",
                shown(path.length),
                shown(left)
            )
        };
        let refs = self.refs(&path.tasks);
        self.found.push(Finding::new(FindingCode::PastDeadline, TASKS, detail).about(refs));
    }

    fn criteria(&mut self) {
        let without = self.leaves.iter().filter(|task| self.tasks[**task].criteria.is_empty());
        let detail = "has no criterion: say how its agent can check that it is done";
        let found: Vec<(usize, String)> = without.map(|task| (*task, detail.to_owned())).collect();
        self.list(FindingCode::NoCriterion, "criteria", &found, "have no criterion");
    }

    fn reviewers(&mut self) {
        let mut sole: HashMap<&[String], Option<usize>> = HashMap::new();
        let fleet = &self.fleet;
        let mut only = |task: &'a TaskSpec| {
            *sole.entry(&task.capabilities).or_insert_with(|| {
                let able = fleet.able(task.capabilities.iter().map(String::as_str));
                let mut groups = fleet.some(&able);
                let (index, group) = groups.next()?;
                (group.agents == 1 && groups.next().is_none()).then_some(index)
            })
        };
        let by_ref: HashMap<&str, usize> =
            self.leaves.iter().map(|task| (self.tasks[*task].r#ref.as_str(), *task)).collect();
        let mut found = Vec::new();
        for index in &self.leaves {
            let review = &self.tasks[*index];
            if !reviews(review) {
                continue;
            }
            let works = review.needs.iter().filter_map(|need| by_ref.get(need.as_str()));
            let work = works.map(|work| &self.tasks[*work]).find(|work| {
                let reviewer = only(review);
                !reviews(work) && reviewer.is_some() && reviewer == only(work)
            });
            if let Some(work) = work {
                let detail = format!(
                    "the only agent that can do it is the only one that can do `{}`, which it reviews: require other \
                     capabilities, register another agent, or let a person approve the result of `{}`",
                    work.r#ref, work.r#ref
                );
                found.push((*index, detail));
            }
        }
        let others = "review what only their own agent can do";
        self.list(FindingCode::ReviewerIsAuthor, "capabilities", &found, others);
    }

    fn chain(&mut self) {
        let waves = self.numbers.waves.len();
        if self.leaves.len() < CHAIN || waves < self.leaves.len() {
            return;
        }
        let detail = format!(
            "the {} tasks form one chain, so one agent works at a time: leave out needs that are only the order of \
             the text",
            self.leaves.len()
        );
        let refs = self.refs(&self.leaves);
        self.found.push(Finding::new(FindingCode::SerialPlan, TASKS, detail).about(refs));
    }

    fn titles(&mut self) {
        let open = self.tasks.iter().enumerate().filter(|(_, task)| !task.done);
        let vague = open.filter(|(_, task)| wording::is_vague(&task.title));
        let detail = |title: &str| {
            let title: String = title.chars().take(100).collect();
            format!("the title \"{title}\" does not say what is made or found out")
        };
        let found: Vec<(usize, String)> =
            vague.map(|(index, task)| (index, detail(&task.title))).collect();
        self.list(
            FindingCode::VagueTitle,
            "title",
            &found,
            "have titles that do not say what is made",
        );
    }

    fn duplicates(&mut self) {
        if self.ground.open_tasks.is_empty() {
            return;
        }
        let mut titles = Titles::new(self.ground.open_tasks.iter().map(|task| task.title.as_str()));
        let mut found = Vec::new();
        for index in &self.leaves {
            let Some(like) = titles.like(&self.tasks[*index].title) else { continue };
            let OpenTask { task_id, title, same_goal } = &self.ground.open_tasks[like];
            let title: String = title.chars().take(100).collect();
            let of = if *same_goal { "goal" } else { "project" };
            let detail = format!(
                "the {of} has the open task \"{title}\" ({task_id}), which is nearly the same: leave this one out if it is"
            );
            found.push((*index, detail));
        }
        let others = "are nearly the same as open ones";
        self.list(FindingCode::ProbableDuplicate, "title", &found, others);
    }

    fn verification(&mut self) {
        let checked = |task: &TaskSpec| {
            !task.criteria.is_empty()
                || task.approval.result
                || wording::speaks_of_checking(&task.title)
                || task
                    .capabilities
                    .iter()
                    .any(|capability| wording::speaks_of_checking(capability))
        };
        let any = self.leaves.iter().any(|task| checked(&self.tasks[*task]));
        if any || self.ground.goal_criteria || self.leaves.is_empty() {
            return;
        }
        let detail = "nothing checks the results: give tasks criteria, add a task that tests or reviews, let a person \
                      approve results, or give the goal criteria";
        self.found.push(Finding::new(FindingCode::NoVerification, TASKS, detail));
    }

    /// Only one agent can do anything of it, or the tasks differ in their capabilities and one agent has all.
    fn one_agent(&mut self) {
        if self.leaves.len() < 2 {
            return;
        }
        let sets: HashSet<&[String]> =
            self.leaves.iter().map(|task| self.tasks[*task].capabilities.as_slice()).collect();
        let mut for_any = Groups::none(&self.fleet);
        for set in &sets {
            for_any.add(&self.fleet.able(set.iter().map(String::as_str)));
        }
        let agents = self.fleet.some(&for_any);
        let agents = agents.fold(0_i64, |sum, (_, group)| sum.saturating_add(group.agents));
        let needed: HashSet<&str> =
            sets.iter().flat_map(|set| set.iter()).map(String::as_str).collect();
        let for_all = self.fleet.able(needed.iter().copied());
        let mut for_all = self.fleet.some(&for_all);
        if for_all.next().is_none() || agents != 1 && needed.len() < 2 {
            return;
        }
        let detail = if agents == 1 {
            "only one agent can do anything of it: tasks that are independent wait for each other, and nobody else \
             looks at the work"
        } else {
            "one agent has all capabilities that the plan needs, so it may do every task: if somebody else should \
             look at the work, require a capability for it that the authors do not have"
        };
        self.found.push(Finding::new(FindingCode::OneAgentForAll, TASKS, detail));
    }
}

/// Whether a task reviews the tasks that it needs.
fn reviews(task: &TaskSpec) -> bool {
    wording::means_review(&task.title)
        || task.capabilities.iter().any(|capability| wording::means_review(capability))
}

/// A duration for people: its two largest units.
#[must_use]
pub fn shown(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let mut rest = ms.max(0);
    let mut parts = Vec::new();
    for (length, unit) in units {
        if rest >= length {
            parts.push(format!("{} {unit}", rest / length));
            rest %= length;
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests;
