//! Tables of a few tokens, and files that are none.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A vocabulary of a few tokens, each with a direction of its own.
fn files() -> (Vec<u8>, Vec<u8>) {
    let tokens = ["▁", "a", "b", "c", "▁a", "ab", "▁ab", "<0xC3>", "<0xA9>"];
    let vocab: serde_json::Map<String, serde_json::Value> =
        tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
    let merges = json!(["▁ a", "a b", ["▁a", "b"]]);
    let tokenizer = json!({"model": {"type": "BPE", "vocab": vocab, "merges": merges}});
    let columns = DIMENSIONS + 2;
    let mut data = Vec::new();
    for token in 0..tokens.len() {
        for column in 0..columns {
            let part = if column % tokens.len() == token { 1.0_f32 } else { 0.25 };
            data.extend(part.to_le_bytes());
        }
    }
    let header = json!({"w": {"dtype": "F32", "shape": [tokens.len(), columns],
        "data_offsets": [0, data.len()]}})
    .to_string();
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend(header.as_bytes());
    weights.extend(data);
    (weights, tokenizer.to_string().into_bytes())
}

fn table() -> Table {
    let (weights, tokenizer) = files();
    Table::read(&weights, &tokenizer).unwrap()
}

#[test]
fn words_are_merged_by_rank_and_unknown_characters_are_bytes() {
    let table = table();
    let tokens = |text: &str| table.tokenizer.tokens(text, 100);
    assert_eq!(tokens("ab"), [6], "the beginning of a word is merged first");
    assert_eq!(tokens("cab"), [0, 3, 5]);
    assert_eq!(tokens("é"), [0, 7, 8]);
    assert_eq!(tokens("  a\n c "), [4, 0, 3]);
    assert_eq!(tokens("𝄞"), [0], "bytes without tokens are left out");
    assert!(tokens("").is_empty() && table.embed(" \n").is_none());
}

#[test]
fn the_vector_of_a_text_is_the_mean_of_its_tokens() {
    let table = table();
    let vector = |text: &str| table.embed(text).unwrap();
    assert!((cosine(&vector("ab"), &vector("ab ab")) - 1.0).abs() < 1e-4);
    let mixed = cosine(&vector("ab c"), &vector("ab"));
    assert!(mixed > cosine(&vector("c"), &vector("ab")) && mixed < 0.999, "{mixed}");
}

#[test]
fn a_table_is_the_same_after_storing() {
    let table = table();
    let stored = table.to_bytes();
    assert_eq!(Table::from_bytes(&stored).unwrap(), table);
    for cut in 0..stored.len() {
        assert!(Table::from_bytes(&stored[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn wrong_files_are_refused_with_a_reason() {
    let (weights, tokenizer) = files();
    let refused =
        |weights: &[u8], tokenizer: &[u8]| Table::read(weights, tokenizer).unwrap_err().to_string();
    assert!(refused(b"abc", &tokenizer).contains("too short"));
    assert!(refused(&[0xff; 64], &tokenizer).contains("no safetensors"));
    assert!(refused(&weights[..weights.len() - 1], &tokenizer).contains("missing"));
    assert!(refused(&weights, b"{}").contains("tokenizer"));
    let other = String::from_utf8(tokenizer).unwrap().replace("BPE", "Unigram");
    assert!(refused(&weights, other.as_bytes()).contains("byte pair"));
    let vocabulary = |vocab: serde_json::Value| {
        json!({"model": {"type": "BPE", "vocab": vocab, "merges": []}}).to_string().into_bytes()
    };
    assert!(refused(&weights, &vocabulary(json!({}))).contains("no token"));
    let of_bytes = vocabulary(json!({"Ġ": 0, "a": 1}));
    assert!(refused(&weights, &of_bytes).contains("no token"), "words begin otherwise there");
    let long = vocabulary(json!({"▁": 0, "x".repeat(65_536): 1}));
    assert!(refused(&weights, &long).contains("65535 bytes"), "it could not be read again");
    let longest = vocabulary(json!({"▁": 0, "x".repeat(65_535): 1}));
    let table = Table::read(&weights, &longest).unwrap();
    assert_eq!(Table::from_bytes(&table.to_bytes()).unwrap(), table);
}

#[test]
fn a_merge_of_unknown_tokens_is_left_out() {
    let (weights, tokenizer) = files();
    let other = String::from_utf8(tokenizer).unwrap().replace(r#""▁ a","#, r#""z z","▁ a","#);
    let with = Table::read(&weights, other.as_bytes()).unwrap();
    assert_eq!(with, table());
    assert_eq!(Table::from_bytes(&with.to_bytes()).unwrap(), with);
}

#[test]
fn no_more_tokens_are_made_than_count() {
    let table = table();
    let word = "c".repeat(1_000);
    assert_eq!(table.tokenizer.tokens(&word, 1_000_000).len(), 1_001);
    assert_eq!(table.tokenizer.tokens(&word, 10), table.tokenizer.tokens(&word, 1_000_000)[..10]);
}

#[test]
fn a_matrix_of_signed_bytes_is_read() {
    let (_, tokenizer) = files();
    let tokens = 9;
    let data: Vec<u8> = (0..tokens * DIMENSIONS)
        .map(|at| if at / DIMENSIONS == at % tokens { 0x81 } else { 3 })
        .collect();
    let header = json!({"w": {"dtype": "I8", "shape": [tokens, DIMENSIONS],
        "data_offsets": [0, data.len()]}})
    .to_string();
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend(header.as_bytes());
    weights.extend(&data);
    let table = Table::read(&weights, &tokenizer).unwrap();
    let stored: Vec<u8> = table.rows.iter().map(|part| part.cast_unsigned()).collect();
    assert_eq!(stored, data, "the largest part of each row is -127");
}

proptest! {
    #[test]
    fn no_bytes_make_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (weights, tokenizer) = files();
        let _ = Table::read(&bytes, &tokenizer);
        let _ = Table::read(&weights, &bytes);
        let _ = Table::from_bytes(&bytes);
        let mut stored = MAGIC.to_vec();
        stored.extend(&bytes);
        let _ = Table::from_bytes(&stored);
    }

    #[test]
    fn any_text_has_a_vector_of_length_one_or_none(text in "\\PC{0,80}") {
        let table = table();
        if let Some(vector) = table.embed(&text) {
            prop_assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-9);
            prop_assert_eq!(table.embed(&text), Some(vector));
        }
    }
}
