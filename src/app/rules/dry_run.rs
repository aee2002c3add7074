//! Dry runs: the work that a rule would have caught in the past.
//!
//! The same function judges the condition as for an active rule, on facts from the history. Each
//! task or goal counts once, whatever the rule's cooldown. The history differs by condition:
//!
//! | condition | source | not covered |
//! |---|---|---|
//! | `failures`, `same_failure` | ends of attempts | |
//! | `rework_over` | decisions about results | |
//! | `subtasks_over` | creation of subtasks | |
//! | `risky_capability` | first claim of the task | tasks that were offered and never claimed |
//! | `cost_over_estimate` | storage of spend | estimates that were changed since |
//! | `looping` | loops detected in steps | steps from before loops were detected |
//! | `no_progress` | last progress of each attempt | silences that ended with progress |
//! | `budget_used` | usage of each period at its end, or now | time; limits that were changed or removed since |
//! | `deadline_slack` | goals that ended late or are late now, by the current critical path | time; negative slack that was recovered |
//!
//! Events in the transaction that ended a task do not count, because an active rule would have
//! found the task ended. A condition that held too briefly for the supervisor to see it may count.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{facts, views::NewRule};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, OperatorCaller},
    },
    domain::{
        check::Checks,
        ids::{GoalId, TaskId},
        rule::{Condition, Finding, Subject},
        span::{Ends, Span},
    },
    store::{
        self,
        rules::history::{ATTEMPTS, MOMENTS, Moment, Past, Size},
    },
};

/// Maximum number of examples in an answer.
const EXAMPLES: usize = 10;
/// Length of the default time range.
const DEFAULT: TimeDelta = TimeDelta::days(30);
/// Maximum number of active goals with a deadline for which the critical path is computed.
const PATHS: usize = 200;

/// Request to try a rule on the history.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DryRun {
    /// The rule to try, as it would be created.
    pub rule: NewRule,
    /// Only work that began at or after this time; absent: 30 days before `until`.
    #[serde(default)]
    pub from: Option<DateTime<Utc>>,
    /// Only work that began before this time, and its events up to then; absent: now.
    #[serde(default)]
    pub until: Option<DateTime<Utc>>,
}

/// The work that a rule would have caught.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DryRunAnswer {
    /// Condition of the rule that was tried.
    pub condition: Condition,
    /// Whether tasks or goals are counted.
    pub subject: Subject,
    /// Begin of the time range that was examined.
    pub from: DateTime<Utc>,
    /// End of the time range that was examined.
    pub until: DateTime<Utc>,
    /// Number of tasks or goals that were examined: those in the rule's scope with an attempt that
    /// began in the time range.
    #[schema(example = 1240, minimum = 0)]
    pub looked_at: i64,
    /// Number of tasks or goals that the rule would have caught, each counted once.
    #[schema(example = 17, minimum = 0)]
    pub caught: i64,
    /// Whether the history exceeded the limit of a dry run; then only the latest work was examined.
    pub cut: bool,
    /// Examples of the caught tasks or goals, latest first; at most 10.
    pub examples: Vec<DryRunExample>,
}

/// A task or goal that the rule would have caught.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DryRunExample {
    /// Id of the goal: `GET /v1/goals/{goal_id}`.
    pub goal_id: GoalId,
    /// Id of the task; `null` if the rule is about goals.
    pub task_id: Option<TaskId>,
    /// When the condition first held; `null`: the history does not say.
    pub at: Option<DateTime<Utc>>,
    /// The finding in words, as the intervention would have stated it.
    #[schema(example = "3 attempts failed")]
    pub detail: String,
}

impl App {
    /// Evaluates what a rule would have caught. Stores nothing.
    ///
    /// # Errors
    /// `invalid`.
    pub async fn dry_run_rule(
        &self,
        caller: &OperatorCaller,
        asked: &DryRun,
    ) -> Result<DryRunAnswer> {
        let DryRun { rule, from, until } = asked;
        let mut checks = Checks::new();
        rule.check_at(&mut checks, "/rule");
        Span { from: *from, to: *until }.check(&mut checks, Ends("/from", "/until"));
        checks.finish()?;
        let mut tx = self.moment(caller.principal().workspace).await?;
        let now = tx.now;
        // The history ends now.
        let known = Span { from: *from, to: until.map(|until| until.min(now)) };
        let (from, until) = known.or_last(DEFAULT, now);
        let workspace = caller.principal().workspace;
        // Includes attempts that begin in this millisecond.
        let past =
            Past { workspace, from, until: until + TimeDelta::milliseconds(1), scope: &rule.scope };
        let Size { tasks, goals, attempts } =
            store::rules::history::looked_at(&mut tx, past).await?;
        let mut moments = store::rules::history::moments(&mut tx, past, &rule.when).await?;
        let mut cut = attempts >= ATTEMPTS || moments.len() as i64 >= MOMENTS;
        if rule.when.condition() == Condition::DeadlineSlack {
            cut |= moments.len() > PATHS;
            for moment in moments.iter_mut().filter(|moment| moment.judged_at > until).take(PATHS) {
                let goal = moment.goal_id;
                let path = facts::path_of(&mut tx, goal).await?;
                moment.facts.0.critical_path_ms = path;
            }
        }
        tx.rollback().await?;
        let (caught, examples) = judge(rule, &moments, from, until);
        let subject = rule.when.subject();
        let looked_at = match subject {
            Subject::Task => tasks,
            Subject::Goal => goals,
        };
        let condition = rule.when.condition();
        Ok(DryRunAnswer { condition, subject, from, until, looked_at, caught, cut, examples })
    }
}

/// The first finding of each task or goal: their number, and the latest of them.
fn judge(
    rule: &NewRule,
    moments: &[Moment],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> (i64, Vec<DryRunExample>) {
    let mut caught: BTreeMap<Uuid, (Option<DateTime<Utc>>, Finding, &Moment)> = BTreeMap::new();
    for moment in moments {
        let Some(finding) = rule.when.judge(&moment.facts.0, moment.judged_at.min(until)) else {
            continue;
        };
        let within = |at: DateTime<Utc>| at >= from && at <= until;
        if !moment.at.is_none_or(within) {
            continue;
        }
        let id = moment.task_id.map_or(moment.goal_id.0, |task| task.0);
        caught.entry(id).or_insert((moment.at, finding, moment));
    }
    let count = caught.len() as i64;
    let mut latest: Vec<_> = caught.into_values().collect();
    latest.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    let example =
        |(at, finding, moment): (Option<DateTime<Utc>>, Finding, &Moment)| DryRunExample {
            goal_id: moment.goal_id,
            task_id: moment.task_id,
            at,
            detail: finding.detail,
        };
    (count, latest.into_iter().take(EXAMPLES).map(example).collect())
}
