//! Sums: reports, budgets and totals say the same before and after, also while spend comes late.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{DAY, keep, prune, spend, worked_off};
use crate::support::{
    fleet::{Fleet, text},
    invariants::verify,
};

/// Groups whose rows are the same after pruning; goals and tasks share one row then.
const GROUPS: &[&str] = &["agent", "model", "project", "capability", "day"];

async fn limit(fleet: &Fleet, node: &str, id: Option<&str>) -> String {
    let limit =
        |unit: &str, period: &str| json!({"unit": unit, "period": period, "amount": 1_000_000_000});
    let limits = json!([
        limit("usd_micros", "lifetime"),
        limit("usd_micros", "month"),
        limit("output_tokens", "lifetime"),
        limit("attempts", "lifetime"),
        limit("wall_ms", "lifetime"),
    ]);
    let budget = json!({"limits": limits, "time_zone": "America/New_York"});
    let body = json!({"node": node, "node_id": id, "budget": budget});
    text(&fleet.admin.post("/v1/budgets", &body).await.value(201)["id"])
}

/// What the limits of a budget have settled.
async fn settled(fleet: &Fleet, budget: &str) -> Vec<Value> {
    let budget = fleet.admin.get(format!("/v1/budgets/{budget}")).await.value(200);
    let limits = budget["limits"].as_array().unwrap();
    limits.iter().map(|l| json!([l["unit"], l["period"], l["window"]["settled"]])).collect()
}

/// Every sum that people see.
async fn sums(fleet: &Fleet) -> Vec<Value> {
    let mut sums = Vec::new();
    for group in GROUPS {
        let path = format!("/v1/reports/spend?group_by={group}&limit=200");
        sums.push(fleet.admin.get(path).await.value(200));
    }
    for filter in ["model=x", "model=y", "time_zone=Asia/Tokyo&from=2026-03-02T00:00:00Z"] {
        let path = format!("/v1/reports/spend?group_by=day&{filter}");
        sums.push(fleet.admin.get(path).await.value(200));
    }
    for list in ["agents", "projects"] {
        let page = fleet.admin.get(format!("/v1/{list}?limit=200")).await.value(200);
        for item in page["items"].as_array().unwrap() {
            sums.push(json!([item["name"], item["spend"]]));
        }
    }
    sums
}

/// The money of the export for billing tools.
async fn billed(fleet: &Fleet) -> i128 {
    let path = "/v1/reports/focus.csv?from=2026-03-01T00:00:00Z&to=2026-03-08T00:00:00Z";
    let answer = fleet.admin.get(path).await.expect(200);
    let table = String::from_utf8(answer.body.to_vec()).unwrap();
    let costs = table.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned());
    costs
        .map(|cost| {
            let (whole, part) = cost.split_once('.').unwrap();
            format!("{whole}{part:0<12}").parse::<i128>().unwrap()
        })
        .sum()
}

