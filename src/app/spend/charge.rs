//! Charging spend to attempts: entries, totals of the nodes above, and settlement with budgets.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::{pricing, quotas};
use crate::{
    app::{
        Result, Unit,
        budgets::settle::{self, Booking},
    },
    domain::{
        budget::lineage::Lineage,
        ids::{AttemptId, GoalId, ProjectId},
        spend::{self, Amounts, SpendEntry, SpendReport, UnitSpend, amount::Exact, most},
        states::{AttemptState, SpendNode},
        task::AttemptFacts,
    },
    store::{
        self,
        spend::{Fresh, NewEntry, Rise},
    },
};

/// Stores reports on locked attempts and settles them with every limit above. Attempts in `ended`
/// end in this unit and return their reservations. `at`: the place of a report in its request. Returns
/// the total spend of each attempt.
///
/// # Errors
/// `invalid` if a call lies in the future, or a total would pass the most that is counted. The unit must be undone then; in a batch,
/// each command is executed again alone, and only the report that does not fit is refused.
pub(in crate::app) async fn charge(
    unit: &mut Unit,
    at: &str,
    reports: &[(&AttemptFacts, &SpendReport)],
    ended: &[AttemptId],
) -> Result<HashMap<AttemptId, Amounts>> {
    let reports: Vec<_> = reports.iter().filter(|(_, report)| !report.is_empty()).collect();
    if reports.is_empty() {
        settle::settle(unit, &[], ended).await?;
        return Ok(HashMap::new());
    }
    for (_, report) in &reports {
        report.check_times(at, unit.now())?;
    }
    let attempts: BTreeMap<AttemptId, &AttemptFacts> =
        reports.iter().map(|(attempt, _)| (attempt.attempt_id, *attempt)).collect();
    let ids: Vec<AttemptId> = attempts.keys().copied().collect();
    let stored = store::spend::of_attempts(unit.tx(), &ids).await?;
    let mut spent: BTreeMap<(AttemptId, String), UnitSpend> =
        stored.into_iter().map(|(id, unit, spend)| ((id, unit), spend)).collect();
    let pricing = pricing::price(unit, &reports).await?;
    let mut entries = Vec::new();
    for (attempt, report) in &reports {
        let late = attempt.state != AttemptState::Running;
        let id = attempt.attempt_id;
        let line = |charge| NewEntry { attempt_id: id, charge, late };
        let used = |entry: &SpendEntry| pricing.lines(id, entry);
        entries.extend(spend::charges(report, used).into_iter().map(line));
        for (unit, total) in report.exact_totals() {
            let spend = spent.entry((id, unit.to_owned())).or_default();
            if let Some(rise) = spend::rise(unit, total, *spend) {
                *spend = spend.raised(&rise);
                entries.push(line(rise));
            }
        }
    }
    let stored = store_entries(unit, &attempts, entries, &mut spent).await?;
    if stored.metered {
        quotas::charge(unit, &stored.lines).await?;
    }
    pricing.note(unit, &attempts, &stored.lines).await?;
    raise_totals(unit, stored.rises).await?;
    settle::settle(unit, &stored.lines, ended).await?;
    let mut answer: HashMap<AttemptId, Amounts> = HashMap::new();
    for ((id, unit), spend) in spent {
        answer.entry(id).or_default().insert(unit, spend.amount());
    }
    Ok(answer)
}

