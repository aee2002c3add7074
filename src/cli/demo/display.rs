//! What is seen while it runs.
//!
//! On a terminal: a line per agent, the log of what happens above them, a bar for all of it below.
//! Anywhere else, in a pipe or in CI: only the log, a line each.

use std::{
    fmt::Arguments,
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Everything that is seen.
#[derive(Debug)]
pub(super) struct Display {
    began: Instant,
    /// None when nobody would see bars move.
    bars: Option<MultiProgress>,
    overall: ProgressBar,
    width: usize,
}

/// The line of one agent.
#[derive(Debug, Clone)]
pub(super) struct Seat {
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

    /// A line for each of the agents, and one for everything.
    pub(super) fn seats(&mut self, names: &[&'static str]) -> Vec<Seat> {
        self.width = names.iter().map(|name| name.len()).max().unwrap_or_default();
        let seats = names.iter().map(|name| Seat { bar: self.seat(name) });
        let seats = seats.collect();
        if let Some(bars) = &self.bars {
            let style = style("{prefix:.bold} {bar:30.green/dim} {pos}/{len} tasks  {msg}");
            self.overall = bars.add(ProgressBar::new(0).with_style(style));
            self.overall.set_prefix(format!("{:1$}", "goal", self.width));
        }
        seats
    }

    fn seat(&self, name: &'static str) -> ProgressBar {
        let Some(bars) = &self.bars else { return ProgressBar::hidden() };
        let style = style("{prefix:.cyan} {bar:12.blue/dim} {wide_msg}");
        let bar = bars.add(ProgressBar::new(100).with_style(style));
        bar.set_prefix(format!("{name:0$}", self.width));
        bar
    }

    /// How far everything is.
    pub(super) fn overall(&self, done: i32, total: i32, spend: &str) {
        self.overall.set_length(u64::try_from(total).unwrap_or_default());
        self.overall.set_position(u64::try_from(done).unwrap_or_default());
        self.overall.set_message(format!("{spend}  {:.0} s", self.began.elapsed().as_secs_f64()));
    }

    /// Something that happened to a task.
    pub(super) fn note(&self, who: &str, task: &str, what: &str) {
        let (seconds, width) = (self.began.elapsed().as_secs_f64(), self.width.max(8));
        self.say(format_args!("{seconds:6.1} s  {who:width$}  {task:5} {what}"));
    }

    /// A line of text.
    pub(super) fn say(&self, line: Arguments<'_>) {
        // A reader that went away is no reason to stop.
        match &self.bars {
            Some(bars) => drop(bars.println(line.to_string())),
            None => drop(writeln!(std::io::stdout().lock(), "{line}")),
        }
    }

    /// Takes the bars away.
    pub(super) fn clear(&self) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
    }
}

impl Seat {
    /// Nothing to do.
    pub(super) fn idle(&self, why: &str) {
        self.bar.set_position(0);
        self.bar.set_message(why.to_owned());
    }

    /// A task is worked on.
    pub(super) fn working(&self, task: &str, title: &str, percent: u8, doing: &str) {
        let title: String = title.chars().take(40).collect();
        self.bar.set_position(u64::from(percent));
        self.bar.set_message(format!("{task:5} {title:40}  {doing}"));
    }

    /// Nothing will come any more.
    pub(super) fn dead(&self, why: &str) {
        self.bar.set_message(format!("\u{2020} {why}"));
        self.bar.abandon();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are tested; without one the default is shown.
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")
}
