//! `heartbeat`: running attempts that beat, alone and beside `cycle`.
//!
//! Agents with up to 100 attempts each; every attempt beats on its own every ten seconds, evenly
//! spread over all of them, open loop, over one connection per agent. The rounds of cycles without
//! beats have none of the attempts running at all: they are released before and claimed again
//! after, so that the cost is that of having them and not only that of the beats.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    api::{self, ClaimTerms, Lease},
    cycling::Cycling,
    error::{BenchError, Result},
    fleet::{self, Agent, Kind},
    load::Window,
    machine::Machine,
    process::{PerCycle, Processor},
    report::{Finding, Grid, LATENCY_HEADER, figure, latency_cells, spread_cells},
    schedule,
    stage::{Ground, Stage},
    statistics::{Latencies, Spread, Summary},
    supply::{Needs, Supply},
};

/// How often an attempt beats.
const PERIOD: Duration = Duration::from_secs(10);
/// Most attempts of one agent, which is also the most of one claim.
const PER_AGENT: u32 = 100;
/// What the tasks require, so that nobody else claims them.
const CAPABILITY: &str = "bench-heartbeat";
/// Longer than any pause between two rounds.
const LEASE_SECONDS: u32 = 600;
/// Claims that find nothing in a row, before there is something wrong.
const PATIENCE: u32 = 5;

/// What `heartbeat` came to.
#[derive(Debug, Clone, Serialize)]
pub struct HeartbeatReport {
    /// How many attempts beat.
    pub attempts: u32,
    /// Beats per second.
    pub beats_per_second: f64,
    /// Beats that were refused.
    pub refused: u64,
    /// Latency of beats while nothing else happens.
    pub alone: Summary,
    /// Latency of beats while cycles run, by round.
    pub beside: Vec<Summary>,
    /// Processor time of one beat alone, with everything else that runs while nothing happens.
    pub processor: Option<PerCycle>,
    /// Cycles per second without any of the attempts.
    pub without: Spread,
    /// Cycles per second while they beat.
    pub with: Spread,
    /// What of the throughput is lost, in percent.
    pub cost_percent: Spread,
}

/// Agents with their running attempts.
#[derive(Debug)]
struct Beater {
    agent: Agent,
    leases: Vec<Lease>,
    wanted: usize,
}

/// What a span of beats came to.
#[derive(Debug, Default)]
struct Beats {
    latencies: Latencies,
    refused: u64,
}

