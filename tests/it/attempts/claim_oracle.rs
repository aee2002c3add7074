//! Rules that are applied in SQL, against the same rules in memory: claims and heartbeats.

use std::collections::HashMap;

use crate::support::{
    agent::Agent,
    fleet::{Fleet, seed},
    invariants::verify,
};
use chrono::{DateTime, Utc};
use muster::{
    domain::{
        ids::{AgentId, AttemptId, KeyId},
        task::{
            AttemptFacts,
            claim::{Candidate, Funding, Keeping, Wish, assign, capabilities, covers, rank},
            heartbeat,
            holder::Holder,
        },
    },
    store::attempts::{self, heartbeat::Beat},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use uuid::Uuid;

const CAPABILITIES: &[&str] = &["a", "b", "c", "d"];

fn some(random: &mut StdRng, most: usize) -> Vec<&'static str> {
    let count = random.random_range(0..=most);
    CAPABILITIES.sample(random, count).copied().collect()
}

/// A ready task: id, required capabilities, priority, since when, kept for and from whom.
type Row = (Uuid, String, i16, DateTime<Utc>, Option<Uuid>, Option<Uuid>);

/// What is ready, in the order in which it would be given away by somebody who looks at
/// everything.
async fn ready(fleet: &Fleet) -> Vec<Candidate<String>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select task_id, capability_key, priority,
                (select at from journal e where e.task_id = t.task_id
                 and kind = 'task.ready' order by number desc limit 1),
                assigned_agent_id, barred_agent_id
         from tasks t where state = 'ready'",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|(task, key, priority, since, assigned, barred)| {
            let keeping = Keeping::of(assigned.map(AgentId), barred.map(AgentId));
            ((rank(since, priority), task), key, keeping)
        })
        .collect();
    rows.sort_by_key(|(place, ..)| *place);
    rows.into_iter()
        .map(|((_, task), key, keeping)| Candidate {
            task: task.to_string(),
            required: capabilities(&key),
            keeping,
        })
        .collect()
}

#[tokio::test]
async fn claims_give_what_the_rules_give() {
    let seed = seed();
    for round in 0..6 {
        compare(seed.wrapping_add(round)).await;
    }
}

async fn compare(seed: u64) {
    let fleet = Fleet::seeded(seed).await;
    let mut random = StdRng::seed_from_u64(seed);
    let mut agents: Vec<(Agent, Vec<String>, u32)> = Vec::new();
    for n in 0..4 {
        let able = some(&mut random, 4);
        let limit = random.random_range(1..40);
        let agent = fleet.agent(&n.to_string(), &able, limit).await;
        agents.push((agent, able.into_iter().map(str::to_owned).collect(), limit));
    }
    let mut running: HashMap<String, Vec<_>> = HashMap::new();
    for step in 0..25 {
        if step % 5 == 0 {
            let tasks: Value = (0..random.random_range(1..30))
                .map(|n| {
                    json!({"ref": n.to_string(), "title": "t",
                           "priority": random.random_range(0..10),
                           "capabilities": some(&mut random, 2)})
                })
                .collect();
            fleet.goal(tasks).await;
        }
        let (agent, able, limit) = agents.choose(&mut random).unwrap();
        let mine = running.entry(agent.id.clone()).or_default();
        let max = random.random_range(1..12);
        let id = AgentId(agent.id.parse().unwrap());
        let wish = Wish { agent: id, able: able.clone(), max };
        let slots = HashMap::from([(id, limit - mine.len() as u32)]);
        let want = assign(&[wish], &ready(&fleet).await, &slots, |_, _| Funding::Granted).remove(0);
        let held = agent.claim(max).await;
        let got: Vec<String> = held.iter().map(|held| held.task.clone()).collect();
        assert_eq!(got, want, "seed {seed}, step {step}");
        mine.extend(held);
        // Some come back and rank anew; time makes the old outrank the important. Some are taken away,
        // and are then for others.
        while random.random_bool(0.4) {
            let Some(held) = mine.pop() else { break };
            if random.random_bool(0.7) {
                agent.release(&held).await;
            } else {
                let path = format!("/v1/tasks/{}/reassign", held.task);
                fleet.admin.post(path, &json!({})).await.expect(200);
            }
        }
        if random.random_bool(0.5) {
            reassign(&fleet, &mut random, &agents).await;
        }
        fleet.pass(random.random_range(0..400));
    }
    verify(&fleet.pool).await;
}

