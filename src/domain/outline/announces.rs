//! What the title of a section announces.
//!
//! Every item below a heading asks, so each title is judged once: a brief may be one long heading above ten
//! thousand items, or one above ten thousand headings.

use super::sayings::{self, Unit};
use super::title;
use super::words::{self, LabelWord};

/// What a title announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announced {
    /// The criteria label that it is.
    pub criteria: Option<LabelWord>,
    /// Tasks or steps.
    pub tasks: bool,
    /// Work: tasks, a phase, or a title with an id.
    pub work: bool,
    /// A plan in the list right below it.
    pub plan: bool,
    /// Remarks about tasks.
    pub about_tasks: bool,
    /// Anything but tasks.
    pub other_things: bool,
    /// What comes after the plan.
    pub later: bool,
    /// A phase or unit of work with its number.
    pub part: Option<(&'static str, u32)>,
    /// The stories and phases that it names.
    pub units: Vec<Unit>,
    /// Whether a story is among them.
    pub story: bool,
    /// The title in lower case.
    pub lower: String,
}

impl Announced {
    pub(super) fn by(title: &str) -> Self {
        let tasks = words::announces_tasks(title);
        let units = sayings::units_of_title(title);
        Self {
            criteria: words::criteria_heading(title),
            tasks,
            work: tasks || words::phase(title).is_some() || title::parse(title).id.is_some(),
            plan: words::announces_plan(title),
            about_tasks: words::is_about_tasks(title),
            other_things: words::is_about_other_things(title),
            later: words::is_later(title),
            part: words::part(title).map(|(part, _)| part),
            story: units.iter().any(|unit| matches!(unit, Unit::Story(_))),
            units,
            lower: title.to_lowercase(),
        }
    }
}
