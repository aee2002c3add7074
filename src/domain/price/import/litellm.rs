//! LiteLLM's `model_prices_and_context_window.json`.
//!
//! The file maps model names to entries with rates in dollars per token. Its conventions and their
//! treatment:
//! - Names often start with the provider (`azure/gpt-4o`); the prefix is removed.
//! - `..._above_200k_tokens` are tiers by prompt size, and so is `tiered_pricing`, a list of rates
//!   with a `range`. A tier inherits omitted rates.
//! - `..._batches`, `..._flex`, `..._priority` and similar keys price other service levels. Agents
//!   do not report the level, so these are ignored.
//! - A cache-write rate of zero beside a priced input means that writes have no charge of their
//!   own; such tokens are charged as input.
//! - `off_peak_pricing` has rates and the windows in which they apply, `hours_utc` on `weekdays`. A
//!   rate that it omits is the ordinary one. Windows that cannot be read are noted, and the ordinary
//!   rates apply.
//! - Image and audio models are skipped: they charge for more than text tokens.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde_json::{Map, Value};

use super::{
    Collector, Imported, ImportedPrice, Rate, Skip, SkipReason, assemble, refuse_charged_otherwise,
};
use crate::domain::{
    price::{
        decimal::{Decimal, PER_ONE},
        hours::{HourWindow, time_of_day},
        provider::canonical,
        rate::{Hours, RATE_MAX, REQUEST_MAX, StatedRates, TierRates},
    },
    settings,
};

/// Most windows of quiet hours kept.
const WINDOWS: usize = 50;

const INPUT: &str = "input_cost_per_token";
const OUTPUT: &str = "output_cost_per_token";
const READ: &str = "cache_read_input_token_cost";
const WRITE: &str = "cache_creation_input_token_cost";
const WRITE_1H: &str = "cache_creation_input_token_cost_above_1hr";
const REASONING: &str = "output_cost_per_reasoning_token";

/// Reads the file.
#[must_use]
pub fn read(file: &Value) -> Imported {
    let mut collector = Collector::default();
    let Value::Object(entries) = file else {
        collector.skip("", SkipReason::Malformed, "the file must be an object of models");
        return collector.finish();
    };
    let mut names: Vec<_> = entries.iter().collect();
    // Sorted, so that the choice between duplicates does not depend on map order.
    names.sort_unstable_by_key(|(name, _)| *name);
    for (name, entry) in names {
        collector.take(name, price(name, entry));
    }
    collector.finish()
}

fn price(name: &str, entry: &Value) -> Result<ImportedPrice, Skip> {
    if name == "sample_spec" {
        return Err((SkipReason::Sample, String::new()));
    }
    let Value::Object(entry) = entry else {
        return Err((SkipReason::Malformed, "must be an object".to_owned()));
    };
    let Some(provider) = text(entry, "litellm_provider") else {
        return Err((SkipReason::NoProvider, String::new()));
    };
    let provider = canonical(provider);
    let mode = text(entry, "mode").unwrap_or("chat");
    let without_output = matches!(mode, "embedding" | "moderation");
    if !without_output && !matches!(mode, "chat" | "completion" | "responses") {
        return Err((SkipReason::NotText, mode.chars().take(80).collect()));
    }
    let mut rate = Rate::new(entry);
    let (base, mut tiers) = listed(entry, &mut rate.notes)?;
    let stated = stated(&mut rate, base, without_output)?;
    named(&mut rate, &mut tiers)?;
    let mut price = assemble(stated, tiers)?;
    price.per_request = rate.get("input_cost_per_request", PER_ONE, REQUEST_MAX)?.unwrap_or(0);
    if let Some(Value::Object(terms)) = entry.get("off_peak_pricing") {
        match off_peak(terms, stated, price.per_request, &mut rate.notes)? {
            Some(hours) => price.hours.push(hours),
            None => rate.notes.push("`off_peak_pricing` is left out".to_owned()),
        }
    }
    let terms = entry.iter().filter(|(key, _)| key.contains("cost"));
    refuse_charged_otherwise(&price, terms.map(|(_, value)| value))?;
    let model = match name.split_once('/') {
        Some((prefix, rest)) if canonical(prefix) == provider => rest,
        Some(_) | None => name,
    };
    let model = model.to_owned();
    Ok(ImportedPrice { provider, model, effective_from: None, price, notes: rate.notes })
}

/// Rates of the entry itself, else those of its lowest range.
fn stated(rate: &mut Rate<'_>, base: TierRates, without_output: bool) -> Result<StatedRates, Skip> {
    let mut get = |key: &str| rate.get(key, PER_ONE, RATE_MAX);
    let hit = get("input_cost_per_token_cache_hit")?;
    let input = get(INPUT)?.or(base.input);
    let output = get(OUTPUT)?.or(base.output).or(without_output.then_some(0));
    let (Some(input), Some(output)) = (input, output) else {
        return Err((SkipReason::NoTokenPrice, String::new()));
    };
    let charged = |rate: &i64| *rate != 0 || input == 0;
    Ok(StatedRates {
        input,
        output,
        cache_read: get(READ)?.or(hit).or(base.cache_read),
        cache_write: get(WRITE)?.or(base.cache_write).filter(charged),
        cache_write_1h: get(WRITE_1H)?.or(base.cache_write_1h).filter(charged),
        reasoning: get(REASONING)?.or(base.reasoning),
    })
}

