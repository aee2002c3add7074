//! Wire types of rules and interventions.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        check::{Checks, pointer},
        ids::{ApprovalId, AttemptId, FreezeId, GoalId, InterventionId, KeyId, RuleId, TaskId},
        refusal::Refusal,
        rule::{Action, Closing, Condition, RuleSpec, Scope, Subject, Then, When},
        settings,
    },
    store::rules::{RuleRow, intervention_read::InterventionRow},
};

/// Request to create an intervention rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "looping agents", "when": {"looping": {}},
    "then": {"ask": {"title": "An agent goes round in circles"}}, "cooldown_seconds": 600
}))]
pub struct NewRule {
    /// One line, unique among the rules of the workspace.
    #[schema(example = "looping agents", min_length = 1, max_length = 200)]
    pub name: String,
    /// Whether the rule acts; absent: it does, from the answer on.
    #[serde(default = "on")]
    pub enabled: bool,
    /// Condition on which the rule acts.
    pub when: When,
    /// The work that the rule examines; absent: all.
    #[serde(default)]
    pub scope: Scope,
    /// Action of the rule when its condition holds.
    pub then: Then,
    /// Pause in seconds after an intervention was closed, during which the rule does not act on the
    /// same task or goal.
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

    /// Refuses contradictory fields.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub(in crate::app) fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        self.check_at(&mut checks, "");
        checks.finish()
    }

    /// Adds every error of the rule to `checks`.
    pub(in crate::app) fn check_at(&self, checks: &mut Checks, at: &str) {
        checks.line(&pointer(at, "name"), &self.name, settings::NAME_CHARS);
        self.spec().check(checks, at);
    }
}

/// An edit of a rule; absent fields keep their value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleChange {
    /// New name: one line, unique among the rules of the workspace.
    #[schema(example = "looping agents", min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Whether the rule acts. Disabling it closes its open nudges.
    pub enabled: Option<bool>,
    /// Condition on which the rule acts.
    pub when: Option<When>,
    /// The work that the rule examines.
    pub scope: Option<Scope>,
    /// Action of the rule when its condition holds.
    pub then: Option<Then>,
    /// Pause in seconds after an intervention was closed, during which the rule does not act on the
    /// same task or goal.
    #[schema(minimum = 0, maximum = 2592000)]
    pub cooldown_seconds: Option<i64>,
}

impl RuleChange {
    /// The content of the rule after the edit.
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
    /// Id of the rule; stable for its life.
    pub id: RuleId,
    /// One line, unique among the rules of the workspace.
    #[schema(example = "looping agents")]
    pub name: String,
    /// Whether the rule acts; set by operators.
    pub enabled: bool,
    /// Condition on which the rule acts.
    pub when: When,
    /// The work that the rule examines.
    pub scope: Scope,
    /// Action of the rule when its condition holds.
    pub then: Then,
    /// Pause in seconds after an intervention was closed, during which the rule does not act on the
    /// same task or goal.
    #[schema(example = 3600)]
    pub cooldown_seconds: i64,
    /// Number of interventions of the rule that are open now.
    #[schema(example = 0, minimum = 0)]
    pub open_interventions: i64,
    /// Version of the rule; rises by one with every edit; the `ETag`.
    pub version: i32,
    /// The key that created the rule; `null` if that had no key.
    pub created_by: Option<KeyId>,
    /// When the rule was created.
    pub created_at: DateTime<Utc>,
    /// When the rule was last edited.
    pub updated_at: DateTime<Utc>,
}

impl From<RuleRow> for Rule {
    fn from(row: RuleRow) -> Self {
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
        Self {
            id: rule_id,
            name,
            enabled,
            when: condition_is.0,
            scope: Scope { project_id, capabilities },
            then: action_is.0,
            cooldown_seconds: cooldown_ms / 1_000,
            open_interventions: open,
            version,
            created_by,
            created_at,
            updated_at,
        }
    }
}

/// One action of a rule on a task or goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Intervention {
    /// Id of the intervention; stable for its life.
    pub id: InterventionId,
    /// Id of the rule; remains after the rule is deleted.
    pub rule_id: RuleId,
    /// Name of the rule at the time of the answer.
    #[schema(example = "looping agents")]
    pub rule: String,
    /// Version of the rule at the time of its action.
    pub rule_version: i32,
    /// Whether it is about a task or a goal.
    pub subject: Subject,
    /// Id of the goal concerned; never changes.
    pub goal_id: GoalId,
    /// Id of the task concerned; `null` if the rule is about goals.
    pub task_id: Option<TaskId>,
    /// The attempt that was running at that time; `null`: none, or the rule is about goals.
    pub attempt_id: Option<AttemptId>,
    /// Condition of the rule that held.
    pub condition: Condition,
    /// The finding in words, for people.
    #[schema(example = "its steps repeat: same_step")]
    pub detail: String,
    /// Action of the rule; never changes.
    pub action: Action,
    /// The approval that the rule requested; `null` for actions without an approval.
    pub approval_id: Option<ApprovalId>,
    /// The freeze that the rule set; `null` for other actions.
    pub freeze_id: Option<FreezeId>,
    /// When the rule acted and the intervention was opened.
    pub opened_at: DateTime<Utc>,
    /// When it was closed; `null`: it is open, and the rule does not act on the same subject again.
    pub closed_at: Option<DateTime<Utc>>,
    /// Reason of the closing; `null` while it is open. After `decided` or `lifted` the rule acts
    /// again only if the finding is worse.
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
