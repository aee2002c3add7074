//! Budgets: limits on nodes, and their use.

use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    app::{
        budgets::{Budget, BudgetChange, BudgetFilter, NewBudget},
        caller::{OperatorCaller, ReaderCaller},
    },
    domain::{budget::BudgetNode, ids::BudgetId},
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
        reply::Created,
    },
};

/// The filters of the list of budgets.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct BudgetQuery {
    /// Only budgets of this kind of node.
    pub node: Option<BudgetNode>,
    /// Only the budgets of this task, goal, agent, project or workspace.
    pub node_id: Option<Uuid>,
    /// `true`: only archived budgets. Absent or `false`: only others.
    pub archived: Option<bool>,
}

/// List the budgets.
///
/// Newest first, each with the present use of its limits. Archived budgets are left out unless
/// `archived=true`.
#[utoipa::path(get, path = "/v1/budgets")]
pub async fn list_budgets(
    Auth { app, caller }: Auth<ReaderCaller>,
    list: Listing<BudgetQuery, BudgetId>,
) -> Result<Paged<Budget>> {
    let BudgetQuery { node, node_id, archived } = list.filter;
    let archived = Some(archived.unwrap_or_default());
    let filter = BudgetFilter { budget: None, node, node_id, archived };
    let budgets = app.list_budgets(&caller, filter, list.after, list.rows()).await?;
    list.page(budgets, |budget| budget.id)
}

/// Create a budget.
///
/// Limits a task, a goal, an agent, a project or the workspace. Earlier spend and present
/// reservations count: a limit below them refuses every claim until it is raised.
#[utoipa::path(post, path = "/v1/budgets")]
pub async fn create_budget(
    Auth { app, caller }: Auth<OperatorCaller>,
    Create { body, idempotency }: Create<NewBudget>,
) -> Result<Created<Budget>> {
    let outcome = app.create_budget(&caller, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |budget| format!("/v1/budgets/{}", budget.id));
    Ok(created.version(|budget| budget.version))
}

/// Read a budget.
///
/// Includes the present use of its limits.
#[utoipa::path(get, path = "/v1/budgets/{budget_id}")]
pub async fn get_budget(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiPath(budget): ApiPath<BudgetId>,
) -> Result<Versioned<Budget>> {
    Ok(Versioned::new(app.get_budget(&caller, budget).await?, |budget| budget.version))
}

/// Edit a budget.
///
/// Raising a limit offers the tasks that wait for it, in the same transaction.
#[utoipa::path(patch, path = "/v1/budgets/{budget_id}")]
pub async fn update_budget(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(budget): ApiPath<BudgetId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<BudgetChange>,
) -> Result<Versioned<Budget>> {
    let budget = app.update_budget(&caller, budget, if_match.version, &change).await?;
    Ok(Versioned::new(budget, |budget| budget.version))
}

/// Archive a budget.
///
/// Lists leave it out from then on, unless they are asked for `archived=true`. **Its limits stay in force**: to
/// end them, remove them. A budget with limits can be archived only while nothing below its node is open: of
/// a task or goal, itself; of a project or the workspace, its goals; of an agent, its running attempts.
/// Archiving an archived budget changes nothing.
#[utoipa::path(post, path = "/v1/budgets/{budget_id}/archive")]
pub async fn archive_budget(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(budget): ApiPath<BudgetId>,
) -> Result<Versioned<Budget>> {
    Ok(Versioned::new(app.archive_budget(&caller, budget).await?, |budget| budget.version))
}

/// Unarchive a budget.
///
/// Puts it back into the lists. Does nothing to a budget that is not archived.
#[utoipa::path(post, path = "/v1/budgets/{budget_id}/unarchive")]
pub async fn unarchive_budget(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(budget): ApiPath<BudgetId>,
) -> Result<Versioned<Budget>> {
    Ok(Versioned::new(app.unarchive_budget(&caller, budget).await?, |budget| budget.version))
}
