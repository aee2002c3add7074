//! Names of units.
//!
//! A fleet may count in units of its own, so most names are free. But a limit in `usd` limits nothing,
//! because money is reported in `usd_micros`, and nobody notices before the bill. So where a unit is
//! declared, a name that is close to one of the service's is refused with the right name.
//!
//! A name is close if all its words speak of one known unit, in any order, number and spelling (`max_usd`,
//! `tokens_in`, `microdollars`), or if it is one letter off. One word that says something else makes a
//! name free: `tokens_saved`, `gpu_seconds`, `eur_micros`.
//!
//! In reports, such a name of money is refused: the spend would pass every limit of money. Another one
//! counts as a unit of the fleet's own, and the answer says so ([`hints`]).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::check::Checks;

use super::{ATTEMPTS, DOLLARS, MONEY, UNPRICED, WALL_MS};

/// Units that the service computes, measures or documents.
const KNOWN: [&str; 11] = [
    MONEY,
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    UNPRICED,
    "tool_calls",
    "gpu_ms",
    WALL_MS,
    ATTEMPTS,
];

/// Words that speak of known units.
struct Family {
    means: &'static [&'static str],
    /// A name has a word of each group.
    needs: &'static [&'static [&'static str]],
    /// Further words that a name may have.
    may: &'static [&'static str],
}

const TOKEN: &[&str] = &["token"];
const CACHE: &[&str] = &["cache", "cached"];
const IN: &[&str] = &["in", "input", "prompt"];
const OUT: &[&str] = &["out", "output", "completion"];
const WRITE: &[&str] = &["write", "written", "creation", "created"];
const CURRENCY: &[&str] =
    &["usd", "dollar", "cent", "micro", "money", "cost", "price", "spend", "spent"];

/// The families; the first that a name belongs to decides. Words are singular.
const FAMILIES: &[Family] = &[
    Family { means: &[UNPRICED], needs: &[&["unpriced"], TOKEN], may: &[] },
    Family { means: &["cache_write_tokens"], needs: &[CACHE, WRITE, TOKEN], may: IN },
    Family {
        means: &["cache_read_tokens"],
        needs: &[CACHE, TOKEN],
        may: &["read", "hit", "in", "input", "prompt"],
    },
    Family {
        means: &["reasoning_tokens"],
        needs: &[&["reasoning", "thinking", "thought"], TOKEN],
        may: OUT,
    },
    Family { means: &["input_tokens", "output_tokens"], needs: &[IN, OUT, TOKEN], may: &[] },
    Family { means: &["input_tokens"], needs: &[IN, TOKEN], may: &[] },
    Family { means: &["output_tokens"], needs: &[OUT, TOKEN], may: &[] },
    Family { means: &["input_tokens", "output_tokens"], needs: &[TOKEN], may: &[] },
    Family { means: &["input_tokens"], needs: &[&["input"]], may: &[] },
    Family { means: &["output_tokens"], needs: &[&["output"]], may: &[] },
    Family { means: &["tool_calls"], needs: &[&["tool"], &["call"]], may: &[] },
    Family { means: &["gpu_ms"], needs: &[&["gpu"], &["ms"]], may: &["time"] },
    Family {
        means: &[WALL_MS],
        needs: &[&["wall"]],
        may: &["time", "clock", "ms", "s", "sec", "second", "min", "minute", "hour"],
    },
    Family { means: &[ATTEMPTS], needs: &[&["attempt"]], may: &[] },
    Family { means: &[MONEY], needs: &[CURRENCY], may: &["us", "ms", "nano", "pico", "api"] },
];

/// Words that add nothing to any name.
const FILLERS: &[&str] = &[
    "total", "all", "sum", "amount", "overall", "max", "maximum", "most", "limit", "cap", "budget",
    "count", "num", "number", "n", "used", "usage", "consumed", "spend", "spent", "llm", "model",
    "per", "day", "daily", "week", "weekly", "month", "monthly",
];

