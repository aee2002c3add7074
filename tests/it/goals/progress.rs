//! Progress: the percentage by weight, what is left, who blocks, and what a read costs.

use std::collections::BTreeMap;

use muster::{
    domain::ids::GoalId,
    store::{self, Tx},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    agent::{Agent, Held},
    fleet::{Fleet, seed, text},
    invariants::verify,
    statements::Statements,
};

async fn progress(fleet: &Fleet, goal: &str) -> Value {
    fleet.admin.get(format!("/v1/goals/{goal}/progress")).await.value(200)
}

async fn percent(fleet: &Fleet, goal: &str) -> f64 {
    let progress = progress(fleet, goal).await;
    let short = fleet.read_goal(goal).await;
    assert_eq!(progress["percent"], short["progress"]["percent"]);
    progress["percent"].as_f64().unwrap()
}

fn wall(name: &str, ms: i64) -> Value {
    json!({"ref": name, "title": format!("Do {name}"), "estimate": {"wall_ms": ms}})
}

async fn on_task(fleet: &Fleet, goal: &str, name: &str, verb: &str) -> Value {
    let task = fleet.task_id(goal, name).await;
    fleet.admin.post(format!("/v1/tasks/{task}/{verb}"), &json!({})).await.value(200)
}

/// The percentage counted from the tasks, as the documentation says it.
async fn recounted(fleet: &Fleet, goal: &str) -> f64 {
    type Row = (String, bool, bool, Option<Value>);
    let rows: Vec<Row> = sqlx::query_as(
        "select state, container, purpose is not null, estimate
         from tasks join task_texts using (workspace_id, task_id) where goal_id = $1::uuid",
    )
    .bind(goal)
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    let read = progress(fleet, goal).await;
    if read["state"] == "completed" {
        return 100.0;
    }
    let each: i64 = sqlx::query_scalar("select weight_each from goals where goal_id = $1::uuid")
        .bind(goal)
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    let unit = read["weight"]["unit"].as_str();
    let (mut total, mut done) = (0, 0);
    for (state, container, verifies, estimate) in rows {
        if container || verifies || state == "cancelled" {
            continue;
        }
        let own = unit.and_then(|unit| estimate.as_ref()?.get(unit)?.as_i64());
        let weight = own.map_or(each, |own| own.max(1));
        total += weight;
        done += if state == "done" { weight } else { 0 };
    }
    assert_eq!(read["weight"]["total"], total);
    assert_eq!(read["weight"]["done"], done);
    if total == 0 { 0.0 } else { (done * 1_000 / total).min(999) as f64 / 10.0 }
}

