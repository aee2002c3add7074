//! muster keeps track of the work of a fleet of AI agents.
//!
//! Layers, each of which may only name the ones after it:
//! `main -> { http, supervisor } -> app -> store -> domain`. The supervisor says when, the app
//! says what, the domain says whether, the store writes it down, http says it aloud.

pub mod app;
pub mod clock;
pub mod domain;
pub mod embedded;
pub mod entropy;
pub mod http;
pub mod store;
pub mod supervisor;
