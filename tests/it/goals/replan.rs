//! Planning a goal anew while it is worked on.

use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    client::Answer,
    fleet::{Fleet, about, text},
    invariants::{verify, verify_rested},
};

fn task(name: &str, needs: &[&str]) -> Value {
    json!({"ref": name, "title": format!("Do {name}"), "needs": needs})
}

fn inside(name: &str, parent: &str) -> Value {
    json!({"ref": name, "title": format!("Do {name}"), "parent": parent})
}

async fn replan(fleet: &Fleet, goal: &str, body: Value) -> Answer {
    fleet.admin.post(format!("/v1/goals/{goal}/replan"), &body).await
}

/// Plans a goal anew with these tasks; returns the answer.
async fn plan(fleet: &Fleet, goal: &str, tasks: Value) -> Value {
    replan(fleet, goal, json!({"tasks": tasks})).await.value(200)
}

/// `ref:reason` of each task in a part of a diff.
fn part(answer: &Value, part: &str) -> String {
    let entries = answer["diff"][part].as_array().unwrap().iter();
    let told = entries.map(|entry| format!("{}:{}", text(&entry["ref"]), text(&entry["reason"])));
    told.collect::<Vec<_>>().join(" ")
}

/// Everything that a plan could change.
async fn contents(fleet: &Fleet, goal: &str) -> Vec<String> {
    let queries = [
        "select to_jsonb(t) from tasks t where goal_id = $1::uuid order by task_id",
        "select to_jsonb(x) from task_texts x join tasks t using (workspace_id, task_id)
         where goal_id = $1::uuid order by task_id",
        "select to_jsonb(d) from dependencies d join tasks t using (workspace_id, task_id)
         where goal_id = $1::uuid order by d.task_id, d.needs_task_id",
        "select to_jsonb(p) from plans p where goal_id = $1::uuid order by number",
        "select to_jsonb(x) from goal_texts x where goal_id = $1::uuid",
        "select to_jsonb(a) from approvals a where goal_id = $1::uuid order by approval_id",
        "select to_jsonb(g) from goals g where goal_id = $1::uuid",
    ];
    let mut found = Vec::new();
    for query in queries {
        let rows: Vec<Value> =
            sqlx::query_scalar(query).bind(goal).fetch_all(&fleet.pool).await.unwrap();
        found.extend(rows.iter().map(Value::to_string));
    }
    found
}

/// The kinds of a goal's journal rows after a number, and the number of the last.
async fn journal(fleet: &Fleet, goal: &str, after: i64) -> (Vec<String>, i64) {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select kind, number from journal where goal_id = $1::uuid and number > $2 order by number",
    )
    .bind(goal)
    .bind(after)
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    let last = rows.last().map_or(after, |(_, number)| *number);
    (rows.into_iter().map(|(kind, _)| kind).collect(), last)
}

#[tokio::test]
async fn the_same_brief_changes_nothing() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let brief = "## One\n- [ ] Write the schema\n- [ ] Write the parser\n\n## Two\n- [ ] Import the files\n";
    let goal = fleet.post_goal(json!({"title": "g", "brief": brief})).await;
    worker.complete(&worker.take().await).await;
    worker.take().await;
    let before = contents(&fleet, &goal).await;
    for body in [json!({}), json!({"brief": brief}), json!({"base_version": 1})] {
        let answer = replan(&fleet, &goal, body).await.value(200);
        assert_eq!((&answer["outcome"], &answer["plan"]), (&json!("unchanged"), &Value::Null));
        assert_eq!((&answer["base"], &answer["diff"]["counts"]["kept"]), (&json!(1), &json!(3)));
    }
    assert_eq!(contents(&fleet, &goal).await, before);
}

