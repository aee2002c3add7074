//! Many who change the order of one goal at the same time: the graph stays without a circle, and each
//! dependency that was promised is there once.
//!
//! Sixteen threads give random tasks random needs, in leaves and containers, and add tasks that need others,
//! at two processes. A barrier divides them into rounds, in which each thread has a task of its own: so after a
//! round it is known which needs every task has, whatever the interleaving was. A seed repeats the requests.
//! `MUSTER_EDGE_ROUNDS` says how many rounds there are, 60 by default; a thousand take some minutes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sqlx::{PgPool, Row as _};
use tokio::task::JoinSet;

use crate::support::{
    client::Client,
    fleet::{Fleet, router, seed, text},
    invariants::verify,
};

const THREADS: usize = 16;
const LEAVES: usize = 20;
const CONTAINERS: usize = 4;
/// A round in so many adds a task.
const ADDS_EVERY: usize = 20;

fn rounds() -> usize {
    let given = std::env::var("MUSTER_EDGE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    given.unwrap_or(60)
}

/// The needs of each task, by ref.
type Needs = BTreeMap<String, BTreeSet<String>>;

/// A task as it is stored.
#[derive(Debug)]
struct Stored {
    parent: Option<String>,
    container: bool,
    state: String,
    needs_unmet: i32,
    needs: Vec<String>,
}

async fn stored(pool: &PgPool, goal: &str) -> BTreeMap<String, Stored> {
    let rows = sqlx::query(
        "select t.ref, p.ref as parent, t.container, t.state, t.needs_unmet,
                array(select n.ref from dependencies d join tasks n using (workspace_id)
                      where d.workspace_id = t.workspace_id and d.task_id = t.task_id
                        and n.task_id = d.needs_task_id and d.satisfied_at is null order by n.ref) as needs
         from tasks t left join tasks p on p.workspace_id = t.workspace_id and p.task_id = t.parent_id
         where t.goal_id = $1::uuid",
    )
    .bind(goal)
    .fetch_all(pool)
    .await
    .unwrap();
    let task = |row: &sqlx::postgres::PgRow| {
        let task = Stored {
            parent: row.get("parent"),
            container: row.get("container"),
            state: row.get("state"),
            needs_unmet: row.get("needs_unmet"),
            needs: row.get("needs"),
        };
        (row.get("ref"), task)
    };
    rows.iter().map(task).collect()
}

/// Whether some order does every task after what it needs, begins containers before what is inside and ends
/// them after it.
fn has_an_order(tasks: &BTreeMap<String, Stored>) -> bool {
    // Two points a task: it begins, it ends.
    let mut before: BTreeMap<(&str, bool), BTreeSet<(&str, bool)>> = BTreeMap::new();
    for (name, task) in tasks {
        before.entry((name, false)).or_default();
        before.entry((name, true)).or_default().insert((name, false));
        for need in &task.needs {
            before.entry((name, false)).or_default().insert((need, true));
        }
        if let Some(parent) = &task.parent {
            before.entry((name, false)).or_default().insert((parent, false));
            before.entry((parent, true)).or_default().insert((name, true));
        }
    }
    while !before.is_empty() {
        let left: BTreeSet<(&str, bool)> = before.keys().copied().collect();
        let count = before.len();
        before.retain(|_, first| !first.is_disjoint(&left));
        if before.len() == count {
            return false;
        }
    }
    true
}

/// Panics unless what is stored has the promised needs, an order, and counters that add up.
fn holds(tasks: &BTreeMap<String, Stored>, promised: &Needs, round: usize) {
    let found: Needs = tasks
        .iter()
        .map(|(name, task)| (name.clone(), task.needs.iter().cloned().collect()))
        .collect();
    assert_eq!(
        &found, promised,
        "round {round}: a dependency was lost, or is there that nobody asked for"
    );
    for (name, task) in tasks {
        let own: BTreeSet<&String> = task.needs.iter().collect();
        assert_eq!(own.len(), task.needs.len(), "round {round}: {name} needs something twice");
        let closed = |task: &Stored| task.container && task.state == "waiting";
        let gate = task.parent.as_ref().is_some_and(|parent| closed(&tasks[parent]));
        let unmet = task.needs.len() as i32 + i32::from(gate);
        assert_eq!(task.needs_unmet, unmet, "round {round}: {name} counts wrongly");
        assert_eq!(task.state, "waiting", "round {round}: {name}");
    }
    assert!(has_an_order(tasks), "round {round}: a circle in {tasks:#?}");
}

/// Leaves that start in a far future, some inside containers that wait for the first of them.
fn plan() -> Value {
    let far = "2099-01-01T00:00:00Z";
    let mut tasks: Vec<Value> = vec![json!({"ref": "gate", "title": "t", "not_before": far})];
    for n in 0..CONTAINERS {
        tasks.push(json!({"ref": format!("box{n}"), "title": "t", "needs": ["gate"]}));
    }
    for n in 0..LEAVES {
        let parent = (n < 2 * CONTAINERS).then(|| format!("box{}", n % CONTAINERS));
        tasks.push(
            json!({"ref": format!("t{n}"), "title": "t", "parent": parent, "not_before": far}),
        );
    }
    json!(tasks)
}

/// One request of a round.
#[derive(Debug, Clone)]
enum Change {
    Edit { task: String, id: String, needs: BTreeSet<String> },
    Add { task: String, parent: Option<String>, needs: BTreeSet<String> },
}

fn some(random: &mut StdRng, names: &[String], least: usize) -> BTreeSet<String> {
    let count = random.random_range(least..=3);
    (0..count).map(|_| names[random.random_range(0..names.len())].clone()).collect()
}

/// The changes of a round, each of another task.
fn changes(
    random: &mut StdRng,
    round: usize,
    names: &[String],
    ids: &BTreeMap<String, String>,
) -> Vec<Change> {
    let mut free: Vec<String> = names.iter().filter(|name| *name != "gate").cloned().collect();
    let mut changes = Vec::with_capacity(THREADS);
    for n in 0..THREADS {
        if n == 0 && round.is_multiple_of(ADDS_EVERY) {
            let parent = random.random_range(0..2) == 0;
            let parent = parent.then(|| format!("box{}", random.random_range(0..CONTAINERS)));
            let needs = some(random, names, 1);
            changes.push(Change::Add { task: format!("n{round}"), parent, needs });
            continue;
        }
        let task = free.swap_remove(random.random_range(0..free.len()));
        // A container without needs would open, and keep those it has from then on.
        let least = usize::from(task.starts_with("box"));
        let needs = some(random, names, least);
        let id = ids[&task].clone();
        changes.push(Change::Edit { task, id, needs });
    }
    changes
}

/// Sends a change; returns whether it was accepted. Refused are only those that close a circle.
async fn send(client: Client, goal: Arc<String>, change: Change) -> (Change, bool) {
    let answer = match &change {
        Change::Edit { task: _, id, needs } => {
            client.patch(format!("/v1/tasks/{id}"), &json!({"needs": needs})).if_match("*").await
        }
        Change::Add { task, parent, needs } => {
            let task = json!({"ref": task, "title": "t", "parent": parent, "needs": needs,
                              "not_before": "2099-01-01T00:00:00Z"});
            client.post(format!("/v1/goals/{goal}/tasks"), &json!({"tasks": [task]})).await
        }
    };
    if answer.status.is_success() {
        return (change, true);
    }
    let places = answer.problem(422, "plan_invalid");
    assert!(!places.is_empty(), "{change:?}: a refusal that says nothing");
    (change, false)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn no_interleaving_of_new_edges_closes_a_circle() {
    let seed = seed();
    let fleet = Fleet::seeded(seed).await;
    let goal = Arc::new(fleet.goal(plan()).await);
    let apps = [fleet.app.clone(), fleet.another_app().await];
    let clients: Vec<Client> = (0..THREADS)
        .map(|n| Client::of(router(&apps[n % apps.len()])).with_key(&fleet.admin_key))
        .collect();
    let mut random = StdRng::seed_from_u64(seed);
    let first = stored(&fleet.pool, &goal).await;
    let mut promised: Needs = first
        .iter()
        .map(|(name, task)| (name.clone(), task.needs.iter().cloned().collect()))
        .collect();
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for name in first.keys() {
        ids.insert(name.clone(), fleet.task_id(&goal, name).await);
    }
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..rounds() {
        let names: Vec<String> = promised.keys().cloned().collect();
        let mut asked = JoinSet::new();
        for (n, change) in changes(&mut random, round, &names, &ids).into_iter().enumerate() {
            asked.spawn(send(clients[n].clone(), Arc::clone(&goal), change));
        }
        for (change, taken) in asked.join_all().await {
            let (Change::Edit { task, needs, .. } | Change::Add { task, needs, .. }) =
                change.clone();
            if !taken {
                refused += 1;
                continue;
            }
            accepted += 1;
            if let Change::Add { .. } = change {
                ids.insert(task.clone(), fleet.task_id(&goal, &task).await);
            }
            promised.insert(task, needs);
        }
        holds(&stored(&fleet.pool, &goal).await, &promised, round);
    }
    println!("{accepted} changes of the order were accepted, {refused} refused");
    assert!(accepted > rounds() && refused > rounds(), "hardly anything was tried");
    verify(&fleet.pool).await;
    assert_eq!(text(&fleet.read_goal(&goal).await["state"]), "active");
}
