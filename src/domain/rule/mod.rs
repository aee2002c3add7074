//! Intervention rules: automatic reactions, set by operators, to work that goes wrong.
//!
//! A rule is data: a condition ([`When`]), an action ([`Then`]) and the work it covers ([`Scope`]).
//! Each condition is about one kind of subject, a task or a goal, and is judged by one pure
//! function over its [`Facts`]. The service collects the facts and judges twice: without locks to
//! find candidates, and under locks before it acts.
//!
//! | condition | subject | holds when |
//! |---|---|---|
//! | `budget_used` | task or goal | at least this percentage of one of its own limits is used |
//! | `failures` | task | at least this many attempts failed or expired |
//! | `same_failure` | task | its last two failures are the same: class, and message without variable parts |
//! | `no_progress` | task | its running attempt has reported nothing new for this long |
//! | `deadline_slack` | goal | deadline - now - critical path is below this; 0 means that it will be late |
//! | `cost_over_estimate` | task | spend exceeds this percentage of its own estimate |
//! | `rework_over` | task | more results than this were rejected |
//! | `subtasks_over` | task | it waits for more subtasks than this |
//! | `risky_capability` | task | it is ready or running and requires one of these |
//! | `looping` | task | the steps of its running attempt repeat |
//!
//! A rule acts once about a subject. The intervention stays open until the condition clears, a
//! person decides, or the subject ends. Most conditions never clear: a task that failed three times
//! always has. So an answer or a lifted freeze counts until the finding gets worse
//! ([`Finding::measure`]): another failure, another loop, one more percent.

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
    /// Subject of a rule or a freeze.
    pub enum Subject {
        /// A single task.
        Task => "task",
        /// A goal with its tasks.
        Goal => "goal",
    }
}

words! {
    /// Conditions of rules, by name.
    pub enum Condition {
        /// Share of a limit used.
        BudgetUsed => "budget_used",
        /// Number of failed attempts.
        Failures => "failures",
        /// Last two failures equal.
        SameFailure => "same_failure",
        /// No progress for a time.
        NoProgress => "no_progress",
        /// Deadline at risk.
        DeadlineSlack => "deadline_slack",
        /// Spend above the estimate.
        CostOverEstimate => "cost_over_estimate",
        /// Too many rejected results.
        ReworkOver => "rework_over",
        /// Too many subtasks.
        SubtasksOver => "subtasks_over",
        /// Risky capability required.
        RiskyCapability => "risky_capability",
        /// Steps repeat.
        Looping => "looping",
    }
}

words! {
    /// Actions of rules, by name.
    pub enum Action {
        /// Sends a text to the agents at work.
        Nudge => "nudge",
        /// Opens an approval; the task waits for the answer.
        Ask => "ask",
        /// Parks the task until a person answers.
        Park => "park",
        /// Freezes the task or goal.
        Freeze => "freeze",
        /// Offers the task to other agents.
        Reassign => "reassign",
    }
}

words! {
    /// How an intervention was closed.
    pub enum Closing {
        /// The condition no longer held.
        Cleared => "cleared",
        /// A person decided.
        Decided => "decided",
        /// An operator lifted the freeze.
        Lifted => "lifted",
        /// The action completed at once.
        Done => "done",
        /// The task or goal ended.
        Ended => "ended",
        /// The rule was disabled or deleted, or its approval withdrawn.
        Withdrawn => "withdrawn",
    }
}

impl Closing {
    /// Whether the finding counts as dealt with: only a worse one is news.
    #[must_use]
    pub const fn is_an_answer(self) -> bool {
        match self {
            Self::Decided | Self::Lifted | Self::Done => true,
            Self::Cleared | Self::Ended | Self::Withdrawn => false,
        }
    }
}

words! {
    /// Answers to the approval of a rule.
    pub enum Choice {
        /// Goes on; the rule acts again only when the finding gets worse.
        Continue => "continue",
        /// Goes on with another agent than the last one.
        Reassign => "reassign",
        /// Cancels the task or goal.
        Cancel => "cancel",
    }
}