#[tokio::test]
async fn tasks_are_added_changed_and_cancelled_and_the_others_keep_their_ids() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let tasks = json!([
        task("done", &[]),
        task("held", &[]),
        task("ready", &[]),
        task("waits", &["held"]),
        task("gone", &["held"]),
        task("last", &["gone", "waits"]),
    ]);
    let goal = fleet.goal(tasks).await;
    let held = worker.claim(2).await;
    let done = held.iter().find(|held| held.name == "done").unwrap();
    worker.complete(done).await;
    let ids = fleet.task_id(&goal, "waits").await;
    // What needs it is no part of it.
    let finished = async || {
        let mut task = fleet.task(&goal, "done").await;
        for derived in ["dependents", "dependents_count"] {
            task.as_object_mut().unwrap().remove(derived);
        }
        task
    };
    let before = finished().await;
    let tasks = json!([
        {"ref": "done", "title": "Do it otherwise"},
        {"ref": "held", "title": "Do held otherwise", "labels": ["now"]},
        {"ref": "ready", "title": "Do ready well", "description": "Slowly.", "priority": 8,
         "criteria": [{"text": "it works"}], "section": "Part 2"},
        task("waits", &["done", "new"]), task("new", &["ready"]), task("last", &["waits"]),
    ]);
    let answer =
        replan(&fleet, &goal, json!({"tasks": tasks, "base_version": 1, "reason": "they stream"}))
            .await
            .value(200);
    assert_eq!(answer["outcome"], "applied");
    assert_eq!(part(&answer, "add"), "new:new");
    assert_eq!(part(&answer, "cancel"), "gone:removed");
    assert_eq!(part(&answer, "change"), "held:edited ready:edited waits:moved last:moved");
    assert_eq!(part(&answer, "keep"), "done:finished");
    let held_back = text(&answer["diff"]["change"][0]["text"]);
    assert!(held_back.contains("an attempt works on it: `title`"), "{held_back}");
    assert_eq!(finished().await, before);
    assert_eq!(fleet.task_id(&goal, "waits").await, ids);
    let states =
        "done:done held:running ready:ready waits:waiting gone:cancelled last:waiting new:waiting";
    fleet.expect_states(&goal, states).await;
    let ready = fleet.task(&goal, "ready").await;
    assert_eq!((&ready["title"], &ready["priority"]), (&json!("Do ready well"), &json!(8)));
    assert_eq!((&ready["description"], &ready["section"]), (&json!("Slowly."), &json!("Part 2")));
    assert_eq!(ready["criteria"][0]["text"], "it works");
    let held = fleet.task(&goal, "held").await;
    assert_eq!((&held["title"], &held["labels"]), (&json!("Do held"), &json!(["now"])));
    assert_eq!(fleet.task(&goal, "gone").await["end_reason"], "they stream");
    assert_eq!(fleet.task(&goal, "waits").await["needs_unmet"], 1);
    verify(&fleet.pool).await;

    let plans = fleet.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
    let states: Vec<(i64, String)> = plans["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| (plan["number"].as_i64().unwrap(), text(&plan["state"])))
        .collect();
    assert_eq!(states, [(2, "applied".to_owned()), (1, "superseded".to_owned())]);
    assert_eq!(
        (&plans["items"][0]["base"], &plans["items"][0]["reason"]),
        (&json!(1), &json!("they stream"))
    );
    assert_eq!(plans["items"][0]["diff"]["counts"], answer["diff"]["counts"]);
    // What the plan dropped does not decide how the goal ends.
    let criterion = json!({"result": {}, "evidence": [{"criterion": 1, "text": "seen"}]});
    let ready = worker.take().await;
    worker.write(&ready, "complete", criterion).await.expect(200);
    let claims = worker.claim(9).await;
    assert_eq!(claims.len(), 1);
    worker.complete(&claims[0]).await;
    let held = fleet.task_id(&goal, "held").await;
    fleet.admin.post(format!("/v1/tasks/{held}/cancel"), &json!({})).await.expect(200);
    verify(&fleet.pool).await;
}

/// The goal completes although the plan dropped tasks, whether they were cancelled by it or had failed before.
#[tokio::test]
async fn dropped_tasks_do_not_count_against_containers_and_goals() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let tasks = json!([
        task("box", &[]),
        inside("a", "box"),
        inside("b", "box"),
        inside("c", "box"),
        task("after", &["box"]),
        task("alone", &[]),
    ]);
    let goal = fleet.goal(tasks).await;
    let held = worker.claim(9).await;
    let named = |name: &str| held.iter().find(|held| held.name == name).unwrap();
    worker.complete(named("a")).await;
    worker.fail(named("alone"), "permanent").await;
    // `b` runs: it is asked to stop. The failed one is left out.
    let answer = plan(
        &fleet,
        &goal,
        json!([task("box", &[]), inside("a", "box"), inside("c", "box"), task("after", &["box"]),]),
    )
    .await;
    assert_eq!(part(&answer, "cancel"), "b:removed");
    assert!(part(&answer, "keep").contains("alone:finished"));
    assert_eq!(worker.beat(named("b")).await["directive"], "stop");
    worker.complete(named("c")).await;
    fleet
        .expect_states(&goal, "box:running a:done b:running c:done after:waiting alone:failed")
        .await;
    fleet.after(61).await;
    fleet.expect_states(&goal, "box:done a:done b:cancelled c:done after:ready alone:failed").await;
    verify(&fleet.pool).await;
    worker.complete(&worker.take().await).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
    // A retry does not bring them back.
    let alone = fleet.task_id(&goal, "alone").await;
    fleet
        .admin
        .post(format!("/v1/tasks/{alone}/retry"), &json!({}))
        .await
        .problem(409, "wrong_state");
}

