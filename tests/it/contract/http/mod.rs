//! What holds for every request, tested on routes made for it: no database is needed.

mod bodies;
mod conditions;
mod contract;
mod fixture;
mod limits;
mod lists;
mod pages;
mod strangers;
