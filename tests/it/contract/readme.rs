//! The README, held against the code: its tables are complete, and its session works.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use crate::support::process::PATIENCE;
use clap::CommandFactory as _;
use muster::{
    cli::Cli,
    config::settings,
    domain::{refusal::Code, words::Words as _},
};
use rustix::process::{Pid, Signal, kill_process};

const README: &str = include_str!("../../../README.md");

/// The rows of the table that begins with `header`.
fn rows(header: &str) -> Vec<&'static str> {
    let mut lines = README.lines().skip_while(|line| *line != header);
    assert!(lines.next().is_some(), "the README has no table {header}");
    lines.skip(1).take_while(|line| line.starts_with('|')).collect()
}

fn hold(header: &str, expected: &[String]) {
    assert_eq!(rows(header), expected, "the table should be\n\n{}\n", expected.join("\n"));
}

#[test]
fn every_problem_code_is_in_the_readme() {
    let row = |code: &Code| {
        let retry = if code.retryable() { "yes" } else { "" };
        format!("| `{code}` | {} | {retry} | {} |", code.status(), code.title())
    };
    let expected: Vec<String> = Code::ALL.iter().map(row).collect();
    hold("| code | status | retry | |", &expected);
}

#[test]
fn every_setting_is_in_the_readme() {
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
    hold("| option | variable | default | |", &expected);
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

/// Everything between the fences ```` ```bash ````: what the README says can be pasted.
fn session() -> String {
    let mut session = String::new();
    let mut inside = false;
    for line in README.lines() {
        match line {
            "```bash" => inside = true,
            "```" => inside = false,
            line if inside => session.extend([line, "\n"]),
            _ => {}
        }
    }
    session
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
        session().replace("curl -sS", "curl -sS --fail-with-body")
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