impl Family {
    fn has(&self, words: &[String]) -> bool {
        let among = |list: &[&str], word: &String| list.contains(&word.as_str());
        let has_group = |group: &&[&str]| words.iter().any(|word| among(group, word));
        let speaks = |word: &String| {
            self.needs.iter().any(|group| among(group, word))
                || among(self.may, word)
                || among(FILLERS, word)
        };
        self.needs.iter().all(has_group) && words.iter().all(speaks)
    }
}

/// Whether words run together make up all of `text`, for example `microdollar`; adds them to `words`.
/// Takes words of three letters or more, and no fillers: `percent` is no cent.
fn run_together(text: &str, words: &mut Vec<String>) -> bool {
    let words_of = |family: &'static Family| family.needs.iter().copied().chain([family.may]);
    let known = FAMILIES.iter().flat_map(words_of).flatten();
    known.filter(|word| word.len() > 2).any(|word| {
        let Some(rest) = text.strip_prefix(word) else { return false };
        words.push((*word).to_owned());
        let whole = rest.is_empty() || run_together(rest, words);
        if !whole {
            words.pop();
        }
        whole
    })
}

/// The words of a name in the singular, those that are run together apart.
fn words(unit: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in singular(unit).split('_') {
        if !run_together(word, &mut words) {
            words.push(word.to_owned());
        }
    }
    words
}

/// Shortest known name, without separators, that one letter may be missed of.
const LONG: usize = 7;

/// The known units that `unit` is most likely meant to be; empty if it is one of them, or free.
#[must_use]
pub fn meant(unit: &str) -> Vec<&'static str> {
    if KNOWN.contains(&unit) || !super::is_unit(unit) {
        return Vec::new();
    }
    let said = words(unit);
    if let Some(family) = FAMILIES.iter().find(|family| family.has(&said)) {
        return family.means.to_vec();
    }
    let run = singular(unit).replace('_', "");
    let near = |name: &&&str| {
        let letters = singular(name).replace('_', "");
        let same = name.replace('_', "") == unit.replace('_', "");
        same || letters.len() >= LONG && one_apart(letters.as_bytes(), run.as_bytes())
    };
    KNOWN.iter().find(near).copied().into_iter().collect()
}

/// Reports a malformed name of a unit, or one that is most likely another.
pub fn check_declared(checks: &mut Checks, at: &str, unit: &str) {
    super::check_unit(checks, at, unit);
    check_meant(checks, at, unit);
}

/// Reports a name of a unit that is most likely another.
pub fn check_meant(checks: &mut Checks, at: &str, unit: &str) {
    let meant: Vec<String> = meant(unit).into_iter().map(|unit| format!("`{unit}`")).collect();
    if !meant.is_empty() {
        let right = meant.join(" or ");
        checks.add(at, format!("`{unit}` is never reported by that name; use {right}"));
    }
}

/// A reported unit that counts as one of the fleet's own, though it is close to known ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnitHint {
    /// The name, as reported.
    #[schema(example = "total_tokens")]
    pub unit: String,
    /// The known units that it may be meant to be; their limits do not count it.
    #[schema(example = json!(["input_tokens", "output_tokens"]))]
    pub meant: Vec<String>,
}

/// Hints about reported names, each once.
#[must_use]
pub fn hints<'a>(reported: impl Iterator<Item = &'a str>) -> Vec<UnitHint> {
    let reported: BTreeSet<&str> = reported.filter(|unit| *unit != DOLLARS).collect();
    let hints = reported.into_iter().map(|unit| {
        let meant = meant(unit).into_iter().map(str::to_owned).collect();
        UnitHint { unit: unit.to_owned(), meant }
    });
    hints.filter(|hint| !hint.meant.is_empty()).collect()
}

/// Reports a name of money that is not the right one: no limit of money would count it.
pub fn check_money(checks: &mut Checks, at: &str, unit: &str) {
    let wrong = unit != DOLLARS && meant(unit) == [MONEY];
    let detail = format!("`{unit}` is counted by no limit of money; use `{MONEY}`, or `{DOLLARS}`");
    checks.ensure(!wrong, at, detail);
}

