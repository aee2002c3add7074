//! Control characters in documents.
//!
//! One stray character of a terminal or a word processor must not refuse a document of 30 KB. A
//! document is read without them; everywhere else they are refused, with their place.

use std::borrow::Cow;

/// A control character that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// The character.
    pub char: char,
    /// Its line in the text, from 1.
    pub line: u32,
    /// Its place in the line, in characters from 1.
    pub column: u32,
}

/// Whether a text may hold the character: every one but C0 and C1 controls other than line breaks and
/// tabs.
#[must_use]
pub fn is_allowed(c: char) -> bool {
    !c.is_control() || matches!(c, '\n' | '\r' | '\t')
}

/// The text without control characters, and those that were dropped. Lines keep their numbers.
#[must_use]
pub fn drop(text: &str) -> (Cow<'_, str>, Vec<Dropped>) {
    let found = find(text);
    if found.is_empty() {
        return (Cow::Borrowed(text), found);
    }
    (Cow::Owned(text.chars().filter(|c| is_allowed(*c)).collect()), found)
}

/// The control characters of a text, in order.
#[must_use]
pub fn find(text: &str) -> Vec<Dropped> {
    let (mut line, mut column) = (1u32, 0u32);
    let mut found = Vec::new();
    let mut previous = None;
    for c in text.chars() {
        column = column.saturating_add(1);
        if !is_allowed(c) {
            found.push(Dropped { char: c, line, column });
        }
        // `\r\n` is one line break, a lone `\r` is one too.
        if c == '\r' || (c == '\n' && previous != Some('\r')) {
            line = line.saturating_add(1);
        }
        if matches!(c, '\r' | '\n') {
            column = 0;
        }
        previous = Some(c);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_characters_are_dropped_and_their_places_are_known() {
        let (text, dropped) = drop("a\u{9d}b\r\n\tc\u{0}\u{1b}\rd\u{7f}\u{85}é🎯\u{200b}");
        assert_eq!(text, "ab\r\n\tc\rdé🎯\u{200b}");
        let places: Vec<(char, u32, u32)> =
            dropped.iter().map(|found| (found.char, found.line, found.column)).collect();
        assert_eq!(
            places,
            [
                ('\u{9d}', 1, 2),
                ('\u{0}', 2, 3),
                ('\u{1b}', 2, 4),
                ('\u{7f}', 3, 2),
                ('\u{85}', 3, 3)
            ]
        );
    }

    #[test]
    fn a_clean_text_is_not_copied() {
        assert!(matches!(drop("a\tb\r\n"), (Cow::Borrowed(_), dropped) if dropped.is_empty()));
    }
}
