//! Pydantic's genai-prices, `data.json`.
//!
//! The file lists providers, each with models and rates in dollars per million tokens. Its
//! conventions and their treatment:
//! - A rate is a number, or a `base` with `tiers` that apply to the whole call when the prompt
//!   exceeds their `start`.
//! - `prices` is one set of rates, or a list of conditional sets; the last applicable one takes
//!   precedence. A set with `start_date` applies from the start of that day, UTC; a set with
//!   `start_time` and `end_time` applies at these times of every day, and is kept with each set that
//!   it precedes. Such sets alone are a price if their times cover the day. A set that another precedes
//!   at all times gives no price.
//! - `match` states the names of a model. Literal names (`equals`, `starts_with`, also within `or`)
//!   become aliases, unless another model has that name; patterns are ignored.
//! - Rates for audio, images and tools are ignored.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::{Map, Value};

use super::{
    Collector, ENTRIES_MAX, Imported, ImportedPrice, Rate, Skip, SkipReason, assemble,
    refuse_charged_otherwise,
};
use crate::domain::{
    price::{
        decimal::{PER_MILLION, PER_THOUSAND},
        hours::{HourWindow, cover_the_day, time_of_day},
        provider::canonical,
        rate::{Hours, Price, RATE_MAX, REQUEST_MAX, StatedRates, TierRates},
    },
    settings,
};

/// Most sets of rates read per model: the last ones, which take precedence.
const SETS: usize = 100;
/// Deepest nesting of name rules followed.
const DEPTH: usize = 4;
/// Most names per model.
const NAMES: usize = 50;

/// Reads the file: the list of providers, or an object with that list under `providers`.
#[must_use]
pub fn read(file: &Value) -> Imported {
    let mut collector = Collector::default();
    let Some(Value::Array(providers)) = file.get("providers").or(Some(file)) else {
        collector.skip("", SkipReason::Malformed, "the file must be a list of providers");
        return collector.finish();
    };
    let mut aliases = Vec::new();
    for provider in providers {
        read_provider(&mut collector, provider, &mut aliases);
    }
    // A model's own name precedes an alias of another model.
    for (owner, price) in aliases {
        collector.alias(&owner, price);
    }
    collector.finish()
}

fn read_provider(
    collector: &mut Collector,
    provider: &Value,
    aliases: &mut Vec<(String, ImportedPrice)>,
) {
    let Some(id) = provider.get("id").and_then(Value::as_str) else {
        return collector.skip("", SkipReason::NoProvider, "a provider has no `id`");
    };
    let Some(Value::Array(models)) = provider.get("models") else {
        return collector.skip(id, SkipReason::Malformed, "the provider has no list of models");
    };
    for model in models {
        let Some(name) = model.get("id").and_then(Value::as_str) else {
            collector.skip(id, SkipReason::Malformed, "a model has no `id`");
            continue;
        };
        let full = format!("{id}/{name}");
        let mut names = Vec::new();
        if let Some(rule) = model.get("match") {
            spelt_out(rule, DEPTH, &mut names);
        }
        for read in conditional(model.get("prices")) {
            let read = read.map(|Read { effective_from, price, notes }| ImportedPrice {
                provider: canonical(id),
                model: name.to_owned(),
                effective_from,
                price,
                notes,
            });
            // A small file can state very many names; the number kept is bounded.
            if let Ok(price) = &read
                && aliases.len() < ENTRIES_MAX
            {
                aliases.extend(names.iter().take(NAMES).map(|alias| {
                    let model = (*alias).to_owned();
                    (name.to_owned(), ImportedPrice { model, ..price.clone() })
                }));
            }
            collector.take(&full, read);
        }
    }
}

/// A set of rates and its start of validity.
struct Read {
    effective_from: Option<DateTime<Utc>>,
    price: Price,
    notes: Vec<String>,
}