#[tokio::test]
async fn tasks_count_by_their_estimates_and_cancelled_ones_do_not_count() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let tasks = json!([
        wall("a", 3_000), wall("b", 1_000), {"ref": "c", "title": "c"},
        {"ref": "box", "title": "box"}, {"ref": "in", "title": "in", "parent": "box",
                                         "estimate": {"wall_ms": 0}},
        {"ref": "old", "title": "old", "done": true, "estimate": {"wall_ms": 1_999}},
    ]);
    let goal = fleet.goal(tasks).await;
    let read = progress(&fleet, &goal).await;
    // The mean of 3000, 1000, 1 and 1999 is 1500; the container weighs nothing.
    assert_eq!(read["weight"], json!({"unit": "wall_ms", "total": 7_500, "done": 1_999}));
    assert_eq!((&read["percent"], &read["tasks"]["total"]), (&json!(26.6), &json!(6)));
    on_task(&fleet, &goal, "c", "cancel").await;
    assert_eq!(percent(&fleet, &goal).await, 33.3);
    let held = worker.take().await;
    assert_eq!(held.name, "a");
    worker.complete(&held).await;
    // 4,999 of 6,000.
    assert_eq!(percent(&fleet, &goal).await, 83.3);
    worker.work_off().await;
    // Nothing is open, and the goal is not completed: it is no hundred.
    assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    assert_eq!(percent(&fleet, &goal).await, 99.9);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn without_estimates_each_task_counts_the_same_and_what_comes_later_counts_too() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    assert_eq!(percent(&fleet, &goal).await, 0.0);
    let held = worker.take().await;
    worker.subtasks(&held, json!([{"ref": "s", "title": "s"}, {"ref": "t", "title": "t"}])).await;
    let read = progress(&fleet, &goal).await;
    assert_eq!(read["weight"], json!({"unit": null, "total": 4, "done": 0}));
    worker.complete(&worker.take().await).await;
    assert_eq!(percent(&fleet, &goal).await, 25.0);
    // The first estimate chooses the unit; the others are average tasks, and nothing jumps.
    let task = format!("/v1/tasks/{}", fleet.task_id(&goal, "t").await);
    let etag = fleet.admin.get(&task).await.etag();
    let change = json!({"estimate": {"usd_micros": 700}});
    fleet.admin.patch(&task, &change).if_match(&etag).await.expect(200);
    let read = progress(&fleet, &goal).await;
    assert_eq!(read["weight"], json!({"unit": "usd_micros", "total": 2_800, "done": 700}));
    assert_eq!(read["percent"], json!(25.0));
    let etag = fleet.admin.get(&task).await.etag();
    let change = json!({"estimate": {"usd_micros": 1_400}});
    fleet.admin.patch(&task, &change).if_match(&etag).await.expect(200);
    assert_eq!(percent(&fleet, &goal).await, 20.0);
    let more =
        json!({"tasks": [{"ref": "more", "title": "more", "estimate": {"usd_micros": 3_500}}]});
    fleet.admin.post(format!("/v1/goals/{goal}/tasks"), &more).await.expect(201);
    assert_eq!(percent(&fleet, &goal).await, 10.0);
    verify(&fleet.pool).await;
    worker.work_off().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    assert_eq!(percent(&fleet, &goal).await, 100.0);
    on_task(&fleet, &goal, "more", "reopen").await;
    assert_eq!(percent(&fleet, &goal).await, 50.0);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn the_path_and_the_fleet_say_when_and_the_list_says_it_too() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let mut b = wall("b", 1_000);
    b["needs"] = json!(["a"]);
    let goal = fleet.goal(json!([wall("a", 3_000), b, wall("c", 2_000)])).await;
    let read = progress(&fleet, &goal).await;
    let computed = (&read["as_of"], &read["eta"], &read["eta_missing"]);
    assert_eq!(computed, (&Value::Null, &Value::Null, &json!("not_computed")));
    fleet.round().await;
    let read = progress(&fleet, &goal).await;
    assert_eq!((&read["as_of"], &read["eta"]), (&json!("2026-03-01T12:00:00Z"), &Value::Null));
    assert_eq!(read["eta_missing"], "nobody_online");
    assert_eq!(read["agents"], json!({"online": 0, "slots": 0}));
    let blocker = &read["blockers"][0];
    assert_eq!((&blocker["ref"], &blocker["reason"]), (&json!("a"), &json!("nobody_online")));
    assert_eq!((&blocker["tasks_behind"], &blocker["work_behind_ms"]), (&json!(1), &json!(1_000)));
    let band = |ms: i64| json!({"p10": ms, "p50": ms, "p90": ms});
    assert_eq!(
        (&read["critical_path_left_ms"], &read["work_left_ms"]),
        (&band(4_000), &band(6_000))
    );
    let path = |read: &Value| -> Vec<(String, i64, i64)> {
        let steps = read["critical_path"].as_array().unwrap().iter();
        let number = |value: &Value| value.as_i64().unwrap();
        steps.map(|s| (text(&s["title"]), number(&s["work_ms"]), number(&s["left_ms"]))).collect()
    };
    assert_eq!(path(&read), [("Do a".into(), 3_000, 4_000), ("Do b".into(), 1_000, 1_000)]);

    // Two seconds after the claim there is a second left of `a`.
    worker.take().await;
    fleet.after(2).await;
    let read = progress(&fleet, &goal).await;
    assert_eq!(read["critical_path_left_ms"], band(2_000));
    assert_eq!(read["agents"], json!({"online": 1, "slots": 100}));
    assert_eq!(
        (&read["eta"]["p50"], &read["eta_missing"]),
        (&json!("2026-03-01T12:00:04Z"), &Value::Null)
    );
    assert_eq!(read["blockers"], json!([]));
    let list: Value = fleet.admin.get("/v1/goals").await.value(200);
    let short = json!({"percent": 0.0, "eta": "2026-03-01T12:00:04Z"});
    assert_eq!(list["items"][0]["progress"], short);
    // What is late is not in the past.
    fleet.pass(60);
    assert_eq!(progress(&fleet, &goal).await["eta"]["p50"], "2026-03-01T12:01:02Z");
    // Whoever has been silent is not counted on.
    fleet.pass(600);
    assert_eq!(progress(&fleet, &goal).await["eta_missing"], "nobody_online");
}

