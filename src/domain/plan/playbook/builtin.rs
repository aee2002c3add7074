//! The playbooks that the service has, as YAML files in its source.

use std::sync::LazyLock;

use super::{Playbook, Text, document};

/// A built-in playbook.
#[derive(Debug)]
pub struct BuiltIn {
    /// Its text.
    pub text: Text,
    /// The playbook.
    pub playbook: Playbook,
}

const SOURCES: [&str; 3] = [
    include_str!("builtin/fix-a-bug.yaml"),
    include_str!("builtin/research-a-question.yaml"),
    include_str!("builtin/ship-a-feature.yaml"),
];

/// A file that cannot be read is left out; a test holds that there is none.
static ALL: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| {
    let read = |source: &&str| {
        let text = Text::of_source(source).ok()?;
        let playbook = document::parse(&text.document).ok()?;
        Some(BuiltIn { text, playbook })
    };
    SOURCES.iter().filter_map(read).collect()
});

/// All of them, by name.
#[must_use]
pub fn all() -> &'static [BuiltIn] {
    &ALL
}

/// The one of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|built_in| built_in.playbook.name == name)
}