/// Each word without the `s` of the plural; `ms` is no plural.
fn singular(unit: &str) -> String {
    let words = unit.split('_').filter(|word| !word.is_empty()).map(|word| match word {
        "ms" | "milli" | "millis" | "msec" | "msecs" | "millisecond" | "milliseconds" => "ms",
        "dollars" => "dollar",
        plural => plural.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(plural),
    });
    words.collect::<Vec<_>>().join("_")
}

/// Whether one letter is added, left out, replaced or exchanged with the next.
fn one_apart(one: &[u8], other: &[u8]) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let same = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let (short, long) = (&short[same..], &long[same..]);
    match long.len() - short.len() {
        0 => {
            let exchanged = matches!((short, long), ([a, b, ..], [c, d, ..]) if a == d && b == c)
                && short[2..] == long[2..];
            exchanged || short.get(1..) == long.get(1..)
        }
        1 => *short == long[1..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_near_miss_is_told_the_right_name() {
        for (unit, want) in [
            ("usd", "usd_micros"),
            ("usd_micro", "usd_micros"),
            ("usdmicros", "usd_micros"),
            ("micro_usd", "usd_micros"),
            ("usd_mircos", "usd_micros"),
            ("dollars", "usd_micros"),
            ("usd_cents", "usd_micros"),
            ("cost_usd", "usd_micros"),
            ("tokens", "input_tokens output_tokens"),
            ("total_tokens", "input_tokens output_tokens"),
            ("input_token", "input_tokens"),
            ("imput_tokens", "input_tokens"),
            ("tokens_output", "output_tokens"),
            ("prompt_tokens", "input_tokens"),
            ("completion_tokens", "output_tokens"),
            ("cached_tokens", "cache_read_tokens"),
            ("tool_call", "tool_calls"),
            ("toolcalls", "tool_calls"),
            ("attempt", "attempts"),
            ("atempts", "attempts"),
            ("wall_millis", "wall_ms"),
            ("wall_seconds", "wall_ms"),
            ("gpums", "gpu_ms"),
            ("tokens_total", "input_tokens output_tokens"),
            ("max_tokens_per_day", "input_tokens output_tokens"),
            ("input_output_tokens", "input_tokens output_tokens"),
            ("token_count", "input_tokens output_tokens"),
            ("microusd", "usd_micros"),
            ("microdollars", "usd_micros"),
            ("usd_microdollars", "usd_micros"),
            ("cost_micros", "usd_micros"),
            ("usd_spend", "usd_micros"),
            ("usd_millis", "usd_micros"),
            ("max_usd", "usd_micros"),
            ("usd_per_month", "usd_micros"),
            ("total_cost", "usd_micros"),
            ("spend", "usd_micros"),
            ("tokens_in", "input_tokens"),
            ("in_tokens", "input_tokens"),
            ("num_prompt_tokens", "input_tokens"),
            ("inputtokens", "input_tokens"),
            ("out_tokens", "output_tokens"),
            ("cache_read_input_tokens", "cache_read_tokens"),
            ("cache_creation_input_tokens", "cache_write_tokens"),
            ("reasoning_output_tokens", "reasoning_tokens"),
            ("wall_time_ms", "wall_ms"),
            ("wallclock_ms", "wall_ms"),
            ("tool_call_count", "tool_calls"),
            ("max_attempts", "attempts"),
        ] {
            assert_eq!(meant(unit).join(" "), want, "{unit}");
        }
    }

    #[test]
    fn other_names_stay_free() {
        for unit in [
            "credits",
            "calls",
            "x",
            "pages",
            "cpu_ms",
            "cpu_hours",
            "gpu_hours",
            "eur_micros",
            "audio_tokens",
            "image_tokens",
            "tool_fails",
            "requests",
            "commits",
            "searches",
            "wall_units",
            "a",
            "gpu_s",
            "story_points",
            "bus",
            "mb_written",
            "emails",
            "api_calls",
            "llm_calls",
            "gpu_seconds",
            "tokens_saved",
            "usd_saved",
            "api_tokens",
            "tokens_per_minute",
            "percent",
            "readouts",
            "price_checks",
            "micro_tasks",
            "cost_centers",
            "retries",
            "prompts",
            "total",
            "days",
            "model_runs",
            "tool_uses",
            "cache_hits",
            "eur",
            "clock_ms",
        ] {
            assert_eq!(meant(unit), [""; 0], "{unit}");
        }
        for unit in KNOWN {
            assert_eq!(meant(unit), [""; 0], "{unit}");
        }
    }

    #[test]
    fn a_declared_unit_is_refused_at_its_place() {
        let mut checks = Checks::new();
        check_declared(&mut checks, "/limits/0/unit", "tokens");
        check_declared(&mut checks, "/limits/1/unit", "credits");
        let errors = checks.finish().unwrap_err().errors;
        let detail =
            "`tokens` is never reported by that name; use `input_tokens` or `output_tokens`";
        assert_eq!(
            (errors[0].pointer.as_str(), errors[0].detail.as_str()),
            ("/limits/0/unit", detail)
        );
        assert_eq!(errors.len(), 1);
    }

    #[test]
    fn a_reported_near_miss_is_refused_as_money_and_hinted_at_otherwise() {
        let refused = |unit: &str| {
            let mut checks = Checks::new();
            check_money(&mut checks, "/a", unit);
            checks.finish().is_err()
        };
        for unit in ["usd_micro", "cost_usd", "dollars", "cents", "usd_mircos"] {
            assert!(refused(unit), "{unit}");
        }
        for unit in ["usd", "usd_micros", "usd_saved", "tokens", "calls", "toolcalls"] {
            assert!(!refused(unit), "{unit}");
        }
        let said =
            hints(["tokens", "usd", "calls", "tokens", "input_tokens", "toolcalls"].into_iter());
        let said: Vec<_> = said.into_iter().map(|one| (one.unit, one.meant.join(" "))).collect();
        let want = [("tokens", "input_tokens output_tokens"), ("toolcalls", "tool_calls")];
        assert_eq!(said, want.map(|(unit, meant)| (unit.to_owned(), meant.to_owned())));
    }

    proptest! {
        /// The words of a known unit are it in any order, with fillers, and run together; one word that
        /// says something else makes the name free.
        #[test]
        fn words_in_any_order_are_noticed(
            known in prop::sample::select(&KNOWN[..]), filler in prop::sample::select(FILLERS),
            turn in 0..3usize, other in "(saved|audio|eur|units|zz)",
        ) {
            let mut words: Vec<&str> = known.split('_').chain([filler]).collect();
            let turn = turn % words.len();
            words.rotate_left(turn);
            let name = words.join("_");
            prop_assert!(meant(&name).contains(&known) || name == known, "{}", name);
            prop_assert_eq!(meant(&format!("{name}_{other}")), [""; 0]);
        }

        /// One letter off any long name is noticed, and no name that is known is ever refused.
        #[test]
        fn one_letter_off_is_noticed(
            known in prop::sample::select(&KNOWN[..8]), at in 0..64usize, letter in "[a-z]", kind in 0..3,
        ) {
            let at = at % known.len();
            prop_assume!(known.as_bytes()[at] != b'_');
            let mut name = known.to_owned();
            match kind {
                0 => name.replace_range(at..=at, &letter),
                1 => name.replace_range(at..=at, ""),
                _ => name.insert_str(at, &letter),
            }
            prop_assert_eq!(meant(&name).is_empty(), KNOWN.contains(&name.as_str()));
        }

        #[test]
        fn any_name_is_judged(unit in "[a-z0-9_]{0,40}") {
            prop_assert!(meant(&unit).iter().all(|meant| KNOWN.contains(meant)));
        }
    }
}
