//! What an attempt is told of the limits above it.
//!
//! A limit that is used up stops every attempt that uses its unit. Before that, an attempt that has
//! used what was set aside for it, while nothing more is to be had, should come to an end. Units that
//! an attempt does not use do not concern it: one that costs no money goes on when the money is gone.

use super::UnknownModel;
use crate::domain::{
    spend::{ATTEMPTS, MONEY},
    states::Directive,
    words::words,
};

words! {
    /// How an attempt stands with a limit.
    pub enum BudgetState {
        /// It may go on.
        Ok => "ok",
        /// What was set aside for it is used, and no more is to be had.
        UsedUp => "used_up",
        /// The limit itself is used up.
        Exhausted => "exhausted",
    }
}

/// An attempt and one limit above it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The unit.
    pub unit: &'a str,
    /// Whether the limit refuses anything.
    pub enforced: bool,
    /// The limit.
    pub limit: i64,
    /// What everybody has used of it.
    pub used: i64,
    /// What everybody has set aside of it.
    pub reserved: i64,
    /// What was ever set aside for this attempt.
    pub granted: i64,
    /// What of that is left.
    pub held: i64,
    /// What this attempt has used.
    pub own: i64,
    /// Whether it used tokens of a model without a price.
    pub unpriced: bool,
    /// What such tokens cost here.
    pub unknown_model: UnknownModel,
}

/// How the attempt stands with the limit.
#[must_use]
pub fn state(facts: &Facts<'_>) -> BudgetState {
    let uses = facts.granted > 0 || facts.own > 0;
    // It was counted when it started; what others use up does not end it.
    if !facts.enforced || !uses || facts.unit == ATTEMPTS {
        return BudgetState::Ok;
    }
    if facts.used >= facts.limit && facts.used > 0 {
        return BudgetState::Exhausted;
    }
    let full = i128::from(facts.used) + i128::from(facts.reserved) >= i128::from(facts.limit);
    if facts.held <= 0 && full { BudgetState::UsedUp } else { BudgetState::Ok }
}

/// What the limit says that the attempt should do.
#[must_use]
pub fn directive(facts: &Facts<'_>) -> Directive {
    let refused = facts.unpriced && facts.enforced && facts.unit == MONEY;
    if refused && facts.unknown_model == UnknownModel::Refuse {
        return Directive::Stop;
    }
    match state(facts) {
        BudgetState::Ok => Directive::Continue,
        BudgetState::UsedUp => Directive::WrapUp,
        BudgetState::Exhausted => Directive::Stop,
    }
}
