//! `budget`: the cost of limits.
//!
//! Three kinds of tasks on one service, in turns: without limits; with limits in two units on the
//! task, the goal, the agent, the project and the workspace; and with limits on the goal, the project
//! and the workspace, where each goal's budget is allocated from them (`allocated`). Limits are large
//! enough that nothing is refused: the measurement is about bookkeeping, not about waiting for money.
//! The ratios are taken within a turn. The rounds without limits remove those of the workspace.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    cycling::Cycling,
    error::Result,
    fleet::{self, Kind},
    http::Connection,
    report::{Figures, Report},
    settings::Scenario,
    stage::{Setup, Stage},
    statistics::Spread,
    supply::{GOAL_TASKS, Needs, Supply, goal},
    table::{Finding, Grid, SPREAD_HEADER, spread_row},
};

/// The limit of every node above the goals: more than a run uses.
const PLENTY: i64 = 1_000_000_000_000_000;
/// The reservation of a task: twice its spend.
const ESTIMATE: [(&str, i64); 2] = [("usd_micros", 2_500), ("output_tokens", 640)];

/// The figures of `budget`.
#[derive(Debug, Clone, Serialize)]
pub struct BudgetReport {
    /// Cycles per second without limits.
    pub without: Spread,
    /// With limits on every level.
    pub limited: Spread,
    /// With allocated budgets of goals.
    pub allocated: Spread,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limits {
    Without,
    Limited,
    Allocated,
}

impl Limits {
    fn name(self) -> &'static str {
        match self {
            Self::Without => "without",
            Self::Limited => "limited",
            Self::Allocated => "allocated",
        }
    }

    /// The capability of the tasks, so that only their own agents claim them.
    fn capability(self) -> &'static str {
        match self {
            Self::Without => "bench-without",
            Self::Limited => "bench-limited",
            Self::Allocated => "bench-allocated",
        }
    }

    fn goal(self, run: &str) -> Value {
        let mut goal = goal(run, Some(self.capability()), GOAL_TASKS, Needs::FirstHalf);
        if self == Self::Without {
            return goal;
        }
        goal["project"] = json!(self.project(run));
        goal["budget"] = limits(PLENTY / 100_000);
        goal["budget"]["allocated"] = json!(self == Self::Allocated);
        for task in goal["tasks"].as_array_mut().into_iter().flatten() {
            task["estimate"] =
                ESTIMATE.into_iter().map(|(unit, n)| (unit.to_owned(), json!(n))).collect();
            if self == Self::Limited {
                task["budget"] = limits(PLENTY / 100_000);
            }
        }
        goal
    }

    fn project(self, run: &str) -> String {
        format!("bench-{run}-{}", self.name())
    }
}

fn limits(amount: i64) -> Value {
    let limit = |(unit, _): (&str, i64)| json!({"unit": unit, "amount": amount});
    json!({"limits": ESTIMATE.map(limit), "on_exhausted": "park"})
}

/// Limits a node; returns the path of its budget.
async fn limit(operator: &mut Connection, node: &str, id: &Value) -> Result<String> {
    let body = json!({"node": node, "node_id": id, "budget": limits(PLENTY)});
    let made = operator.create("/v1/budgets", &body).await?;
    Ok(format!("/v1/budgets/{}", made["id"].as_str().unwrap_or_default()))
}

async fn prepare(
    setup: &Setup,
    stage: &Stage,
    operator: &mut Connection,
    kind: Limits,
) -> Result<Cycling> {
    let capability = Some(kind.capability());
    let of = Kind { name: kind.name(), capability, max_concurrent: 10 };
    let count = usize::from(setup.settings.connections);
    let registered = fleet::register(setup, stage, of, count).await?;
    if kind != Limits::Without {
        let project = json!({"name": kind.project(&setup.run)});
        let made = operator.create("/v1/projects", &project).await?;
        limit(operator, "project", &made["id"]).await?;
    }
    if kind == Limits::Limited {
        for agent in &registered {
            limit(operator, "agent", &json!(agent.id)).await?;
        }
    }
    let supply = Supply::of(stage, &kind.goal(&setup.run)).await?;
    Cycling::of(setup, &registered, supply).await
}

/// Measures `budget`.
pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let stage = setup.stage(None).await?;
    report.machine.look_at(&stage).await?;
    let mut operator = Connection::open(&stage.target, &stage.key).await?;
    let workspace = limit(&mut operator, "workspace", &Value::Null).await?;
    let mut kinds = Vec::new();
    for kind in [Limits::Without, Limits::Limited, Limits::Allocated] {
        let cycling = prepare(setup, &stage, &mut operator, kind).await?;
        kinds.push((kind, cycling, Vec::new()));
    }
    // The first round of each is not counted.
    for round in 0..=setup.settings.rounds {
        for (kind, cycling, rates) in &mut kinds {
            let limits = match kind {
                Limits::Without => json!([]),
                Limits::Limited | Limits::Allocated => limits(PLENTY)["limits"].clone(),
            };
            operator.edit(&workspace, &json!({"limits": limits})).await?;
            cycling.stock(&stage, 1).await?;
            let rate = cycling.closed(1).await?.cycles_per_second;
            tracing::info!(round, ?kind, rate, "cycles");
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    stage.stop().await?;
    let mut spreads = kinds.into_iter().map(|(_, _, rates)| Spread::of(rates));
    let mut next = || spreads.next().unwrap_or_else(|| Spread::of(Vec::new()));
    let measured = BudgetReport { without: next(), limited: next(), allocated: next() };
    report.add(Scenario::Budget, &measured)
}

impl Figures for BudgetReport {
    fn results(&self) -> Vec<Finding> {
        let over = |name, what, spread: &Spread| {
            let ratio = Spread::ratio(&spread.rounds, &self.without.rounds);
            Finding::spread(name, what, &ratio, "")
        };
        vec![
            over("budget_limited", "cycle with limits on five levels over without", &self.limited),
            over("budget_allocated", "cycle of allocated goals over without", &self.allocated),
        ]
    }

    fn grids(&self) -> Vec<Grid> {
        let rows = [
            spread_row("without limits", &self.without),
            spread_row("limits on task, goal, agent, project and workspace", &self.limited),
            spread_row("limits on goal, project and workspace, allocated", &self.allocated),
        ];
        vec![Grid::new("Budgets: cycles per second, one task per claim", SPREAD_HEADER, rows)]
    }
}
