//! The claim's SQL against the same rules in memory.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use muster::domain::{
    claim::{Candidate, Wish, assign, capabilities, rank},
    ids::AgentId,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    agent::Agent,
    fleet::{Fleet, seed},
    invariants::verify,
};

const CAPABILITIES: &[&str] = &["a", "b", "c", "d"];

fn some(random: &mut StdRng, most: usize) -> Vec<&'static str> {
    let count = random.random_range(0..=most);
    CAPABILITIES.sample(random, count).copied().collect()
}

/// What is ready, in the order in which it would be given away by somebody who looks at
/// everything.
async fn ready(fleet: &Fleet) -> Vec<Candidate<String>> {
    let rows: Vec<(Uuid, String, i16, DateTime<Utc>)> = sqlx::query_as(
        "select task_id, capability_key, priority,
                (select created_at from events e where e.task_id = t.task_id
                 and kind = 'task.ready' order by seq desc limit 1)
         from tasks t where state = 'ready'",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|(task, key, priority, since)| ((rank(since, priority), task), key))
        .collect();
    rows.sort();
    rows.into_iter()
        .map(|((_, task), key)| Candidate { task: task.to_string(), required: capabilities(&key) })
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
        let want = assign(&[wish], &ready(&fleet).await, &slots).remove(0);
        let held = agent.claim(max).await;
        let got: Vec<String> = held.iter().map(|held| held.task.clone()).collect();
        assert_eq!(got, want, "seed {seed}, step {step}");
        mine.extend(held);
        // Some come back and rank anew; time makes the old outrank the important.
        while random.random_bool(0.4) {
            let Some(held) = mine.pop() else { break };
            agent.release(&held).await;
        }
        fleet.pass(random.random_range(0..400));
    }
    verify(&fleet.pool).await;
}
