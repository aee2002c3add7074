//! Spend: units, amounts, and what a report adds.
//!
//! Two ways of reporting, which may be mixed per unit: *entries*, each with a key of the agent's
//! own, so that sending one again adds nothing; and *cumulative totals* of the attempt so far, of
//! which only the rise over the highest total counts. An attempt's spend in a unit is the sum of
//! its entries plus its highest total. Nothing is ever clipped, refused for being late, or taken
//! back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    check::{Checks, pointer},
    price::{
        rate::Cost,
        usage::{Tokens, Usage},
    },
    settings,
};

/// Millionths in a unit: amounts of money keep fractions of a micro-dollar beside whole ones.
pub const FRACTIONS: i64 = 1_000_000;

/// Amounts by unit. Units are named `usd_micros`, `input_tokens`, `output_tokens`, `tool_calls`,
/// `gpu_ms` or a name of the fleet's own; amounts are whole numbers. `wall_ms` and `attempts` are
/// measured by the service and never reported.
pub type Amounts = BTreeMap<String, i64>;

/// One thing that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendEntry {
    /// Your own key of this entry, unique in the attempt: the id of the model call, for example.
    /// What is stored under the key for a unit stays: sent again, it adds nothing. A unit that
    /// was not reported under the key before is added.
    #[schema(example = "call-17", min_length = 1, max_length = 200)]
    pub key: String,
    /// What was used, by unit. May be left out when `usage` says it.
    #[serde(default)]
    #[schema(example = json!({"usd_micros": 1250, "input_tokens": 4100, "output_tokens": 320}))]
    pub amounts: Amounts,
    /// The usage of one model call, as its provider counted it: it becomes `input_tokens`,
    /// `output_tokens` (both with everything that is part of them), `cache_read_tokens`,
    /// `cache_write_tokens` and `reasoning_tokens`, and by the price book `usd_micros`, unless
    /// `amounts` says what it cost. Without a price the tokens count as `unpriced_tokens` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The model that was called, for people; default: that of `usage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub model: Option<String>,
    /// A remark for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub note: Option<String>,
}

/// A report of spend on an attempt: entries, cumulative totals, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpendReport {
    /// Things used since the last report, each with a key. At most 500.
    pub entries: Vec<SpendEntry>,
    /// Totals of this attempt so far, by unit. Only the rise over the highest total reported
    /// counts, so a repeated or delayed report adds nothing.
    #[schema(example = json!({"output_tokens": 5200}))]
    pub totals: Amounts,
}

impl SpendReport {
    /// Whether it reports nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.totals.is_empty()
    }

    /// Notes everything that is wrong with it.
    pub fn check(&self, checks: &mut Checks, at: &str) {
        let entries = pointer(at, "entries");
        checks.count(&entries, self.entries.len(), settings::LIST_ITEMS);
        for (index, entry) in self.entries.iter().enumerate().take(settings::LIST_ITEMS) {
            let at = pointer(&entries, index);
            checks.line(&pointer(&at, "key"), &entry.key, 200);
            checks.ensure(
                ![TOTAL_PREFIX, RERATE_PREFIX].iter().any(|own| entry.key.starts_with(own)),
                &pointer(&at, "key"),
                "must not start with `total:` or `rerate:`, which are the service's own",
            );
            if let Some(model) = &entry.model {
                checks.line(&pointer(&at, "model"), model, 200);
            }
            if let Some(note) = &entry.note {
                checks.chars(&pointer(&at, "note"), note, 1000);
            }
            checks.ensure(
                !entry.amounts.is_empty() || entry.usage.is_some(),
                &pointer(&at, "amounts"),
                "must name at least one unit, unless `usage` is given",
            );
            check_amounts(checks, &pointer(&at, "amounts"), &entry.amounts);
            check_usage(checks, &at, entry);
        }
        check_amounts(checks, &pointer(at, "totals"), &self.totals);
    }
}

/// What the keys of entries made from cumulative totals start with.
pub const TOTAL_PREFIX: &str = "total:";

/// What the keys of entries that correct a price start with.
pub const RERATE_PREFIX: &str = "rerate:";

/// Units that are computed from a call's usage.
const OF_USAGE: [&str; 6] = [
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    UNPRICED,
];

fn check_usage(checks: &mut Checks, at: &str, entry: &SpendEntry) {
    let Some(usage) = &entry.usage else { return };
    usage.read(checks, &pointer(at, "usage"));
    for unit in OF_USAGE.iter().filter(|unit| entry.amounts.contains_key(**unit)) {
        let here = pointer(&pointer(at, "amounts"), unit);
        checks.add(here, "is computed from `usage`; give one of the two");
    }
}

/// The unit of tokens whose model has no price.
pub const UNPRICED: &str = "unpriced_tokens";
/// The unit that counts attempts; measured by the service.
pub const ATTEMPTS: &str = "attempts";
/// The unit of the time that attempts took, in milliseconds; measured by the service.
pub const WALL_MS: &str = "wall_ms";
/// The unit of money: millionths of a US dollar.
pub const MONEY: &str = "usd_micros";

/// Whether the service measures the unit itself.
#[must_use]
pub fn is_measured(unit: &str) -> bool {
    unit == ATTEMPTS || unit == WALL_MS
}

