//! Lessons, their index, and what came of their use.

pub mod answers;
pub mod clusters;
pub mod counts;
pub mod cursors;
pub mod exposures;
pub mod facts;
pub mod handed;
pub mod index;
pub mod lessons;
pub mod retention;
pub mod search;
pub mod shelves;
pub mod trials;
pub mod vectors;
pub mod versions;
