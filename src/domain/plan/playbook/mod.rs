//! Playbooks: stored templates of plans, with typed variables.
//!
//! A playbook is a document in YAML or JSON. Its `tasks` are those of a plan, and any text in them may be a
//! template (`minijinja`): `for_each` makes a task per item of a list, `when` leaves one out, and `use` puts the
//! tasks of another playbook in its place. [`expand`] makes a plan of it that is checked like any other.
//!
//! **Strict.** An unknown field, variable, filter, test or function is an error with its place, found when the
//! document is stored and not when somebody needs it: [`check`] reads the syntax tree of every template, and
//! expands the document with sample values.
//!
//! **Bounded.** The size of the document, the work of all its templates together, the number of tasks and
//! dependencies, and the depth of nesting have limits; a playbook that nests itself is refused. So any
//! document ends soon, whoever wrote it.
//!
//! **One text, one plan.** Nothing is read but the document, the playbooks it uses and the values given, so the
//! same version with the same values always gives the same plan.

pub mod builtin;
pub mod document;
pub mod expand;
pub mod fault;
pub mod language;
pub mod render;
pub mod shelf;
#[cfg(test)]
mod tests;
pub mod variable;
pub mod yaml;

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{PlanContext, check_plan};
use crate::domain::{refusal::FieldError, settings};
use expand::{Expansion, Given, expand};
use fault::{Fault, Subject};
use shelf::Shelf;
use variable::Variable;

/// A playbook, read from its document.
#[derive(Debug, Clone, PartialEq)]
pub struct Playbook {
    /// Its name, unique in the workspace.
    pub name: String,
    /// What it is for, in one line.
    pub title: String,
    /// How and when to use it, in Markdown.
    pub description: String,
    /// Its variables, by name.
    pub variables: Vec<(String, Variable)>,
    /// Its tasks, and the playbooks it uses, in their order.
    pub entries: Vec<Entry>,
    /// Conditions of success of the goal as a whole.
    pub criteria: Vec<Criterion>,
}

/// One entry of the list of tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// JSON Pointer of the entry.
    pub at: String,
    /// How often it is there.
    pub repeat: Repeat,
    /// The name of everything that comes of it, for `needs`.
    pub block: Option<String>,
    /// What it is.
    pub what: What,
}

/// How often something is there: once, unless it says otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Repeat {
    /// Once per item: the name of the item, and the list or the template of one.
    pub each: Option<(String, Value)>,
    /// Only if this expression is true.
    pub when: Option<String>,
}

/// A task, or another playbook.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A task.
    Task(Task),
    /// The tasks of another playbook.
    Use(Use),
}

/// A task with templates.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its fields but the criteria.
    pub fields: Map<String, Value>,
    /// Its conditions of success.
    pub criteria: Vec<Criterion>,
}

/// The use of another playbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Use {
    /// The ref of the whole, a template; its tasks have it before their own, with a `/` between.
    pub prefix: String,
    /// Name of the playbook.
    pub name: String,
    /// Its version; `None`: the latest.
    pub version: Option<i32>,
    /// Values of its variables, with templates.
    pub with: Map<String, Value>,
    /// What its first tasks need.
    pub needs: Option<Value>,
    /// The container of its outermost tasks.
    pub parent: Option<Value>,
}

/// A condition of success with templates.
#[derive(Debug, Clone, PartialEq)]
pub struct Criterion {
    /// JSON Pointer of the condition.
    pub at: String,
    /// How often it is there.
    pub repeat: Repeat,
    /// The condition.
    pub text: String,
    /// Whether it is required.
    pub required: Value,
}

/// The playbook that makes the plan of a goal, with values for its variables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaybookUse {
    /// Name of the playbook, as `GET /v1/playbooks` lists it.
    #[schema(example = "fix-a-bug", min_length = 1, max_length = 100)]
    pub name: String,
    /// Its version; default: the latest. 0 is the built-in text of the service.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub version: Option<i32>,
    /// Values of its variables, by name.
    #[serde(default)]
    #[schema(example = json!({"capability": "rust"}))]
    pub variables: BTreeMap<String, Value>,
}

