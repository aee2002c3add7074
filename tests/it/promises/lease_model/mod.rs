//! The lease protocol, explored: every order in which two processes, any number of confused workers
//! and the clock can act on a few attempts.
//!
//! The rules are muster's own: the model calls the functions of `domain` that decide, and does in
//! one step what the service does in one transaction under locks. Everything else is an adversary:
//! - **workers and the network**: whatever lease was ever told may be shown at any later moment, any
//!   number of times, with any request, also for a newer attempt of the task. That is a worker that
//!   crashed and forgot nothing, paused past its lease and went on, retried, or whose messages were
//!   doubled, delayed or lost; and a claim's answer may never arrive.
//! - **clocks**: a lease may run out at any moment, by whichever clock.
//! - **processes**: a transaction may look at the data, without locks, arbitrarily long before it
//!   locks and writes; two do so at once.
//!
//! For each [`Guard`] there is a variant without it, in which the checker must find how that goes
//! wrong. So each guard is needed, and the properties are strong enough to see it missing.

use std::collections::BTreeSet;

use stateright::{Checker as _, HasDiscoveries, Model as _};

mod facts;
mod guards;
mod properties;
mod rules;
mod state;

use guards::Guard;
use state::{Bounds, Lease};

/// One task, tried by as many as want to; attempts end in every way.
const ENDINGS: Bounds =
    Bounds { tasks: 1, attempts: 3, max_concurrent: 3, spend: false, endings: true };
/// Two tasks and an agent that may run one attempt: who claims what.
const CLAIMS: Bounds =
    Bounds { tasks: 2, attempts: 2, max_concurrent: 1, spend: false, endings: true };
/// Reports of spend, repeated, out of order and late.
const SPEND: Bounds =
    Bounds { tasks: 1, attempts: 2, max_concurrent: 2, spend: true, endings: false };

#[test]
fn with_every_guard_the_promises_hold_in_every_order() {
    for (name, bounds) in [("endings", ENDINGS), ("claims", CLAIMS), ("spend", SPEND)] {
        let began = std::time::Instant::now();
        let checker = Lease { bounds, without: None }.checker().threads(2).spawn_bfs().join();
        println!(
            "{name}: {} states, at most {} steps deep, {:?}",
            checker.unique_state_count(),
            checker.max_depth(),
            began.elapsed()
        );
        for property in checker.model().properties() {
            let found = checker.discovery(property.name);
            if property.expectation.discovery_is_failure() {
                assert!(found.is_none(), "{name}: {}:\n{}", property.name, found.unwrap());
            } else if property.name != properties::COUNTED_LATE || bounds.spend {
                assert!(found.is_some(), "{name}: never: {}", property.name);
            }
        }
    }
}

#[test]
fn without_any_guard_something_goes_wrong() {
    for guard in Guard::ALL {
        let broken = guard.protects();
        let checker = Lease { bounds: guard.shown_in(), without: Some(*guard) }
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AllOf(broken.iter().copied().collect()))
            .spawn_bfs()
            .join();
        let states = checker.unique_state_count();
        for property in broken {
            let path = checker.discovery(property);
            let path = path.unwrap_or_else(|| panic!("without {guard:?} still: {property}"));
            let steps = path.into_actions();
            println!("without {guard:?}, after {states} states: not so: {property}: {steps:?}");
        }
    }
}

/// A property that no missing guard can break would be one that cannot fail.
#[test]
fn each_property_is_lost_without_some_guard() {
    let model = Lease { bounds: ENDINGS, without: None };
    let promised: BTreeSet<&str> = model
        .properties()
        .iter()
        .filter(|property| property.expectation.discovery_is_failure())
        .map(|property| property.name)
        .collect();
    let protected = Guard::ALL.iter().flat_map(|guard| guard.protects()).copied().collect();
    assert_eq!(promised, protected);
}

/// The write that is refused for a task that has ended is a second line behind the locks: without
/// them it still keeps a task from being done twice.
#[test]
fn without_the_locks_an_ended_task_still_stays() {
    let bounds = Bounds { attempts: 2, endings: false, ..ENDINGS };
    let checker = Lease { bounds, without: Some(Guard::FinishUnderLock) }
        .checker()
        .threads(2)
        .spawn_bfs()
        .join();
    println!("{} states", checker.unique_state_count());
    assert!(checker.discovery(properties::ONE_END).is_none());
    assert!(checker.discovery(properties::LIVE_IS_CURRENT).is_some());
}
