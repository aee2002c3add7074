//! An export can be checked by anybody, without the service and without its database.

use std::process::Command;

use muster::domain::journal::{Head, Line};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{check, execute, seal_all, sealed_fleet};
use crate::support::{fleet::Fleet, scratch_dir};

/// The lines of an export.
pub async fn lines(fleet: &Fleet) -> Vec<String> {
    let answer = fleet.admin.get("/v1/audit/export").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert!(answer.header("content-disposition").starts_with("attachment; filename=\"audit-"));
    let file = fleet.admin.get("/v1/audit/export").header("accept", "application/octet-stream");
    let file = file.await.expect(200);
    assert_eq!(file.header("content-type"), "application/octet-stream");
    assert_eq!(file.body.len(), answer.body.len());
    String::from_utf8(answer.body).unwrap().lines().map(str::to_owned).collect()
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
pub fn offline(export: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let dir = scratch_dir();
    let file = dir.path().join("audit.ndjson");
    std::fs::write(&file, export).unwrap();
    run(&[&[file.to_str().unwrap()], args].concat(), None)
}

/// The place of the line with the row of a number.
fn place(lines: &[String], number: i64) -> usize {
    let of = |line: &String| line.contains(&format!("\"number\":{number},")) && is_row(line);
    lines.iter().position(of).unwrap()
}

fn is_row(line: &str) -> bool {
    line.starts_with("{\"row\":")
}

#[tokio::test]
async fn an_export_is_checked_offline() {
    let (fleet, found) = sealed_fleet().await;
    let lines = lines(&fleet).await;
    let rows = lines.iter().filter(|line| is_row(line)).count() as i64;
    let seals = lines.iter().filter(|line| line.starts_with("{\"seal\":")).count();
    assert_eq!((rows, rows as usize + seals + 1), (found.head.number, lines.len()));
    assert!(seals > 3, "{seals}");
    let last: Value = serde_json::from_str(&lines[lines.len() - 1]).unwrap();
    assert_eq!(last["head"]["chain_sha256"], found.head.chain_sha256.to_string());
    assert_eq!(last["head"]["number"], found.head.number);
    let (status, text, _) = offline(&lines.join("\n"), &[]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.ends_with("the journal was not changed\n"), "{text}");

    let seven = place(&lines, 7);
    let edited = |line: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        assert!(lines[line].contains(from), "{from}: {}", lines[line]);
        lines[line] = lines[line].replacen(from, to, 1);
        lines
    };
    let mut swapped = lines.clone();
    swapped.swap(seven, place(&lines, 8));
    let mut without = lines.clone();
    without.remove(seven);
    let mut twice = lines.clone();
    twice.insert(seven, lines[seven].clone());
    let other = "\"workspace_id\":\"01890a5d-ac96-774b-bcce-b302099a8057\"";
    let of = last["head"]["workspace_id"].as_str().unwrap();
    for (damaged, found) in [
        (edited(seven, "\"data_version\":1", "\"data_version\":2"), "edited: number 7:"),
        (edited(seven, "\"data\":{", "\"data\":{ "), "edited: number 7:"),
        (edited(seven, "\"public\":true", "\"public\":false"), "edited: number 7:"),
        (edited(seven, &format!("\"workspace_id\":\"{of}\""), other), "edited: number 7:"),
        (without, "missing: number 7:"),
        (swapped, "reordered: number 7:"),
        (twice, "reordered: number 7:"),
        (edited(lines.len() - 1, of, "01890a5d-ac96-774b-bcce-b302099a8057"), "another workspace"),
    ] {
        let (status, text, _) = offline(&damaged.join("\n"), &[]);
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains(found), "{found}: {text}");
    }
    let (status, text, _) = offline(&lines.join("\n"), &["--json"]);
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &read["holds"], &read["erased"]), (Some(0), &true.into(), &0.into()));
    let broken_off = lines[..lines.len() - 1].join("\n");
    let (status, _, why) = offline(&broken_off, &[]);
    assert_eq!(status, Some(2));
    assert!(why.contains("incomplete"), "{why}");
    assert_eq!(offline("not json", &[]).0, Some(2));
    assert_eq!(run(&["/there/is/no/such/file"], None).0, Some(2));
}

