//! Which books are said to disagree.

use super::{gpt_4o, instant};
use crate::domain::price::{BookPrice, Price, PriceSource, Rates, disagreements};

fn row(number: i64, source: Option<PriceSource>, from: &str, price: Price) -> BookPrice {
    let (provider, model) = ("gcp.gemini".to_owned(), "Gem".to_owned());
    BookPrice { number, provider, model, effective_from: instant(from), price, source }
}

#[test]
fn only_the_last_word_of_each_other_book_counts() {
    let other = |input| Price::flat(Rates { input, ..gpt_4o().rates });
    let requests = Price { per_request: 1, ..gpt_4o() };
    let (early, late) = ("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
    let own = [
        row(1, Some(PriceSource::Litellm), early, other(1)),
        row(2, Some(PriceSource::Litellm), late, gpt_4o()),
        row(3, Some(PriceSource::GenaiPrices), early, requests),
        row(4, Some(PriceSource::Operator), early, other(7)),
    ];
    let chosen = BookPrice {
        provider: "google".into(),
        model: "gem".into(),
        ..row(9, Some(PriceSource::Operator), late, gpt_4o())
    };
    let builtin = [row(-1, None, early, gpt_4o())];
    let found = |at| -> Vec<_> {
        let all = disagreements(&[&own, &builtin], &chosen, instant(at));
        all.into_iter().map(|other| (other.source, other.differs.join(" "))).collect()
    };
    let genai = (Some(PriceSource::GenaiPrices), "per_request".to_owned());
    assert_eq!(found("2026-02-01T00:00:00Z"), vec![genai.clone()]);
    let litellm = (Some(PriceSource::Litellm), "input".to_owned());
    assert_eq!(found("2025-02-01T00:00:00Z"), vec![litellm, genai]);
    assert_eq!(found("2024-02-01T00:00:00Z"), vec![]);
}
