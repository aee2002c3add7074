//! Intervention rules: what is to happen by itself when work goes wrong.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
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
        describe::handlers,
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, Paged, SortKey},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, NoContent, Reply},
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![
        list_rules,
        create_rule[AlreadyExists],
        dry_run_rule,
        get_rule,
        update_rule[AlreadyExists],
        delete_rule,
        list_interventions,
        get_intervention,
    ]
}

/// Which rules to list.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RuleQuery {
    /// `true`: only those that act; `false`: only those that are switched off.
    pub enabled: Option<bool>,
    /// Only with this condition.
    pub condition: Option<Condition>,
    /// Only with this action.
    pub action: Option<Action>,
}

/// Where a page of rules starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct RuleAfter {
    id: RuleId,
}

impl SortKey for RuleAfter {
    const LIST: &'static str = "rules";
}

/// Which interventions to list.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InterventionQuery {
    /// Only what this rule did.
    pub rule_id: Option<RuleId>,
    /// Only about this goal and its tasks.
    pub goal_id: Option<GoalId>,
    /// Only about this task.
    pub task_id: Option<TaskId>,
    /// `true`: only what is open; `false`: only what is closed.
    pub open: Option<bool>,
}

/// Where a page of interventions starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct InterventionAfter {
    id: InterventionId,
}

impl SortKey for InterventionAfter {
    const LIST: &'static str = "interventions";
}

/// List the rules.
///
/// Newest first, deleted ones not included.
#[utoipa::path(get, path = "/v1/rules", tag = "rules")]
async fn list_rules(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    list: Listing<RuleQuery, RuleAfter>,
) -> Result<Paged<Rule>> {
    let RuleQuery { enabled, condition, action } = list.filter;
    let filter = RuleFilter { rule: None, enabled, condition, action };
    let after = list.after.map(|after| after.id);
    let rules = app.list_rules(&caller, filter, after, list.rows()).await?;
    list.page(rules, |rule| RuleAfter { id: rule.id })
}

/// Make a rule.
///
/// From the answer on it is looked at every second. What the condition holds for already is acted on
/// too: try it first (`POST /v1/rules/dry-run`), or make it with `enabled: false`.
///
/// It acts once about the same task or goal while what it did is open, is silent for
/// `cooldown_seconds` after that was closed, and about what a person has answered until it has become
/// worse.
#[utoipa::path(post, path = "/v1/rules", tag = "rules")]
async fn create_rule(
    Auth(caller): Auth<AdminCaller>,
    State(app): State<Arc<App>>,
    Create { body, idempotency }: Create<NewRule>,
) -> Result<Created<Rule>> {
    let outcome = app.create_rule(&caller, &body, idempotency.as_ref()).await?;
    let version = i64::from(outcome.value.version);
    Ok(Created::new(format!("/v1/rules/{}", outcome.value.id), outcome).version(version))
}

/// Try a rule on the history.
///
/// Says how many tasks or goals it would have caught, with some of them, and changes nothing. Looked at
/// is the work that began in the time, the latest 20,000 attempts at most.
///
/// What the history can tell differs: failures, rejections, subtasks, spend and loops are told exactly,
/// with when. Of silences it has the last of each attempt, of budgets what their periods hold at the end,
/// of deadlines the goals that ended late or are late now.
#[utoipa::path(post, path = "/v1/rules/dry-run", tag = "rules")]
async fn dry_run_rule(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiJson(asked): ApiJson<DryRun>,
) -> Result<Reply<DryRunAnswer>> {
    Ok(Reply(app.dry_run_rule(&caller, &asked).await?))
}

/// Read a rule.
///
/// With how many of its interventions are open.
#[utoipa::path(get, path = "/v1/rules/{rule_id}", tag = "rules")]
async fn get_rule(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(rule): ApiPath<RuleId>,
) -> Result<Versioned<Rule>> {
    let rule = app.get_rule(&caller, rule).await?;
    Ok(Versioned::new(i64::from(rule.version), rule))
}

/// Edit a rule.
///
/// What it did stays open; only nudges are closed when the condition, as it is now, does not hold.
#[utoipa::path(patch, path = "/v1/rules/{rule_id}", tag = "rules")]
async fn update_rule(
    Auth(caller): Auth<AdminCaller>,
    State(app): State<Arc<App>>,
    ApiPath(rule): ApiPath<RuleId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<RuleChange>,
) -> Result<Versioned<Rule>> {
    let rule = app.update_rule(&caller, rule, if_match.version, &change).await?;
    Ok(Versioned::new(i64::from(rule.version), rule))
}

/// Delete a rule.
///
/// From the answer on it does nothing. What it did stays: its questions are still to be decided, and its
/// freezes to be lifted.
#[utoipa::path(delete, path = "/v1/rules/{rule_id}", tag = "rules")]
async fn delete_rule(
    Auth(caller): Auth<AdminCaller>,
    State(app): State<Arc<App>>,
    ApiPath(rule): ApiPath<RuleId>,
    if_match: IfMatch,
) -> Result<NoContent> {
    app.delete_rule(&caller, rule, if_match.version).await?;
    Ok(NoContent)
}

/// List what rules did.
///
/// Newest first, closed interventions included.
#[utoipa::path(get, path = "/v1/interventions", tag = "rules")]
async fn list_interventions(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    list: Listing<InterventionQuery, InterventionAfter>,
) -> Result<Paged<Intervention>> {
    let InterventionQuery { rule_id, goal_id, task_id, open } = list.filter;
    let filter = InterventionFilter {
        intervention: None,
        rule: rule_id,
        goal: goal_id,
        task: task_id,
        open,
    };
    let after = list.after.map(|after| after.id);
    let interventions = app.list_interventions(&caller, filter, after, list.rows()).await?;
    list.page(interventions, |one| InterventionAfter { id: one.id })
}

/// Read what a rule did.
#[utoipa::path(get, path = "/v1/interventions/{intervention_id}", tag = "rules")]
async fn get_intervention(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(intervention): ApiPath<InterventionId>,
) -> Result<Reply<Intervention>> {
    Ok(Reply(app.get_intervention(&caller, intervention).await?))
}
