//! Pricing: computes money from the tokens of reported model calls, in the transaction that stores
//! them.
//!
//! A call costs the price valid when it was made, or the first one since if there was none; the
//! workspace's own prices come before built-in ones. For a model without a price the nearest budget
//! with a limit of money decides. Its tokens are always counted, also as `unpriced_tokens`. If the
//! budget refuses, the task waits for the price ([`super::waits`]).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::model_price::{ModelPrice, view};
use crate::{
    app::{Result, Unit, budgets::settle::Booking},
    domain::{
        budget::{OnExhausted, UnknownModel},
        check::Checks,
        ids::AttemptId,
        journal::{Kind, NewRow},
        price::{self, BookPrice, Cost, MoneySource, Price, Tokens, Usage},
        refusal::Refusal,
        spend::{self, SpendEntry, SpendReport, amount::states_money},
        task::AttemptFacts,
    },
    store::{
        self, Tx,
        spend::{
            prices::{ModelCall, PriceRow},
            waits::NewWait,
        },
    },
};

/// Calls in a batch of reports, with their costs.
#[derive(Debug, Default)]
pub(in crate::app) struct Pricing {
    calls: HashMap<(AttemptId, String), Priced>,
}

#[derive(Debug)]
struct Priced {
    call: ModelCall,
    cost: Option<Cost>,
    unknown: Unknown,
}

/// What a model without a price means for the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    /// Nothing: it has a price, or the budget counts it otherwise.
    Settled,
    /// People are told; the budget only notifies.
    Told,
    /// People are told, and the task waits: the budget refuses.
    Refused,
}

/// Prices the usage in reports.
pub(in crate::app) async fn price(
    unit: &mut Unit,
    reports: &[&(&AttemptFacts, &SpendReport)],
) -> Result<Pricing> {
    let now = unit.now();
    let mut calls = BTreeMap::new();
    for (attempt, report) in reports {
        for entry in &report.entries {
            let Some(usage) = &entry.usage else { continue };
            let Some(tokens) = usage.read(&mut Checks::new(), "") else { continue };
            let key = (attempt.attempt_id, entry.key.clone());
            // The first entry under a key counts, as with amounts.
            calls.entry(key).or_insert((usage, tokens, states_money(&entry.amounts)));
        }
    }
    if calls.is_empty() {
        return Ok(Pricing::default());
    }
    let names: BTreeSet<String> =
        calls.values().flat_map(|(usage, ..)| price::names(&usage.model)).collect();
    let names: Vec<String> = names.into_iter().collect();
    let book = book(unit.tx(), &names).await?;
    let mut pricing = Pricing::default();
    let mut unknown = BTreeSet::new();
    for ((attempt, key), (usage, tokens, reported)) in calls {
        let at = usage.at.unwrap_or(now);
        let price = charged(&book, usage.provider.as_deref(), &usage.model, at, now);
        let cost = price.map(|price| price::cost(price, &tokens, at));
        let money = match (reported, cost) {
            (true, _) => MoneySource::Reported,
            (false, Some(_)) => MoneySource::Book,
            (false, None) => {
                unknown.insert(attempt);
                MoneySource::None
            }
        };
        // Reported money takes precedence; nothing is unpriced then.
        let cost = if reported { Some(Cost::default()) } else { cost };
        let call = call(attempt, &key, usage, at, tokens, money);
        pricing.calls.insert((attempt, key), Priced { call, cost, unknown: Unknown::Settled });
    }
    if !unknown.is_empty() {
        pricing.assume(unit, &unknown.into_iter().collect::<Vec<_>>()).await?;
    }
    Ok(pricing)
}

fn call(
    attempt_id: AttemptId,
    key: &str,
    usage: &Usage,
    called_at: DateTime<Utc>,
    tokens: Tokens,
    money: MoneySource,
) -> ModelCall {
    ModelCall {
        attempt_id,
        key: key.to_owned(),
        provider: usage.provider.clone(),
        model: usage.model.clone(),
        called_at,
        tokens,
        money,
    }
}

/// The workspace's own prices of models with these names; built-in ones need no query.
pub(in crate::app) async fn book(tx: &mut Tx, names: &[String]) -> Result<Book> {
    let own = store::spend::prices::named(tx, names).await?;
    Ok(Book { own: rows(own) })
}

/// All prices of the workspace's own.
pub(in crate::app) async fn whole_book(tx: &mut Tx) -> Result<Book> {
    let own = store::spend::prices::all(tx).await?;
    Ok(Book { own: rows(own) })
}

/// The workspace's own prices, loaded for a lookup.
#[derive(Debug, Default)]
pub(in crate::app) struct Book {
    own: Vec<BookPrice>,
}

impl Book {
    /// The workspace's own prices.
    pub(in crate::app) fn own(&self) -> &[BookPrice] {
        &self.own
    }
}

fn rows(rows: Vec<PriceRow>) -> Vec<BookPrice> {
    let rows = rows.into_iter().zip(1..).map(|(row, number)| {
        let PriceRow { provider, model, effective_from, price, source, .. } = row;
        let (price, source) = (price.0, Some(source));
        BookPrice { number, provider, model, effective_from, price, source }
    });
    rows.collect()
}

/// The price that a call at `at` is charged at.
pub(in crate::app) fn charged<'a>(
    book: &'a Book,
    provider: Option<&str>,
    model: &str,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<&'a Price> {
    let books = [&book.own, price::builtin()];
    price::charged(&books, provider, model, at, now).map(|row| &row.price)
}

