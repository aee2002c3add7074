//! What the queue promises, without a database.

use proptest::prelude::*;
use tokio::sync::oneshot::error::TryRecvError;
use uuid::Uuid;

use crate::{app::wake::queue::*, domain::task::claim::Keeping};

type Call = oneshot::Receiver<()>;

fn able(words: &[&str]) -> Arc<[String]> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn who(number: u8, words: &[&str]) -> Who {
    let id = Uuid::from_u128(u128::from(number));
    Who { agent: AgentId(id), key: KeyId(id), able: able(words), repeat: None }
}

pub(in crate::app::wake) fn ready(sets: &[(&[&str], i64)]) -> Vec<ReadySet> {
    let set = |(words, count): &(&[&str], i64)| ReadySet {
        capabilities: able(words).to_vec(),
        keeping: Keeping::Anybody,
        count: *count,
    };
    sets.iter().map(set).collect()
}

fn is_called(call: &mut Call) -> bool {
    call.try_recv() == Ok(())
}

/// A claim that looked for itself, found nothing and waits.
fn waiter(queue: &mut WaitQueue, who: Who) -> (u64, Call) {
    let (ticket, looks) = (queue.ticket(), queue.looks());
    (ticket, queue.enqueue(ticket, who, looks, 0))
}

fn remembered(queue: &mut WaitQueue, who: &Who) {
    let token = crate::domain::access::token::Token::new(
        crate::domain::ids::WorkspaceId(Uuid::nil()),
        who.key,
        [7; 32],
    );
    let known =
        Known { secret: token.hash(), agent: who.agent, owner: None, able: Arc::clone(&who.able) };
    let looks = queue.looks();
    queue.remember(who.key, known, looks);
}

/// What is kept for one agent, or from one, calls who may have it, wherever they stand in the queue,
/// and lets nobody else look or stay awake for it.
#[test]
fn what_is_kept_calls_only_those_for_whom_it_is() {
    let kept = |keeping| ReadySet { capabilities: able(&["rust"]).to_vec(), keeping, count: 1 };
    let agent = |n: u8| who(n, &[]).agent;
    for (keeping, called) in [
        (Keeping::Only(agent(2)), [false, false, true]),
        (Keeping::AllBut(agent(0)), [false, true, false]),
        (Keeping::Check(vec![agent(0), agent(1)]), [false, false, true]),
    ] {
        let mut queue = WaitQueue::default();
        let mut calls: Vec<Call> =
            (0..3).map(|n| waiter(&mut queue, who(n, &["rust"])).1).collect();
        queue.call(0, vec![kept(keeping.clone())]);
        let got: Vec<bool> = calls.iter_mut().map(is_called).collect();
        assert_eq!(got, called, "{keeping:?}");
    }
    let mut queue = WaitQueue::default();
    queue.call(0, vec![kept(Keeping::Only(agent(2)))]);
    for n in 0..3 {
        remembered(&mut queue, &who(n, &["rust"]));
        let ticket = queue.ticket();
        let unverified = queue.enqueue_unverified(ticket, who(n, &["rust"])).is_some();
        assert_eq!(unverified, n != 2, "agent {n}");
    }
}

#[test]
fn as_many_are_called_as_tasks_are_ready_and_the_first_comers_first() {
    let mut queue = WaitQueue::default();
    let mut calls: Vec<Call> = (0..5).map(|n| waiter(&mut queue, who(n, &["rust"])).1).collect();
    queue.call(0, ready(&[(&["rust"], 2)]));
    let called: Vec<bool> = calls.iter_mut().map(is_called).collect();
    assert_eq!(called, [true, true, false, false, false]);
    queue.call(0, ready(&[(&["go"], 9), (&[], 1)]));
    let called: Vec<bool> = calls[2..].iter_mut().map(is_called).collect();
    assert_eq!(called, [true, false, false], "nobody here can do the nine");
}