/// Keeps a task for an agent that is able to do it, or for anybody.
async fn reassign(fleet: &Fleet, random: &mut StdRng, agents: &[(Agent, Vec<String>, u32)]) {
    let ready = ready(fleet).await;
    let Some(task) = ready.choose(random) else { return };
    let able = |(_, able, _): &&(Agent, Vec<String>, u32)| covers(able, &task.required);
    let able: Vec<_> = agents.iter().filter(able).collect();
    let to = able.choose(random).filter(|_| random.random_bool(0.8));
    let body = json!({"agent_id": to.map(|(agent, ..)| &agent.id)});
    fleet.admin.post(format!("/v1/tasks/{}/reassign", task.task), &body).await.expect(200);
}

/// The rule of a lease that is moved on is written in SQL once more; here are both, at the edges.
#[tokio::test]
async fn a_beat_moves_a_lease_as_the_rule_says() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let mut random = StdRng::seed_from_u64(seed());
    let tasks: Value =
        (0..40).map(|n| json!({"ref": n.to_string(), "title": "t", "lease_seconds": 60})).collect();
    fleet.goal(tasks).await;
    let held = agent.claim(40).await;
    let workspace = fleet.workspace;
    let mut tx = fleet.tx().await;
    for held in &held {
        let lease_ms: i64 = *[1_000, 60_000, 600_000].choose(&mut random).unwrap();
        let mut around = |spread: i64| {
            fleet.now() + chrono::TimeDelta::milliseconds(random.random_range(-spread..=spread))
        };
        let (expires, deadline) = (around(120_000), around(700_000));
        let attempt = AttemptId(held.attempt.parse().unwrap());
        sqlx::query(
            "update attempts set lease_ms = $2, lease_expires_at = $3, hard_deadline = $4
             where attempt_id = $1",
        )
        .bind(attempt.0)
        .bind(lease_ms)
        .bind(expires)
        .bind(deadline)
        .execute(tx.conn())
        .await
        .unwrap();
        let before = attempts::lock(&mut tx, &[attempt]).await.unwrap().remove(0);
        let beat = Beat {
            attempt_id: attempt,
            holder: before.holder,
            lease_sha256: before.lease_sha256.clone().try_into().unwrap(),
            progress: None,
            checkpoint: None,
            steps: None,
        };
        let now = fleet.now();
        let stranger = Beat { holder: Holder::Agent(AgentId(Uuid::nil())), ..beat.clone() };
        let person = Beat { holder: Holder::Key(KeyId(Uuid::nil())), ..beat.clone() };
        let guesser = Beat { lease_sha256: [0; 32], ..beat.clone() };
        for wrong in [stranger, person, guesser] {
            let heard =
                attempts::heartbeat::renew(&mut tx, workspace, Some(now), &[wrong]).await.unwrap();
            assert!(heard.is_empty(), "somebody else's attempt was renewed");
        }
        let after = attempts::heartbeat::renew(&mut tx, workspace, Some(now), &[beat])
            .await
            .unwrap()
            .remove(0);
        let lease_expires_at = heartbeat::renewed(&before, now);
        assert_eq!(after.attempt, AttemptFacts { lease_expires_at, ..before });
    }
    let ended = AttemptId(held[0].attempt.parse().unwrap());
    agent.release(&held[0]).await;
    let facts = attempts::lock(&mut tx, &[ended]).await.unwrap().remove(0);
    let beat = Beat {
        attempt_id: ended,
        holder: facts.holder,
        lease_sha256: facts.lease_sha256.try_into().unwrap(),
        progress: None,
        checkpoint: None,
        steps: None,
    };
    let heard =
        attempts::heartbeat::renew(&mut tx, workspace, Some(fleet.now()), &[beat]).await.unwrap();
    assert!(heard.is_empty(), "an attempt that has ended was renewed");
}
