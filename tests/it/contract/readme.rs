//! The README, the handbook and the preface of the API document, held against the code: tables are
//! complete, links lead somewhere, examples are requests that the API takes, and the session works.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use axum::http::Method;
use clap::CommandFactory as _;
use muster::{
    cli::Cli,
    config::settings,
    domain::{refusal::Code, words::Words as _},
    http::handbook::PAGES,
};
use pulldown_cmark::{Event, Parser, Tag};
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{contract::Contract, process::PATIENCE, shell};

const README: &str = include_str!("../../../README.md");
const PREFACE: &str = include_str!("../../../src/http/preface.md");
const LONGEST_README: usize = 200;

fn handbook(name: &str) -> &'static str {
    PAGES.iter().find(|(page, _)| *page == name).expect("a page").1
}

/// Every text that shows requests, with its path in the repository.
fn texts() -> Vec<(String, &'static str)> {
    let pages = PAGES.iter().map(|(name, text)| (format!("handbook/{name}.md"), *text));
    let others = [("README.md", README), ("src/http/preface.md", PREFACE)];
    others.map(|(path, text)| (path.to_owned(), text)).into_iter().chain(pages).collect()
}

/// Holds the rows of the table that begins with `header`.
fn hold(text: &str, header: &str, expected: &[String]) {
    let mut lines = text.lines().skip_while(|line| *line != header);
    assert!(lines.next().is_some(), "there is no table {header}");
    let rows: Vec<&str> = lines.skip(1).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows, expected, "the table should be\n\n{}\n", expected.join("\n"));
}

#[test]
fn every_problem_code_is_in_the_handbook() {
    let row = |code: &Code| {
        let (number, retry) = (code.status(), if code.retryable() { "yes" } else { "" });
        format!("| `{code}` | {number} | {retry} | {} |", code.title())
    };
    let expected: Vec<String> = Code::ALL.iter().map(row).collect();
    hold(handbook("problems"), "| code | status | retry | |", &expected);
}

#[test]
fn every_setting_is_in_the_handbook() {
    let mut expected = Vec::new();
    for setting in settings(&Cli::command()) {
        let default = match setting.default.as_str() {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        expected.push(format!(
            "| `{}` | `{}` | {default} | {} |",
            setting.option, setting.variable, setting.help
        ));
    }
    assert!(expected.len() > 10, "{expected:#?}");
    hold(handbook("configuration"), "| option | variable | default | |", &expected);
}

#[test]
fn what_the_readme_names_exists() {
    for file in
        ["docker-compose.yml", ".ci/run", "openapi/muster.json", "tests/it/contract/layers.rs"]
    {
        assert!(README.contains(file), "{file} is not in the README any more");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        assert!(path.exists(), "the README names {file}");
    }
}

#[test]
fn the_readme_is_short() {
    let lines = README.lines().count();
    assert!(lines <= LONGEST_README, "the README has {lines} lines; the handbook has room");
}

/// In the repository. `served` in the tests of pages follows them in the service.
#[test]
fn every_link_leads_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, text) in texts().iter().filter(|(path, _)| path != "src/http/preface.md") {
        let folder = root.join(path).parent().unwrap().to_owned();
        for event in Parser::new(text) {
            if let Event::Start(Tag::Link { dest_url, .. }) = event {
                assert!(folder.join(&*dest_url).is_file(), "{path} links to {dest_url}");
            }
        }
    }
}

#[test]
fn every_page_of_the_handbook_is_in_its_index() {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("handbook")).unwrap();
    let files: BTreeSet<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let pages: BTreeSet<String> = PAGES.iter().map(|(name, _)| format!("{name}.md")).collect();
    assert_eq!(files, pages, "src/http/handbook.rs lists the files");
    for name in pages.iter().filter(|name| *name != "README.md") {
        assert!(handbook("README").contains(&format!("]({name})")), "{name} is not in the index");
    }
}

