//! Re-rating: recomputing spend with the present price book.
//!
//! Stored spend is not changed. The difference is a new entry with a key that starts with
//! `rerate:`, settled in the same periods as the call. A repeated run finds no difference. Calls
//! are processed in chunks, each in a transaction of its own. A difference that would take the spend
//! of its attempt below zero, because an operator corrected that spend before, is left out.
//!
//! Calls of tasks that waited for a price are rated in the transaction that ends the wait ([`rate`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    charge::{raise_totals, store_entries},
    pricing,
};
use crate::{
    app::{App, Result, Unit, budgets::settle, caller::Actor, unit::locks::locked},
    domain::{
        ids::{AttemptId, WorkspaceId},
        journal::{Kind, NewRow},
        price,
        spend::{Charge, FRACTIONS, MONEY, RERATE_PREFIX, UNPRICED, UnitSpend, most},
        task::AttemptFacts,
    },
    store::{
        self,
        spend::{
            NewEntry,
            prices::{CallFilter, ChargedCall},
        },
    },
};

/// Calls per transaction.
const CHUNK: i64 = 500;
/// More than clocks of agents run ahead.
const DAY: TimeDelta = TimeDelta::days(1);

/// Position in the order of calls.
type Place = (AttemptId, String);

impl App {
    pub(in crate::app) async fn rerate_all(
        &self,
        workspace: WorkspaceId,
        actor: &Actor,
        request: &RerateRequest,
    ) -> Result<RerateAnswer> {
        let mut answer = RerateAnswer::default();
        let mut after: Place = (AttemptId(uuid::Uuid::nil()), String::new());
        loop {
            let mut unit = self.begin(workspace, actor.clone()).await?;
            let found = calls(&mut unit, request, &after).await?;
            // Read again under the locks of the attempts, so that two concurrent runs do not
            // correct the same call twice.
            let held = hold(&mut unit, &found).await?;
            let calls = calls(&mut unit, request, &after).await?;
            let last =
                calls.last().map(|charged| (charged.call.attempt_id, charged.call.key.clone()));
            let corrections = corrections(&mut unit, &calls).await?;
            let corrections = above_zero(&mut unit, corrections).await?;
            answer.note(calls.len(), &corrections);
            if request.dry_run {
                self.undo(unit).await?;
            } else {
                write(&mut unit, &held, corrections, NewRow::new(Kind::SpendRerated)).await?;
                self.commit(unit).await?;
            }
            match last {
                Some(place) if calls.len() as i64 == CHUNK => after = place,
                Some(_) | None => return Ok(answer.finish()),
            }
        }
    }
}

async fn calls(
    unit: &mut Unit,
    request: &RerateRequest,
    after: &Place,
) -> Result<Vec<ChargedCall>> {
    let names = request.model.as_ref().map(|model| vec![model.to_lowercase()]);
    let (from, to) = (request.from, request.to);
    let filter = CallFilter { models: names.as_deref(), from, to, last: None };
    let after = (after.0, after.1.as_str());
    Ok(store::spend::prices::charged_calls(unit.tx(), filter, after, CHUNK).await?)
}

/// Rates what locked attempts of one goal used of models. `models`: names as reported. Writes once, so
/// that the windows of budgets are locked in their order.
pub(super) async fn rate(
    unit: &mut Unit,
    held: &HashMap<AttemptId, AttemptFacts>,
    models: &BTreeSet<&str>,
) -> Result<()> {
    let folded = |model: &&str| [model.to_lowercase(), model.to_ascii_lowercase()];
    let models: Vec<String> = models.iter().flat_map(folded).collect();
    // No call lies in the future.
    let (from, to) = (DateTime::UNIX_EPOCH, unit.now() + DAY);
    let mut found = Vec::new();
    for attempt in held.keys() {
        let filter = CallFilter { models: Some(&models), from, to, last: Some(*attempt) };
        let mut after = String::new();
        loop {
            let calls = store::spend::prices::charged_calls(
                unit.tx(),
                filter,
                (*attempt, after.as_str()),
                CHUNK,
            );
            let calls = calls.await?;
            found.extend(corrections(unit, &calls).await?);
            let whole = calls.len() as i64 == CHUNK;
            match calls.into_iter().next_back() {
                Some(last) if whole => after = last.call.key,
                Some(_) | None => break,
            }
        }
    }
    let kept = above_zero(unit, found).await?;
    let goal = held.values().next().map(|attempt| attempt.goal_id);
    write(unit, held, kept, NewRow::new(Kind::SpendRerated).goal(goal)).await
}