/// Condition of a rule: exactly one. The supervisor judges it about once a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"failures": {"count": 3}}))]
pub enum When {
    /// At least this percentage of one of its own limits is used. Reservations do not count.
    BudgetUsed {
        /// Whose limits: `goal` (default) or `task`.
        #[serde(default = "goals")]
        of: Subject,
        /// Percentage of the limit, from 1 to 1000.
        #[schema(minimum = 1, maximum = 1000, example = 80)]
        percent: i64,
        /// Only limits in this unit. Default: limits in any unit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "usd_micros")]
        unit: Option<String>,
    },
    /// At least this many attempts failed or expired.
    Failures {
        /// Number of failed and expired attempts.
        #[schema(minimum = 1, maximum = 100, example = 3)]
        count: i64,
    },
    /// The last two failures are the same: equal class, and equal message apart from numbers, times
    /// and other variable parts.
    SameFailure {},
    /// The running attempt has reported nothing new for this long: no changed progress, no changed
    /// checkpoint, no step. A repeated report is not new.
    NoProgress {
        /// Time without anything new, in seconds; at most 30 days.
        #[schema(minimum = 1, maximum = 2592000, example = 1800)]
        seconds: i64,
    },
    /// Deadline - now - critical path is below this. The critical path is the longest chain of open
    /// tasks. The duration of a task is its estimate of `wall_ms`, else the 90th percentile of
    /// similar tasks, else the mean of the goal's done tasks.
    DeadlineSlack {
        /// Bound of the slack, in seconds. Default 0: the goal will be late. 3600: less than an
        /// hour remains.
        #[serde(default)]
        #[schema(minimum = -2592000, maximum = 2592000, example = 0)]
        below_seconds: i64,
    },
    /// Spend exceeds this percentage of the task's own estimate.
    CostOverEstimate {
        /// Percentage of the estimate; 200 is twice the estimate.
        #[schema(minimum = 1, maximum = 100000, example = 200)]
        percent: i64,
        /// Only the estimate in this unit. Default: estimates in any unit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "usd_micros")]
        unit: Option<String>,
    },
    /// More results than this were rejected.
    ReworkOver {
        /// Largest number of rejected results that does not trigger the rule.
        #[schema(minimum = 0, maximum = 100, example = 2)]
        count: i64,
    },
    /// The task waits for more subtasks than this, ended ones included.
    SubtasksOver {
        /// Largest number of subtasks that does not trigger the rule.
        #[schema(minimum = 0, maximum = 20000, example = 20)]
        count: i64,
    },
    /// The task is ready or running and requires one of these capabilities. The rule acts shortly
    /// after the task becomes ready; `approval.start` on the task prevents a claim before approval.
    RiskyCapability {
        /// Capabilities to watch for, 1 to 32.
        #[schema(example = json!(["deploy"]))]
        capabilities: Vec<String>,
    },
    /// The steps of the running attempt repeat, as reported in heartbeats (`progress.step`).
    Looping {
        /// Only these patterns of repetition. Default: any.
        #[serde(default)]
        #[schema(example = json!(["same_step"]))]
        patterns: Vec<Pattern>,
    },
}

const fn goals() -> Subject {
    Subject::Goal
}

/// Work covered by a rule. Default: all work of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// Only goals of this project, and their tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Only tasks that require at least one of these capabilities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["rust"]))]
    pub capabilities: Vec<String>,
}

/// Longest duration of a condition or cooldown: 30 days, in seconds.
const LONGEST: i64 = settings::DURATION_MAX.as_secs().cast_signed();

impl When {
    /// Name of the condition.
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

    /// Subject of the condition.
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
        spend::unit::check_declared(checks, at, unit);
    }
}

/// A rule without its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSpec {
    /// Condition.
    pub when: When,
    /// Work covered.
    pub scope: Scope,
    /// Action.
    pub then: Then,
    /// Silence about the same subject after an intervention closed, in seconds.
    pub cooldown_seconds: i64,
}

impl RuleSpec {
    /// Reports every fault of the rule.
    pub fn check(&self, checks: &mut Checks, at: &str) {
        let Self { when, scope, then, cooldown_seconds } = self;
        when.check(checks, &pointer(at, "when"));
        then.check(checks, &pointer(at, "then"), when);
        let capabilities = pointer(&pointer(at, "scope"), "capabilities");
        checks.capabilities(&capabilities, &scope.capabilities, settings::TASK_CAPABILITIES);
        let fits = when.subject() == Subject::Task || scope.capabilities.is_empty();
        let detail = "the condition is about goals, and goals require no capabilities";
        checks.ensure(fits, &capabilities, detail);
        checks.range(&pointer(at, "cooldown_seconds"), *cooldown_seconds, 0..=LONGEST);
    }
}
