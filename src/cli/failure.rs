//! Failures of commands, and the exit codes.

use std::{io::Write as _, process::ExitCode};

/// Why a command failed, for people.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The exit code: 0 for `true`, 1 for `false`, and `on_failure` for a failure, which is printed.
pub fn exit_code(outcome: Result<bool, Failure>, on_failure: u8) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            show(&*failure);
            ExitCode::from(on_failure)
        }
    }
}

/// Prints a failure with all its causes on standard error.
pub fn show(failure: &dyn std::error::Error) {
    let mut text = failure.to_string();
    let mut source = failure.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors repeat their cause in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    // A failure to print has no other place to be printed.
    let _ = writeln!(std::io::stderr(), "muster: {text}");
}