/// Variables of the shell stand for ids, but for these.
fn filled(text: &str) -> String {
    let variable = Regex::new(r"\$\{?[A-Z_]+\}?").unwrap();
    let value = |found: &regex::Captures<'_>| match &found[0] {
        "$HASH" => "0".repeat(64),
        _ => "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
    };
    variable.replace_all(text, value).into_owned()
}

#[test]
fn every_example_is_a_request_that_the_api_takes() {
    let mut seen = 0;
    for (path, text) in texts() {
        for words in shell::blocks(text).iter().flat_map(|block| shell::commands(block)) {
            let Some(url) = words.iter().find_map(|word| word.strip_prefix("$MUSTER/")) else {
                continue;
            };
            let after = |option: &str| {
                words.iter().position(|word| word == option).map(|at| words[at + 1].as_str())
            };
            let body = after("-d").filter(|body| *body != "@-").map(filled);
            let sends = ["-d", "--data-binary"].iter().any(|option| after(option).is_some());
            let method = after("-X").unwrap_or(if sends { "POST" } else { "GET" });
            let method: Method = method.parse().unwrap();
            let verdict = Contract::takes(&method, &filled(&format!("/{url}")), body.as_deref());
            assert!(verdict.is_ok(), "{path}: {words:?}: {}", verdict.unwrap_err());
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen} examples were found");
}

#[test]
fn every_operation_that_the_texts_name_exists() {
    let named = Regex::new(r"\b(GET|POST|PUT|PATCH|DELETE)\s+(/[A-Za-z0-9_./{}-]+)").unwrap();
    for (path, text) in texts() {
        for found in named.captures_iter(text) {
            let verdict = Contract::takes(&found[1].parse().unwrap(), &found[2], None);
            assert!(verdict.is_ok(), "{path} names {}: {}", &found[0], verdict.unwrap_err());
        }
    }
}

fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Waits until it ends; asks it to when it takes too long. Its trap then ends the service.
fn ends_in_time(bash: &mut Child) -> ExitStatus {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(ended) = bash.try_wait().unwrap() {
            return ended;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    kill_process(Pid::from_child(bash), Signal::TERM).unwrap();
    bash.wait().unwrap()
}

/// Pastes the session into bash, beside a database of its own. Whatever fails ends it: a refusal of
/// muster, which a person would see, and at last a service that does not stop cleanly.
#[test]
fn the_session_of_the_readme_works() {
    if !has("bash") || !has("curl") {
        return;
    }
    let data = tempfile::Builder::new()
        .prefix("muster-readme-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_muster"));
    let path = std::env::var("PATH").unwrap();
    // Job control, as in the shell of a person: `%1` is the service.
    let script = format!(
        "set -emu -o pipefail\ntrap 'kill %1 2>/dev/null || true' EXIT\n{}",
        shell::fenced(README, "```bash").concat().replace("curl -sS", "curl -sS --fail-with-body")
    );
    let file = |name: &str| std::fs::File::create(data.path().join(name)).unwrap();
    let read = |name: &str| std::fs::read_to_string(data.path().join(name)).unwrap();
    let mut bash = Command::new("bash")
        .args(["-c", &script])
        .env_remove("DATABASE_URL")
        .env("PATH", format!("{}:{path}", binary.parent().unwrap().display()))
        .env("MUSTER", format!("http://{free}"))
        .env("MUSTER_LISTEN", free.to_string())
        .env("MUSTER_DATA_DIR", data.path().join("data"))
        .stdin(Stdio::null())
        .stdout(file("said"))
        .stderr(file("log"))
        .spawn()
        .unwrap();
    let ended = ends_in_time(&mut bash);
    let (said, log) = (read("said"), read("log"));
    assert!(ended.success(), "{ended}\n{said}\n{log}");
    let told =
        ["\"task_state\":\"done\"", "\"state\":\"completed\"", "goal.completed", "\"staging\""];
    for sign in told {
        assert!(said.contains(sign), "{sign} is missing in\n{said}\n{log}");
    }
}
