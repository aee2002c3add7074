//! The scenarios of a run, their length and their size.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use secrecy::SecretString;
use serde::Serialize;

/// One measurement. The order is that of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Claim, spend, complete over HTTP, with one task per claim and with ten; rows and WAL per cycle
    Cycle,
    /// A good hand-written queue on the same PostgreSQL, in turns with `cycle`
    Reference,
    /// Agents that wait for work: the cost of each, and the latency until 100 new tasks are claimed
    Idle,
    /// Running attempts with a heartbeat every ten seconds, alone and during `cycle`
    Heartbeat,
    /// Cycles with limits on every level above the tasks, and of goals with an allocated budget
    Budget,
    /// Cycles, claims and lists behind a growing number of finished tasks
    Growth,
    /// Attacks on a service, and what an honest agent of another workspace sees of them
    Fairness,
    /// Minutes of cycles: changes over time, and the effect of a long transaction
    Sustain,
    /// Searches of lessons: their quality with a collection of documents, and their time among many lessons
    Retrieval,
}

/// The form of the report on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people.
    Table,
    /// One JSON object.
    Json,
}

/// The options of `muster bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchSettings {
    /// The scenarios to measure; all by default
    #[arg(value_enum, value_name = "SCENARIO")]
    pub scenarios: Vec<Scenario>,
    /// Seconds of one round
    #[arg(long, value_name = "SECONDS", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Rounds of each measurement; compared measurements alternate
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Connections of `cycle`, each of its own agent
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub connections: u16,
    /// Rate of the open loop, in percent of the measured throughput
    #[arg(long, value_name = "PERCENT", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    pub open_loop_percent: u32,
    /// Claim without `Idempotency-Key`
    #[arg(long)]
    pub plain_claims: bool,
    /// Numbers of waiting agents in `idle`, in rising order
    #[arg(long, value_name = "COUNT,...", default_values_t = [1_000, 5_000])]
    #[arg(value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub idle_agents: Vec<u32>,
    /// Seconds of counting statements in `idle`; every claim is renewed once a minute
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600))]
    pub idle_seconds: u64,
    /// Number of running attempts in `heartbeat`
    #[arg(long, value_name = "COUNT", default_value_t = 5_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub beating_attempts: u32,
    /// Numbers of finished tasks in `growth`, in rising order
    #[arg(long, value_name = "COUNT,...", default_values_t = [10_000, 100_000, 1_000_000])]
    #[arg(value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1_000..=20_000_000))]
    pub growth_sizes: Vec<u32>,
    /// Number of open tasks in `growth`
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub growth_open: u32,
    /// Idle connections of an attacker in `fairness`
    #[arg(long, value_name = "COUNT", default_value_t = 15_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub fairness_sockets: u32,
    /// Long polls of one key in `fairness`
    #[arg(long, value_name = "COUNT", default_value_t = 15_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub fairness_polls: u32,
    /// Requests without their bodies in `fairness`
    #[arg(long, value_name = "COUNT", default_value_t = 1_100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub fairness_bodies: u32,
    /// Viewers that scan the journal in `fairness`
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub fairness_viewers: u32,
    /// Tasks in the workspace of the attackers in `fairness`, whose journal is scanned
    #[arg(long, value_name = "COUNT", default_value_t = 20_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub fairness_tasks: u32,
    /// Claims per second of the honest agent in `fairness`; it has one connection, and a claim with its
    /// completion waits twice for the disk
    #[arg(long, value_name = "RATE", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub fairness_rate: u32,
    /// Seconds of `sustain`, which runs twice; a snapshot is held for a third of the second run
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    #[arg(value_parser = clap::value_parser!(u64).range(6..=36_000))]
    pub sustain_seconds: u64,
    /// A folder with corpus.jsonl, queries.jsonl and qrels.tsv (BEIR) for `retrieval`: imported as lessons
    #[arg(long, value_name = "DIR")]
    pub corpus: Option<PathBuf>,
    /// Word vectors with which `retrieval` ranks the collection once more: a file for `muster vectors import`
    #[arg(long, requires = "corpus", value_name = "FILE")]
    pub vectors: Option<PathBuf>,
    /// Numbers of made-up lessons in `retrieval`, in rising order. Default: 11000,100000, or none with `--corpus`
    #[arg(long, value_name = "COUNT,...")]
    #[arg(value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub lessons: Vec<u32>,
    /// Write the rankings of `retrieval` to this file, in the form of TREC
    #[arg(long, requires = "corpus", value_name = "FILE")]
    pub run_file: Option<PathBuf>,
    /// A running service to measure, in place of one started for the run: http://host:port
    ///
    /// Its new tasks and agents stay. Figures of its process are left out, and so are figures of its
    /// database unless `--database-url` names that.
    #[arg(long, requires = "key", value_name = "URL")]
    pub url: Option<String>,
    /// The operator's or admin's key for `--url`
    #[arg(long, env = "MUSTER_BENCH_KEY", hide_env_values = true, value_name = "KEY")]
    pub key: Option<SecretString>,
    /// Be the dummy with which `fairness` compares the service
    #[arg(long, hide = true)]
    pub dummy: bool,
    /// Write the report to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The form of the report on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

impl BenchSettings {
    /// Whether the scenario is to be measured.
    pub fn wants(&self, scenario: Scenario) -> bool {
        self.scenarios.is_empty() || self.scenarios.contains(&scenario)
    }

    /// Numbers of lessons in `retrieval`.
    pub fn lesson_counts(&self) -> &[u32] {
        match (self.lessons.as_slice(), &self.corpus) {
            ([], None) => &[11_000, 100_000],
            (given, _) => given,
        }
    }

    /// The counted length of a round.
    pub fn round(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The uncounted beginning of a round, in which connections and batches fill.
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
    fn no_name_means_all_scenarios() {
        let settings = parse(&[]).unwrap();
        assert!(Scenario::value_variants().iter().all(|scenario| settings.wants(*scenario)));
        assert_eq!(settings.growth_sizes, [10_000, 100_000, 1_000_000]);
        let some = parse(&["cycle", "reference", "--growth-sizes", "2000,3000"]).unwrap();
        assert!(some.wants(Scenario::Reference) && !some.wants(Scenario::Idle));
        assert_eq!(some.growth_sizes, [2000, 3000]);
    }

    #[test]
    fn senseless_values_are_refused() {
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
