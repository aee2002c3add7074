//! The list of the journal, and how much of it one page may examine.
//!
//! The rows of a goal or of a subject are found by an index, and all rows are in order of their numbers.
//! The other filters test one row after the other. One page tests at most [`EXAMINED`] rows; it may
//! therefore have fewer items than asked for, or none, and still name a next page.
//!
//! A span of time is a span of numbers: numbers rise with time, but for the moments that a transaction
//! took. [`number_at`] finds its ends by halving.

use chrono::{DateTime, TimeDelta, Utc};

use super::AuditRow;
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, MonitorCaller},
    },
    domain::{
        check::Checks,
        journal::Row,
        span::{self, Ends},
    },
    store::{
        self, Tx,
        journal::{AuditFilter, Span},
    },
};

/// The most rows that one page tests.
const EXAMINED: i64 = 50_000;
/// The most that the times of two rows differ from the order of their numbers: more than a transaction
/// may take.
pub(super) const DISORDER: TimeDelta = TimeDelta::minutes(2);

/// A page of the journal.
#[derive(Debug)]
pub struct AuditPage {
    /// Its rows, newest first.
    pub rows: Vec<AuditRow>,
    /// If it has fewer rows than asked for and there are more to test: the number below which to go on.
    pub goes_on_below: Option<i64>,
}

impl App {
    /// Up to `rows` rows numbered below `before`, newest first.
    ///
    /// # Errors
    /// `invalid`.
    pub async fn list_audit(
        &self,
        caller: &MonitorCaller,
        filter: AuditFilter<'_>,
        before: Option<i64>,
        rows: u32,
    ) -> Result<AuditPage> {
        let mut checks = Checks::new();
        let times = span::Span { from: filter.from, to: filter.until };
        times.check(&mut checks, Ends("?from", "?until"));
        checks.finish()?;
        let mut tx = self.reader(caller.principal().workspace).await?;
        let goal = match filter.subject_id {
            Some(id) if filter.goal.is_none() => store::journal::goal_of(&mut tx, id).await?,
            Some(_) | None => filter.goal,
        };
        let filter = AuditFilter { goal, ..filter };
        let chain = store::journal::seals::chain_of(&mut tx).await?;
        let whole = whole(&mut tx, &filter, chain.pruned_to + 1, before).await?;
        let tested = tested(&mut tx, &filter, whole).await?;
        let found = store::journal::list(&mut tx, filter, tested, rows.into()).await?;
        let sealed_to = chain.head.number;
        let more = found.len() < rows as usize && tested.from > whole.from;
        let row = |row: Row| AuditRow { sealed: row.number <= sealed_to, row };
        let goes_on_below = more.then_some(tested.from);
        Ok(AuditPage { rows: found.into_iter().map(row).collect(), goes_on_below })
    }
}

/// The numbers that the list may have, the `oldest` first.
async fn whole(
    tx: &mut Tx,
    filter: &AuditFilter<'_>,
    oldest: i64,
    before: Option<i64>,
) -> Result<Span> {
    let newest = store::journal::newest(tx).await?;
    let mut span = Span { from: oldest, before: before.unwrap_or(i64::MAX).min(newest + 1) };
    if let Some(until) = filter.until.and_then(|until| until.checked_add_signed(DISORDER)) {
        span.before = span.before.min(number_at(tx, until, newest).await?);
    }
    if let Some(from) = filter.from.and_then(|from| from.checked_sub_signed(DISORDER)) {
        span.from = span.from.max(number_at(tx, from, newest).await?);
    }
    Ok(span)
}

/// The part of `whole` that one page tests.
async fn tested(tx: &mut Tx, filter: &AuditFilter<'_>, whole: Span) -> Result<Span> {
    let from = if filter.goal.is_some() || filter.subject_id.is_some() {
        store::journal::nth_below(tx, filter, whole.before, EXAMINED).await?.unwrap_or(whole.from)
    } else {
        whole.before.saturating_sub(EXAMINED)
    };
    Ok(Span { from: from.max(whole.from), ..whole })
}

/// The first number whose row is of `time` or later; one above the newest if there is none. A pruned row
/// counts as earlier.
pub(super) async fn number_at(tx: &mut Tx, time: DateTime<Utc>, newest: i64) -> Result<i64> {
    let (mut from, mut before) = (1, newest + 1);
    while from < before {
        let middle = from + (before - from) / 2;
        let at = store::journal::time_of(tx, middle).await?;
        if at.is_some_and(|at| at >= time) {
            before = middle;
        } else {
            from = middle + 1;
        }
    }
    Ok(from)
}