#[tokio::test]
async fn reports_and_budgets_say_the_same_before_and_after() {
    let fleet = Fleet::start().await;
    let one = fleet.agent("one", &["rust"], 10).await;
    let two = fleet.agent("two", &["rust"], 10).await;
    let whole = limit(&fleet, "workspace", None).await;
    let of_one = limit(&fleet, "agent", Some(&one.id)).await;
    let mut goals = Vec::new();
    for (n, project) in [Some("p"), None, Some("p"), Some("q")].into_iter().enumerate() {
        let task = |name: &str| json!({"ref": name, "title": name, "capabilities": ["rust"]});
        let tasks = json!([task("a"), {"ref": "b", "title": "b"}]);
        goals
            .push(fleet.post_goal(json!({"title": "g", "project": project, "tasks": tasks})).await);
        for agent in [&one, &two] {
            let held = agent.take().await;
            let amounts = json!({"usd_micros": 100 * n + 7, "output_tokens": 3});
            spend(agent, &held, "x", "x", amounts).await;
            fleet.pass(60);
            let usage = json!({"entries": [{"key": "fine", "amounts": {"usd": "0.0000004385"}}],
                               "totals": {"usd_micros": 5}});
            agent.write(&held, "spend", usage).await.expect(200);
            if n == 1 {
                // Over midnight, and with a second model.
                fleet.pass(DAY / 2);
                fleet.round().await;
            }
            let late = json!({"usd_micros": 11});
            spend(agent, &held, "y", "y", late).await;
            let _ = agent.write(&held, "complete", json!({})).await;
        }
        fleet.after(120).await;
    }
    fleet.after(7_200).await;
    while let Some(held) = one.claim(1).await.pop() {
        one.complete(&held).await;
    }
    for goal in &goals {
        assert_eq!(fleet.goal_state(goal).await, "completed");
    }
    // What was wrong is taken back.
    let correction =
        json!({"entries": [{"unit": "usd_micros", "amount": -3, "reason": "billed twice"}]});
    let attempt: String =
        sqlx::query_scalar("select attempt_id::text from attempts order by 1 limit 1")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    let path = format!("/v1/attempts/{attempt}/spend/corrections");
    fleet.admin.post(path, &correction).await.expect(201);
    fleet.after(3 * DAY).await;
    verify(&fleet.pool).await;
    let before = (sums(&fleet).await, billed(&fleet).await);
    assert!(before.1 > 0);
    let budgets = (settled(&fleet, &whole).await, settled(&fleet, &of_one).await);

    keep(&fleet.admin, Some(2), None).await;
    let report = prune(&fleet).await;
    assert_eq!((report.goals, report.held.len()), (4, 0), "{report:#?}");
    let after = (sums(&fleet).await, billed(&fleet).await);
    for (was, is) in before.0.iter().zip(&after.0) {
        assert_eq!(was, is);
    }
    assert_eq!(before.1, after.1);
    assert_eq!(budgets, (settled(&fleet, &whole).await, settled(&fleet, &of_one).await));
    verify(&fleet.pool).await;
    let goal = fleet.admin.get("/v1/reports/spend?group_by=goal").await.value(200);
    let rows = goal["items"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["key"]), (1, &Value::Null), "{goal:#}");
    assert_eq!(goal["total"], before.0[0]["total"]);

    // A limit that is set later counts what was pruned.
    let later = limit(&fleet, "agent", Some(&two.id)).await;
    let project = fleet.admin.get("/v1/projects").await.value(200)["items"][0].clone();
    let of_project = limit(&fleet, "project", project["id"].as_str()).await;
    let rows = before.0[0]["items"].as_array().unwrap();
    let of_two = rows.iter().find(|row| row["name"] == "two").unwrap();
    let counted = settled(&fleet, &later).await;
    let money = counted.iter().find(|row| row[0] == "usd_micros" && row[1] == "lifetime").unwrap();
    // A limit rounds up, a report down.
    let over = money[2].as_i64().unwrap() - of_two["amounts"]["usd_micros"].as_i64().unwrap();
    assert!((0..=1).contains(&over), "{counted:?} {of_two:#}");
    let tokens = counted.iter().find(|row| row[0] == "output_tokens").unwrap();
    assert_eq!(tokens[2], of_two["amounts"]["output_tokens"]);
    let tries = counted.iter().find(|row| row[0] == "attempts").unwrap();
    assert!(tries[2].as_i64().unwrap() >= 4, "{counted:?}");
    assert!(!settled(&fleet, &of_project).await.is_empty());
    verify(&fleet.pool).await;
    // Work goes on, and is added to what was pruned.
    let (_, held) = worked_off(&fleet, &two, "new").await;
    spend(&two, &held, "more", "x", json!({"usd_micros": 1})).await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_was_learnt_stays() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    limit(&fleet, "workspace", None).await;
    for n in 0..6 {
        worked_off(&fleet, &agent, &format!("goal {n}")).await;
    }
    fleet.round().await;
    let learnt = "select p90 * 100 + tasks from usual_spend where unit = 'usd_micros'";
    assert_eq!(super::count(&fleet, learnt).await, 1_006);
    fleet.pass(31 * DAY);
    keep(&fleet.admin, Some(30), None).await;
    fleet.round().await;
    assert_eq!(super::count(&fleet, "select count(*) from goals").await, 0);
    fleet.round().await;
    assert_eq!(super::count(&fleet, learnt).await, 1_006);
}

/// Late spend, and two prunings at once: what was acknowledged counts, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spend_that_comes_while_its_goal_goes_counts_once_or_is_refused() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let mut held = Vec::new();
    for n in 0..32 {
        held.push(worked_off(&fleet, &agent, &format!("goal {n}")).await.1);
    }
    keep(&fleet.admin, Some(30), None).await;
    fleet.pass(31 * DAY);
    let workspace = fleet.workspace;
    let another = fleet.another_app().await;
    let pruning = join_all([&fleet.app, &another].map(async |app| {
        app.local_admin(Some(workspace)).await.unwrap().prune().await.unwrap().goals
    }));
    let late = join_all(held.iter().map(async |held| {
        let body = json!({"entries": [{"key": "late", "amounts": {"usd_micros": 7}}]});
        let answer = agent.write(held, "spend", body).await;
        match answer.status.as_u16() {
            200 => 7,
            404 => 0,
            other => panic!("{other}: {}", answer.describe()),
        }
    }));
    let (pruned, late) = tokio::join!(pruning, late);
    let (pruned, late): (u64, i64) = (pruned.iter().sum(), late.iter().sum());
    println!("{pruned} goals were pruned, {late} came late");
    let total = fleet.admin.get("/v1/reports/spend").await.value(200)["total"].clone();
    assert_eq!(total["amounts"]["usd_micros"], 320 + late, "{total:#}");
    assert_eq!(total["attempts"], 32);
    assert_eq!(super::count(&fleet, "select count(*) from goals").await, 32 - pruned as i64);
    verify(&fleet.pool).await;
    fleet.after(2 * DAY).await;
    prune(&fleet).await;
    assert_eq!(super::count(&fleet, "select count(*) from goals").await, 0);
    let again = fleet.admin.get("/v1/reports/spend").await.value(200)["total"].clone();
    assert_eq!(again, total);
    verify(&fleet.pool).await;
}
