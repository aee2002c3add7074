//! Lines of the document: visible text apart from quoted text.
//!
//! Fenced code, HTML comments and front matter are separated here, so that no later stage mistakes
//! them for tasks.

use std::borrow::Cow;

/// Kind of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Visible text.
    Plain,
    /// First line of a fenced code block.
    FenceStart,
    /// Further line of a fenced code block.
    Fenced,
    /// Comment or front matter.
    Hidden,
}

/// One line, without line ending, quote marks and comments.
#[derive(Debug)]
pub(super) struct RawLine<'a> {
    pub number: u32,
    /// The line as written.
    pub source: &'a str,
    pub text: Cow<'a, str>,
    /// Columns of white space before the text, with tab stops of four.
    pub indent: usize,
    /// Number of `>` before the text.
    pub quote: usize,
    /// Columns of white space before the first `>`.
    pub outer: usize,
    pub seen: Seen,
    /// Whether it opens a code block that nothing closes.
    pub unclosed: bool,
}

/// Splits the brief into lines, in linear time.
pub(super) fn split(brief: &str) -> Vec<RawLine<'_>> {
    let sources: Vec<&str> = brief
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .flat_map(|line| line.split('\r'))
        .map(|line| line.trim_start_matches('\u{feff}'))
        .collect();
    let mut reader = Reader::new(&sources);
    sources.iter().enumerate().map(|(at, source)| reader.read(at, source)).collect()
}

struct Reader<'s, 'a> {
    sources: &'s [&'a str],
    fence_until: Option<usize>,
    comment: bool,
    matter_until: Option<usize>,
    last_comment_end: Option<usize>,
    /// Per fence character: fences at least this long are never closed.
    unclosed: [usize; 2],
}

impl<'s, 'a> Reader<'s, 'a> {
    fn new(sources: &'s [&'a str]) -> Self {
        Self {
            sources,
            fence_until: None,
            comment: false,
            matter_until: None,
            last_comment_end: sources.iter().rposition(|line| line.contains("-->")),
            unclosed: [usize::MAX; 2],
        }
    }

    fn read(&mut self, at: usize, source: &'a str) -> RawLine<'a> {
        let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let raw = |text: Cow<'a, str>, seen| {
            let indent = columns(&text);
            RawLine { number, source, text, indent, quote: 0, outer: 0, seen, unclosed: false }
        };
        if let Some(last) = self.fence_until {
            if at >= last {
                self.fence_until = None;
            }
            return raw(Cow::Borrowed(source), Seen::Fenced);
        }
        if self.matter(at) {
            return raw(Cow::Borrowed(source), Seen::Hidden);
        }
        let was_comment = self.comment;
        let visible = self.without_comments(at, source);
        if visible.trim().is_empty() && (was_comment || !source.trim().is_empty()) {
            return raw(Cow::Borrowed(source), Seen::Hidden);
        }
        let (quote, outer, text) = unquote(visible);
        let indent = columns(&text);
        let seen = if self.opens_fence(at, &text) { Seen::FenceStart } else { Seen::Plain };
        let unclosed = self.fence_until.is_some_and(|last| last == self.sources.len());
        RawLine { number, source, text, indent, quote, outer, seen, unclosed }
    }

    /// Front matter starts at the top or, in concatenated documents, after an empty line.
    fn matter(&mut self, at: usize) -> bool {
        if let Some(last) = self.matter_until {
            if at >= last {
                self.matter_until = None;
            }
            return true;
        }
        let line = |index: usize| self.sources.get(index).copied().unwrap_or_default();
        let free = at == 0 || line(at - 1).trim().is_empty();
        if line(at).trim_end() != "---" || !free || !is_yaml_key(line(at + 1)) {
            return false;
        }
        let ends = |line: &&str| matches!(line.trim_end(), "---" | "...");
        let breaks = |line: &&str| {
            line.starts_with("- [") || line.starts_with("##") || (at > 0 && line.trim().is_empty())
        };
        let last = self.sources.iter().skip(at + 1).position(|line| ends(line) || breaks(line));
        self.matter_until = last.map(|offset| at + 1 + offset).filter(|last| ends(&line(*last)));
        self.matter_until.is_some()
    }

    fn without_comments(&mut self, at: usize, source: &'a str) -> Cow<'a, str> {
        if !self.comment && !source.contains("<!--") {
            return Cow::Borrowed(source);
        }
        let mut kept = String::new();
        let mut ticks = 0;
        let mut rest = source;
        loop {
            if self.comment {
                let Some(end) = rest.find("-->") else { break };
                self.comment = false;
                rest = &rest[end + 3..];
            }
            let Some(start) = rest.find("<!--") else {
                kept.push_str(rest);
                break;
            };
            let (before, after) = (&rest[..start], &rest[start + 4..]);
            kept.push_str(before);
            // An unclosed comment, or one quoted as code, is text.
            ticks += before.matches('`').count();
            let quoted = ticks % 2 == 1;
            let closes = after.contains("-->") || self.last_comment_end > Some(at);
            if quoted || !closes {
                kept.push_str(&rest[start..]);
                break;
            }
            self.comment = true;
            rest = after;
        }
        Cow::Owned(kept)
    }

    fn opens_fence(&mut self, at: usize, text: &str) -> bool {
        let Some((mark, length)) = fence_mark(after_markers(text)) else { return false };
        let slot = usize::from(mark == '~');
        let indent = columns(text);
        let (quote, ..) = unquote(Cow::Borrowed(self.sources.get(at).copied().unwrap_or_default()));
        let last = if self.unclosed[slot] <= length {
            self.sources.len()
        } else {
            self.fence_end(at, mark, length, indent, quote)
        };
        if last == self.sources.len() {
            self.unclosed[slot] = self.unclosed[slot].min(length);
        }
        self.fence_until = (last > at).then_some(last);
        true
    }

    /// Index of the closing line, or the number of lines.
    fn fence_end(
        &self,
        at: usize,
        mark: char,
        length: usize,
        indent: usize,
        quote: usize,
    ) -> usize {
        for (offset, source) in self.sources.iter().enumerate().skip(at + 1) {
            let (depth, _, text) = unquote(Cow::Borrowed(source));
            if quote > 0 && depth < quote {
                return offset - 1;
            }
            let text: &str = if quote > 0 { &text } else { source };
            let body = text.trim();
            let run = body.chars().take_while(|c| *c == mark).count();
            if run >= length && run == body.chars().count() && columns(text) <= indent + 3 {
                return offset;
            }
        }
        self.sources.len()
    }
}

