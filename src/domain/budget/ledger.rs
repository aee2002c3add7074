//! The arithmetic of reservations on budget windows.
//!
//! A [`Ledger`] is a working copy of locked windows. Reserving is all or nothing over every window and
//! unit of a path, and never lets `settled + reserved` exceed an enforced limit. Settling converts
//! reserved amounts to settled ones. Spend beyond the reservation takes the room that is left; spend
//! beyond that is an incident of its attempt ([`Overrun`]). Spend is never clipped.
//!
//! Two amounts are called overrun. That of a limit is what its spend exceeds it by at this moment
//! ([`WindowState::exceeded`]): it falls when spend is corrected or the limit raised. That of an attempt
//! is what it took from the room of others; the others may leave it unused.
//!
//! The caller has locked the windows' rows and writes the changes back ([`Ledger::into_moves`]).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{BudgetNode, OnExhausted, Period, Range};
use crate::domain::{
    ids::LimitId,
    spend::{FRACTIONS, most},
};

/// The key of a window. Every transaction locks windows in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowKey {
    /// [`BudgetNode::depth`] of its node.
    pub depth: i16,
    /// Its limit.
    pub limit: LimitId,
    /// Its start.
    pub starts_at: DateTime<Utc>,
}

/// A limit in one period. Amounts are in its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowState {
    /// The kind of its node.
    pub node: BudgetNode,
    /// The id of its node.
    pub node_id: Uuid,
    /// Its unit.
    pub unit: String,
    /// Its period.
    pub period: Period,
    /// Its budget's setting.
    pub on_exhausted: OnExhausted,
    /// The end of the period; `None`: never.
    pub ends_at: Option<DateTime<Utc>>,
    /// The limit.
    pub amount: i64,
    /// Spend, in whole units.
    pub settled: i64,
    /// Spend beyond `settled`, in millionths of a unit.
    pub fraction: i64,
    /// Open reservations.
    pub reserved: i64,
    /// Sum of the overruns of attempts: spend without a reservation and without room.
    pub overrun: i64,
    /// The highest threshold reported, in percent.
    pub warned: i16,
}

impl WindowState {
    /// The spend, rounded up to whole units.
    #[must_use]
    pub fn used(&self) -> i64 {
        let more = self.fraction / FRACTIONS + i64::from(self.fraction % FRACTIONS > 0);
        self.settled.saturating_add(more)
    }

    /// The amount that can still be reserved; negative after an overrun.
    #[must_use]
    pub fn room(&self) -> i64 {
        let room = i128::from(self.amount) - i128::from(self.used()) - i128::from(self.reserved);
        i64::try_from(room).unwrap_or(i64::MIN)
    }

    /// What the spend exceeds the limit by.
    #[must_use]
    pub fn exceeded(&self) -> i64 {
        self.used().saturating_sub(self.amount).max(0)
    }

    /// Whether it refuses reservations that do not fit.
    #[must_use]
    pub fn enforced(&self) -> bool {
        match self.on_exhausted {
            OnExhausted::ParkAndAsk | OnExhausted::Park | OnExhausted::Stop => true,
            OnExhausted::Notify => false,
        }
    }

    /// The thresholds in percent that were passed and not yet reported, rising.
    #[must_use]
    pub fn passed(&self, thresholds: &[i16]) -> Vec<i16> {
        let used = i128::from(self.used()) * 100;
        let reached = |percent: &i16| used >= i128::from(self.amount) * i128::from(*percent);
        let passed = thresholds.iter().copied();
        passed.filter(|percent| used > 0 && *percent > self.warned && reached(percent)).collect()
    }

    /// Whether it is exhausted: running attempts must stop using the unit.
    #[must_use]
    pub fn spent(&self) -> bool {
        self.enforced() && self.used() > 0 && self.used() >= self.amount
    }
}

/// What asks for room. It decides how a [`Shortage`] says what would fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A task, to start.
    Task,
    /// The allocated budget of a goal.
    Allocation,
    /// The allocated budget of a goal that comes back. `own`: the part of `settled` that the goal has spent,
    /// which is set aside again.
    Return {
        /// In the unit of the window.
        own: i64,
    },
    /// A goal that moves to another project, with what it has spent.
    Move,
}

/// A window without room for a reservation. Amounts are in its unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// The limit.
    pub limit_id: LimitId,
    /// The kind of its node.
    pub node: BudgetNode,
    /// The id of its node.
    pub node_id: Uuid,
    /// Its unit.
    pub unit: String,
    /// Its period.
    pub period: Period,
    /// The start of the period.
    pub starts_at: DateTime<Utc>,
    /// The end of the period; `None`: never.
    pub ends_at: Option<DateTime<Utc>>,
    /// The limit.
    pub limit: i64,
    /// Spend, rounded up.
    pub settled: i64,
    /// Open reservations.
    pub reserved: i64,
    /// The least amount requested.
    pub requested: i64,
    /// What is left of it: neither spent nor reserved.
    pub left: i64,
    /// The largest amount that every limit of the unit has left: a task that needs no more would
    /// start now.
    pub fits: i64,
    /// Its budget's setting.
    #[serde(skip)]
    pub on_exhausted: OnExhausted,
    /// What asks.
    #[serde(skip)]
    pub asker: Asker,
}

