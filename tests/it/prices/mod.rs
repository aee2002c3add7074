//! The price book: usage becomes money, exactly, and corrections are entries of their own.

use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Value, json};

use crate::support::{
    fleet::{Fleet, seed},
    invariants::verify,
};

mod books;
mod usage;
mod waits;

fn gpt(input: i64, output: i64) -> Value {
    json!({
        "provider": "openai", "model": "gpt-4o-2024-08-06", "convention": "openai",
        "tokens": {"prompt_tokens": input, "completion_tokens": output},
    })
}

fn entry(key: &str, usage: &Value) -> Value {
    json!({"entries": [{"key": key, "usage": usage}]})
}

async fn spent(fleet: &Fleet, goal: &str) -> Value {
    fleet.read_goal(goal).await["spend"].clone()
}

/// Eight writers at four attempts, each call sent three times in any order: tokens and money are
/// exact, though a call costs half a micro-dollar more or less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_exact_however_often_and_in_whatever_order_it_is_sent() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let fleet = Fleet::seeded(seed).await;
    let agent = fleet.worker().await;
    let tasks: Value = (0..4).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect();
    let goal = fleet.post_goal(json!({"title": "g", "tasks": tasks, "budget": {
        "limits": [{"unit": "usd_micros", "amount": 1_000_000_000}],
    }}));
    let goal = goal.await;
    let held = agent.claim(4).await;
    let calls: Vec<(i64, i64)> =
        (0..160).map(|_| (random.random_range(1..9000), random.random_range(1..700))).collect();
    let base = fleet.listen().await;
    let writers = (0..8).map(|writer| {
        let mut mine: Vec<usize> =
            (0..calls.len()).filter(|n| n % 8 == writer).collect::<Vec<_>>().repeat(3);
        mine.shuffle(&mut random);
        let (agent, held, calls) = (agent.at(&base), held.clone(), calls.clone());
        tokio::spawn(async move {
            for n in mine {
                let (input, output) = calls[n];
                let report = entry(&format!("call {n}"), &gpt(input, output));
                agent.write(&held[n % 4], "spend", report).await.expect(200);
            }
        })
    });
    for writer in join_all(writers.collect::<Vec<_>>()).await {
        writer.unwrap();
    }
    let input: i64 = calls.iter().map(|(input, _)| input).sum();
    let output: i64 = calls.iter().map(|(_, output)| output).sum();
    let want = json!({
        "input_tokens": input, "output_tokens": output,
        "usd_micros": (input * 25 + output * 100) / 10,
    });
    assert_eq!(spent(&fleet, &goal).await, want);
    let fractions: i64 = sqlx::query_scalar("select sum(fraction)::bigint from spend_entries")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!(fractions % 1_000_000 / 100_000, (input * 25 + output * 100) % 10);
    verify(&fleet.pool).await;
}