#[tokio::test]
async fn what_was_measured_stands_in_for_estimates_and_spend_is_held_against_them() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let first = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    fleet.round().await;
    let held = worker.claim(2).await;
    fleet.after(1).await;
    assert_eq!(progress(&fleet, &first).await["eta_missing"], "not_measured");
    fleet.pass(9);
    worker.complete(&held[0]).await;
    fleet.pass(20);
    worker.complete(&held[1]).await;
    fleet.round().await;
    let read = progress(&fleet, &first).await;
    assert_eq!((&read["percent"], &read["eta_missing"]), (&json!(100.0), &json!("not_active")));
    let used = json!([
        {"unit": "attempts", "spent": 2, "estimate": null, "tasks_estimated": 0},
        {"unit": "wall_ms", "spent": 40_000, "estimate": null, "tasks_estimated": 0},
    ]);
    fleet.after(60).await;
    assert_eq!(progress(&fleet, &first).await["spend"], used);

    let money = json!({"usd_micros": 500});
    let tasks = json!([{"ref": "a", "title": "a", "estimate": money},
                       {"ref": "b", "title": "b", "estimate": money, "needs": ["a"]}]);
    let second = fleet.goal(tasks).await;
    let held = worker.take().await;
    let spend = json!({"entries": [{"key": "k", "amounts": {"usd_micros": 70}}]});
    worker.write(&held, "spend", spend).await.expect(200);
    fleet.round().await;
    let read = progress(&fleet, &second).await;
    // Of 10 s and 30 s the median is the first; two tasks one after the other.
    assert_eq!(read["critical_path_left_ms"], json!({"p10": 20_000, "p50": 20_000, "p90": 60_000}));
    let line = json!({"unit": "usd_micros", "spent": 70, "estimate": 1_000, "tasks_estimated": 2});
    assert_eq!(read["spend"], json!([line]));
}

#[tokio::test]
async fn who_blocks_the_most_work_is_named_first() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let asked = |name: &str| json!({"ref": name, "title": name, "approval": {"start": true}, "estimate": {"wall_ms": 10}});
    let after = |name: &str, need: &str, ms: i64| {
        let mut task = wall(name, ms);
        task["needs"] = json!([need]);
        task
    };
    let tasks = json!([
        asked("few"), asked("many"), after("x", "few", 50), after("y", "many", 40), after("z", "y", 40),
        {"ref": "r", "title": "r", "approval": {"result": true}},
    ]);
    let goal = fleet.goal(tasks).await;
    let held = worker.take().await;
    worker.complete(&held).await;
    fleet.round().await;
    let read = progress(&fleet, &goal).await;
    let shown: Vec<(String, String, i64, i64)> = read["blockers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| {
            assert!(b["approval_id"].is_string(), "{b}");
            let number = |name: &str| b[name].as_i64().unwrap();
            (text(&b["ref"]), text(&b["reason"]), number("tasks_behind"), number("work_behind_ms"))
        })
        .collect();
    let person = |name: &str, tasks, ms| (name.to_owned(), "person".to_owned(), tasks, ms);
    assert_eq!(shown, [person("many", 2, 80), person("few", 1, 50), person("r", 0, 0)]);
    let question = &read["blockers"][0]["approval_id"];
    let kind = fleet.admin.get(format!("/v1/approvals/{}", text(question))).await.value(200);
    assert_eq!(kind["kind"], "start");

    let budget =
        json!({"node": "workspace", "budget": {"limits": [{"unit": "usd_micros", "amount": 10}]}});
    fleet.admin.post("/v1/budgets", &budget).await.expect(201);
    let poor = json!([{"ref": "p", "title": "p", "estimate": {"usd_micros": 60}, "priority": 9}]);
    let poor = fleet.goal(poor).await;
    worker.find_nothing().await;
    fleet.after(2).await;
    let read = progress(&fleet, &poor).await;
    assert_eq!(
        (&read["blockers"][0]["ref"], &read["blockers"][0]["reason"]),
        (&json!("p"), &json!("budget"))
    );
}

