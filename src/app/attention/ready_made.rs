//! The ready-made decision on an approval: it can be sent unchanged, and its title states every
//! harm.
//!
//! An approval is approved. A question (kind `input`) is declined, because an invented answer would
//! be believed. A result without required evidence is sent back, because a waiver needs a person's
//! reason. A result at its maximum of rejections is reassigned to another agent for one more round:
//! that neither accepts a bad result nor gives up the work.

use serde_json::{Value, json};

use crate::{
    domain::approval::{
        Verdict,
        kind::Offer,
        review::{Choice, ReviewChoice},
    },
    store::attention::PendingApproval,
};

/// The body of the decision, and its effect in words.
pub(in crate::app) fn ready_made(row: &PendingApproval) -> (Value, &'static str) {
    if row.last_round {
        return another_round(row);
    }
    if !row.missing.is_empty() {
        return send_back(row);
    }
    let Offer { verdict, effect } = row.kind.traits().offer;
    (json!({"decision": verdict, "payload_sha256": row.payload_sha256}), effect)
}

fn another_round(row: &PendingApproval) -> (Value, &'static str) {
    let action = ReviewChoice::Reassign;
    let body = json!({
        "decision": action.verdict(),
        "payload_sha256": row.payload_sha256,
        "reason": "its results reached the maximum of rejections; another agent tries",
        "choice": Choice { action, agent_id: None, tasks: Vec::new() },
    });
    let what = "Gives the task to another agent for one more round; `choice` may also `accept` the \
                result as it is (with `approve`), `split` or `cancel` the task.";
    (body, what)
}

fn send_back(row: &PendingApproval) -> (Value, &'static str) {
    let point = |number: &i16| json!({"criterion": number, "text": "show that it is met"});
    let body = json!({
        "decision": Verdict::Reject,
        "payload_sha256": row.payload_sha256,
        "reason": "there is no evidence for some of the required criteria",
        "feedback": row.missing.iter().map(point).collect::<Vec<_>>(),
    });
    let what = "Sends the result back for the missing evidence; to accept it as it is, \
                `approve` and name each of these criteria in `waive`, with a reason.";
    (body, what)
}
