//! Work that agents discover while they work on something else.
//!
//! It becomes tasks of the same goal, beside the task that found it. An agent proposes; whether it decides too is
//! the policy of the goal ([`DiscoveredPolicy`]), and never for a goal whose plan a person has to approve. What is
//! taken without a person changes nothing that exists: no task waits for it. So work that is put into a container
//! of the goal, which delays all that needs that container, is always asked about, and so is work whose estimates
//! exceed what is left of a budget.
//!
//! Three limits hold whatever the policy says, because an agent may discover for ever: the depth of discoveries
//! from discoveries, and the tasks of one attempt and of one goal.

use std::collections::BTreeMap;

use super::TaskSpec;
use crate::domain::{
    check::{Checks, pointer},
    ids::{ApprovalId, PlanId, TaskId},
    refusal::{Code, Refusal},
    settings,
    words::words,
};

words! {
    /// What becomes of work that the agents of a goal discover.
    pub enum DiscoveredPolicy {
        /// A person decides about each report.
        Ask => "ask",
        /// Its tasks are created at once, within the limits of depth, number and budget.
        Accept => "accept",
        /// None is taken: a report is refused.
        Refuse => "refuse",
    }
}

words! {
    /// What became of a discovered task.
    pub enum DiscoveredOutcome {
        /// A person is asked whether it becomes a task.
        Asked => "asked",
        /// It is a task of the goal now.
        Taken => "taken",
        /// The goal has an open task, or a proposed one, with this title: nothing was added.
        Duplicate => "duplicate",
    }
}

/// How far discovered work has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The policy of the goal.
    pub policy: DiscoveredPolicy,
    /// Whether a person had to approve the plan of the goal.
    pub plan_approval: bool,
    /// Title of the goal.
    pub goal_title: String,
    /// Title of the task whose attempt reports.
    pub task_title: String,
    /// Number of discoveries that led to that task.
    pub depth: i64,
    /// Tasks that the attempt has reported before, without duplicates.
    pub by_attempt: i64,
    /// Discovered tasks of the goal, created or waiting for a decision.
    pub of_goal: i64,
}

/// A task that has the title of a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Index of the new one in the report.
    pub index: i32,
    /// The open task; `None`: it waits for a decision.
    pub task_id: Option<TaskId>,
    /// Its name in the plan.
    pub reference: String,
    /// The plan with which it waits for a decision.
    pub plan_id: Option<PlanId>,
    /// The approval of that plan.
    pub approval_id: Option<ApprovalId>,
}

/// What is left of the limits above a goal in one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The unit.
    pub unit: String,
    /// The amount.
    pub amount: i64,
}

/// Why a person is asked about work that the policy would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concern {
    /// The policy asks about everything.
    Policy,
    /// It goes into a container that exists: tasks that need the container wait longer.
    Inside(String),
    /// Its estimates exceed what is left.
    Short {
        /// The unit.
        unit: String,
        /// Sum of the estimates.
        wanted: i128,
        /// The amount left.
        left: i64,
    },
}

impl std::fmt::Display for Concern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Policy => f.write_str("the goal asks about all discovered work"),
            Self::Inside(container) => write!(
                f,
                "it goes into the container `{container}`: what needs that waits for it too"
            ),
            Self::Short { unit, wanted, left } => {
                write!(f, "its estimates are {wanted} {unit}, and {left} are left")
            }
        }
    }
}

/// Checks a report by itself.
///
/// # Errors
/// `invalid`, with every place.
pub fn check_report(tasks: &[TaskSpec], reason: &str) -> Result<(), Refusal> {
    let mut checks = Checks::new();
    checks.ensure(!tasks.is_empty(), "/tasks", "must have at least one task");
    checks.count("/tasks", tasks.len(), settings::DISCOVERED_PER_REPORT);
    checks.bytes("/reason", reason, settings::MESSAGE_BYTES);
    let mut titles: BTreeMap<String, usize> = BTreeMap::new();
    for (index, task) in tasks.iter().enumerate().take(settings::DISCOVERED_PER_REPORT) {
        let at = pointer("/tasks", index);
        checks.ensure(
            !task.done,
            &pointer(&at, "done"),
            "is work to be done, so it is not done yet",
        );
        let words: Vec<String> = task.title.split_whitespace().map(str::to_lowercase).collect();
        if let Some(first) = titles.insert(words.join(" "), index) {
            checks.add(pointer(&at, "title"), format!("task {first} has the same title"));
        }
    }
    checks.finish()
}