/// Any life: after every step the percentage is that of a recount, and it falls only when work is added,
/// estimated anew or brought back.
#[tokio::test]
async fn after_random_lives_it_equals_a_recount() {
    let seed = seed();
    let fleet = Fleet::seeded(seed).await;
    let mut life = Life {
        random: StdRng::seed_from_u64(seed),
        agent: fleet.agent("any", &["rust"], 50).await,
        fleet,
        goals: Vec::new(),
        held: Vec::new(),
        made: 0,
    };
    for _ in 0..3 {
        life.post().await;
    }
    for step in 0..150 {
        let before = life.percents().await;
        let may_fall = life.step().await;
        let after = life.percents().await;
        for (goal, before) in before {
            let now = after[&goal];
            assert!(
                now >= before || may_fall || now == 0.0,
                "{before} became {now} in step {step}"
            );
            assert_eq!(now, recounted(&life.fleet, &goal).await, "step {step}");
        }
        if step % 30 == 29 {
            verify(&life.fleet.pool).await;
        }
    }
    // What is computed behind the commit has caught up with all of it.
    life.fleet.after(2).await;
    life.fleet.after(2).await;
    for goal in &life.goals {
        let read = progress(&life.fleet, goal).await;
        let open = &read["tasks"]["open"];
        let left = !read["critical_path"].as_array().unwrap().is_empty();
        assert!(read["as_of"].is_string(), "{read}");
        assert!(
            left || read["work_left_ms"].is_null()
                || open == &json!(0)
                || read["work_left_ms"]["p50"] == 0,
            "{read}"
        );
    }
    verify(&life.fleet.pool).await;
}

struct Life {
    fleet: Fleet,
    random: StdRng,
    agent: Agent,
    goals: Vec<String>,
    held: Vec<Held>,
    made: usize,
}

impl Life {
    fn task(&mut self) -> Value {
        self.made += 1;
        let mut task = json!({"ref": format!("t{}", self.made), "title": "t", "max_attempts": 2});
        if self.random.random_range(0..100) < 60 {
            let unit =
                ["wall_ms", "usd_micros", "calls"].choose(&mut self.random).copied().unwrap();
            task["estimate"] = json!({unit: self.random.random_range(0..10_000)});
        }
        if self.random.random_range(0..100) < 15 {
            task["approval"] = json!({"result": true});
        }
        task
    }

    async fn post(&mut self) {
        let count = self.random.random_range(3..9);
        let mut tasks: Vec<Value> = (0..count).map(|_| self.task()).collect();
        for n in 1..tasks.len() {
            let other = tasks[self.random.random_range(0..n)]["ref"].clone();
            match self.random.random_range(0..100) {
                0..25 => tasks[n]["parent"] = other,
                25..50 => tasks[n]["needs"] = json!([other]),
                50..60 => tasks[n]["done"] = json!(true),
                _ => {}
            }
        }
        let goal = json!({"title": "goal", "tasks": tasks});
        let answer = self.fleet.poster.post("/v1/goals", &goal).await;
        if answer.status == 201 {
            self.goals.push(text(&answer.json::<Value>()["id"]));
        } else {
            // A task needs its own container, or is done before what it needs.
            answer.problem(422, "plan_invalid");
        }
    }

    async fn percents(&self) -> BTreeMap<String, f64> {
        let mut found = BTreeMap::new();
        for goal in &self.goals {
            found.insert(goal.clone(), percent(&self.fleet, goal).await);
        }
        found
    }

    async fn any_task(&mut self) -> Option<(String, String)> {
        let goal = self.goals.choose(&mut self.random)?.clone();
        let tasks: Vec<String> = sqlx::query_scalar(
            "select task_id::text from tasks where goal_id = $1::uuid order by position",
        )
        .bind(&goal)
        .fetch_all(&self.fleet.pool)
        .await
        .unwrap();
        Some((goal, tasks.choose(&mut self.random)?.clone()))
    }

    /// Does something; returns whether the percentage of a goal may fall.
    async fn step(&mut self) -> bool {
        match self.random.random_range(0..100) {
            0..30 => self.held.extend(self.agent.claim(2).await),
            30..65 => return self.write().await,
            65..72 => return self.on_any("cancel", json!({})).await,
            72..78 => return self.on_any("retry", json!({})).await,
            78..84 => return self.on_any("reopen", json!({})).await,
            84..90 => return self.add().await,
            90..94 => return self.estimate().await,
            94..97 => self.decide().await,
            _ => {
                self.fleet.after(70).await;
            }
        }
        false
    }

