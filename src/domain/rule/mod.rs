//! Intervention rules: what an operator wants to happen by itself when work goes wrong.
//!
//! A rule is data: a condition ([`When`]), what is done ([`Then`]), and about which work it is
//! ([`Scope`]). Each condition is about one kind of thing, a task or a goal, and is judged by one pure
//! function on what is known of that thing ([`Facts`]); the service collects the facts and judges twice,
//! without locks to find what a rule may be about, and under them before anything is done.
//!
//! | condition | about | holds when |
//! |---|---|---|
//! | `budget_used` | task or goal | so many percent of one of its own limits are used, or more |
//! | `failures` | task | so many of its attempts failed or expired, or more |
//! | `same_failure` | task | its last two failures are the same: class, and message without what varies |
//! | `no_progress` | task | its running attempt has told nothing new for so long |
//! | `deadline_slack` | goal | deadline - now - critical path is less than this: 0 means it will be late |
//! | `cost_over_estimate` | task | it used more than so many percent of its own estimate |
//! | `rework_over` | task | more of its results were rejected than this |
//! | `subtasks_over` | task | it waits for its subtasks and has more of them than this |
//! | `risky_capability` | task | it is offered or worked on and requires one of these |
//! | `looping` | task | the steps of its running attempt repeat |
//!
//! A rule does something once about the same thing, and that is open until the condition clears, a
//! person decided, or the thing ended. Most conditions do not clear by themselves: a task that has failed
//! three times will always have. So whatever a person answered or lifted counts as an answer until it has
//! become worse than it was then ([`Finding::measure`]): another failure, another loop, one more percent.

use serde::{Deserialize, Serialize};

use super::{
    check::{Checks, pointer},
    ids::ProjectId,
    loops::Pattern,
    settings, spend,
    words::words,
};

mod facts;
pub mod path;
#[cfg(test)]
mod tests;
mod then;

pub use facts::{Facts, Failure, Finding, Share};
pub use then::{Then, taken};

words! {
    /// What a rule is about.
    pub enum Subject {
        /// A task.
        Task => "task",
        /// A goal.
        Goal => "goal",
    }
}

words! {
    /// The conditions of rules, by name.
    pub enum Condition {
        /// So much of a limit is used.
        BudgetUsed => "budget_used",
        /// So many attempts failed.
        Failures => "failures",
        /// The last two failures are the same.
        SameFailure => "same_failure",
        /// Nothing new for so long.
        NoProgress => "no_progress",
        /// The deadline will be missed.
        DeadlineSlack => "deadline_slack",
        /// It used more than was estimated.
        CostOverEstimate => "cost_over_estimate",
        /// Results were rejected too often.
        ReworkOver => "rework_over",
        /// It was split into too many.
        SubtasksOver => "subtasks_over",
        /// It requires something risky.
        RiskyCapability => "risky_capability",
        /// Its steps repeat.
        Looping => "looping",
    }
}

words! {
    /// What rules do, by name.
    pub enum Action {
        /// Tells whoever works on it.
        Nudge => "nudge",
        /// Asks a person; the task waits for the answer.
        Ask => "ask",
        /// Has the task wait for a person.
        Park => "park",
        /// Freezes it.
        Freeze => "freeze",
        /// Gives the task to another agent.
        Reassign => "reassign",
    }
}

words! {
    /// How an intervention was closed.
    pub enum Closing {
        /// The condition did not hold any more.
        Cleared => "cleared",
        /// A person decided.
        Decided => "decided",
        /// The freeze was lifted.
        Lifted => "lifted",
        /// It was done at once, and nothing is left open.
        Done => "done",
        /// The task or goal has ended.
        Ended => "ended",
        /// The rule was switched off or deleted, or its question withdrawn.
        Withdrawn => "withdrawn",
    }
}

