//! The checker's own tests: a small history that is right, and for each rule one that is wrong.

use super::{
    checker::broken,
    history::{Call, Entry, Event, Given, History, Told, What},
    stored::{Attempt, Stored, Task},
};

fn given(number: i64) -> Given {
    Given { task: "t".into(), attempt: format!("a{number}"), number }
}

fn entry(amount: i64) -> Entry {
    Entry { key: "e".into(), amount }
}

fn call(agent: &str, what: What, told: Told, (sent, heard): (u64, u64)) -> Call {
    Call { agent: agent.into(), what, told, sent, heard }
}

fn claim(agent: &str, number: i64, when: (u64, u64)) -> Call {
    call(agent, What::Claim { key: None, max: 1 }, Told::Claimed(vec![given(number)]), when)
}

fn keyed(agent: &str, key: &str, told: Told, when: (u64, u64)) -> Call {
    call(agent, What::Claim { key: Some(key.into()), max: 1 }, told, when)
}

fn beat(number: i64, checkpoint: i64, told: Told, when: (u64, u64)) -> Call {
    call("x", What::Heartbeat { attempt: format!("a{number}"), checkpoint }, told, when)
}

fn spend(number: i64, amount: i64, told: Told, when: (u64, u64)) -> Call {
    let attempt = format!("a{number}");
    call("x", What::Spend { attempt, entry: entry(amount) }, told, when)
}

fn complete(number: i64, result: i64, told: Told, when: (u64, u64)) -> Call {
    let attempt = format!("a{number}");
    let entry = Entry { key: "last".into(), amount: 1 };
    call("x", What::Complete { attempt, result, entry }, told, when)
}

const OK: Told = Told::Stored { late: false };

fn lost() -> Told {
    Told::Refused("lease_lost".into())
}

/// Agent x loses attempt 1 of the task, and y finishes it with attempt 2.
fn right() -> (History, Stored) {
    let mut calls = vec![
        call("", What::Post { key: "g".into() }, Told::Posted("goal".into()), (0, 1)),
        claim("x", 1, (2, 3)),
        beat(1, 5, OK, (4, 5)),
        beat(1, 6, Told::Unknown, (6, 7)),
        spend(1, 10, Told::Unknown, (8, 9)),
        spend(1, 10, OK, (10, 11)),
        keyed("y", "k", Told::Unknown, (12, 13)),
        keyed("y", "k", Told::Claimed(vec![given(2)]), (14, 15)),
        beat(1, 7, lost(), (16, 17)),
        complete(1, 1, lost(), (18, 19)),
        complete(2, 2, Told::Unknown, (20, 21)),
        complete(2, 2, OK, (22, 23)),
    ];
    calls.last_mut().unwrap().agent = "y".into();
    let attempt = |agent: &str, number, state: &str| Attempt {
        task: "t".into(),
        agent: agent.into(),
        number,
        state: state.into(),
        result: None,
        checkpoint: None,
        entries: Vec::new(),
    };
    let first =
        Attempt { checkpoint: Some(6), entries: vec![entry(10)], ..attempt("x", 1, "expired") };
    let last = Entry { key: "last".into(), amount: 1 };
    let second = Attempt { result: Some(2), entries: vec![last], ..attempt("y", 2, "accepted") };
    let events: Vec<Event> = (1..4).map(|number| Event { number, kind: "k".into() }).collect();
    let stored = Stored {
        attempts: [("a1".into(), first), ("a2".into(), second)].into(),
        tasks: [("t".into(), Task { state: "done".into(), result: Some(2), spend: 11 })].into(),
        goals: [("g".into(), vec!["goal".into()])].into(),
        events: events.clone(),
    };
    (History { calls, events }, stored)
}

#[test]
fn a_right_history_is_right() {
    let (history, stored) = right();
    assert_eq!(broken(&history, &stored), Vec::<String>::new());
}

/// Panics unless the change breaks the rule.
#[track_caller]
fn breaks(rule: &str, change: impl FnOnce(&mut History, &mut Stored)) {
    let (mut history, mut stored) = right();
    change(&mut history, &mut stored);
    let broken = broken(&history, &stored);
    assert!(broken.iter().any(|said| said.starts_with(rule)), "{rule} is not broken: {broken:?}");
}

#[test]
fn numbers_must_rise() {
    // Attempt 2 was answered before attempt 1 was asked for.
    breaks("numbers rise", |history, _| {
        history.calls[1].sent = 30;
        history.calls[1].heard = 31;
    });
    // Two attempts with one number.
    breaks("numbers rise", |history, _| {
        let twin = Given { attempt: "b".into(), ..given(1) };
        history.calls[7].told = Told::Claimed(vec![twin]);
    });
}

#[test]
fn a_claim_must_be_given_once() {
    // Two agents hear of the same attempt.
    breaks("a claim is given once", |history, _| history.calls.push(claim("z", 1, (30, 31))));
    // One agent hears of it twice without having asked for that.
    breaks("a claim is given once", |history, _| history.calls.push(claim("x", 1, (30, 31))));
    // The same request gets something else.
    breaks("a claim is given once", |history, _| {
        let other = Given { task: "u".into(), attempt: "b".into(), number: 1 };
        history.calls.push(keyed("y", "k", Told::Claimed(vec![other]), (30, 31)));
    });
}

