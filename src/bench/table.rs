//! Figures and tables for people.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::statistics::{Spread, Summary};

/// The header of rows made by [`spread_row`].
pub const SPREAD_HEADER: [&str; 4] = ["", "median", "min", "max"];
/// The header of rows made by [`latency_row`].
pub const LATENCY_HEADER: [&str; 6] = ["latency in ms", "count", "p50", "p90", "p99", "max"];

/// One result of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Stable name, for programs.
    pub name: String,
    /// Description, for people.
    pub what: String,
    /// The figure, or the median of the rounds; `null`: not reached in this run.
    pub value: Option<f64>,
    /// Unit of the figure; empty for a ratio.
    pub unit: &'static str,
    /// Smallest of the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest of the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Finding {
    /// A single figure.
    pub fn one(name: &str, what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let (name, what) = (name.to_owned(), what.into());
        Self { name, what, value: Some(value), unit, min: None, max: None }
    }

    /// An event that did not happen before the end of the run.
    pub fn never(name: &str, what: impl Into<String>, unit: &'static str) -> Self {
        Self { value: None, ..Self::one(name, what, 0.0, unit) }
    }

    /// The median of rounds, with their smallest and largest.
    pub fn spread(name: &str, what: impl Into<String>, of: &Spread, unit: &'static str) -> Self {
        let one = Self::one(name, what, of.median, unit);
        Self { min: Some(of.min), max: Some(of.max), ..one }
    }

    /// As a line of text.
    pub fn line(&self) -> String {
        let Some(value) = self.value else { return format!("{}: not in this run", self.what) };
        let mut line = format!("{}: {} {}", self.what, figure(value), self.unit);
        line.truncate(line.trim_end().len());
        if let (Some(min), Some(max)) = (self.min, self.max) {
            let _ = write!(line, " ({} to {})", figure(min), figure(max));
        }
        line
    }
}

/// One table of the report.
#[derive(Debug, Clone)]
pub struct Grid {
    title: String,
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// A table with a title and the names of its columns.
    pub fn new<const N: usize>(
        title: impl Into<String>,
        header: [&'static str; N],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Self {
        Self { title: title.into(), header: header.to_vec(), rows: rows.into_iter().collect() }
    }

    /// As text: the first column flush left, figures flush right.
    pub fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.header).add_rows(&self.rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!("{}\n{}\n", self.title, table.trim_fmt())
    }
}

/// A figure with its significant digits.
pub fn figure(value: f64) -> String {
    match value.abs() {
        1000.0.. => grouped(value),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
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

/// A name with median, smallest and largest.
pub fn spread_row(name: impl Into<String>, spread: &Spread) -> Vec<String> {
    vec![name.into(), figure(spread.median), figure(spread.min), figure(spread.max)]
}

/// A name with count, p50, p90, p99 and longest latency.
pub fn latency_row(name: impl Into<String>, summary: &Summary) -> Vec<String> {
    let Summary { count, p50_ms, p90_ms, p99_ms, max_ms, .. } = *summary;
    let latencies = [p50_ms, p90_ms, p99_ms, max_ms].map(figure);
    [name.into(), count.to_string()].into_iter().chain(latencies).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_their_significant_digits() {
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
    fn a_table_has_its_title_and_rows() {
        let grid = Grid::new("Cycles", ["what", "median"], [vec!["cycle".into(), "12".into()]]);
        let text = grid.text();
        assert!(text.starts_with("Cycles\n") && text.contains("median"), "{text}");
        assert!(text.contains("cycle") && text.contains("12"), "{text}");
    }
}