impl Closing {
    /// Whether it was dealt with as it was then, so that only worse is news.
    #[must_use]
    pub const fn is_an_answer(self) -> bool {
        match self {
            Self::Decided | Self::Lifted | Self::Done => true,
            Self::Cleared | Self::Ended | Self::Withdrawn => false,
        }
    }
}

words! {
    /// What a person answers to the question of a rule.
    pub enum Choice {
        /// It goes on; the rule is silent until it has become worse.
        Continue => "continue",
        /// It goes on with another agent than the one that had it.
        Reassign => "reassign",
        /// The task or goal is cancelled.
        Cancel => "cancel",
    }
}

/// When a rule does something: exactly one condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"failures": {"count": 3}}))]
pub enum When {
    /// So many percent of one of its own limits are used, or more; what is set aside does not count.
    BudgetUsed {
        /// Whose limits: `goal` or `task`. Left out: `goal`.
        #[serde(default = "goals")]
        of: Subject,
        /// Percent of the limit.
        #[schema(minimum = 1, maximum = 1000, example = 80)]
        percent: i64,
        /// Only limits in this unit; left out: in any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "usd_micros")]
        unit: Option<String>,
    },
    /// So many of its attempts failed or expired, or more.
    Failures {
        /// How many.
        #[schema(minimum = 1, maximum = 100, example = 3)]
        count: i64,
    },
    /// Its last two failures are the same: the same class, and the same message but for numbers, times
    /// and other things that differ without meaning anything.
    SameFailure {},
    /// Its running attempt has told nothing new for so long: no other progress, no other checkpoint, no
    /// step. The same again is nothing new.
    NoProgress {
        /// For how long.
        #[schema(minimum = 1, maximum = 2592000, example = 1800)]
        seconds: i64,
    },
    /// Deadline - now - critical path is less than this. The critical path is the longest chain of tasks
    /// that are still to be done, by their estimates of `wall_ms`; else by what nine of ten tasks like
    /// them took; else by what the goal's done tasks took on average.
    DeadlineSlack {
        /// In seconds; left out: 0, the goal will be late. 3600: less than an hour is left over.
        #[serde(default)]
        #[schema(minimum = -2592000, maximum = 2592000, example = 0)]
        below_seconds: i64,
    },
    /// It used more than so many percent of its own estimate.
    CostOverEstimate {
        /// Percent of the estimate: 200 is twice as much.
        #[schema(minimum = 1, maximum = 100000, example = 200)]
        percent: i64,
        /// Only the estimate in this unit; left out: in any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "usd_micros")]
        unit: Option<String>,
    },
    /// More of its results were rejected than this.
    ReworkOver {
        /// How many rejections are all right.
        #[schema(minimum = 0, maximum = 100, example = 2)]
        count: i64,
    },
    /// It waits for its subtasks and has more of them than this, those that have ended included.
    SubtasksOver {
        /// How many subtasks are all right.
        #[schema(minimum = 0, maximum = 20000, example = 20)]
        count: i64,
    },
    /// It is offered or worked on and requires one of these. This is found a moment after the task is
    /// offered: what must not be claimed before a person agreed has `approval.start`.
    RiskyCapability {
        /// One to 32.
        #[schema(example = json!(["deploy"]))]
        capabilities: Vec<String>,
    },
    /// The steps of its running attempt repeat, as its heartbeats tell them (`progress.step`).
    Looping {
        /// Only these patterns; left out: any.
        #[serde(default)]
        #[schema(example = json!(["same_step"]))]
        patterns: Vec<Pattern>,
    },
}

const fn goals() -> Subject {
    Subject::Goal
}

/// Which work a rule is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// Only goals of this project, and their tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Only tasks that require one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["rust"]))]
    pub capabilities: Vec<String>,
}

/// The longest time of a condition or cooldown: 30 days.
const LONGEST: i64 = settings::DURATION_MAX.as_secs().cast_signed();