#[tokio::test]
async fn a_stale_base_is_refused_and_a_dry_run_writes_nothing() {
    let fleet = Fleet::start().await;
    let goal = fleet.goal(json!([task("a", &[]), task("b", &["a"])])).await;
    let before = contents(&fleet, &goal).await;
    let (_, last) = journal(&fleet, &goal, 0).await;
    let tasks = json!([task("a", &[]), task("c", &["a"])]);
    let dry = json!({"tasks": tasks, "dry_run": true, "brief": "another"});
    let compared = replan(&fleet, &goal, dry).await.value(200);
    assert_eq!((&compared["outcome"], &compared["plan"]), (&json!("compared"), &Value::Null));
    assert_eq!(
        (part(&compared, "add"), part(&compared, "cancel")),
        ("c:new".into(), "b:removed".into())
    );
    assert_eq!(contents(&fleet, &goal).await, before);
    assert_eq!(journal(&fleet, &goal, last).await.0, Vec::<String>::new());

    let on = |base: i32| json!({"tasks": tasks, "base_version": base});
    let refused = replan(&fleet, &goal, on(2)).await;
    refused.problem(409, "plan_changed");
    assert!(refused.describe().contains("number 1"), "{}", refused.describe());
    let applied = replan(&fleet, &goal, on(1)).await.value(200);
    assert_eq!(applied["diff"]["counts"], compared["diff"]["counts"]);
    replan(&fleet, &goal, on(1)).await.problem(409, "plan_changed");
    assert_eq!(replan(&fleet, &goal, on(2)).await.value(200)["outcome"], "unchanged");
    assert_eq!(
        replan(&fleet, &goal, json!({"base_version": 1.5})).await.problem(422, "invalid"),
        ["/base_version"]
    );
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_invalid_plan_changes_nothing() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.goal(json!([task("a", &[]), task("b", &["a"]), task("d", &[])])).await;
    for held in worker.claim(2).await {
        if held.name == "d" {
            worker.fail(&held, "permanent").await;
        }
    }
    let before = contents(&fleet, &goal).await;
    for (tasks, code, at) in [
        (json!([task("b", &["b"])]), "plan_invalid", "/tasks/0"),
        (json!([task("a", &["x"])]), "plan_invalid", "/tasks/0/needs/0"),
        (
            json!([task("a", &[]), task("b", &["a"]), task("d", &[]), task("e", &["d"])]),
            "plan_invalid",
            "/tasks/3/needs",
        ),
        (json!([task("a", &[]), {"ref": "b", "title": ""}]), "plan_invalid", "/tasks/1/title"),
    ] {
        let answer = replan(&fleet, &goal, json!({"tasks": tasks})).await;
        assert_eq!(answer.problem(422, code)[0], at);
    }
    replan(&fleet, &goal, json!({"brief": "Nothing to do."})).await.problem(422, "no_tasks_found");
    assert_eq!(
        replan(&fleet, &goal, json!({"reason": " "})).await.problem(422, "invalid"),
        ["/reason"]
    );
    assert_eq!(contents(&fleet, &goal).await, before);
}

