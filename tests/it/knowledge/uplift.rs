//! What lessons change, in fleets whose truth is known.

use serde_json::{Value, json};

use super::learning;
use crate::support::fleet::{Fleet, text};

/// Numbers from 0 to 1 that are the same in every run (Knuth's linear congruence).
struct Drawn(u64);

impl Drawn {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A fleet of 4,000 ended tasks, one of ten in the control group. Half of those succeed; lessons change that by `factor`,
/// and the mean cost by the reciprocal.
async fn simulate(fleet: &Fleet, seed: u64, factor: f64) {
    sqlx::query("delete from lesson_trials").execute(&fleet.pool).await.unwrap();
    let mut drawn = Drawn(seed);
    let (mut with, mut done, mut cost) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..4_000 {
        let control = drawn.next() < 0.1;
        let share = if control { 0.5 } else { 0.5 * factor };
        with.push(!control);
        done.push(drawn.next() < share);
        let mean = if control { 100_000.0 } else { 100_000.0 / factor };
        // Uniform from half the mean to one and a half.
        cost.push((mean * (0.5 + noise(seed, with.len()))) as i64);
    }
    sqlx::query(
        "insert into lesson_trials (workspace_id, source_task, began_at, ended_at, usd_micros, attempts,
                                    with_lessons, done)
         select $1, gen_random_uuid(), $2, $2, cost, 1, with_lessons, done
         from unnest($3::bool[], $4::bool[], $5::bigint[]) as t (with_lessons, done, cost)",
    )
    .bind(fleet.workspace.0)
    .bind(fleet.now())
    .bind(with)
    .bind(done)
    .bind(cost)
    .execute(&fleet.pool)
    .await
    .unwrap();
}

/// Another number for a task, apart from those that decide its arm and its success.
fn noise(seed: u64, task: usize) -> f64 {
    let mut drawn = Drawn(seed.wrapping_mul(31).wrapping_add(task as u64));
    drawn.next();
    drawn.next()
}

async fn report(fleet: &Fleet, query: &str) -> Value {
    fleet.admin.get(format!("/v1/knowledge/uplift{query}")).await.value(200)
}

#[track_caller]
fn covers(interval: &Value, truth: f64) {
    let end = |name: &str| interval[name].as_f64().unwrap();
    assert!(end("low") <= truth && truth <= end("high"), "{truth} is not in {interval}");
    assert!(end("low") <= end("estimate") && end("estimate") <= end("high"), "{interval}");
}

#[tokio::test]
async fn an_uplift_of_a_fifth_is_reported_and_so_is_none() {
    let fleet = learning().await;
    for seed in 1..=7 {
        simulate(&fleet, seed, 1.2).await;
        let uplift = report(&fleet, "").await;
        covers(&uplift["success"]["relative"], 0.2);
        assert_eq!(uplift["success"]["finding"], "better", "{uplift:#}");
        covers(&uplift["cost"]["relative"], 1.0 / 1.2 - 1.0);
        assert_eq!(uplift["cost"]["finding"], "better");
        simulate(&fleet, seed, 1.0).await;
        let uplift = report(&fleet, "").await;
        covers(&uplift["success"]["difference"], 0.0);
        covers(&uplift["success"]["relative"], 0.0);
        assert_eq!(uplift["success"]["finding"], "unclear", "{uplift:#}");
    }
}

#[tokio::test]
async fn too_few_tasks_are_said_to_be_too_few_and_filters_apply() {
    let fleet = learning().await;
    let uplift = report(&fleet, "").await;
    assert_eq!((&uplift["enough"], &uplift["open"]), (&json!(false), &json!(0)));
    assert_eq!(uplift["success"]["finding"], "too_few");
    assert_eq!(uplift["success"]["with"]["value"], Value::Null);
    assert_eq!(uplift["saved"]["answers"], 0);
    simulate(&fleet, 1, 1.2).await;
    let tasks = |uplift: &Value| uplift["success"]["with"]["tasks"].as_i64().unwrap();
    assert!(tasks(&report(&fleet, "?since=2026-03-01T12:00:00Z").await) > 3_000);
    assert_eq!(tasks(&report(&fleet, "?until=2026-03-01T12:00:00Z").await), 0);
    let project = fleet.admin.post("/v1/projects", &json!({"name": "p"})).await.value(201);
    let query = format!("?project_id={}", text(&project["id"]));
    assert_eq!(tasks(&report(&fleet, &query).await), 0);
    let path = format!("/v1/knowledge/uplift?project_id={}", fleet.no_id());
    fleet.admin.get(path).await.problem(404, "not_found");
    fleet.after(366 * 86_400).await;
    assert_eq!(tasks(&report(&fleet, "").await), 0, "a year has passed");
    let turned = "/v1/knowledge/uplift?since=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z";
    assert_eq!(fleet.admin.get(turned).await.problem(422, "invalid"), ["?until"]);
}