/// The same call costs the same in whichever shape it is reported.
#[tokio::test]
async fn every_convention_says_the_same() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let price = json!({
        "provider": "maker", "model": "m", "usd_per_million":
            {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75"},
    });
    fleet.admin.post("/v1/prices", &price).await.expect(201);
    let shapes = [
        json!({"convention": "openai", "tokens": {"prompt_tokens": 1000, "completion_tokens": 200,
               "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100}}}),
        json!({"convention": "anthropic", "tokens": {"input_tokens": 300, "output_tokens": 200,
               "cache_read_input_tokens": 600, "cache_creation_input_tokens": 100}}),
        json!({"convention": "otel", "tokens": {"gen_ai.usage.input_tokens": 1000,
               "gen_ai.usage.output_tokens": 200, "gen_ai.usage.cache_read.input_tokens": 600,
               "gen_ai.usage.cache_creation.input_tokens": 100}}),
    ];
    for mut usage in shapes {
        usage["provider"] = json!("maker");
        usage["model"] = json!("m");
        let goal = fleet.lone_task(json!({})).await;
        let held = agent.take().await;
        agent.write(&held, "spend", entry("call", &usage)).await.expect(200);
        let want = json!({
            "input_tokens": 1000, "output_tokens": 200, "cache_read_tokens": 600,
            "cache_write_tokens": 100, "usd_micros": 300 * 3 + 600 * 3 / 10 + 375 + 200 * 15,
        });
        assert_eq!(spent(&fleet, &goal).await, want, "{usage}");
        agent.complete(&held).await;
    }
    verify(&fleet.pool).await;
}

/// What a model without a price costs is the budget's to say: by default an attempt under a limit of
/// money is told to stop, until there is a price and what was used is rated.
#[tokio::test]
async fn a_model_without_a_price_stops_what_is_limited_in_money() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let unknown = json!({"model": "nobody-knows", "convention": "openai",
                         "tokens": {"prompt_tokens": 1000, "completion_tokens": 10}});
    for (policy, money, directive) in
        [("refuse", None, "stop"), ("zero", None, "continue"), ("assume_max", Some(()), "continue")]
    {
        let goal = fleet.post_goal(json!({
            "title": policy, "tasks": [{"ref": "a", "title": "a"}],
            "budget": {"limits": [{"unit": "usd_micros", "amount": 900_000_000}],
                       "unknown_model": policy},
        }));
        let goal = goal.await;
        let held = agent.take().await;
        agent.write(&held, "spend", entry("call", &unknown)).await.expect(200);
        let spend = spent(&fleet, &goal).await;
        assert_eq!(spend["input_tokens"], 1000);
        assert_eq!(spend["usd_micros"].as_i64().map(|_| ()), money, "{policy}: {spend}");
        assert_eq!(agent.beat(&held).await["directive"], directive, "{policy}");
        if policy != "refuse" {
            agent.complete(&held).await;
            continue;
        }
        let price = json!({"provider": "x", "model": "nobody-knows",
                           "effective_from": "2026-01-01T00:00:00Z",
                           "usd_per_million": {"input": "1", "output": "2"}});
        fleet.admin.post("/v1/prices", &price).await.expect(201);
        fleet.round().await;
        assert_eq!(spent(&fleet, &goal).await["usd_micros"], 1020);
        let all = json!({"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"});
        let answer = fleet.admin.post("/v1/prices/rerate", &all).await.value(200);
        assert_eq!(answer, json!({"calls": 1, "corrected": 0, "usd_micros": 0}));
        assert_eq!(agent.beat(&held).await["directive"], "continue");
        agent.complete(&held).await;
        verify(&fleet.pool).await;
        // From here on the model has a price: the other policies meet another name.
        sqlx::query("alter table prices disable trigger all").execute(&fleet.pool).await.unwrap();
        sqlx::query("delete from prices").execute(&fleet.pool).await.unwrap();
    }
    verify(&fleet.pool).await;
}

/// A price is never changed. Rating anew writes what differs, once.
#[tokio::test]
async fn rating_anew_writes_corrections_once() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    agent.write(&held, "spend", entry("call", &gpt(1001, 0))).await.expect(200);
    let own = json!({"entries": [{"key": "own", "amounts": {"usd_micros": 7},
                                  "usage": gpt(5000, 0)}]});
    agent.write(&held, "spend", own).await.expect(200);
    assert_eq!(spent(&fleet, &goal).await["usd_micros"], 2502 + 7);
    agent.complete(&held).await;
    let price = |input: &str| {
        json!({"provider": "openai", "model": "gpt-4o", "effective_from": "2026-01-01T00:00:00Z",
               "usd_per_million": {"input": input, "output": "10"}})
    };
    fleet.admin.post("/v1/prices", &price("1.1")).await.expect(201);
    let mut all = json!({"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z",
                         "dry_run": true});
    let planned = fleet.admin.post("/v1/prices/rerate", &all).await.value(200);
    assert_eq!(spent(&fleet, &goal).await["usd_micros"], 2509);
    all["dry_run"] = json!(false);
    let done = fleet.admin.post("/v1/prices/rerate", &all).await.value(200);
    assert_eq!(planned, done);
    assert_eq!(done, json!({"calls": 1, "corrected": 1, "usd_micros": -1402}));
    assert_eq!(spent(&fleet, &goal).await["usd_micros"], 1101 + 7);
    let again = fleet.admin.post("/v1/prices/rerate", &all).await.value(200);
    assert_eq!(again["corrected"], 0);
    fleet.pass(1);
    fleet.admin.post("/v1/prices", &price("2")).await.expect(201);
    fleet.admin.post("/v1/prices/rerate", &all).await.expect(200);
    assert_eq!(spent(&fleet, &goal).await["usd_micros"], 2002 + 7);
    verify(&fleet.pool).await;
    let changed = sqlx::query("update prices set note = 'x'").execute(&fleet.pool).await;
    let refused = changed.unwrap_err();
    let constraint = refused.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("prices_never_change"), "{refused}");
}

