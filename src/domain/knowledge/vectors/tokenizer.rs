//! Byte pair encoding as published with word vectors: a vocabulary, and merges in the order of their rank.
//!
//! A word begins with `▁` in place of the blank before it. Its characters are merged, the pair of the lowest rank first,
//! until no pair is left (R. Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016). A
//! character that the vocabulary does not have is its bytes (`<0xE2>`). A word is tokenized by itself: no merge of such
//! a vocabulary crosses the beginning of a word.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::Fault;

/// Characters of a word that are merged at once; longer words are cut.
const WORD: usize = 64;
/// Bytes of the longest token: its length is stored in two.
const TOKEN: usize = u16::MAX as usize;
/// Begins words; a vocabulary without it is of another kind of byte pair encoding.
const BLANK: char = '▁';

/// A vocabulary with its merges.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tokenizer {
    /// The tokens by id.
    tokens: Vec<String>,
    ids: HashMap<String, u32>,
    /// Rank and outcome of the merge of two tokens.
    merges: HashMap<(u32, u32), (u32, u32)>,
}

#[derive(Deserialize)]
struct Description {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    r#type: Option<String>,
    vocab: HashMap<String, u32>,
    merges: Vec<Value>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    pub fn read(file: &[u8]) -> Result<Self, Fault> {
        let wrong = |why: String| Fault::Tokenizer(why);
        let described: Description =
            serde_json::from_slice(file).map_err(|error| wrong(error.to_string()))?;
        let Model { r#type, vocab, merges } = described.model;
        if r#type.as_deref().is_some_and(|name| name != "BPE") {
            return Err(wrong("it is no byte pair encoding (BPE)".to_owned()));
        }
        if !vocab.contains_key(BLANK.encode_utf8(&mut [0; 4])) {
            return Err(wrong(format!("its vocabulary has no token {BLANK}")));
        }
        if vocab.keys().any(|token| token.len() > TOKEN) {
            return Err(wrong(format!("it has a token of more than {TOKEN} bytes")));
        }
        let count = vocab.len();
        let mut tokens = vec![None; count];
        for (token, id) in vocab {
            let place = tokens.get_mut(id as usize);
            let place =
                place.ok_or_else(|| wrong(format!("its ids are not 0 to {}", count - 1)))?;
            *place = Some(token);
        }
        let tokens: Option<Vec<String>> = tokens.into_iter().collect();
        let tokens = tokens.ok_or_else(|| wrong("two tokens have the same id".to_owned()))?;
        let mut pairs = Vec::with_capacity(merges.len());
        for merge in &merges {
            let pair = pair(merge).ok_or_else(|| wrong(format!("{merge} is no merge")))?;
            pairs.push(pair);
        }
        Ok(Self::of(tokens, pairs.iter().map(|(left, right)| (left.as_str(), right.as_str()))))
    }

    fn of<'a>(tokens: Vec<String>, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let ids: HashMap<String, u32> =
            (0_u32..).zip(&tokens).map(|(id, token)| (token.clone(), id)).collect();
        let mut merges = HashMap::new();
        // A merge of unknown tokens has no rank, as it has none in the stored form.
        let mut rank = 0_u32;
        for (left, right) in pairs {
            let merged = format!("{left}{right}");
            if let (Some(left), Some(right), Some(merged)) =
                (ids.get(left), ids.get(right), ids.get(merged.as_str()))
            {
                merges.entry((*left, *right)).or_insert((rank, *merged));
                rank += 1;
            }
        }
        Self { tokens, ids, merges }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The first `most` tokens of a text.
    pub fn tokens(&self, text: &str, most: usize) -> Vec<u32> {
        let mut tokens = Vec::new();
        for word in text.split_whitespace() {
            let chars: Vec<char> = std::iter::once(BLANK).chain(word.chars()).collect();
            for part in chars.chunks(WORD) {
                tokens.extend(self.merged(part));
                if tokens.len() >= most {
                    tokens.truncate(most);
                    return tokens;
                }
            }
        }
        tokens
    }

    fn merged(&self, chars: &[char]) -> Vec<u32> {
        let mut symbols: Vec<u32> = Vec::with_capacity(chars.len());
        let mut text = [0; 4];
        for c in chars {
            let encoded: &str = c.encode_utf8(&mut text);
            match self.ids.get(encoded) {
                Some(id) => symbols.push(*id),
                None => symbols.extend(
                    encoded
                        .bytes()
                        .filter_map(|byte| self.ids.get(&format!("<0x{byte:02X}>")).copied()),
                ),
            }
        }
        loop {
            let ranked = symbols.windows(2).enumerate().filter_map(|(at, pair)| {
                let (rank, merged) = self.merges.get(&(pair[0], pair[1]))?;
                Some((*rank, at, *merged))
            });
            let Some((_, at, merged)) = ranked.min() else { return symbols };
            symbols[at] = merged;
            symbols.remove(at + 1);
        }
    }

    /// Writes the stored form: counts in 4 bytes, each token with its length in 2, each merge as two ids in its rank.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        bytes.extend(count(self.tokens.len()));
        for token in &self.tokens {
            bytes.extend(u16::try_from(token.len()).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend(token.as_bytes());
        }
        let mut merges: Vec<(u32, u32, u32)> =
            self.merges.iter().map(|((left, right), (rank, _))| (*rank, *left, *right)).collect();
        merges.sort_unstable();
        bytes.extend(count(merges.len()));
        for (_, left, right) in merges {
            bytes.extend(left.to_le_bytes());
            bytes.extend(right.to_le_bytes());
        }
    }

    /// Reads the stored form from the beginning of `rest`, which is behind it afterwards.
    pub fn stored(rest: &mut &[u8]) -> Result<Self, Fault> {
        let count = number(rest)?;
        let mut tokens = Vec::new();
        for _ in 0..count {
            let length = usize::from(u16::from_le_bytes(take(rest)?));
            let (token, behind) = rest.split_at_checked(length).ok_or(SHORT)?;
            *rest = behind;
            let token = std::str::from_utf8(token);
            tokens.push(token.map_err(|_| Fault::Stored("a token is no text"))?.to_owned());
        }
        let merges = number(rest)?;
        let mut pairs = Vec::new();
        for _ in 0..merges {
            let (left, right) = (number(rest)?, number(rest)?);
            if left as usize >= tokens.len() || right as usize >= tokens.len() {
                return Err(Fault::Stored("a merge names no token"));
            }
            pairs.push((left as usize, right as usize));
        }
        let names: Vec<String> = tokens.clone();
        let pairs =
            pairs.iter().map(|(left, right)| (names[*left].as_str(), names[*right].as_str()));
        Ok(Self::of(tokens, pairs))
    }
}

const SHORT: Fault = Fault::Stored("it ends too early");

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (taken, behind) = rest.split_first_chunk::<N>().ok_or(SHORT)?;
    *rest = behind;
    Ok(*taken)
}

fn number(rest: &mut &[u8]) -> Result<u32, Fault> {
    Ok(u32::from_le_bytes(take(rest)?))
}

/// A merge: `"a b"`, or in newer files `["a", "b"]`.
fn pair(merge: &Value) -> Option<(String, String)> {
    if let Some(text) = merge.as_str() {
        let (left, right) = text.split_once(' ')?;
        return Some((left.to_owned(), right.to_owned()));
    }
    match merge.as_array()?.as_slice() {
        [left, right] => Some((left.as_str()?.to_owned(), right.as_str()?.to_owned())),
        _ => None,
    }
}
