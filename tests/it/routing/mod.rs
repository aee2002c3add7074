//! Which task goes first, and which agent gets it.

mod between;
mod graphs;
mod order;
mod turns;
