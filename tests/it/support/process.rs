//! Processes in tests: waiting for conditions, and running this test binary again as a helper.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

/// How long anything may take on a busy machine before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds; `what` says what was waited for when it never does.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(POLL);
    }
}

/// Whether the process runs. A zombie does not, though it still has its number.
pub fn is_alive(pid: u32) -> bool {
    let answers = Pid::from_raw(pid.cast_signed())
        .is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH));
    answers && !is_zombie(pid)
}

fn is_zombie(pid: u32) -> bool {
    // The state follows the name, which stands in parentheses and may hold anything.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

/// This test binary, run again for the one test `name`, in a process group of its own.
///
/// Such a test does nothing in an ordinary run: it looks at an environment variable, which the
/// caller sets.
pub fn this_binary(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// What a helper says begins with this; the test harness prints lines of its own.
const MARK: &str = "helper says: ";

/// Says something to the process that started this one.
pub fn say(words: &str) {
    println!("{MARK}{words}");
}

/// A running helper, killed when dropped.
pub struct Helper {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Helper {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next thing it says; none when it has ended.
    pub fn hear(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // The harness prints the name of the test before it, on the same line.
            if let Some((_, words)) = line.split_once(MARK) {
                return Some(words.trim_end().to_owned());
            }
        }
    }

    /// Ends it as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it live on when this is dropped.
    pub fn detach(self) {
        std::mem::forget(self);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