#[tokio::test]
async fn needs_by_a_new_plan_move_tasks_between_waiting_and_ready() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let asks = json!({"ref": "asks", "title": "Do asks", "approval": {"start": true}});
    let goal = fleet.goal(json!([task("a", &[]), task("b", &[]), task("c", &["a"]), asks])).await;
    assert_eq!(fleet.questions().await.len(), 1);
    let asks =
        json!({"ref": "asks", "title": "Do asks", "needs": ["b"], "approval": {"start": true}});
    plan(&fleet, &goal, json!([task("a", &[]), task("b", &["a"]), task("c", &[]), asks])).await;
    fleet.expect_states(&goal, "a:ready b:waiting c:ready asks:waiting").await;
    assert!(fleet.questions().await.is_empty());
    verify(&fleet.pool).await;
    // A container that waits takes tasks that were ready, and a new one holds others.
    let asks =
        json!({"ref": "asks", "title": "Do asks", "needs": ["b"], "approval": {"start": true}});
    let tasks = json!([
        task("a", &[]), task("b", &["a"]), {"ref": "box", "title": "Box", "needs": ["a"]}, inside("c", "box"), asks,
    ]);
    let answer = plan(&fleet, &goal, tasks.clone()).await;
    assert_eq!(
        (part(&answer, "add"), part(&answer, "change")),
        ("box:new".into(), "c:moved".into())
    );
    fleet.expect_states(&goal, "a:ready b:waiting c:waiting asks:waiting box:waiting").await;
    assert_eq!(fleet.task(&goal, "box").await["children_open"], 1);
    verify(&fleet.pool).await;
    assert_eq!(
        replan(&fleet, &goal, json!({"tasks": tasks})).await.value(200)["outcome"],
        "unchanged"
    );
    worker.complete(&worker.take().await).await;
    fleet.expect_states(&goal, "a:done b:ready c:ready asks:waiting box:running").await;
    // The last one leaves: the container has nothing left.
    let asks =
        json!({"ref": "asks", "title": "Do asks", "needs": ["b"], "approval": {"start": true}});
    plan(&fleet, &goal, json!([task("a", &[]), task("b", &["a"]), task("c", &[]), asks])).await;
    fleet.expect_states(&goal, "a:done b:ready c:ready asks:waiting box:cancelled").await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_ticked_task_is_done_and_frees_what_needs_it() {
    let fleet = Fleet::start().await;
    let brief = |a: &str, b: &str| {
        format!(
            "- [{a}] T001 One\n- [{b}] T002 Two (depends on T001)\n- [ ] T003 Three (depends on T002)\n"
        )
    };
    let goal = fleet.post_goal(json!({"title": "g", "brief": brief(" ", " ")})).await;
    let answer = replan(&fleet, &goal, json!({"brief": brief(" ", "x")})).await.value(200);
    assert_eq!(part(&answer, "change"), "T002:ticked");
    fleet.expect_states(&goal, "T001:ready T002:done T003:ready").await;
    assert_eq!(fleet.read_goal(&goal).await["brief"], json!(brief(" ", "x")));
    verify(&fleet.pool).await;
    let answer = replan(&fleet, &goal, json!({"brief": brief("x", " ")})).await.value(200);
    assert_eq!(part(&answer, "change"), "T001:ticked");
    let note = answer["diff"]["keep"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["ref"] == "T002")
        .unwrap();
    assert!(text(&note["text"]).contains("reopen it"), "{note}");
    fleet.expect_states(&goal, "T001:done T002:done T003:ready").await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_is_not_from_the_plan_is_left_alone() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.goal(json!([task("a", &[]), task("b", &[])])).await;
    let held = worker.claim(2).await.into_iter().find(|held| held.name == "a").unwrap();
    worker.subtasks(&held, json!([task("sub", &[])])).await;
    let more = json!({"tasks": [task("x", &["b"]), task("y", &[])]});
    fleet.admin.post(format!("/v1/goals/{goal}/tasks"), &more).await.expect(201);
    let answer = plan(&fleet, &goal, json!([task("a", &[])])).await;
    assert_eq!(part(&answer, "cancel"), "b:removed x:needs_removed");
    fleet.expect_states(&goal, "a:parked b:running sub:ready x:cancelled y:ready").await;
    let answer =
        plan(&fleet, &goal, json!([task("a", &[]), {"ref": "y", "title": "Do y well"}])).await;
    assert_eq!(part(&answer, "change"), "y:edited");
    assert_eq!(fleet.task(&goal, "y").await["title"], "Do y well");
    let answer = plan(&fleet, &goal, json!([task("a", &[])])).await;
    assert_eq!(part(&answer, "cancel"), "y:removed", "it is from the plan since it was named");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_goal_that_asks_for_its_plan_asks_for_each_version() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.post_goal(json!({"title": "g", "tasks": [task("a", &[]), task("b", &["a"])], "approval": {"plan": true}})).await;
    let refused = replan(&fleet, &goal, json!({"tasks": [task("a", &[])]})).await;
    refused.problem(409, "wrong_state");
    fleet.decide(json!({"decision": "approve"})).await;
    let own = async |tasks: Value| {
        let body = json!({"tasks": tasks, "reason": "they asked"});
        fleet.poster.post(format!("/v1/goals/{goal}/replan"), &body).await.value(200)
    };
    let first = own(json!([task("a", &[]), task("c", &["a"])])).await;
    assert_eq!(
        (&first["outcome"], &first["plan"]["state"]),
        (&json!("proposed"), &json!("proposed"))
    );
    fleet.expect_states(&goal, "a:ready b:waiting").await;
    assert_eq!(fleet.goal_state(&goal).await, "active");
    verify(&fleet.pool).await;
    // A newer version replaces it, and the work goes on.
    own(json!([task("a", &[]), task("d", &["a"])])).await;
    let question = fleet.question().await;
    assert!(text(&question["title"]).contains("version 3"), "{question}");
    let shown =
        fleet.admin.get(format!("/v1/approvals/{}", text(&question["id"]))).await.value(200);
    assert!(
        text(&shown["body"]).contains("`d`") && text(&shown["body"]).contains("they asked"),
        "{shown}"
    );
    worker.complete(&worker.take().await).await;
    fleet.expect_states(&goal, "a:done b:ready").await;
    fleet.decide(json!({"decision": "approve"})).await;
    fleet.expect_states(&goal, "a:done b:cancelled d:ready").await;
    verify(&fleet.pool).await;
    // Rejected: the goal goes on as it was.
    own(json!([task("a", &[]), task("e", &[])])).await;
    fleet.decide(json!({"decision": "reject", "reason": "no"})).await;
    fleet.expect_states(&goal, "a:done b:cancelled d:ready").await;
    assert_eq!(fleet.goal_state(&goal).await, "active");
    // Edited by the approver.
    own(json!([task("a", &[]), task("d", &["a"]), task("f", &[])])).await;
    let edited = json!([task("a", &[]), task("d", &["a"]), {"ref": "f", "title": "Do f first"}]);
    fleet.decide(json!({"decision": "approve", "payload": edited})).await;
    assert_eq!(fleet.task(&goal, "f").await["title"], "Do f first");
    let plans = fleet.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
    let states: Vec<String> =
        plans["items"].as_array().unwrap().iter().map(|plan| text(&plan["state"])).collect();
    assert_eq!(
        states,
        ["applied", "superseded", "rejected", "superseded", "superseded", "superseded"]
    );
    // The goal ends while a version waits.
    own(json!([task("a", &[]), task("d", &["a"]), task("f", &[]), task("g", &[])])).await;
    worker.work_off().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    assert!(fleet.questions().await.is_empty());
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn each_thing_that_happens_has_its_row() {
    let fleet = Fleet::start().await;
    let goal = fleet.goal(json!([task("a", &[]), task("b", &["a"])])).await;
    let (_, last) = journal(&fleet, &goal, 0).await;
    let tasks = json!([{"ref": "a", "title": "Do a well"}, task("c", &["a"])]);
    let body = json!({"tasks": tasks, "brief": "Better.", "reason": "better"});
    let key = |body: &Value| {
        fleet.admin.post(format!("/v1/goals/{goal}/replan"), body).idempotency_key("k-1")
    };
    let first: Value = key(&body).await.value(200);
    let again = key(&body).await.expect(200);
    assert_eq!((again.header("idempotent-replayed"), again.json::<Value>()), ("true", first));
    let (kinds, _) = journal(&fleet, &goal, last).await;
    let mut kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    kinds.sort_unstable();
    let want = [
        "goal.updated",
        "plan.applied",
        "task.cancelled",
        "task.created",
        "task.updated",
        "task.waiting",
    ];
    assert_eq!(kinds, want);
    let data: Value =
        sqlx::query_scalar("select data from journal where kind = 'plan.applied' and number > $1")
            .bind(last)
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(data["counts"], json!({"added": 1, "kept": 0, "changed": 1, "cancelled": 1}));
    assert_eq!(
        (&data["number"], &data["base"], &data["reason"]),
        (&json!(2), &json!(1), &json!("better"))
    );
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn those_plan_anew_who_may_post_tasks() {
    let fleet = Fleet::start().await;
    let submitter = fleet.client(&fleet.key("submitter").await);
    let posted = json!({"title": "g", "tasks": [task("a", &[])]});
    let own = text(&submitter.post("/v1/goals", &posted).await.value(201)["id"]);
    let others = fleet.goal(json!([task("a", &[])])).await;
    let body = json!({"tasks": [task("b", &[])]});
    submitter.post(format!("/v1/goals/{own}/replan"), &body).await.expect(200);
    for dry_run in [false, true] {
        let body = json!({"tasks": [task("b", &[])], "dry_run": dry_run});
        let path = format!("/v1/goals/{others}/replan");
        submitter.post(&path, &body).await.problem(403, "forbidden");
        fleet.other_workspace().await.post(&path, &body).await.problem(404, "not_found");
    }
    fleet.admin.post(format!("/v1/goals/{others}/cancel"), &json!({})).await.expect(200);
    replan(&fleet, &others, body).await.problem(409, "goal_ended");
}

#[tokio::test]
async fn a_verifying_goal_is_active_again_with_a_new_task() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet
        .post_goal(
            json!({"title": "g", "tasks": [task("a", &[])], "criteria": [{"text": "it works"}]}),
        )
        .await;
    worker.complete(&worker.take().await).await;
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
    assert_eq!(plan(&fleet, &goal, json!([task("a", &[])])).await["outcome"], "unchanged");
    plan(&fleet, &goal, json!([task("a", &[]), task("b", &["a"])])).await;
    assert_eq!(fleet.goal_state(&goal).await, "active");
    verify(&fleet.pool).await;
    worker.complete(&worker.take().await).await;
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
}

/// All of it in one request, within the time that a request has.
#[tokio::test]
async fn two_thousand_tasks_are_planned_anew() {
    let fleet = Fleet::start().await;
    let tasks = |word: &str, from: usize| -> Value {
        let one = |n: usize| {
            let needs = if n > from { json!([format!("t{}", n - 1)]) } else { json!([]) };
            json!({"ref": format!("t{n}"), "title": format!("{word} {n}"), "needs": needs})
        };
        (from..from + 2_000).map(one).collect()
    };
    let goal = fleet.goal(tasks("Do", 0)).await;
    let answer = plan(&fleet, &goal, tasks("Do", 0)).await;
    assert_eq!(answer["outcome"], "unchanged");
    let answer = plan(&fleet, &goal, tasks("Redo", 1_000)).await;
    let counts = json!({"added": 1_000, "kept": 0, "changed": 1_000, "cancelled": 1_000});
    assert_eq!(answer["diff"]["counts"], counts);
    assert_eq!(fleet.state(&goal, "t1000").await, "ready");
    assert_eq!(fleet.state(&goal, "t1001").await, "waiting");
    verify(&fleet.pool).await;
    let many: Value = (0..5_001).map(|n| task(&format!("u{n}"), &[])).collect();
    assert_eq!(
        replan(&fleet, &goal, json!({"tasks": many})).await.problem(422, "plan_invalid"),
        ["/tasks"]
    );
}

/// A plan is applied while its tasks are claimed and completed: it is applied as a whole, and no attempt loses what it
/// was given.
#[tokio::test]
async fn planning_anew_races_claims_and_completions() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    for n in 0..32 {
        let goal =
            fleet.goal(json!([task("a", &[]), task("b", &[]), task("c", &["a", "b"])])).await;
        let mut held = worker.claim(1).await;
        let first = held.pop().unwrap();
        let tasks = json!([
            {"ref": "a", "title": "Do a anew"}, task("c", &["a", "d"]), task("d", &["a"]),
        ]);
        let change = replan(&fleet, &goal, json!({"tasks": tasks}));
        let answer = if n % 2 == 0 {
            let (answer, _) =
                tokio::join!(change, worker.write(&first, "complete", json!({"result": {}})));
            answer
        } else {
            let (answer, more) = tokio::join!(change, worker.claim(2));
            held.extend(more);
            answer
        };
        answer.expect(200);
        verify(&fleet.pool).await;
        for held in held {
            worker.write(&held, "complete", json!({"result": {}})).await;
        }
        fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await;
        fleet.after(61).await;
    }
    verify(&fleet.pool).await;
}

