//! Charging reported spend to the quota windows of accounts.
//!
//! In the transaction of the report, and before its totals and budgets: claims lock windows in that order. Only
//! workspaces with windows come here. Spend that is reported late counts for the window of its report, since the
//! provider has counted it by then.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    app::{Result, Unit, budgets::settle::Booking},
    domain::ids::{AttemptId, QuotaWindowId},
    domain::quota::Quota,
    store,
};

/// Charges stored lines to the windows of the accounts of their agents.
pub(super) async fn charge(unit: &mut Unit, lines: &[Booking]) -> Result<()> {
    let attempts: BTreeSet<AttemptId> = lines.iter().map(|line| line.attempt).collect();
    let attempts: Vec<AttemptId> = attempts.into_iter().collect();
    let accounts = store::quota_windows::accounts_of(unit.tx(), &attempts).await?;
    let mut used: BTreeMap<(&String, &String), i64> = BTreeMap::new();
    for line in lines {
        let Some(account) = accounts.get(&line.attempt) else { continue };
        let sum = used.entry((account, &line.unit)).or_default();
        *sum = sum.saturating_add(line.amount);
    }
    if used.is_empty() {
        return Ok(());
    }
    let names: BTreeSet<String> = accounts.values().cloned().collect();
    let rows =
        store::quota_windows::lock_of(unit.tx(), &names.into_iter().collect::<Vec<_>>()).await?;
    let now = unit.now();
    let charged = rows.iter().filter_map(|row| {
        let amount = used.get(&(&row.account, &row.unit))?;
        Some((row.window_id, row.quota().charge(*amount, now)))
    });
    let charged: Vec<(QuotaWindowId, Quota)> = charged.collect();
    if charged.is_empty() {
        return Ok(());
    }
    Ok(store::quota_windows::set(unit.tx(), &charged).await?)
}
