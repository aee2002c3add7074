//! What a key may do.

use crate::domain::words::words;

words! {
    /// The role of a key. `admin` may do everything but work; `operator` decides and administers
    /// but makes no keys; `submitter` (CI) posts goals and reads them; `agent` works and is bound
    /// to one agent; `viewer` reads.
    pub enum Role {
        /// Everything an operator may, and keys.
        Admin => "admin",
        /// Decides approvals, registers agents, cancels, edits.
        Operator => "operator",
        /// Posts goals and reads them.
        Submitter => "submitter",
        /// Claims and works; bound to one agent.
        Agent => "agent",
        /// Reads.
        Viewer => "viewer",
    }
}
