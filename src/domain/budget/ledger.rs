//! The arithmetic of reservations: what a window holds, and how attempts move it.
//!
//! A [`Ledger`] is a working copy of locked windows. Reserving is all or nothing over every window
//! and unit of a path, and never lets `settled + reserved` go over an enforced limit. Settling moves
//! what was reserved to what was used; what no reservation covers is taken from the room that is
//! left, and what there is no room for is booked all the same, as overrun. Nothing is ever clipped.
//!
//! The caller holds the windows' rows and writes the changed ones back ([`Ledger::into_moves`]).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{BudgetNode, OnExhausted, Period, Range};
use crate::domain::{ids::LimitId, spend::FRACTIONS};

/// Which window: its order is the order in which everybody locks windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowKey {
    /// How far up its node is.
    pub depth: i16,
    /// Its limit.
    pub limit: LimitId,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
}

/// What a limit holds in one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowState {
    /// What is limited.
    pub node: BudgetNode,
    /// Which one.
    pub node_id: Uuid,
    /// In which unit.
    pub unit: String,
    /// For how long.
    pub period: Period,
    /// What becomes of what it cannot fund.
    pub on_exhausted: OnExhausted,
    /// When the period ends.
    pub ends_at: Option<DateTime<Utc>>,
    /// The limit.
    pub amount: i64,
    /// Whole units used.
    pub settled: i64,
    /// Millionths used beside them.
    pub fraction: i64,
    /// Set aside and not used.
    pub reserved: i64,
    /// Used without a reservation and without room.
    pub overrun: i64,
    /// The highest threshold that was told, in percent.
    pub warned: i16,
}

impl WindowState {
    /// What was used, rounded up.
    #[must_use]
    pub fn used(&self) -> i64 {
        let more = self.fraction / FRACTIONS + i64::from(self.fraction % FRACTIONS > 0);
        self.settled.saturating_add(more)
    }

    /// What can still be reserved; below zero when it is overrun.
    #[must_use]
    pub fn room(&self) -> i64 {
        let room = i128::from(self.amount) - i128::from(self.used()) - i128::from(self.reserved);
        i64::try_from(room).unwrap_or(i64::MIN)
    }

    /// Whether it refuses what does not fit.
    #[must_use]
    pub fn enforced(&self) -> bool {
        match self.on_exhausted {
            OnExhausted::ParkAndAsk | OnExhausted::Park | OnExhausted::Stop => true,
            OnExhausted::Notify => false,
        }
    }

    /// The thresholds, in percent, that were passed and not told yet, rising.
    #[must_use]
    pub fn passed(&self, thresholds: &[i16]) -> Vec<i16> {
        let reached = |percent: &&i16| {
            let used = i128::from(self.used()) * 100;
            used >= i128::from(self.amount) * i128::from(**percent)
        };
        let told = thresholds.iter().filter(|percent| self.used() > 0 && **percent > self.warned);
        told.filter(reached).copied().collect()
    }

    /// Whether it is used up: nothing that runs may go on using the unit.
    #[must_use]
    pub fn spent(&self) -> bool {
        self.enforced() && self.used() > 0 && self.used() >= self.amount
    }
}

/// Why a reservation was refused: one window without enough room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// The limit.
    pub limit_id: LimitId,
    /// What is limited.
    pub node: BudgetNode,
    /// Which one.
    pub node_id: Uuid,
    /// In which unit.
    pub unit: String,
    /// For how long.
    pub period: Period,
    /// Since when this period counts.
    pub starts_at: DateTime<Utc>,
    /// When it ends; none: never.
    pub ends_at: Option<DateTime<Utc>>,
    /// The limit.
    pub limit: i64,
    /// What was used of it.
    pub settled: i64,
    /// What is set aside.
    pub reserved: i64,
    /// What was asked for at least.
    pub requested: i64,
    /// What becomes of what it cannot fund.
    #[serde(skip)]
    pub on_exhausted: OnExhausted,
}

