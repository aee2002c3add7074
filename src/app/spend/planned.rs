//! Spend of models that plan: charged to their goal, whether the answer became a plan or not.
//!
//! The answer is priced as a call of an attempt is: by the price book at the time of the answer. A model without a
//! price counts its tokens as `unpriced_tokens`; under a budget that refuses such models it is not asked.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    charge::{Rises, raise_totals},
    pricing,
};
use crate::{
    app::{Result, Unit, budgets::planned},
    domain::{
        budget::{OnExhausted, UnknownModel},
        ids::GoalId,
        journal::{Kind, NewRow},
        price::{self, Cost, MoneySource, Usage},
        refusal::Refusal,
        spend::{self, Amounts, amount::Exact},
        states::SpendNode,
    },
    store::{self, Tx, spend::planned::NewAnswer},
};

/// Why a model may not be asked for a goal, for people; `None`: it may.
pub(in crate::app) async fn hindrance(
    tx: &mut Tx,
    goal: GoalId,
    provider: Option<&str>,
    model: &str,
) -> Result<Option<String>> {
    if let Some(exhausted) = planned::left(tx, goal).await?.exhausted {
        return Ok(Some(exhausted));
    }
    let book = pricing::book(tx, &price::names(model)).await?;
    let now = tx.now;
    if pricing::charged(&book, provider, model, now, now).is_some() {
        return Ok(None);
    }
    let policy = store::spend::planned::policy(tx, goal).await?;
    let refused = policy.is_some_and(|(unknown, on_exhausted)| {
        unknown == UnknownModel::Refuse && on_exhausted != OnExhausted::Notify
    });
    Ok(refused
        .then(|| format!("the model {model} has no price, and the budget refuses such models")))
}

/// Charges an answer to its goal. The unit holds no lock on spend yet. Returns what was charged, by unit.
///
/// # Errors
/// `not_found`; `invalid` if a total would pass the most that is counted.
pub(in crate::app) async fn charge(
    unit: &mut Unit,
    goal: GoalId,
    usage: &Usage,
) -> Result<Amounts> {
    let facts = store::goals::lock(unit.tx(), &[goal]).await?;
    if facts.is_empty() {
        return Err(Refusal::not_found("goal").into());
    }
    let project = store::goals::project_of(unit.tx(), goal).await?.flatten();
    let (cost, money) = cost(unit, goal, usage).await?;
    let tokens = usage.tokens()?;
    let lines = spend::lines_of(&tokens, cost).into_iter();
    let lines: Vec<(String, Exact)> = lines
        .map(|(name, amount, fraction)| (name.to_owned(), Exact { amount, fraction }))
        .collect();
    let above = !store::spend::planned::is_allocated(unit.tx(), goal).await?;
    let answer = NewAnswer {
        call_id: unit.id(),
        goal_id: goal,
        provider: usage.provider.clone(),
        model: usage.model.clone(),
        money,
        above,
        lines,
    };
    store::spend::planned::insert(unit.tx(), &answer).await?;
    let mut rises = Rises::new();
    for (name, exact) in &answer.lines {
        let rise = (exact.amount, i64::from(exact.fraction));
        rises.insert((SpendNode::Goal, goal.0, name.clone()), rise);
        if let Some(project) = project {
            rises.insert((SpendNode::Project, project.0, name.clone()), rise);
        }
    }
    raise_totals(unit, rises).await?;
    planned::settle(unit, goal, project, above, &answer.lines).await?;
    let charged: BTreeMap<String, i64> = answer
        .lines
        .into_iter()
        .map(|(name, exact)| (name, exact.amount.saturating_add(i64::from(exact.fraction > 0))))
        .collect();
    Ok(charged)
}

async fn cost(unit: &mut Unit, goal: GoalId, usage: &Usage) -> Result<(Option<Cost>, MoneySource)> {
    let now = unit.now();
    let (provider, model) = (usage.provider.as_deref(), usage.model.as_str());
    let tokens = usage.tokens()?;
    let book = pricing::book(unit.tx(), &price::names(model)).await?;
    if let Some(price) = pricing::charged(&book, provider, model, now, now) {
        return Ok((Some(price::cost(price, &tokens, now)), MoneySource::Book));
    }
    let policy = store::spend::planned::policy(unit.tx(), goal).await?;
    match policy {
        Some((UnknownModel::AssumeMax, _)) => {
            let book = pricing::whole_book(unit.tx()).await?;
            let prices = book.own().iter().chain(price::builtin()).map(|row| &row.price);
            Ok((price::dearest(prices, &tokens), MoneySource::Assumed))
        }
        Some((UnknownModel::Refuse, _)) => {
            let data = json!({"model": model, "provider": provider});
            unit.record(NewRow::new(Kind::PriceUnknown).goal(goal).data(data));
            Ok((None, MoneySource::None))
        }
        Some((UnknownModel::Zero, _)) | None => Ok((None, MoneySource::None)),
    }
}
