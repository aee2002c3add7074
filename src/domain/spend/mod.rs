//! Spend: units, amounts, and the effect of a report.
//!
//! There are two ways to report, and they mix per unit. *Entries* carry a key of the agent's own,
//! so a repeated entry adds nothing. *Cumulative totals* of the attempt add only their rise over
//! the highest total so far. Spend of an attempt in a unit is the sum of its entries plus its
//! highest total. Spend is never clipped and never refused for being late. It is refused only if a
//! total would pass the most that is counted ([`most`]). Nothing is taken back: a correction is an
//! entry of its own.
//!
//! Amounts are whole units and millionths besides. Money may be finer than a micro-dollar, so sums keep
//! the millionths and no entry is rounded.

pub mod amount;
pub mod measured;
pub mod most;
pub mod unit;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    check::{Checks, pointer},
    price::{
        rate::Cost,
        usage::{Tokens, Usage},
    },
    refusal::Refusal,
    settings,
};
use amount::{Exact, Reported, check_reported};

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
    /// Amounts used, by unit, in whole numbers. Money is `usd_micros`, or `usd` as decimal text with up
    /// to 12 places: `"usd": "0.0000004385"`. Optional with `usage`.
    #[serde(default)]
    #[schema(schema_with = amount::schema)]
    pub amounts: Reported,
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
    #[schema(schema_with = amount::schema)]
    pub totals: Reported,
}

/// Numbers in the usage of an entry that no count was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnreadUsage {
    /// Key of the entry.
    pub key: String,
    /// JSON Pointers within its `usage`.
    #[schema(example = json!(["/tokens/server_tool_use/web_search_requests"]))]
    pub numbers: Vec<String>,
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
            check_reported(checks, &pointer(&at, "amounts"), &entry.amounts);
            check_usage(checks, &at, entry);
        }
        check_reported(checks, &pointer(at, "totals"), &self.totals);
    }

    /// Refuses calls that lie in the future of the database's clock. `at`: the place of the report.
    ///
    /// # Errors
    /// `invalid`, with every such call.
    pub fn check_times(&self, at: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        let entries = pointer(at, "entries");
        for (index, entry) in self.entries.iter().enumerate() {
            let Some(usage) = &entry.usage else { continue };
            usage.check_time(&mut checks, &pointer(&pointer(&entries, index), "usage"), now);
        }
        checks.finish()
    }

    /// Numbers in usage objects that no count was made from, by entry.
    #[must_use]
    pub fn unread(&self) -> Vec<UnreadUsage> {
        let entries = self.entries.iter().filter_map(|entry| {
            let numbers = entry.usage.as_ref()?.unread();
            (!numbers.is_empty()).then(|| UnreadUsage { key: entry.key.clone(), numbers })
        });
        entries.collect()
    }

    /// Hints about units that count as the fleet's own, though they are close to known ones.
    #[must_use]
    pub fn unit_hints(&self) -> Vec<unit::UnitHint> {
        let entries = self.entries.iter().flat_map(|entry| entry.amounts.keys());
        unit::hints(entries.chain(self.totals.keys()).map(String::as_str))
    }

    /// The totals, exact, by stored unit.
    pub fn exact_totals(&self) -> impl Iterator<Item = (&str, Exact)> {
        self.totals.iter().filter_map(|(unit, total)| amount::exact(unit, total))
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
/// Name under which money is reported in dollars.
pub const DOLLARS: &str = "usd";

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
    /// Highest cumulative total, without the millionths of its rises.
    pub reported: i64,
    /// Millionths besides both; only money has them.
    pub fraction: i64,
    /// The part of `fraction` that belongs to `reported`.
    pub reported_fraction: i64,
}

impl UnitSpend {
    /// Total in whole units.
    #[must_use]
    pub fn amount(self) -> i64 {
        let whole = self.entries.saturating_add(self.reported);
        whole.saturating_add(self.fraction / FRACTIONS)
    }

    /// The spend after the rise of a total.
    #[must_use]
    pub fn raised(self, rise: &Charge) -> Self {
        let fraction = i64::from(rise.fraction);
        Self {
            reported: self.reported.saturating_add(rise.amount),
            fraction: self.fraction.saturating_add(fraction),
            reported_fraction: self.reported_fraction.saturating_add(fraction),
            ..self
        }
    }

