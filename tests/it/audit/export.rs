//! An export can be checked by anybody, without the service and without its database.

use std::process::Command;

use muster::domain::audit::{Head, Line};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{check, execute, seal_all, sealed_fleet};
use crate::support::{fleet::Fleet, scratch_dir};

async fn export(fleet: &Fleet) -> String {
    let answer = fleet.admin.get("/v1/audit/export").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    String::from_utf8(answer.body).unwrap()
}

fn run(args: &[&str], url: Option<&str>) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(["audit", "verify"]).args(args).env_remove("DATABASE_URL");
    if let Some(url) = url {
        command.env("DATABASE_URL", url);
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Checks an export at the command line, where there is no database.
fn offline(export: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let dir = scratch_dir();
    let file = dir.path().join("audit.ndjson");
    std::fs::write(&file, export).unwrap();
    run(&[&[file.to_str().unwrap()], args].concat(), None)
}

fn swapped(lines: &[&str], one: usize, other: usize) -> String {
    let mut lines = lines.to_vec();
    lines.swap(one, other);
    lines.join("\n")
}

#[tokio::test]
async fn an_export_is_checked_offline() {
    let (fleet, found) = sealed_fleet().await;
    let export = export(&fleet).await;
    let lines: Vec<&str> = export.lines().collect();
    assert_eq!(lines.len() as i64, found.head.seq + 1);
    let last: Value = serde_json::from_str(lines[lines.len() - 1]).unwrap();
    assert_eq!(last["head"]["chain_sha256"], found.head.chain_sha256.to_string());
    let (status, text, _) = offline(&export, &[]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.ends_with("the audit was not touched\n"), "{text}");

    for (damaged, place) in [
        (
            export.replacen("\"action\":\"goal.created\"", "\"action\":\"goal.cancelled\"", 1),
            "edited",
        ),
        (lines[..6].iter().chain(&lines[7..]).copied().collect::<Vec<_>>().join("\n"), "number 7"),
        (swapped(&lines, 6, 10), "number 7"),
        (lines[..3].iter().chain(&lines[2..]).copied().collect::<Vec<_>>().join("\n"), "number 3"),
    ] {
        let (status, text, _) = offline(&damaged, &[]);
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains(place), "{place}: {text}");
    }
    let broken_off = lines[..lines.len() - 1].join("\n");
    let (status, _, why) = offline(&broken_off, &[]);
    assert_eq!(status, Some(2));
    assert!(why.contains("broke off"), "{why}");
    assert_eq!(offline("not json", &[]).0, Some(2));
    assert_eq!(run(&["/there/is/no/such/file"], None).0, Some(2));
}

/// Nothing of muster is needed but what the document says: this is how a stranger would do it.
#[tokio::test]
async fn the_hashes_are_what_the_document_says() {
    let (fleet, _) = sealed_fleet().await;
    let export = export(&fleet).await;
    let mut chain = vec![0_u8; 32];
    for line in export.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line.get("head").is_some() {
            assert_eq!(line["head"]["chain_sha256"], data_encoding::HEXLOWER.encode(&chain));
            continue;
        }
        // Its names and texts are plain, so sorted and without white space is canonical.
        let entry = Sha256::digest(serde_json::to_string(&sorted(&line["entry"])).unwrap());
        assert_eq!(line["entry_sha256"], data_encoding::HEXLOWER.encode(&entry));
        let seq = line["seq"].as_i64().unwrap().to_be_bytes();
        chain = Sha256::digest([&chain[..], &seq, &entry[..]].concat()).to_vec();
        assert_eq!(line["chain_sha256"], data_encoding::HEXLOWER.encode(&chain));
    }
}

fn sorted(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let mut names: Vec<_> = fields.iter().collect();
    names.sort_by_key(|(name, _)| name.to_owned());
    names.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
}

/// An export made earlier tells on a chain that was written anew since.
#[tokio::test]
async fn the_head_of_an_export_is_held_against_a_later_chain() {
    let (fleet, found) = sealed_fleet().await;
    let export = export(&fleet).await;
    let Line::Head(kept) = Line::read(export.lines().last().unwrap()).unwrap() else {
        panic!("the last line is not the head")
    };
    assert_eq!(kept.head(), found.head);
    let Head { seq, chain_sha256 } = kept.head();
    fleet.lone_task(serde_json::json!({})).await;
    let later = seal_all(&fleet.app).await;
    assert!(later.head.seq > seq);
    assert!(check(&fleet.app, Some(kept.head())).await.holds);
    let (seq_text, head) = (seq.to_string(), chain_sha256.to_string());
    let path = format!("/v1/audit/verify?seq={seq}&head={head}");
    assert_eq!(fleet.admin.get(&path).await.value(200)["holds"], true);
    let url = fleet.database.url();
    let args = ["--seq", &seq_text, "--head", &head];
    assert_eq!(run(&args, Some(&url)).0, Some(0));
    assert_eq!(offline(&export, &args).0, Some(0));
    let other = ["--seq", &seq_text, "--head", &"ab".repeat(32)];
    assert_eq!(offline(&export, &other).0, Some(1));

    execute(
        &fleet.pool,
        "alter table audit_seals disable trigger all;
         update audit_seals set chain_sha256 = sha256('') where seq = 5",
    )
    .await;
    let (status, text, _) = run(&[], Some(&url));
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("chain_broken: number 5"), "{text}");
    let (status, text, _) = run(&["--json"], Some(&url));
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &found[0]["breaks"][0]["seq"]), (Some(1), &5.into()));
}