#[test]
fn a_task_must_end_once() {
    breaks("one end per task", |history, _| history.calls[9].told = OK);
    breaks("one end per task", |_, stored| {
        stored.attempts.get_mut("a1").unwrap().state = "accepted".into();
    });
}

#[test]
fn nothing_old_may_be_written() {
    const RULE: &str = "no write after a newer claim";
    breaks(RULE, |history, _| history.calls[8].told = OK);
    breaks(RULE, |history, _| history.calls[9].told = OK);
    // Spend is stored late, and must say so.
    breaks(RULE, |history, _| history.calls.push(spend(1, 10, OK, (30, 31))));
    let (mut history, stored) = right();
    history.calls.push(spend(1, 10, Told::Stored { late: true }, (30, 31)));
    assert_eq!(broken(&history, &stored), Vec::<String>::new());
    // What overlaps the newer claim may have come first.
    let (mut history, stored) = right();
    (history.calls[8].told, history.calls[8].sent) = (OK, 14);
    history.calls[8].what = beat(1, 6, OK, (0, 0)).what;
    assert_eq!(broken(&history, &stored), Vec::<String>::new());
    // A release that was not done before.
    breaks(RULE, |history, _| {
        let what = What::Release { attempt: "a1".into() };
        history.calls.push(call("x", what, OK, (30, 31)));
    });
}

#[test]
fn claims_must_be_stored() {
    breaks("claims are stored", |_, stored| _ = stored.attempts.remove("a1"));
    breaks("claims are stored", |_, stored| {
        stored.attempts.get_mut("a1").unwrap().agent = "z".into();
    });
}

#[test]
fn claims_must_not_be_doubled() {
    // The claim with the key was answered, and there is an attempt that nobody heard of.
    breaks("no claim is doubled", |_, stored| {
        let doubled =
            Attempt { number: 3, state: "expired".into(), ..stored.attempts["a2"].clone() };
        stored.attempts.insert("a3".into(), doubled);
    });
    // Without an answer to the key, one attempt is explained.
    let (mut history, mut stored) = right();
    let doubled = Attempt {
        number: 3,
        state: "expired".into(),
        entries: Vec::new(),
        ..stored.attempts["a2"].clone()
    };
    stored.attempts.insert("a3".into(), doubled);
    history.calls.push(keyed("y", "another", Told::Unknown, (30, 31)));
    assert_eq!(broken(&history, &stored), Vec::<String>::new());
}

#[test]
fn completions_must_be_stored() {
    const RULE: &str = "completions are stored";
    breaks(RULE, |_, stored| stored.attempts.get_mut("a2").unwrap().result = Some(3));
    breaks(RULE, |_, stored| stored.tasks.get_mut("t").unwrap().state = "ready".into());
    breaks(RULE, |_, stored| stored.tasks.get_mut("t").unwrap().result = None);
    // Refused each time, and stored all the same.
    breaks(RULE, |history, _| {
        history.calls[10].told = lost();
        history.calls[11].told = lost();
    });
}

#[test]
fn checkpoints_must_be_stored() {
    const RULE: &str = "checkpoints are stored";
    breaks(RULE, |_, stored| stored.attempts.get_mut("a1").unwrap().checkpoint = None);
    // That of a refused heartbeat.
    breaks(RULE, |_, stored| stored.attempts.get_mut("a1").unwrap().checkpoint = Some(7));
    let (history, mut stored) = right();
    stored.attempts.get_mut("a1").unwrap().checkpoint = Some(5);
    assert_eq!(broken(&history, &stored), Vec::<String>::new());
}

#[test]
fn the_ledger_must_be_what_was_reported() {
    const RULE: &str = "the ledger is what was reported";
    // Lost, doubled, made up, and a total that differs.
    breaks(RULE, |_, stored| stored.attempts.get_mut("a1").unwrap().entries.clear());
    breaks(RULE, |_, stored| {
        stored.attempts.get_mut("a1").unwrap().entries.push(entry(10));
        stored.tasks.get_mut("t").unwrap().spend = 21;
    });
    breaks(RULE, |_, stored| {
        stored.attempts.get_mut("a2").unwrap().entries.push(entry(4));
        stored.tasks.get_mut("t").unwrap().spend = 15;
    });
    breaks(RULE, |_, stored| stored.tasks.get_mut("t").unwrap().spend = 12);
    // The spend of a refused completion.
    breaks(RULE, |_, stored| {
        let last = Entry { key: "last".into(), amount: 1 };
        stored.attempts.get_mut("a1").unwrap().entries.push(last);
        stored.tasks.get_mut("t").unwrap().spend = 12;
    });
}

#[test]
fn goals_must_be_there_once() {
    const RULE: &str = "goals are there once";
    breaks(RULE, |_, stored| stored.goals.clear());
    breaks(RULE, |_, stored| stored.goals.get_mut("g").unwrap().push("another".into()));
}

#[test]
fn events_must_be_in_order() {
    const RULE: &str = "events are in order";
    breaks(RULE, |history, _| history.events.swap(0, 1));
    breaks(RULE, |history, _| _ = history.events.remove(1));
    breaks(RULE, |_, stored| _ = stored.events.remove(1));
    breaks(RULE, |history, _| history.events[2].kind = "other".into());
}
