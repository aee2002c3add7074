//! Corrections of spend by operators.
//!
//! An agent may report spend that never was: a wrong unit, another agent's bill, an invented amount.
//! Stored entries stay. A correction is a new entry with its reason and a key that starts with
//! `correction:`; it raises or lowers the totals above and settles with the limits above, in the
//! periods of the attempt, as any other entry does. No attempt's spend falls below zero, so no total
//! does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::charge::{raise_totals, store_entries};
use crate::{
    app::{
        App, Result, Unit,
        budgets::settle,
        caller::{Caller as _, OperatorCaller},
        unit::{
            idempotency::{Outcome, Request},
            locks::{find, locked},
        },
    },
    domain::{
        check::{Checks, pointer},
        ids::{AttemptId, CorrectionId},
        journal::{Kind, NewRow},
        refusal::{FieldError, Refusal},
        settings,
        spend::{self, Amounts, CORRECTION_PREFIX, Charge, UnitSpend, most},
        task::AttemptFacts,
    },
    store::{self, Hold, spend::NewEntry},
};

/// Corrections of the spend of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendCorrectionRequest {
    /// What to add or take back; at least one entry, at most 500. They are stored all or none.
    pub entries: Vec<SpendCorrectionEntry>,
}

/// One correction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendCorrectionEntry {
    /// The unit. `wall_ms` and `attempts` are measured by the service and cannot be corrected.
    #[schema(example = "usd_micros", min_length = 1, max_length = 40)]
    pub unit: String,
    /// The amount to add, in whole units; negative to take back. Not 0.
    #[schema(example = -125_000)]
    pub amount: i64,
    /// Why, for people: 1 to 1,000 characters.
    #[schema(
        example = "the model call was billed to another team",
        min_length = 1,
        max_length = 1000
    )]
    pub reason: String,
}

/// Stored corrections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendCorrection {
    /// Id of the correction. In the list of the attempt's spend its entries have the keys
    /// `correction:{id}:1`, `correction:{id}:2` and so on, in the order of the request.
    pub id: CorrectionId,
    /// Id of the attempt.
    pub attempt_id: AttemptId,
    /// Total spend charged to the attempt, by unit, corrections included.
    #[schema(example = json!({"usd_micros": 1250, "output_tokens": 5200}))]
    pub attempt_spend: Amounts,
}

impl App {
    /// Corrects the spend of an attempt.
    ///
    /// # Errors
    /// `not_found`; `invalid`, also if an entry takes back more than there is, or would take a total
    /// past the most that is counted.
    pub async fn correct_spend(
        &self,
        caller: &OperatorCaller,
        attempt: AttemptId,
        request: &SpendCorrectionRequest,
        idempotency: Option<&Request>,
    ) -> Result<Outcome<SpendCorrection>> {
        check(request)?;
        let principal = caller.principal();
        self.create(principal, idempotency, Hold::Share, async |unit| {
            let attempts = locked(unit, &[attempt]).await?;
            correct(unit, find(&attempts, attempt)?, request).await
        })
        .await
    }
}

fn check(request: &SpendCorrectionRequest) -> Result<()> {
    let mut checks = Checks::new();
    let entries = &request.entries;
    checks.ensure(!entries.is_empty(), "/entries", "must have at least one entry");
    checks.count("/entries", entries.len(), settings::LIST_ITEMS);
    for (index, entry) in entries.iter().enumerate().take(settings::LIST_ITEMS) {
        let at = pointer("/entries", index);
        let unit = pointer(&at, "unit");
        spend::check_unit(&mut checks, &unit, &entry.unit);
        let measured = spend::is_measured(&entry.unit);
        checks.ensure(!measured, &unit, "is measured by the service; nobody reports it");
        let amount = pointer(&at, "amount");
        checks.ensure(entry.amount != 0, &amount, "must not be 0");
        checks.range(&amount, entry.amount, -most::TOTAL_MAX..=most::TOTAL_MAX);
        let reason = pointer(&at, "reason");
        checks.ensure(!entry.reason.trim().is_empty(), &reason, "must not be empty");
        checks.chars(&reason, &entry.reason, 1_000);
    }
    Ok(checks.finish()?)
}

async fn correct(
    unit: &mut Unit,
    attempt: &AttemptFacts,
    request: &SpendCorrectionRequest,
) -> Result<SpendCorrection> {
    let id = attempt.attempt_id;
    let stored = store::spend::of_attempts(unit.tx(), &[id]).await?;
    let mut spent: BTreeMap<(AttemptId, String), UnitSpend> =
        stored.into_iter().map(|(id, unit, spend)| ((id, unit), spend)).collect();
    refuse_too_much(id, &spent, request)?;
    let correction: CorrectionId = unit.id();
    let entries = entries(id, correction, request);
    let attempts = BTreeMap::from([(id, attempt)]);
    let stored = store_entries(unit, &attempts, entries, &mut spent).await?;
    raise_totals(unit, stored.rises).await?;
    settle::settle(unit, &stored.lines, &[]).await?;
    let attempt_spend: Amounts =
        spent.into_iter().map(|((_, unit), spend)| (unit, spend.amount())).collect();
    let shown: Vec<_> = request
        .entries
        .iter()
        .map(|entry| json!({"unit": entry.unit, "amount": entry.amount, "reason": entry.reason}))
        .collect();
    let data = json!({
        "correction_id": correction, "entries": shown, "attempt_spend": attempt_spend,
    });
    unit.record(NewRow::new(Kind::SpendCorrected).of_attempt(attempt).data(data));
    Ok(SpendCorrection { id: correction, attempt_id: id, attempt_spend })
}

/// Refuses entries that take back more than the attempt has, in the order of the request.
fn refuse_too_much(
    id: AttemptId,
    spent: &BTreeMap<(AttemptId, String), UnitSpend>,
    request: &SpendCorrectionRequest,
) -> std::result::Result<(), Refusal> {
    let mut left = spent.clone();
    let mut errors = Vec::new();
    for (index, entry) in request.entries.iter().enumerate() {
        let spend = left.entry((id, entry.unit.clone())).or_default();
        if let Err(most) = most::correct(*spend, entry.amount) {
            let at = pointer(&pointer("/entries", index), "amount");
            let detail = format!(
                "takes back more than the attempt has: at most {most} of `{}` can be taken back",
                entry.unit
            );
            errors.push(FieldError::new(at, detail));
        }
        spend.entries = spend.entries.saturating_add(entry.amount);
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::invalid(errors)) }
}

fn entries(
    id: AttemptId,
    correction: CorrectionId,
    request: &SpendCorrectionRequest,
) -> Vec<NewEntry> {
    let entries = request.entries.iter().zip(1u32..).map(|(entry, number)| NewEntry {
        attempt_id: id,
        charge: Charge {
            key: format!("{CORRECTION_PREFIX}{correction}:{number}"),
            unit: entry.unit.clone(),
            amount: entry.amount,
            fraction: 0,
            provider: None,
            model: None,
            note: Some(entry.reason.clone()),
        },
        late: true,
    });
    entries.collect()
}
