//! Line beginnings: list markers, headings, tags.

use super::boxes;

/// A list marker and the text after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    /// The number of an ordered item.
    pub number: Option<u64>,
    /// A bare `1.2 text` line: the number stays in the text, as its id.
    pub dotted: bool,
    /// Whether a box follows.
    pub boxed: bool,
    /// Columns from the marker to the text.
    pub width: usize,
    pub text: String,
    /// Whether `~~` strikes the item out together with its marker or box.
    pub struck: bool,
}

/// The list marker at the start of a line; a box needs none.
pub(super) fn marker(line: &str) -> Option<Marker> {
    let text = line.trim();
    if let Some((inner, rest)) = boxes::struck(text) {
        let marker = marker(inner).filter(|marker| marker.boxed)?;
        return Some(Marker { struck: true, text: format!("{} {rest}", marker.text), ..marker });
    }
    if boxes::is_bare(text) {
        return Some(Marker::of_box(None, 2, text));
    }
    let (mut number, mut rest) = match bare_marker(text) {
        Some(found) => found,
        None => return glued_marker(text).or_else(|| dotted_marker(text)),
    };
    let sign = text.len() - rest.len();
    let gap = rest.len() - rest.trim_start().len();
    let width = if (1..=4).contains(&gap) { sign + tab_gap(line, sign, rest) } else { sign + 1 };
    // `- - [ ] text` is one box, after any number of markers.
    let mut inner = rest.trim_start();
    while let Some((inner_number, after)) = bare_marker(inner) {
        inner = after.trim_start();
        if boxes::take(inner).0.is_some() {
            (number, rest) = (number.or(inner_number), inner);
            break;
        }
    }
    let text = rest.trim().to_owned();
    if let Some((inner, remark)) = boxes::struck(&text).filter(|(inner, _)| boxed(inner)) {
        let marker = Marker::of_box(number, width, &format!("{inner} {remark}"));
        return Some(Marker { struck: true, ..marker });
    }
    let glued = if boxed(&text) { None } else { glued_marker(&text) };
    if let Some(glued) = glued {
        return Some(Marker { number: number.or(glued.number), width, ..glued });
    }
    Some(Marker { number, dotted: false, boxed: boxed(&text), width, text, struck: false })
}

fn boxed(text: &str) -> bool {
    boxes::take(text).0.is_some()
}

impl Marker {
    fn of_box(number: Option<u64>, width: usize, text: &str) -> Self {
        let text = text.trim().to_owned();
        Self { number, dotted: false, boxed: true, width, text, struck: false }
    }
}

/// `-[ ] text`, `1.[ ] text`, `a) [ ] text`, `► [ ] text`: a marker only because a box follows.
fn glued_marker(text: &str) -> Option<Marker> {
    if let Some(inner) = text.strip_prefix("<li>") {
        let inner = inner.strip_suffix("</li>").unwrap_or(inner).trim();
        return boxed(inner).then(|| Marker::of_box(None, 2, inner));
    }
    let (number, rest) = enumerator(text).or_else(|| Some((None, after_signs(text)?)))?;
    let rest = rest.trim_start();
    boxes::is_bare(rest).then(|| Marker::of_box(number, 2, rest))
}

/// `1.`, `(1)`, `1:` and the same with a letter.
fn enumerator(text: &str) -> Option<(Option<u64>, &str)> {
    let inner = text.strip_prefix('(').unwrap_or(text);
    let letter = usize::from(inner.starts_with(|c: char| c.is_ascii_alphabetic()));
    let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
    let width = letter.max(digits);
    let rest = inner[width..].strip_prefix(['.', ')', ':'])?;
    (1..=9).contains(&width).then(|| (inner[..digits].parse().ok(), rest))
}

/// The text after one to three signs that are no bracket, code, quote or cell of a table; a heading
/// without its space has up to six.
fn after_signs(text: &str) -> Option<&str> {
    let sign = |c: &char| {
        !c.is_alphanumeric()
            && !c.is_whitespace()
            && !boxes::is_sign(*c)
            && !matches!(c, '[' | '(' | '{' | '<' | '`' | '|' | '\\' | '!' | '"' | '\'')
    };
    let most = if text.starts_with('#') { 6 } else { 3 };
    let width: usize = text.chars().take(most).take_while(sign).map(char::len_utf8).sum();
    (width > 0).then(|| &text[width..])
}

/// Columns of white space after the marker.
fn tab_gap(line: &str, sign: usize, rest: &str) -> usize {
    let start = super::lines::columns(line) + sign;
    let mut column = start;
    for c in rest.chars() {
        match c {
            '\t' => column += 4 - column % 4,
            c if c.is_whitespace() => column += 1,
            _ => break,
        }
    }
    column - start
}

