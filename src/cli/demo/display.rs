//! The display of the running demo.
//!
//! On a terminal: a log of events, below it a line per agent and a bar for the goal. In a pipe or in
//! CI: only the log.

use std::{
    fmt::Arguments,
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The log and the bars.
#[derive(Debug)]
pub(super) struct Display {
    began: Instant,
    /// None if standard output is no terminal.
    bars: Option<MultiProgress>,
    overall: ProgressBar,
    width: usize,
}

/// The line of one agent.
#[derive(Debug, Clone)]
pub(super) struct Line {
    bar: ProgressBar,
}

impl Display {
    /// Bars when standard output is a terminal.
    pub(super) fn new() -> Self {
        let bars = std::io::stdout()
            .is_terminal()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));
        Self { began: Instant::now(), bars, overall: ProgressBar::hidden(), width: 0 }
    }

    /// Adds a line for each agent, and one for the goal.
    pub(super) fn lines(&mut self, names: &[&'static str]) -> Vec<Line> {
        self.width = names.iter().map(|name| name.len()).max().unwrap_or_default();
        let lines = names.iter().map(|name| Line { bar: self.line(name) }).collect();
        if let Some(bars) = &self.bars {
            let style = style("{prefix:.bold} {bar:30.green/dim} {pos}/{len} tasks  {msg}");
            self.overall = bars.add(ProgressBar::new(0).with_style(style));
            self.overall.set_prefix(format!("{:1$}", "goal", self.width));
        }
        lines
    }

    fn line(&self, name: &'static str) -> ProgressBar {
        let Some(bars) = &self.bars else { return ProgressBar::hidden() };
        let style = style("{prefix:.cyan} {bar:12.blue/dim} {wide_msg}");
        let bar = bars.add(ProgressBar::new(100).with_style(style));
        bar.set_prefix(format!("{name:0$}", self.width));
        bar
    }

    /// Shows the progress of the goal.
    pub(super) fn overall(&self, done: i32, total: i32, spend: &str) {
        self.overall.set_length(u64::try_from(total).unwrap_or_default());
        self.overall.set_position(u64::try_from(done).unwrap_or_default());
        self.overall.set_message(format!("{spend}  {:.0} s", self.began.elapsed().as_secs_f64()));
    }

    /// Prints an event of a task.
    pub(super) fn note(&self, who: &str, task: &str, what: &str) {
        let (seconds, width) = (self.began.elapsed().as_secs_f64(), self.width.max(8));
        self.say(format_args!("{seconds:6.1} s  {who:width$}  {task:5} {what}"));
    }

    /// Prints a line of text.
    pub(super) fn say(&self, line: Arguments<'_>) {
        // The demo runs on without a reader.
        match &self.bars {
            Some(bars) => drop(bars.println(line.to_string())),
            None => drop(writeln!(std::io::stdout().lock(), "{line}")),
        }
    }

    /// Removes the bars.
    pub(super) fn clear(&self) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
    }
}

impl Line {
    /// Shows an agent without a task.
    pub(super) fn idle(&self, why: &str) {
        self.bar.set_position(0);
        self.bar.set_message(why.to_owned());
    }

    /// Shows the progress of a task.
    pub(super) fn working(&self, task: &str, title: &str, percent: u8, doing: &str) {
        let title: String = title.chars().take(40).collect();
        self.bar.set_position(u64::from(percent));
        self.bar.set_message(format!("{task:5} {title:40}  {doing}"));
    }

    /// Shows a dead agent.
    pub(super) fn dead(&self, why: &str) {
        self.bar.set_message(format!("\u{2020} {why}"));
        self.bar.abandon();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; an invalid one would show the default.
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")
}
