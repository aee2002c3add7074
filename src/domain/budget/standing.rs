//! The directive of an attempt, as far as the limits above it determine it.
//!
//! An exhausted limit stops every attempt that uses its unit. An attempt wraps up once its reservation
//! is used and the limit has no further room. Limits in units that the attempt does not use have no
//! effect: an attempt that costs no money continues when the money is spent.

use crate::domain::{spend::ATTEMPTS, states::Directive, words::words};

words! {
    /// The state of a limit for one attempt. `ok`: the attempt may continue; `used_up`: its reservation
    /// is used and the limit has no further room; `exhausted`: the whole limit is used.
    pub enum BudgetState {
        /// The attempt may continue.
        Ok => "ok",
        /// Its reservation is used, and the limit has no further room.
        UsedUp => "used_up",
        /// The whole limit is used.
        Exhausted => "exhausted",
    }
}

/// An attempt and one limit above it. Amounts are in the limit's unit.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The unit.
    pub unit: &'a str,
    /// Whether the limit refuses claims; `false` for `notify`.
    pub enforced: bool,
    /// The limit.
    pub limit: i64,
    /// Spend of all attempts in the period.
    pub used: i64,
    /// Open reservations of all attempts.
    pub reserved: i64,
    /// The sum of all reservations of this attempt.
    pub granted: i64,
    /// Its open reservation.
    pub held: i64,
    /// Its spend.
    pub own: i64,
}

/// The state of the limit for the attempt.
#[must_use]
pub fn state(facts: &Facts<'_>) -> BudgetState {
    let uses = facts.granted > 0 || facts.own > 0;
    // `attempts` is counted at the start; other attempts cannot end this one.
    if !facts.enforced || !uses || facts.unit == ATTEMPTS {
        return BudgetState::Ok;
    }
    if facts.used >= facts.limit && facts.used > 0 {
        return BudgetState::Exhausted;
    }
    let full = i128::from(facts.used) + i128::from(facts.reserved) >= i128::from(facts.limit);
    if facts.held <= 0 && full { BudgetState::UsedUp } else { BudgetState::Ok }
}

/// The directive that the limit gives the attempt.
#[must_use]
pub fn directive(facts: &Facts<'_>) -> Directive {
    match state(facts) {
        BudgetState::Ok => Directive::Continue,
        BudgetState::UsedUp => Directive::WrapUp,
        BudgetState::Exhausted => Directive::Stop,
    }
}