impl When {
    /// Its name.
    #[must_use]
    pub const fn condition(&self) -> Condition {
        match self {
            Self::BudgetUsed { .. } => Condition::BudgetUsed,
            Self::Failures { .. } => Condition::Failures,
            Self::SameFailure {} => Condition::SameFailure,
            Self::NoProgress { .. } => Condition::NoProgress,
            Self::DeadlineSlack { .. } => Condition::DeadlineSlack,
            Self::CostOverEstimate { .. } => Condition::CostOverEstimate,
            Self::ReworkOver { .. } => Condition::ReworkOver,
            Self::SubtasksOver { .. } => Condition::SubtasksOver,
            Self::RiskyCapability { .. } => Condition::RiskyCapability,
            Self::Looping { .. } => Condition::Looping,
        }
    }

    /// What it is about.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match self {
            Self::BudgetUsed { of, .. } => *of,
            Self::DeadlineSlack { .. } => Subject::Goal,
            Self::Failures { .. }
            | Self::SameFailure {}
            | Self::NoProgress { .. }
            | Self::CostOverEstimate { .. }
            | Self::ReworkOver { .. }
            | Self::SubtasksOver { .. }
            | Self::RiskyCapability { .. }
            | Self::Looping { .. } => Subject::Task,
        }
    }

    fn check(&self, checks: &mut Checks, at: &str) {
        let here = pointer(at, self.condition());
        let place = |field: &str| pointer(&here, field);
        match self {
            Self::BudgetUsed { of: _, percent, unit } => {
                checks.range(&place("percent"), *percent, 1..=1_000);
                check_unit(checks, &place("unit"), unit.as_deref());
            }
            Self::CostOverEstimate { percent, unit } => {
                checks.range(&place("percent"), *percent, 1..=100_000);
                check_unit(checks, &place("unit"), unit.as_deref());
            }
            Self::Failures { count } => checks.range(&place("count"), *count, 1..=100),
            Self::NoProgress { seconds } => checks.range(&place("seconds"), *seconds, 1..=LONGEST),
            Self::DeadlineSlack { below_seconds } => {
                checks.range(&place("below_seconds"), *below_seconds, -LONGEST..=LONGEST);
            }
            Self::ReworkOver { count } => checks.range(&place("count"), *count, 0..=100),
            Self::SubtasksOver { count } => {
                checks.range(&place("count"), *count, 0..=settings::GOAL_TASKS as i64);
            }
            Self::RiskyCapability { capabilities } => {
                let list = place("capabilities");
                checks.ensure(!capabilities.is_empty(), &list, "must name at least one");
                checks.capabilities(&list, capabilities, settings::TASK_CAPABILITIES);
            }
            Self::SameFailure {} | Self::Looping { patterns: _ } => {}
        }
    }
}

fn check_unit(checks: &mut Checks, at: &str, unit: Option<&str>) {
    if let Some(unit) = unit {
        spend::check_unit(checks, at, unit);
    }
}

/// What makes a rule, apart from its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSpec {
    /// When it does something.
    pub when: When,
    /// About which work.
    pub scope: Scope,
    /// What it does.
    pub then: Then,
    /// How long it is silent about the same thing after it was closed.
    pub cooldown_seconds: i64,
}

impl RuleSpec {
    /// Notes everything that is wrong with the rule.
    pub fn check(&self, checks: &mut Checks, at: &str) {
        let Self { when, scope, then, cooldown_seconds } = self;
        when.check(checks, &pointer(at, "when"));
        then.check(checks, &pointer(at, "then"), when);
        let capabilities = pointer(&pointer(at, "scope"), "capabilities");
        checks.capabilities(&capabilities, &scope.capabilities, settings::TASK_CAPABILITIES);
        let fits = when.subject() == Subject::Task || scope.capabilities.is_empty();
        let detail = "the condition is about goals, which require none";
        checks.ensure(fits, &capabilities, detail);
        checks.range(&pointer(at, "cooldown_seconds"), *cooldown_seconds, 0..=LONGEST);
    }
}
