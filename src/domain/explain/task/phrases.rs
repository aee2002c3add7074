//! Numbers and names in sentences.

/// `1 task`, `12 tasks`.
pub(super) fn many(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

pub(super) fn names<'a>(agents: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = agents.take(3).map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
