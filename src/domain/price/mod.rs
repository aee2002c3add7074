//! The price book's rules: tokens become money.
//!
//! An agent reports a model call as its provider counted it ([`Usage`]); the counts are brought
//! into parts that do not overlap ([`Tokens`]); the price that held at that time is found
//! ([`choose`]); and the parts are charged at its rates ([`cost`]).
//!
//! What it guarantees:
//! - Money is exact. A rate is a whole number of pico-dollars (1e-12 USD) per token, a cost is
//!   kept to the pico-dollar, and no float takes part; a cost too large to be held stays at the
//!   largest there is.
//! - A call costs the same in whichever convention it is reported, as far as the conventions tell
//!   the same of it. Anthropic's does not set reasoning apart from the rest of the output.
//! - Counts that cannot be true are refused, each with its place, rather than put right.
//! - Reading a price file never fails as a whole: what cannot be read is listed with the reason.
//!
//! Why pico-dollars: providers quote dollars per million tokens with up to six decimal places, so
//! the price of one token is a whole number of them, and summing call by call loses nothing.

use super::words::words;

pub mod builtin;
mod decimal;
pub mod find;
pub mod import;
pub mod new_price;
pub mod provider;
pub mod rate;
pub mod usage;

pub use builtin::builtin;
pub use find::{BookPrice, choose, exact, names};
pub use import::{Imported, ImportedPrice, SkipReason, Skipped};
pub use new_price::{NewPrice, NewRates, NewTier, NewTierRates, Usd, absurdities};
pub use provider::canonical;
pub use rate::{Cost, Price, Rates, StatedRates, Tier, TierRates, cost, dearest};
pub use usage::{Convention, Tokens, Usage};

words! {
    /// Where a price comes from.
    pub enum PriceSource {
        /// An operator added it.
        Operator => "operator",
        /// It was read from a price file of LiteLLM.
        Litellm => "litellm",
        /// It was read from a price file of genai-prices.
        GenaiPrices => "genai_prices",
    }
}

words! {
    /// Where the money of a model call comes from.
    pub enum MoneySource {
        /// The price book.
        Book => "book",
        /// The dearest price there is, because the model has none.
        Assumed => "assumed",
        /// Nowhere: the model has no price.
        None => "none",
        /// The agent's own report.
        Reported => "reported",
    }
}

#[cfg(test)]
mod tests;
