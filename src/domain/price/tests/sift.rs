//! What of a price file is new.

use super::{gpt_4o, instant};
use crate::domain::price::{
    BookPrice, Imported, Price, PriceSource, Rates, SkipReason, Terms, choose,
    import::{genai_prices, litellm},
    sift,
};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: &str = "2026-11-29T12:00:00Z";

fn terms() -> Terms {
    Terms { source: PriceSource::GenaiPrices, from: instant(NOW), force: false }
}

fn rate(input: i64) -> Value {
    json!({"input_mtok": input, "output_mtok": input})
}

fn dated(date: &str, input: i64) -> Value {
    json!({"constraint": {"start_date": date}, "prices": rate(input)})
}

fn file(prices: Value) -> Imported {
    genai_prices::read(&json!([{"id": "p", "models": [{"id": "m", "prices": prices}]}]))
}

/// The book after an import.
fn import(mut book: Vec<BookPrice>, imported: Imported, terms: Terms) -> Vec<BookPrice> {
    let sifted = sift(imported, &book, &[], terms);
    for (price, effective_from) in sifted.added {
        book.push(BookPrice {
            number: book.len() as i64 + 1,
            provider: price.provider,
            model: price.model,
            effective_from,
            price: price.price,
            source: Some(terms.source),
        });
    }
    book
}

/// Dollars per million input tokens.
fn at(book: &[BookPrice], at: DateTime<Utc>) -> Option<i64> {
    choose(&[book], Some("p"), "m", at).map(|row| row.price.rates.input / 1_000_000)
}

#[test]
fn the_set_that_holds_at_the_time_of_the_call_wins() {
    let sets = json!([{"prices": rate(10)}, dated("2026-03-13", 1)]);
    let book = import(Vec::new(), file(sets), terms());
    let today = instant(NOW);
    assert_eq!(at(&book, today), Some(1));
    assert_eq!(at(&book, instant("2026-03-13T00:00:00Z")), Some(1));
    assert_eq!(at(&book, instant("2026-03-12T23:59:59Z")), Some(10));
    // A date of the future replaces the set without one when it comes.
    let sets = json!([{"prices": rate(10)}, dated("2026-12-24", 1)]);
    let book = import(Vec::new(), file(sets), terms());
    assert_eq!((at(&book, today), book.len()), (Some(10), 2));
    assert_eq!(at(&book, instant("2026-12-24T00:00:00Z")), Some(1));
    // Of several dates the newest that has come.
    let sets = json!([{"prices": rate(9)}, dated("2025-01-01", 8), dated("2026-01-01", 7), dated("2027-01-01", 6)]);
    let book = import(Vec::new(), file(sets), terms());
    assert_eq!((at(&book, today), at(&book, instant("2025-06-01T00:00:00Z"))), (Some(7), Some(8)));
    // A later set precedes an earlier one whatever its date.
    let sets = json!([dated("2026-03-13", 1), {"prices": rate(10)}]);
    let book = import(Vec::new(), file(sets), terms());
    assert_eq!((at(&book, today), book.len()), (Some(10), 1));
    let sets = json!([{"prices": rate(3)}, dated("2026-06-01", 2), dated("2026-03-01", 1)]);
    let book = import(Vec::new(), file(sets), terms());
    assert_eq!((at(&book, today), book.len()), (Some(1), 2));
}

#[test]
fn an_import_mends_what_an_earlier_one_got_wrong() {
    // An import of before stored the set without a date from its own time on.
    let wrong = import(
        Vec::new(),
        file(rate(10)),
        Terms { from: instant("2026-06-01T00:00:00Z"), ..terms() },
    );
    let sets = json!([{"prices": rate(10)}, dated("2026-03-13", 1)]);
    let book = import(wrong, file(sets.clone()), terms());
    assert_eq!(at(&book, instant(NOW)), Some(1));
    let again = sift(file(sets), &book, &[], terms());
    assert_eq!((again.added, again.unchanged), (Vec::new(), 2));
}