/// The planning runs of a goal in their order: `replan agent:running`.
async fn turns(fleet: &Fleet, goal: &str) -> String {
    let page = fleet.admin.get(format!("/v1/goals/{goal}/planning?limit=200")).await.value(200);
    let runs = page["items"].as_array().unwrap().iter().rev();
    let turn = |run: &Value| {
        format!("{} {}:{}", text(&run["target"]), text(&run["planner"]), text(&run["state"]))
    };
    runs.map(turn).collect::<Vec<_>>().join(" ")
}

/// An agent that does the work, and one that only plans.
async fn crew(fleet: &Fleet) -> (Agent, Agent) {
    (fleet.agent("worker", &["work"], 9).await, fleet.agent("planner", &["plan"], 9).await)
}

async fn hand_in(fleet: &Fleet, agent: &Agent, held: &Held, plan: &Value) -> Value {
    let answer = agent.write(held, "complete", json!({"result": plan})).await.value(200);
    fleet.round().await;
    answer
}

fn checked(name: &str, needs: &[&str]) -> Value {
    json!({"ref": name, "title": format!("Do {name}"), "needs": needs, "labels": ["kept"], "capabilities": ["work"],
           "criteria": [{"text": "it works", "required": false}]})
}

/// The plan document of a planner: each task with what it needs.
fn document(tasks: &[(&str, &[&str])]) -> Value {
    let task = |(name, needs): &(&str, &[&str])| {
        json!({"ref": name, "title": format!("Do {name}"), "needs": needs, "capabilities": ["work"],
               "criteria": [{"text": "it works", "required": false}]})
    };
    json!({"tasks": tasks.iter().map(task).collect::<Vec<_>>(), "notes": []})
}

