//! Many who want the same thing at the same time, over TCP, at one process and at two.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::{JoinError, JoinHandle};

use crate::support::{
    agent::Agent,
    fleet::{Fleet, router, serve},
    invariants::verify,
    process::PATIENCE,
};

const AGENTS: usize = 64;

/// The addresses of so many processes on the fleet's database.
async fn processes(fleet: &Fleet, count: usize) -> Vec<String> {
    let mut bases = vec![fleet.listen().await];
    while bases.len() < count {
        bases.push(serve(router(&fleet.another_app().await)).await);
    }
    bases
}

async fn agents(fleet: &Fleet, bases: &[String], max_concurrent: u32) -> Vec<Agent> {
    let mut agents = Vec::new();
    for n in 0..AGENTS {
        let agent = fleet.agent(&format!("agent {n}"), &[], max_concurrent).await;
        agents.push(agent.at(&bases[n % bases.len()]));
    }
    agents
}

fn tasks(count: usize) -> Value {
    (0..count).map(|n| json!({"ref": n.to_string(), "title": "t", "priority": n % 3})).collect()
}

/// What all of them return; whoever waits for something that never comes fails the test.
async fn in_time<T>(tasks: impl Iterator<Item = JoinHandle<T>>) -> Vec<Result<T, JoinError>> {
    let all = tokio::time::timeout(3 * PATIENCE, join_all(tasks)).await;
    all.expect("somebody waits in vain")
}

/// Claims until there is nothing left; each agent asks for another number at a time.
async fn claim_all(agent: Agent, max: u32) -> Vec<(String, String)> {
    let mut got = Vec::new();
    loop {
        let held = agent.claim(max).await;
        if held.is_empty() {
            return got;
        }
        assert!(held.len() <= max as usize);
        got.extend(held.into_iter().map(|held| (held.task, held.lease)));
    }
}

async fn each_task_is_claimed_once(count_of_processes: usize) {
    let fleet = Fleet::start().await;
    let bases = processes(&fleet, count_of_processes).await;
    let agents = agents(&fleet, &bases, 1000).await;
    fleet.goal(tasks(1000)).await;
    let claims = agents
        .into_iter()
        .enumerate()
        .map(|(n, agent)| tokio::spawn(claim_all(agent, 1 + n as u32 % 7)));
    let mut takers: HashMap<String, usize> = HashMap::new();
    let mut leases = HashMap::new();
    for (taker, claimed) in join_all(claims).await.into_iter().enumerate() {
        for (task, lease) in claimed.unwrap() {
            if let Some(other) = takers.insert(task.clone(), taker) {
                panic!("task {task} was given to agents {taker} and {other}");
            }
            assert!(leases.insert(lease, taker).is_none(), "two claims have the same lease");
        }
    }
    assert_eq!(takers.len(), 1000);
    let attempts: (i64, i64) =
        sqlx::query_as("select count(*), count(distinct task_id) from attempts")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(attempts, (1000, 1000));
    verify(&fleet.pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_one_process_each_task_is_claimed_once() {
    each_task_is_claimed_once(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_two_processes_each_task_is_claimed_once() {
    each_task_is_claimed_once(2).await;
}

/// One agent may run three attempts. It claims sixty-four times at once, at two processes, and
/// works; somebody keeps counting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_never_runs_more_than_it_may() {
    let fleet = Fleet::start().await;
    let bases = processes(&fleet, 2).await;
    let agent = fleet.agent("one", &[], 3).await;
    let goal = fleet.goal(tasks(80)).await;
    let over = Arc::new(AtomicBool::new(false));
    let counter = {
        let (pool, over) = (fleet.pool.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                let running: i64 =
                    sqlx::query_scalar("select count(*) from attempts where state = 'running'")
                        .fetch_one(&pool)
                        .await
                        .unwrap();
                most = most.max(running);
            }
            most
        })
    };
    let workers = (0..AGENTS).map(|n| {
        let agent = agent.at(&bases[n % 2]);
        let over = Arc::clone(&over);
        let (pool, goal) = (fleet.pool.clone(), goal.clone());
        tokio::spawn(async move {
            let mut done = 0;
            while !over.load(Ordering::Relaxed) {
                let held = agent.claim(1 + n as u32 % 4).await;
                assert!(held.len() <= 3, "one claim was answered with {}", held.len());
                for held in &held {
                    agent.complete(held).await;
                    done += 1;
                }
                let open: i32 =
                    sqlx::query_scalar("select tasks_open from goals where goal_id = $1::uuid")
                        .bind(&goal)
                        .fetch_one(&pool)
                        .await
                        .unwrap();
                over.fetch_or(open == 0, Ordering::Relaxed);
            }
            done
        })
    });
    let done: usize = in_time(workers).await.into_iter().map(Result::unwrap).sum();
    let most = counter.await.unwrap();
    assert_eq!(done, 80);
    assert!(most <= 3, "{most} attempts ran at once");
    assert_eq!(most, 3, "the agent was never busy: nothing was tested");
    verify(&fleet.pool).await;
}

/// A pipeline: two tasks, a thousand that need both, two that need all of these. Each of the two
/// is offered once, whoever finishes last, and gets every result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_thousand_tasks_is_offered_once() {
    let fleet = Fleet::start().await;
    let bases = processes(&fleet, 2).await;
    let agents = agents(&fleet, &bases, 4).await;
    let middle: Vec<String> = (0..1000).map(|n| format!("part {n}")).collect();
    let mut plan = vec![
        json!({"ref": "left", "title": "t"}),
        json!({"ref": "right", "title": "t"}),
        json!({"ref": "join", "title": "t", "needs": middle, "priority": 9}),
        json!({"ref": "other join", "title": "t", "needs": middle, "priority": 9}),
    ];
    plan.extend(
        middle.iter().map(|part| json!({"ref": part, "title": "t", "needs": ["left", "right"]})),
    );
    let goal = fleet.goal(json!(plan)).await;
    let pool = fleet.pool.clone();
    let workers = agents.into_iter().map(|agent| {
        let (pool, goal) = (pool.clone(), goal.clone());
        tokio::spawn(async move {
            let mut joins = Vec::new();
            loop {
                for held in agent.claim(3).await {
                    agent.complete(&held).await;
                    if held.name.ends_with("join") {
                        joins.push(held);
                    }
                }
                let open: i32 =
                    sqlx::query_scalar("select tasks_open from goals where goal_id = $1::uuid")
                        .bind(&goal)
                        .fetch_one(&pool)
                        .await
                        .unwrap();
                if open == 0 {
                    return joins;
                }
            }
        })
    });
    let joins: Vec<_> = in_time(workers).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(joins.len(), 2);
    for join in joins {
        let needs = join.claim["needs"].as_array().unwrap();
        assert_eq!(needs.len(), 1000);
        for need in needs {
            assert_eq!(need["result"]["by"], need["ref"]);
        }
    }
    let offered: Vec<i64> = sqlx::query_scalar(
        "select count(*) from journal where kind = 'task.ready' group by task_id",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    assert_eq!((offered.len(), offered.iter().max()), (1004, Some(&1)));
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify(&fleet.pool).await;
}
