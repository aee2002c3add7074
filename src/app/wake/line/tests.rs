//! What the line promises, without a database.

use proptest::prelude::*;
use tokio::sync::oneshot::error::TryRecvError;
use uuid::Uuid;

use crate::{app::wake::line::*, domain::task::claim::Keeping};

type Call = oneshot::Receiver<()>;

fn able(words: &[&str]) -> Arc<[String]> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn who(number: u8, words: &[&str]) -> Who {
    let id = Uuid::from_u128(u128::from(number));
    Who { agent: AgentId(id), key: KeyId(id), able: able(words), repeat: None }
}

fn ready(sets: &[(&[&str], i64)]) -> Vec<ReadySet> {
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

/// One that looked for itself, found nothing and sleeps.
fn sleeper(line: &mut Line, who: Who) -> (u64, Call) {
    let (ticket, looks) = (line.ticket(), line.looks());
    (ticket, line.sleep(ticket, who, looks, 0))
}

fn remembered(line: &mut Line, who: &Who) {
    let token = crate::domain::access::token::Token::new(
        crate::domain::ids::WorkspaceId(Uuid::nil()),
        who.key,
        [7; 32],
    );
    let known =
        Known { secret: token.hash(), agent: who.agent, owner: None, able: Arc::clone(&who.able) };
    let looks = line.looks();
    line.remember(who.key, known, looks);
}

/// What is kept for one agent, or from one, calls who may have it, wherever they stand in the line,
/// and lets nobody else look or stay awake for it.
#[test]
fn what_is_kept_calls_only_those_for_whom_it_is() {
    let kept = |keeping| ReadySet { capabilities: able(&["rust"]).to_vec(), keeping, count: 1 };
    let agent = |n: u8| who(n, &[]).agent;
    for (keeping, called) in [
        (Keeping::Only(agent(2)), [false, false, true]),
        (Keeping::AllBut(agent(0)), [false, true, false]),
    ] {
        let mut line = Line::default();
        let mut calls: Vec<Call> =
            (0..3).map(|n| sleeper(&mut line, who(n, &["rust"])).1).collect();
        line.call(0, vec![kept(keeping)]);
        let got: Vec<bool> = calls.iter_mut().map(is_called).collect();
        assert_eq!(got, called, "{keeping:?}");
    }
    let mut line = Line::default();
    line.call(0, vec![kept(Keeping::Only(agent(2)))]);
    for n in 0..3 {
        remembered(&mut line, &who(n, &["rust"]));
        let ticket = line.ticket();
        let dozes = line.doze(ticket, who(n, &["rust"])).is_some();
        assert_eq!(dozes, n != 2, "agent {n}");
    }
}

#[test]
fn as_many_are_called_as_tasks_are_ready_and_the_first_comers_first() {
    let mut line = Line::default();
    let mut calls: Vec<Call> = (0..5).map(|n| sleeper(&mut line, who(n, &["rust"])).1).collect();
    line.call(0, ready(&[(&["rust"], 2)]));
    let called: Vec<bool> = calls.iter_mut().map(is_called).collect();
    assert_eq!(called, [true, true, false, false, false]);
    line.call(0, ready(&[(&["go"], 9), (&[], 1)]));
    let called: Vec<bool> = calls[2..].iter_mut().map(is_called).collect();
    assert_eq!(called, [true, false, false], "nobody here can do the nine");
}

#[test]
fn whoever_was_called_in_vain_keeps_its_place_and_rests() {
    let mut line = Line::default();
    let (first, mut call) = sleeper(&mut line, who(1, &[]));
    let (_, mut second) = sleeper(&mut line, who(2, &[]));
    line.call(0, ready(&[(&[], 1)]));
    assert!(is_called(&mut call));
    let looks = line.looks();
    let mut call = line.sleep(first, who(1, &[]), looks, 4);
    assert!(line.passed_over, "there may still be something");
    line.call(0, ready(&[(&[], 1)]));
    assert!(is_called(&mut second) && !is_called(&mut call), "the first rests");
    assert!(line.passed_over, "it was passed over, so the next look must look");
    line.asleep.get_mut(&first).unwrap().rests = None;
    let (_, mut third) = sleeper(&mut line, who(3, &[]));
    line.call(0, ready(&[(&[], 1)]));
    assert!(is_called(&mut call) && !is_called(&mut third), "it kept its place");
    assert!(!line.passed_over);
}

#[test]
fn a_look_while_somebody_looked_for_itself_is_not_missed() {
    let mut line = Line::default();
    let (ticket, looks) = (line.ticket(), line.looks());
    line.call(0, ready(&[(&["rust"], 1)]));
    let mut call = line.sleep(ticket, who(1, &["rust"]), looks, 0);
    assert!(is_called(&mut call));
    let mut other = line.sleep(ticket + 1, who(2, &["rust"]), looks, 0);
    assert!(!is_called(&mut other), "there was one task only");
}

#[test]
fn nobody_dozes_off_beside_something_to_do_or_before_it_is_known_that_there_is_nothing() {
    let mut line = Line::default();
    let ticket = line.ticket();
    let agent = who(1, &["rust"]);
    assert!(line.doze(ticket, agent.clone()).is_none(), "nobody has looked yet");
    line.call(line.hints(), ready(&[(&["rust", "go"], 3)]));
    let mut call = line.doze(ticket, agent.clone()).expect("it can do none of these");
    assert!(line.is_unproven(ticket) && !is_called(&mut call));
    line.proven([ticket].into_iter());
    assert!(!line.is_unproven(ticket));

    line.hint();
    assert!(line.doze(ticket + 1, agent.clone()).is_none(), "something became ready");
    line.call(line.hints(), ready(&[(&["rust"], 2)]));
    assert!(is_called(&mut call));
    assert!(line.doze(ticket + 1, agent.clone()).is_none(), "one task is left");
    line.call(line.hints(), Vec::new());
    assert!(line.doze(ticket + 1, agent.clone()).is_some());
    line.blind();
    assert!(line.doze(ticket + 2, agent).is_none(), "the last look failed");
}

#[test]
fn an_agent_that_changed_is_forgotten_and_its_claims_are_called() {
    let mut line = Line::default();
    let (one, other) = (who(1, &[]), who(2, &[]));
    remembered(&mut line, &one);
    remembered(&mut line, &other);
    let (_, mut first) = sleeper(&mut line, one.clone());
    let (_, mut second) = sleeper(&mut line, other.clone());
    line.wake_agents(&[one.agent]);
    assert!(is_called(&mut first) && !is_called(&mut second));
    assert!(line.recall(one.key).is_none() && line.recall(other.key).is_some());
}

/// Its claim saw what it was able to do before; the watcher saw the change before it was asleep.
#[test]
fn an_agent_that_changed_while_it_looked_for_itself_looks_again() {
    let mut line = Line::default();
    line.begin();
    line.call(0, Vec::new());
    let agent = who(1, &[]);
    let (ticket, looks) = (line.ticket(), line.looks());
    line.wake_agents(&[agent.agent]);
    line.call(0, Vec::new());
    let token = crate::domain::access::token::Token::new(
        crate::domain::ids::WorkspaceId(Uuid::nil()),
        agent.key,
        [7; 32],
    );
    let known = Known { secret: token.hash(), agent: agent.agent, owner: None, able: able(&[]) };
    line.remember(agent.key, known, looks);
    assert!(line.recall(agent.key).is_none(), "what was known is not true any more");
    assert!(is_called(&mut line.sleep(ticket, agent.clone(), looks, 0)));
    let looks = line.looks();
    assert!(!is_called(&mut line.sleep(ticket, agent, looks, 1)), "it has looked since");
}

/// Before its first look a watcher does not see agents change.
#[test]
fn whoever_looked_before_the_first_look_looks_again() {
    let mut line = Line::default();
    let (_, mut asleep) = sleeper(&mut line, who(1, &[]));
    let (ticket, looks) = (line.ticket(), line.looks());
    line.begin();
    line.call(0, Vec::new());
    assert!(is_called(&mut asleep));
    assert!(is_called(&mut line.sleep(ticket, who(2, &[]), looks, 0)));
    let (_, mut later) = sleeper(&mut line, who(3, &[]));
    assert!(!is_called(&mut later));
}

/// A look that comes while somebody looks for itself must count it: the next look would find nothing
/// new.
#[test]
fn a_seat_counts_before_anybody_is_asleep_on_it() {
    let mut line = Line::default();
    let (first, second) = (line.ticket(), line.ticket());
    let _call = line.sleep(first, who(1, &[]), 0, 0);
    assert_eq!(line.asks(true), Some(2));
    line.leave(second);
    assert_eq!(line.asks(true), Some(1));
    line.call(0, Vec::new());
    assert_eq!(line.asks(false), None, "nothing changed");
}

/// While nobody sleeps it does not matter what is ready; it does as soon as somebody falls asleep.
#[test]
fn what_was_not_asked_for_nobody_is_asked_for_the_next_to_sleep() {
    let mut line = Line::default();
    let ticket = line.ticket();
    assert_eq!(line.asks(true), None);
    line.looked(0);
    assert!(line.is_unseen());
    assert!(line.doze(ticket, who(1, &[])).is_none(), "nobody knows that there is nothing");
    let _call = line.sleep(ticket, who(1, &[]), 0, 0);
    assert_eq!(line.asks(false), Some(1));
    line.call(0, Vec::new());
    assert!(!line.is_unseen());
}

#[test]
fn what_leaves_is_gone_and_what_is_not_used_is_forgotten() {
    let mut line = Line::default();
    let agent = who(1, &["rust"]);
    remembered(&mut line, &agent);
    line.call(line.hints(), Vec::new());
    let ticket = line.ticket();
    let mut call = line.doze(ticket, agent.clone()).unwrap();
    line.leave(ticket);
    assert_eq!(call.try_recv(), Err(TryRecvError::Closed));
    assert!(line.len() == 0 && line.newcomers().is_empty());
    line.tidy();
    assert!(line.recall(agent.key).is_some(), "it was used just now");
    line.known.clear();
    drop(agent);
    line.tidy();
    assert!(line.abilities.is_empty());
}

#[test]
fn the_rest_grows_and_ends() {
    assert!(rest(0) < rest(1));
    assert_eq!(rest(40), REST_MAX);
}

proptest! {
    /// No task is called for twice, nobody is called for what it cannot do, and nobody who could
    /// do what is left over stays asleep.
    #[test]
    fn a_call_is_exact(
        sleepers in prop::collection::vec(prop::collection::vec(0usize..3, 0..3), 0..12),
        sets in prop::collection::btree_map(prop::collection::btree_set(0usize..3, 0..3), 0i64..4, 0..5),
    ) {
        const WORDS: [&str; 3] = ["a", "b", "c"];
        let mut line = Line::default();
        let mut calls: Vec<(Vec<&str>, Call)> = Vec::new();
        for (number, words) in sleepers.iter().enumerate() {
            let words: Vec<&str> = words.iter().map(|w| WORDS[*w]).collect();
            let call = sleeper(&mut line, who(number as u8, &words)).1;
            calls.push((words, call));
        }
        let all: Vec<ReadySet> = sets.iter().map(|(words, count)| ReadySet {
            capabilities: words.iter().map(|w| WORDS[*w].to_owned()).collect(),
            keeping: Keeping::Anybody,
            count: *count,
        }).collect();
        let total: i64 = all.iter().map(|set| set.count).sum();
        line.call(0, all);
        let left: i64 = line.ready.iter().map(|set| set.count).sum();
        let mut woken = 0;
        for (words, call) in &mut calls {
            let able = able(words);
            if is_called(call) {
                woken += 1;
                prop_assert!(sets.keys().any(|set| set.iter().all(|w| words.contains(&WORDS[*w]))));
            } else {
                prop_assert!(!super::any(&line.ready, &able, who(0, &[]).agent));
            }
        }
        prop_assert_eq!(total - left, woken);
    }
}