/// Sets of a model, in order of precedence.
fn conditional(prices: Option<&Value>) -> Vec<Result<Read, Skip>> {
    match prices {
        Some(Value::Object(rates)) => vec![set(rates, None)],
        Some(Value::Array(sets)) => {
            let mut timeline = Timeline::default();
            for one in sets.iter().rev().take(SETS) {
                timeline.add(one);
            }
            timeline.finish()
        }
        _ => vec![malformed("the model has no `prices`")],
    }
}

fn malformed<T>(detail: &str) -> Result<T, Skip> {
    Err((SkipReason::Malformed, detail.to_owned()))
}

/// When a set of rates applies.
enum When {
    /// At all times.
    Always,
    /// From the start of a day.
    From(DateTime<Utc>),
    /// At some times of every day.
    Daily(HourWindow),
}

/// Sets of a model, added from the last, which precedes the others.
#[derive(Default)]
struct Timeline {
    reads: Vec<Result<Read, Skip>>,
    /// Hours of the sets so far: they precede every set that is added later.
    hours: Vec<Hours>,
    /// Number of `hours` that some set so far was given.
    given: usize,
    /// Whether a set so far applies at all times.
    closed: bool,
    /// The earliest start of a set so far.
    earliest: Option<DateTime<Utc>>,
}

impl Timeline {
    fn add(&mut self, one: &Value) {
        if let Some(read) = self.read(one).transpose() {
            self.reads.push(read);
        }
    }

    /// The set, unless it is hours of others.
    fn read(&mut self, one: &Value) -> Result<Option<Read>, Skip> {
        let Some(Value::Object(rates)) = one.get("prices") else {
            return malformed("a condition has no `prices`");
        };
        let when = when(one.get("constraint"))?;
        if self.closed {
            return Err(preceded("at all times"));
        }
        let start = match when {
            When::Daily(window) => {
                let Read { effective_from: _, price, notes: _ } = set(rates, None)?;
                let Price { rates, tiers, per_request, hours: _ } = price;
                self.hours.push(Hours { windows: vec![window], rates, tiers, per_request });
                return Ok(None);
            }
            When::From(start) => Some(start),
            When::Always => None,
        };
        if self.earliest.is_some_and(|earliest| start.is_some_and(|start| earliest <= start)) {
            return Err(preceded("from its start on"));
        }
        let mut read = set(rates, start)?;
        read.price.hours.clone_from(&self.hours);
        self.given = self.hours.len();
        self.closed = start.is_none();
        self.earliest = start;
        Ok(Some(read))
    }

    /// The price before every dated set, if no set applies at all times but the hours leave no time out:
    /// the last hours are its rates, since the others precede them.
    fn of_hours_alone(&self) -> Option<Price> {
        let windows: Vec<&HourWindow> = self.hours.iter().flat_map(|one| &one.windows).collect();
        if self.closed || !cover_the_day(&windows) {
            return None;
        }
        let (last, preceding) = self.hours.split_last()?;
        let Hours { windows: _, rates, tiers, per_request } = last.clone();
        Some(Price { rates, tiers, per_request, hours: preceding.to_vec() })
    }

    fn finish(mut self) -> Vec<Result<Read, Skip>> {
        if let Some(price) = self.of_hours_alone() {
            self.reads.push(Ok(Read { effective_from: None, price, notes: Vec::new() }));
            return self.reads;
        }
        let lost = self.hours.len() - self.given;
        let detail = "the model has no price at other hours";
        let skip = || Err((SkipReason::TimeOfDay, detail.to_owned()));
        self.reads.extend(std::iter::repeat_with(skip).take(lost));
        self.reads
    }
}

fn preceded(when: &str) -> Skip {
    (SkipReason::Duplicate, format!("another set of rates precedes this one {when}"))
}

