//! `muster demo`, as a person and as CI start it.
//!
//! It judges itself by what is stored, so that it ends with 0 is most of the test. The rest is what
//! it leaves behind: nothing.

use std::{
    fs::{File, read_dir, read_to_string},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::process::wait_until;

const NOTHING: [PathBuf; 0] = [];

/// A running demo, with a place for temporary files of its own.
struct Demo {
    child: Child,
    dir: TempDir,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("muster-demo-")
            // As root, PostgreSQL runs as another user, who must get through.
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let temporary = dir.path().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        let file = |name: &str| File::create(dir.path().join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .arg("demo")
            .args(args)
            .env_remove("DATABASE_URL")
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(file("said"))
            .stderr(file("log"))
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    fn said(&self) -> String {
        read_to_string(self.dir.path().join("said")).unwrap()
    }

    fn log(&self) -> String {
        read_to_string(self.dir.path().join("log")).unwrap()
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    fn ended(&mut self, what: &str) -> ExitStatus {
        let mut status = None;
        wait_until(what, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// What is left of its temporary files.
    fn left(&self) -> Vec<PathBuf> {
        let entries = read_dir(self.dir.path().join("tmp")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn everything_that_was_planned_happens() {
    let mut demo = Demo::start(&["--exit"]);
    let status = demo.ended("the demo is over");
    let (said, log) = (demo.said(), demo.log());
    assert!(status.success(), "{status}\n{said}\n{log}");
    assert_eq!(said.lines().filter(|line| line.starts_with("yes  ")).count(), 4, "{said}");
    for sign in ["/docs", "mst_", "dies in the middle", "fails (transient)", "accepts it", "AGENT"]
    {
        assert!(said.contains(sign), "{sign} is missing in\n{said}");
    }
    // A slow machine is worth a warning, and no reason to fail.
    assert!(!log.contains("ERROR") && !log.contains("FATAL"), "{log}");
    assert_eq!(demo.left(), NOTHING);
}

#[test]
fn a_demo_that_is_not_done_in_time_says_what_is_missing() {
    let mut demo = Demo::start(&["--exit", "--deadline-seconds", "1"]);
    assert_eq!(demo.ended("the demo gives up").code(), Some(1));
    let log = demo.log();
    assert!(log.contains("the goal is active") && log.contains("T008"), "{log}");
    assert_eq!(demo.left(), NOTHING);
}

#[test]
fn a_demo_can_be_stopped_at_any_time() {
    for sign in ["", "begins"] {
        let mut demo = Demo::start(&[]);
        wait_until("the demo is at work", || demo.said().contains(sign) && !demo.left().is_empty());
        demo.interrupt();
        assert_eq!(demo.ended("the demo stops").code(), Some(1), "{}", demo.log());
        assert!(demo.log().contains("stopped before the goal was done"), "{}", demo.log());
        assert_eq!(demo.left(), NOTHING, "after {sign:?}");
    }
}

#[test]
fn a_demo_without_postgresql_says_so_and_leaves_nothing() {
    let mut demo = Demo::start(&["--exit", "--pg-bin", "/nowhere"]);
    assert_eq!(demo.ended("the demo gives up").code(), Some(1));
    assert!(demo.log().contains("/nowhere"), "{}", demo.log());
    assert_eq!(demo.left(), NOTHING);
}
