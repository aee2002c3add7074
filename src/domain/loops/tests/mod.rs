//! Tests of loops.

mod canonical;
mod detect;

use serde_json::{Value, json};

use super::{Fingerprint, Step};

fn step(mut step: Value) -> Step {
    step["n"] = json!(1);
    serde_json::from_value(step).unwrap()
}

fn print(action: Value, result: Value) -> Fingerprint {
    step(json!({"action": action, "result": result})).fingerprint().unwrap()
}

fn failed(action: Value, error: &str) -> Fingerprint {
    step(json!({"action": action, "error": error})).fingerprint().unwrap()
}
