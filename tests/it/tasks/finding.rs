//! Finding tasks: every filter and order against the whole list, page by page.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use crate::support::fleet::{Fleet, seed, text};

/// The tasks on all pages, in order; pages may be short.
async fn all(fleet: &Fleet, query: &str) -> Vec<Value> {
    let mut tasks = Vec::new();
    let mut path = format!("/v1/tasks?{query}");
    loop {
        let answer = fleet.admin.get(&path).await.expect(200);
        let page: Value = answer.json();
        tasks.extend(page["items"].as_array().unwrap().clone());
        if page["next_cursor"].is_null() {
            return tasks;
        }
        let link = answer.header("link");
        path = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    }
}

fn ids(tasks: &[Value]) -> Vec<String> {
    tasks.iter().map(|task| text(&task["id"])).collect()
}

const WORDS: [&str; 4] = ["Importer", "exporter", "Übung", "the 100% plan_b"];

/// Goals with tasks of every kind, of which some are worked on.
async fn fill(fleet: &Fleet, random: &mut StdRng) -> Vec<String> {
    let mut goals = Vec::new();
    for _ in 0..4 {
        let tasks: Vec<Value> = (0..12)
            .map(|n| {
                let parent = if n > 8 { json!("t0") } else { Value::Null };
                let capabilities: &[&str] =
                    [&[][..], &["rust"], &["python", "rust"]].choose(random).unwrap();
                let title = format!("{} {n}", WORDS.choose(random).unwrap());
                json!({
                    "ref": format!("t{n}"), "title": title, "parent": parent,
                    "description": WORDS.choose(random).unwrap().to_uppercase(),
                    "priority": random.random_range(0..10),
                    "labels": if n == 0 { vec![] } else { vec!["US1", "US2"][..n % 3].to_vec() },
                    "capabilities": if n == 0 { &[][..] } else { capabilities },
                })
            })
            .collect();
        fleet.pass(1);
        goals.push(fleet.goal(json!(tasks)).await);
    }
    for (name, able) in [("one", &["rust"][..]), ("two", &["rust", "python"])] {
        let agent = fleet.agent(name, able, 20).await;
        for held in agent.claim(10).await {
            fleet.pass(1);
            match random.random_range(0..4) {
                0 => drop(agent.complete(&held).await),
                1 => drop(agent.fail(&held, "permanent").await),
                2 => drop(agent.hand_back(&held).await),
                _ => {}
            }
        }
    }
    goals
}

/// Every list is the whole list, filtered and sorted.
#[tokio::test]
async fn each_filter_and_order_is_that_of_the_whole_list() {
    let fleet = Fleet::start().await;
    let mut random = StdRng::seed_from_u64(seed());
    let goals = fill(&fleet, &mut random).await;
    let whole = all(&fleet, "limit=200").await;
    assert_eq!(whole.len(), 48);
    let parent = fleet.task_id(&goals[1], "t0").await;
    let agent = text(&fleet.admin.get("/v1/agents?name=one").await.value(200)["items"][0]["id"]);
    let tried: Vec<String> = sqlx::query_scalar(
        "select t.task_id::text from tasks t
         join attempts a on a.attempt_id = t.current_attempt_id and a.agent_id = $1::uuid",
    )
    .bind(&agent)
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    let descriptions: Vec<(String, String)> =
        sqlx::query_as("select task_id::text, description from task_texts")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    let has = |task: &Value, field: &str, value: &str| {
        task[field].as_array().unwrap().iter().any(|item| item == value)
    };
    let mentions = |task: &Value, words: &str| {
        let about = descriptions.iter().find(|(id, _)| task["id"] == **id).unwrap();
        let words = words.to_lowercase();
        [text(&task["title"]), about.1.clone()]
            .iter()
            .any(|text| text.to_lowercase().contains(&words))
    };
    type Test<'a> = Box<dyn Fn(&Value) -> bool + 'a>;
    let filters: Vec<(String, Test<'_>)> = vec![
        ("".into(), Box::new(|_| true)),
        (format!("&goal_id={}", goals[2]), Box::new(|task| task["goal_id"] == *goals[2])),
        (format!("&parent_id={parent}"), Box::new(|task| task["parent_id"] == *parent)),
        (
            "&state=ready&state=running".into(),
            Box::new(|task| task["state"] == "ready" || task["state"] == "running"),
        ),
        (
            "&priority=3&priority=8&priority=3".into(),
            Box::new(|task| task["priority"] == 3 || task["priority"] == 8),
        ),
        ("&label=US2".into(), Box::new(|task| has(task, "labels", "US2"))),
        ("&capability=python".into(), Box::new(|task| has(task, "capabilities", "python"))),
        ("&ref=t3".into(), Box::new(|task| task["ref"] == "t3")),
        (format!("&agent_id={agent}"), Box::new(|task| tried.contains(&text(&task["id"])))),
        ("&text=IMPORT".into(), Box::new(|task| mentions(task, "import"))),
        ("&text=%20%C3%BCbung%20".into(), Box::new(|task| mentions(task, "übung"))),
        ("&text=0%25+PLAN_".into(), Box::new(|task| mentions(task, "0% plan_"))),
    ];
    let sorts = [
        "",
        "created_at",
        "-created_at",
        "priority",
        "-priority",
        "position",
        "updated_at",
        "-updated_at",
    ];
    for _ in 0..60 {
        let picked = [filters.choose(&mut random).unwrap(), filters.choose(&mut random).unwrap()];
        let asked: String = picked.iter().map(|(query, _)| query.as_str()).collect();
        if ["&goal", "&parent", "&label", "&capability", "&ref", "&agent", "&text"]
            .iter()
            .any(|name| asked.matches(name).count() > 1)
        {
            continue;
        }
        let narrow = asked.contains("&goal_id") || asked.contains("&parent_id");
        let sort = sorts.choose(&mut random).unwrap();
        let query = match *sort {
            "" => format!("limit=3{asked}"),
            sort => format!("limit=3&sort={sort}{asked}"),
        };
        if !narrow && (*sort == "position" || sort.ends_with("updated_at")) {
            let refused = fleet.admin.get(format!("/v1/tasks?{query}")).await;
            assert_eq!(refused.problem(422, "invalid"), ["?sort"], "{query}");
            continue;
        }
        let mut wanted: Vec<Value> = whole
            .iter()
            .filter(|task| picked.iter().all(|(_, test)| test(task)))
            .cloned()
            .collect();
        let sort = match *sort {
            "" if narrow => "position",
            "" => "-created_at",
            sort => sort,
        };
        let field = sort.trim_start_matches('-');
        wanted.sort_by_key(|task| {
            let key = match &task[field] {
                _ if field == "created_at" => String::new(),
                Value::Number(number) => format!("{:09}", number.as_i64().unwrap()),
                // Of one length, all in one second or with a fraction: compared as instants.
                instant => {
                    let instant: chrono::DateTime<chrono::Utc> = text(instant).parse().unwrap();
                    format!("{:020}", instant.timestamp_micros())
                }
            };
            (key, text(&task["id"]))
        });
        if sort.starts_with('-') {
            wanted.reverse();
        }
        assert_eq!(ids(&all(&fleet, &query).await), ids(&wanted), "{query}");
    }
}

