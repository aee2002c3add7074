//! The risk of a decision.
//!
//! A file of its own, because both plans and approvals name it.

use super::words::words;

words! {
    /// The harm that a wrong decision could do: as the asker estimates it, and at least the floor that the
    /// task or a rule sets. `low`: easily undone; `medium` (the default); `high`: hard to undo, or visible
    /// outside; `critical`: cannot be undone.
    pub enum Risk {
        /// Easily undone.
        Low => "low",
        /// The default.
        Medium => "medium",
        /// Hard to undo, or visible outside.
        High => "high",
        /// Cannot be undone.
        Critical => "critical",
    }
}
