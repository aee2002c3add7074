//! The roles of keys.

use crate::domain::words::words;

words! {
    /// The role of a key, fixed when the key is made. `admin`: all an operator may, and keys;
    /// `operator`: decides approvals, registers agents, edits and cancels; `submitter` (CI): posts
    /// goals and reads them; `agent`: claims and works as the one agent it is bound to; `viewer`:
    /// reads.
    pub enum Role {
        /// All an operator may, and keys.
        Admin => "admin",
        /// Decides approvals, registers agents, edits and cancels.
        Operator => "operator",
        /// Posts goals and reads them.
        Submitter => "submitter",
        /// Claims and works as the agent it is bound to.
        Agent => "agent",
        /// Reads everything, changes nothing.
        Viewer => "viewer",
    }
}