impl Shortage {
    /// The shortage of a window without room for `requested`, which a task asks for. `fits`: the largest
    /// amount that all windows of the unit have room for.
    #[must_use]
    pub fn of(key: &WindowKey, window: &WindowState, requested: i64, fits: i64) -> Self {
        Self {
            limit_id: key.limit,
            node: window.node,
            node_id: window.node_id,
            unit: window.unit.clone(),
            period: window.period,
            starts_at: key.starts_at,
            ends_at: window.ends_at,
            limit: window.amount,
            settled: window.used(),
            reserved: window.reserved,
            requested,
            left: window.room().max(0),
            fits: fits.max(0),
            on_exhausted: window.on_exhausted,
            asker: Asker::Task,
        }
    }

    /// The shortage as something else asks.
    #[must_use]
    pub fn of_asker(self, asker: Asker) -> Self {
        Self { asker, ..self }
    }

    /// The shortage with the spend and the room of this state of its window.
    #[must_use]
    pub fn seen_in(self, window: &WindowState) -> Self {
        Self { settled: window.used(), left: window.room().max(0), ..self }
    }

    /// Whether the limit stays short even after all open reservations are released.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        i128::from(self.settled) + i128::from(self.requested) > i128::from(self.limit)
    }
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            node,
            node_id,
            unit,
            period,
            starts_at,
            limit,
            settled,
            reserved,
            requested,
            left,
            fits,
            asker,
            ..
        } = self;
        write!(f, "{node} {node_id}, {unit} per {period}")?;
        if *period != Period::Lifetime {
            write!(f, " from {}", starts_at.to_rfc3339())?;
        }
        write!(
            f,
            ": limit {limit}, settled {settled}, reserved {reserved}, left {left}, requested "
        )?;
        write!(f, "{requested}; ")?;
        match asker {
            Asker::Task => write!(f, "a task that needs at most {fits} would start"),
            Asker::Allocation => write!(f, "at most {fits} can be set aside for the goal"),
            Asker::Return { own } => write!(
                f,
                "{own} of what is settled was spent by the goal itself and is set aside again with its \
                 budget, which fits if it is at most {fits}"
            ),
            Asker::Move => write!(f, "a goal that has spent at most {fits} would fit"),
        }
    }
}

/// The reservation of an attempt in one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reservation {
    /// All that was ever reserved for it.
    pub granted: i64,
    /// The open part: neither used nor released.
    pub held: i64,
    /// The part of `held` kept for authorized costs.
    pub authorized: i64,
}

/// Spend in one unit, to be settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Whole units.
    pub amount: i64,
    /// Millionths of a unit beyond `amount`.
    pub fraction: i64,
    /// Whole units that the reservation is drawn by: the growth of the attempt's spend, rounded up.
    pub drawn: i64,
    /// The amount authorized for this cost.
    pub authorized: i64,
}

/// Spend without a reservation and without room, in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overrun {
    /// The window.
    pub window: WindowKey,
    /// The amount, in its unit.
    pub amount: i64,
}

/// The change of a window's row: what each column grows by. Released reservations are negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowMove {
    /// The window.
    pub window: WindowKey,
    /// Settled whole units.
    pub settled: i64,
    /// Settled millionths.
    pub fraction: i64,
    /// Open reservations.
    pub reserved: i64,
    /// Overrun.
    pub overrun: i64,
}

/// A working copy of locked windows.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    windows: BTreeMap<WindowKey, (WindowState, WindowState)>,
}

impl Ledger {
    /// Adds a locked window; adding it again changes nothing.
    pub fn open(&mut self, key: WindowKey, state: WindowState) {
        self.windows.entry(key).or_insert_with(|| (state.clone(), state));
    }

    /// The present state of a window.
    #[must_use]
    pub fn window(&self, key: &WindowKey) -> Option<&WindowState> {
        self.windows.get(key).map(|(_, now)| now)
    }

    /// The present state of all windows.
    pub fn windows(&self) -> impl Iterator<Item = (&WindowKey, &WindowState)> {
        self.windows.iter().map(|(key, (_, now))| (key, now))
    }

