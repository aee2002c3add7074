//! `muster demo`: shows a fleet at work.
//!
//! The whole service runs in this process, on a database of its own, and five agents work on one goal
//! over HTTP ([`agent`]). An operator watches it ([`operator`]). The incidents are in [`script`]; the
//! results are read from the service ([`report`]), so the demo succeeds only if all of it happened.
//!
//! - Its data is in a temporary directory, which is removed at the end, so it has no contact with real
//!   data, and two demos may run at once: each listens on a free port. With `DATABASE_URL` it creates
//!   its own workspace there, which stays.
//! - It cannot hang: the work has a deadline, and so has every part of the stop.

mod agent;
mod client;
mod display;
mod operator;
mod report;
mod script;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    database::{Database, Use},
    failure::{self, Failure},
    print, serve,
};
use crate::{
    app::{App, access::keys::IssuedKey, agents::views::Registration, goals::views::Goal},
    config::DatabaseConfig,
    domain::{
        access::role::Role,
        ids::{AgentId, GoalId},
        plan::{
            TaskSpec,
            new_goal::{NewGoal, PlanSource, TaskDefaults},
        },
    },
    http::state::Limits,
    shutdown::{Drain, Shutdown},
};
use agent::Worker;
use client::Client;
use display::Display;
use report::Report;
use script::{CAST, Script};

/// The workspace, and the project in it.
const NAME: &str = "demo";
/// Most attempts of a task: a busy machine can lose more than the planned ones.
const MAX_ATTEMPTS: i32 = 6;
/// Limits of the service, for five agents and a browser.
/// Its limits: few agents.
fn allowed() -> serve::Allowed {
    let requests = Limits { in_flight: 256, waiting: 256, ..Limits::default() };
    serve::Allowed { requests, ..serve::Allowed::default() }
}
/// Time of a stop for running requests.
const DRAIN: Drain = Drain { notice: Duration::ZERO, patience: Duration::from_secs(5) };

#[derive(Debug, Args)]
pub struct DemoConfig {
    /// Exit at the end: with 0 if all happened as planned, with 1 and the reason if not
    #[arg(long)]
    exit: bool,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Seconds until the demo fails if the goal is not done
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    deadline_seconds: u64,
}

/// Runs the demo.
pub async fn run(database: &DatabaseConfig, config: &DemoConfig) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals()?;
    let listener = serve::listen(config.listen)?;
    let base = format!("http://{}", listener.local_addr()?);
    let connections = database.database_connections;
    let database = tokio::select! {
        opened = Database::open(database, Use::Passing) => opened?,
        // A first signal waits for this second: otherwise half a database would stay.
        () = shutdown.forced() => return Err(interrupted()),
    };
    let service = async |database: &Database, app: App| {
        let key = SecretString::from(app.add_workspace(NAME).await?.expose());
        let serving = serve::serve(database, &app, listener, allowed(), DRAIN, &shutdown);
        let showing = async {
            let shown = show(&base, key, config, &shutdown).await;
            shutdown.begin();
            shown
        };
        let (served, shown) = tokio::join!(serving, showing);
        served.and(shown)
    };
    serve::on(database, connections, &shutdown, service).await
}

fn interrupted() -> Failure {
    "stopped before the goal was done".into()
}

/// The demo and, without `--exit`, the service until Ctrl-C.
async fn show(
    base: &str,
    key: SecretString,
    config: &DemoConfig,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    print::text(&format!(
        "The API, for a browser:         {base}/docs\n\
         Its key, for `Authorize` there: {}\n\n",
        key.expose_secret(),
    ))?;
    let operator = Client::new(base, key)?;
    let patience = Duration::from_secs(config.deadline_seconds);
    let outcome = tokio::select! {
        outcome = play(&operator, patience) => outcome,
        () = shutdown.begun() => return Err(interrupted()),
    };
    if config.exit {
        return outcome;
    }
    if let Err(failure) = &outcome {
        failure::show(&**failure);
    }
    print::text(&format!("\nStill serving {base}/docs; Ctrl-C ends it.\n"))?;
    shutdown.begun().await;
    outcome
}

