//! Waits for people.

use super::{
    cause::{TaskCause, TaskCauseKind, cause},
    situation::Question,
};
use crate::domain::explain::answer::{Actor, CauseFacts, OpenApproval, Remedy};

pub(super) fn question(question: &Question) -> TaskCause {
    let OpenApproval { kind, title, nobody_may_decide, .. } = &question.approval;
    let (cause_kind, what) = match kind.is_question() {
        true => (TaskCauseKind::Answer, "its agent asked and waits for an answer"),
        false => (TaskCauseKind::Approval, "a person has to decide"),
    };
    let nobody = if *nobody_may_decide {
        "; everybody who could is excluded, so an admin decides"
    } else {
        ""
    };
    let detail = format!("{what}: {title}{nobody}");
    let facts = CauseFacts { approval: Some(question.approval.clone()), ..CauseFacts::default() };
    cause(cause_kind, detail, decide(question), facts)
}

pub(super) fn decide(question: &Question) -> Remedy {
    let OpenApproval { deciders, expires_at, .. } = &question.approval;
    let one = match deciders.as_slice() {
        [only] => Some(only),
        [] | [_, _, ..] => None,
    };
    let remedy = Remedy::by(Actor::person(one), question.decision.clone());
    Remedy { clears_at: *expires_at, ..remedy }
}