#[test]
fn the_better_is_called_first_and_equals_in_the_order_of_arrival() {
    let mut queue = WaitQueue::default();
    let mut calls: Vec<Call> = (0..4).map(|n| waiter(&mut queue, who(n, &["rust"])).1).collect();
    let good = who(2, &[]).agent;
    let mean = |agent: AgentId, _: &[String]| Some(if agent == good { 1.0 } else { 0.0 });
    let better = Better { differ: &[true], mean: &mean };
    queue.call_best(0, ready(&[(&["rust"], 2)]), Some(better));
    let called: Vec<bool> = calls.iter_mut().map(is_called).collect();
    assert_eq!(called, [true, false, true, false]);
}

/// Only those are scored that may be called, and only at tasks at which agents differ.
#[test]
fn nobody_is_scored_in_vain() {
    let mut queue = WaitQueue::default();
    let mut calls: Vec<Call> = Vec::new();
    for (n, words) in [(0, "rust"), (1, "go"), (2, "both"), (3, "docs")] {
        let words: &[&str] = if words == "both" { &["go", "rust"] } else { &[words] };
        calls.push(waiter(&mut queue, who(n, words)).1);
    }
    let (ticket, looks) = (queue.ticket(), queue.looks());
    calls.push(queue.enqueue(ticket, who(4, &["rust"]), looks, 9));
    let asked = std::cell::RefCell::new(Vec::new());
    let mean = |agent: AgentId, required: &[String]| {
        asked.borrow_mut().push((agent.0.as_u128(), required.to_vec()));
        Some(agent.0.as_u128() as f64)
    };
    let better = Better { differ: &[true, false], mean: &mean };
    queue.call_best(0, ready(&[(&["rust"], 1), (&["go"], 1)]), Some(better));
    let rust = able(&["rust"]).to_vec();
    assert_eq!(asked.into_inner(), [(0, rust.clone()), (2, rust)]);
    let called: Vec<bool> = calls.iter_mut().map(is_called).collect();
    assert_eq!(called, [false, true, true, false, false], "the better one took what is rust");
}

#[test]
fn the_end_of_a_deferral_ends_the_rest_of_those_that_were_passed_over() {
    let mut queue = WaitQueue::default();
    let (ticket, looks) = (queue.ticket(), queue.looks());
    let mut call = queue.enqueue(ticket, who(1, &["rust"]), looks, 9);
    queue.rouse_in(Duration::from_secs(60));
    queue.rouse();
    queue.call(0, ready(&[(&["rust"], 1)]));
    assert!(!is_called(&mut call), "it rests");
    queue.rouse_in(Duration::ZERO);
    assert_eq!(queue.rouse_left(), Some(Duration::ZERO), "the earlier end counts");
    queue.rouse();
    assert!(queue.asks(false).is_some(), "the next look must look");
    queue.call(0, ready(&[(&["rust"], 1)]));
    assert!(is_called(&mut call));
}

#[test]
fn a_waiter_called_in_vain_keeps_its_place_and_rests() {
    let mut queue = WaitQueue::default();
    let (first, mut call) = waiter(&mut queue, who(1, &[]));
    let (_, mut second) = waiter(&mut queue, who(2, &[]));
    queue.call(0, ready(&[(&[], 1)]));
    assert!(is_called(&mut call));
    let looks = queue.looks();
    let mut call = queue.enqueue(first, who(1, &[]), looks, 4);
    assert!(queue.passed_over, "there may still be something");
    queue.call(0, ready(&[(&[], 1)]));
    assert!(is_called(&mut second) && !is_called(&mut call), "the first rests");
    assert!(queue.passed_over, "it was passed over, so the next look must look");
    queue.waiting.get_mut(&first).unwrap().rests = None;
    let (_, mut third) = waiter(&mut queue, who(3, &[]));
    queue.call(0, ready(&[(&[], 1)]));
    assert!(is_called(&mut call) && !is_called(&mut third), "it kept its place");
    assert!(!queue.passed_over);
}