/// Whether a report of `count` new tasks is within the limits.
///
/// # Errors
/// `wrong_state`: the goal takes none, or a limit is reached.
pub fn admit(standing: &Standing, count: usize) -> Result<(), Refusal> {
    let refuse = |detail: String| Err(Refusal::new(Code::WrongState, detail));
    match standing.policy {
        DiscoveredPolicy::Refuse => {
            return refuse(
                "the goal takes no discovered work: say it in the result of your task".to_owned(),
            );
        }
        DiscoveredPolicy::Ask | DiscoveredPolicy::Accept => {}
    }
    if standing.depth >= settings::DISCOVERED_DEPTH {
        return refuse(format!(
            "your task was discovered from discovered work, {} deep, which is the most: say it in the result \
             of your task",
            standing.depth
        ));
    }
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let limits = [
        ("an attempt", standing.by_attempt, settings::DISCOVERED_PER_ATTEMPT),
        ("a goal", standing.of_goal, settings::DISCOVERED_PER_GOAL),
    ];
    for (whose, before, most) in limits {
        if before.saturating_add(count) > most {
            return refuse(format!(
                "{whose} may have {most} discovered tasks, and this one has {before}: say the rest in the \
                 result of your task"
            ));
        }
    }
    Ok(())
}

/// Why a person has to decide about new tasks of a goal; empty: the policy takes them.
#[must_use]
pub fn concerns(standing: &Standing, tasks: &[TaskSpec], left: &[Left]) -> Vec<Concern> {
    let mut concerns = Vec::new();
    if standing.policy != DiscoveredPolicy::Accept || standing.plan_approval {
        concerns.push(Concern::Policy);
    }
    let own = |name: &str| tasks.iter().any(|task| task.r#ref == name);
    let containers = tasks.iter().filter_map(|task| task.parent.as_deref());
    if let Some(container) = containers.into_iter().find(|parent| !own(parent)) {
        concerns.push(Concern::Inside(container.to_owned()));
    }
    let mut wanted: BTreeMap<&str, i128> = BTreeMap::new();
    for (unit, estimate) in tasks.iter().flat_map(|task| &task.estimate) {
        *wanted.entry(unit.as_str()).or_default() += i128::from(estimate.range().min);
    }
    for limit in left {
        let sum = wanted.get(limit.unit.as_str()).copied().unwrap_or_default();
        if sum > i128::from(limit.amount) {
            concerns.push(Concern::Short {
                unit: limit.unit.clone(),
                wanted: sum,
                left: limit.amount,
            });
        }
    }
    concerns
}

/// Replaces the names of known tasks in new ones by those of the tasks that exist. `fresh`: the new tasks
/// with their index in the report.
///
/// # Errors
/// `plan_invalid` for a new task that needs, or goes into, one that only waits for a decision.
pub fn rename(fresh: &mut [(usize, TaskSpec)], known: &[(String, Known)]) -> Result<(), Refusal> {
    let by_name: BTreeMap<&str, &Known> =
        known.iter().map(|(name, known)| (name.as_str(), known)).collect();
    let mut checks = Checks::new();
    for (index, task) in fresh {
        let at = pointer("/tasks", *index);
        let needs =
            task.needs.iter_mut().enumerate().map(|(n, name)| (format!("{at}/needs/{n}"), name));
        let parent = task.parent.iter_mut().map(|name| (format!("{at}/parent"), name));
        for (at, name) in needs.chain(parent) {
            let Some(known) = by_name.get(name.as_str()) else { continue };
            if known.task_id.is_some() {
                name.clone_from(&known.reference);
            } else {
                let detail = format!(
                    "`{name}` has the title of a task that waits for a decision: report this one after it, or \
                     leave it out here"
                );
                checks.add(at, detail);
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        task.needs.retain(|need| seen.insert(need.clone()));
    }
    checks.finish_plan(super::finding::FindingCode::BadValue.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{budget::ask::Estimate, words::Words as _};

    fn standing(policy: DiscoveredPolicy) -> Standing {
        Standing {
            policy,
            plan_approval: false,
            goal_title: "g".into(),
            task_title: "t".into(),
            depth: 0,
            by_attempt: 0,
            of_goal: 0,
        }
    }

    fn task(name: &str) -> TaskSpec {
        TaskSpec { r#ref: name.into(), title: name.into(), ..TaskSpec::default() }
    }

    proptest! {
        /// No series of reports passes a limit, whatever the policy.
        #[test]
        fn no_series_of_reports_passes_a_limit(
            policy in prop::sample::select(DiscoveredPolicy::ALL),
            reports in prop::collection::vec((1usize..=20, 0i64..5, any::<bool>()), 1..80),
        ) {
            let mut now = standing(policy);
            for (count, depth, new_attempt) in reports {
                now.depth = depth;
                if new_attempt {
                    now.by_attempt = 0;
                }
                if admit(&now, count).is_ok() {
                    now.by_attempt += count as i64;
                    now.of_goal += count as i64;
                    prop_assert!(policy != DiscoveredPolicy::Refuse);
                    prop_assert!(depth < settings::DISCOVERED_DEPTH);
                }
                prop_assert!(now.by_attempt <= settings::DISCOVERED_PER_ATTEMPT);
                prop_assert!(now.of_goal <= settings::DISCOVERED_PER_GOAL);
            }
        }

        /// Work is taken without a person only if the policy says so, no plan had to be approved, nothing that
        /// exists waits for it, and the estimates fit.
        #[test]
        fn a_person_is_asked_unless_everything_allows_it(
            policy in prop::sample::select(DiscoveredPolicy::ALL), plan_approval: bool, inside: bool,
            amounts in prop::collection::vec(0i64..50, 1..5), left in prop::option::of(0i64..100),
        ) {
            let mut tasks: Vec<TaskSpec> = amounts
                .iter()
                .enumerate()
                .map(|(n, amount)| TaskSpec {
                    estimate: BTreeMap::from([("usd_micros".to_owned(), Estimate::Exact(*amount))]),
                    ..task(&n.to_string())
                })
                .collect();
            if inside {
                tasks[0].parent = Some("phase".into());
            }
            let limits: Vec<Left> =
                left.iter().map(|amount| Left { unit: "usd_micros".into(), amount: *amount }).collect();
            let given = Standing { plan_approval, ..standing(policy) };
            let fits = left.is_none_or(|left| amounts.iter().sum::<i64>() <= left);
            let free = policy == DiscoveredPolicy::Accept && !plan_approval && !inside && fits;
            prop_assert_eq!(concerns(&given, &tasks, &limits).is_empty(), free);
        }
    }

    #[test]
    fn a_report_has_no_title_twice_and_nothing_that_is_done() {
        let twice = [
            task("Write the docs"),
            TaskSpec { r#ref: "b".into(), title: " write  the DOCS".into(), ..task("b") },
        ];
        assert_eq!(check_report(&twice, "").unwrap_err().errors[0].pointer, "/tasks/1/title");
        let done = [TaskSpec { done: true, ..task("a") }];
        assert_eq!(check_report(&done, "").unwrap_err().errors[0].pointer, "/tasks/0/done");
        assert!(check_report(&[], "").is_err());
        let many: Vec<TaskSpec> = (0..21).map(|n| task(&n.to_string())).collect();
        assert!(check_report(&many, "").is_err());
        assert!(check_report(&many[..20], "").is_ok());
    }

    #[test]
    fn names_of_known_tasks_are_replaced_by_theirs() {
        let known = |task_id| Known {
            index: 0,
            task_id,
            reference: "T001".into(),
            plan_id: None,
            approval_id: None,
        };
        let needing =
            || vec![(1, TaskSpec { needs: vec!["docs".into(), "T001".into()], ..task("b") })];
        let mut fresh = needing();
        let open = [("docs".to_owned(), known(Some(TaskId(uuid::Uuid::nil()))))];
        rename(&mut fresh, &open).unwrap();
        assert_eq!(fresh[0].1.needs, ["T001"]);
        let waiting = [("docs".to_owned(), known(None))];
        let refusal = rename(&mut needing(), &waiting).unwrap_err();
        assert_eq!(refusal.errors[0].pointer, "/tasks/1/needs/0");
    }
}
