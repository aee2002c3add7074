//! Memory and processor time of processes, from /proc on Linux. Other systems have no figures.

use std::{fs, time::Duration};

use rustix::param::clock_ticks_per_second;
use serde::Serialize;

use crate::open_files;

/// The memory of a process, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident pages.
    pub rss_kib: u64,
    /// The same, with each shared page divided by the number of its users.
    pub pss_kib: u64,
}

/// The memory of a process now.
pub fn memory(pid: u32) -> Option<Memory> {
    parse_memory(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

fn parse_memory(rollup: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Memory { rss_kib: field("Rss:")?, pss_kib: field("Pss:")? })
}

/// Processor time of the processes since their start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Processor {
    /// The service.
    pub server: Duration,
    /// All processes of PostgreSQL.
    pub database: Duration,
    /// The bench itself.
    pub bench: Duration,
}

impl Processor {
    /// Up to now.
    pub fn used(server: u32, postgres: u32) -> Option<Self> {
        Some(Self {
            server: of_process(server)?.own,
            database: of_family(postgres)?,
            bench: of_process(std::process::id())?.own,
        })
    }

    /// The time between `before` and `after`, in microseconds per cycle of `count` cycles.
    pub fn per(before: Option<Self>, after: Option<Self>, count: u64) -> Option<PerCycle> {
        let (before, after) = (before?, after?);
        let each = |of: fn(&Self) -> Duration| {
            of(&after).saturating_sub(of(&before)).as_secs_f64() * 1e6 / count.max(1) as f64
        };
        Some(PerCycle {
            server_us: each(|used| used.server),
            database_us: each(|used| used.database),
            bench_us: each(|used| used.bench),
        })
    }
}

/// Processor time of one cycle, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PerCycle {
    /// The service.
    pub server_us: f64,
    /// PostgreSQL.
    pub database_us: f64,
    /// The bench itself.
    pub bench_us: f64,
}

struct Stat {
    parent: u32,
    own: Duration,
    /// Of ended children that were waited for.
    children: Duration,
}

fn of_process(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, clock_ticks_per_second())
}

/// The name of the program is in brackets and may contain any character.
fn parse_stat(stat: &str, ticks_per_second: u64) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    let time = |first: usize| {
        let ticks = number(first)? + number(first + 1)?;
        Some(Duration::from_secs_f64(ticks as f64 / ticks_per_second.max(1) as f64))
    };
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, own: time(11)?, children: time(13)? })
}

/// A process with its running and its ended children.
fn of_family(pid: u32) -> Option<Duration> {
    let parent = of_process(pid)?;
    let others = fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        let child = of_process(name.to_str()?.parse().ok()?)?;
        (child.parent == pid).then_some(child.own)
    });
    Some(parent.own + parent.children + others.sum::<Duration>())
}

/// Raises the limit of open files to `wanted`, for this process and its children.
///
/// # Errors
/// The reason, as a line for people.
pub fn allow_open_files(wanted: u64) -> Result<(), String> {
    let most = open_files::raise()
        .map_err(|error| format!("the limit of open files cannot be raised: {error}"))?;
    match most.filter(|most| *most < wanted) {
        None => Ok(()),
        Some(most) => Err(format!(
            "{wanted} open files are needed and at most {most} are allowed; raise the hard limit \
             (ulimit -Hn, LimitNOFILE)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_kib() {
        let rollup = "5581-7ffc ---p 00000000 00:00 0  [rollup]\nRss:      2052 kB\nPss:   \
                      1177 kB\nPss_Dirty:    100 kB\n";
        assert_eq!(parse_memory(rollup), Some(Memory { rss_kib: 2052, pss_kib: 1177 }));
        assert_eq!(parse_memory("Rss: 1 kB"), None);
    }

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "42 (a) b) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 300 100 20 0 1 0 9 9";
        let stat = parse_stat(stat, 100).unwrap();
        assert_eq!(stat.parent, 7);
        assert_eq!((stat.own, stat.children), (Duration::from_secs(2), Duration::from_secs(4)));
        assert!(parse_stat("42 (a) S 7", 100).is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_found() {
        let own = std::process::id();
        assert!(memory(own).is_some_and(|memory| memory.rss_kib > 100));
        assert!(Processor::used(own, own).is_some());
    }

    #[test]
    fn processor_time_is_shared_out() {
        let at = |millis| Processor {
            server: Duration::from_millis(millis),
            database: Duration::from_millis(2 * millis),
            bench: Duration::ZERO,
        };
        let each = Processor::per(Some(at(100)), Some(at(300)), 1000).unwrap();
        assert!((each.server_us - 200.0).abs() < 1e-6 && (each.database_us - 400.0).abs() < 1e-6);
    }
}
