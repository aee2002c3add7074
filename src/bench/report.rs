//! What was measured: as JSON for programs, as tables for people.
//!
//! The JSON holds every figure; the tables hold what is looked at, and end with the results, which
//! are plain figures. Whether they are good enough is for the reader to say.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::{
    budget::BudgetReport,
    cycle::CycleReport,
    growth::GrowthReport,
    heartbeat::HeartbeatReport,
    idle::IdleReport,
    machine::Machine,
    reference::ReferenceReport,
    settings::BenchSettings,
    statistics::{Spread, Summary},
    sustain::SustainReport,
};

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// On what.
    pub machine: Machine,
    /// How.
    pub settings: Used,
    /// `cycle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle: Option<CycleReport>,
    /// `reference`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<ReferenceReport>,
    /// `idle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleReport>,
    /// `budget`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetReport>,
    /// `heartbeat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatReport>,
    /// `growth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<GrowthReport>,
    /// `sustain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sustain: Option<SustainReport>,
    /// What it comes to.
    pub results: Vec<Finding>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
}

/// The settings that decide what the figures mean.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Used {
    /// Seconds of a round.
    pub seconds: u64,
    /// Rounds.
    pub rounds: u32,
    /// Connections of `cycle`.
    pub connections: u16,
    /// Percent of the throughput at which latency was measured open loop.
    pub open_loop_percent: u32,
    /// Whether claims were made with `Idempotency-Key`.
    pub claims_with_key: bool,
}

/// One result.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What it is, for programs.
    pub name: String,
    /// What it is, for people.
    pub what: String,
    /// The figure; the median, if there were rounds; null: it was not reached in this run.
    pub value: Option<f64>,
    /// Its unit; empty for a ratio.
    pub unit: &'static str,
    /// The smallest of the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest of the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Finding {
    /// A single figure.
    #[must_use]
    pub fn one(name: &str, what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let (name, what) = (name.to_owned(), what.into());
        Self { name, what, value: Some(value), unit, min: None, max: None }
    }

    /// Something that was waited for and did not happen.
    #[must_use]
    pub fn never(name: &str, what: impl Into<String>, unit: &'static str) -> Self {
        Self { value: None, ..Self::one(name, what, 0.0, unit) }
    }

    /// The median of rounds, with how far they are apart.
    #[must_use]
    pub fn spread(name: &str, what: impl Into<String>, of: &Spread, unit: &'static str) -> Self {
        let one = Self::one(name, what, of.median, unit);
        Self { min: Some(of.min), max: Some(of.max), ..one }
    }

    fn line(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let Some(value) = self.value else { return format!("{}: not in this run", self.what) };
        let mut line = format!("{}: {}{unit}", self.what, figure(value));
        if let (Some(min), Some(max)) = (self.min, self.max) {
            let _ = write!(line, " ({} to {})", figure(min), figure(max));
        }
        line
    }
}

/// One table of the report.
#[derive(Debug, Clone, Default)]
pub struct Grid {
    /// What it shows.
    pub title: String,
    /// The names of its columns.
    pub header: Vec<&'static str>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

impl Grid {
    fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.header).add_rows(&self.rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!("{}\n{}\n", self.title, table.trim_fmt())
    }
}

impl Report {
    /// Nothing measured yet.
    #[must_use]
    pub fn new(settings: &BenchSettings) -> Self {
        let used = Used {
            seconds: settings.seconds,
            rounds: settings.rounds,
            connections: settings.connections,
            open_loop_percent: settings.open_loop_percent,
            claims_with_key: !settings.plain_claims,
        };
        Self {
            machine: Machine::new(),
            settings: used,
            cycle: None,
            reference: None,
            idle: None,
            budget: None,
            heartbeat: None,
            growth: None,
            sustain: None,
            results: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.head();
        let grids = [
            self.cycle.as_ref().map(CycleReport::grids),
            self.reference.as_ref().map(ReferenceReport::grids),
            self.idle.as_ref().map(IdleReport::grids),
            self.heartbeat.as_ref().map(HeartbeatReport::grids),
            self.budget.as_ref().map(BudgetReport::grids),
            self.growth.as_ref().map(GrowthReport::grids),
            self.sustain.as_ref().map(SustainReport::grids),
        ];
        for grid in grids.into_iter().flatten().flatten() {
            let _ = write!(text, "\n{}", grid.text());
        }
        if !self.results.is_empty() {
            text.push_str("\nResults (median, and smallest to largest of the rounds)\n");
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

/// A figure in as many digits as mean something.
#[must_use]
pub fn figure(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1000.0 {
        grouped(value)
    } else if magnitude >= 100.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Median, smallest and largest.
#[must_use]
pub fn spread_cells(spread: &Spread) -> [String; 3] {
    [figure(spread.median), figure(spread.min), figure(spread.max)]
}

/// Count, p50, p90, p99 and the longest.
#[must_use]
pub fn latency_cells(summary: &Summary) -> [String; 5] {
    [
        summary.count.to_string(),
        figure(summary.p50_ms),
        figure(summary.p90_ms),
        figure(summary.p99_ms),
        figure(summary.max_ms),
    ]
}

/// The header that belongs to [`latency_cells`].
pub const LATENCY_HEADER: [&str; 6] = ["latency in ms", "count", "p50", "p90", "p99", "max"];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        settings: BenchSettings,
    }

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        for (value, text) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.0, "1,234"),
            (1_234_567.8, "1,234,568"),
            (-2000.0, "-2,000"),
        ] {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn the_report_says_what_was_found_and_what_was_not() {
        let ratio = Spread::of(vec![2.0, 2.5, 3.0]);
        let settings = Program::parse_from(["bench"]).settings;
        let report = Report {
            machine: Machine { optimised: false, ..Machine::new() },
            results: vec![
                Finding::spread("ratio", "cycle over reference", &ratio, ""),
                Finding::one("wal", "WAL per task", 2048.0, "bytes"),
                Finding::never("recovery", "recovered after", "s"),
            ],
            skipped: vec!["growth: it needs services of its own".into()],
            ..Report::new(&settings)
        };
        let text = report.text();
        for part in [
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
        assert!(json.get("cycle").is_none());
    }

    #[test]
    fn a_table_has_its_title_and_rows() {
        let grid = Grid {
            title: "Cycles".into(),
            header: vec!["what", "median"],
            rows: vec![vec!["cycle".into(), "12".into()]],
        };
        let text = grid.text();
        assert!(text.starts_with("Cycles\n") && text.contains("median"), "{text}");
        assert!(text.contains("cycle") && text.contains("12"), "{text}");
    }
}