/// Nothing of muster is needed but what the document says: this is how a stranger would do it.
#[tokio::test]
async fn the_hashes_are_what_the_document_says() {
    let (fleet, _) = sealed_fleet().await;
    let goal = json!({"title": "g", "tasks": [{"ref": "x", "title": "x"}],
                      "on_behalf_of": ["carol@example.com", "dave@example.com"]});
    fleet.admin.post("/v1/goals", &goal).await.expect(201);
    seal_all(&fleet.app).await;
    let (mut chain, mut digests) = (vec![0_u8; 32], Vec::new());
    let mut expected: Option<(Vec<u8>, Vec<u8>)> = None;
    for line in lines(&fleet).await {
        let value: Value = serde_json::from_str(&line).unwrap();
        if is_row(&line) {
            digests.extend(digest(&value["row"], &line));
            continue;
        }
        // What a seal says is said before its rows.
        if let Some((seal, after)) = expected.take() {
            assert_eq!(seal, digests);
            chain = after;
            digests.clear();
        }
        let seal = &value["seal"];
        if seal.is_object() {
            let sealed = hex(&seal["digests"]);
            let number = |name: &str| seal[name].as_i64().unwrap().to_be_bytes();
            let parts = [&chain[..], &number("first"), &number("last"), &sealed].concat();
            let after = Sha256::digest(parts).to_vec();
            assert_eq!(hex(&seal["chain_sha256"]), after);
            expected = Some((sealed, after));
        } else {
            assert_eq!(hex(&value["head"]["chain_sha256"]), chain);
        }
    }
}

fn hex(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// The digest of a row, of its line.
fn digest(row: &Value, line: &str) -> Vec<u8> {
    let mut envelope = vec![1_u8];
    let mut field = |bytes: Option<Vec<u8>>| match bytes {
        Some(bytes) => {
            envelope.extend((bytes.len() as u32).to_be_bytes());
            envelope.extend(bytes);
        }
        None => envelope.extend([0xff; 4]),
    };
    for (name, kind) in [
        ("workspace_id", "id"),
        ("at", "instant"),
        ("kind", "text"),
        ("public", "boolean"),
        ("project_id", "id"),
        ("goal_id", "id"),
        ("task_id", "id"),
        ("attempt_id", "id"),
        ("agent_id", "id"),
        ("approval_id", "id"),
        ("subject", "text"),
        ("subject_id", "id"),
        ("actor_key_id", "id"),
        ("actor_person", "text"),
        ("link_id", "id"),
        ("link_maker", "id"),
        ("on_behalf_of", "list"),
        ("request", "text"),
        ("trace_id", "id"),
        ("before_sha256", "hash"),
        ("after_sha256", "hash"),
        ("data_version", "number"),
    ] {
        let value = row.get(name);
        field(value.map(|value| match kind {
            "id" => hex(&value.as_str().unwrap().replace('-', "").into()),
            "instant" => {
                let at: chrono::DateTime<chrono::Utc> = value.as_str().unwrap().parse().unwrap();
                at.timestamp_micros().to_be_bytes().to_vec()
            }
            "text" => value.as_str().unwrap().as_bytes().to_vec(),
            "boolean" => vec![u8::from(value.as_bool().unwrap())],
            "number" => value.as_i64().unwrap().to_be_bytes().to_vec(),
            "hash" => hex(value),
            _ => {
                let people = value.as_array().unwrap();
                let mut list = (people.len() as u32).to_be_bytes().to_vec();
                for person in people {
                    let person = person.as_str().unwrap().as_bytes();
                    list.extend((person.len() as u32).to_be_bytes());
                    list.extend(person);
                }
                list
            }
        }));
    }
    // The text of the data, as it stands in the line.
    let (_, data) = line.split_once("\"data\":").unwrap();
    let (data, _) = data.rsplit_once(",\"data_version\"").unwrap();
    let salted = [hex(&row["salt"]), data.as_bytes().to_vec()].concat();
    let parts = [Sha256::digest(envelope), Sha256::digest(salted)];
    Sha256::digest(parts.concat()).to_vec()
}

/// An export made earlier shows that a journal was sealed anew since.
#[tokio::test]
async fn the_head_of_an_export_is_held_against_a_later_chain() {
    let (fleet, found) = sealed_fleet().await;
    let export = lines(&fleet).await;
    let Line::Head(kept) = Line::read(export.last().unwrap()).unwrap() else {
        panic!("the last line is not the head")
    };
    assert_eq!(kept.head(), found.head);
    let Head { number, chain_sha256 } = kept.head();
    fleet.lone_task(json!({})).await;
    let later = seal_all(&fleet.app).await;
    assert!(later.head.number > number);
    assert!(check(&fleet.app, Some(kept.head())).await.holds);
    let (number_text, head) = (number.to_string(), chain_sha256.to_string());
    let path = format!("/v1/audit/verify?number={number}&head={head}");
    assert_eq!(fleet.admin.get(&path).await.value(200)["holds"], true);
    let url = fleet.database.url();
    let args = ["--number", &number_text, "--head", &head];
    assert_eq!(run(&args, Some(&url)).0, Some(0));
    let export = export.join("\n");
    assert_eq!(offline(&export, &args).0, Some(0));
    let other = ["--number", &number_text, "--head", &"ab".repeat(32)];
    assert_eq!(offline(&export, &other).0, Some(1));

    execute(
        &fleet.pool,
        "alter table journal disable trigger all;
         update journal set kind = 'task.done' where number = 5",
    )
    .await;
    let (status, text, _) = run(&[], Some(&url));
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("edited: number 5"), "{text}");
    let (status, text, _) = run(&["--json"], Some(&url));
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &found[0]["breaks"][0]["number"]), (Some(1), &5.into()));
}
