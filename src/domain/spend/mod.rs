//! Spend: units, amounts, and the effect of a report.
//!
//! There are two ways to report, and they mix per unit. *Entries* carry a key of the agent's own,
//! so a repeated entry adds nothing. *Cumulative totals* of the attempt add only their rise over
//! the highest total so far. Spend of an attempt in a unit is the sum of its entries plus its
//! highest total. Spend is never clipped and never refused for being late. It is refused only if a
//! total would pass the most that is counted ([`most`]). Nothing is taken back: a correction is an
//! entry of its own.

pub mod most;

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

/// Amounts by unit. Units are `usd_micros`, `input_tokens`, `output_tokens`, `tool_calls`, `gpu_ms`
/// or a name of the fleet's own; amounts are whole numbers. The service measures `wall_ms` and
/// `attempts` itself; they cannot be reported.
pub type Amounts = BTreeMap<String, i64>;

/// One thing an attempt used, for example one model call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendEntry {
    /// Your key of this entry, unique within the attempt, for example the id of the model call. The
    /// first amount stored under a key and unit stays: repeating the entry adds nothing, and a unit
    /// that is new under the key is added.
    #[schema(example = "call-17", min_length = 1, max_length = 200)]
    pub key: String,
    /// Amounts used, by unit, in whole numbers. Optional with `usage`.
    #[serde(default)]
    #[schema(example = json!({"usd_micros": 1250, "input_tokens": 4100, "output_tokens": 320}))]
    pub amounts: Amounts,
    /// Usage of one model call as its provider counted it. The service derives `input_tokens`,
    /// `output_tokens` (totals), `cache_read_tokens`, `cache_write_tokens` and `reasoning_tokens`
    /// from it, and `usd_micros` from the price book unless `amounts` states the money. Without a
    /// price the tokens also count as `unpriced_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Name of the model, for people. Default: the model in `usage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub model: Option<String>,
    /// Free text for people, at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub note: Option<String>,
}

/// Spend of an attempt: entries, cumulative totals, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpendReport {
    /// Entries since the last report, each with its key. At most 500.
    pub entries: Vec<SpendEntry>,
    /// Totals of this attempt so far, by unit. Only the rise over the highest reported total
    /// counts, so a repeated or late report adds nothing.
    #[schema(example = json!({"output_tokens": 5200}))]
    pub totals: Amounts,
}

impl SpendReport {
    /// Whether it reports nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.totals.is_empty()
    }

    /// Reports every fault with its place.
    pub fn check(&self, checks: &mut Checks, at: &str) {
        let entries = pointer(at, "entries");
        checks.count(&entries, self.entries.len(), settings::LIST_ITEMS);
        for (index, entry) in self.entries.iter().enumerate().take(settings::LIST_ITEMS) {
            let at = pointer(&entries, index);
            checks.line(&pointer(&at, "key"), &entry.key, 200);
            checks.ensure(
                !OWN_PREFIXES.iter().any(|own| entry.key.starts_with(own)),
                &pointer(&at, "key"),
                "must not start with `total:`, `rerate:` or `correction:`; these prefixes are reserved",
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

/// Key prefix of entries derived from cumulative totals.
pub const TOTAL_PREFIX: &str = "total:";

/// Key prefix of entries that correct a price.
pub const RERATE_PREFIX: &str = "rerate:";

/// Key prefix of entries in which an operator corrects spend.
pub const CORRECTION_PREFIX: &str = "correction:";

/// Key prefixes that no agent may use.
const OWN_PREFIXES: [&str; 3] = [TOTAL_PREFIX, RERATE_PREFIX, CORRECTION_PREFIX];

/// Units derived from a call's usage.
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
        checks.add(here, "is computed from `usage`; state only one of the two");
    }
}

/// Unit of tokens whose model has no price.
pub const UNPRICED: &str = "unpriced_tokens";
/// Unit that counts attempts; measured by the service.
pub const ATTEMPTS: &str = "attempts";
/// Unit of attempt duration in milliseconds; measured by the service.
pub const WALL_MS: &str = "wall_ms";
/// Unit of money: millionths of a US dollar.
pub const MONEY: &str = "usd_micros";

/// Whether the service measures the unit itself.
#[must_use]
pub fn is_measured(unit: &str) -> bool {
    unit == ATTEMPTS || unit == WALL_MS
}

/// Reports a malformed unit name.
pub fn check_unit(checks: &mut Checks, at: &str, unit: &str) {
    checks.ensure(
        is_unit(unit),
        at,
        "a unit is 1 to 40 of a-z 0-9 _ and starts with a letter, for example `usd_micros`",
    );
}

/// Reports malformed or measured units and amounts out of bounds.
pub fn check_amounts(checks: &mut Checks, at: &str, amounts: &Amounts) {
    checks.count(at, amounts.len(), 20);
    for (unit, amount) in amounts {
        let at = pointer(at, unit);
        check_unit(checks, &at, unit);
        checks.ensure(
            !is_measured(unit),
            &at,
            "the service measures this unit; leave it out or report another unit",
        );
        checks.range(&at, *amount, 0..=settings::AMOUNT_MAX);
    }
}

fn is_unit(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
        && text.len() <= 40
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Spend of an attempt in one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnitSpend {
    /// Sum of its entries.
    pub entries: i64,
    /// Highest cumulative total.
    pub reported: i64,
    /// Millionths besides both; only money computed from tokens has them.
    pub fraction: i64,
}

impl UnitSpend {
    /// Total in whole units.
    #[must_use]
    pub fn amount(self) -> i64 {
        let whole = self.entries.saturating_add(self.reported);
        whole.saturating_add(self.fraction / FRACTIONS)
    }
}

/// One stored spend row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Key of the entry.
    pub key: String,
    /// Unit of the amount.
    pub unit: String,
    /// Amount added, in whole units.
    pub amount: i64,
    /// Millionths besides the amount.
    pub fraction: i32,
    /// Provider that was called.
    pub provider: Option<String>,
    /// Model name, for people.
    pub model: Option<String>,
    /// Free text of the reporter.
    pub note: Option<String>,
}

/// Unit, amount and fraction that a call's usage adds: its tokens, and its money when a price is
/// known.
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

/// Spend rows of a report, one per entry and unit. `used` resolves the usage of an entry.
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

/// Spend row for a cumulative total; `None` when it does not exceed the previous one.
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
