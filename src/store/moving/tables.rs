//! Which tables of the catalogue move with their workspace.
//!
//! All but those that [`STAYING`] names, each for a reason. In the catalogue a table comes before those
//! that it refers to, so rows are stored in the reverse order.

use crate::store::tables::TABLES;

/// A table whose rows stay on their server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staying {
    /// Name of the table.
    pub name: &'static str,
    /// The reason.
    pub why: &'static str,
}

const fn stays(name: &'static str, why: &'static str) -> Staying {
    Staying { name, why }
}

/// The tables that do not move.
///
/// What moves has no readable secret. Keys, links, leases and stored answers move as they are stored:
/// SHA-256 of random bits (no guess finds them), and answers that only the caller's own key opens.
/// Without them every agent would have to register again, running attempts would be lost, and a
/// request repeated after the move would have a second effect.
pub const STAYING: &[Staying] = &[
    stays(
        "sessions",
        "a sign-in belongs to a browser and the address of its server: people sign in again",
    ),
    stays("artifact_uploads", "the bytes that it names are in the store of one server"),
    stays("secrets", "secrets of others are never exported: set them again on the new server"),
    stays(
        "supervisor_duties",
        "the runs of the supervisor of one server are no data of a workspace",
    ),
];

/// Names of the tables that move, in the order of an import.
pub fn moved() -> impl Iterator<Item = &'static str> {
    let stays = |name: &str| STAYING.iter().any(|staying| staying.name == name);
    TABLES.iter().rev().map(|table| table.name).filter(move |name| !stays(name))
}
