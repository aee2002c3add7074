//! `budget`: what limits cost.
//!
//! Three kinds of work on one service, in turns: without limits; with limits in two units on the
//! task, the goal, the agent, the project and the workspace; and with limits on the goal, the project
//! and the workspace, where each goal sets its share aside (`allocated`). Limits are large enough that nothing
//! is refused: what is measured is keeping the books, not waiting for money. The ratios are taken
//! within a turn. The workspace's limits are taken away for the rounds without.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    api,
    cycling::Cycling,
    error::Result,
    fleet::{self, Kind},
    http::Connection,
    machine::Machine,
    report::{Finding, Grid, spread_cells},
    stage::{Ground, Stage},
    statistics::Spread,
    supply::{GOAL_TASKS, Needs, Supply, goal},
};

/// What every node may use: more than any run does.
const PLENTY: i64 = 1_000_000_000_000_000;
/// What a task reserves: twice what it uses.
const ESTIMATE: [(&str, i64); 2] = [("usd_micros", 2_500), ("output_tokens", 640)];

/// What `budget` came to.
#[derive(Debug, Clone, Serialize)]
pub struct BudgetReport {
    /// Cycles per second without limits.
    pub without: Spread,
    /// With limits on every level.
    pub limited: Spread,
    /// With goals that set their limits aside.
    pub allocated: Spread,
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

/// The operator of the bench, who limits.
struct Operator {
    connection: Connection,
    workspace: Option<String>,
}

impl Operator {
    async fn limit(&mut self, node: &str, id: Option<&str>, budget: &Value) -> Result<String> {
        let call = "POST /v1/budgets";
        let body = json!({"node": node, "node_id": id, "budget": budget}).to_string();
        let answer = self.connection.post("/v1/budgets", body).await?.accepted(call)?;
        Ok(api::read::<Made>(&answer.body, call)?.id)
    }

    /// Makes a project that may use so much.
    async fn project(&mut self, name: &str) -> Result<()> {
        let call = "POST /v1/projects";
        let body = json!({"name": name}).to_string();
        let answer = self.connection.post("/v1/projects", body).await?.accepted(call)?;
        let made: Made = api::read(&answer.body, call)?;
        self.limit("project", Some(&made.id), &limits(PLENTY)).await.map(drop)
    }

    /// Limits the workspace, or limits it no more.
    async fn workspace(&mut self, wanted: bool) -> Result<()> {
        let id = match self.workspace.clone() {
            Some(id) => id,
            None => self.limit("workspace", None, &limits(PLENTY)).await?,
        };
        let limits = if wanted { limits(PLENTY)["limits"].clone() } else { json!([]) };
        let body = json!({"limits": limits}).to_string();
        let path = format!("/v1/budgets/{id}");
        self.connection.patch(&path, body).await?.accepted("PATCH /v1/budgets/{id}")?;
        self.workspace = Some(id);
        Ok(())
    }
}

fn limits(amount: i64) -> Value {
    let limit = |(unit, _): (&str, i64)| json!({"unit": unit, "amount": amount});
    json!({"limits": ESTIMATE.map(limit), "on_exhausted": "park"})
}

fn limited_goal(run: &str, kind: &str, allocated: bool) -> Value {
    let mut goal = goal(run, Some(capability(kind)), GOAL_TASKS, Needs::FirstHalf);
    goal["project"] = json!(format!("bench-{run}-{kind}"));
    let mut budget = limits(PLENTY / 100_000);
    budget["allocated"] = json!(allocated);
    goal["budget"] = budget;
    for task in goal["tasks"].as_array_mut().into_iter().flatten() {
        task["estimate"] =
            ESTIMATE.into_iter().map(|(unit, n)| (unit.to_owned(), json!(n))).collect();
        if !allocated {
            task["budget"] = limits(PLENTY / 100_000);
        }
    }
    goal
}

/// What the tasks of a kind require, so that nobody else claims them.
fn capability(kind: &str) -> &'static str {
    match kind {
        "limited" => "bench-limited",
        "allocated" => "bench-allocated",
        _ => "bench-without",
    }
}

async fn prepare(
    ground: &Ground,
    stage: &Stage,
    operator: &mut Operator,
    kind: &'static str,
) -> Result<Cycling> {
    let limited = kind != "without";
    let of = Kind { name: kind, capability: Some(capability(kind)), max_concurrent: 10 };
    let count = usize::from(ground.settings.connections);
    let registered = fleet::register(ground, stage, of, count).await?;
    let goal = if limited {
        operator.project(&format!("bench-{}-{kind}", ground.run)).await?;
        for agent in registered.iter().filter(|_| kind == "limited") {
            operator.limit("agent", Some(&agent.id), &limits(PLENTY)).await?;
        }
        limited_goal(&ground.run, kind, kind == "allocated")
    } else {
        goal(&ground.run, Some(capability(kind)), GOAL_TASKS, Needs::FirstHalf)
    };
    Cycling::of(ground, &registered, Supply::of(stage, &goal).await?).await
}

/// Measures.
///
/// # Errors
/// When something cannot be measured.
pub async fn measure(
    ground: &Ground,
    machine: &mut Machine,
) -> Result<(BudgetReport, Vec<Finding>)> {
    let settings = &ground.settings;
    let stage = ground.stage(None).await?;
    machine.look_at(&stage).await?;
    let connection = Connection::open(&stage.target, &stage.key).await?;
    let mut operator = Operator { connection, workspace: None };
    operator.workspace(true).await?;
    let mut kinds = Vec::new();
    for kind in ["without", "limited", "allocated"] {
        let cycling = prepare(ground, &stage, &mut operator, kind).await?;
        kinds.push((kind, cycling, Vec::new()));
    }
    // The first round of each is not counted.
    for round in 0..=settings.rounds {
        for (kind, cycling, rates) in &mut kinds {
            operator.workspace(*kind != "without").await?;
            cycling.stock(settings, 1).await?;
            stage.tidy().await?;
            let rate = cycling.closed(settings, 1).await?.cycles_per_second;
            tracing::info!(round, kind, rate, "cycles");
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    stage.stop().await?;
    let mut spreads = kinds.into_iter().map(|(_, _, rates)| Spread::of(rates));
    let mut next = || spreads.next().unwrap_or_else(|| Spread::of(Vec::new()));
    let report = BudgetReport { without: next(), limited: next(), allocated: next() };
    let results = report.results();
    Ok((report, results))
}

impl BudgetReport {
    fn results(&self) -> Vec<Finding> {
        let over = |name, what: &str, spread: &Spread| {
            let ratio = Spread::ratio(&spread.rounds, &self.without.rounds);
            Finding::spread(name, what.to_owned(), &ratio, "")
        };
        vec![
            over("budget_limited", "cycle with limits on five levels over without", &self.limited),
            over("budget_allocated", "cycle of allocated goals over without", &self.allocated),
        ]
    }

    /// As tables.
    #[must_use]
    pub fn grids(&self) -> Vec<Grid> {
        let row = |name: &str, spread: &Spread| {
            let mut row = vec![name.to_owned()];
            row.extend(spread_cells(spread));
            row
        };
        vec![Grid {
            title: "Budgets: cycles per second, one task per claim".into(),
            header: vec!["", "median", "min", "max"],
            rows: vec![
                row("without limits", &self.without),
                row("limits on task, goal, agent, project and workspace", &self.limited),
                row("limits on goal, project and workspace, allocated", &self.allocated),
            ],
        }]
    }
}