    /// The whole units by which the spend, rounded up, grew when `last` was added to it. A
    /// reservation is in whole units: it is drawn by these, not by a unit for each small amount.
    #[must_use]
    pub fn drawn(self, last: Exact) -> i64 {
        let unit = i128::from(FRACTIONS);
        let rounded_up = |millionths: i128| -(-millionths).div_euclid(unit);
        let after = most::millionths(self);
        let drawn = rounded_up(after) - rounded_up(after - last.millionths());
        i64::try_from(drawn).unwrap_or(i64::MAX)
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
        let given = entry.amounts.iter().filter_map(|(unit, amount)| amount::exact(unit, amount));
        let given = given.map(|(unit, Exact { amount, fraction })| (unit, amount, fraction));
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
pub fn rise(unit: &str, total: Exact, before: UnitSpend) -> Option<Charge> {
    let reported = i128::from(before.reported) * i128::from(FRACTIONS);
    let rise = total.millionths() - reported - i128::from(before.reported_fraction);
    if rise <= 0 {
        return None;
    }
    let Exact { amount, fraction } = Exact::from_millionths(rise);
    let places =
        if total.fraction == 0 { String::new() } else { format!(".{:06}", total.fraction) };
    Some(Charge {
        key: format!("{TOTAL_PREFIX}{}{places}", total.amount),
        unit: unit.to_owned(),
        amount,
        fraction,
        provider: None,
        model: None,
        note: None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn report(value: serde_json::Value) -> SpendReport {
        let report: SpendReport = serde_json::from_value(value).unwrap();
        let mut checks = Checks::new();
        report.check(&mut checks, "");
        checks.finish().unwrap();
        report
    }

    #[test]
    fn a_key_counts_once_for_each_unit() {
        let entry = |unit: &str, amount: i64| SpendEntry {
            key: "call-1".into(),
            amounts: Reported::from([(unit.to_owned(), amount.into())]),
            usage: None,
            model: None,
            note: None,
        };
        let entries =
            vec![entry("usd_micros", 5), entry("output_tokens", 9), entry("usd_micros", 7)];
        let report = SpendReport { entries, totals: Reported::new() };
        let lines: Vec<_> =
            charges(&report, |_| Vec::new()).into_iter().map(|c| (c.unit, c.amount)).collect();
        assert_eq!(lines, [("usd_micros".to_owned(), 5), ("output_tokens".to_owned(), 9)]);
    }

    #[test]
    fn dollars_count_as_micro_dollars_and_once_under_a_key() {
        let report = report(json!({"entries": [
            {"key": "a", "amounts": {"usd": "0.0000004385", "calls": 1}},
            {"key": "a", "amounts": {"usd_micros": 9}}], "totals": {"usd": "0.5"}}));
        let lines: Vec<_> = charges(&report, |_| Vec::new())
            .into_iter()
            .map(|c| (c.unit, c.amount, c.fraction))
            .collect();
        let want = [("calls".to_owned(), 1, 0), (MONEY.to_owned(), 0, 438_500)];
        assert_eq!(lines, want);
        let totals: Vec<_> = report.exact_totals().collect();
        assert_eq!(totals, [(MONEY, Exact::whole(500_000))]);
    }

    #[test]
    fn many_small_calls_add_up_exactly() {
        // 12,500 calls of 0.34641918868420 dollars, the last one of the rest.
        let (calls, all) = (12_500, 4_330_239_858_552_500_i128);
        let each = all / calls;
        let mut spend = UnitSpend::default();
        for call in 0..calls {
            let picos = if call + 1 == calls { all - each * (calls - 1) } else { each };
            let text = super::super::report::money::Millionths(picos).in_dollars();
            let report = report(json!({"entries": [{"key": "k", "amounts": {"usd": text}}]}));
            for charge in charges(&report, |_| Vec::new()) {
                spend.entries += charge.amount;
                spend.fraction += i64::from(charge.fraction);
            }
        }
        let sum = super::super::report::money::Millionths(most::millionths(spend));
        assert_eq!(sum.in_dollars(), "4330.2398585525");
    }

    #[test]
    fn only_a_rise_of_a_total_adds_something() {
        let before = UnitSpend { entries: 4, reported: 10, ..UnitSpend::default() };
        let rise = |total| rise("gpu_ms", Exact::whole(total), before);
        assert_eq!((rise(10), rise(9)), (None, None));
        let risen = rise(13).unwrap();
        assert_eq!((risen.amount, risen.fraction, risen.key.as_str()), (3, 0, "total:13"));
    }

    #[test]
    fn a_call_of_the_future_is_refused_at_its_place() {
        let usage = |at: &str| {
            json!({"model": "m", "convention": "openai", "at": at,
                "tokens": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 7}})
        };
        let report = report(json!({"entries": [
            {"key": "a", "usage": usage("2026-01-01T00:00:00Z")},
            {"key": "b", "usage": usage("2026-12-01T00:00:00Z")}]}));
        let refused = report.check_times("/spend", "2026-11-29T00:00:00Z".parse().unwrap());
        let errors = refused.unwrap_err().errors;
        assert_eq!((errors.len(), errors[0].pointer.as_str()), (1, "/spend/entries/1/usage/at"));
        assert_eq!(report.check_times("", "2026-12-01T00:00:00Z".parse().unwrap()), Ok(()));
        let unread = report.unread();
        assert_eq!((unread.len(), unread[0].numbers[0].as_str()), (2, "/tokens/cost"));
    }

    proptest! {
        /// For cumulative totals in any order and of any precision, the attempt's
        /// spend is the highest, and its rows add up to it.
        #[test]
        fn the_highest_total_is_the_sum_of_its_rises(
            totals in prop::collection::vec(0..9_000_000i128, 1..12),
        ) {
            let mut spend = UnitSpend::default();
            let (mut whole, mut millionths, mut keys) = (0, 0, std::collections::BTreeSet::new());
            for total in &totals {
                let Some(charge) = rise(MONEY, Exact::from_millionths(*total), spend) else { continue };
                spend = spend.raised(&charge);
                whole += charge.amount;
                millionths += i64::from(charge.fraction);
                prop_assert!(keys.insert(charge.key), "a key of a rise is its own");
            }
            prop_assert_eq!(most::millionths(spend), *totals.iter().max().unwrap());
            prop_assert_eq!((spend.reported, spend.fraction), (whole, millionths));
        }

        /// A reservation is drawn by the spend rounded up, not by each entry rounded up.
        #[test]
        fn a_reservation_is_drawn_by_the_sum(amounts in prop::collection::vec(0..3_000_000i128, 0..60)) {
            let (mut spend, mut drawn) = (UnitSpend::default(), 0);
            for amount in &amounts {
                let exact = Exact::from_millionths(*amount);
                spend.entries += exact.amount;
                spend.fraction += i64::from(exact.fraction);
                drawn += spend.drawn(exact);
            }
            let sum: i128 = amounts.iter().sum();
            prop_assert_eq!(i128::from(drawn), sum.div_euclid(1_000_000) + i128::from(sum % 1_000_000 > 0));
        }
    }
}
