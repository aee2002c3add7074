//! What playbooks promise.

mod builtins;
mod expanding;
mod hostile;
mod reading;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Playbook, Text,
    document::parse,
    expand::{Expansion, Given, expand},
    fault::Fault,
    shelf::Shelf,
};

/// The playbook of a source.
fn playbook(source: &str) -> Playbook {
    parse(&Text::of_source(source).unwrap().document).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// The places and details of what is wrong with a source.
fn faults(source: &str) -> Vec<(String, String)> {
    let faults = match Text::of_source(source) {
        Ok(text) => match parse(&text.document) {
            Ok(playbook) => super::check(&playbook, &Shelf::default()).expect_err("no fault"),
            Err(faults) => faults,
        },
        Err(faults) => faults,
    };
    faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
}

fn values(values: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(values).unwrap()
}

fn expanded(playbook: &Playbook, given: Value, shelf: &Shelf) -> Result<Expansion, Vec<Fault>> {
    let goal = Given { title: "A title", brief: "A brief." };
    expand(playbook, &values(given), goal, shelf)
}

/// The tasks as lines: ref, what it needs, what it is in.
fn lines(expansion: &Expansion) -> Vec<String> {
    let line = |task: &crate::domain::plan::TaskSpec| {
        let parent =
            task.parent.as_deref().map_or_else(String::new, |parent| format!(" in {parent}"));
        format!("{} <- {}", task.r#ref, task.needs.join(" ")).trim_end().to_owned() + &parent
    };
    expansion.tasks.iter().map(line).collect()
}
