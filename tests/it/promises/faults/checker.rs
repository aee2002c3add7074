//! Holds what the workers were told against each other and against what is stored.
//!
//! Pure: a history and a state go in, the rules that are broken come out. Each rule is a function
//! that looks for counter-examples; `checker_tests` has a small wrong history for each.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    history::{Call, Entry, Given, History, Told, What},
    stored::{Attempt, Stored},
};

/// Everything that is wrong; empty when nothing is.
pub fn broken(history: &History, stored: &Stored) -> Vec<String> {
    let mut broken = Broken::default();
    numbers_rise(history, &mut broken);
    a_claim_is_given_once(history, &mut broken);
    one_end_per_task(history, stored, &mut broken);
    no_write_after_a_newer_claim(history, &mut broken);
    claims_are_stored(history, stored, &mut broken);
    no_claim_is_doubled(history, stored, &mut broken);
    completions_are_stored(history, stored, &mut broken);
    checkpoints_are_stored(history, stored, &mut broken);
    the_ledger_is_what_was_reported(history, stored, &mut broken);
    goals_are_there_once(history, stored, &mut broken);
    events_are_in_order(history, stored, &mut broken);
    broken.0
}

#[derive(Debug, Default)]
struct Broken(Vec<String>);

impl Broken {
    fn say(&mut self, rule: &str, what: String) {
        self.0.push(format!("{rule}: {what}"));
    }
}

/// A claim as its worker saw it: from the first time it was sent until it was answered.
struct Claimed<'a> {
    given: &'a Given,
    sent: u64,
    heard: u64,
}

fn claimed(history: &History) -> Vec<Claimed<'_>> {
    let mut first_sent: BTreeMap<&str, u64> = BTreeMap::new();
    for call in &history.calls {
        if let What::Claim { key: Some(key), .. } = &call.what {
            let first = first_sent.entry(key).or_insert(call.sent);
            *first = call.sent.min(*first);
        }
    }
    let mut all = Vec::new();
    for (call, given) in history.claims() {
        let key = key_of(call);
        let sent = key.and_then(|key| first_sent.get(key)).copied().unwrap_or(call.sent);
        all.extend(given.iter().map(|given| Claimed { given, sent, heard: call.heard }));
    }
    all
}

fn key_of(call: &Call) -> Option<&str> {
    match &call.what {
        What::Claim { key, .. } => key.as_deref(),
        _ => None,
    }
}

/// The attempts of a task are numbered in the order of their claims.
fn numbers_rise(history: &History, broken: &mut Broken) {
    let mut by_task: BTreeMap<&str, Vec<Claimed<'_>>> = BTreeMap::new();
    for claim in claimed(history) {
        by_task.entry(claim.given.task.as_str()).or_default().push(claim);
    }
    for (task, claims) in by_task {
        for (place, one) in claims.iter().enumerate() {
            for other in &claims[place + 1..] {
                let (a, b) = (one.given, other.given);
                let same = a.attempt == b.attempt;
                if same != (a.number == b.number) {
                    broken.say("numbers rise", format!("task {task} has {a:?} and {b:?}"));
                }
                let turned = (one.heard < other.sent && a.number > b.number)
                    || (other.heard < one.sent && b.number > a.number);
                if !same && turned {
                    broken.say("numbers rise", format!("task {task}: {a:?} and {b:?} in turn"));
                }
            }
        }
    }
}

/// Nobody is told of an attempt that somebody else was told of; a repeated claim gets the same.
fn a_claim_is_given_once(history: &History, broken: &mut Broken) {
    let mut owners: BTreeMap<&str, (&str, Option<&str>)> = BTreeMap::new();
    let mut by_key: BTreeMap<&str, BTreeSet<&Given>> = BTreeMap::new();
    for (call, given) in history.claims() {
        let key = key_of(call);
        for one in given {
            let asked = (call.agent.as_str(), key);
            let known = *owners.entry(&one.attempt).or_insert(asked);
            if known != asked || (key.is_none() && repeated(history, one) > 1) {
                broken.say("a claim is given once", format!("{one:?} to {known:?}, {asked:?}"));
            }
        }
        let Some(key) = key.filter(|_| !given.is_empty()) else { continue };
        let set: BTreeSet<&Given> = given.iter().collect();
        let first = by_key.entry(key).or_insert_with(|| set.clone());
        if *first != set {
            broken.say("a claim is given once", format!("key {key} got {first:?}, then {set:?}"));
        }
    }
}

fn repeated(history: &History, given: &Given) -> usize {
    let all = history.claims().flat_map(|(_, given)| given);
    all.filter(|other| other.attempt == given.attempt).count()
}