/// Stores lines with new keys, and the attempts' totals including them.
pub(in crate::app) async fn store_entries(
    unit: &mut Unit,
    attempts: &BTreeMap<AttemptId, &AttemptFacts>,
    entries: Vec<NewEntry>,
    spent: &mut BTreeMap<(AttemptId, String), UnitSpend>,
) -> Result<Stored> {
    if entries.is_empty() {
        return Ok(Stored::default());
    }
    let fresh = store::spend::insert_entries(unit.tx(), &entries).await?;
    if fresh.is_empty() {
        return Ok(Stored::default());
    }
    let goals: Vec<GoalId> = attempts.values().map(|attempt| attempt.goal_id).collect();
    let projects: HashMap<GoalId, ProjectId> =
        store::spend::projects_of(unit.tx(), &goals).await?.into_iter().collect();
    let mut touched = BTreeMap::new();
    let mut stored = Stored::default();
    for Fresh { attempt_id: id, key, unit: unit_name, amount, fraction, metered } in fresh {
        stored.metered |= metered;
        let exact = Exact { amount, fraction };
        let fraction = i64::from(fraction);
        let of_attempt = spent.entry((id, unit_name.clone())).or_default();
        if !key.starts_with(spend::TOTAL_PREFIX) {
            of_attempt.entries = of_attempt.entries.saturating_add(amount);
            of_attempt.fraction = of_attempt.fraction.saturating_add(fraction);
        }
        let drawn = of_attempt.drawn(exact);
        touched.insert((id, unit_name.clone()), *of_attempt);
        let Some(attempt) = attempts.get(&id) else { continue };
        let lineage = Lineage {
            task: attempt.task_id,
            goal: attempt.goal_id,
            agent: attempt.holder.agent(),
            project: projects.get(&attempt.goal_id).copied(),
            workspace: unit.workspace(),
        };
        for (node, node_id) in lineage.spend_nodes() {
            let total = stored.rises.entry((node, node_id, unit_name.clone())).or_default();
            *total = (total.0.saturating_add(amount), total.1.saturating_add(fraction));
        }
        stored.lines.push(Booking { attempt: id, key, unit: unit_name, amount, fraction, drawn });
    }
    let touched: Vec<_> = touched.into_iter().map(|((id, name), s)| (id, name, s)).collect();
    store::spend::set_of_attempts(unit.tx(), &touched).await?;
    Ok(stored)
}

/// Stored lines, and the rises of the totals above.
#[derive(Debug, Default)]
pub(in crate::app) struct Stored {
    pub lines: Vec<Booking>,
    pub rises: Rises,
    /// Whether the workspace has quota windows.
    pub metered: bool,
}

/// Rises of totals: whole units, and millionths beyond them.
pub(in crate::app) type Rises = BTreeMap<(SpendNode, Uuid, String), (i64, i64)>;

/// Raises the totals of the nodes above.
///
/// # Errors
/// `invalid` if a total would pass the most that is counted; the unit must be undone then.
pub(in crate::app) async fn raise_totals(unit: &mut Unit, rises: Rises) -> Result<()> {
    if rises.is_empty() {
        return Ok(());
    }
    let rises: Vec<Rise> = rises
        .into_iter()
        .map(|((node, id, unit), (amount, fraction))| Rise { node, id, unit, amount, fraction })
        .collect();
    let slot = i16::from(unit.entropy().bytes::<1>()[0]) % most::PARTS as i16;
    let (small, mut large): (Vec<_>, Vec<_>) =
        rises.into_iter().partition(|rise| rise.amount <= most::PART_MAX);
    let raised = store::spend::raise_totals(unit.tx(), slot, &small).await?;
    if raised.len() < small.len() {
        let raised: HashSet<(Uuid, String)> = raised.into_iter().collect();
        large.extend(
            small.into_iter().filter(|rise| !raised.contains(&(rise.id, rise.unit.clone()))),
        );
    }
    if large.is_empty() { Ok(()) } else { level_totals(unit, large).await }
}

/// Raises totals with a part that is full, and makes their parts equal.
async fn level_totals(unit: &mut Unit, rises: Vec<Rise>) -> Result<()> {
    let mut parts: HashMap<(Uuid, String), [i64; most::PARTS]> = HashMap::new();
    for part in store::spend::lock_parts(unit.tx(), &rises).await? {
        let of_total = parts.entry((part.node_id, part.unit)).or_default();
        let index = usize::try_from(part.slot).ok();
        if let Some(amount) = index.and_then(|index| of_total.get_mut(index)) {
            *amount = part.amount;
        }
    }
    let mut changes = Vec::new();
    for rise in rises {
        let before = parts.get(&(rise.id, rise.unit.clone())).copied().unwrap_or_default();
        let after = most::level(&before, rise.amount).map_err(|fits| {
            most::beyond(format_args!("{} {}", rise.node, rise.id), &rise.unit, fits)
        })?;
        for ((before, after), slot) in before.into_iter().zip(after).zip(0i16..) {
            let fraction = if slot == 0 { rise.fraction } else { 0 };
            changes.push((slot, Rise { amount: after - before, fraction, ..rise.clone() }));
        }
    }
    Ok(store::spend::change_parts(unit.tx(), &changes).await?)
}