/// Locks the attempts of calls.
async fn hold(unit: &mut Unit, calls: &[ChargedCall]) -> Result<HashMap<AttemptId, AttemptFacts>> {
    let ids: BTreeSet<AttemptId> = calls.iter().map(|charged| charged.call.attempt_id).collect();
    locked(unit, &ids.into_iter().collect::<Vec<_>>()).await
}

/// The difference between the charge for a call and its present cost.
#[derive(Debug, Clone)]
pub(in crate::app) struct Correction {
    attempt: AttemptId,
    /// Key of the call's own entry.
    call: String,
    /// Key of the correction.
    key: String,
    provider: Option<String>,
    model: String,
    /// In pico-dollars.
    pub picos: i128,
    unpriced: i64,
}

async fn corrections(unit: &mut Unit, calls: &[ChargedCall]) -> Result<Vec<Correction>> {
    let names: BTreeSet<String> =
        calls.iter().flat_map(|charged| price::names(&charged.call.model)).collect();
    let names: Vec<String> = names.into_iter().collect();
    let book = pricing::book(unit.tx(), &names).await?;
    let now = unit.now();
    let found = calls.iter().filter_map(|charged| {
        let ChargedCall { call, micros, fraction, unpriced, corrections } = charged;
        let provider = call.provider.as_deref();
        // A call that still has no price keeps its charge.
        let price = pricing::charged(&book, provider, &call.model, call.called_at, now)?;
        let was = i128::from(*micros) * i128::from(FRACTIONS) + i128::from(*fraction);
        let picos = price::cost(price, &call.tokens, call.called_at).picos() - was;
        let correction = Correction {
            attempt: call.attempt_id,
            call: call.key.clone(),
            key: format!("{RERATE_PREFIX}{}:{}", corrections + 1, call.key),
            provider: call.provider.clone(),
            model: call.model.clone(),
            picos,
            unpriced: *unpriced,
        };
        (picos != 0 || *unpriced != 0).then_some(correction)
    });
    Ok(found.collect())
}

/// The corrections that leave the spend of their attempts at zero or above. An operator may have taken
/// back before what the price book takes back now.
async fn above_zero(unit: &mut Unit, corrections: Vec<Correction>) -> Result<Vec<Correction>> {
    let ids: BTreeSet<AttemptId> = corrections.iter().map(|c| c.attempt).collect();
    let stored = store::spend::of_attempts(unit.tx(), &Vec::from_iter(ids)).await?;
    let left = stored.into_iter().map(|(id, unit, spend)| ((id, unit), most::millionths(spend)));
    let mut left: HashMap<(AttemptId, String), i128> = left.collect();
    let mut kept = Vec::with_capacity(corrections.len());
    for correction in corrections {
        let unpriced = i128::from(-correction.unpriced) * i128::from(FRACTIONS);
        let changes = [(MONEY, correction.picos), (UNPRICED, unpriced)];
        let changes = changes.map(|(unit, change)| {
            let key = (correction.attempt, unit.to_owned());
            let after = left.get(&key).copied().unwrap_or_default() + change;
            (key, change, after)
        });
        if changes.iter().all(|(_, change, after)| *change >= 0 || *after >= 0) {
            left.extend(changes.map(|(key, _, after)| (key, after)));
            kept.push(correction);
        }
    }
    Ok(kept)
}