impl Shortage {
    /// A window that has not enough room for `requested`.
    #[must_use]
    pub fn of(key: &WindowKey, window: &WindowState, requested: i64) -> Self {
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
            on_exhausted: window.on_exhausted,
        }
    }

    /// Whether giving back everything that is set aside would not be enough.
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
            ..
        } = self;
        write!(f, "{node} {node_id}, {unit} per {period}")?;
        if *period != Period::Lifetime {
            write!(f, " from {}", starts_at.to_rfc3339())?;
        }
        write!(f, ": limit {limit}, settled {settled}, reserved {reserved}, requested {requested}")
    }
}

/// What an attempt has set aside in one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reservation {
    /// All that was ever set aside for it.
    pub granted: i64,
    /// What of that is neither used nor given back.
    pub held: i64,
    /// What of that is kept for authorised costs.
    pub authorized: i64,
}

/// Something used, to be booked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Whole units.
    pub amount: i64,
    /// Millionths beside them.
    pub fraction: i64,
    /// What was authorised for just this.
    pub authorized: i64,
}

/// Used without a reservation and without room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overrun {
    /// Where.
    pub window: WindowKey,
    /// How much.
    pub amount: i64,
}

/// What a window's row becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowMove {
    /// Which row.
    pub window: WindowKey,
    /// By how much each rises.
    pub settled: i64,
    /// Millionths settled.
    pub fraction: i64,
    /// Reserved, or given back.
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
    /// Takes in a locked window; a second time changes nothing.
    pub fn open(&mut self, key: WindowKey, state: WindowState) {
        self.windows.entry(key).or_insert_with(|| (state.clone(), state));
    }

    /// A window as it is by now.
    #[must_use]
    pub fn window(&self, key: &WindowKey) -> Option<&WindowState> {
        self.windows.get(key).map(|(_, now)| now)
    }

    /// All windows as they are by now.
    pub fn windows(&self) -> impl Iterator<Item = (&WindowKey, &WindowState)> {
        self.windows.iter().map(|(key, (_, now))| (key, now))
    }

    /// Sets aside what is asked of each unit from every window of `path` that limits it: as much as
    /// is wanted, or as fits, but never less than the least.
    ///
    /// # Errors
    /// Every window that is short; then nothing was set aside.
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
            short.extend(lacking.map(|(key, window)| Shortage::of(key, window, ask.min)));
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

    /// Books what an attempt used: first from what it has set aside, then from the room that is
    /// left, and the rest as overrun. What was authorised for it beyond that is free for the
    /// attempt's other costs. Returns where it was overrun.
    pub fn settle(
        &mut self,
        path: &[WindowKey],
        unit: &str,
        reservation: &mut Reservation,
        used: Used,
    ) -> Vec<Overrun> {
        let Used { amount, fraction, authorized } = used;
        reservation.authorized -= authorized.min(reservation.authorized);
        let whole = amount.saturating_add(i64::from(fraction > 0));
        let covered = whole.min(reservation.held - reservation.authorized).max(0);
        reservation.held -= covered;
        let uncovered = whole - covered;
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

    /// Gives back what an attempt still has set aside in a unit.
    pub fn release(&mut self, path: &[WindowKey], unit: &str, reservation: &mut Reservation) {
        let rest = reservation.held;
        reservation.held = 0;
        reservation.authorized = 0;
        self.each(path, unit, |_, window| window.reserved = (window.reserved - rest).max(0));
    }

    /// Gives back what was set aside from one window.
    pub fn give_back(&mut self, key: &WindowKey, amount: i64) {
        if let Some((_, window)) = self.windows.get_mut(key) {
            window.reserved = (window.reserved - amount).max(0);
        }
    }

    /// Settles what was used elsewhere with one window.
    pub fn take(&mut self, key: &WindowKey, amount: i64, fraction: i64) {
        if let Some((_, window)) = self.windows.get_mut(key) {
            window.settled = window.settled.saturating_add(amount);
            window.fraction = window.fraction.saturating_add(fraction);
        }
    }

    /// What is to be written back, in the order of locks.
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