/// Bullets of word processors.
const BULLETS: [char; 9] = ['•', '◦', '‣', '▪', '▫', '●', '○', '∙', '⁃'];

fn bare_marker(text: &str) -> Option<(Option<u64>, &str)> {
    let free = |rest: &str| rest.is_empty() || rest.starts_with(char::is_whitespace);
    if let Some(rest) = text.strip_prefix(['-', '*', '+']).or_else(|| text.strip_prefix(BULLETS)) {
        return free(rest).then_some((None, rest));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let rest = text[digits..].strip_prefix(['.', ')'])?;
    free(rest).then_some((text[..digits].parse().ok(), rest))
}

fn dotted_marker(text: &str) -> Option<Marker> {
    let end = text.find(char::is_whitespace)?;
    let id = text[..end].trim_end_matches(['.', ')', ':']);
    let parts: Vec<&str> = id.split('.').collect();
    let digits =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !(2..=6).contains(&parts.len()) || !parts.iter().all(digits) {
        return None;
    }
    let number = parts.last().and_then(|part| part.parse().ok());
    Some(Marker {
        number,
        dotted: true,
        boxed: false,
        width: 2,
        text: text.to_owned(),
        struck: false,
    })
}

/// `---`, `* * *`, `___`.
pub(super) fn is_rule(text: &str) -> bool {
    let mut signs = text.chars().filter(|c| !c.is_whitespace());
    let Some(sign) = signs.next().filter(|c| matches!(c, '-' | '*' | '_')) else { return false };
    let mut rest = signs.peekable();
    rest.next_if_eq(&sign).is_some() && rest.next_if_eq(&sign).is_some() && rest.all(|c| c == sign)
}

/// Heading level given to the paragraph above by a line of `===` or `---`.
pub(super) fn underline(text: &str) -> Option<u8> {
    let all = |sign: char| text.len() >= 3 && text.chars().all(|c| c == sign);
    match (all('='), all('-')) {
        (true, _) => Some(1),
        (_, true) => Some(2),
        (false, false) => None,
    }
}

/// `## Title ##`.
pub(super) fn atx_heading(text: &str) -> Option<(u8, &str)> {
    let level = text.bytes().take_while(|b| *b == b'#').count();
    let rest = &text[level..];
    if !(1..=6).contains(&level) || !(rest.is_empty() || rest.starts_with(char::is_whitespace)) {
        return None;
    }
    let title = rest.trim();
    let bare = title.trim_end_matches('#');
    let title = if bare.is_empty() || bare.ends_with(char::is_whitespace) { bare } else { title };
    Some((u8::try_from(level).unwrap_or(6), title.trim()))
}

/// `**Phase 2: Build**` alone on a line acts as a heading.
pub(super) fn bold_phase(text: &str) -> Option<&str> {
    const WORDS: [&str; 7] =
        ["phase ", "stage ", "milestone ", "sprint ", "week ", "day ", "iteration "];
    let inner = text.strip_prefix("**")?;
    let inner = inner.strip_suffix("**").or_else(|| inner.strip_suffix("**:"))?;
    let lower = inner.chars().take(16).collect::<String>().to_lowercase();
    let number = WORDS.iter().find_map(|word| lower.strip_prefix(word))?;
    (number.starts_with(|c: char| c.is_ascii_digit()) && !inner.contains("**")).then_some(inner)
}

/// Name of the tag at the start; `/name` for a closing tag.
pub(super) fn tag_name(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('<')?;
    let slash = usize::from(inner.starts_with('/'));
    let name = inner[slash..]
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        .count();
    let rest = &inner[slash + name..];
    let starts = inner[slash..].starts_with(|c: char| c.is_ascii_alphabetic());
    (starts && rest.starts_with(['>', ' ', '\t', '/'])).then_some(&inner[..slash + name])
}

/// Whether the text is a single tag that is not HTML.
pub(super) fn is_lone_custom_tag(text: &str, name: &str) -> bool {
    const HTML: &str = "a article aside b big blockquote body br center code dd details div dl dt em font \
        footer h1 h2 h3 head header hr html i img kbd li ol p picture pre span strong sub \
        summary sup table ul";
    let lone = text.ends_with('>') && !text[1..].contains('<');
    let known = name.trim_start_matches('/').to_ascii_lowercase();
    lone && !text.ends_with("/>") && !HTML.split(' ').any(|tag| tag == known)
}

/// The cells of a row of a table.
pub(super) fn cells(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    let inner = text.strip_prefix('|').unwrap_or(text);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    inner.split('|').map(str::trim)
}
