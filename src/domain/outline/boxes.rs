//! Boxes: `[ ]`, `[x]`, and what people write instead.
//!
//! A box that is not read is a task that disappears, so the reader is generous: other marks, other
//! bullets, a missing bullet and a missing space are boxes all the same. What stays text is a link, a
//! tag (`[US1]`, `[P]`) and a citation (`[1]`).

/// Content of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BoxMark {
    Open,
    Done,
    /// Neither open nor done by any convention: open, with a note.
    Unknown,
}

/// Signs that stand for a box as a whole.
const SIGNS: [(char, BoxMark); 7] = [
    ('☐', BoxMark::Open),
    ('⬜', BoxMark::Open),
    ('🔲', BoxMark::Open),
    ('🗹', BoxMark::Done),
    ('☑', BoxMark::Done),
    ('☒', BoxMark::Done),
    ('🗷', BoxMark::Done),
];

const VARIATION: char = '\u{fe0f}';

/// States written as words: `[WIP]`, `[in progress]`.
const STATES: &str = "\
    done|complete|completed|finished|fixed|closed|resolved|ok|yes|no|wip|todo|to do|to-do|open|new|\
    doing|started|active|ongoing|pending|blocked|waiting|hold|on hold|paused|later|next|deferred|\
    postponed|skip|skipped|partial|partly|in progress|in-progress|in review|review|testing|tbd|n/a|\
    cancelled|canceled|dropped|wontfix|failed|half";

/// The box at the start of an item's text, and the text after it.
pub(super) fn take(text: &str) -> (Option<BoxMark>, &str) {
    plain(text).map_or((None, text), |(mark, rest)| (Some(mark), rest.trim()))
}

fn plain(text: &str) -> Option<(BoxMark, &str)> {
    let first = text.chars().next()?;
    if let Some((sign, mark)) = SIGNS.into_iter().find(|(sign, _)| *sign == first) {
        return Some((mark, text[sign.len_utf8()..].trim_start_matches(VARIATION)));
    }
    let (inside, rest) = bracketed(text)?;
    // `[x](target)`, `[x][ref]` and `[x]: target` are links.
    if rest.starts_with(['(', '[', ':']) {
        return None;
    }
    let free = rest.is_empty() || rest.starts_with(char::is_whitespace);
    let round = text.starts_with('(');
    match certain(inside) {
        // `(x)` is also an enumeration and a function; alone it is a box.
        Some(mark) => (!round || (free && !inside.is_empty())).then_some((mark, rest)),
        None => (free && !round && is_unknown(inside)).then_some((BoxMark::Unknown, rest)),
    }
}

fn bracketed(text: &str) -> Option<(&str, &str)> {
    const PAIRS: [(char, char); 4] = [('[', ']'), ('［', '］'), ('【', '】'), ('(', ')')];
    let (open, close) = PAIRS.into_iter().find(|(open, _)| text.starts_with(*open))?;
    text[open.len_utf8()..].split_once(close)
}

/// What a mark means without doubt.
fn certain(inside: &str) -> Option<BoxMark> {
    if inside.chars().count() > 4 {
        return None;
    }
    match inside.trim() {
        "" | "~" | "-" | "\u{3000}" => Some(BoxMark::Open),
        "x" | "X" | "✓" | "✔" | "✔\u{fe0f}" | "✅" | "☑" | "☑\u{fe0f}" => {
            Some(BoxMark::Done)
        }
        _ => None,
    }
}

/// `[/]`, `[>]`, `[WIP]`, `[50%]`, `[1/3]`; not `[P]`, `[US1]`, `[1]`, `[...]`.
fn is_unknown(inside: &str) -> bool {
    let inside = inside.trim();
    let mut chars = inside.chars();
    let single = chars.next().filter(|_| chars.next().is_none());
    let letter = single.is_some_and(|c| c.is_alphabetic() && c != 'P');
    let sign = inside.chars().count() <= 3
        && !inside.chars().any(|c| c.is_alphanumeric() || matches!(c, '.' | '…' | '^' | '`'));
    let ratio = inside.starts_with(|c: char| c.is_ascii_digit())
        && (inside.ends_with('%') || inside.contains('/'))
        && inside.chars().all(|c| c.is_ascii_digit() || matches!(c, '%' | '/'));
    letter || sign || ratio || is_state(inside)
}

