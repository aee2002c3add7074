//! The lessons that attempts begin with: how much of the process goes to finding them, and what is recorded.
//!
//! A claim is answered as soon as possible, so the search behind it is a favour:
//!
//! - A workspace without a lesson costs nothing but a check that is kept for [`KNOWN_FOR`].
//! - The process gives [`SHARE`] of one processor to these searches, measured as the time that they take, with
//!   [`BURST`] in advance. Beyond that a claim is answered without lessons, and counts in no trial.
//! - The searches of one answer take [`WITHIN`] at most. An error or a longer search leaves the lessons out; a claim never
//!   fails because of it.
//!
//! What is attached is recorded first, in a small transaction of its own that waits for nobody longer than [`BRIEF`]: the
//! verdicts of the agent are accepted only for lessons that its attempt was given.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    app::{App, Result},
    clock::Stopwatch,
    domain::ids::WorkspaceId,
    store::{
        self,
        knowledge::{answers::Offer, exposures::NewExposure, trials::NewTrial},
    },
};

/// Time for which it is remembered what a workspace offers.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// Part of one processor that searches behind claims and postings get.
const SHARE: f64 = 0.1;
/// What they may use in advance.
const BURST: Duration = Duration::from_millis(500);
/// Longest time of the searches for one answer.
const WITHIN: Duration = Duration::from_millis(250);
/// The same in a process that is not in a hurry.
const UNHURRIED: Duration = Duration::from_secs(20);
/// Longest wait for a row of another transaction, in milliseconds. It is shorter than the time after which the database
/// looks for deadlocks, so a capture never fails because of a claim.
const BRIEF: i32 = 200;

/// What is remembered of searches behind claims, for the whole process.
#[derive(Debug)]
pub(in crate::app) struct Searches {
    /// Whether time is short: shares and limits apply, and what a workspace offers is remembered.
    hurried: bool,
    watch: Stopwatch,
    meter: Mutex<Meter>,
    known: Mutex<HashMap<WorkspaceId, Known>>,
}

impl Default for Searches {
    fn default() -> Self {
        Self {
            hurried: true,
            watch: Stopwatch::start(),
            meter: Mutex::new(Meter { at: Duration::ZERO, left: BURST.as_secs_f64() }),
            known: Mutex::default(),
        }
    }
}

/// The time that searches may still use.
#[derive(Debug)]
struct Meter {
    /// Time of the last look.
    at: Duration,
    /// Seconds; below zero after a long search.
    left: f64,
}

impl Meter {
    fn refill(&mut self, now: Duration) {
        let gone = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.left = (self.left + gone * SHARE).min(BURST.as_secs_f64());
    }
}

#[derive(Debug, Clone, Copy)]
struct Known {
    at: Duration,
    offer: Option<Offer>,
}

impl Searches {
    /// Whether a search may begin now.
    pub(in crate::app) fn may_begin(&self) -> bool {
        if !self.hurried {
            return true;
        }
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.refill(self.watch.elapsed());
        meter.left > 0.0
    }

    /// Longest time of the searches for one answer.
    pub(in crate::app) fn within(&self) -> Duration {
        if self.hurried { WITHIN } else { UNHURRIED }
    }

    /// Charges a search with the time that it took.
    pub(in crate::app) fn charge(&self, took: Duration) {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.refill(self.watch.elapsed());
        meter.left -= took.as_secs_f64();
    }

    /// Forgets what a workspace offers: its settings changed.
    pub(in crate::app) fn forget(&self, workspace: WorkspaceId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&workspace);
    }

    /// A workspace has a new lesson. Forgets that it has none.
    pub(in crate::app) fn notice(&self, workspace: WorkspaceId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&workspace).is_some_and(|known| !known.offer.is_some_and(|offer| offer.some)) {
            known.remove(&workspace);
        }
    }

    /// What is known of a workspace. `None`: it has to be read, and others go on with what was known before.
    fn remembered(&self, workspace: WorkspaceId) -> Option<Option<Offer>> {
        let now = self.watch.elapsed();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(&workspace).copied();
        match before {
            Some(Known { at, offer }) if self.hurried && now.saturating_sub(at) < KNOWN_FOR => {
                Some(offer)
            }
            _ => {
                let offer = before.and_then(|before| before.offer);
                known.insert(workspace, Known { at: now, offer });
                None
            }
        }
    }

    fn remember(&self, workspace: WorkspaceId, offer: Offer) {
        let at = self.watch.elapsed();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(workspace, Known { at, offer: Some(offer) });
    }
}

impl App {
    /// The same app with all the time that searches behind claims need, to try out what they find.
    #[must_use]
    pub fn unhurried(self) -> Self {
        let searches = Searches { hurried: false, ..Searches::default() };
        Self { lesson_searches: Arc::new(searches), ..self }
    }

    /// What a workspace offers, as known in the last second; `None`: nothing.
    pub(in crate::app) async fn lesson_offer(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<Offer>> {
        let offer = match self.lesson_searches.remembered(workspace) {
            Some(known) => known,
            None => {
                let mut tx = self.reader(workspace).await?;
                let offer = store::knowledge::answers::offer(&mut tx).await?;
                self.lesson_searches.remember(workspace, offer);
                Some(offer)
            }
        };
        Ok(offer.filter(|offer| offer.some))
    }

    /// Records what attempts are given, and the trials that begin with it.
    pub(in crate::app) async fn record_given(
        &self,
        workspace: WorkspaceId,
        exposures: &[NewExposure],
        trials: &[NewTrial],
    ) -> Result<()> {
        if exposures.is_empty() && trials.is_empty() {
            return Ok(());
        }
        let mut tx = self.transaction(workspace).await?;
        store::knowledge::exposures::wait_at_most(&mut tx, BRIEF).await?;
        store::knowledge::exposures::record(&mut tx, exposures).await?;
        store::knowledge::trials::begin(&mut tx, trials).await?;
        Ok(tx.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_get_a_tenth_of_the_time_and_a_burst() {
        let mut meter = Meter { at: Duration::ZERO, left: BURST.as_secs_f64() };
        let mut used = Duration::ZERO;
        let search = Duration::from_millis(20);
        let mut now = Duration::ZERO;
        while now < Duration::from_secs(100) {
            meter.refill(now);
            if meter.left > 0.0 {
                meter.left -= search.as_secs_f64();
                used += search;
            }
            now += search;
        }
        let most = BURST + Duration::from_secs(10) + search;
        assert!(used <= most && used >= Duration::from_secs(10), "{used:?}");
    }

    #[test]
    fn an_idle_process_saves_nothing_up() {
        let mut meter = Meter { at: Duration::ZERO, left: 0.0 };
        meter.refill(Duration::from_secs(3600));
        assert!(meter.left <= BURST.as_secs_f64());
    }
}
