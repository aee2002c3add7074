//! Which task a claim gets, and which agent gets a task.

mod order;
mod schedules;
mod turns;
