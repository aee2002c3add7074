//! Editing and cancelling tasks.