/// Stores the corrections and settles them with every limit above. `told`: what the journal says.
async fn write(
    unit: &mut Unit,
    held: &HashMap<AttemptId, AttemptFacts>,
    corrections: Vec<Correction>,
    told: NewRow,
) -> Result<()> {
    if corrections.is_empty() {
        return Ok(());
    }
    // Skips calls stored while the attempts were being locked: they were priced with the present
    // book.
    let corrections: Vec<Correction> =
        corrections.into_iter().filter(|c| held.contains_key(&c.attempt)).collect();
    let ids: Vec<AttemptId> = held.keys().copied().collect();
    let attempts: BTreeMap<AttemptId, &AttemptFacts> =
        held.iter().map(|(id, attempt)| (*id, attempt)).collect();
    let stored = store::spend::of_attempts(unit.tx(), &ids).await?;
    let mut spent: BTreeMap<(AttemptId, String), UnitSpend> =
        stored.into_iter().map(|(id, unit, spend)| ((id, unit), spend)).collect();
    let count = corrections.len();
    let corrected: Vec<(AttemptId, String)> =
        corrections.iter().map(|c| (c.attempt, c.call.clone())).collect();
    store::spend::prices::count_corrections(unit.tx(), &corrected).await?;
    let entries = corrections.into_iter().flat_map(entries).collect();
    let stored = store_entries(unit, &attempts, entries, &mut spent).await?;
    raise_totals(unit, stored.rises).await?;
    settle::settle(unit, &stored.lines, &[]).await?;
    unit.record(told.data(json!({"calls": count})));
    Ok(())
}

fn entries(correction: Correction) -> Vec<NewEntry> {
    let Correction { attempt, call: _, key, provider, model, picos, unpriced } = correction;
    let whole = picos.div_euclid(i128::from(FRACTIONS));
    let rest = picos.rem_euclid(i128::from(FRACTIONS));
    let money = i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX });
    let line = |unit: &str, amount: i64, fraction: i32| NewEntry {
        attempt_id: attempt,
        charge: Charge {
            key: key.clone(),
            unit: unit.to_owned(),
            amount,
            fraction,
            provider: provider.clone(),
            model: Some(model.clone()),
            note: Some("computed anew from the price book".to_owned()),
        },
        late: true,
    };
    let mut lines = Vec::new();
    if picos != 0 {
        lines.push(line(MONEY, money, i32::try_from(rest).unwrap_or_default()));
    }
    if unpriced != 0 {
        lines.push(line(UNPRICED, -unpriced, 0));
    }
    lines
}

/// Selection of calls to re-rate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RerateRequest {
    /// Only calls reported with this model name; left out: all.
    #[serde(default)]
    #[schema(example = "gpt-4o", max_length = 200)]
    pub model: Option<String>,
    /// Only calls made at or after this instant.
    pub from: DateTime<Utc>,
    /// Only calls made before this instant.
    pub to: DateTime<Utc>,
    /// Only reports what would change, and changes nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Outcome of a re-rating.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RerateAnswer {
    /// Number of calls examined; calls whose money was reported by the agent are left out.
    pub calls: usize,
    /// Number of calls with a changed cost; each got a correction entry.
    pub corrected: usize,
    /// Total change in micro-dollars, rounded down; negative if costs fell.
    pub usd_micros: i64,
    #[serde(skip)]
    picos: i128,
}

impl RerateAnswer {
    pub(in crate::app) fn note(&mut self, calls: usize, corrections: &[Correction]) {
        self.calls += calls;
        self.corrected += corrections.len();
        self.picos += corrections.iter().map(|correction| correction.picos).sum::<i128>();
    }

    pub(in crate::app) fn finish(self) -> Self {
        let micros = self.picos.div_euclid(i128::from(price::rate::PICOS_PER_MICRO));
        Self { usd_micros: i64::try_from(micros).unwrap_or(i64::MAX), ..self }
    }
}
