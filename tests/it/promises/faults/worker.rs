//! Workers: agents that claim, beat, report spend and end their attempts, again and again.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    client::Client,
    history::{Entry, Given, Told, What},
};
use crate::support::fleet::text;

/// The shortest lease there is: what nobody holds comes back soon.
pub const LEASE_SECONDS: u32 = 1;

/// A claimed task, and the token that must be shown.
#[derive(Debug, Clone)]
pub struct Held {
    pub given: Given,
    pub lease: String,
}

/// How a claim is made.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Its `Idempotency-Key`.
    pub key: Option<String>,
    pub max: usize,
    /// How long it waits for the first task.
    pub wait_seconds: u32,
    pub lease_seconds: u32,
}

impl Wish {
    /// One task, with the shortest lease, if there is one now.
    pub fn one() -> Self {
        Self { key: None, max: 1, wait_seconds: 0, lease_seconds: LEASE_SECONDS }
    }
}

/// Claims tasks.
pub async fn claim(client: &Client, wish: Wish) -> Vec<Held> {
    let Wish { key, max, wait_seconds, lease_seconds } = wish;
    let body = json!({"max": max, "lease_seconds": lease_seconds, "wait_seconds": wait_seconds});
    let what = What::Claim { key, max };
    let read = |status: u16, body: &Value| {
        assert!(matches!(status, 200 | 204), "a claim was answered {status}: {body}");
        Told::Claimed(held(body).into_iter().map(|held| held.given).collect())
    };
    let (_, body) = client.ask(what, "/v1/claims", &body, read).await;
    held(&body)
}

fn held(body: &Value) -> Vec<Held> {
    let of = |claim: &Value| Held {
        given: Given {
            task: text(&claim["task"]["id"]),
            attempt: text(&claim["attempt_id"]),
            number: claim["number"].as_i64().unwrap(),
        },
        lease: text(&claim["lease"]),
    };
    body["claims"].as_array().into_iter().flatten().map(of).collect()
}

/// What a write was told: stored, or that the attempt is over.
fn written(status: u16, body: &Value) -> Told {
    if status == 200 {
        return Told::Stored { late: body["late"] == true };
    }
    let code = text(&body["code"]);
    assert_eq!((status, code.as_str()), (409, "lease_lost"), "a write was refused: {body}");
    Told::Refused(code)
}

async fn write(client: &Client, held: &Held, verb: &str, what: What, mut body: Value) -> bool {
    body["lease"] = json!(held.lease);
    let path = format!("/v1/attempts/{}/{verb}", held.given.attempt);
    let (told, _) = client.ask(what, &path, &body, written).await;
    matches!(told, Told::Stored { .. })
}

/// Keeps the lease; false: it is lost.
pub async fn beat(client: &Client, held: &Held, checkpoint: i64) -> bool {
    let what = What::Heartbeat { attempt: held.given.attempt.clone(), checkpoint };
    write(client, held, "heartbeat", what, json!({"checkpoint": checkpoint})).await
}

/// Charges an entry; it is never refused.
pub async fn spend(client: &Client, held: &Held, entry: Entry) {
    let body = json!({"entries": entries(&entry)});
    let attempt = held.given.attempt.clone();
    let stored = write(client, held, "spend", What::Spend { attempt, entry }, body).await;
    assert!(stored, "spend was refused");
}

fn entries(entry: &Entry) -> Value {
    json!([{"key": entry.key, "amounts": {"credits": entry.amount}}])
}

/// Hands in a result, with a last entry; false: the lease was lost.
pub async fn complete(client: &Client, held: &Held, result: i64) -> bool {
    let entry = Entry { key: "last".to_owned(), amount: 1 + result % 7 };
    let body = json!({"result": result, "spend": {"entries": entries(&entry)}});
    let attempt = held.given.attempt.clone();
    write(client, held, "complete", What::Complete { attempt, result, entry }, body).await
}

/// Gives the task back; false: the lease was lost.
pub async fn release(client: &Client, held: &Held) -> bool {
    let what = What::Release { attempt: held.given.attempt.clone() };
    write(client, held, "release", what, json!({})).await
}

/// Works until told to stop. Half of the workers send their claims with an `Idempotency-Key`.
pub async fn work(client: Client, seed: u64, over: watch::Receiver<bool>) {
    let mut random = StdRng::seed_from_u64(seed);
    let keyed: bool = random.random();
    let mut number = 0;
    while !*over.borrow() {
        number += 1;
        let key = keyed.then(|| format!("claim-{}-{number}", client.agent));
        let wish = Wish { key, max: random.random_range(1..4), wait_seconds: 1, ..Wish::one() };
        for held in claim(&client, wish).await {
            attempt(&client, &held, &mut random).await;
        }
    }
}

async fn attempt(client: &Client, held: &Held, random: &mut StdRng) {
    for n in 0..random.random_range(0..3) {
        let entry = Entry { key: format!("step-{n}"), amount: random.random_range(1..100) };
        spend(client, held, entry).await;
        if !beat(client, held, n).await {
            return;
        }
    }
    // Some hand the task back, and some forget about it.
    match random.random_range(0..40) {
        0 => _ = release(client, held).await,
        1 => {}
        _ => _ = complete(client, held, random.random_range(0..1_000_000)).await,
    }
}
