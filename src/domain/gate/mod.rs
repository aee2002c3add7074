//! Gates: what bounds which tasks run at the same time.
//!
//! A task names concurrency keys, of which at most so many attempts hold a grant at once, and touches
//! resources, which an attempt holds alone or shares. [`resource`] says when two resources conflict;
//! [`ledger`] says whether a task may start beside what is held.

pub mod ledger;
pub mod resource;

use super::{check::Checks, settings};

/// Checks the name of a concurrency key.
pub fn check_name(checks: &mut Checks, at: &str, name: &str) {
    checks.line(at, name, settings::CONCURRENCY_KEY_CHARS);
    let plain = name.trim() == name && !name.chars().any(char::is_control);
    checks.ensure(plain, at, "must not begin or end with a space, nor have control characters");
}

/// Checks the names of the concurrency keys of a task.
pub fn check_names(checks: &mut Checks, at: &str, names: &[String]) {
    checks.count(at, names.len(), settings::TASK_CONCURRENCY_KEYS);
    let mut seen = std::collections::BTreeSet::new();
    for (index, name) in names.iter().enumerate().take(settings::TASK_CONCURRENCY_KEYS) {
        let at = format!("{at}/{index}");
        check_name(checks, &at, name);
        checks.ensure(seen.insert(name), &at, "is listed twice");
    }
}