/// Rates of quiet hours; `None` if their windows cannot be read.
fn off_peak(
    terms: &Map<String, Value>,
    ordinary: StatedRates,
    per_request: i64,
    notes: &mut Vec<String>,
) -> Result<Option<Hours>, Skip> {
    let zone = terms.get("weekday_timezone").and_then(Value::as_str);
    let Some(Value::Array(list)) = terms.get("windows") else { return Ok(None) };
    let windows: Option<Vec<_>> = list.iter().map(|window| quiet(window, zone)).collect();
    let Some(windows) = windows else { return Ok(None) };
    let windows: Vec<HourWindow> = windows.into_iter().flatten().take(WINDOWS).collect();
    if windows.is_empty() {
        return Ok(None);
    }
    let mut rate = Rate::new(terms);
    let rates = token_rates(&mut rate)?;
    notes.append(&mut rate.notes);
    let rates = ordinary.above(rates).complete();
    Ok(Some(Hours { windows, rates, tiers: Vec::new(), per_request }))
}

/// The windows of an item: one span, or a list of spans, on its weekdays.
fn quiet(window: &Value, zone: Option<&str>) -> Option<Vec<HourWindow>> {
    let spans = match window.get("hours_utc")? {
        Value::Array(spans) => spans.as_slice(),
        one => std::slice::from_ref(one),
    };
    let weekdays = match window.get("weekdays") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(days)) => days.iter().map(weekday).collect::<Option<Vec<u8>>>()?,
        Some(_) => return None,
    };
    if zone.is_some_and(|zone| zone.parse::<Tz>().is_err()) {
        return None;
    }
    let spans = spans.iter().map(|span| {
        let (from, to) = span.as_str()?.split_once('-')?;
        let (from, to) = (time_of_day(from)?, time_of_day(to)?);
        let weekdays_in = zone.filter(|_| !weekdays.is_empty()).map(str::to_owned);
        Some(HourWindow { weekdays: weekdays.clone(), weekdays_in, ..HourWindow::daily(from, to) })
    });
    spans.collect()
}

fn weekday(day: &Value) -> Option<u8> {
    day.as_u64().filter(|day| (1..=7).contains(day)).and_then(|day| u8::try_from(day).ok())
}

/// The rates that an object states, each as it is.
fn token_rates(rate: &mut Rate<'_>) -> Result<TierRates, Skip> {
    let mut get = |key: &str| rate.get(key, PER_ONE, RATE_MAX);
    Ok(TierRates {
        input: get(INPUT)?,
        output: get(OUTPUT)?,
        cache_read: get(READ)?,
        cache_write: get(WRITE)?.filter(|rate| *rate != 0),
        cache_write_1h: get(WRITE_1H)?.filter(|rate| *rate != 0),
        reasoning: get(REASONING)?,
    })
}

/// Tiers of `tiered_pricing`, and the rates of its range that starts at zero.
fn listed(
    entry: &Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<(TierRates, BTreeMap<i64, TierRates>), Skip> {
    let mut tiers = BTreeMap::new();
    let Some(Value::Array(ranges)) = entry.get("tiered_pricing") else {
        return Ok((TierRates::default(), tiers));
    };
    for range in ranges {
        // Some lists price searches by results and have no token range.
        let Value::Object(range) = range else { continue };
        let Some(Value::Array(bounds)) = range.get("range") else { continue };
        let bound = bounds.first().and_then(Value::as_number).map(Decimal::from_number);
        let Some(Ok(Ok(above))) =
            bound.map(|bound| bound.map(|b| b.exact(0, settings::AMOUNT_MAX)))
        else {
            return Err((SkipReason::Malformed, "a range must start with a number".to_owned()));
        };
        let mut rate = Rate::new(range);
        let rates = token_rates(&mut rate)?;
        notes.append(&mut rate.notes);
        tiers.entry(above).or_insert(rates);
    }
    Ok((tiers.remove(&0).unwrap_or_default(), tiers))
}

/// Adds the tiers of keys such as `input_cost_per_token_above_200k_tokens`.
fn named(rate: &mut Rate<'_>, tiers: &mut BTreeMap<i64, TierRates>) -> Result<(), Skip> {
    let map = rate.map;
    for (key, value) in map {
        let Some((kind, above)) = tier_of(key) else { continue };
        let amount = rate.amount(key, value, PER_ONE, RATE_MAX)?;
        let tier = tiers.entry(above).or_default();
        match kind {
            INPUT => tier.input = amount,
            OUTPUT => tier.output = amount,
            READ => tier.cache_read = amount,
            WRITE => tier.cache_write = amount.filter(|rate| *rate != 0),
            WRITE_1H => tier.cache_write_1h = amount.filter(|rate| *rate != 0),
            _ => tier.reasoning = amount,
        }
    }
    Ok(())
}

/// Kind of rate and bound in tokens of a tier key.
fn tier_of(key: &str) -> Option<(&'static str, i64)> {
    [INPUT, OUTPUT, READ, WRITE_1H, WRITE, REASONING].into_iter().find_map(|kind| {
        let bound = key.strip_prefix(kind)?.strip_prefix("_above_")?.strip_suffix("k_tokens")?;
        // Six digits of thousands exceed any prompt and cannot overflow.
        let digits = bound.len() <= 6 && bound.bytes().all(|byte| byte.is_ascii_digit());
        let thousands = bound.parse::<i64>().ok().filter(|bound| digits && *bound > 0)?;
        Some((kind, thousands * 1000))
    })
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    map.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}