    /// Reserves each unit of `asks` from every window of `path` in that unit: `want`, or as much as
    /// fits, but at least `min`. Returns the granted amounts.
    ///
    /// # Errors
    /// Every window that is short; then nothing is reserved.
    pub fn reserve(
        &mut self,
        path: &[WindowKey],
        asks: &BTreeMap<String, Range>,
    ) -> Result<BTreeMap<String, i64>, Vec<Shortage>> {
        let mut granted = BTreeMap::new();
        let mut short = Vec::new();
        for (unit, ask) in asks {
            let limiting = || self.on(path, unit).filter(|(_, window)| window.enforced());
            let room = limiting().map(|(_, window)| window.room()).min();
            let grant = room.map_or(ask.want, |room| room.min(ask.want));
            let fits = grant >= ask.min && room.is_none_or(|room| room >= 0);
            if fits {
                granted.insert(unit.clone(), grant);
                continue;
            }
            let lacking = limiting().filter(|(_, w)| w.room() < ask.min || w.room() < 0);
            let fits = room.unwrap_or(0);
            short.extend(lacking.map(|(key, window)| Shortage::of(key, window, ask.min, fits)));
        }
        if !short.is_empty() {
            return Err(short);
        }
        for (unit, grant) in &granted {
            self.each(path, unit, |_, window| {
                window.reserved = window.reserved.saturating_add(*grant);
            });
        }
        Ok(granted)
    }

    /// Settles spend of an attempt: first from its reservation, then from the room that is left, the
    /// rest as overrun. An authorized amount above the actual cost becomes free for the attempt's other
    /// costs. Returns the overruns.
    pub fn settle(
        &mut self,
        path: &[WindowKey],
        unit: &str,
        reservation: &mut Reservation,
        used: Used,
    ) -> Vec<Overrun> {
        let Used { amount, fraction, drawn, authorized } = used;
        reservation.authorized -= authorized.min(reservation.authorized);
        let covered = drawn.min(reservation.held - reservation.authorized).max(0);
        reservation.held -= covered;
        let uncovered = drawn - covered;
        let (mut overruns, mut most) = (Vec::new(), 0);
        self.each(path, unit, |key, window| {
            window.reserved = (window.reserved - covered).max(0);
            window.settled = window.settled.saturating_add(amount);
            window.fraction = window.fraction.saturating_add(fraction);
            let over = uncovered.min(window.room().saturating_neg());
            if over > 0 {
                window.overrun = window.overrun.saturating_add(over);
                overruns.push(Overrun { window: *key, amount: over });
                most = most.max(over);
            }
        });
        reservation.granted = reservation.granted.saturating_add(uncovered - most);
        overruns
    }

    /// Releases the open reservation of an attempt in a unit.
    pub fn release(&mut self, path: &[WindowKey], unit: &str, reservation: &mut Reservation) {
        let rest = reservation.held;
        reservation.held = 0;
        reservation.authorized = 0;
        self.each(path, unit, |_, window| window.reserved = (window.reserved - rest).max(0));
    }

    /// Releases an allocation from one window.
    pub fn give_back(&mut self, key: &WindowKey, amount: i64) {
        if let Some((_, window)) = self.windows.get_mut(key) {
            window.reserved = (window.reserved - amount).max(0);
        }
    }

    /// Settles spend in one window that was booked elsewhere before.
    pub fn take(&mut self, key: &WindowKey, amount: i64, fraction: i64) {
        if let Some((_, window)) = self.windows.get_mut(key) {
            window.settled = window.settled.saturating_add(amount);
            window.fraction = window.fraction.saturating_add(fraction);
        }
    }

    /// The window whose spend grew past the most that is counted, and the amount that would have fit.
    #[must_use]
    pub fn beyond(&self) -> Option<(&WindowState, i64)> {
        let grown = self
            .windows
            .values()
            .find(|(was, now)| now.settled > was.settled && now.settled > most::TOTAL_MAX);
        grown.map(|(was, now)| (now, most::room(was.settled.into())))
    }

    /// The changed windows, in the order of locks.
    #[must_use]
    pub fn into_moves(self) -> Vec<WindowMove> {
        let changed = self.windows.into_iter().filter(|(_, (was, now))| was != now);
        let moves = changed.map(|(window, (was, now))| WindowMove {
            window,
            settled: now.settled - was.settled,
            fraction: now.fraction - was.fraction,
            reserved: now.reserved - was.reserved,
            overrun: now.overrun - was.overrun,
        });
        moves.collect()
    }

    fn on<'a>(
        &'a self,
        path: &'a [WindowKey],
        unit: &'a str,
    ) -> impl Iterator<Item = (&'a WindowKey, &'a WindowState)> {
        let windows = path.iter().filter_map(|key| self.windows.get_key_value(key));
        windows.map(|(key, (_, now))| (key, now)).filter(move |(_, window)| window.unit == unit)
    }

    fn each(
        &mut self,
        path: &[WindowKey],
        unit: &str,
        mut change: impl FnMut(&WindowKey, &mut WindowState),
    ) {
        for key in path {
            if let Some((_, window)) = self.windows.get_mut(key)
                && window.unit == unit
            {
                change(key, window);
            }
        }
    }
}
