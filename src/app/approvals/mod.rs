//! Approvals: asking people, the policies that say who decides, and how an approval stands.
//!
//! Deciding, and what follows from it, is [`super::decisions`].

pub mod ask;
pub mod policies;
pub mod simulate;
pub mod standing;
pub mod views;
