//! Budgets created together with their node: with a goal, and with the tasks of a plan.

use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{Result, Unit, error::corrupt},
    domain::{
        budget::{BudgetNode, BudgetSpec},
        ids::{AgentId, BudgetId, GoalId, LimitId, ProjectId, TaskId},
        journal::{Kind, NewRow},
        plan::TaskSpec,
    },
    store::{
        self,
        budgets::{NewBudget, create::FreshLimit},
    },
};

/// Creates the checked budgets of new tasks.
pub(in crate::app) async fn of_tasks(
    unit: &mut Unit,
    ids: &[TaskId],
    specs: &[TaskSpec],
) -> Result<()> {
    let budgets = specs.iter().zip(ids);
    let budgets: Vec<_> = budgets
        .filter_map(|(spec, id)| Some((BudgetNode::Task, id.0, spec.budget.as_ref()?)))
        .collect();
    make(unit, &budgets).await
}

/// Creates the checked budgets of nodes that this unit creates.
pub(in crate::app) async fn make(
    unit: &mut Unit,
    budgets: &[(BudgetNode, Uuid, &BudgetSpec)],
) -> Result<()> {
    if budgets.is_empty() {
        return Ok(());
    }
    let now = unit.now();
    let ids: Vec<BudgetId> = unit.ids(budgets.len());
    let mut rows = Vec::with_capacity(budgets.len());
    let mut limits = Vec::new();
    for ((node, node_id, spec), budget_id) in budgets.iter().zip(ids) {
        rows.push(NewBudget {
            budget_id,
            node: *node,
            node_id: *node_id,
            time_zone: &spec.time_zone,
            on_exhausted: spec.on_exhausted,
            warn_percent: &spec.warn_percent,
            allocated: spec.allocated,
            reserve: &spec.reserve,
            unknown_model: spec.unknown_model,
            created_by: unit.actor(),
        });
        let zone = spec.time_zone.parse().map_err(corrupt)?;
        let limit_ids: Vec<LimitId> = unit.ids(spec.limits.len());
        limits.extend(spec.limits.iter().zip(limit_ids).map(|(limit, limit_id)| FreshLimit {
            limit_id,
            budget_id,
            unit: limit.unit.clone(),
            period: limit.period.as_str(),
            amount: limit.amount,
            window: limit.period.window(zone, now),
        }));
        let data = json!({
            "budget_id": budget_id, "node": node, "node_id": node_id, "limits": spec.limits,
            "on_exhausted": spec.on_exhausted, "allocated": spec.allocated,
        });
        unit.record(about(Kind::BudgetCreated, *node, *node_id).after(spec).data(data));
    }
    Ok(store::budgets::create::insert(unit.tx(), &rows, &limits).await?)
}

pub(in crate::app) fn about(kind: Kind, node: BudgetNode, id: Uuid) -> NewRow {
    let row = NewRow::new(kind);
    match node {
        BudgetNode::Goal => row.goal(GoalId(id)),
        BudgetNode::Task => row.task(TaskId(id)),
        BudgetNode::Agent => row.agent(AgentId(id)),
        BudgetNode::Project => row.project(ProjectId(id)),
        BudgetNode::Workspace => row,
    }
}