#[tokio::test]
async fn what_a_list_does_not_know_is_refused_with_what_it_knows() {
    let fleet = Fleet::start().await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let refused = async |query: &str| {
        let answer = fleet.admin.get(format!("/v1/tasks?{query}")).await;
        let at = answer.problem(422, "invalid");
        let body: Value = answer.json();
        (at, text(&body["errors"][0]["detail"]))
    };
    for (query, pointer, says) in [
        ("sort=size", "?sort", "`-priority`"),
        ("sort=updated_at", "?sort", "`goal_id` or `parent_id`"),
        ("sort=priority&sort=position", "?sort", "once"),
        ("state=open", "?state", "`waiting`"),
        ("priority=10", "?priority", "0 to 9"),
        ("priority=-1", "?priority", "0 to 9"),
        ("priority=high", "?priority", "whole number"),
        ("text=", "?text", "empty"),
        ("text=%20", "?text", "empty"),
        ("ref=", "?ref", "empty"),
        ("label=", "?label", "empty"),
        ("capability=Not%20one", "?capability", "a-z"),
        ("agent_id=me", "?agent_id", "UUID"),
        ("owner=me", "?owner", "`agent_id`"),
    ] {
        let (at, detail) = refused(query).await;
        assert_eq!(at, [pointer], "{query}");
        assert!(detail.contains(says), "{query}: {detail}");
    }
    let long = format!("text={}", "x".repeat(501));
    assert_eq!(refused(&long).await.0, ["?text"]);
    // A cursor belongs to its order.
    let page = fleet.admin.get(format!("/v1/tasks?goal_id={goal}&limit=1")).await.value(200);
    let cursor = text(&page["next_cursor"]);
    let other = format!("goal_id={goal}&limit=1&sort=-priority&cursor={cursor}");
    assert_eq!(refused(&other).await.0, ["?cursor"]);
}

/// A page that tests many tasks and finds none says where to go on, and the last one is found.
#[tokio::test]
async fn a_search_is_bounded_and_the_rest_is_found() {
    let fleet = Fleet::start().await;
    let goal =
        fleet.goal(json!([{"ref": "old", "title": "the old needle", "labels": ["rare"]}])).await;
    let copied = "with made as (
            insert into tasks select (r).* from (
                select jsonb_populate_record(t, jsonb_build_object(
                    'task_id', ('f' || substr(md5(n::text), 2))::uuid, 'ref', 'n' || n, 'position', n)) as r
                from tasks t, generate_series(1, 10500) n where t.goal_id = $1::uuid) made
            returning workspace_id, task_id)
        insert into task_texts (workspace_id, task_id, title, description, labels)
        select workspace_id, task_id, 'hay', repeat('hay ', 20), '{}' from made";
    sqlx::query(copied).bind(&goal).execute(&fleet.pool).await.unwrap();
    let pages = async |query: &str| {
        let mut path = format!("/v1/tasks?{query}");
        let mut counts = Vec::new();
        loop {
            let page = fleet.admin.get(&path).await.value(200);
            counts.push(page["items"].as_array().unwrap().len());
            let Value::String(cursor) = &page["next_cursor"] else { return counts };
            path = format!("/v1/tasks?{query}&cursor={cursor}");
            assert!(counts.len() < 5, "{counts:?}");
        }
    };
    for query in ["text=NEEDLE", "label=rare", "ref=old", "state=ready&text=needle"] {
        assert_eq!(pages(query).await, [0, 1], "{query}");
    }
    assert_eq!(pages(&format!("goal_id={goal}&ref=old")).await, [1, 0], "the first of its goal");
    let first = fleet.admin.get("/v1/tasks?text=hay&limit=2").await.value(200);
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    // Long descriptions are read a few megabytes at a time.
    sqlx::query(
        "update task_texts set description = repeat('long ', 12000) where title = 'hay'
                 and task_id in (select task_id from task_texts where title = 'hay' limit 600)",
    )
    .execute(&fleet.pool)
    .await
    .unwrap();
    let found: usize = pages("text=needle").await.iter().sum();
    assert_eq!(found, 1);
    let found = all(&fleet, "text=LONG%20LONG&limit=200").await;
    assert_eq!(found.len(), 600);
}
