//! The rule of overlap is the same in the service and in the database: a task that the search leaves out is one that
//! could not start.

use std::collections::BTreeMap;

use muster::domain::gate::resource::{Touch, TouchMode, overlap};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    database::fresh_database,
    fleet::{Fleet, seed},
};

const PARTS: &[&str] =
    &["a", "ab", "b", "*", "**", "?", "a*", "*b", "a?", "_", "%", "\\", "ä", "**/", "***", "a?**"];

fn resource(random: &mut StdRng) -> String {
    let count = random.random_range(1..5);
    let parts: Vec<&str> = (0..count).map(|_| PARTS[random.random_range(0..PARTS.len())]).collect();
    parts.join(if random.random() { "/" } else { "" })
}

#[tokio::test]
async fn the_search_and_the_service_have_one_rule() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let mut random = StdRng::seed_from_u64(seed());
    let pairs: Vec<(String, String)> =
        (0..50_000).map(|_| (resource(&mut random), resource(&mut random))).collect();
    let (a, b): (Vec<String>, Vec<String>) = pairs.iter().cloned().unzip();
    let found: Vec<bool> = sqlx::query_scalar(
        "select resources_overlap(a, b) from unnest($1::text[], $2::text[]) with ordinality as p (a, b, n)
         order by n",
    )
    .bind(a)
    .bind(b)
    .fetch_all(&pool)
    .await
    .unwrap();
    let mut met = 0;
    for ((a, b), found) in pairs.iter().zip(found) {
        assert_eq!(found, overlap(a, b), "`{a}` and `{b}`");
        met += usize::from(found);
    }
    assert!((1_000..49_000).contains(&met), "{met} of {}: nothing was tested", pairs.len());
}

/// Resources of some owners, each once per owner.
fn touches(random: &mut StdRng, owners: &[Uuid], most: usize) -> Vec<(Uuid, Touch)> {
    let mut touches: BTreeMap<(Uuid, String), TouchMode> = BTreeMap::new();
    // Longer than what the index has of a name, and behind every other character.
    let (long, wide) = ("long/".repeat(20), "ä".repeat(63));
    let under = ["", "", "a/", long.as_str(), wide.as_str(), "a\u{10ffff}/"];
    for owner in owners {
        for _ in 0..random.random_range(1..=most) {
            let under = under[random.random_range(0..under.len())];
            let name = format!("{under}{}", resource(random));
            let shared = random.random();
            let mode = if shared { TouchMode::Shared } else { TouchMode::Exclusive };
            touches.insert((*owner, name), mode);
        }
    }
    touches.into_iter().map(|((owner, resource), mode)| (owner, Touch { resource, mode })).collect()
}

async fn insert(fleet: &Fleet, sql: &'static str, touches: &[(Uuid, Touch)]) {
    sqlx::query(sql)
        .bind(fleet.workspace.0)
        .bind(touches.iter().map(|(owner, _)| *owner).collect::<Vec<_>>())
        .bind(touches.iter().map(|(_, touch)| touch.resource.clone()).collect::<Vec<_>>())
        .bind(touches.iter().map(|(_, touch)| touch.mode.as_str().to_owned()).collect::<Vec<_>>())
        .execute(&fleet.pool)
        .await
        .unwrap();
}

/// The indexes by which the search finds what is held miss nothing, and find nothing twice.
#[tokio::test]
async fn the_search_finds_whatever_is_held_in_the_way() {
    let fleet = Fleet::start().await;
    let mut random = StdRng::seed_from_u64(seed());
    let tasks: Value = (0..50).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect();
    fleet.goal(tasks).await;
    let tasks: Vec<Uuid> =
        sqlx::query_scalar("select task_id from tasks").fetch_all(&fleet.pool).await.unwrap();
    let attempts: Vec<Uuid> = (0..100).map(|_| Uuid::from_u128(random.random())).collect();
    let wanted = touches(&mut random, &tasks, 3);
    let held = touches(&mut random, &attempts, 3);
    insert(
        &fleet,
        "insert into task_touches (workspace_id, task_id, resource, mode)
         select $1, n.* from unnest($2::uuid[], $3::text[], $4::text[]) as n",
        &wanted,
    )
    .await;
    insert(
        &fleet,
        "insert into resource_grants (workspace_id, scope_id, granted_at, attempt_id, resource, mode)
         select $1, $1, now(), n.* from unnest($2::uuid[], $3::text[], $4::text[]) as n",
        &held,
    )
    .await;
    let mut found: Vec<(Uuid, String, Uuid)> = sqlx::query_as(
        "select t.task_id, g.subject, g.attempt_id
         from tasks t cross join lateral gates_over($1, t.task_id, now()) g",
    )
    .bind(fleet.workspace.0)
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    found.sort_unstable();
    let mut expected: Vec<(Uuid, String, Uuid)> = Vec::new();
    for (task, wanted) in &wanted {
        let others = held.iter().filter(|(_, held)| held.conflicts(wanted));
        expected.extend(others.map(|(attempt, _)| (*task, wanted.resource.clone(), *attempt)));
    }
    expected.sort_unstable();
    assert!(expected.len() > 100, "nothing was tested");
    assert_eq!(found, expected);
}
