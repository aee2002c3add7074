//! The program: from the first start to the stop, as somebody at a terminal sees it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use crate::support::{client::Client, database::fresh_database, process::PATIENCE, scratch_dir};
use clap::CommandFactory as _;
use muster::{cli::Cli, config, domain::access::token::Token};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

pub(super) fn muster(data_dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .args(args)
        .env_remove("DATABASE_URL")
        .env_remove("MUSTER_BOOTSTRAP_KEY")
        .env("MUSTER_DATA_DIR", data_dir)
        .stdin(Stdio::null());
    command
}

pub(super) fn run(data_dir: &Path, args: &[&str]) -> Output {
    muster(data_dir, args).output().unwrap()
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub(super) fn succeeds(data_dir: &Path, args: &[&str]) -> String {
    let output = run(data_dir, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// A running `muster serve`, killed when dropped.
pub(super) struct Serve {
    child: Child,
    base: String,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Serve {
    pub(super) fn start(data_dir: &Path, variables: &[(&str, &str)]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = muster(data_dir, &["serve", "--listen", &format!("127.0.0.1:{port}")]);
        command.envs(variables.iter().copied()).env("MUSTER_LOG", "warn").process_group(0);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, base: format!("http://127.0.0.1:{port}"), stdout }
    }

    /// What it prints first, without the line break.
    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(super) async fn ready(&self) -> Client {
        let http = reqwest::Client::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = http.get(format!("{}/readyz", self.base)).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return Client::at(&self.base);
            }
            assert!(Instant::now() < deadline, "it does not become ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Waits for its end; gives how it ended and what else it printed.
    fn ended(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns when a request is in the works; that for the metrics does not count.
async fn until_in_flight(client: &Client) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = client.get("/metrics").await.expect(200);
        if text(&metrics.body).contains("muster_http_requests_in_flight 1") {
            return;
        }
        assert!(Instant::now() < deadline, "no request arrives");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_service() {
    let dir = scratch_dir();
    let data = dir.path().join("data");
    let mut first = Serve::start(&data, &[]);
    let line = first.line();
    let token = line.rsplit(' ').next().unwrap().to_owned();
    assert!(Token::parse(&token).is_ok_and(|_| token.starts_with("mst_")), "{line}");
    let client = first.ready().await.with_key(&token);
    client.get("/v1/whoami").await.expect(200);

    // Beside the running service.
    let second = run(&data, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(!second.status.success());
    assert!(text(&second.stderr).contains("already uses the data directory"));
    let made = succeeds(&data, &["keys", "create", "--name", "ci", "--role", "viewer", "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let viewer = client.with_key(made["token"].as_str().unwrap());
    viewer.get("/v1/supervisor").await.expect(200);
    let id = made["key"]["id"].as_str().unwrap();
    assert!(succeeds(&data, &["keys", "list"]).contains(id));
    assert!(succeeds(&data, &["database"]).starts_with("postgresql://muster@"));
    succeeds(&data, &["keys", "revoke", id]);
    viewer.get("/v1/whoami").await.problem(401, "unauthenticated");

    // A stop answers who waits, and leaves what was acknowledged.
    client.post("/v1/projects", &json!({"name": "kept"})).await.expect(201);
    let newest = client.get("/v1/events").await.value(200)["next_after"].clone();
    let path = format!("/v1/events?after={newest}&wait_seconds=60");
    let waits = tokio::spawn(client.get(path).into_future());
    until_in_flight(&client).await;
    let asked = Instant::now();
    first.signal(Signal::TERM);
    waits.await.unwrap().expect(200);
    let (status, rest) = first.ended();
    assert!(status.success() && asked.elapsed() < Duration::from_secs(20), "{status}");
    assert_eq!(rest, "", "the key is printed once");

    // Without a running service, and after another start.
    assert!(succeeds(&data, &["keys", "list"]).contains("bootstrap"));
    let again = Serve::start(&data, &[]);
    let client = again.ready().await.with_key(&token);
    let projects = client.get("/v1/projects?name=kept").await.value(200);
    assert_eq!(projects["items"].as_array().unwrap().len(), 1);
    again.signal(Signal::INT);
    let (status, printed) = again.ended();
    assert!(status.success());
    assert_eq!(printed, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_from_outside_is_the_first() {
    let dir = scratch_dir();
    let token = succeeds(dir.path(), &["keys", "generate"]);
    let token = token.trim();
    let service = Serve::start(&dir.path().join("data"), &[("MUSTER_BOOTSTRAP_KEY", token)]);
    let client = service.ready().await.with_key(token);
    assert_eq!(client.get("/v1/whoami").await.value(200)["role"], "admin");
}

/// Runs the command with a text as its input.
pub(super) fn fed(
    data_dir: &Path,
    args: &[&str],
    variables: &[(&str, &str)],
    input: &str,
) -> Output {
    let mut command = muster(data_dir, args);
    command.envs(variables.iter().copied()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

pub(super) const SET: [&str; 6] = ["secrets", "set", "--purpose", "planner_key", "--name", "main"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_beside_a_service_with_a_private_database() {
    let dir = scratch_dir();
    let data = dir.path().join("data");
    let service = Serve::start(&data, &[]);
    service.ready().await;
    let file = data.join("secret.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read_to_string(&file).unwrap();

    let set = fed(&data, &SET, &[], "sk-hunter2\n");
    assert!(set.status.success(), "{}", text(&set.stderr));
    let listed = succeeds(&data, &["secrets", "list"]);
    assert!(listed.contains("planner_key") && !listed.contains("hunter2"), "{listed}");

    let rotated = succeeds(&data, &["secrets", "rotate"]);
    assert!(rotated.contains("1 secrets are encrypted anew"), "{rotated}");
    let second = std::fs::read_to_string(&file).unwrap();
    assert_ne!(first, second);
    let kept: Vec<String> = std::fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("secret.key."))
        .collect();
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(std::fs::read_to_string(data.join(kept)).unwrap(), first);

    // As a kill before the last step leaves it.
    std::fs::write(&file, format!("{second}{first}")).unwrap();
    let again = succeeds(&data, &["secrets", "rotate"]);
    assert!(again.contains("0 secrets are encrypted anew"), "{again}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), second);

    // Another file: the way of a read-only key file.
    let new = dir.path().join("new.key");
    succeeds(&data, &["secrets", "rotate", "--new-key-file", new.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), second);
    let before = succeeds(&data, &["secrets", "list"]);
    let new = [("MUSTER_SECRET_KEY_FILE", new.to_str().unwrap())];
    assert!(fed(&data, &SET, &new, "other").status.success());
    let id =
        |listed: &str| listed.lines().nth(1).unwrap().split_whitespace().nth(3).map(str::to_owned);
    assert_eq!(id(&before), id(&succeeds(&data, &["secrets", "list"])));
    // The old file is whole but wrong: a rotation from it says so and changes nothing.
    let wrong = run(&data, &["secrets", "rotate"]);
    assert!(!wrong.status.success());
    assert!(text(&wrong.stderr).contains("MUSTER_SECRET_KEY_FILE"), "{}", text(&wrong.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_key_file_an_external_database_has_no_secrets() {
    let dir = scratch_dir();
    let database = fresh_database().await;
    let url = database.url();
    let external = [("DATABASE_URL", url.as_str())];
    let service = Serve::start(dir.path(), &external);
    service.ready().await;
    let refused = fed(dir.path(), &SET, &external, "sk-hunter2");
    let error = text(&refused.stderr);
    assert!(!refused.status.success() && error.contains("MUSTER_SECRET_KEY_FILE"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert!(!dir.path().join("secret.key").exists());

    let file = dir.path().join("own.key");
    let named = |file: &Path| {
        [
            ("DATABASE_URL", url.clone()),
            ("MUSTER_SECRET_KEY_FILE", file.to_str().unwrap().to_owned()),
        ]
    };
    for bad in [None, Some("nonsense")] {
        if let Some(text) = bad {
            std::fs::write(&file, text).unwrap();
        }
        let named = named(&file);
        let named = named.each_ref().map(|(name, value)| (*name, value.as_str()));
        let failed = fed(dir.path(), &["serve", "--listen", "127.0.0.1:0"], &named, "");
        assert!(!failed.status.success());
        assert!(text(&failed.stderr).contains("own.key"), "{}", text(&failed.stderr));
    }
}

#[test]
fn what_cannot_work_ends_with_what_to_do() {
    let dir = scratch_dir();
    let fails = |args: &[&str], variables: &[(&str, &str)]| {
        let output = muster(dir.path(), args).envs(variables.iter().copied()).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        text(&output.stderr)
    };
    let placeholder = [("MUSTER_BOOTSTRAP_KEY", "changeme")];
    assert!(fails(&["serve"], &placeholder).contains("openssl rand -hex 32"));
    let url = [("DATABASE_URL", "mysql://user:hunter2@host/db")];
    let error = fails(&["serve", "--listen", "127.0.0.1:0"], &url);
    assert!(error.contains("DATABASE_URL") && !error.contains("hunter2"), "{error}");
    assert!(fails(&["keys", "list"], &[("MUSTER_LOG", "a=b=c")]).contains("MUSTER_LOG"));
    let empty = fails(&["keys", "list"], &[]);
    assert!(empty.contains("muster migrate"), "{empty}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(fails(&["serve", "--listen", &address], &[]).contains("--listen"));
}

#[test]
fn every_option_has_its_variable() {
    let command = Cli::command();
    let settings = config::settings(&command);
    let variables: Vec<&str> = settings.iter().map(|s| s.variable.as_str()).collect();
    for variable in ["DATABASE_URL", "MUSTER_DATA_DIR", "MUSTER_LISTEN", "MUSTER_LOG_FORMAT"] {
        assert!(variables.contains(&variable), "{variable} is missing in {variables:?}");
    }
    let serve = command.find_subcommand("serve").unwrap();
    for arg in command.get_arguments().chain(serve.get_arguments()) {
        let id = arg.get_id().as_str();
        let asks = ["help", "version"].contains(&id);
        assert!(asks || arg.get_env().is_some(), "--{id} has no variable");
    }
    assert!(settings.iter().all(|setting| !setting.help.is_empty()));
}

/// A mistyped place of the data is not made by a command that finds nothing there.
#[test]
fn an_upgrade_makes_no_directory() {
    let dir = scratch_dir();
    let missing = dir.path().join("mistyped");
    let output = run(&missing, &["database", "upgrade"]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("there is no data in"), "{said}");
    assert!(!missing.exists());
}
