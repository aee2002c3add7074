//! What an explanation may tell its caller.

use crate::{
    app::caller::{Caller as _, Principal, ReaderCaller},
    domain::access::scope::Scope,
};

/// What a caller sees. A request that would tell it what its key cannot read is not offered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight<'a> {
    /// The projects that it sees.
    pub scope: &'a Scope,
    /// Whether it reads budgets: the request that raises a limit has all limits of the budget.
    pub budgets: bool,
}

impl<'a> Sight<'a> {
    /// That of a principal.
    pub fn of(principal: &'a Principal) -> Self {
        Self { scope: &principal.scope, budgets: ReaderCaller::permits(principal) }
    }
}