#[tokio::test]
async fn an_agent_plans_a_goal_anew_while_it_is_worked_on() {
    let fleet = Fleet::start().await;
    let (worker, planner) = crew(&fleet).await;
    let goal =
        fleet.goal(json!([checked("a", &[]), checked("b", &["a"]), checked("c", &["b"])])).await;
    worker.complete(&worker.take().await).await;
    let body = json!({"planners": ["agent"], "reason": "they stream", "brief": "Stream it."});
    let answer = replan(&fleet, &goal, body).await.value(200);
    assert_eq!((&answer["outcome"], &answer["base"]), (&json!("planning"), &json!(1)));
    assert_eq!(
        (fleet.goal_state(&goal).await, turns(&fleet, &goal).await),
        ("active".into(), "replan agent:waiting".into())
    );
    fleet.round().await;
    // The work goes on meanwhile.
    let b = worker.take().await;
    let held = planner.take().await;
    let input = &held.claim["task"]["input"];
    assert_eq!(
        (&input["brief"], &input["standing"]["reason"]),
        (&json!("Stream it."), &json!("they stream"))
    );
    assert_eq!(input["standing"]["done"], json!([{"ref": "a", "title": "Do a"}]));
    let refs: Vec<String> =
        input["draft"]["tasks"].as_array().unwrap().iter().map(|task| text(&task["ref"])).collect();
    assert_eq!(refs, ["b", "c"]);
    let ids = [fleet.task_id(&goal, "b").await, fleet.task_id(&goal, "c").await];
    hand_in(
        &fleet,
        &planner,
        &held,
        &document(&[("b", &["a"]), ("c", &["b", "d"]), ("d", &["a"])]),
    )
    .await;
    assert_eq!(turns(&fleet, &goal).await, "replan agent:planned");
    fleet
        .expect_states(&goal, &format!("a:done b:running c:waiting {}:done d:ready", held.name))
        .await;
    assert_eq!([fleet.task_id(&goal, "b").await, fleet.task_id(&goal, "c").await], ids);
    assert_eq!(
        fleet.task(&goal, "c").await["labels"],
        json!(["kept"]),
        "a plan document has no labels"
    );
    assert_eq!(fleet.read_goal(&goal).await["brief"], "Stream it.");
    let plans = fleet.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
    let plan = &plans["items"][0];
    assert_eq!(
        (&plan["number"], &plan["base"], &plan["planner"], &plan["state"]),
        (&json!(2), &json!(1), &json!("agent"), &json!("applied"))
    );
    verify(&fleet.pool).await;
    worker.complete(&b).await;
    worker.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// The planning task is the last open one: what the plan adds comes before its end.
#[tokio::test]
async fn a_plan_that_comes_last_still_adds_to_its_goal() {
    let fleet = Fleet::start().await;
    let (worker, planner) = crew(&fleet).await;
    let goal = fleet.goal(json!([checked("a", &[])])).await;
    replan(&fleet, &goal, json!({"planners": ["agent"]})).await.expect(200);
    fleet.round().await;
    worker.complete(&worker.take().await).await;
    let held = planner.take().await;
    // The findings of a plan come back, as for a first one.
    hand_in(&fleet, &planner, &held, &document(&[("n", &["x"])])).await;
    assert_eq!(turns(&fleet, &goal).await, "replan agent:running");
    let held = planner.take().await;
    assert_eq!(held.number, 2);
    hand_in(&fleet, &planner, &held, &document(&[("n", &["a"])])).await;
    assert_eq!(fleet.goal_state(&goal).await, "active");
    assert_eq!(worker.work_off().await, ["n"]);
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_draft_that_an_agent_hands_back_changes_nothing() {
    let fleet = Fleet::start().await;
    let goal = fleet
        .goal(json!([checked("a", &[]), {"ref": "b", "title": "Do b", "needs": ["a"], "capabilities": ["work"], "section": "Part 2", "input": {"n": 1},
                     "max_attempts": 7, "criteria": [{"text": "it works"}],
                     "estimate": {"usd_micros": {"min": 1, "want": 5}}}]))
        .await;
    let (_, planner) = crew(&fleet).await;
    replan(&fleet, &goal, json!({"planners": ["agent"]})).await.expect(200);
    fleet.round().await;
    let held = planner.take().await;
    let draft = held.claim["task"]["input"]["draft"].clone();
    hand_in(&fleet, &planner, &held, &draft).await;
    assert_eq!(turns(&fleet, &goal).await, "replan agent:planned");
    let plans = fleet.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
    assert_eq!(plans["items"].as_array().unwrap().len(), 1);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_goal_goes_on_when_no_planner_plans_it_anew() {
    let fleet = Fleet::start().await;
    let (worker, planner) = crew(&fleet).await;
    let goal = fleet.goal(json!([checked("a", &[]), checked("b", &["a"])])).await;
    let body = json!({"planners": ["agent", "outline"], "brief": "No tasks here."});
    replan(&fleet, &goal, body).await.expect(200);
    fleet.round().await;
    planner.fail(&planner.take().await, "permanent").await;
    fleet.round().await;
    fleet.round().await;
    assert_eq!(turns(&fleet, &goal).await, "replan agent:failed replan outline:failed");
    let page = fleet.admin.get("/v1/attention").await.value(200);
    assert!(page["items"].as_array().unwrap().is_empty(), "{page:#}");
    verify(&fleet.pool).await;
    worker.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Another plan came into force meanwhile: the plan of the agent is compared with that one.
#[tokio::test]
async fn a_plan_of_an_agent_is_compared_with_the_plan_in_force() {
    let fleet = Fleet::start().await;
    let goal = fleet.goal(json!([checked("a", &[]), checked("b", &["a"])])).await;
    let (_, planner) = crew(&fleet).await;
    let stale = json!({"planners": ["agent"], "base_version": 2});
    replan(&fleet, &goal, stale).await.problem(409, "plan_changed");
    replan(&fleet, &goal, json!({"planners": ["agent"], "base_version": 1})).await.expect(200);
    fleet.round().await;
    let held = planner.take().await;
    plan(&fleet, &goal, json!([checked("a", &[]), checked("b", &["a"]), checked("c", &[])])).await;
    assert_eq!(turns(&fleet, &goal).await, "replan agent:running");
    hand_in(&fleet, &planner, &held, &document(&[("a", &[]), ("b", &["a"])])).await;
    fleet.expect_states(&goal, &format!("a:ready b:waiting {}:done c:cancelled", held.name)).await;
    let plans = fleet.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
    assert_eq!((&plans["items"][0]["number"], &plans["items"][0]["base"]), (&json!(3), &json!(2)));
    verify(&fleet.pool).await;
}

/// Whoever asked for the plan proposes it, and does not approve it alone.
#[tokio::test]
async fn a_new_plan_of_an_agent_waits_for_its_approval() {
    let fleet = Fleet::start().await;
    let body = json!({"title": "g", "approval": {"plan": true}, "tasks": [checked("a", &[])]});
    let goal = fleet.post_goal(body).await;
    fleet.decide(json!({"decision": "approve"})).await;
    let (_, planner) = crew(&fleet).await;
    let path = format!("/v1/goals/{goal}/replan");
    fleet.poster.post(&path, &json!({"planners": ["agent"]})).await.expect(200);
    fleet.round().await;
    let held = planner.take().await;
    hand_in(&fleet, &planner, &held, &document(&[("a", &[]), ("n", &["a"])])).await;
    assert_eq!(turns(&fleet, &goal).await, "replan agent:planned");
    let question = fleet.question().await;
    assert_eq!(question["kind"], "plan");
    fleet.decide(json!({"decision": "approve"})).await;
    fleet.expect_states(&goal, &format!("a:ready {}:done n:waiting", held.name)).await;
    // The service hands the plan in, but an admin asked for it.
    replan(&fleet, &goal, json!({"planners": ["agent"]})).await.expect(200);
    fleet.round().await;
    let held = planner.take().await;
    hand_in(&fleet, &planner, &held, &document(&[("a", &[])])).await;
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let approve = about(&question, json!({"decision": "approve"}));
    fleet.admin.post(path, &approve).await.problem(403, "separation_of_duties");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn planners_of_a_new_plan_end_with_the_goal_and_with_a_further_request() {
    let fleet = Fleet::start().await;
    let goal = fleet.goal(json!([checked("a", &[])])).await;
    let (_, planner) = crew(&fleet).await;
    replan(&fleet, &goal, json!({"planners": ["agent"]})).await.expect(200);
    fleet.round().await;
    let held = planner.take().await;
    replan(&fleet, &goal, json!({"planners": ["agent", "outline"]})).await.expect(200);
    assert_eq!(planner.beat(&held).await["directive"], "stop");
    let late = planner.write(&held, "complete", json!({"result": document(&[("x", &[])])})).await;
    assert_eq!(late.value(200)["task_state"], "done");
    assert_eq!(
        turns(&fleet, &goal).await,
        "replan agent:cancelled replan agent:waiting replan outline:queued"
    );
    fleet.round().await;
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    fleet.round().await;
    assert_eq!(
        turns(&fleet, &goal).await,
        "replan agent:cancelled replan agent:cancelled replan outline:cancelled"
    );
    verify_rested(&fleet.pool, fleet.now()).await;
    // A comparison calls nobody.
    let other = fleet.goal(json!([checked("a", &[])])).await;
    let dry = json!({"planners": ["agent"], "dry_run": true});
    assert_eq!(replan(&fleet, &other, dry).await.problem(422, "invalid"), ["/planners"]);
}

#[tokio::test]
async fn a_new_plan_is_waited_for() {
    let fleet = Fleet::start().await;
    let goal = fleet.goal(json!([checked("a", &[])])).await;
    let (_, planner) = crew(&fleet).await;
    let path = format!("/v1/goals/{goal}/replan?wait_seconds=30");
    let asked = async { fleet.admin.post(&path, &json!({"planners": ["agent"]})).await.value(200) };
    let planned = async {
        fleet.until("select exists (select from planning_runs where state = 'waiting')").await;
        fleet.round().await;
        let held = planner.take().await;
        hand_in(&fleet, &planner, &held, &document(&[("a", &[]), ("n", &["a"])])).await;
    };
    let (answer, ()) = tokio::join!(asked, planned);
    assert_eq!(answer["outcome"], "applied");
    assert_eq!(part(&answer, "add"), "n:new");
    assert_eq!((&answer["base"], &answer["plan"]["number"]), (&json!(1), &json!(2)));
}
