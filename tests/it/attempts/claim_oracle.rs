//! Rules that are applied in SQL, against the same rules in memory: claims and heartbeats.

use std::collections::{BTreeMap, HashMap};

use crate::support::{
    agent::Agent,
    fleet::{Fleet, seed},
    invariants::verify,
};
use chrono::{DateTime, Utc};
use muster::{
    domain::{
        ids::{AgentId, AttemptId, KeyId},
        routing::{
            policy::Policy,
            rank::{Place, rank},
            turns::{Standing, run, starts, stride},
        },
        task::{
            AttemptFacts,
            claim::{Candidate, Funding, Keeping, Wish, assign, capabilities, covers},
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

/// A ready task, with what its place follows from.
#[derive(sqlx::FromRow)]
struct Row {
    task_id: Uuid,
    capability_key: String,
    priority: i16,
    since: DateTime<Utc>,
    upward_ms: i64,
    assigned: Option<Uuid>,
    barred: Option<Uuid>,
    goal_id: Uuid,
    weight: i32,
    goal_priority: i16,
    pass: Option<i64>,
    drained: bool,
}

impl Row {
    fn keeping(&self) -> Keeping {
        Keeping::of(self.assigned.map(AgentId), self.barred.map(AgentId))
    }

    fn place(&self) -> (DateTime<Utc>, Uuid) {
        let Self { since, priority, upward_ms, .. } = *self;
        (rank(&Place { since, priority, upward_ms, due: None }, Policy::Balanced), self.task_id)
    }

    fn candidate(&self) -> Candidate<String> {
        Candidate {
            task: self.task_id.to_string(),
            required: capabilities(&self.capability_key),
            keeping: self.keeping(),
        }
    }
}

async fn ready(fleet: &Fleet) -> Vec<Row> {
    sqlx::query_as(
        "select t.task_id, t.capability_key, t.priority, t.upward_ms, t.goal_id, g.weight,
                g.priority as goal_priority, u.pass, coalesce(u.drained, true) as drained,
                (select at from journal e where e.task_id = t.task_id
                 and kind = 'task.ready' order by number desc limit 1) as since,
                t.assigned_agent_id as assigned, t.barred_agent_id as barred
         from tasks t join goals g using (workspace_id, goal_id)
         left join goal_turns u using (workspace_id, goal_id)
         where t.state = 'ready' order by t.task_id",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap()
}

/// The ready tasks in the order in which `wanted` would be given to an agent by somebody who looks at everything: by
/// the turns of the goals that have tasks of its capabilities, and inside a goal by rank.
async fn in_turn(
    fleet: &Fleet,
    agent: AgentId,
    able: &[String],
    wanted: u32,
) -> Vec<Candidate<String>> {
    let mut goals: BTreeMap<Uuid, Vec<Row>> = BTreeMap::new();
    for row in ready(fleet).await {
        if covers(able, &capabilities(&row.capability_key)) {
            goals.entry(row.goal_id).or_default().push(row);
        }
    }
    let standing = |rows: &Vec<Row>| Standing {
        pass: rows[0].pass,
        drained: rows[0].drained,
        stride: stride(rows[0].weight, rows[0].goal_priority),
    };
    let standings: Vec<Standing> = goals.values().map(standing).collect();
    let run = run(wanted.into());
    let mut all = Vec::new();
    for (((goal, rows), start), standing) in
        goals.into_iter().zip(starts(&standings)).zip(&standings)
    {
        let mut rows: Vec<Row> =
            rows.into_iter().filter(|row| row.keeping().admits(agent)).collect();
        rows.sort_by_key(Row::place);
        let Some((goal_rank, _)) = rows.first().map(Row::place) else { continue };
        let turn = |(place, row): (usize, Row)| {
            let at = start + place as i64 / run * run * standing.stride;
            ((at, goal_rank, goal, row.place()), row)
        };
        all.extend(rows.into_iter().enumerate().map(turn));
    }
    all.sort_by_key(|(turn, _)| *turn);
    all.iter().map(|(_, row)| row.candidate()).collect()
}

#[tokio::test]
async fn claims_give_what_the_rules_give() {
    // With this one a goal stands still, because what it has is kept for others.
    compare(3_913_999_772_311_347_998).await;
    let seed = seed();
    for round in 0..5 {
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
            let goal = json!({"title": "g", "tasks": tasks, "weight": random.random_range(1..4),
                              "priority": random.random_range(4..7)});
            fleet.post_goal(goal).await;
        }
        let (agent, able, limit) = agents.choose(&mut random).unwrap();
        let mine = running.entry(agent.id.clone()).or_default();
        let max = random.random_range(1..12);
        let id = AgentId(agent.id.parse().unwrap());
        let wish = Wish { agent: id, able: able.clone(), max };
        let slots = HashMap::from([(id, limit - mine.len() as u32)]);
        let wanted = max.min(limit - mine.len() as u32);
        let ready = in_turn(&fleet, id, able, wanted).await;
        let want = assign(&[wish], &ready, &slots, |_, _| Funding::Granted).remove(0);
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
    let ready: Vec<_> = ready(fleet).await.iter().map(Row::candidate).collect();
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
