//! Schedules: goals that are posted again and again.
//!
//! A schedule has a cron expression in a time zone ([`recurrence`]), and a goal as template. Each of its
//! *due times* has one *fire*: what became of it ([`FireOutcome`]). Most fires post a goal. The others are kept
//! too, because whoever misses a goal wants to know why there is none.
//!
//! Due times that passed while no server ran are fired late if they are not older than the catch-up window
//! ([`turn`]).

pub mod recurrence;
pub mod turn;

use chrono_tz::Tz;

use super::{check::Checks, settings, words::words};
use recurrence::{Bounds, Pattern, Recurrence};

words! {
    /// What a fire does while the goal of the fire before is open. `skip`: it posts nothing. `queue`: it posts
    /// its goal when that one has ended. `cancel`: it cancels that one and posts its own.
    pub enum Overlap {
        /// The fire posts nothing.
        Skip => "skip",
        /// The fire posts its goal when the goal before has ended.
        Queue => "queue",
        /// The goal before is cancelled, and the fire posts its own.
        Cancel => "cancel",
    }
}

words! {
    /// What became of a fire.
    pub enum FireOutcome {
        /// Its goal was posted.
        Posted => "posted",
        /// Its goal is posted when the goal of the fire before has ended.
        Queued => "queued",
        /// Nothing was posted, because the goal of the fire before was open, or another goal held the dedup key.
        Skipped => "skipped",
        /// Nothing was posted, because no server ran in time.
        Missed => "missed",
        /// Its goal was refused, for example for lack of budget.
        Refused => "refused",
    }
}

words! {
    /// Whether a schedule fires.
    pub enum ScheduleState {
        /// It fires at its next due time.
        Active => "active",
        /// It does not fire until somebody resumes it.
        Paused => "paused",
        /// It has no due time any more.
        Ended => "ended",
    }
}

words! {
    /// Why a schedule is paused.
    pub enum PauseReason {
        /// Somebody paused it.
        Asked => "asked",
        /// The key that it posts goals with has ended.
        KeyEnded => "key_ended",
        /// Its goals were refused three times in a row.
        Refused => "refused",
    }
}

/// Reads the cron expression and the time zone of a schedule. Adds every error to `checks`, at `/cron` and
/// `/time_zone`.
pub fn read(
    checks: &mut Checks,
    cron: &str,
    time_zone: &str,
    bounds: Bounds,
) -> Option<Recurrence> {
    let pattern = match Pattern::parse(cron) {
        Ok(pattern) => Some(pattern),
        Err(fault) => {
            checks.add("/cron", fault.to_string());
            None
        }
    };
    let zone = zone(time_zone);
    if zone.is_none() {
        let detail = "must be the name of an IANA time zone, for example `Europe/Berlin` or `UTC`";
        checks.add("/time_zone", detail);
    }
    if let (Some(starts), Some(ends)) = (bounds.starts_at, bounds.ends_at) {
        checks.ensure(starts < ends, "/ends_at", "must be later than `starts_at`");
    }
    Some(Recurrence { pattern: pattern?, zone: zone?, bounds })
}

/// The time zone of a name.
fn zone(name: &str) -> Option<Tz> {
    if name.len() > settings::TIME_ZONE_BYTES { None } else { name.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_faults_are_told() {
        let mut checks = Checks::new();
        assert!(read(&mut checks, "61 * * * *", "Mars/Olympus", Bounds::default()).is_none());
        let errors = checks.finish().unwrap_err().errors;
        let places: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(places, ["/cron", "/time_zone"]);
    }
}