/// Measures.
///
/// # Errors
/// When something cannot be measured.
pub async fn measure(
    ground: &Ground,
    machine: &mut Machine,
) -> Result<(HeartbeatReport, Vec<Finding>)> {
    let settings = &ground.settings;
    let stage = ground.stage(None).await?;
    machine.look_at(&stage).await?;
    let attempts = settings.beating_attempts;
    let mut cycling = Cycling::prepare(ground, &stage).await?;
    let mut beaters = prepare(ground, &stage, attempts).await?;

    stage.tidy().await?;
    take_up(&mut beaters).await?;
    let look = || Processor::used(stage.server_pid()?, stage.postgres_pid()?);
    let before = look();
    let window = Window::now(settings.lead_in(), settings.round().max(PERIOD));
    let (mut beaters, alone) = beat(beaters, window).await?;
    let processor = match (before, look()) {
        (Some(before), Some(after)) => Some(after.per(&before, alone.latencies.summary().count)),
        _ => None,
    };
    let mut refused = alone.refused;
    tracing::info!(p99_ms = alone.latencies.summary().p99_ms, "beats alone");

    let (mut with, mut without, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=settings.rounds {
        let_go(&mut beaters).await?;
        cycling.stock(settings, 1).await?;
        stage.tidy().await?;
        without.push(cycling.closed(settings, 1).await?.cycles_per_second);
        take_up(&mut beaters).await?;
        cycling.stock(settings, 1).await?;
        stage.tidy().await?;
        let window = Window::now(settings.lead_in(), settings.round());
        let (outcome, beats) =
            tokio::try_join!(cycling.closed(settings, 1), beat(beaters, window))?;
        let beats_of_round;
        (beaters, beats_of_round) = beats;
        refused += beats_of_round.refused;
        beside.push(beats_of_round.latencies.summary());
        with.push(outcome.cycles_per_second);
        tracing::info!(round, without = without.last(), with = with.last(), "cycles beside beats");
    }
    stage.stop().await?;
    let report = HeartbeatReport {
        attempts,
        beats_per_second: f64::from(attempts) / PERIOD.as_secs_f64(),
        refused,
        alone: alone.latencies.summary(),
        beside,
        processor,
        cost_percent: Spread::cost_percent(&with, &without),
        without: Spread::of(without),
        with: Spread::of(with),
    };
    let results = report.results();
    Ok((report, results))
}

async fn prepare(ground: &Ground, stage: &Stage, attempts: u32) -> Result<Vec<Beater>> {
    let kind = Kind { name: "beat", capability: Some(CAPABILITY), max_concurrent: PER_AGENT };
    let agents = attempts.div_ceil(PER_AGENT);
    let registered = fleet::register(ground, stage, kind, agents as usize).await?;
    let mut supply = Supply::new(ground, stage, Some(CAPABILITY), Needs::Nothing).await?;
    supply.ensure(attempts as usize).await?;
    let agents = fleet::connect(ground, &registered).await?;
    // As equal as they can be: so the attempt `n` is the `n / agents`th of the `n % agents`th.
    let (attempts, count) = (attempts as usize, agents.len().max(1));
    let beater = |(number, agent)| {
        let wanted = attempts / count + usize::from(number < attempts % count);
        Beater { agent, leases: Vec::new(), wanted }
    };
    Ok(agents.into_iter().enumerate().map(beater).collect())
}

/// Claims until every agent has its attempts.
async fn take_up(beaters: &mut [Beater]) -> Result<()> {
    for beater in beaters {
        let mut patience = PATIENCE;
        while beater.leases.len() < beater.wanted {
            let max = (beater.wanted - beater.leases.len()) as u32;
            let terms = ClaimTerms { max, wait_seconds: 2, lease_seconds: LEASE_SECONDS };
            let answer = beater.agent.claim(terms).await?.accepted("POST /v1/claims")?;
            let leases = api::claimed(&answer)?;
            if leases.is_empty() {
                patience -= 1;
            }
            if patience == 0 {
                return Err(BenchError::Impossible("there is nothing to beat for".into()));
            }
            beater.leases.extend(leases);
        }
    }
    Ok(())
}

/// Releases every attempt; its task can be claimed again at once.
async fn let_go(beaters: &mut [Beater]) -> Result<()> {
    let releases = beaters.iter_mut().map(|beater| async {
        for lease in std::mem::take(&mut beater.leases) {
            let answer = beater.agent.say(&lease, "release", lease.release()).await?;
            answer.accepted("POST /v1/attempts/{id}/release")?;
        }
        Ok::<_, BenchError>(())
    });
    futures_util::future::try_join_all(releases).await?;
    Ok(())
}

/// Lets all attempts beat for the time of the window.
async fn beat(beaters: Vec<Beater>, window: Window) -> Result<(Vec<Beater>, Beats)> {
    let count: usize = beaters.iter().map(|beater| beater.leases.len()).sum();
    let all = schedule::even(count, PERIOD, window.until - window.start);
    let agents = beaters.len();
    let beats = Rc::new(RefCell::new(Beats::default()));
    let mut works = JoinSet::new();
    for (number, beater) in beaters.into_iter().enumerate() {
        // Neighbours in time are attempts of different agents: no connection has a burst.
        let mine = all.iter().filter(|(_, attempt)| attempt % agents == number);
        let mine = mine.map(|(at, attempt)| (*at, attempt / agents)).collect();
        works.spawn_local(beat_one(beater, mine, window, Rc::clone(&beats)));
    }
    let mut back = Vec::with_capacity(agents);
    while let Some(ended) = works.join_next().await {
        back.push(ended.map_err(|_| BenchError::Impossible("an agent panicked".into()))??);
    }
    let beats = beats.take();
    Ok((back, beats))
}

async fn beat_one(
    mut beater: Beater,
    mine: Vec<(Duration, usize)>,
    window: Window,
    beats: Rc<RefCell<Beats>>,
) -> Result<Beater> {
    for (number, (at, attempt)) in mine.into_iter().enumerate() {
        let scheduled = window.start + at;
        tokio::time::sleep_until(scheduled.into()).await;
        let Some(lease) = beater.leases.get(attempt) else { continue };
        let body = lease.heartbeat((number % 100) as u32);
        let answer = beater.agent.say(lease, "heartbeat", body).await?;
        let mut beats = beats.borrow_mut();
        if !answer.status.is_success() {
            beats.refused += 1;
        } else if window.from <= scheduled {
            beats.latencies.record(Instant::now() - scheduled);
        }
    }
    Ok(beater)
}

impl HeartbeatReport {
    fn results(&self) -> Vec<Finding> {
        let attempts = self.attempts;
        let what = format!("throughput of cycle that {attempts} beating attempts cost");
        vec![
            Finding::spread("heartbeat_cost", what, &self.cost_percent, "%"),
            Finding::one("heartbeat_p99", "p99 of a beat, alone", self.alone.p99_ms, "ms"),
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
        let mut latency = vec![vec!["alone".to_owned()]];
        latency[0].extend(latency_cells(&self.alone));
        for (number, summary) in self.beside.iter().enumerate() {
            let mut row = vec![format!("beside cycles, round {}", number + 1)];
            row.extend(latency_cells(summary));
            latency.push(row);
        }
        let processor = self.processor.map_or_else(String::new, |each| {
            let (server, database) = (figure(each.server_us), figure(each.database_us));
            format!("; alone one costs {server} us of the service, {database} us of PostgreSQL")
        });
        vec![
            Grid {
                title: format!("Heartbeats: cycles per second, {} attempts", self.attempts),
                header: vec!["", "median", "min", "max"],
                rows: vec![
                    row("without them", &self.without),
                    row("while they beat", &self.with),
                    row("cost in %", &self.cost_percent),
                ],
            },
            Grid {
                title: format!(
                    "Heartbeats, open loop, {} per second, {} refused{processor}",
                    figure(self.beats_per_second),
                    self.refused
                ),
                header: LATENCY_HEADER.to_vec(),
                rows: latency,
            },
        ]
    }
}