/// Posts the goal, runs the fleet on it, and prints the report.
async fn play(operator: &Client, patience: Duration) -> Result<(), Failure> {
    let mut display = Display::new();
    let names: Vec<&'static str> = CAST.iter().map(|(name, _)| *name).collect();
    let lines = display.lines(&names);
    let display = Arc::new(display);
    let script = Arc::new(Script::default());

    let mut workers = Vec::new();
    let mut agents: Vec<AgentId> = Vec::new();
    for ((name, capabilities), line) in CAST.into_iter().zip(lines) {
        let agent = json!({"name": name, "capabilities": capabilities, "max_concurrent": 1});
        let registration: Registration = operator.post("/v1/agents", &agent).await?;
        agents.push(registration.agent.id);
        let client = operator.with_key(registration.token.into());
        let (script, display) = (Arc::clone(&script), Arc::clone(&display));
        workers.push(Worker { name, client, script, line, display });
    }
    let goal = post(operator, &display).await?;
    // Separation of duties: the poster of a goal and registrant of its agents may not accept their
    // results, and a key without a person would count as the poster, who makes it.
    let reviewer = json!({"name": "reviewer", "role": Role::Operator, "person": "reviewer"});
    let issued: IssuedKey = operator.post_once("/v1/keys", "reviewer", &reviewer).await?;
    let reviewer = operator.with_key(issued.token.into());
    let ended = tokio::time::timeout(patience, work(workers, &reviewer, goal.id, &display)).await;
    display.clear();
    let goal = match ended {
        Ok(goal) => goal?,
        Err(_) => {
            display.say(format_args!("not done after {} seconds", patience.as_secs()));
            operator.get(&format!("/v1/goals/{}", goal.id)).await?
        }
    };
    conclude(&Report::read(operator, goal, &agents).await?)
}

/// The part of a preview that is needed: the tasks in the form of a new goal.
#[derive(Debug, Deserialize)]
struct Preview {
    tasks: Vec<TaskSpec>,
}

/// Posts the document as a goal, as a script in CI does: preview, edit, post.
async fn post(operator: &Client, display: &Display) -> Result<Goal, Failure> {
    let source = PlanSource { brief: script::BRIEF.to_owned(), ..PlanSource::default() };
    let Preview { mut tasks } = operator.post("/v1/plans/preview", &source).await?;
    script::staff(&mut tasks);
    let new = NewGoal {
        title: script::TITLE.to_owned(),
        brief: source.brief,
        project: Some(NAME.to_owned()),
        tasks,
        task_defaults: TaskDefaults { max_attempts: Some(MAX_ATTEMPTS), ..TaskDefaults::default() },
        ..NewGoal::default()
    };
    let goal: Goal = operator.post_once("/v1/goals", "the-goal-of-the-demo", &new).await?;
    let total = goal.tasks.total;
    display.note("operator", "", &format!("posts \"{}\": {total} tasks", goal.title));
    Ok(goal)
}

/// Runs the fleet until the goal has ended.
async fn work(
    workers: Vec<Worker>,
    reviewer: &Client,
    goal: GoalId,
    display: &Display,
) -> Result<Goal, Failure> {
    let mut fleet: JoinSet<client::Result<()>> = workers.into_iter().map(Worker::live).collect();
    let mut watching = std::pin::pin!(operator::watch(reviewer, goal, display));
    loop {
        tokio::select! {
            goal = &mut watching => return Ok(goal?),
            // The planned death of an agent is no error.
            Some(ended) = fleet.join_next() => ended??,
        }
    }
}

fn conclude(report: &Report) -> Result<(), Failure> {
    print::text("\n")?;
    report.print_tasks()?;
    print::text("\n")?;
    report.print_agents()?;
    print::text(&format!("\n{}\n\n", report.summary()))?;
    let findings = report.findings();
    for (found, what) in &findings {
        let mark = if *found { "yes" } else { "NO " };
        print::text(&format!("{mark}  {what}\n"))?;
    }
    let missing = findings.into_iter().filter(|(found, _)| !found).map(|(_, what)| what);
    let missing: Vec<String> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("expected, but it did not happen: {}", missing.join("; ")).into())
}
