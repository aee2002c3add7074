//! Knowledge: lessons from finished work, and their use in the next task.
//!
//! | room | holds |
//! |---|---|
//! | `capture` | digests of ended tasks and lessons of agents, behind the commit |
//! | `write`, `state` | the one way to a lesson: gate, cluster, links, document |
//! | `edit`, `promote`, `transfer`, `prune` | people who look after them; evidence of two projects; files; retention |
//! | `sight` | which lessons a caller sees |
//! | `read`, `search`, `context` | lists, ranking, packs under a budget of tokens |
//! | `meaning` | vectors of lessons and queries |
//! | `exposures`, `planners` | searches behind claims, and for planners |
//! | `handed`, `verdicts`, `answers`, `uplift` | what agents say of lessons, tasks that are solved already, what lessons change |
//! | `statistics` | numbers |
//!
//! Lock order: writers lock the cursor of the workspace after everything else, and before the head of the journal.

pub mod answers;
mod capture;
pub mod context;
pub mod edit;
pub(in crate::app) mod exposures;
pub mod handed;
pub mod meaning;
mod pieces;
mod planners;
mod promote;
mod prune;
pub mod read;
pub mod search;
pub(in crate::app) mod sight;
mod state;
pub mod statistics;
pub mod transfer;
pub mod uplift;
mod verdicts;
pub mod views;
mod write;
