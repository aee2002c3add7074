//! Intervention rules: automatic actions when work goes wrong.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::{AdminCaller, MonitorCaller, OperatorCaller, ReaderCaller},
        rules::{
            Intervention, InterventionFilter, NewRule, Rule, RuleChange, RuleFilter,
            dry_run::{DryRun, DryRunAnswer},
        },
    },
    domain::{
        ids::{GoalId, InterventionId, RuleId, TaskId},
        rule::{Action, Condition},
    },
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, NoContent, Reply},
    },
};

/// The filters of the list of rules.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RuleQuery {
    /// `true`: only enabled rules. `false`: only disabled rules.
    pub enabled: Option<bool>,
    /// Only rules with this condition.
    pub condition: Option<Condition>,
    /// Only rules with this action.
    pub action: Option<Action>,
}

/// The filters of the list of interventions.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct InterventionQuery {
    /// Only interventions of this rule.
    pub rule_id: Option<RuleId>,
    /// Only interventions about this goal and its tasks.
    pub goal_id: Option<GoalId>,
    /// Only interventions about this task.
    pub task_id: Option<TaskId>,
    /// `true`: only open interventions. `false`: only closed interventions.
    pub open: Option<bool>,
}

/// List the rules.
///
/// Newest first, without deleted ones.
#[utoipa::path(get, path = "/v1/rules")]
pub async fn list_rules(
    Auth { app, caller }: Auth<MonitorCaller>,
    list: Listing<RuleQuery, RuleId>,
) -> Result<Paged<Rule>> {
    let RuleQuery { enabled, condition, action } = list.filter;
    let filter = RuleFilter { rule: None, enabled, condition, action };
    let rules = app.list_rules(&caller, filter, list.after, list.rows()).await?;
    list.page(rules, |rule| rule.id)
}

/// Create a rule.
///
/// It is evaluated every second from this answer on, also for work that already meets its
/// condition: try it first (`POST /v1/rules/dry-run`), or create it with `enabled: false`.
///
/// A rule acts once per task or goal while its intervention is open. It then pauses for
/// `cooldown_seconds` after the intervention is closed, and does not repeat what a person has
/// answered until the situation gets worse.
#[utoipa::path(post, path = "/v1/rules")]
pub async fn create_rule(
    Auth { app, caller }: Auth<AdminCaller>,
    Create { body, idempotency }: Create<NewRule>,
) -> Result<Created<Rule>> {
    let outcome = app.create_rule(&caller, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |rule| format!("/v1/rules/{}", rule.id));
    Ok(created.version(|rule| rule.version))
}

/// Try a rule on the history.
///
/// Returns the number of tasks or goals that the rule would have caught, with some of them. Writes
/// nothing. Covers the work that began in the given time, at most the latest 20,000 attempts.
///
/// The history is exact, with instants, for failures, rejections, subtasks, spend and loops. It has
/// only the last silence of each attempt, the final use of each budget period, and of deadlines the
/// goals that ended late or are late now.
#[utoipa::path(post, path = "/v1/rules/dry-run")]
pub async fn dry_run_rule(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiJson(asked): ApiJson<DryRun>,
) -> Result<Reply<DryRunAnswer>> {
    Ok(Reply(app.dry_run_rule(&caller, &asked).await?))
}

/// Read a rule.
///
/// Includes the number of its open interventions.
#[utoipa::path(get, path = "/v1/rules/{rule_id}")]
pub async fn get_rule(
    Auth { app, caller }: Auth<MonitorCaller>,
    ApiPath(rule): ApiPath<RuleId>,
) -> Result<Versioned<Rule>> {
    Ok(Versioned::new(app.get_rule(&caller, rule).await?, |rule| rule.version))
}

/// Edit a rule.
///
/// Its open interventions stay open; only nudges are closed, if the new condition does not hold.
#[utoipa::path(patch, path = "/v1/rules/{rule_id}")]
pub async fn update_rule(
    Auth { app, caller }: Auth<AdminCaller>,
    ApiPath(rule): ApiPath<RuleId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<RuleChange>,
) -> Result<Versioned<Rule>> {
    let rule = app.update_rule(&caller, rule, if_match.version, &change).await?;
    Ok(Versioned::new(rule, |rule| rule.version))
}

/// Delete a rule.
///
/// It does nothing from this answer on. Its interventions stay: approvals still wait for a
/// decision, and freezes to be lifted.
#[utoipa::path(delete, path = "/v1/rules/{rule_id}")]
pub async fn delete_rule(
    Auth { app, caller }: Auth<AdminCaller>,
    ApiPath(rule): ApiPath<RuleId>,
    if_match: IfMatch,
) -> Result<NoContent> {
    app.delete_rule(&caller, rule, if_match.version).await?;
    Ok(NoContent)
}

/// List the interventions of rules.
///
/// Newest first, including closed ones.
#[utoipa::path(get, path = "/v1/interventions")]
pub async fn list_interventions(
    Auth { app, caller }: Auth<ReaderCaller>,
    list: Listing<InterventionQuery, InterventionId>,
) -> Result<Paged<Intervention>> {
    let InterventionQuery { rule_id, goal_id, task_id, open } = list.filter;
    let filter = InterventionFilter {
        intervention: None,
        rule: rule_id,
        goal: goal_id,
        task: task_id,
        open,
    };
    let interventions = app.list_interventions(&caller, filter, list.after, list.rows()).await?;
    list.page(interventions, |one| one.id)
}

/// Read an intervention.
#[utoipa::path(get, path = "/v1/interventions/{intervention_id}")]
pub async fn get_intervention(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiPath(intervention): ApiPath<InterventionId>,
) -> Result<Reply<Intervention>> {
    Ok(Reply(app.get_intervention(&caller, intervention).await?))
}
