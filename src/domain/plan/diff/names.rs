//! The names of the tasks of a new plan in its goal.

use std::collections::HashSet;

use super::{Present, Wanted};
use crate::domain::settings;

/// The name of each task of the new plan: that of the task that it is, else its own ref if no task of the goal has
/// it, else the first free one behind that.
pub(super) fn names(
    present: &[Present],
    wanted: &[Wanted],
    pairs: &[Option<usize>],
) -> Vec<String> {
    let mut taken: HashSet<String> = present.iter().map(|task| task.spec.r#ref.clone()).collect();
    let free: HashSet<&str> = wanted
        .iter()
        .zip(pairs)
        .filter(|(wanted, pair)| pair.is_none() && !taken.contains(&wanted.spec.r#ref))
        .map(|(wanted, _)| wanted.spec.r#ref.as_str())
        .collect();
    taken.extend(free.iter().map(|name| (*name).to_owned()));
    let mut next = std::collections::HashMap::new();
    let names = wanted.iter().zip(pairs).map(|(wanted, pair)| {
        let own = wanted.spec.r#ref.as_str();
        match pair {
            Some(at) => present[*at].spec.r#ref.clone(),
            None if free.contains(own) => own.to_owned(),
            None => {
                let stem: String = own.chars().take(settings::REF_CHARS - 8).collect();
                let count = next.entry(stem.clone()).or_insert(2u32);
                loop {
                    let name = format!("{stem}-{count}");
                    *count += 1;
                    if taken.insert(name.clone()) {
                        return name;
                    }
                }
            }
        }
    });
    names.collect()
}