#[test]
fn a_look_while_somebody_looked_for_itself_is_not_missed() {
    let mut queue = WaitQueue::default();
    let (ticket, looks) = (queue.ticket(), queue.looks());
    queue.call(0, ready(&[(&["rust"], 1)]));
    let mut call = queue.enqueue(ticket, who(1, &["rust"]), looks, 0);
    assert!(is_called(&mut call));
    let mut other = queue.enqueue(ticket + 1, who(2, &["rust"]), looks, 0);
    assert!(!is_called(&mut other), "there was one task only");
}

#[test]
fn nobody_dozes_off_beside_something_to_do_or_before_it_is_known_that_there_is_nothing() {
    let mut queue = WaitQueue::default();
    let ticket = queue.ticket();
    let agent = who(1, &["rust"]);
    assert!(queue.enqueue_unverified(ticket, agent.clone()).is_none(), "nobody has looked yet");
    queue.call(queue.hints(), ready(&[(&["rust", "go"], 3)]));
    let mut call =
        queue.enqueue_unverified(ticket, agent.clone()).expect("it can do none of these");
    assert!(queue.is_unverified(ticket) && !is_called(&mut call));
    queue.verified([ticket].into_iter());
    assert!(!queue.is_unverified(ticket));

    queue.hint();
    assert!(
        queue.enqueue_unverified(ticket + 1, agent.clone()).is_none(),
        "something became ready"
    );
    queue.call(queue.hints(), ready(&[(&["rust"], 2)]));
    assert!(is_called(&mut call));
    assert!(queue.enqueue_unverified(ticket + 1, agent.clone()).is_none(), "one task is left");
    queue.call(queue.hints(), Vec::new());
    assert!(queue.enqueue_unverified(ticket + 1, agent.clone()).is_some());
    queue.blind();
    assert!(queue.enqueue_unverified(ticket + 2, agent).is_none(), "the last look failed");
}

#[test]
fn an_agent_that_changed_is_forgotten_and_its_claims_are_called() {
    let mut queue = WaitQueue::default();
    let (one, other) = (who(1, &[]), who(2, &[]));
    remembered(&mut queue, &one);
    remembered(&mut queue, &other);
    let (_, mut first) = waiter(&mut queue, one.clone());
    let (_, mut second) = waiter(&mut queue, other.clone());
    queue.wake_agents(&[one.agent]);
    assert!(is_called(&mut first) && !is_called(&mut second));
    assert!(queue.recall(one.key).is_none() && queue.recall(other.key).is_some());
}

/// Its claim saw what it was able to do before; the watcher saw the change before it was waiting.
#[test]
fn an_agent_that_changed_while_it_looked_for_itself_looks_again() {
    let mut queue = WaitQueue::default();
    queue.begin();
    queue.call(0, Vec::new());
    let agent = who(1, &[]);
    let (ticket, looks) = (queue.ticket(), queue.looks());
    queue.wake_agents(&[agent.agent]);
    queue.call(0, Vec::new());
    let token = crate::domain::access::token::Token::new(
        crate::domain::ids::WorkspaceId(Uuid::nil()),
        agent.key,
        [7; 32],
    );
    let known = Known { secret: token.hash(), agent: agent.agent, owner: None, able: able(&[]) };
    queue.remember(agent.key, known, looks);
    assert!(queue.recall(agent.key).is_none(), "outdated knowledge was kept");
    assert!(is_called(&mut queue.enqueue(ticket, agent.clone(), looks, 0)));
    let looks = queue.looks();
    assert!(!is_called(&mut queue.enqueue(ticket, agent, looks, 1)), "it has looked since");
}

/// Before its first look a watcher does not see agents change.
#[test]
fn a_waiter_from_before_the_first_look_looks_again() {
    let mut queue = WaitQueue::default();
    let (_, mut waiting) = waiter(&mut queue, who(1, &[]));
    let (ticket, looks) = (queue.ticket(), queue.looks());
    queue.begin();
    queue.call(0, Vec::new());
    assert!(is_called(&mut waiting));
    assert!(is_called(&mut queue.enqueue(ticket, who(2, &[]), looks, 0)));
    let (_, mut later) = waiter(&mut queue, who(3, &[]));
    assert!(!is_called(&mut later));
}