/// A task is finished by one attempt, whoever says so.
fn one_end_per_task(history: &History, stored: &Stored, broken: &mut Broken) {
    let given = history.given();
    let mut ends: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for call in &history.calls {
        let (What::Complete { attempt, .. }, Told::Stored { .. }) = (&call.what, &call.told) else {
            continue;
        };
        let Some(given) = given.get(attempt.as_str()) else { continue };
        ends.entry(given.task.as_str()).or_default().insert(attempt);
    }
    for (id, attempt) in &stored.attempts {
        if attempt.state == "accepted" {
            ends.entry(attempt.task.as_str()).or_default().insert(id);
        }
    }
    for (task, attempts) in ends {
        if attempts.len() > 1 {
            broken.say("one end per task", format!("task {task} ended with {attempts:?}"));
        }
    }
}

/// Once a newer claim of the task was answered, nothing of an older attempt is accepted, except
/// spend that says that it is late.
fn no_write_after_a_newer_claim(history: &History, broken: &mut Broken) {
    let claims = claimed(history);
    let mut newer: BTreeMap<&str, Vec<(i64, u64)>> = BTreeMap::new();
    for claim in &claims {
        newer.entry(&claim.given.task).or_default().push((claim.given.number, claim.heard));
    }
    let given = history.given();
    for call in &history.calls {
        let Told::Stored { late } = call.told else { continue };
        let Some(old) = call.what.attempt().and_then(|attempt| given.get(attempt)) else {
            continue;
        };
        if late && matches!(call.what, What::Spend { .. }) {
            continue;
        }
        let newer = newer.get(old.task.as_str()).into_iter().flatten();
        let Some(by) = newer.into_iter().find(|(n, heard)| *n > old.number && *heard < call.sent)
        else {
            continue;
        };
        // A release is answered again as it was answered first.
        let again = matches!(call.what, What::Release { .. })
            && history.calls.iter().any(|first| first.what == call.what && first.sent < by.1);
        if !again {
            broken.say("no write after a newer claim", format!("{call:?} after attempt {}", by.0));
        }
    }
}

/// What was handed out exists, for the agent that was told.
fn claims_are_stored(history: &History, stored: &Stored, broken: &mut Broken) {
    for (call, given) in history.claims() {
        for one in given {
            let found = stored.attempts.get(&one.attempt);
            let right = found.is_some_and(|found| {
                found.task == one.task && found.number == one.number && found.agent == call.agent
            });
            if !right {
                broken.say("claims are stored", format!("{one:?} is stored as {found:?}"));
            }
        }
    }
}

/// An attempt that nobody was told of stems from a claim that was not answered; one that carried an
/// `Idempotency-Key` and was answered in the end leaves none.
fn no_claim_is_doubled(history: &History, stored: &Stored, broken: &mut Broken) {
    let told = history.given();
    let answered: BTreeSet<&str> = history.claims().filter_map(|(call, _)| key_of(call)).collect();
    let mut lost: BTreeMap<&str, usize> = BTreeMap::new();
    let mut keys: BTreeSet<&str> = BTreeSet::new();
    for call in history.calls.iter().filter(|call| call.told == Told::Unknown) {
        let What::Claim { key, max } = &call.what else { continue };
        let counts = match key {
            Some(key) => !answered.contains(key.as_str()) && keys.insert(key),
            None => true,
        };
        *lost.entry(&call.agent).or_default() += if counts { *max } else { 0 };
    }
    let mut untold: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, attempt) in &stored.attempts {
        if !told.contains_key(id.as_str()) {
            untold.entry(&attempt.agent).or_default().push(id);
        }
    }
    for (agent, attempts) in untold {
        let most = lost.get(agent).copied().unwrap_or(0);
        if attempts.len() > most {
            let what = format!("agent {agent} lost at most {most}, never heard of {attempts:?}");
            broken.say("no claim is doubled", what);
        }
    }
}

/// An acknowledged result is the task's; a refused one is nowhere.
fn completions_are_stored(history: &History, stored: &Stored, broken: &mut Broken) {
    let mut refused: BTreeMap<&str, bool> = BTreeMap::new();
    for call in &history.calls {
        let What::Complete { attempt, result, .. } = &call.what else { continue };
        let always = refused.entry(attempt).or_insert(true);
        *always &= matches!(call.told, Told::Refused(_));
        if !matches!(call.told, Told::Stored { .. }) {
            continue;
        }
        let found = stored.attempts.get(attempt);
        let task = found.and_then(|found| stored.tasks.get(&found.task));
        let kept = found.is_some_and(|a| a.state == "accepted" && a.result == Some(*result))
            && task.is_some_and(|task| task.state == "done" && task.result == Some(*result));
        if !kept {
            broken.say("completions are stored", format!("{call:?}: {found:?}, {task:?}"));
        }
    }
    for (attempt, always) in refused {
        let accepted = stored.attempts.get(attempt).is_some_and(|a| a.state == "accepted");
        if always && accepted {
            broken.say("completions are stored", format!("{attempt} was refused, and is stored"));
        }
    }
}

