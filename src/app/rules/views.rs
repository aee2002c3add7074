//! Rules and what they did, as they are asked for and shown.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::{Error, error::corrupt},
    domain::{
        check::{Checks, pointer},
        ids::{ApprovalId, AttemptId, FreezeId, GoalId, InterventionId, KeyId, RuleId, TaskId},
        refusal::Refusal,
        rule::{Action, Closing, Condition, RuleSpec, Scope, Subject, Then, When},
        settings,
    },
    store::rules::{RuleRow, intervention_read::InterventionRow},
};

/// A rule to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "looping agents", "when": {"looping": {}},
    "then": {"ask": {"title": "An agent goes round in circles"}}, "cooldown_seconds": 600
}))]
pub struct NewRule {
    /// One line, unique among the rules.
    #[schema(example = "looping agents", min_length = 1, max_length = 200)]
    pub name: String,
    /// Whether it acts; left out: it does, from the answer on.
    #[serde(default = "on")]
    pub enabled: bool,
    /// When it acts.
    pub when: When,
    /// About which work; left out: about all.
    #[serde(default)]
    pub scope: Scope,
    /// What it does.
    pub then: Then,
    /// How long it is silent about the same task or goal after what it did was closed.
    #[serde(default = "an_hour")]
    #[schema(minimum = 0, maximum = 2592000, default = 3600)]
    pub cooldown_seconds: i64,
}

const fn on() -> bool {
    true
}

const fn an_hour() -> i64 {
    3_600
}

impl NewRule {
    fn spec(&self) -> RuleSpec {
        RuleSpec {
            when: self.when.clone(),
            scope: self.scope.clone(),
            then: self.then.clone(),
            cooldown_seconds: self.cooldown_seconds,
        }
    }

    /// Refuses what does not fit together.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub(in crate::app) fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        self.check_at(&mut checks, "");
        checks.finish()
    }

    /// Notes everything that is wrong with the rule.
    pub(in crate::app) fn check_at(&self, checks: &mut Checks, at: &str) {
        checks.line(&pointer(at, "name"), &self.name, settings::NAME_CHARS);
        self.spec().check(checks, at);
    }
}

/// An edit of a rule; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleChange {
    /// One line, unique among the rules.
    #[schema(example = "looping agents", min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Whether it acts.
    pub enabled: Option<bool>,
    /// When it acts.
    pub when: Option<When>,
    /// About which work.
    pub scope: Option<Scope>,
    /// What it does.
    pub then: Option<Then>,
    /// How long it is silent about the same task or goal after what it did was closed.
    #[schema(minimum = 0, maximum = 2592000)]
    pub cooldown_seconds: Option<i64>,
}

impl RuleChange {
    /// What becomes of a rule.
    pub(in crate::app) fn of(&self, rule: Rule) -> NewRule {
        let Self { name, enabled, when, scope, then, cooldown_seconds } = self.clone();
        NewRule {
            name: name.unwrap_or(rule.name),
            enabled: enabled.unwrap_or(rule.enabled),
            when: when.unwrap_or(rule.when),
            scope: scope.unwrap_or(rule.scope),
            then: then.unwrap_or(rule.then),
            cooldown_seconds: cooldown_seconds.unwrap_or(rule.cooldown_seconds),
        }
    }
}

/// An intervention rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// Unique among the rules.
    #[schema(example = "looping agents")]
    pub name: String,
    /// Whether it acts.
    pub enabled: bool,
    /// When it acts.
    pub when: When,
    /// About which work.
    pub scope: Scope,
    /// What it does.
    pub then: Then,
    /// How long it is silent about the same task or goal after what it did was closed.
    #[schema(example = 3600)]
    pub cooldown_seconds: i64,
    /// How many of its interventions are open.
    #[schema(example = 0, minimum = 0)]
    pub open_interventions: i64,
    /// Rises with every edit; the `ETag`.
    pub version: i32,
    /// The key that made it.
    pub created_by: Option<KeyId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
}

impl TryFrom<RuleRow> for Rule {
    type Error = Error;

    fn try_from(row: RuleRow) -> Result<Self, Error> {
        let RuleRow {
            rule_id,
            name,
            enabled,
            condition_is,
            project_id,
            capabilities,
            action_is,
            cooldown_ms,
            version,
            created_by,
            created_at,
            updated_at,
            open,
        } = row;
        Ok(Self {
            id: rule_id,
            name,
            enabled,
            when: serde_json::from_value(condition_is).map_err(corrupt)?,
            scope: Scope { project_id, capabilities },
            then: serde_json::from_value(action_is).map_err(corrupt)?,
            cooldown_seconds: cooldown_ms / 1_000,
            open_interventions: open,
            version,
            created_by,
            created_at,
            updated_at,
        })
    }
}

/// What a rule did about a task or goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Intervention {
    /// Its id.
    pub id: InterventionId,
    /// The rule.
    pub rule_id: RuleId,
    /// The name of the rule.
    #[schema(example = "looping agents")]
    pub rule: String,
    /// The version of the rule that acted.
    pub rule_version: i32,
    /// Whether it is about a task or a goal.
    pub subject: Subject,
    /// The goal.
    pub goal_id: GoalId,
    /// The task; `null` when it is about the goal.
    pub task_id: Option<TaskId>,
    /// The attempt that ran then.
    pub attempt_id: Option<AttemptId>,
    /// The condition that held.
    pub condition: Condition,
    /// What was found.
    #[schema(example = "its steps repeat: same_step")]
    pub detail: String,
    /// What was done.
    pub action: Action,
    /// The question that was asked.
    pub approval_id: Option<ApprovalId>,
    /// The freeze that was set.
    pub freeze_id: Option<FreezeId>,
    /// When the rule acted.
    pub opened_at: DateTime<Utc>,
    /// When it was closed; `null`: it is open, and the rule does nothing more about this.
    pub closed_at: Option<DateTime<Utc>>,
    /// How it was closed. What was `decided` or `lifted` counts as answered: the rule acts again only
    /// when it has become worse.
    pub closing: Option<Closing>,
}

impl From<InterventionRow> for Intervention {
    fn from(row: InterventionRow) -> Self {
        let InterventionRow {
            intervention_id,
            rule_id,
            rule,
            rule_version,
            subject,
            goal_id,
            task_id,
            attempt_id,
            condition,
            detail,
            action,
            approval_id,
            freeze_id,
            opened_at,
            closed_at,
            closing,
        } = row;
        Self {
            id: intervention_id,
            rule_id,
            rule,
            rule_version,
            subject,
            goal_id,
            task_id,
            attempt_id,
            condition,
            detail,
            action,
            approval_id,
            freeze_id,
            opened_at,
            closed_at,
            closing,
        }
    }
}
