//! Settlement: reported spend is moved from an attempt's reservation to the settled total.
//!
//! Runs in the transaction that stores the spend or ends the attempt. Spend that exceeds the
//! reservation is taken from the room left; the rest is booked as overrun and reported as an
//! incident. An attempt that ends returns its remaining reservation, and is counted in the units
//! that the service measures. All spend of an attempt belongs to the period in which it started,
//! however late it is reported. Spend that would take a window past the most that is counted is refused
//! with its whole report.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    resume,
    windows::{LockMode, LockedWindows, apply},
};
use crate::{
    app::{Result, Unit},
    domain::{
        budget::{
            BudgetNode,
            ledger::{Ledger, Overrun, Reservation, Used, WindowKey, WindowMove, WindowState},
            lineage::Lineage,
        },
        ids::{AttemptId, LimitId},
        journal::{Kind, NewRow},
        spend::{ATTEMPTS, WALL_MS, most},
    },
    store::{
        self,
        budgets::{
            charged::{ChargedAt, Share},
            reservations::{Authorization, Row},
            windows::{LiveLimit, Wanted},
        },
    },
};

/// A stored spend line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::app) struct Booking {
    pub attempt: AttemptId,
    /// Key of its spend entry.
    pub key: String,
    pub unit: String,
    pub amount: i64,
    /// Millionths of a unit beyond `amount`.
    pub fraction: i64,
    /// Whole units that the attempt's reservation is drawn by.
    pub drawn: i64,
}

/// Accounts of attempts: the windows above them, and their reservations.
#[derive(Debug, Default)]
pub(in crate::app) struct Accounts {
    pub ledger: Ledger,
    pub paths: HashMap<AttemptId, Vec<WindowKey>>,
    limits: BTreeMap<LimitId, LiveLimit>,
    overruns: Vec<(AttemptId, Overrun)>,
    /// Whether any spend exceeded its reservation: only then does the state of the windows matter.
    uncovered: bool,
    pub reservations: BTreeMap<(AttemptId, String), Row>,
    /// Reservations that already have a row.
    stored: BTreeSet<(AttemptId, String)>,
    places: HashMap<AttemptId, ChargedAt>,
    touched: BTreeSet<(AttemptId, String)>,
}

impl Accounts {
    /// Reads or locks the windows above locked attempts; `None` if nothing was ever limited.
    pub(in crate::app) async fn open(
        unit: &mut Unit,
        attempts: &[AttemptId],
        lock_mode: LockMode,
    ) -> Result<Option<Self>> {
        if !store::budgets::windows::any(unit.tx()).await? {
            return Ok(None);
        }
        let places = store::budgets::charged::charged_at(unit.tx(), attempts).await?;
        let nodes = nodes(unit, &places);
        let own = store::budgets::reservations::of_attempts(unit.tx(), attempts).await?;
        let (from, to) = span(&places).unwrap_or((unit.now(), unit.now()));
        let (limits, mut rows) =
            store::budgets::survey::survey(unit.tx(), &nodes, from, to).await?;
        if lock_mode == LockMode::Locked {
            let wanted = wanted(&limits, &places);
            rows = store::budgets::windows::lock(unit.tx(), &wanted).await?;
        }
        let held = LockedWindows::of(limits, rows);
        let mut accounts = Self::default();
        for place in places {
            accounts.paths.insert(place.attempt_id, path(unit, &held, &place));
            accounts.places.insert(place.attempt_id, place);
        }
        let LockedWindows { ledger, limits, .. } = held;
        accounts.ledger = ledger;
        accounts.limits = limits;
        for row in own {
            let key = (row.attempt_id, row.unit.clone());
            accounts.stored.insert(key.clone());
            accounts.reservations.insert(key, row);
        }
        Ok(Some(accounts))
    }

    /// Whether the attempt's reservation in a unit is not closed.
    fn is_open(&self, attempt: AttemptId, unit: &str) -> bool {
        let row = self.reservations.get(&(attempt, unit.to_owned()));
        row.is_none_or(|row| row.closed_at.is_none())
    }

