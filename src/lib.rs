//! muster keeps track of the work of a fleet of AI agents.
//!
//! Layers, each of which may only name the ones after it:
//! `main -> { http, supervisor } -> app -> store -> domain`. The supervisor says when, the app
//! says what, the domain says whether, the store writes it down, http says it aloud.
//!
//! Beside them: `cli` (the program's commands), `bench` (the load generator), `config`, `telemetry`,
//! `shutdown`, `open_files` and `embedded` (the private PostgreSQL).

pub mod app;
pub mod bench;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod embedded;
pub mod entropy;
pub mod http;
pub mod open_files;
pub mod shutdown;
pub mod store;
pub mod supervisor;
pub mod telemetry;
