//! Planning a goal anew while it is worked on.

use serde_json::{Value, json};

use crate::support::{
    client::Answer,
    fleet::{Fleet, text},
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
