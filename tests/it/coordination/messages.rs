//! Comments between agents: whom they reach while they work, how often, and within which bounds.

use futures_util::future::join;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{
    agent::{Agent, Held},
    dump::{dump, same},
    fleet::{Fleet, text},
    invariants::verify,
};

fn texts(answer: &Value) -> Vec<String> {
    let comments = answer["comments"].as_array().unwrap();
    comments.iter().map(|comment| text(&comment["text"])).collect()
}

async fn say(agent: &Agent, path: &str, comment: Value) -> Value {
    agent.client.post(format!("{path}/comments"), &comment).await.value(201)
}

/// What a heartbeat brings; acknowledges it.
async fn hear(agent: &Agent, held: &Held) -> Vec<String> {
    let answer = agent.beat(held).await;
    let ids: Vec<&Value> =
        answer["comments"].as_array().unwrap().iter().map(|c| &c["comment_id"]).collect();
    let seen = agent.write(held, "heartbeat", json!({"seen_comments": ids})).await.value(200);
    assert_eq!(seen["comments"], json!([]), "what was acknowledged is not sent again");
    texts(&answer)
}

/// Three agents at three tasks of one goal: a database person, a reviewer, and one more.
async fn three() -> (Fleet, String, Vec<(Agent, Held)>) {
    let fleet = Fleet::start().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a", "capabilities": ["db"]},
            {"ref": "b", "title": "b", "capabilities": ["review"]},
            {"ref": "c", "title": "c"},
        ]))
        .await;
    let mut held = Vec::new();
    for (name, able) in [("db", &["db"][..]), ("review", &["review"][..]), ("plain", &[][..])] {
        let agent = fleet.agent(name, able, 1).await;
        // The tasks with a capability first.
        let task = agent.take().await;
        held.push((agent, task));
    }
    (fleet, format!("/v1/goals/{goal}"), held)
}

