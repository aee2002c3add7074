//! The ground of a plan: read once, then judged without the database.
//!
//! Eight statements at most, each bounded and none of them locking. What a key may not see is not in the ground
//! of its plans: a key with projects in its scope gets no rest of the workspace's budget, and no open tasks of
//! projects outside.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    app::Result,
    domain::{
        access::scope::Scope,
        budget::{BudgetSpec, OnExhausted, Period},
        ids::{GoalId, ProjectId},
        plan::{
            TaskSpec,
            discovered::Left,
            finding::Finding,
            ground::{Able, AgentGroup, Ground, OpenTask},
            new_goal::{Draft, NewGoal},
            numbers::{PlanNumbers, numbers},
            validate::against,
        },
        refusal::Refusal,
        spend::measured::{MeasuredOf, Quantiles},
    },
    store::{
        self, Tx,
        goals::ground::{AgentGroupRow, MeasuredRow, OpenTaskRow, OutcomeRow},
    },
};

/// A plan against its ground.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What is wrong or doubtful, errors first.
    pub findings: Vec<Finding>,
    /// What it uses and how long it takes.
    pub numbers: PlanNumbers,
}

/// Judges a plan that passed the check of plans.
#[must_use]
pub fn judge(tasks: &[TaskSpec], ground: &Ground) -> Judgement {
    let numbers = numbers(tasks, ground);
    let mut findings = against(tasks, ground, &numbers);
    findings.sort_by_key(|finding| finding.severity);
    Judgement { findings, numbers }
}

/// The goal that a ground is read for.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    goal: Option<GoalId>,
    project: Option<ProjectId>,
    /// Whether the budgets of the workspace count.
    workspace: bool,
}

/// The ground of a goal that is not stored yet.
pub async fn of_new(tx: &mut Tx, scope: &Scope, new: &NewGoal, draft: &Draft) -> Result<Ground> {
    let project = match &new.project {
        Some(name) => store::projects::find_by_name(tx, name).await?,
        None => None,
    };
    let project = project.filter(|project| scope.sees(Some(*project)));
    let place = Place { goal: None, project, workspace: scope.projects.is_none() };
    let mut ground = read(tx, place).await?;
    ground.deadline = new.deadline;
    ground.goal_criteria = !draft.criteria.is_empty();
    if let Some(budget) = &new.budget {
        within(&mut ground.budget_left, budget);
    }
    Ok(ground)
}

/// The ground of another plan for a stored goal.
///
/// # Errors
/// `not_found`.
pub async fn of_goal(tx: &mut Tx, goal: GoalId) -> Result<Ground> {
    let row = store::goals::ground::goal(tx, goal).await?;
    let row = row.ok_or_else(|| Refusal::not_found("goal"))?;
    let place = Place { goal: Some(goal), project: row.project_id, workspace: true };
    let mut ground = read(tx, place).await?;
    ground.deadline = row.deadline;
    ground.goal_criteria = row.criteria;
    Ok(ground)
}

/// The limits of a budget that is not stored yet.
fn within(left: &mut BTreeMap<String, i64>, budget: &BudgetSpec) {
    if budget.on_exhausted == OnExhausted::Notify {
        return;
    }
    for limit in budget.limits.iter().filter(|limit| limit.period == Period::Lifetime) {
        let rest = left.entry(limit.unit.clone()).or_insert(limit.amount);
        *rest = limit.amount.min(*rest);
    }
}

async fn read(tx: &mut Tx, place: Place) -> Result<Ground> {
    let Place { goal, project, workspace } = place;
    let agents = store::goals::ground::agents(tx).await?;
    let measured = store::goals::ground::measured(tx).await?;
    let outcomes = store::goals::ground::outcomes(tx).await?;
    let open = match (goal, project) {
        (None, None) => Vec::new(),
        (Some(_), _) | (None, Some(_)) => {
            store::goals::ground::open_tasks(tx, goal, project).await?
        }
    };
    let left = store::goals::ground::budget_left(tx, goal, project, workspace).await?;
    let mut ground = Ground {
        now: tx.now,
        agents: agents.into_iter().map(group).collect(),
        open_tasks: open.into_iter().map(open_task).collect(),
        budget_left: left.into_iter().map(|Left { unit, amount }| (unit, amount)).collect(),
        ..Ground::default()
    };
    ground.capabilities = capabilities(&ground.agents, outcomes);
    for row in measured {
        learn(&mut ground, row);
    }
    Ok(ground)
}

fn group(row: AgentGroupRow) -> AgentGroup {
    let AgentGroupRow { capabilities, agents, online, slots } = row;
    let capabilities: BTreeSet<String> = capabilities.into_iter().collect();
    AgentGroup { capabilities, agents, online, slots }
}

fn open_task(row: OpenTaskRow) -> OpenTask {
    let OpenTaskRow { task_id, title, same_goal } = row;
    OpenTask { task_id, title, same_goal }
}

fn capabilities(agents: &[AgentGroup], outcomes: Vec<OutcomeRow>) -> BTreeMap<String, Able> {
    let mut all: BTreeMap<String, Able> = BTreeMap::new();
    for group in agents {
        for capability in &group.capabilities {
            let able = all.entry(capability.clone()).or_default();
            able.agents = able.agents.saturating_add(group.agents);
            able.online = able.online.saturating_add(group.online);
        }
    }
    for OutcomeRow { capability, succeeded, failed } in outcomes {
        let able = all.entry(capability).or_default();
        able.succeeded = succeeded.into();
        able.failed = failed.into();
    }
    all
}

fn learn(ground: &mut Ground, row: MeasuredRow) {
    let MeasuredRow { kind, name, unit, p10, p50, p90, tasks } = row;
    let known = Quantiles { p10, p50, p90, tasks: tasks.into() };
    let of = match kind {
        MeasuredOf::Workspace => &mut ground.overall,
        MeasuredOf::Set => ground.measured.entry(name).or_default(),
        MeasuredOf::Capability => &mut ground.capabilities.entry(name).or_default().used,
    };
    of.insert(unit, known);
}