fn is_state(inside: &str) -> bool {
    let lower = inside.to_lowercase();
    STATES.split('|').any(|state| state == lower)
}

/// The box at the start of a line without a list marker. Words and letters are none there: `[A] text`
/// begins a paragraph.
pub(super) fn is_bare(text: &str) -> bool {
    let Some((mark, rest)) = plain(text) else { return false };
    let free = rest.is_empty() || rest.starts_with(char::is_whitespace);
    let worded = |inside: &str| inside.chars().any(char::is_alphanumeric);
    match mark {
        BoxMark::Open | BoxMark::Done => free && !text.starts_with('('),
        BoxMark::Unknown => bracketed(text).is_some_and(|(inside, _)| !worded(inside)),
    }
}

/// Whether a box stands anywhere in the text, outside code spans.
pub(super) fn anywhere(text: &str) -> bool {
    let mut quoted = false;
    text.split('`').any(|part| {
        let found = !quoted && part.char_indices().any(|(at, c)| is_box_at(part, at, c));
        quoted = !quoted;
        found
    })
}

fn is_box_at(text: &str, at: usize, c: char) -> bool {
    if c != '[' && !SIGNS.iter().any(|(sign, _)| *sign == c) {
        return false;
    }
    let before = text[..at].chars().next_back();
    let free = before.is_none_or(|c| c.is_whitespace() || matches!(c, '|' | '\\' | '>'));
    free && (is_box(&text[at..]) || is_escaped(&text[at..]))
}

fn is_box(text: &str) -> bool {
    let Some((mark, rest)) = plain(text) else { return false };
    let free = rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || c == '|');
    free && mark != BoxMark::Unknown && !text.starts_with("[]")
}

/// `\[ \]`, as some programs export it.
fn is_escaped(text: &str) -> bool {
    ["[ \\]", "[x\\]", "[X\\]"].iter().any(|sign| text.starts_with(sign))
}

/// The text without the marks that strike it out as a whole, if they do; a remark may follow.
pub(super) fn struck(text: &str) -> Option<(&str, &str)> {
    const MARKS: [(&str, &str); 4] =
        [("~~", "~~"), ("<s>", "</s>"), ("<del>", "</del>"), ("<strike>", "</strike>")];
    let text = text.trim();
    let (inner, rest) = MARKS.into_iter().find_map(|(open, close)| {
        let (inner, rest) = text.strip_prefix(open)?.split_once(close)?;
        (!inner.trim().is_empty()).then_some((inner.trim(), rest.trim()))
    })?;
    let remark = rest.is_empty() || !rest.starts_with(char::is_alphanumeric);
    remark.then_some((inner, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_tags_and_citations_are_no_boxes() {
        for text in ["[x](t) a", "[a][b] c", "[P] a", "[US1] a", "[1] a", "[...] a", "[ab] c"] {
            assert_eq!(take(text).0, None, "{text}");
        }
    }

    #[test]
    fn every_mark_that_is_no_convention_is_unknown() {
        for mark in ["/", ">", "?", "!", "WIP", "done", "in progress", "50%", "1/3", "o", "⏭️"]
        {
            let text = format!("[{mark}] a");
            assert_eq!(take(&text), (Some(BoxMark::Unknown), "a"), "{mark}");
        }
    }

    #[test]
    fn a_remark_may_follow_what_is_struck_out() {
        assert_eq!(struck("~~a~~ (moved to v2)"), Some(("a", "(moved to v2)")));
        assert_eq!(struck("<del>a</del>"), Some(("a", "")));
        assert_eq!(struck("~~a~~ b"), None);
        assert_eq!(struck("a ~~b~~"), None);
    }
}
