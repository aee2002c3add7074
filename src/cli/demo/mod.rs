//! `muster demo`: a fleet at work, to be watched.
//!
//! The whole service runs in this process, on a database of its own, and five agents work on one
//! goal over HTTP as agents anywhere would ([`agent`]). An operator looks after it ([`operator`]).
//! What goes wrong is written in [`script`]; what came of it is read back from the service
//! ([`report`]), so the demo ends well only if everything really happened.
//!
//! - Its data is in a temporary directory and goes with it, so it never meets real data, and two
//!   demos may run at once: each listens on a free port. With `DATABASE_URL` it makes a workspace
//!   of its own there, which stays.
//! - It cannot hang: the show has a deadline, and so has every part of the stop.

mod agent;
mod client;
mod display;
mod operator;
mod report;
mod script;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::JoinSet;

use super::{Failure, database::Database, print, serve};
use crate::{
    app::goals::views::Goal,
    config::DatabaseConfig,
    domain::{
        ids::{AgentId, GoalId},
        plan::new_goal::{NewGoal, PlanSource, TaskDefaults},
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
/// How often a task may be tried: on a busy machine more than the planned tries can be lost.
const MAX_ATTEMPTS: i32 = 6;
/// What the service takes on; there are five agents and perhaps a browser.
const LIMITS: Limits = Limits { in_flight: 256, waiting: 256, timeout: Duration::from_secs(30) };
/// How long a stop waits for what is in the works.
const DRAIN: Drain = Drain { notice: Duration::ZERO, patience: Duration::from_secs(5) };

#[derive(Debug, Args)]
pub struct DemoConfig {
    /// Leave at the end: with 0 if all of it happened as planned, with 1 and the reason if not
    #[arg(long)]
    exit: bool,
    /// The address to listen on; port 0 is a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Give up when the goal is not done after so long
    #[arg(
        long,
        default_value_t = 180,
        value_parser = clap::value_parser!(u64).range(1..=3600),
        value_name = "SECONDS"
    )]
    deadline_seconds: u64,
}

/// Runs the demo.
pub async fn run(database: &DatabaseConfig, config: &DemoConfig) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals()?;
    let listener = serve::listen(config.listen).await?;
    let base = format!("http://{}", listener.local_addr()?);
    let connections = database.database_connections;
    let database = tokio::select! {
        opened = Database::passing(database) => opened?,
        // A stop waits for the second that this takes: half a database would stay behind.
        () = shutdown.forced() => return Err(interrupted()),
    };
    let pool = database.connect(connections).await?;
    let shown = async {
        let app = serve::app_on(&pool).await?;
        let key = SecretString::from(app.add_workspace(NAME).await?.expose());
        let serving = serve::serve(&database, &app, listener, LIMITS, DRAIN, &shutdown);
        let showing = async {
            let shown = show(&base, key, config, &shutdown).await;
            shutdown.begin();
            shown
        };
        let (served, shown) = tokio::join!(serving, showing);
        served.and(shown)
    };
    let shown = shown.await;
    shutdown.force();
    serve::close(database, &pool).await?;
    shown
}

fn interrupted() -> Failure {
    "stopped before the goal was done".into()
}

/// The show, and what comes after it: until Ctrl-C, unless the demo is to leave.
async fn show(
    base: &str,
    key: SecretString,
    config: &DemoConfig,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    print::text(&format!(
        "The API, to be tried in a browser: {base}/docs\n\
         Its key, for `Authorize` there:    {}\n\n",
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
        print::failure(&**failure);
    }
    print::text(&format!("\nStill serving {base}/docs; Ctrl-C ends it.\n"))?;
    shutdown.begun().await;
    outcome
}

/// Posts the goal, lets the fleet work on it, and tells what came of it.
async fn play(operator: &Client, patience: Duration) -> Result<(), Failure> {
    let mut display = Display::new();
    let names: Vec<&'static str> = CAST.iter().map(|(name, _)| *name).collect();
    let seats = display.seats(&names);
    let display = Arc::new(display);
    let script = Arc::new(Script::default());

    let mut workers = Vec::new();
    let mut agents: Vec<AgentId> = Vec::new();
    for ((name, capabilities), seat) in CAST.into_iter().zip(seats) {
        let registration = operator.register(name, capabilities).await?;
        agents.push(registration.agent.id);
        let client = operator.with_key(registration.token.into());
        let (script, display) = (Arc::clone(&script), Arc::clone(&display));
        workers.push(Worker { name, client, script, seat, display });
    }
    let goal = post(operator, &display).await?;
    // Whoever posts a goal and owns its agents does not accept what they hand in.
    let reviewer = operator.another("reviewer").await?;
    let ended = tokio::time::timeout(patience, work(workers, &reviewer, goal.id, &display)).await;
    display.clear();
    let goal = match ended {
        Ok(goal) => goal?,
        Err(_) => {
            display.say(format_args!("not done after {} seconds", patience.as_secs()));
            operator.goal(goal.id).await?
        }
    };
    conclude(&Report::read(operator, goal, &agents).await?)
}

/// Makes the goal out of the document, as a script in CI would: preview, look through, post.
async fn post(operator: &Client, display: &Display) -> Result<Goal, Failure> {
    let source = PlanSource { brief: script::BRIEF.to_owned(), ..PlanSource::default() };
    let mut tasks = operator.preview(&source).await?.tasks;
    script::staff(&mut tasks);
    let new = NewGoal {
        title: script::TITLE.to_owned(),
        brief: source.brief,
        project: Some(NAME.to_owned()),
        tasks,
        task_defaults: TaskDefaults { max_attempts: Some(MAX_ATTEMPTS), ..TaskDefaults::default() },
        ..NewGoal::default()
    };
    let goal = operator.post_goal(&new, "the-goal-of-the-demo").await?;
    let total = goal.tasks.total;
    display.note("operator", "", &format!("posts \"{}\": {total} tasks", goal.title));
    Ok(goal)
}

/// Returns when the goal has ended.
async fn work(
    workers: Vec<Worker>,
    reviewer: &Client,
    goal: GoalId,
    display: &Display,
) -> Result<Goal, Failure> {
    let mut fleet: JoinSet<client::Result<()>> = workers.into_iter().map(Worker::live).collect();
    let looking = operator::look_after(reviewer, goal, display);
    let mut looking = std::pin::pin!(looking);
    loop {
        tokio::select! {
            goal = &mut looking => return Ok(goal?),
            // An agent that died as planned ends without an error.
            Some(ended) = fleet.join_next() => ended??,
        }
    }
}

fn conclude(report: &Report) -> Result<(), Failure> {
    print::text(&format!(
        "\n{}\n\n{}\n\n",
        report.tasks_table().trim_fmt(),
        report.agents_table().trim_fmt()
    ))?;
    print::text(&format!("{}\n\n", report.summary()))?;
    let findings = report.findings();
    for finding in &findings {
        let mark = if finding.found { "yes" } else { "NO " };
        print::text(&format!("{mark}  {}\n", finding.what))?;
    }
    let missing: Vec<String> =
        findings.into_iter().filter(|finding| !finding.found).map(|finding| finding.what).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("this should have happened and did not: {}", missing.join("; ")).into())
}