    async fn write(&mut self) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let which = self.random.random_range(0..self.held.len());
        let held = self.held.swap_remove(which);
        let more = json!({"tasks": [self.task()]});
        let (verb, body) = match self.random.random_range(0..100) {
            0..60 => ("complete", json!({"result": 1})),
            60..80 => ("fail", json!({"class": "permanent"})),
            80..90 => ("release", json!({})),
            _ => ("subtasks", more),
        };
        let answer = self.agent.write(&held, verb, body).await;
        assert!(answer.status.as_u16() < 500, "{}", answer.describe());
        verb == "subtasks"
    }

    async fn on_any(&mut self, verb: &str, body: Value) -> bool {
        if let Some((_, task)) = self.any_task().await {
            let answer = self.fleet.admin.post(format!("/v1/tasks/{task}/{verb}"), &body).await;
            assert!(answer.status.as_u16() < 500, "{}", answer.describe());
        }
        verb != "cancel"
    }

    async fn add(&mut self) -> bool {
        let body = json!({"tasks": [self.task()]});
        if let Some(goal) = self.goals.choose(&mut self.random).cloned() {
            let answer = self.fleet.admin.post(format!("/v1/goals/{goal}/tasks"), &body).await;
            assert!(matches!(answer.status.as_u16(), 201 | 409), "{}", answer.describe());
        }
        true
    }

    async fn estimate(&mut self) -> bool {
        if let Some((_, task)) = self.any_task().await {
            let path = format!("/v1/tasks/{task}");
            let etag = self.fleet.admin.get(&path).await.etag();
            let change = json!({"estimate": {"wall_ms": self.random.random_range(0..20_000)}});
            let answer = self.fleet.admin.patch(&path, &change).if_match(&etag).await;
            assert!(answer.status.as_u16() < 500, "{}", answer.describe());
        }
        true
    }

    async fn decide(&mut self) {
        let Some(question) = self.fleet.questions().await.into_iter().next() else { return };
        let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
        let decision = crate::support::fleet::about(&question, json!({"decision": "approve"}));
        let answer = self.fleet.admin.post(path, &decision).await;
        assert!(answer.status.as_u16() < 500, "{}", answer.describe());
    }
}

/// Number of rows and index entries that a read of the progress takes from the database.
async fn rows_read(fleet: &Fleet, goal: &str) -> i64 {
    async fn counted(tx: &mut Tx) -> i64 {
        sqlx::query_scalar(
            "select sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid))::bigint
             from pg_class
             where relnamespace = 'public'::regnamespace and relkind in ('r', 'i')",
        )
        .fetch_one(tx.conn())
        .await
        .unwrap()
    }
    let mut tx = fleet.tx().await;
    sqlx::query("begin").execute(tx.conn()).await.unwrap();
    let before = counted(&mut tx).await;
    let id = GoalId(goal.parse::<Uuid>().unwrap());
    let row = store::goals::progress::read(&mut tx, id).await.unwrap().unwrap();
    let left = row.computed.expect("a round computed it").left;
    let keys: Vec<String> = left.ahead.sets.iter().map(|set| set.key.clone()).collect();
    store::goals::progress::online(&mut tx, &keys, fleet.now()).await.unwrap();
    let path: Vec<_> = left.path.iter().map(|step| step.task_id).collect();
    assert_eq!(store::goals::progress::names(&mut tx, &path).await.unwrap().len(), path.len());
    let read = counted(&mut tx).await - before;
    sqlx::query("rollback").execute(tx.conn()).await.unwrap();
    read
}

/// The promise about cost: a goal of ten thousand tasks costs no statement and no row more than one of
/// twenty.
#[tokio::test]
async fn ten_thousand_tasks_are_read_like_twenty() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    // A chain of thirty, so that both show a whole path; the rest beside it.
    let task = |n: usize| match n {
        1..30 => {
            json!({"ref": format!("t{n}"), "title": "t", "needs": [format!("t{}", n - 1)], "estimate": {"wall_ms": 9_000}})
        }
        _ => json!({"ref": format!("t{n}"), "title": "t", "estimate": {"wall_ms": 1_000}}),
    };
    let small = fleet.goal((0..30).map(task).collect()).await;
    let large = fleet.goal((0..5_000).map(task).collect()).await;
    let more: Vec<Value> = (5_000..10_000).map(task).collect();
    let added =
        fleet.poster.post(format!("/v1/goals/{large}/tasks"), &json!({"tasks": more})).await;
    added.expect(201);
    worker.complete(&worker.take().await).await;
    fleet.round().await;
    sqlx::query("vacuum analyze").execute(&fleet.pool).await.unwrap();

    let statements = Statements::record();
    let mut asked = Vec::new();
    for goal in [&small, &large] {
        statements.take();
        let read = progress(&fleet, goal).await;
        assert_eq!(read["critical_path"].as_array().unwrap().len(), 20);
        assert!(read["eta"].is_object(), "{read}");
        asked.push(statements.take());
    }
    drop(statements);
    assert_eq!(asked[0], asked[1]);
    assert!(asked[0].len() <= 8, "{asked:?}");
    assert_eq!(progress(&fleet, &large).await["tasks"]["total"], 10_000);

    let (few, many) = (rows_read(&fleet, &small).await, rows_read(&fleet, &large).await);
    assert_eq!(few, many);
    assert!(many < 300, "{many} rows");
    verify(&fleet.pool).await;
}
