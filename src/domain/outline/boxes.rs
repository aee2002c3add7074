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
const SIGNS: [(char, BoxMark); 12] = [
    ('☐', BoxMark::Open),
    ('⬜', BoxMark::Open),
    ('🔲', BoxMark::Open),
    ('□', BoxMark::Open),
    ('◻', BoxMark::Open),
    ('▢', BoxMark::Open),
    ('❏', BoxMark::Open),
    ('❑', BoxMark::Open),
    ('🗹', BoxMark::Done),
    ('☑', BoxMark::Done),
    ('☒', BoxMark::Done),
    ('🗷', BoxMark::Done),
];

const VARIATION: char = '\u{fe0f}';

/// Signs that say how far something is, without being boxes.
const STATUS: &str = "✅✔✓❌✖❎⏳⌛🚧🔄🔁🔜⏸⏭🏗⭕🔘⚪⚫⬛🟡🟢🔴🟠🔵🟩🟨🟥🆕";

/// Words of states: `[WIP]`, `[Not started]`.
const STATES: &str = "\
    done|complete|completed|finished|fixed|closed|resolved|merged|shipped|deployed|released|\
    verified|ok|yes|no|not|wip|todo|open|new|doing|started|unstarted|incomplete|active|ongoing|\
    pending|blocked|waiting|wait|hold|paused|later|next|deferred|postponed|skip|skipped|partial|\
    partly|partially|progress|review|reviewing|testing|tbd|n/a|cancelled|canceled|dropped|wontfix|\
    failed|half|ready|queued|backlog|planned|scheduled|stuck|underway";

/// Words beside them, which alone are tags: `[In Dev]`, not `[Dev]`.
const BESIDE_STATES: &str = "in|on|to|do|for|up|under|work|working|dev|development|qa|test|needs";

/// Most characters in a bracket that may be a box.
const WIDEST: usize = 24;

/// Characters in which a bracket must end to be read at all. Every bracket of a line may be a box, and one that is
/// never closed would be searched to the end of the line each time.
const LONGEST_BRACKET: usize = 100;

/// Characters of the target of a link in which its scheme stands.
const LONGEST_SCHEME: usize = 100;

/// Whether a character is a box by itself.
pub(super) fn is_sign(c: char) -> bool {
    SIGNS.iter().any(|(sign, _)| *sign == c)
}

/// The box at the start of an item's text, and the text after it; emphasis may stand around either.
pub(super) fn take(text: &str) -> (Option<BoxMark>, &str) {
    decorated(text).map_or((None, text), |(mark, rest)| (Some(mark), rest.trim()))
}

/// `**[ ]** text`, `**[ ] text**`.
fn decorated(text: &str) -> Option<(BoxMark, &str)> {
    let inner = text.trim_start_matches(['*', '_', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}']);
    let around = text[..text.len() - inner.len()].trim_matches(|c| !matches!(c, '*' | '_'));
    let (mark, rest) = plain(inner)?;
    let after = rest.strip_prefix(around);
    Some((mark, after.or_else(|| rest.trim_end().strip_suffix(around)).unwrap_or(rest)))
}

fn plain(text: &str) -> Option<(BoxMark, &str)> {
    let first = text.chars().next()?;
    if let Some((sign, mark)) = SIGNS.into_iter().find(|(sign, _)| *sign == first) {
        return Some((mark, text[sign.len_utf8()..].trim_start_matches(VARIATION)));
    }
    if first == '<' {
        return input(text);
    }
    let (inside, rest) = bracketed(text)?;
    let rest = unlinked(inside, rest)?;
    let free =
        rest.is_empty() || rest.starts_with([' ', '\t', '[', '*', '_', '\u{a0}', '\u{3000}']);
    let weak = text.starts_with(['(', '{']);
    match certain(inside) {
        // `(x)` is also an enumeration and a function; alone it is a box.
        Some(mark) => (!weak || (free && !inside.is_empty())).then_some((mark, rest)),
        None => (free && !weak && is_unknown(inside)).then_some((BoxMark::Unknown, rest)),
    }
}

/// `<input type="checkbox" checked>`
fn input(text: &str) -> Option<(BoxMark, &str)> {
    let (tag, rest) = text.strip_prefix("<input ")?.split_once('>')?;
    let (before, after) = tag.split_once("checkbox")?;
    let ticked = before.contains("checked") || after.contains("checked");
    Some((if ticked { BoxMark::Done } else { BoxMark::Open }, rest))
}

fn bracketed(text: &str) -> Option<(&str, &str)> {
    const PAIRS: [(char, char); 5] =
        [('[', ']'), ('［', '］'), ('【', '】'), ('(', ')'), ('{', '}')];
    let (open, close) = PAIRS.into_iter().find(|(open, _)| text.starts_with(*open))?;
    let inner = &text[open.len_utf8()..];
    let (end, _) = inner.char_indices().take(LONGEST_BRACKET).find(|(_, c)| *c == close)?;
    Some((&inner[..end], &inner[end + close.len_utf8()..]))
}

/// The text after a bracket without a `:` between them, unless both are a link: `[x](target)`,
/// `[x][ref]`, `[x]: target`. In `[x][US1]` a tag follows, and `[ ]` is no link.
fn unlinked<'t>(inside: &str, rest: &'t str) -> Option<&'t str> {
    if rest.starts_with('(') {
        return None;
    }
    let blank = certain(inside) == Some(BoxMark::Open);
    if let Some(after) = rest.strip_prefix('[') {
        return (blank || after.starts_with(char::is_uppercase)).then_some(rest);
    }
    let Some(after) = rest.strip_prefix([':', '：']) else { return Some(rest) };
    let end = after.char_indices().nth(LONGEST_SCHEME).map_or(after.len(), |(end, _)| end);
    let target = after[..end].split_whitespace().next().unwrap_or_default();
    let links = target.contains("://") || target.starts_with(['<', '/', '#', '.']);
    (blank || !(target.is_empty() || links)).then_some(after)
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

