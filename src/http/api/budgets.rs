//! Budgets: what may be used, and what is.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::{
    app::{
        App,
        budgets::{Budget, BudgetChange, BudgetFilter, NewBudget},
        caller::{OperatorCaller, ReaderCaller},
    },
    domain::{budget::BudgetNode, ids::BudgetId},
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
        reply::Created,
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![
        list_budgets,
        create_budget[NotFound, AlreadyExists],
        get_budget,
        update_budget[BudgetExhausted],
    ]
}

/// Which budgets to list.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BudgetQuery {
    /// Only of nodes of this kind.
    pub node: Option<BudgetNode>,
    /// Only of this task, goal, agent, project or workspace.
    pub node_id: Option<Uuid>,
}

/// Where a page of budgets starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct BudgetAfter {
    id: BudgetId,
}

impl SortKey for BudgetAfter {
    const LIST: &'static str = "budgets";
}

/// List the budgets.
///
/// Newest first, each with what its limits hold at this moment.
#[utoipa::path(get, path = "/v1/budgets", tag = "budgets")]
async fn list_budgets(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    list: Listing<BudgetQuery, BudgetAfter>,
) -> Result<Paged<Budget>> {
    let BudgetQuery { node, node_id } = list.filter;
    let filter = BudgetFilter { budget: None, node, node_id };
    let after = list.after.map(|after| after.id);
    let budgets = app.list_budgets(&caller, filter, after, list.rows()).await?;
    list.page(budgets, |budget| BudgetAfter { id: budget.id })
}

/// Limit a node.
///
/// A task, a goal, an agent, a project or the workspace. What was used before and is set aside at
/// this moment counts: a limit below it refuses everything until it is raised.
#[utoipa::path(post, path = "/v1/budgets", tag = "budgets")]
async fn create_budget(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    Create { body, idempotency }: Create<NewBudget>,
) -> Result<Created<Budget>> {
    let outcome = app.create_budget(&caller, &body, idempotency.as_ref()).await?;
    let version = i64::from(outcome.value.version);
    Ok(Created::new(format!("/v1/budgets/{}", outcome.value.id), outcome).version(version))
}

/// Read a budget.
///
/// With what its limits hold at this moment.
#[utoipa::path(get, path = "/v1/budgets/{budget_id}", tag = "budgets")]
async fn get_budget(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(budget): ApiPath<BudgetId>,
) -> Result<Versioned<Budget>> {
    let budget = app.get_budget(&caller, budget).await?;
    Ok(Versioned::new(i64::from(budget.version), budget))
}

/// Edit a budget.
///
/// Tasks that wait for a limit that is raised are offered in the same transaction.
#[utoipa::path(patch, path = "/v1/budgets/{budget_id}", tag = "budgets")]
async fn update_budget(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(budget): ApiPath<BudgetId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<BudgetChange>,
) -> Result<Versioned<Budget>> {
    let budget = app.update_budget(&caller, budget, if_match.version, &change).await?;
    Ok(Versioned::new(i64::from(budget.version), budget))
}