    fn is_limited(&self, attempt: AttemptId, unit: &str) -> bool {
        let path = self.paths.get(&attempt).into_iter().flatten();
        path.filter_map(|key| self.ledger.window(key)).any(|window| window.unit == unit)
    }

    /// Changes the reservation of an attempt in one unit.
    pub(in crate::app) fn with<T>(
        &mut self,
        attempt: AttemptId,
        unit: &str,
        work: impl FnOnce(&mut Ledger, &[WindowKey], &mut Reservation) -> T,
    ) -> T {
        let key = (attempt, unit.to_owned());
        let path = self.paths.get(&attempt).map(Vec::as_slice).unwrap_or_default();
        let row = self.reservations.entry(key.clone()).or_insert_with(|| Row {
            attempt_id: attempt,
            unit: unit.to_owned(),
            reservation: Reservation::default(),
            closed_at: None,
        });
        let before = row.clone();
        let result = work(&mut self.ledger, path, &mut row.reservation);
        if *row != before {
            self.touched.insert(key);
        }
        result
    }

    fn book(&mut self, booking: &Booking, authorized: i64) {
        let Booking { attempt, key: _, unit: name, amount, fraction, drawn } = booking;
        if !self.is_limited(*attempt, name) {
            return;
        }
        if *amount < 0 {
            // A correction: no reservation covers it.
            for key in self.paths.get(attempt).into_iter().flatten() {
                if self.ledger.window(key).is_some_and(|window| window.unit == *name) {
                    self.ledger.take(key, *amount, *fraction);
                }
            }
            return;
        }
        let used = Used { amount: *amount, fraction: *fraction, drawn: *drawn, authorized };
        let (overruns, uncovered) = self.with(*attempt, name, |ledger, path, reservation| {
            let before = reservation.held;
            let overruns = ledger.settle(path, name, reservation, used);
            (overruns, before - reservation.held < *drawn)
        });
        self.uncovered |= uncovered;
        self.overruns.extend(overruns.into_iter().map(|overrun| (*attempt, overrun)));
    }

    /// Counts an ended attempt in the units that the service measures, and releases its
    /// reservations.
    fn close(&mut self, unit: &Unit, attempt_id: AttemptId) {
        let Some(place) = self.places.get(&attempt_id) else { return };
        let (started_at, ended_at) = (place.started_at, place.ended_at.unwrap_or(unit.now()));
        let took = (ended_at - started_at).num_milliseconds().max(0);
        for (name, amount) in [(WALL_MS, took), (ATTEMPTS, 1)] {
            let booking = Booking {
                attempt: attempt_id,
                key: String::new(),
                unit: name.to_owned(),
                amount,
                fraction: 0,
                drawn: amount,
            };
            if self.is_open(attempt_id, name) {
                self.book(&booking, 0);
            }
        }
        let names = self.reservations.range((attempt_id, String::new())..);
        let names: Vec<String> = names
            .take_while(|((attempt, _), _)| *attempt == attempt_id)
            .map(|((_, name), _)| name.clone())
            .collect();
        let now = unit.now();
        for name in names {
            self.with(attempt_id, &name, |ledger, path, reservation| {
                ledger.release(path, &name, reservation);
            });
            if let Some(row) = self.reservations.get_mut(&(attempt_id, name.clone()))
                && row.closed_at.is_none()
            {
                row.closed_at = Some(now);
                self.touched.insert((attempt_id, name));
            }
        }
    }