/// When a set applies.
fn when(constraint: Option<&Value>) -> Result<When, Skip> {
    let constraint = match constraint {
        None | Some(Value::Null) => return Ok(When::Always),
        Some(constraint) => constraint,
    };
    let text = |key: &str| constraint.get(key).and_then(Value::as_str);
    match (text("start_date"), text("start_time"), text("end_time")) {
        (Some(date), None, None) => match NaiveDate::parse_from_str(date, "%Y-%m-%d") {
            Ok(date) => Ok(When::From(date.and_time(NaiveTime::MIN).and_utc())),
            Err(_) => malformed("`start_date` is not a date"),
        },
        (None, Some(from), Some(to)) => match (time_of_day(from), time_of_day(to)) {
            (Some(from), Some(to)) => Ok(When::Daily(HourWindow::daily(from, to))),
            (None, _) | (_, None) => malformed("a time of day cannot be read"),
        },
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (None, _, _) => {
            malformed("the condition is not known")
        }
    }
}

fn set(rates: &Map<String, Value>, effective_from: Option<DateTime<Utc>>) -> Result<Read, Skip> {
    let mut rate = Rate::new(rates);
    let mut tiers: BTreeMap<i64, TierRates> = BTreeMap::new();
    let mut get = |key: &str, place: fn(&mut TierRates) -> &mut Option<i64>| {
        tiered(&mut rate, key, place, &mut tiers)
    };
    let input = get("input_mtok", |tier| &mut tier.input)?;
    let output = get("output_mtok", |tier| &mut tier.output)?;
    let cache_read = get("cache_read_mtok", |tier| &mut tier.cache_read)?;
    let short = get("cache_write_5m_mtok", |tier| &mut tier.cache_write)?;
    let cache_write = get("cache_write_mtok", |tier| &mut tier.cache_write)?.or(short);
    let cache_write_1h = get("cache_write_1h_mtok", |tier| &mut tier.cache_write_1h)?;
    let reasoning = get("output_reasoning_mtok", |tier| &mut tier.reasoning)?;
    let Some(input) = input else {
        return Err((SkipReason::NoTokenPrice, String::new()));
    };
    // Models without an output price have no output: embeddings.
    let output = output.unwrap_or(0);
    let stated = StatedRates { input, output, cache_read, cache_write, cache_write_1h, reasoning };
    let mut price = assemble(stated, tiers)?;
    price.per_request = rate.get("requests_kcount", PER_THOUSAND, REQUEST_MAX)?.unwrap_or(0);
    refuse_charged_otherwise(&price, rates.values())?;
    Ok(Read { effective_from, price, notes: rate.notes })
}

/// The rate under a key; stores its tiers.
fn tiered(
    rate: &mut Rate<'_>,
    key: &str,
    place: fn(&mut TierRates) -> &mut Option<i64>,
    tiers: &mut BTreeMap<i64, TierRates>,
) -> Result<Option<i64>, Skip> {
    let map = rate.map;
    let Some(value) = map.get(key) else { return Ok(None) };
    let Value::Object(parts) = value else {
        return rate.amount(key, value, PER_MILLION, RATE_MAX);
    };
    if let Some(Value::Array(list)) = parts.get("tiers") {
        for tier in list {
            let start = tier.get("start").and_then(Value::as_i64);
            let start = start.filter(|start| (1..=settings::AMOUNT_MAX).contains(start));
            let (Some(start), Some(amount)) = (start, tier.get("price")) else {
                let detail = format!("a tier of `{key}` has no `start` or no `price`");
                return Err((SkipReason::Malformed, detail));
            };
            let amount = rate.amount(key, amount, PER_MILLION, RATE_MAX)?;
            *place(tiers.entry(start).or_default()) = amount;
        }
    }
    parts.get("base").map_or(Ok(None), |base| rate.amount(key, base, PER_MILLION, RATE_MAX))
}

/// Literal names of a rule.
fn spelt_out<'a>(rule: &'a Value, depth: usize, names: &mut Vec<&'a str>) {
    for key in ["equals", "starts_with"] {
        names.extend(rule.get(key).and_then(Value::as_str));
    }
    let Some(Value::Array(rules)) = rule.get("or") else { return };
    if depth == 0 {
        return;
    }
    for rule in rules.iter().take(NAMES) {
        spelt_out(rule, depth - 1, names);
    }
}
