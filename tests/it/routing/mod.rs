//! Which task goes first, and which agent gets it.

mod between;
mod order;
mod schedules;
mod turns;
