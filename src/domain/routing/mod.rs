//! Routing: which of several able agents gets a task.
//!
//! What the agents did before is kept per capability, agent, model and version of the agent ([`record`]).
//! For each task a success rate, a cost and a duration are drawn from what is believed of each agent, and the
//! policy of the workspace makes one number of them ([`score`]): Thompson sampling, which tries an agent as
//! often as it may be the best one. [`assign`] gives tasks to the claims of a batch by these numbers, and
//! leaves a task for a moment to a clearly better agent that asks soon ([`deferral`]).
//!
//! Draws are derived from the ids of the task and the agent ([`random`]), whose random bits come from the
//! injected source. So a task that is looked at twice, or by two servers, has the same draws, and an agent that
//! asks often does not get more chances.

//!
//! Which task goes first is the order of claims: turns between goals ([`turns`]), and inside a goal
//! [`rank`]; the longest rest of a plan, which is a part of it, is computed by
//! `domain::plan::upward`.

pub mod affinity;
pub mod assign;
pub mod beliefs;
pub mod compare;
pub mod deferral;
pub mod policy;
pub mod random;
pub mod rank;
pub mod record;
pub mod score;
#[cfg(test)]
mod tests;
pub mod turns;