/// `[/]`, `[>]`, `[.]`, `[WIP]`, `[50%]`, `[1/3]`; not `[P]`, `[US1]`, `[1]`, `[...]`.
fn is_unknown(inside: &str) -> bool {
    let inside = inside.trim();
    let mut chars = inside.chars();
    let single = chars.next().filter(|_| chars.next().is_none());
    let letter = single.is_some_and(|c| (c.is_alphabetic() && c != 'P') || c == '0');
    let sign = inside.chars().count() <= 3
        && inside != "..."
        && !inside.chars().any(|c| c.is_alphanumeric() || matches!(c, '…' | '^' | '`'));
    let ratio = inside.starts_with(|c: char| c.is_ascii_digit())
        && (inside.ends_with('%') || inside.contains('/'))
        && inside.chars().all(|c| c.is_ascii_digit() || matches!(c, '%' | '/' | ' '));
    letter || sign || ratio || is_state(inside)
}

/// Words of states and nothing else, apart from numbers and signs: `[WIP 50%]`, `[Done ✅]`.
fn is_state(inside: &str) -> bool {
    if inside.chars().count() > WIDEST {
        return false;
    }
    let lower = inside.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphabetic() && c != '/');
    let words: Vec<&str> =
        words.filter(|word| word.chars().any(char::is_alphabetic)).take(5).collect();
    let is = |list: &str, word: &str| list.split('|').any(|known| known == word);
    let state = |word: &str| is(STATES, word);
    let known = |word: &&str| state(word) || is(BESIDE_STATES, word);
    words.iter().all(known) && (words.iter().copied().any(state) || words.len() > 1)
}

/// The box at the start of a line without a list marker. Words and letters are none there: `[A] text`
/// begins a paragraph.
pub(super) fn is_bare(text: &str) -> bool {
    let Some((mark, rest)) = decorated(text) else { return false };
    let free = rest.is_empty() || rest.starts_with(char::is_whitespace);
    let text = text.trim_start_matches(['*', '_']);
    let worded = |inside: &str| inside.chars().any(char::is_alphanumeric);
    match mark {
        BoxMark::Open | BoxMark::Done => {
            (free || text.starts_with("[ ]")) && !text.starts_with(['(', '{'])
        }
        BoxMark::Unknown => bracketed(text).is_some_and(|(inside, _)| !worded(inside)),
    }
}

/// Whether a line without a list marker begins with a state: `[TODO] text`.
pub(super) fn is_worded(text: &str) -> bool {
    let inside = bracketed(text).map(|(inside, _)| inside.trim());
    take(text).0 == Some(BoxMark::Unknown) && inside.is_some_and(|inside| inside.len() > 1)
}

/// Whether an item begins with a bracket that may be meant as a box: no link and no citation.
pub(super) fn is_near(text: &str) -> bool {
    let Some((inside, rest)) = bracketed(text).filter(|_| text.starts_with('[')) else {
        return false;
    };
    let cited = inside.starts_with('^') || inside.bytes().all(|b| b.is_ascii_digit());
    !cited && !rest.starts_with(['(', '[', ':']) && inside.chars().count() <= WIDEST
}

/// The text after a sign of its status, such as `⏳`.
pub(super) fn after_status(text: &str) -> Option<&str> {
    let first = text.chars().next().filter(|first| STATUS.contains(*first))?;
    Some(text[first.len_utf8()..].trim_start_matches(VARIATION).trim_start())
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
    if c != '[' && !is_sign(c) {
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
    fn tags_and_colons_may_follow_a_box() {
        let (open, done) = (Some(BoxMark::Open), Some(BoxMark::Done));
        for (text, found) in [
            ("[ ][P] a", (open, "[P] a")),
            ("[x][US1] a", (done, "[US1] a")),
            ("[ ]: a", (open, "a")),
            ("[x]: a", (done, "a")),
            ("**[ ]** a", (open, "a")),
            ("_[x] a_", (done, "a")),
            ("<input type=\"checkbox\" checked> a", (done, "a")),
            ("{ } a", (open, "a")),
            ("[x][ref] a", (None, "[x][ref] a")),
            ("[x]: https://example.org", (None, "[x]: https://example.org")),
            ("{x}", (done, "")),
            ("{id} a", (None, "{id} a")),
        ] {
            assert_eq!(take(text), found, "{text}");
        }
    }

    #[test]
    fn states_are_marks_and_tags_are_none() {
        for inside in ["Not started", "WIP 50%", "In Dev", "Done ✅", "wip...", "on hold", "n/a"] {
            assert!(is_unknown(inside), "{inside}");
        }
        for inside in ["Dev", "QA", "Backend", "US1", "describe it", "NEEDS CLARIFICATION", "12"] {
            assert!(!is_unknown(inside), "{inside}");
        }
    }

    #[test]
    fn every_mark_that_is_no_convention_is_unknown() {
        for mark in
            ["/", ">", "?", "!", "WIP", "done", "in progress", "50%", "1/3", "o", "⏭️", ".", "0"]
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
