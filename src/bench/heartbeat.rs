//! `heartbeat`: running attempts with heartbeats, alone and during `cycle`.
//!
//! Agents with up to 100 attempts each. Every attempt sends its own heartbeat every ten seconds, in
//! an open loop, evenly spread over all attempts, on one connection per agent. In the compared rounds
//! without heartbeats no such attempt exists: they are released before and claimed again after, so
//! the result is the cost of running attempts, not of heartbeats only.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    api::{self, ClaimTerms, Lease},
    cycling::Cycling,
    error::{BenchError, Result},
    fleet::{self, Agent, Kind},
    load::Window,
    process::{PerCycle, Processor},
    report::{Figures, Report},
    schedule,
    settings::Scenario,
    stage::{Setup, Stage},
    statistics::{Latencies, Spread, Summary},
    supply::{Needs, Supply},
    table::{Finding, Grid, LATENCY_HEADER, SPREAD_HEADER, figure, latency_row, spread_row},
    together::together,
};

/// Time between two heartbeats of an attempt.
const PERIOD: Duration = Duration::from_secs(10);
/// Most attempts of one agent, which is also the most of one claim.
const PER_AGENT: u32 = 100;
/// Capability of the tasks, so that no other agent claims them.
const CAPABILITY: &str = "bench-heartbeat";
/// Longer than any pause between two rounds.
const LEASE_SECONDS: u32 = 600;
/// Empty claims of an agent before the measurement fails.
const EMPTY_CLAIMS: u32 = 5;

/// The figures of `heartbeat`.
#[derive(Debug, Clone, Serialize)]
pub struct HeartbeatReport {
    /// Running attempts.
    pub attempts: u32,
    /// Heartbeats per second.
    pub beats_per_second: f64,
    /// Refused heartbeats.
    pub refused: u64,
    /// Latency of heartbeats without any other load.
    pub alone: Summary,
    /// Latency of heartbeats during cycles, by round.
    pub beside: Vec<Summary>,
    /// Processor time of one heartbeat without other load, idle work of the service included.
    pub processor: Option<PerCycle>,
    /// Cycles per second without the attempts.
    pub without: Spread,
    /// Cycles per second with their heartbeats.
    pub with: Spread,
    /// Lost throughput, in percent.
    pub cost_percent: Spread,
}

/// An agent with its running attempts.
#[derive(Debug)]
struct Beater {
    agent: Agent,
    leases: Vec<Lease>,
    wanted: usize,
}

/// The heartbeats of a round.
#[derive(Debug, Default)]
struct Beats {
    latencies: Vec<Duration>,
    refused: u64,
}

impl Beats {
    fn summary(&self) -> Summary {
        let mut latencies = Latencies::default();
        self.latencies.iter().for_each(|latency| latencies.record(*latency));
        latencies.summary()
    }
}

/// Measures `heartbeat`.
pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let settings = &setup.settings;
    let stage = setup.stage(None).await?;
    report.machine.look_at(&stage).await?;
    let attempts = settings.beating_attempts;
    let mut cycling = Cycling::prepare(setup, &stage).await?;
    let mut beaters = prepare(setup, &stage, attempts).await?;

    stage.tidy().await?;
    claim_all(&mut beaters).await?;
    let before = stage.processor();
    let window = Window::now(settings.lead_in(), settings.round().max(PERIOD));
    let (mut beaters, beats) = beat(beaters, window).await?;
    let alone = beats.summary();
    let processor = Processor::per(before, stage.processor(), alone.count);
    let mut refused = beats.refused;
    tracing::info!(p99_ms = alone.p99_ms, "heartbeats alone");

    let (mut with, mut without, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=settings.rounds {
        release_all(&mut beaters).await?;
        cycling.stock(&stage, 1).await?;
        without.push(cycling.closed(1).await?.cycles_per_second);
        claim_all(&mut beaters).await?;
        cycling.stock(&stage, 1).await?;
        let window = Window::now(settings.lead_in(), settings.round());
        let (outcome, beaten) = tokio::try_join!(cycling.closed(1), beat(beaters, window))?;
        let beats;
        (beaters, beats) = beaten;
        refused += beats.refused;
        beside.push(beats.summary());
        with.push(outcome.cycles_per_second);
        tracing::info!(round, without = without.last(), with = with.last(), "cycles, heartbeats");
    }
    stage.stop().await?;
    let measured = HeartbeatReport {
        attempts,
        beats_per_second: f64::from(attempts) / PERIOD.as_secs_f64(),
        refused,
        alone,
        beside,
        processor,
        cost_percent: Spread::cost_percent(&with, &without),
        without: Spread::of(without),
        with: Spread::of(with),
    };
    report.add(Scenario::Heartbeat, &measured)
}

