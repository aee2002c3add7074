//! The fault rig: servers under load that are killed, cut off and stopped, and what they leave.
//!
//! Each test starts one or two `muster serve` and lets workers use them over HTTP as real agents do:
//! who gets no answer asks again. Then something goes wrong, over and over. At the end everything
//! the workers were told is held against itself and against what is stored ([`checker`]), and the
//! database against its invariants.
//!
//! Faults happen at moments that are known (a trap at a statement, a number of answers), not after
//! a while. A failure is repeated with `MUSTER_TEST_SEED`; `MUSTER_FAULT_ROUNDS` says how often a
//! fault strikes in a test; `MUSTER_FAULT_LOG` shows what the servers log.

mod checker;
mod checker_tests;
mod client;
mod database;
mod decisions;
mod drain;
mod gates;
mod history;
mod kill_points;
mod kills;
mod load;
mod network;
mod planning;
mod planning_rig;
mod plans;
mod relay;
mod replanning;
pub mod server;
mod stopped;
mod stored;
mod worker;

/// How often a fault strikes: `MUSTER_FAULT_ROUNDS`, else `usually`.
fn rounds(usually: u32) -> u32 {
    let given = std::env::var("MUSTER_FAULT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    given.unwrap_or(usually)
}