/// The stored checkpoint is the last acknowledged one, or one sent after it whose fate is unknown.
fn checkpoints_are_stored(history: &History, stored: &Stored, broken: &mut Broken) {
    let mut beats: BTreeMap<&str, Vec<(&Call, i64)>> = BTreeMap::new();
    for call in &history.calls {
        if let What::Heartbeat { attempt, checkpoint } = &call.what {
            beats.entry(attempt).or_default().push((call, *checkpoint));
        }
    }
    for (attempt, mut beats) in beats {
        beats.sort_by_key(|(call, _)| call.sent);
        let stored_one = |(call, _): &(&Call, i64)| matches!(call.told, Told::Stored { .. });
        let last = beats.iter().rposition(stored_one);
        let possible: BTreeSet<Option<i64>> = beats[last.unwrap_or(0)..]
            .iter()
            .filter(|(call, _)| !matches!(call.told, Told::Refused(_)))
            .map(|(_, checkpoint)| Some(*checkpoint))
            .chain(last.is_none().then_some(None))
            .collect();
        let found = stored.attempts.get(attempt).and_then(|attempt| attempt.checkpoint);
        if !possible.contains(&found) {
            let what = format!("{attempt} has {found:?}, not one of {possible:?}");
            broken.say("checkpoints are stored", what);
        }
    }
}

/// Per attempt, task and in all: what was acknowledged is recorded, and nothing that nobody sent or
/// that was refused. The total of a task is the sum of its entries.
fn the_ledger_is_what_was_reported(history: &History, stored: &Stored, broken: &mut Broken) {
    const RULE: &str = "the ledger is what was reported";
    let mut sure: BTreeSet<(&str, &Entry)> = BTreeSet::new();
    let mut possible: BTreeSet<(&str, &Entry)> = BTreeSet::new();
    for call in &history.calls {
        let (Some(attempt), Some(entry)) = (call.what.attempt(), call.what.entry()) else {
            continue;
        };
        match call.told {
            Told::Stored { .. } => {
                sure.insert((attempt, entry));
                possible.insert((attempt, entry));
            }
            Told::Unknown => {
                possible.insert((attempt, entry));
            }
            Told::Refused(_) | Told::Claimed(_) | Told::Posted(_) => {}
        }
    }
    let recorded: Vec<(&str, &Entry)> = entries(stored).collect();
    let set: BTreeSet<(&str, &Entry)> = recorded.iter().copied().collect();
    if set.len() != recorded.len() {
        broken.say(RULE, "an entry is recorded twice".to_owned());
    }
    for lost in sure.difference(&set) {
        broken.say(RULE, format!("{lost:?} was acknowledged and is not recorded"));
    }
    for made_up in set.difference(&possible) {
        broken.say(RULE, format!("{made_up:?} is recorded, and nobody can have reported it"));
    }
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for attempt in stored.attempts.values() {
        *sums.entry(&attempt.task).or_default() += spent(attempt);
    }
    for (id, task) in &stored.tasks {
        let sum = sums.get(id.as_str()).copied().unwrap_or(0);
        if task.spend != sum {
            broken.say(RULE, format!("task {id} spent {sum}, and its total is {}", task.spend));
        }
    }
}

fn entries(stored: &Stored) -> impl Iterator<Item = (&str, &Entry)> {
    stored
        .attempts
        .iter()
        .flat_map(|(id, attempt)| attempt.entries.iter().map(move |entry| (id.as_str(), entry)))
}

fn spent(attempt: &Attempt) -> i64 {
    attempt.entries.iter().map(|entry| entry.amount).sum()
}

/// A goal that was taken on exists once, under the id that was told.
fn goals_are_there_once(history: &History, stored: &Stored, broken: &mut Broken) {
    const RULE: &str = "goals are there once";
    for (title, ids) in &stored.goals {
        if ids.len() > 1 {
            broken.say(RULE, format!("goal {title} is there as {ids:?}"));
        }
    }
    for call in &history.calls {
        let (What::Post { key }, Told::Posted(id)) = (&call.what, &call.told) else { continue };
        let found = stored.goals.get(key);
        if found.is_none_or(|ids| ids.first() != Some(id)) {
            broken.say(RULE, format!("{key} was told to be {id}, and is {found:?}"));
        }
    }
}

/// Who follows the events sees each, in order, without a gap, and as it is stored.
fn events_are_in_order(history: &History, stored: &Stored, broken: &mut Broken) {
    for (events, whose) in [(&history.events, "read"), (&stored.events, "stored")] {
        for (place, event) in events.iter().enumerate() {
            if event.number != place as i64 + 1 {
                broken.say("events are in order", format!("{whose} {} is {event:?}", place + 1));
                break;
            }
        }
    }
    if history.events != stored.events {
        let (read, kept) = (history.events.len(), stored.events.len());
        broken.say("events are in order", format!("{read} were read, {kept} are stored"));
    }
}
