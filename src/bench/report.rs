//! The report: JSON for programs, tables for people.
//!
//! The JSON holds every figure. The tables hold the important ones and end with the results. Whether
//! a result is good enough is for the reader to judge.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;
use serde_json::Value;

use super::{
    error::Result,
    machine::Machine,
    settings::{BenchSettings, Scenario},
    table::{Finding, Grid},
};

/// The figures of one scenario.
pub trait Figures: Serialize {
    /// The tables that show them.
    fn grids(&self) -> Vec<Grid>;

    /// The results that follow from them.
    fn results(&self) -> Vec<Finding>;
}

/// All figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The machine and the programs measured on it.
    pub machine: Machine,
    /// The settings that decide the meaning of the figures.
    pub settings: Used,
    /// The figures of each measured scenario, under its name.
    #[serde(flatten)]
    pub figures: BTreeMap<Scenario, Value>,
    /// The results of all scenarios.
    pub results: Vec<Finding>,
    /// The scenarios left out, with the reason.
    pub skipped: Vec<String>,
    #[serde(skip)]
    grids: Vec<Grid>,
}

/// The settings that decide the meaning of the figures.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Used {
    /// Seconds of a round.
    pub seconds: u64,
    /// Number of rounds.
    pub rounds: u32,
    /// Connections of `cycle`.
    pub connections: u16,
    /// Rate of the open loop, in percent of the measured throughput.
    pub open_loop_percent: u32,
    /// Whether claims carried an `Idempotency-Key`.
    pub claims_with_key: bool,
}

impl Report {
    /// An empty report.
    pub fn new(settings: &BenchSettings) -> Self {
        let used = Used {
            seconds: settings.seconds,
            rounds: settings.rounds,
            connections: settings.connections,
            open_loop_percent: settings.open_loop_percent,
            claims_with_key: !settings.plain_claims,
        };
        Self {
            machine: Machine::default(),
            settings: used,
            figures: BTreeMap::new(),
            results: Vec::new(),
            skipped: Vec::new(),
            grids: Vec::new(),
        }
    }

    /// Adds the figures of a scenario.
    pub fn add(&mut self, scenario: Scenario, figures: &impl Figures) -> Result<()> {
        self.figures.insert(scenario, serde_json::to_value(figures)?);
        self.grids.extend(figures.grids());
        self.results.extend(figures.results());
        Ok(())
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = self.head();
        for grid in &self.grids {
            let _ = write!(text, "\n{}", grid.text());
        }
        if !self.results.is_empty() {
            text.push_str("\nResults (median, smallest and largest of the rounds)\n");
        }
        for finding in &self.results {
            let _ = writeln!(text, " {}", finding.line());
        }
        for line in &self.skipped {
            let _ = writeln!(text, "left out: {line}");
        }
        for warning in self.machine.warnings() {
            let _ = writeln!(text, "WARNING: {warning}");
        }
        text
    }

    fn head(&self) -> String {
        let Machine { processors, muster, postgres, .. } = &self.machine;
        let Used { seconds, rounds, connections, .. } = self.settings;
        let postgres = postgres.as_deref().unwrap_or("unknown");
        let keys = if self.settings.claims_with_key { "with" } else { "without" };
        format!(
            "muster {muster}, PostgreSQL {postgres}, {processors} processors shared with this \
             load generator\n{rounds} rounds of {seconds} s, {connections} connections, claims \
             {keys} Idempotency-Key\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::bench::statistics::Spread;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        settings: BenchSettings,
    }

    #[derive(Serialize)]
    struct Ratio {
        median: f64,
    }

    impl Figures for Ratio {
        fn grids(&self) -> Vec<Grid> {
            vec![Grid::new("Ratios", ["ratio"], [vec![self.median.to_string()]])]
        }

        fn results(&self) -> Vec<Finding> {
            let ratio = Spread::of(vec![2.0, self.median, 3.0]);
            vec![
                Finding::spread("ratio", "cycle over reference", &ratio, ""),
                Finding::one("wal", "WAL per task", 2048.0, "bytes"),
                Finding::never("recovery", "recovered after", "s"),
            ]
        }
    }

    #[test]
    fn the_report_has_what_was_found_and_what_was_not() {
        let mut report = Report::new(&Program::parse_from(["bench"]).settings);
        report.machine.optimised = false;
        report.skipped.push("growth: it needs services of its own".into());
        report.add(Scenario::Reference, &Ratio { median: 2.5 }).unwrap();
        let text = report.text();
        for part in [
            "Ratios\n",
            "cycle over reference: 2.50 (2.00 to 3.00)",
            "WAL per task: 2,048 bytes\n",
            "recovered after: not in this run\n",
            "left out: growth",
            "WITHOUT OPTIMISATION",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["results"][0]["value"], 2.5);
        assert_eq!(json["reference"]["median"], 2.5);
        assert!(json.get("cycle").is_none());
    }
}