/// Notes a unit that is not spelt as units are.
pub fn check_unit(checks: &mut Checks, at: &str, unit: &str) {
    checks.ensure(
        is_unit(unit),
        at,
        "a unit is 1 to 40 of a-z 0-9 _ and starts with a letter, for example `usd_micros`",
    );
}

/// Notes unknown spellings of units, those that are not reported, and amounts out of bounds.
pub fn check_amounts(checks: &mut Checks, at: &str, amounts: &Amounts) {
    checks.count(at, amounts.len(), 20);
    for (unit, amount) in amounts {
        let at = pointer(at, unit);
        check_unit(checks, &at, unit);
        checks.ensure(
            !is_measured(unit),
            &at,
            "is measured by the service itself: leave it out, or report another unit",
        );
        checks.range(&at, *amount, 0..=settings::AMOUNT_MAX);
    }
}

fn is_unit(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
        && text.len() <= 40
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// What an attempt has used in one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnitSpend {
    /// Sum of the entries.
    pub entries: i64,
    /// Highest cumulative total.
    pub reported: i64,
    /// Millionths beside both; only money computed from tokens has them.
    pub fraction: i64,
}

impl UnitSpend {
    /// Everything used.
    #[must_use]
    pub fn amount(self) -> i64 {
        let whole = self.entries.saturating_add(self.reported);
        whole.saturating_add(self.fraction / FRACTIONS)
    }
}

/// One stored line of spend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The entry's key.
    pub key: String,
    /// The unit.
    pub unit: String,
    /// How much it adds.
    pub amount: i64,
    /// Millionths beside it.
    pub fraction: i32,
    /// Who was called.
    pub provider: Option<String>,
    /// The model, for people.
    pub model: Option<String>,
    /// A remark.
    pub note: Option<String>,
}

/// What a call's usage comes to: its tokens, and its money if it has a price.
#[must_use]
pub fn lines_of(tokens: &Tokens, cost: Option<Cost>) -> Vec<(&'static str, i64, i32)> {
    let writes = tokens.cache_write.saturating_add(tokens.cache_write_1h);
    let parts = [
        ("cache_read_tokens", tokens.cache_read),
        ("cache_write_tokens", writes),
        ("reasoning_tokens", tokens.reasoning),
    ];
    let mut lines = vec![
        ("input_tokens", tokens.input_total(), 0),
        ("output_tokens", tokens.output_total(), 0),
    ];
    lines.extend(parts.into_iter().filter(|(_, n)| *n > 0).map(|(unit, n)| (unit, n, 0)));
    let all = tokens.input_total().saturating_add(tokens.output_total());
    match cost {
        Some(Cost { micros, fraction }) => {
            lines.push((MONEY, micros, i32::try_from(fraction).unwrap_or_default()));
        }
        None => lines.push((UNPRICED, all, 0)),
    }
    lines
}

/// The entries of a report, a line for each unit; `used` says what the usage of an entry comes to.
#[must_use]
pub fn charges(
    report: &SpendReport,
    used: impl Fn(&SpendEntry) -> Vec<(&'static str, i64, i32)>,
) -> Vec<Charge> {
    let mut seen = std::collections::BTreeSet::new();
    let mut lines = Vec::new();
    for entry in &report.entries {
        let given = entry.amounts.iter().map(|(unit, amount)| (unit.as_str(), *amount, 0));
        for (unit, amount, fraction) in given.chain(used(entry)) {
            if !seen.insert((entry.key.as_str(), unit.to_owned())) {
                continue;
            }
            let called = entry.usage.as_ref();
            lines.push(Charge {
                key: entry.key.clone(),
                unit: unit.to_owned(),
                amount,
                fraction,
                provider: called.and_then(|usage| usage.provider.clone()),
                model: entry.model.clone().or_else(|| called.map(|usage| usage.model.clone())),
                note: entry.note.clone(),
            });
        }
    }
    lines
}

/// What a cumulative total adds over what was reported before; nothing when it is not higher.
#[must_use]
pub fn rise(unit: &str, total: i64, before: UnitSpend) -> Option<Charge> {
    if total <= before.reported {
        return None;
    }
    Some(Charge {
        key: format!("{TOTAL_PREFIX}{total}"),
        unit: unit.to_owned(),
        amount: total - before.reported,
        fraction: 0,
        provider: None,
        model: None,
        note: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_once_for_each_unit() {
        let entry = |unit: &str, amount| SpendEntry {
            key: "call-1".into(),
            amounts: Amounts::from([(unit.to_owned(), amount)]),
            usage: None,
            model: None,
            note: None,
        };
        let entries =
            vec![entry("usd_micros", 5), entry("output_tokens", 9), entry("usd_micros", 7)];
        let report = SpendReport { entries, totals: Amounts::new() };
        let lines: Vec<_> =
            charges(&report, |_| Vec::new()).into_iter().map(|c| (c.unit, c.amount)).collect();
        assert_eq!(lines, [("usd_micros".to_owned(), 5), ("output_tokens".to_owned(), 9)]);
    }

    #[test]
    fn only_a_rise_of_a_total_adds_something() {
        let before = UnitSpend { entries: 4, reported: 10, fraction: 0 };
        assert_eq!(rise("gpu_ms", 10, before), None);
        assert_eq!(rise("wall_ms", 9, before), None);
        assert_eq!(rise("wall_ms", 13, before).map(|charge| charge.amount), Some(3));
    }
}
