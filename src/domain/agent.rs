//! Liveness of agents: online, late or lost.
//!
//! Liveness is derived from the last claim or heartbeat and never stored: a silent agent cannot
//! report its own silence.

use chrono::{DateTime, Utc};

use super::{settings, states::Liveness};

/// Liveness at `now`. `last_seen_at` is the agent's last claim or heartbeat; `None` counts as lost.
#[must_use]
pub fn liveness(last_seen_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Liveness {
    match last_seen_at {
        None => Liveness::Lost,
        Some(seen) if seen + settings::LOST_AFTER < now => Liveness::Lost,
        Some(seen) if seen + settings::LATE_AFTER < now => Liveness::Late,
        Some(_) => Liveness::Online,
    }
}

/// Whether a contact at `now` must be written to `last_seen_at`. Contacts within
/// [`settings::SEEN_EXACT_TO`] of the stored one are not written, so most heartbeats cost no update.
#[must_use]
pub fn must_record_contact(last_seen_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    last_seen_at.is_none_or(|seen| seen + settings::SEEN_EXACT_TO <= now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn silence_makes_it_late_and_then_lost() {
        let seen = DateTime::<Utc>::UNIX_EPOCH;
        let after = |silence: Duration| liveness(Some(seen), seen + silence);
        let moment = Duration::from_millis(1);
        assert_eq!(after(Duration::ZERO), Liveness::Online);
        assert_eq!(after(settings::LATE_AFTER), Liveness::Online);
        assert_eq!(after(settings::LATE_AFTER + moment), Liveness::Late);
        assert_eq!(after(settings::LOST_AFTER), Liveness::Late);
        assert_eq!(after(settings::LOST_AFTER + moment), Liveness::Lost);
        assert_eq!(liveness(None, seen), Liveness::Lost);
        assert_eq!(liveness(Some(seen + moment), seen), Liveness::Online, "clocks may differ");
    }

    #[test]
    fn a_note_is_written_anew_when_it_is_old_long_before_it_tells_anybody_is_late() {
        let seen = DateTime::<Utc>::UNIX_EPOCH;
        let moment = Duration::from_millis(1);
        assert!(must_record_contact(None, seen));
        assert!(!must_record_contact(Some(seen), seen + settings::SEEN_EXACT_TO - moment));
        assert!(must_record_contact(Some(seen), seen + settings::SEEN_EXACT_TO));
        assert!(2 * settings::SEEN_EXACT_TO < settings::LATE_AFTER);
    }
}