#[tokio::test]
async fn absurd_prices_need_force_and_files_add_what_is_new() {
    let fleet = Fleet::start().await;
    let mut slip = json!({"provider": "openai", "model": "gpt-4o",
                          "usd_per_million": {"input": "2500", "output": "10000"}});
    let refused = fleet.admin.post("/v1/prices", &slip).await;
    assert_eq!(refused.problem(422, "invalid"), ["/force"]);
    slip["force"] = json!(true);
    fleet.admin.post("/v1/prices", &slip).await.expect(201);
    let found = fleet.admin.get("/v1/prices/find?model=gpt-4o").await.value(200);
    assert_eq!(found["price"]["rates"]["input"], 2_500_000_000i64);
    fleet.admin.get("/v1/prices/find?model=none-such").await.problem(404, "not_found");
    let file = json!({"format": "litellm", "document": {
        "some/model": {"litellm_provider": "some", "mode": "chat",
                       "input_cost_per_token": 3.75e-08, "output_cost_per_token": 1e-6},
        "draws": {"litellm_provider": "some", "mode": "image_generation"},
    }});
    let answer = fleet.admin.post("/v1/prices/import", &file).await.value(200);
    assert_eq!((&answer["added"], &answer["skipped"]), (&json!(1), &json!(1)), "{answer}");
    let again = fleet.admin.post("/v1/prices/import", &file).await.value(200);
    assert_eq!((&again["added"], &again["unchanged"]), (&json!(0), &json!(1)), "{again}");
    let listed = fleet.admin.get("/v1/prices?provider=some").await.value(200);
    assert_eq!(listed["items"][0]["price"]["rates"]["input"], 37_500);
    // A file has a price of its own for a name that is like one that is built in: both stay right,
    // and a second time there is nothing to add.
    let chat = |price: f64| {
        json!({"litellm_provider": "mistral", "mode": "chat", "input_cost_per_token": price,
               "output_cost_per_token": 4.0 * price, "cache_read_input_token_cost": price / 10.0})
    };
    let names = json!({"mistral/mistral-small": chat(1e-7),
                       "mistral/mistral-small-latest": chat(1.5e-7)});
    let file = json!({"format": "litellm", "document": names});
    for (added, unchanged) in [(1, 1), (0, 2)] {
        let answer = fleet.admin.post("/v1/prices/import", &file).await.value(200);
        assert_eq!((&answer["added"], &answer["unchanged"]), (&json!(added), &json!(unchanged)));
        for (name, input) in [("mistral-small", 100_000), ("mistral-small-latest", 150_000)] {
            let path = format!("/v1/prices/find?provider=mistral&model={name}");
            let found = fleet.admin.get(&path).await.value(200);
            assert_eq!(found["price"]["rates"]["input"], input, "{name}");
        }
    }
    let nothing = json!({"format": "genai_prices", "document": {}});
    let refused = fleet.admin.post("/v1/prices/import", &nothing).await;
    assert_eq!(refused.problem(422, "invalid"), ["/document"]);
}

#[tokio::test]
async fn usage_that_cannot_be_is_refused() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let with = |tokens: Value| json!({"model": "gpt-4o", "convention": "openai", "tokens": tokens});
    for (usage, amounts, pointer) in [
        (with(json!({})), json!({}), "/entries/0/usage/tokens"),
        (
            with(json!({"prompt_tokens": -1, "completion_tokens": 1})),
            json!({}),
            "/entries/0/usage/tokens/prompt_tokens",
        ),
        (
            with(json!({"prompt_tokens": 1, "completion_tokens": 1})),
            json!({"input_tokens": 1}),
            "/entries/0/amounts/input_tokens",
        ),
    ] {
        let report = json!({"entries": [{"key": "k", "usage": usage, "amounts": amounts}]});
        let answer = agent.write(&held, "spend", report.clone()).await;
        let pointers = answer.problem(422, "invalid");
        assert!(pointers[0].starts_with(pointer), "{report}: {pointers:?}");
    }
}