/// The price in effect: the workspace's own, otherwise the built-in one.
pub(in crate::app) fn find_named<'a>(
    book: &'a Book,
    provider: Option<&str>,
    model: &str,
    at: DateTime<Utc>,
) -> Option<&'a Price> {
    price::choose(&[&book.own, price::builtin()], provider, model, at).map(|row| &row.price)
}

/// The providers whose prices for a call without a stated provider differ, so that none is in effect.
pub(super) fn disagreeing(
    book: &Book,
    provider: Option<&str>,
    model: &str,
    at: DateTime<Utc>,
) -> Vec<String> {
    price::disagreeing(&[&book.own, price::builtin()], provider, model, at)
}

/// Those of the attempts whose budget refuses models without a price.
pub(super) async fn refusing(tx: &mut Tx, attempts: &[AttemptId]) -> Result<HashSet<AttemptId>> {
    let policies = store::spend::prices::policies(tx, attempts).await?;
    let refusing = policies.into_iter().filter(|(_, policy, on_exhausted)| {
        *policy == UnknownModel::Refuse && *on_exhausted != OnExhausted::Notify
    });
    Ok(refusing.map(|(attempt, ..)| attempt).collect())
}

impl Pricing {
    /// Applies the budgets' setting for models without a price.
    async fn assume(&mut self, unit: &mut Unit, attempts: &[AttemptId]) -> Result<()> {
        let policies = store::spend::prices::policies(unit.tx(), attempts).await?;
        let policies: HashMap<AttemptId, (UnknownModel, OnExhausted)> =
            policies.into_iter().map(|(attempt, policy, then)| (attempt, (policy, then))).collect();
        let assumes = policies.values().any(|(policy, _)| *policy == UnknownModel::AssumeMax);
        let all = if assumes {
            let mut all = rows(store::spend::prices::all(unit.tx()).await?);
            all.extend_from_slice(price::builtin());
            all
        } else {
            Vec::new()
        };
        for priced in self.calls.values_mut().filter(|p| p.call.money == MoneySource::None) {
            match policies.get(&priced.call.attempt_id) {
                Some((UnknownModel::AssumeMax, _)) => {
                    let prices = all.iter().map(|row| &row.price);
                    priced.cost = price::dearest(prices, &priced.call.tokens);
                    priced.call.money = MoneySource::Assumed;
                }
                Some((UnknownModel::Refuse, OnExhausted::Notify)) => priced.unknown = Unknown::Told,
                Some((UnknownModel::Refuse, _)) => priced.unknown = Unknown::Refused,
                Some((UnknownModel::Zero, _)) | None => {}
            }
        }
        Ok(())
    }

    /// The spend lines of an entry's usage.
    pub(in crate::app) fn lines(
        &self,
        attempt: AttemptId,
        entry: &SpendEntry,
    ) -> Vec<(&'static str, i64, i32)> {
        if entry.usage.is_none() {
            return Vec::new();
        }
        let priced = self.calls.get(&(attempt, entry.key.clone()));
        priced.map(|p| spend::lines_of(&p.call.tokens, p.cost)).unwrap_or_default()
    }

    /// Stores the calls of new entries, and the waits of their tasks for prices.
    pub(in crate::app) async fn note(
        mut self,
        unit: &mut Unit,
        attempts: &BTreeMap<AttemptId, &AttemptFacts>,
        stored: &[Booking],
    ) -> Result<()> {
        let (mut calls, mut waits) = (Vec::new(), Vec::new());
        for line in stored.iter().filter(|line| line.unit == "input_tokens") {
            let Some(priced) = self.calls.remove(&(line.attempt, line.key.clone())) else {
                continue;
            };
            let ModelCall { provider, model, .. } = &priced.call;
            let attempt = attempts.get(&line.attempt);
            if let Some(attempt) = attempt.filter(|_| priced.unknown != Unknown::Settled) {
                let data = json!({"model": model, "provider": provider});
                unit.record(NewRow::new(Kind::PriceUnknown).of_attempt(attempt).data(data));
                if priced.unknown == Unknown::Refused {
                    waits.push(NewWait {
                        task_id: attempt.task_id,
                        attempt_id: attempt.attempt_id,
                        provider: provider.clone(),
                        model: model.clone(),
                    });
                }
            }
            calls.push(priced.call);
        }
        if calls.is_empty() {
            return Ok(());
        }
        store::spend::prices::insert_calls(unit.tx(), &calls).await?;
        if waits.is_empty() {
            return Ok(());
        }
        Ok(store::spend::waits::note(unit.tx(), &waits).await?)
    }
}

/// The valid price, as the API shows it, and what other books say instead.
///
/// # Errors
/// `not_found` without one.
pub(in crate::app) fn holding(
    own: Vec<PriceRow>,
    provider: Option<&str>,
    model: &str,
    at: DateTime<Utc>,
) -> Result<ModelPrice> {
    let book = rows(own.clone());
    let found = price::choose(&[&book, price::builtin()], provider, model, at);
    let found = found.ok_or_else(|| Refusal::not_found("price"))?;
    // Built-in prices have negative numbers.
    let index = usize::try_from(found.number - 1).ok();
    let disagreements = price::disagreements(&[&book, price::builtin()], found, at);
    if let Some(row) = index.and_then(|index| own.into_iter().nth(index)) {
        return Ok(ModelPrice { disagreements, ..view(row) });
    }
    Ok(ModelPrice {
        id: None,
        provider: found.provider.clone(),
        model: found.model.clone(),
        effective_from: found.effective_from,
        price: found.price.clone(),
        source: None,
        note: None,
        created_by: None,
        created_at: None,
        disagreements,
    })
}