/// The text of a playbook: its document and, for YAML, the source that people wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// The document.
    pub document: Value,
    /// The source; `None`: the document was given as JSON.
    pub source: Option<String>,
}

impl Text {
    /// Of a source in YAML or JSON.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_source(source: &str) -> Result<Self, Vec<Fault>> {
        let mut faults = fault::Faults::default();
        if source.len() > settings::PLAYBOOK_BYTES {
            faults.add("", "is longer than 256 KiB");
            return Err(faults.into_list());
        }
        match yaml::read(source) {
            Ok(document) => Ok(Self { document, source: Some(source.to_owned()) }),
            Err(unreadable) => {
                faults.add("", format!("is not YAML that can be read: {unreadable}"));
                Err(faults.into_list())
            }
        }
    }

    /// Of a document in JSON.
    ///
    /// # Errors
    /// When it is too long.
    pub fn of_document(document: Value) -> Result<Self, Vec<Fault>> {
        let mut faults = fault::Faults::default();
        if document.to_string().len() > settings::PLAYBOOK_BYTES {
            faults.add("", "is longer than 256 KiB");
        }
        faults.or(Self { document, source: None })
    }

    /// Faults as errors of the request, those of a source with their lines and columns. `at`: where the request
    /// has the text.
    #[must_use]
    pub fn errors(&self, at: &str, faults: &[Fault]) -> Vec<FieldError> {
        let places = match &self.source {
            Some(source) => yaml::places(source, faults.iter().map(|fault| fault.pointer.as_str())),
            None => vec![None; faults.len()],
        };
        let error = |(fault, place): (&Fault, Option<yaml::Place>)| {
            let detail = match place {
                Some(place) => format!("{place}: {}", fault.detail),
                None => fault.detail.clone(),
            };
            FieldError::new(format!("{at}{}", fault.pointer), detail)
        };
        faults.iter().zip(places).map(error).collect()
    }
}

impl Playbook {
    /// The playbooks that it uses, each once.
    #[must_use]
    pub fn uses(&self) -> Vec<(String, Option<i32>)> {
        let mut seen = HashSet::new();
        let used = self.entries.iter().filter_map(|entry| match &entry.what {
            What::Use(used) => Some((used.name.clone(), used.version)),
            What::Task(_) => None,
        });
        used.filter(|used| seen.insert(used.clone())).collect()
    }

    /// Values for all variables, made of their types and defaults.
    #[must_use]
    pub fn sample(&self) -> BTreeMap<String, Value> {
        self.variables.iter().map(|(name, variable)| (name.clone(), variable.sample())).collect()
    }
}

/// Checks a playbook as it is stored: it is expanded with sample values, and the plan is checked.
///
/// # Errors
/// Every fault found, with its place in the document.
pub fn check(playbook: &Playbook, shelf: &Shelf) -> Result<(), Vec<Fault>> {
    let given = Given { title: "Sample title", brief: "Sample brief." };
    let declared = |fault: Fault| match fault.of {
        Subject::Document => fault,
        Subject::Variables => Fault {
            of: Subject::Document,
            pointer: format!("/variables{}", fault.pointer),
            detail: format!("no value to check the playbook with: it {}", fault.detail),
        },
    };
    let expanded = expand(playbook, &playbook.sample(), given, shelf);
    let expansion =
        expanded.map_err(|faults| faults.into_iter().map(declared).collect::<Vec<Fault>>())?;
    check_expansion(&expansion)
}

/// Checks the plan that a playbook gives.
///
/// # Errors
/// Every fault found, with its place in the document.
pub fn check_expansion(expansion: &Expansion) -> Result<(), Vec<Fault>> {
    let context =
        PlanContext { at: "/tasks", taken: &std::collections::HashSet::new(), around: None };
    check_plan(&expansion.tasks, context).map_err(|refusal| {
        let mut faults = fault::Faults::default();
        for error in &refusal.errors {
            faults.add(expansion.place(&error.pointer), &error.detail);
        }
        if faults.is_empty() {
            faults.add("/tasks", &refusal.detail);
        }
        faults.into_list()
    })
}