async fn prepare(setup: &Setup, stage: &Stage, attempts: u32) -> Result<Vec<Beater>> {
    let kind = Kind { name: "beat", capability: Some(CAPABILITY), max_concurrent: PER_AGENT };
    let agents = attempts.div_ceil(PER_AGENT);
    let registered = fleet::register(setup, stage, kind, agents as usize).await?;
    let mut supply = Supply::new(setup, stage, Some(CAPABILITY), Needs::Nothing).await?;
    supply.ensure(attempts as usize).await?;
    let agents = fleet::connect(setup, &registered).await?;
    // Equal shares: attempt `n` is the `n / agents`th of agent `n % agents`.
    let (attempts, count) = (attempts as usize, agents.len().max(1));
    let beater = |(number, agent)| {
        let wanted = attempts / count + usize::from(number < attempts % count);
        Beater { agent, leases: Vec::new(), wanted }
    };
    Ok(agents.into_iter().enumerate().map(beater).collect())
}

/// Claims until every agent has its attempts.
async fn claim_all(beaters: &mut [Beater]) -> Result<()> {
    for beater in beaters {
        let mut empty = 0;
        while beater.leases.len() < beater.wanted {
            let max = (beater.wanted - beater.leases.len()) as u32;
            let terms = ClaimTerms { max, wait_seconds: 2, lease_seconds: LEASE_SECONDS };
            let answer = beater.agent.claim(terms).await?.accepted("POST /v1/claims")?;
            let leases = api::claimed(&answer)?;
            empty += u32::from(leases.is_empty());
            if empty == EMPTY_CLAIMS {
                return Err(BenchError::Impossible("no task is left for heartbeats".into()));
            }
            beater.leases.extend(leases);
        }
    }
    Ok(())
}

/// Releases every attempt; its task is ready again at once.
async fn release_all(beaters: &mut [Beater]) -> Result<()> {
    let releases = beaters.iter_mut().map(|beater| async {
        for lease in std::mem::take(&mut beater.leases) {
            let answer = beater.agent.say(&lease, "release", lease.release()).await?;
            answer.accepted("POST /v1/attempts/{id}/release")?;
        }
        Ok::<_, BenchError>(())
    });
    futures_util::future::try_join_all(releases).await.map(drop)
}

/// Sends the heartbeats of all attempts until the end of the window.
async fn beat(beaters: Vec<Beater>, window: Window) -> Result<(Vec<Beater>, Beats)> {
    let count: usize = beaters.iter().map(|beater| beater.leases.len()).sum();
    let all = schedule::even(count, PERIOD, window.until - window.start);
    let agents = beaters.len();
    let works = beaters.into_iter().enumerate().map(|(number, beater)| {
        // Neighbours in time are attempts of different agents: no connection has a burst.
        let mine = all.iter().filter(|(_, attempt)| attempt % agents == number);
        let mine = mine.map(|(at, attempt)| (*at, attempt / agents)).collect();
        beat_one(beater, mine, window)
    });
    let (mut back, mut all) = (Vec::with_capacity(agents), Beats::default());
    for (beater, beats) in together(works).await? {
        back.push(beater);
        all.latencies.extend(beats.latencies);
        all.refused += beats.refused;
    }
    Ok((back, all))
}

async fn beat_one(
    mut beater: Beater,
    mine: Vec<(Duration, usize)>,
    window: Window,
) -> Result<(Beater, Beats)> {
    let mut beats = Beats::default();
    for (number, (at, attempt)) in mine.into_iter().enumerate() {
        let scheduled = window.start + at;
        tokio::time::sleep_until(scheduled.into()).await;
        let Some(lease) = beater.leases.get(attempt) else { continue };
        let body = lease.heartbeat((number % 100) as u32);
        let answer = beater.agent.say(lease, "heartbeat", body).await?;
        if !answer.status.is_success() {
            beats.refused += 1;
        } else if window.from <= scheduled {
            beats.latencies.push(Instant::now() - scheduled);
        }
    }
    Ok((beater, beats))
}

impl Figures for HeartbeatReport {
    fn results(&self) -> Vec<Finding> {
        let what = format!("loss of cycle to {} attempts with heartbeats", self.attempts);
        vec![
            Finding::spread("heartbeat_cost", what, &self.cost_percent, "%"),
            Finding::one("heartbeat_p99", "p99 of a heartbeat, alone", self.alone.p99_ms, "ms"),
        ]
    }

    fn grids(&self) -> Vec<Grid> {
        let beside = self.beside.iter().zip(1..);
        let beside = beside
            .map(|(summary, round)| latency_row(format!("during cycles, round {round}"), summary));
        let processor = self.processor.map_or_else(String::new, |each| {
            let (server, database) = (figure(each.server_us), figure(each.database_us));
            format!("; alone one costs {server} us of the service, {database} us of PostgreSQL")
        });
        vec![
            Grid::new(
                format!("Heartbeats: cycles per second, {} attempts", self.attempts),
                SPREAD_HEADER,
                [
                    spread_row("without them", &self.without),
                    spread_row("with their heartbeats", &self.with),
                    spread_row("cost in %", &self.cost_percent),
                ],
            ),
            Grid::new(
                format!(
                    "Heartbeats, open loop, {} per second, {} refused{processor}",
                    figure(self.beats_per_second),
                    self.refused
                ),
                LATENCY_HEADER,
                std::iter::once(latency_row("alone", &self.alone)).chain(beside),
            ),
        ]
    }
}
