//! Routing: records of agents, agents a task may be left for, and the reasons of assignments.

pub mod assignments;
pub mod records;
pub mod report;
pub mod rivals;
