//! The `muster` program.

use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("openapi") => openapi(),
        Some(_) | None => ExitCode::from(2),
    }
}

/// Prints the OpenAPI document.
fn openapi() -> ExitCode {
    let Ok(document) = muster::http::docs::document() else { return ExitCode::FAILURE };
    match std::io::stdout().write_all(document.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