#[tokio::test]
async fn a_comment_reaches_the_running_attempts_that_it_is_for() {
    let (fleet, goal, held) = three().await;
    let [(db, a), (review, b), (plain, c)] = &held[..] else { panic!() };
    let task = format!("/v1/tasks/{}", b.task);
    say(plain, &goal, json!({"text": "to all"})).await;
    fleet.pass(1);
    say(plain, &goal, json!({"text": "to db", "to": {"capability": "db"}})).await;
    fleet.pass(1);
    say(plain, &goal, json!({"text": "to review", "to": {"agent_id": review.id}})).await;
    fleet.pass(1);
    let person = json!({"text": "of a person"});
    fleet.admin.post(format!("{task}/comments"), &person).await.expect(201);
    assert_eq!(hear(db, a).await, ["to all", "to db"]);
    assert_eq!(hear(review, b).await, ["to all", "to review", "of a person"]);
    assert!(hear(plain, c).await.is_empty(), "nobody hears themselves");
    // Once more there is nothing, also after the background work.
    fleet.after(20).await;
    for (agent, task) in &held {
        assert!(hear(agent, task).await.is_empty());
    }
    // Everybody may read everything, and a claim hands everything over.
    review.hand_back(b).await;
    let again = review.take().await;
    assert_eq!(texts(&again.claim), ["to all", "to db", "to review", "of a person"]);
    assert_eq!(again.claim["comments"][1]["to"], json!({"capability": "db"}));
    assert!(hear(review, &again).await.is_empty(), "the claim brought them");
    fleet.after(20).await;
    assert!(hear(review, &again).await.is_empty());
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_answer_goes_to_who_asked() {
    let (fleet, goal, held) = three().await;
    let [(db, a), (review, b), (plain, c)] = &held[..] else { panic!() };
    let ask = json!({"text": "null?", "kind": "question", "to": {"capability": "db"}});
    let asked = say(plain, &goal, ask).await;
    assert_eq!((&asked["kind"], &asked["answers"]), (&json!("question"), &Value::Null));
    let heard = db.beat(a).await;
    assert_eq!(heard["comments"][0]["kind"], "question");
    assert_eq!(heard["comments"][0]["agent_id"], json!(plain.id));
    let id = heard["comments"][0]["comment_id"].clone();
    let answer = say(db, &goal, json!({"text": "no", "kind": "answer", "answers": id})).await;
    assert_eq!(answer["to"], json!({"agent_id": plain.id}));
    let heard = plain.beat(c).await;
    assert_eq!(
        (texts(&heard), &heard["comments"][0]["answers"]),
        (vec!["no".to_owned()], &asked["id"])
    );
    assert!(hear(review, b).await.is_empty());
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_is_not_acknowledged_is_sent_five_times() {
    let (fleet, goal, held) = three().await;
    let (db, a) = &held[0];
    let (plain, _) = &held[2];
    say(plain, &goal, json!({"text": "one"})).await;
    for _ in 0..2 {
        assert_eq!(texts(&db.beat(a).await), ["one"]);
    }
    fleet.pass(1);
    say(plain, &goal, json!({"text": "two"})).await;
    for _ in 0..3 {
        assert_eq!(texts(&db.beat(a).await), ["one", "two"]);
    }
    // Also with the heartbeats of a batch, and with a report.
    let beats = json!({"heartbeats": [{"attempt_id": a.attempt, "lease": a.lease}]});
    let beats = db.client.post("/v1/heartbeats", &beats).await.value(200);
    assert_eq!(texts(&beats["outcomes"][0]["answer"]), ["two"]);
    let report = db.write(a, "heartbeat", json!({"progress": {"percent": 3}})).await.value(200);
    assert_eq!(texts(&report), ["two"]);
    assert!(texts(&db.beat(a).await).is_empty());
    // What is acknowledged before it was sent is not sent, and unknown ids do nothing.
    fleet.pass(1);
    let three = say(plain, &goal, json!({"text": "three"})).await;
    let seen = json!({"seen_comments": [three["id"], fleet.no_id()]});
    assert!(texts(&db.write(a, "heartbeat", seen).await.value(200)).is_empty());
    let many: Vec<String> = (0..101).map(|_| fleet.no_id()).collect();
    let refused = db.write(a, "heartbeat", json!({"seen_comments": many})).await;
    assert_eq!(refused.problem(422, "invalid"), ["/seen_comments"]);
    // Nobody acknowledges for another.
    fleet.pass(1);
    let four = say(plain, &goal, json!({"text": "four"})).await;
    let (review, b) = &held[1];
    review.write(b, "heartbeat", json!({"seen_comments": [four["id"]]})).await.expect(200);
    let foreign = json!({"seen_comments": [four["id"]]});
    review.write(a, "heartbeat", foreign).await.problem(403, "not_your_attempt");
    assert_eq!(texts(&db.beat(a).await), ["four"]);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_heartbeat_brings_a_bounded_number_and_says_that_there_are_more() {
    let (fleet, goal, held) = three().await;
    let (db, a) = &held[0];
    for n in 0..25 {
        fleet.pass(1);
        let new = json!({"text": n.to_string()});
        fleet.admin.post(format!("{goal}/comments"), &new).await.expect(201);
    }
    let answer = db.beat(a).await;
    let first: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!((texts(&answer), &answer["more_comments"]), (first.clone(), &json!(true)));
    let ids: Vec<&Value> =
        answer["comments"].as_array().unwrap().iter().map(|c| &c["comment_id"]).collect();
    let next = db.write(a, "heartbeat", json!({"seen_comments": ids})).await.value(200);
    assert_eq!(texts(&next), ["20", "21", "22", "23", "24"]);
    assert_eq!(next["more_comments"], json!(false));
    assert_eq!(hear(db, a).await, ["20", "21", "22", "23", "24"]);
    for size in [16_000, 16_000, 1_000] {
        fleet.pass(1);
        let new = json!({"text": "x".repeat(size)});
        fleet.admin.post(format!("{goal}/comments"), &new).await.expect(201);
    }
    let answer = db.beat(a).await;
    let sizes: Vec<usize> = texts(&answer).iter().map(String::len).collect();
    assert_eq!((sizes, &answer["more_comments"]), (vec![16_000, 16_000], &json!(true)));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn agents_write_a_bounded_number_of_comments() {
    let (fleet, goal, held) = three().await;
    let (db, a) = &held[0];
    let (review, _) = &held[1];
    let new = json!({"text": "thank you"});
    for _ in 0..30 {
        say(db, &goal, new.clone()).await;
    }
    let before = dump(&fleet.pool).await;
    for path in [goal.clone(), format!("/v1/tasks/{}", a.task)] {
        db.client.post(format!("{path}/comments"), &new).await.problem(429, "rate_limited");
    }
    same("refused comments", &before, &dump(&fleet.pool).await);
    say(review, &goal, new.clone()).await;
    fleet.pass(30);
    for (agent, task) in &held {
        agent.beat(task).await;
    }
    fleet.pass(31);
    say(db, &goal, new).await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_is_for_nobody_or_answers_nothing_is_refused() {
    let (fleet, goal, held) = three().await;
    let (db, a) = &held[0];
    let stranger = fleet.stranger().await;
    let note = say(db, &goal, json!({"text": "note"})).await;
    let other = fleet.lone_task(json!({})).await;
    let elsewhere = format!("/v1/goals/{other}/comments");
    let foreign = json!({"text": "?", "kind": "question"});
    let foreign = fleet.admin.post(&elsewhere, &foreign).await.value(201);
    let before = dump(&fleet.pool).await;
    for (body, place) in [
        (json!({"text": "t", "kind": "answer"}), "/answers"),
        (json!({"text": "t", "kind": "answer", "answers": note["id"]}), "/answers"),
        (json!({"text": "t", "kind": "answer", "answers": foreign["id"]}), "/answers"),
        (json!({"text": "t", "kind": "answer", "answers": fleet.no_id()}), "/answers"),
        (json!({"text": "t", "answers": note["id"]}), "/answers"),
        (json!({"text": "t", "to": {}}), "/to"),
        (json!({"text": "t", "to": {"agent_id": db.id, "capability": "db"}}), "/to"),
        (json!({"text": "t", "to": {"agent_id": stranger.id}}), "/to/agent_id"),
        (json!({"text": "t", "to": {"agent_id": fleet.no_id()}}), "/to/agent_id"),
        (json!({"text": "t", "to": {"capability": "No Such"}}), "/to/capability"),
    ] {
        for path in [goal.clone(), format!("/v1/tasks/{}", a.task)] {
            let answer = db.client.post(format!("{path}/comments"), &body).await;
            assert_eq!(answer.problem(422, "invalid"), [place], "{}", answer.describe());
        }
    }
    for body in [json!({"text": "t", "kind": "order"}), json!({"text": "t", "from": "muster"})] {
        db.client.post(format!("{goal}/comments"), &body).await.problem(422, "invalid");
    }
    // Of another workspace nothing is found, neither to write to nor to read.
    let path = format!("{goal}/comments");
    stranger.client.post(&path, &json!({"text": "hello"})).await.problem(404, "not_found");
    stranger.client.get(&path).await.problem(404, "not_found");
    same("refused comments", &before, &dump(&fleet.pool).await);
    verify(&fleet.pool).await;
}

/// However a comment and a claim cross, the attempt gets the comment: with its claim or with a heartbeat.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_that_crosses_a_claim_is_not_lost() {
    let fleet = Fleet::start().await;
    let base = fleet.listen().await;
    let worker = fleet.worker().await.at(&base);
    for turn in 0..40 {
        let goal = fleet.lone_task(json!({})).await;
        let path = match turn % 2 {
            0 => format!("/v1/goals/{goal}/comments"),
            _ => format!("/v1/tasks/{}/comments", fleet.task_id(&goal, "a").await),
        };
        let new = json!({"text": "mind the gap"});
        let comment = fleet.admin.post(path, &new);
        let (written, mut held) = join(async { comment.await }, worker.claim(1)).await;
        written.expect(201);
        if held.is_empty() {
            // The comment held the task at that moment.
            held = worker.claim(1).await;
        }
        let held = &held[0];
        let mut got = texts(&held.claim);
        if got.is_empty() {
            fleet.round().await;
            got = hear(&worker, held).await;
        }
        assert_eq!(got, ["mind the gap"], "turn {turn}");
        worker.complete(held).await;
    }
    fleet.after(60).await;
    fleet.round().await;
    let left = "select (select count(*) from comment_deliveries) + (select count(*) from comments_to_spread)";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(left, 0, "nothing is kept of attempts that have ended");
    verify(&fleet.pool).await;
}

/// Fleets that say much leave nothing behind: a run goes on until a bite is not full.
#[tokio::test]
async fn thousands_of_deliveries_are_forgotten_in_one_run() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = worker.take().await;
    let said = json!({"text": "mind the gap"});
    fleet.admin.post(format!("/v1/goals/{goal}/comments"), &said).await.expect(201);
    // As many as no bite holds, of the one there is.
    for (table, count) in
        [("comments", 1_200), ("comments_to_spread", 0), ("comment_deliveries", 11_000)]
    {
        let copy = match count {
            0 => "insert into comments_to_spread
                  select (jsonb_populate_record(s, jsonb_build_object('comment_id', c.comment_id))).*
                  from comments_to_spread s
                  join comments c on c.comment_id <> s.comment_id"
                .to_owned(),
            count => format!(
                "insert into {table}
                 select (jsonb_populate_record(t, jsonb_build_object('comment_id', gen_random_uuid()))).*
                 from {table} t cross join generate_series(1, {count})"
            ),
        };
        sqlx::raw_sql(AssertSqlSafe(copy)).execute(&fleet.pool).await.unwrap();
    }
    worker.complete(&held).await;
    fleet.after(60).await;
    for table in ["comments_to_spread", "comment_deliveries"] {
        let left = AssertSqlSafe(format!("select count(*) from {table}"));
        let left: i64 = sqlx::query_scalar(left).fetch_one(&fleet.pool).await.unwrap();
        assert_eq!(left, 0, "{table}");
    }
}