/// A look that comes while somebody looks for itself must count it: the next look would find nothing
/// new.
#[test]
fn a_ticket_counts_before_its_claim_waits() {
    let mut queue = WaitQueue::default();
    let (first, second) = (queue.ticket(), queue.ticket());
    let _call = queue.enqueue(first, who(1, &[]), 0, 0);
    assert_eq!(queue.asks(true), Some(2));
    queue.leave(second);
    assert_eq!(queue.asks(true), Some(1));
    queue.call(0, Vec::new());
    assert_eq!(queue.asks(false), None, "nothing changed");
}

/// While nobody waits it does not matter what is ready; it does as soon as somebody waits.
#[test]
fn a_change_seen_by_nobody_is_looked_for_when_the_next_claim_waits() {
    let mut queue = WaitQueue::default();
    let ticket = queue.ticket();
    assert_eq!(queue.asks(true), None);
    queue.looked(0);
    assert!(queue.is_unseen());
    assert!(
        queue.enqueue_unverified(ticket, who(1, &[])).is_none(),
        "nobody knows that there is nothing"
    );
    let _call = queue.enqueue(ticket, who(1, &[]), 0, 0);
    assert_eq!(queue.asks(false), Some(1));
    queue.call(0, Vec::new());
    assert!(!queue.is_unseen());
}

#[test]
fn what_leaves_is_gone_and_what_is_not_used_is_forgotten() {
    let mut queue = WaitQueue::default();
    let agent = who(1, &["rust"]);
    remembered(&mut queue, &agent);
    queue.call(queue.hints(), Vec::new());
    let ticket = queue.ticket();
    let mut call = queue.enqueue_unverified(ticket, agent.clone()).unwrap();
    queue.leave(ticket);
    assert_eq!(call.try_recv(), Err(TryRecvError::Closed));
    assert!(queue.len() == 0 && queue.unverified().is_empty());
    queue.tidy();
    assert!(queue.recall(agent.key).is_some(), "it was used just now");
    queue.known.clear();
    drop(agent);
    queue.tidy();
    assert!(queue.abilities.is_empty());
}

#[test]
fn the_rest_grows_and_ends() {
    assert!(rest(0) < rest(1));
    assert_eq!(rest(40), REST_MAX);
}

proptest! {
    /// No task is called for twice, nobody is called for what it cannot do, and nobody who could
    /// do what is left over stays waiting.
    #[test]
    fn a_call_is_exact(
        waiters in prop::collection::vec(prop::collection::vec(0usize..3, 0..3), 0..12),
        sets in prop::collection::btree_map(prop::collection::btree_set(0usize..3, 0..3), 0i64..4, 0..5),
    ) {
        const WORDS: [&str; 3] = ["a", "b", "c"];
        let mut queue = WaitQueue::default();
        let mut calls: Vec<(Vec<&str>, Call)> = Vec::new();
        for (number, words) in waiters.iter().enumerate() {
            let words: Vec<&str> = words.iter().map(|w| WORDS[*w]).collect();
            let call = waiter(&mut queue, who(number as u8, &words)).1;
            calls.push((words, call));
        }
        let all: Vec<ReadySet> = sets.iter().map(|(words, count)| ReadySet {
            capabilities: words.iter().map(|w| WORDS[*w].to_owned()).collect(),
            keeping: Keeping::Anybody,
            count: *count,
        }).collect();
        let total: i64 = all.iter().map(|set| set.count).sum();
        queue.call(0, all);
        let left: i64 = queue.ready.iter().map(|set| set.count).sum();
        let mut woken = 0;
        for (words, call) in &mut calls {
            let able = able(words);
            if is_called(call) {
                woken += 1;
                prop_assert!(sets.keys().any(|set| set.iter().all(|w| words.contains(&WORDS[*w]))));
            } else {
                prop_assert!(!super::any(&queue.ready, &able, who(0, &[]).agent));
            }
        }
        prop_assert_eq!(total - left, woken);
    }
}
