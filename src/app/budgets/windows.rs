//! Windows of the limits that a unit of work touches. They are found, opened at the start of a
//! period, locked in the common order, and loaded into a ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use crate::{
    app::{Error, Result, Unit, error::corrupt},
    domain::{
        budget::{
            BudgetNode, Window,
            ledger::{Ledger, WindowKey, WindowMove},
        },
        ids::LimitId,
    },
    store::{
        self, Tx,
        budgets::windows::{LiveLimit, NewWindow, Wanted, WindowRow},
    },
};

/// Locked windows in a ledger, and their limits.
#[derive(Debug, Default)]
pub(in crate::app) struct LockedWindows {
    pub ledger: Ledger,
    pub limits: BTreeMap<LimitId, LiveLimit>,
    /// The windows of each limit, in order of time.
    windows: HashMap<LimitId, Vec<Window>>,
}

impl LockedWindows {
    /// Loads windows that were read.
    pub(in crate::app) fn of(limits: Vec<LiveLimit>, rows: Vec<WindowRow>) -> Self {
        let limits: BTreeMap<LimitId, LiveLimit> =
            limits.into_iter().map(|limit| (limit.limit_id, limit)).collect();
        let mut held = Self { limits, ..Self::default() };
        for row in rows {
            let Some(limit) = held.limits.get(&row.limit_id) else { continue };
            let window = Window { starts_at: row.starts_at, ends_at: row.ends_at };
            held.windows.entry(row.limit_id).or_default().push(window);
            held.ledger.open(limit.window(row.starts_at), row.state(limit));
        }
        held
    }

    /// The window of a limit that contains an instant.
    pub(in crate::app) fn window_at(
        &self,
        limit: &LiveLimit,
        at: DateTime<Utc>,
    ) -> Option<WindowKey> {
        let windows = self.windows.get(&limit.limit_id)?;
        let holds = |window: &&Window| {
            window.starts_at <= at && window.ends_at.is_none_or(|ends_at| at < ends_at)
        };
        windows.iter().find(holds).map(|window| limit.window(window.starts_at))
    }
}

/// Opens the current windows of limits without one.
async fn ensure(unit: &mut Unit, limits: &[LiveLimit]) -> Result<()> {
    let now = unit.now();
    let ids: Vec<LimitId> = limits.iter().map(|limit| limit.limit_id).collect();
    let open = store::budgets::windows::open_at(unit.tx(), now, &ids).await?;
    let open: BTreeSet<LimitId> = open.into_iter().map(|(limit, _)| limit).collect();
    let mut missing = Vec::new();
    for limit in limits.iter().filter(|limit| !open.contains(&limit.limit_id)) {
        let window = limit.period.window(limit.time_zone.parse().map_err(corrupt)?, now);
        let key = limit.window(window.starts_at);
        missing.push(NewWindow { window: key, ends_at: window.ends_at });
    }
    if missing.is_empty() {
        return Ok(());
    }
    Ok(store::budgets::windows::open(unit.tx(), &missing).await?)
}

/// The windows that [`ensure`] would open for limits without one among `rows`; nothing is written. A limit of a day,
/// week or month has no window from the start of a period to its first use.
pub(in crate::app) async fn unopened(
    tx: &mut Tx,
    limits: &[LiveLimit],
    rows: &[WindowRow],
) -> Result<Vec<WindowRow>> {
    let open: BTreeSet<LimitId> = rows.iter().map(|row| row.limit_id).collect();
    let missing: BTreeMap<LimitId, &LiveLimit> = limits
        .iter()
        .filter(|limit| !open.contains(&limit.limit_id))
        .map(|limit| (limit.limit_id, limit))
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<LimitId> = missing.keys().copied().collect();
    let mut windows = Vec::with_capacity(ids.len());
    for (limit_id, amount) in store::budgets::windows::amounts(tx, &ids).await? {
        let Some(limit) = missing.get(&limit_id) else { continue };
        let Window { starts_at, ends_at } =
            limit.period.window(limit.time_zone.parse().map_err(corrupt)?, tx.now);
        windows.push(WindowRow {
            limit_id,
            starts_at,
            ends_at,
            amount,
            settled: 0,
            fraction: 0,
            reserved: 0,
            overrun: 0,
            warned: 0,
        });
    }
    Ok(windows)
}

/// Writes the changes of windows, the least shared ones first: contended windows are locked only
/// from the second statement on. Returns the windows after the change.
///
/// # Errors
/// [`Error::Again`] if a window has lost its room for a reservation or for spend.
pub(in crate::app) async fn apply(
    unit: &mut Unit,
    moves: Vec<WindowMove>,
) -> Result<Vec<WindowRow>> {
    let count = moves.len();
    let shared = BudgetNode::Goal.depth();
    let (many, few): (Vec<_>, Vec<_>) =
        moves.into_iter().partition(|change| change.window.depth >= shared);
    let mut moved = Vec::with_capacity(count);
    for part in [few, many] {
        if !part.is_empty() {
            moved.extend(store::budgets::windows::apply(unit.tx(), &part).await?);
        }
    }
    if moved.len() == count { Ok(moved) } else { Err(Error::Again) }
}

/// Opens and locks the current windows of limits.
pub(in crate::app) async fn hold_now(
    unit: &mut Unit,
    limits: &[LiveLimit],
) -> Result<Vec<WindowRow>> {
    ensure(unit, limits).await?;
    let now = unit.now();
    let of_now = |limit: &LiveLimit| Wanted { limit: limit.limit_id, from: now, to: now };
    let wanted: Vec<Wanted> = limits.iter().map(of_now).collect();
    Ok(store::budgets::windows::lock(unit.tx(), &wanted).await?)
}

/// Opens and locks the current windows of limits, and loads them into a ledger.
pub(in crate::app) async fn held_now(
    unit: &mut Unit,
    limits: Vec<LiveLimit>,
) -> Result<LockedWindows> {
    let rows = hold_now(unit, &limits).await?;
    Ok(LockedWindows::of(limits, rows))
}

/// Whether budget windows are re-checked on write or locked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum LockMode {
    /// Read without a lock; written on condition. [`Error::Again`](crate::app::Error::Again) if another
    /// transaction changed them.
    Optimistic,
    /// Locked before they are read.
    Locked,
}
