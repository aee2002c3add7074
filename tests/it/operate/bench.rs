//! `muster bench`: that it measures what it says, and leaves nothing behind. How fast anything is,
//! is not for tests.

use std::{
    fs::{File, Permissions, read_dir, read_to_string},
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, ExitStatus, Stdio},
};

use crate::support::{fleet::Fleet, invariants::verify, process::wait_until};
use muster::bench::multiply::multiply;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tempfile::TempDir;

/// A running bench, with a place for temporary files of its own.
struct Bench {
    child: Child,
    dir: TempDir,
}

impl Bench {
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("muster-bench-")
            // As root, PostgreSQL runs as another user, who must get through.
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let temporary = dir.path().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        let file = |name: &str| File::create(dir.path().join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .arg("bench")
            .args(args)
            .arg("--json")
            .arg(dir.path().join("report.json"))
            .env_remove("DATABASE_URL")
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(file("said"))
            .stderr(file("log"))
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    fn read(&self, name: &str) -> String {
        read_to_string(self.dir.path().join(name)).unwrap()
    }

    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the bench has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// How many temporary files are left.
    fn left(&self) -> usize {
        read_dir(self.dir.path().join("tmp")).unwrap().count()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn cycles_and_the_reference_are_measured_and_compared() {
    let mut bench = Bench::start(&[
        "cycle",
        "reference",
        "--seconds",
        // Longer than an agent of a debug build takes for the ten tasks of one claim.
        "3",
        "--rounds",
        "1",
        "--connections",
        "4",
    ]);
    let status = bench.ended();
    assert!(status.success(), "{status}\n{}", bench.read("log"));
    assert_eq!(bench.left(), 0, "something stays behind");
    let report: Value = serde_json::from_str(&bench.read("report.json")).unwrap();
    for kind in ["one", "ten"] {
        let cycles = &report["cycle"][kind];
        let round = &cycles["closed"][0];
        assert!(round["cycles"].as_u64() > Some(0), "{cycles:#}");
        assert_eq!(round["refused"], json!({}), "{cycles:#}");
        assert_eq!(round["dry_claims"], 0, "{cycles:#}");
        for part in ["claim", "spend", "complete", "cycle"] {
            assert!(round[part]["p99_ms"].as_f64() > Some(0.0), "{part}: {cycles:#}");
            assert!(cycles["open"][part]["count"].as_u64() > Some(0), "{part}: {cycles:#}");
        }
    }
    let writes = &report["cycle"]["writes"];
    assert!(writes["cycles"].as_u64() > Some(0), "{writes:#}");
    // One attempt per cycle, neither more nor less: only the round is counted, and all of it.
    assert_eq!(writes["tables"]["attempts"]["inserted"], 1.0, "{writes:#}");
    assert!(writes["wal_bytes"].as_f64() > Some(1000.0), "{writes:#}");
    assert!(report["reference"]["cycles_per_second"]["median"].as_f64() > Some(0.0));
    assert!(report["reference"]["connections"].as_u64() > Some(0));
    let results = report["results"].as_array().unwrap();
    let ratio = results.iter().find(|result| result["name"] == "ratio_one").unwrap();
    assert!(ratio["value"].as_f64() > Some(0.0), "{ratio}");
    assert!(report["machine"]["postgres"].is_string(), "{}", report["machine"]);
    let said = bench.read("said");
    for line in ["cycle over reference, one task per claim", "Rows written per cycle"] {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn what_limits_cost_is_measured() {
    let size = ["--seconds", "1", "--rounds", "1", "--connections", "4"];
    let mut bench = Bench::start(&[["budget"].as_slice(), &size].concat());
    let status = bench.ended();
    assert!(status.success(), "{status}\n{}", bench.read("log"));
    let report: Value = serde_json::from_str(&bench.read("report.json")).unwrap();
    for kind in ["without", "limited", "allocated"] {
        let rates = &report["budget"][kind];
        assert!(rates["median"].as_f64() > Some(0.0), "{kind}: {report:#}");
    }
    for name in ["budget_limited", "budget_allocated"] {
        let results = report["results"].as_array().unwrap();
        let found = results.iter().find(|result| result["name"] == name).unwrap();
        assert!(found["value"].as_f64() > Some(0.0), "{found}");
    }
}

#[test]
fn attacks_are_measured_beside_an_honest_agent() {
    let size = ["--seconds", "1", "--fairness-sockets", "40", "--fairness-polls", "40"];
    let more = ["--fairness-bodies", "40", "--fairness-viewers", "4", "--fairness-tasks", "1"];
    // A debug build on a busy machine keeps up with this rate.
    let slow = ["--rounds", "1", "--fairness-rate", "5"];
    let mut bench = Bench::start(&[["fairness"].as_slice(), &size, &more, &slow].concat());
    let status = bench.ended();
    assert!(status.success(), "{status}\n{}", bench.read("log"));
    assert_eq!(bench.left(), 0, "something stays behind");
    let report: Value = serde_json::from_str(&bench.read("report.json")).unwrap();
    let attacks = report["fairness"]["attacks"].as_array().unwrap();
    assert_eq!(attacks.len(), 5, "{attacks:#?}");
    for attacked in attacks {
        for load in ["dummy", "service"] {
            let seen = &attacked[load];
            assert!(seen["claim"]["count"].as_u64() > Some(0), "{attacked:#}");
            assert!(seen["health"]["count"].as_u64() > Some(0), "{attacked:#}");
            assert_eq!((&seen["unavailable"], &seen["limited"]), (&json!(0), &json!(0)));
        }
        assert!(attacked["claim_ratio"].as_f64() > Some(0.0), "{attacked:#}");
    }
    assert!(bench.read("said").contains("stalled bodies of one key"));
}

#[test]
fn a_bench_that_is_stopped_leaves_nothing() {
    let mut bench = Bench::start(&["cycle", "--seconds", "60"]);
    wait_until("it has started something", || bench.left() > 0);
    kill_process(Pid::from_child(&bench.child), Signal::INT).unwrap();
    assert_eq!(bench.ended().code(), Some(1));
    assert!(bench.read("log").contains("stopped before everything was measured"));
    assert_eq!(bench.left(), 0);
}

/// Copies must obey every rule that the original does: otherwise `growth` measures something that
/// cannot be.
#[tokio::test]
async fn copies_of_a_finished_goal_break_no_rule() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let tasks = json!([
        {"ref": "a", "title": "a", "criteria": [{"text": "it works", "required": false}]},
        {"ref": "b", "title": "b", "needs": ["a"]},
        {"ref": "c", "title": "c"},
    ]);
    fleet.post_goal(json!({"title": "g", "project": "p", "tasks": tasks})).await;
    while let Some(held) = agent.claim(1).await.pop() {
        let spend = json!({"entries": [{"key": "1", "amounts": {"usd_micros": 7, "tokens": 3}}]});
        agent.write(&held, "spend", spend).await.value(200);
        let evidence = json!([{"text": "see"}]);
        agent.write(&held, "complete", json!({"result": 1, "evidence": evidence})).await.value(200);
        fleet.round().await;
    }
    fleet.round().await;
    verify(&fleet.pool).await;

    let mut database =
        sqlx::PgConnection::connect_with(&fleet.database.connect_options()).await.unwrap();
    // More than one transaction copies at once.
    assert_eq!(multiply(&mut database, 60).await.unwrap(), 3);
    verify(&fleet.pool).await;
    let goals: i64 = sqlx::query_scalar("select count(*) from goals where state = 'completed'")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!(goals, 61);
    let page = fleet.admin.get("/v1/tasks?state=done&limit=200").await.value(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 183);

    let again = multiply(&mut database, 1).await.unwrap_err().to_string();
    assert!(again.contains("61 goals"), "{again}");
}

/// A collection whose queries each have one relevant document, which shares words with no other.
#[test]
fn rankings_of_a_collection_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["lease", "budget", "journal", "approval", "playbook"];
    let write = |name: &str, lines: Vec<String>| {
        std::fs::write(folder.path().join(name), lines.join("\n")).unwrap();
    };
    let numbered = || words.iter().enumerate();
    let document = |(at, word): (usize, &&str)| json!({"_id": format!("d{at}"), "title": "", "text": format!("The {word} of number {at}")});
    write("corpus.jsonl", numbered().map(|one| document(one).to_string()).collect());
    let query = |(at, word): (usize, &&str)| json!({"_id": format!("q{at}"), "text": word});
    write("queries.jsonl", numbered().map(|one| query(one).to_string()).collect());
    let judged = numbered().map(|(at, _)| format!("q{at}\td{at}\t1"));
    let header = "query-id\tcorpus-id\tscore".to_owned();
    write("qrels.tsv", std::iter::once(header).chain(judged).collect());
    let corpus = folder.path().to_str().unwrap();
    let mut bench = Bench::start(&["retrieval", "--corpus", corpus, "--lessons", "30"]);
    let status = bench.ended();
    assert!(status.success(), "{}", bench.read("log"));
    let report: Value = serde_json::from_str(&bench.read("report.json")).unwrap();
    let quality = &report["retrieval"]["collection"];
    assert_eq!((&quality["documents"], &quality["queries"]), (&json!(5), &json!(5)));
    let measures = &quality["without"]["measures"];
    assert_eq!(*measures, json!({"ndcg_10": 1.0, "map": 1.0, "recall_100": 1.0}));
    let size = &report["retrieval"]["sizes"][0];
    assert_eq!(size["lessons"], 30);
    assert!(size["latency"]["count"].as_u64().unwrap() > 0, "{size}");
    assert_eq!(bench.left(), 0);
}