    /// Writes all changes, reports overruns and passed thresholds, and offers tasks that fit into
    /// the new room.
    ///
    /// # Errors
    /// `invalid` if the spend of a window would pass the most that is counted; [`Error::Again`] if a
    /// window has lost its room for a reservation or for spend.
    pub(in crate::app) async fn write(self, unit: &mut Unit) -> Result<()> {
        if let Some((window, fits)) = self.ledger.beyond() {
            let whose = format_args!("{} {} under its limit", window.node, window.node_id);
            return Err(most::beyond(whose, &window.unit, fits).into());
        }
        for (attempt, overrun) in &self.overruns {
            let Some(window) = self.ledger.window(&overrun.window) else { continue };
            unit.record(NewRow::new(Kind::BudgetOverrun).attempt(*attempt).data(json!({
                "limit_id": overrun.window.limit, "node": window.node, "node_id": window.node_id,
                "unit": window.unit, "limit": window.amount, "overrun": overrun.amount,
            })));
        }
        let touched = self.touched.iter().filter_map(|key| self.reservations.get_key_value(key));
        let (known, new): (Vec<_>, Vec<_>) =
            touched.partition(|(key, _)| self.stored.contains(key));
        let rows = |of: Vec<(&_, &Row)>| of.into_iter().map(|(_, row)| row.clone()).collect();
        let (known, new): (Vec<Row>, Vec<Row>) = (rows(known), rows(new));
        if !known.is_empty() {
            store::budgets::reservations::change(unit.tx(), &known).await?;
        }
        if !new.is_empty() {
            store::budgets::reservations::begin(unit.tx(), &new).await?;
        }
        let moves = self.ledger.into_moves();
        let gives = |change: &WindowMove| change.settled + change.reserved < 0;
        let roomier: BTreeSet<LimitId> =
            moves.iter().filter(|change| gives(change)).map(|change| change.window.limit).collect();
        let mut rooms = Vec::new();
        let mut passed = Vec::new();
        for row in apply(unit, moves).await? {
            let Some(limit) = self.limits.get(&row.limit_id) else { continue };
            let (key, window) = (limit.window(row.starts_at), row.state(limit));
            if roomier.contains(&row.limit_id) {
                rooms.push((row.limit_id, window.room()));
            }
            let percents = window.passed(&limit.warn_percent);
            passed.extend(percents.last().map(|percent| (key, *percent)));
            record_event(unit, key, &window, &percents);
        }
        if !passed.is_empty() {
            store::budgets::windows::warned(unit.tx(), &passed).await?;
        }
        resume::offer(unit, &rooms, resume::FEW).await.map(drop)
    }
}

pub(super) fn record_event(
    unit: &mut Unit,
    key: WindowKey,
    window: &WindowState,
    percents: &[i16],
) {
    for percent in percents {
        unit.record(NewRow::new(Kind::BudgetThreshold).data(json!({
            "limit_id": key.limit, "node": window.node, "node_id": window.node_id,
            "unit": window.unit, "period": window.period, "starts_at": key.starts_at,
            "percent": percent, "limit": window.amount, "settled": window.used(),
        })));
    }
}

/// Settles spend lines that were just stored, and closes attempts that end in this unit.
pub(in crate::app) async fn settle(
    unit: &mut Unit,
    bookings: &[Booking],
    ended: &[AttemptId],
) -> Result<()> {
    let attempts: BTreeSet<AttemptId> =
        bookings.iter().map(|booking| booking.attempt).chain(ended.iter().copied()).collect();
    if attempts.is_empty() {
        return Ok(());
    }
    let attempts: Vec<AttemptId> = attempts.into_iter().collect();
    let mut settled = None;
    // Spend within reservations changes windows in the same way whatever their state. Only spend
    // beyond them depends on it; then the windows are locked first.
    for lock_mode in [LockMode::Optimistic, LockMode::Locked] {
        let opened = Accounts::open(unit, &attempts, lock_mode).await?;
        let Some(accounts) = opened else { return Ok(()) };
        let (accounts, used_up) = work(unit, accounts, bookings, ended).await?;
        let sure = lock_mode == LockMode::Locked || !accounts.uncovered;
        settled = Some((accounts, used_up));
        if sure {
            break;
        }
    }
    let Some((accounts, used_up)) = settled else { return Ok(()) };
    if !used_up.is_empty() {
        store::budgets::reservations::use_up(unit.tx(), &used_up).await?;
    }
    accounts.write(unit).await
}

