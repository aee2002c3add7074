//! Approvals: requesting them, the policies that name their deciders, and their standing.
//!
//! Decisions and their effects are in [`super::decisions`].

pub mod ask;
pub mod floors;
pub(in crate::app) mod planned;
pub mod policies;
pub mod proposed;
pub mod simulate;
pub mod standing;
pub mod views;