/// Fence character and length, if the text opens a code block.
fn fence_mark(text: &str) -> Option<(char, usize)> {
    let text = text.trim_start();
    let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = text.chars().take_while(|c| *c == mark).count();
    let info = &text[length..];
    (length >= 3 && !(mark == '`' && info.contains('`'))).then_some((mark, length))
}

fn after_markers(text: &str) -> &str {
    let trimmed = text.trim_start();
    match trimmed.strip_prefix(['-', '*', '+']) {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => trimmed,
    }
}

fn is_yaml_key(line: &str) -> bool {
    let Some((key, _)) = line.split_once(':') else { return false };
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// Columns of white space before the text.
pub(super) fn columns(text: &str) -> usize {
    let mut column = 0;
    for c in text.chars() {
        match c {
            ' ' | '\u{a0}' => column += 1,
            '\t' => column += 4 - column % 4,
            _ => break,
        }
    }
    column
}

/// Strips quote marks: their number, the columns before the first, the rest.
fn unquote(text: Cow<'_, str>) -> (usize, usize, Cow<'_, str>) {
    if !text.trim_start().starts_with('>') {
        return (0, 0, text);
    }
    let outer = columns(&text);
    let mut depth = 0;
    let mut rest: &str = &text;
    while let Some(inner) = rest.trim_start().strip_prefix('>') {
        depth += 1;
        rest = inner.strip_prefix(' ').unwrap_or(inner);
    }
    let start = text.len() - rest.len();
    let rest = match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[start..]),
        Cow::Owned(text) => Cow::Owned(text[start..].to_owned()),
    };
    (depth, outer, rest)
}

/// Strips at most `most` columns of leading white space.
pub(super) fn dedent(source: &str, most: usize) -> &str {
    let mut column = 0;
    let cut = source.char_indices().find(|(_, c)| {
        let width = if *c == '\t' { 4 - column % 4 } else { 1 };
        column += width;
        !c.is_whitespace() || column > most
    });
    let start = cut.map_or(source.len(), |(at, _)| at);
    source[start..].trim_end()
}