/// Authorized costs that are now reported: attempt, key and unit.
type UsedUp = Vec<(AttemptId, String, String)>;

/// Books everything in the accounts; writes nothing.
async fn work(
    unit: &mut Unit,
    mut accounts: Accounts,
    bookings: &[Booking],
    ended: &[AttemptId],
) -> Result<(Accounts, UsedUp)> {
    let mut authorized = authorized(unit, &accounts, bookings).await?;
    let mut used_up = Vec::new();
    for booking in bookings {
        let key = (booking.attempt, booking.key.clone(), booking.unit.clone());
        let kept = authorized.remove(&key);
        used_up.extend(kept.map(|_| key));
        accounts.book(booking, kept.unwrap_or_default());
    }
    for attempt in ended {
        accounts.close(unit, *attempt);
    }
    Ok((accounts, used_up))
}

/// Authorized amounts of the costs that are now reported, by attempt, key and unit.
async fn authorized(
    unit: &mut Unit,
    accounts: &Accounts,
    bookings: &[Booking],
) -> Result<HashMap<(AttemptId, String, String), i64>> {
    let keeps = |row: &&Row| row.reservation.authorized > 0;
    let attempts: BTreeSet<AttemptId> =
        accounts.reservations.values().filter(keeps).map(|row| row.attempt_id).collect();
    if attempts.is_empty() {
        return Ok(HashMap::new());
    }
    let attempts: Vec<AttemptId> = attempts.into_iter().collect();
    let keys: Vec<String> = bookings.iter().map(|booking| booking.key.clone()).collect();
    let rows = store::budgets::reservations::authorized(unit.tx(), &attempts, &keys).await?;
    let open = rows.into_iter().filter(|row| !row.used).map(|row| {
        let Authorization { attempt_id, cost_key, unit, amount, used: _ } = row;
        ((attempt_id, cost_key, unit), amount)
    });
    Ok(open.collect())
}

fn nodes(unit: &Unit, places: &[ChargedAt]) -> Vec<(BudgetNode, uuid::Uuid)> {
    let nodes: BTreeSet<_> =
        places.iter().flat_map(|place| lineage(unit, place).budget_nodes()).collect();
    nodes.into_iter().collect()
}

fn lineage(unit: &Unit, place: &ChargedAt) -> Lineage {
    Lineage {
        task: place.task_id,
        goal: place.goal_id,
        agent: place.agent_id,
        project: place.project_id,
        workspace: unit.workspace(),
    }
}

/// Time range of the windows to touch: where the attempts started, and where their goals have
/// allocations.
fn span(places: &[ChargedAt]) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let started = places.iter().map(|place| place.started_at);
    let beginnings =
        places.iter().flat_map(|place| place.shares.iter().map(|share| share.starts_at));
    Some((started.clone().chain(beginnings).min()?, started.max()?))
}

/// Windows to lock; those that no attempt here touches are left out.
fn wanted(limits: &[LiveLimit], places: &[ChargedAt]) -> Vec<Wanted> {
    let Some((from, to)) = span(places) else { return Vec::new() };
    let touched = limits.iter().filter(|limit| {
        places.iter().any(|place| share(place, limit.limit_id).is_none_or(|share| share.is_closed))
    });
    touched.map(|limit| Wanted { limit: limit.limit_id, from, to }).collect()
}

/// Allocation of an attempt's goal from a limit.
fn share(place: &ChargedAt, limit: LimitId) -> Option<&Share> {
    place.shares.iter().find(|share| share.limit_id == limit)
}

fn path(unit: &Unit, held: &LockedWindows, place: &ChargedAt) -> Vec<WindowKey> {
    let nodes: BTreeSet<_> = lineage(unit, place).budget_nodes().collect();
    let above = held.limits.values().filter(|limit| nodes.contains(&(limit.node, limit.node_id)));
    let keys = above.filter_map(|limit| match share(place, limit.limit_id) {
        None => held.window_at(limit, place.started_at),
        Some(share) => share.is_closed.then(|| limit.window(share.starts_at)),
    });
    keys.collect()
}