#[test]
fn a_price_of_zero_in_a_file_is_a_price() {
    let file = json!({
        "ollama/llama3": {"litellm_provider": "ollama", "mode": "chat",
            "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
        "lyria": {"litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 0,
            "output_cost_per_token": 0, "output_cost_per_image": 0.04}
    });
    let read = litellm::read(&file);
    let names: Vec<_> = read.prices.iter().map(|price| price.model.as_str()).collect();
    assert_eq!((names, read.skipped[0].reason), (vec!["llama3"], SkipReason::NotText));
    assert_eq!(read.prices[0].price.rates.output, 0);
    let sifted = sift(read, &[], &[], terms());
    assert_eq!((sifted.added.len(), sifted.skipped.len()), (1, 1));
    let free = json!([{"id": "p", "models": [
        {"id": "m", "prices": rate(0)},
        {"id": "n", "prices": {"input_mtok": 0, "input_audio_mtok": 3}}]}]);
    let read = genai_prices::read(&free);
    assert_eq!((read.prices.len(), read.skipped[0].reason), (1, SkipReason::NotText));
    // Also where the book says something else, and the other way; another factor looks like a slip.
    let book = import(
        Vec::new(),
        self::file(rate(10)),
        Terms { from: instant("2026-06-01T00:00:00Z"), ..terms() },
    );
    assert_eq!(sift(self::file(rate(0)), &book, &[], terms()).added.len(), 1);
    assert_eq!(sift(self::file(rate(0)), &[], &book, terms()).added.len(), 1);
    let cached = json!({"input_mtok": 10, "output_mtok": 10, "cache_read_mtok": 0});
    assert_eq!(sift(self::file(cached), &book, &[], terms()).added.len(), 1);
    let free = import(Vec::new(), self::file(rate(0)), terms());
    let later = Terms { from: terms().from + TimeDelta::days(1), ..terms() };
    assert_eq!(sift(self::file(rate(10)), &free, &[], later).added.len(), 1);
    let small = json!({"input_mtok": 0.09, "output_mtok": 0.09});
    let sifted = sift(self::file(small.clone()), &book, &[], terms());
    assert_eq!((sifted.added.len(), sifted.skipped[0].reason), (0, SkipReason::Absurd));
    let forced = Terms { force: true, ..terms() };
    assert_eq!(sift(self::file(small), &book, &[], forced).added.len(), 1);
}

#[test]
fn rare_and_serious_reasons_come_first() {
    let entry = |mode: &str, rate: f64| {
        json!({"litellm_provider": "p", "mode": mode, "input_cost_per_token": rate,
               "output_cost_per_token": rate})
    };
    let mut file = json!({"z-dear": entry("chat", 0.0032), "y-dear": entry("chat", 0.0032),
        "x-bad": entry("chat", -1.0), "sample_spec": entry("chat", 1e-6)});
    for n in 0..9 {
        file[format!("image-{n}")] = entry("image_generation", 1e-6);
    }
    let sifted = sift(litellm::read(&file), &[], &[], terms());
    let counts: Vec<_> =
        sifted.reasons.iter().map(|one| (one.reason.as_str(), one.count)).collect();
    assert_eq!(counts, [("bad_rate", 1), ("absurd", 2), ("sample", 1), ("not_text", 9)]);
    let first: Vec<_> = sifted.skipped.iter().map(|entry| entry.name.as_str()).take(5).collect();
    assert_eq!(first, ["x-bad", "y-dear", "z-dear", "sample_spec", "image-0"]);
    assert_eq!(sifted.skipped.len(), 13);
}

#[test]
fn books_that_disagree_are_reported() {
    let row = |number, source, input| BookPrice {
        number,
        provider: "p".into(),
        model: "M".into(),
        effective_from: instant("2026-01-01T00:00:00Z"),
        price: Price::flat(Rates { input, ..gpt_4o().rates }),
        source,
    };
    let own = [
        row(1, Some(PriceSource::Litellm), 3_000_000),
        row(2, Some(PriceSource::GenaiPrices), 4_000_000),
    ];
    let sets = json!({"input_mtok": 5, "output_mtok": 10, "cache_read_mtok": 1.25});
    let sifted = sift(file(sets), &own, &[row(-1, None, 5_000_000)], terms());
    let found: Vec<_> =
        sifted.disagreements.iter().map(|other| (other.source, other.differs.join(" "))).collect();
    let write = "cache_write cache_write_1h";
    let want = [(None, write.to_owned()), (Some(PriceSource::Litellm), format!("input {write}"))];
    assert_eq!(found, want);
}

proptest! {
    /// The price at any time from the import on is the last set of the file that applies then, and a
    /// second import of the file adds nothing.
    #[test]
    fn the_book_says_what_the_file_says(
        sets in prop::collection::vec((prop::option::of(0..4_000i64), 1..60i64), 1..6),
        before in prop::collection::vec((0..4_000i64, 1..60i64), 0..3),
        from in 0..4_000i64, later in 0..2_000i64,
    ) {
        let start = instant("2018-01-01T00:00:00Z");
        let day = |n: i64| start + TimeDelta::days(n);
        let json: Vec<Value> = sets.iter().map(|(on, input)| match on {
            Some(on) => dated(&day(*on).format("%Y-%m-%d").to_string(), *input),
            None => json!({"prices": rate(*input)}),
        }).collect();
        let book: Vec<BookPrice> = before.iter().zip(1..).map(|((on, input), number)| BookPrice {
            number, provider: "p".into(), model: "m".into(), effective_from: day(*on),
            price: Price::flat(Rates { input: input * 1_000_000, ..gpt_4o().rates }),
            source: Some(PriceSource::Operator),
        }).collect();
        let terms = Terms { from: day(from), ..terms() };
        // What starts after the import elsewhere is another's later word.
        let book: Vec<_> = book.into_iter().filter(|row| row.effective_from <= terms.from).collect();
        let known = book.clone();
        let after = import(book, file(json!(json)), terms);
        let call = terms.from + TimeDelta::days(later);
        let applies = |on: &Option<i64>| on.is_none_or(|on| day(on) <= call);
        let oracle = sets.iter().rev().find(|(on, _)| applies(on)).map(|(_, input)| *input);
        prop_assert_eq!(at(&after, call), oracle.or(at(&known, call)));
        prop_assert_eq!(sift(file(json!(json)), &after, &[], terms).added, vec![]);
    }
}
