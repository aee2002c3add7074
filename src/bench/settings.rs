//! What is measured, for how long and how large.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use secrecy::SecretString;
use serde::Serialize;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Claim, spend, complete over HTTP: one task per claim, and ten
    Cycle,
    /// What a good hand-written queue does on the same PostgreSQL, in turns with `cycle`
    Reference,
    /// Agents that wait for work: what each costs, and how soon 100 new tasks are claimed
    Idle,
    /// Running attempts that beat every ten seconds, alone and while `cycle` runs
    Heartbeat,
    /// Cycles with limits on every level above the tasks, and of goals that set theirs aside
    Budget,
    /// Cycles, claims and lists with ever more finished tasks behind them
    Growth,
    /// Minutes of cycles: what changes, and what a long transaction does
    Sustain,
}

impl Scenario {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 7] = [
        Self::Cycle,
        Self::Reference,
        Self::Idle,
        Self::Heartbeat,
        Self::Budget,
        Self::Growth,
        Self::Sustain,
    ];
}

/// The form of the report on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people.
    Table,
    /// One JSON object.
    Json,
}

/// What `muster bench` is asked for.
#[derive(Debug, Clone, Args)]
pub struct BenchSettings {
    /// What to measure; everything when nothing is named
    #[arg(value_enum, value_name = "SCENARIO")]
    pub scenarios: Vec<Scenario>,
    /// Seconds of one round
    #[arg(
        long,
        default_value_t = 8,
        value_parser = clap::value_parser!(u64).range(1..=600),
        value_name = "SECONDS"
    )]
    pub seconds: u64,
    /// Rounds of each thing; those that are compared alternate
    #[arg(
        long,
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=100),
        value_name = "COUNT"
    )]
    pub rounds: u32,
    /// Connections of `cycle`, each an agent of its own
    #[arg(
        long,
        default_value_t = 256,
        value_parser = clap::value_parser!(u16).range(1..=1000),
        value_name = "COUNT"
    )]
    pub connections: u16,
    /// Percent of the throughput that was measured at which latency is measured open loop
    #[arg(
        long,
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=100),
        value_name = "PERCENT"
    )]
    pub open_loop_percent: u32,
    /// Claim without `Idempotency-Key`
    #[arg(long)]
    pub plain_claims: bool,
    /// How many agents wait in `idle`, in rising order
    #[arg(
        long,
        default_values_t = [1_000, 5_000],
        value_delimiter = ',',
        value_parser = clap::value_parser!(u32).range(1..=15_000),
        value_name = "COUNT,..."
    )]
    pub idle_agents: Vec<u32>,
    /// Seconds for which the database is watched in `idle`; a minute sees each claim renewed once
    #[arg(
        long,
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=600),
        value_name = "SECONDS"
    )]
    pub idle_seconds: u64,
    /// How many attempts beat in `heartbeat`
    #[arg(
        long,
        default_value_t = 5_000,
        value_parser = clap::value_parser!(u32).range(1..=50_000),
        value_name = "COUNT"
    )]
    pub beating_attempts: u32,
    /// Numbers of finished tasks in `growth`, in rising order
    #[arg(
        long,
        default_values_t = [10_000, 100_000, 1_000_000],
        value_delimiter = ',',
        value_parser = clap::value_parser!(u32).range(1_000..=20_000_000),
        value_name = "COUNT,..."
    )]
    pub growth_sizes: Vec<u32>,
    /// Open tasks in `growth`
    #[arg(
        long,
        default_value_t = 100_000,
        value_parser = clap::value_parser!(u32).range(1_000..=10_000_000),
        value_name = "COUNT"
    )]
    pub growth_open: u32,
    /// Seconds of `sustain`, which runs twice; a third of the second run has a held snapshot
    #[arg(
        long,
        default_value_t = 180,
        value_parser = clap::value_parser!(u64).range(6..=36_000),
        value_name = "SECONDS"
    )]
    pub sustain_seconds: u64,
    /// A running service to measure in place of one that is started: http://host:port
    ///
    /// It is filled with tasks and agents that stay. What has to be measured at its process is left
    /// out; what has to be measured at its database, unless `--database-url` names that.
    #[arg(long, requires = "key", value_name = "URL")]
    pub url: Option<String>,
    /// The operator's or admin's key for `--url`
    #[arg(long, env = "MUSTER_BENCH_KEY", hide_env_values = true, value_name = "KEY")]
    pub key: Option<SecretString>,
    /// Write the report to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The form of the report on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

impl BenchSettings {
    /// Whether this is to be measured.
    #[must_use]
    pub fn wants(&self, scenario: Scenario) -> bool {
        self.scenarios.is_empty() || self.scenarios.contains(&scenario)
    }

    /// The length of a round.
    #[must_use]
    pub fn round(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// What runs before a round is counted: the first moments belong to nobody.
    #[must_use]
    pub fn lead_in(&self) -> Duration {
        (self.round() / 4).min(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        settings: BenchSettings,
    }

    fn parse(args: &[&str]) -> Result<BenchSettings, clap::Error> {
        let args = std::iter::once("bench").chain(args.iter().copied());
        Program::try_parse_from(args).map(|program| program.settings)
    }

    #[test]
    fn nothing_named_is_everything() {
        let settings = parse(&[]).unwrap();
        assert!(Scenario::ALL.iter().all(|scenario| settings.wants(*scenario)));
        assert_eq!(settings.growth_sizes, [10_000, 100_000, 1_000_000]);
        let some = parse(&["cycle", "reference", "--growth-sizes", "2000,3000"]).unwrap();
        assert!(some.wants(Scenario::Reference) && !some.wants(Scenario::Idle));
        assert_eq!(some.growth_sizes, [2000, 3000]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for args in [
            &["circle"][..],
            &["--seconds", "0"],
            &["--rounds", "0"],
            &["--connections", "0"],
            &["--url", "http://127.0.0.1:1"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn the_lead_in_is_shorter_than_a_short_round() {
        assert_eq!(parse(&["--seconds", "1"]).unwrap().lead_in(), Duration::from_millis(250));
        assert_eq!(parse(&["--seconds", "8"]).unwrap().lead_in(), Duration::from_secs(1));
    }
}
