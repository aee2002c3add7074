//! Handing a running task over: its holder ends the attempt and says who continues.
//!
//! A hand-off says nothing about the task: no attempt is counted, and the row of idle releases neither grows
//! nor ends. What bounds it is the number of hand-offs of a task.

use chrono::{DateTime, Utc};

use super::{
    Ending, TaskFacts,
    claim::Keeping,
    holder::Holder,
    release::{self, Released},
};
use crate::domain::{
    addressee::Addressee,
    ids::AgentId,
    refusal::{Code, Refusal},
    settings,
};

/// The end of the attempt: the task is offered again at once, and no try is used up.
#[must_use]
pub fn handed_over(task: &TaskFacts, now: DateTime<Utc>) -> Ending {
    release::release(task, Released::WithReason, 0.0, now)
}

/// Who may claim the task while the offer stands: the named agent; or whoever has the named capability, except the
/// agent that hands it over.
#[must_use]
pub fn keeping(to: &Addressee, from: Holder) -> Keeping {
    match (to.agent_id, from) {
        (Some(agent), _) => Keeping::Only(agent),
        (None, Holder::Agent(agent)) => Keeping::AllBut(agent),
        (None, Holder::Key(_)) => Keeping::Anybody,
    }
}

/// Refuses a hand-off to the holder itself, and one more than a task may have. `before`: number of hand-offs of the
/// task so far.
///
/// # Errors
/// `invalid` at `/to/agent_id`; `wrong_state`.
pub fn admit(to: &Addressee, from: Holder, before: i64) -> Result<(), Refusal> {
    let itself: Option<AgentId> = from.agent();
    if to.agent_id.is_some() && to.agent_id == itself {
        let detail = "is the holder itself; go on, or release the attempt";
        return Err(Refusal::invalid_at("/to/agent_id", detail));
    }
    if before >= settings::HAND_OFFS {
        let detail = format!(
            "the task was handed over {before} times, and at most {} are allowed: complete it, fail it, or \
             release it",
            settings::HAND_OFFS
        );
        return Err(Refusal::new(Code::WrongState, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        ids::KeyId,
        states::AttemptState,
        task::{Next, tests::task},
    };

    proptest! {
        /// Whatever the row of releases, a hand-off uses up nothing and offers the task at once.
        #[test]
        fn a_hand_off_costs_nothing_and_waits_for_nothing(
            used in 0i32..5, row in 0i32..100, cancelling: bool,
        ) {
            let now = DateTime::UNIX_EPOCH;
            let task = TaskFacts {
                attempts_used: used, released_in_row: row, cancelling, ..task(now)
            };
            let ending = handed_over(&task, now);
            prop_assert_eq!(ending.attempt, AttemptState::Released);
            prop_assert_eq!((ending.attempts_used, ending.released_in_row), (used, row));
            let next = if cancelling { Next::Cancelled } else { Next::Retry(now) };
            prop_assert_eq!(ending.next, next);
        }

        /// The holder never gets back what it handed over, and a named agent is the only one.
        #[test]
        fn only_the_addressee_may_continue(
            to in prop::option::of(0u128..3), from in prop::option::of(0u128..3), before in 0i64..20,
        ) {
            let agent = |n| AgentId(Uuid::from_u128(n));
            let holder = from.map_or(Holder::Key(KeyId(Uuid::nil())), |n| Holder::Agent(agent(n)));
            let capability = to.is_none().then(|| "review".to_owned());
            let addressee = Addressee { agent_id: to.map(agent), capability };
            let admitted = admit(&addressee, holder, before);
            let itself = to.is_some() && to == from;
            prop_assert_eq!(admitted.is_ok(), !itself && before < settings::HAND_OFFS);
            if admitted.is_err() {
                return Ok(());
            }
            let kept = keeping(&addressee, holder);
            for n in 0..3 {
                let wanted = match to {
                    Some(named) => n == named,
                    None => from != Some(n),
                };
                prop_assert_eq!(kept.admits(agent(n)), wanted);
            }
        }
    }
}
