//! The price book: tokens become money.
//!
//! An agent reports a model call as its provider counted it ([`Usage`]). The counts are split into
//! parts that do not overlap ([`Tokens`]), the price in force at that time is found ([`choose`]),
//! and the parts are charged at its rates of that hour ([`cost`]).
//!
//! Guarantees:
//! - Money is exact. A rate is a whole number of pico-dollars (1e-12 USD) per token, a cost is kept
//!   to the pico-dollar, and no float takes part. A cost beyond the range saturates.
//! - A call costs the same in every reporting convention, as far as the conventions carry the same
//!   counts. Anthropic's does not separate reasoning from other output.
//! - Impossible counts are refused, each with its place, never corrected.
//! - Reading a price file never fails as a whole: unreadable entries are listed with a reason.
//!
//! Why pico-dollars: providers quote dollars per million tokens with up to six decimal places. So
//! the price of a token is a whole number of pico-dollars, and sums lose nothing.

use super::words::words;

pub mod builtin;
pub(in crate::domain) mod decimal;
pub mod disagree;
pub mod find;
pub mod hours;
pub mod import;
pub mod new_price;
pub mod provider;
pub mod rate;
pub mod usage;
pub mod wait;

pub use builtin::builtin;
pub use disagree::{PriceDisagreement, disagreements};
pub use find::{BookPrice, charged, choose, disagreeing, names};
pub use hours::HourWindow;
pub use import::{
    Imported, ImportedPrice, SkipCount, SkipReason, Skipped,
    sift::{Sifted, Terms, sift},
};
pub use new_price::{
    NewHours, NewPrice, NewRates, NewTier, NewTierRates, Usd, absurd_rates, absurdities,
};
pub use provider::{UNSTATED, canonical};
pub use rate::{Cost, Hours, Price, Rates, StatedRates, Tier, TierRates, cost, dearest};
pub use usage::{Convention, Tokens, Usage};
pub use wait::{Lack, PriceWait};

words! {
    /// Origin of a price.
    pub enum PriceSource {
        /// Added by an operator.
        Operator => "operator",
        /// Imported from a LiteLLM price file.
        Litellm => "litellm",
        /// Imported from a genai-prices file.
        GenaiPrices => "genai_prices",
    }
}

words! {
    /// Origin of a model call's money.
    pub enum MoneySource {
        /// A price of the book.
        Book => "book",
        /// The highest known price, for a model without one.
        Assumed => "assumed",
        /// None: the model has no price.
        None => "none",
        /// The agent's report.
        Reported => "reported",
    }
}

#[cfg(test)]
mod tests;
