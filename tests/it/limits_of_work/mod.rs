//! What holds ready work back without a person: start times, rates, quota windows, rate-limited agents; and work
//! that exists once.

mod dedup;
mod quotas;
mod rates;
mod starts;
