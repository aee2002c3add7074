//! Ids of tasks in documents: `T012`, `1.2`, `Task 3:`, `FR-2:`.

use super::words;

/// An id and the text after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken<'a> {
    pub id: String,
    pub rest: &'a str,
}

/// The id at the start of a task's text.
pub(super) fn take(text: &str) -> Option<Taken<'_>> {
    if let Some(inner) = text.strip_prefix('[') {
        let (inside, rest) = inner.split_once(']')?;
        let whole = take_token(inside).filter(|taken| taken.rest.is_empty());
        // `[US1]` is a tag, `[T001]` an id.
        let own = whole.filter(|taken| is_t(&taken.id) || taken.id.contains('.'));
        return own.filter(|_| !rest.starts_with('(')).map(|taken| Taken { rest, ..taken });
    }
    if let Some(rest) = strip_word(text, &["task", "subtask", "sub-task", "step"]) {
        let taken = take_token(rest)?;
        // "Task 3 of five" is a phrase; "Task 1.1 Build" is not.
        let unmistakable = is_t(&taken.id) || taken.id.contains('.');
        let spaced = taken.rest.starts_with(char::is_whitespace) && unmistakable;
        let titled = spaced || taken.rest.is_empty() || separator(taken.rest).is_some();
        return titled.then_some(Taken { rest: after_separator(taken.rest), ..taken });
    }
    take_t(text).or_else(|| take_number(text)).or_else(|| take_prefixed(text))
}

/// The number of a heading `Task 3 Build`, `Task 3 (P0): …`, `Task 3/5: …`, `[Task 3] …`.
///
/// In a heading the word names the task. In a text such a line may be a phrase: there [`take`] holds.
pub(super) fn take_named(text: &str) -> Option<Taken<'_>> {
    let after = words::after_task_word(text)?;
    let taken = take_token(after)?;
    let rest = without_total(taken.rest);
    let title = rest.trim_start();
    let parted = title.len() < rest.len() || rest.is_empty() || separator(rest).is_some();
    // `Task 3 of the import`, `Task 3 & 4`, `Task 3-5`
    let phrase = !text.starts_with('[')
        && title.starts_with(|c: char| {
            c.is_lowercase() || c.is_ascii_digit() || matches!(c, '→' | ',' | '&' | '+' | '/')
        });
    let range = separator(rest).is_none() && title.starts_with(['-', '–', '—']);
    (parted && !phrase && !range).then_some(Taken { rest: after_separator(rest), ..taken })
}

/// `Task 3/5: …` and `Task 3 of 5: …` say how many there are.
fn without_total(rest: &str) -> &str {
    let after = rest.strip_prefix('/').or_else(|| rest.trim_start().strip_prefix("of "));
    let Some(after) = after else { return rest };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let total = digits > 0 && !after[digits..].starts_with(char::is_alphanumeric);
    if total { &after[digits..] } else { rest }
}

/// The id that a line begins with, in any spelling: `(T003) …`, `#T004`, `T002, …`, `t005`, `Task 2 …`.
pub(super) fn mentioned(text: &str) -> Option<String> {
    let bare = text.trim_start_matches(['(', '[', '#', '*', '_', '`', ' ']);
    let taken = match words::after_task_word(bare).filter(|_| t_length(bare).is_none()) {
        Some(number) => take_token(number)?,
        None => take_reference(bare).filter(|taken| is_t(&taken.id))?,
    };
    // `t3 machines` and `t100.large` are none.
    let short = taken.id.len() < 4 && bare.starts_with('t');
    let rest = taken.rest.strip_prefix('.').unwrap_or(taken.rest);
    (!short && !rest.starts_with(char::is_alphanumeric)).then_some(taken.id)
}

/// Whether the id is that of an acceptance criterion: `AC1`, `AC-2`.
pub(super) fn is_criterion(id: &str) -> bool {
    parts(id).is_some_and(|(series, ..)| matches!(series, "AC" | "AC-" | "AC_"))
}

/// An id in a list of ids; the word `Task` and a `#` are allowed.
pub(super) fn take_token(text: &str) -> Option<Taken<'_>> {
    let text = text.trim_start_matches(['*', '_', '`', '#', '[']);
    let text = strip_word(text, &["tasks", "task", "subtask", "sub-task", "steps", "step"])
        .unwrap_or(text);
    let text = text.trim_start_matches(['*', '_', '`', '#', '[']);
    let end = t_length(text).or_else(|| number_length(text)).or_else(|| prefixed_length(text))?;
    let rest = text[end..].trim_start_matches(['*', '_', '`', ']']);
    Some(Taken { id: text[..end].to_owned(), rest })
}

/// An id in a statement, where `t012` means `T012` and quotes are allowed.
pub(super) fn take_reference(text: &str) -> Option<Taken<'_>> {
    let text = text.trim_start_matches(['"', '\'', '“', '‘', '(']);
    let taken = take_token(text).or_else(|| take_lower_t(text))?;
    let rest = taken.rest.trim_start_matches(['"', '\'', '”', '’']);
    Some(Taken { rest, ..taken })
}

fn take_lower_t(text: &str) -> Option<Taken<'_>> {
    let text = text.trim_start_matches(['*', '_', '`', '#', '[']);
    let letters = text.bytes().take_while(u8::is_ascii_lowercase).count();
    let head = text[..letters].to_ascii_uppercase();
    let dash = usize::from(text[letters..].starts_with('-'));
    if !matches!(head.as_str(), "T" | "TASK") || (head == "TASK" && dash == 0) {
        return None;
    }
    let length = letters + dash + digits_and_dots(&text[letters + dash..])?;
    let end = end_of_t(text, length)?;
    let id = format!("{head}{}", &text[letters..end]);
    Some(Taken { id, rest: text[end..].trim_start_matches(['*', '_', '`', ']']) })
}

/// Whether the id is a `T012`, which is unmistakable in any text.
pub(super) fn is_t(id: &str) -> bool {
    id.starts_with('T')
}

/// Series, number and suffix of an id: `T017b` is (`T`, 17, `b`), `2.10` is (`2.`, 10, ``),
/// `T031-MIN` is (`T`, 31, `-MIN`).
pub(super) fn parts(id: &str) -> Option<(&str, u64, &str)> {
    let head = id.len() - id.trim_start_matches(|c: char| !c.is_ascii_digit()).len();
    let digits = id[head..].bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let body = id[..head + digits].trim_end_matches('.');
    let start = body.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    Some((&id[..start], body[start..].parse().ok()?, &id[body.len()..]))
}

/// Series and number of the task that an id refines: `T090.1` refines `T090`.
pub(super) fn refined(id: &str) -> Option<(&str, u64)> {
    let (above, _) = id.split_once('.').filter(|_| is_t(id))?;
    parts(above).map(|(series, number, _)| (series, number))
}

/// Text without the separator between an id and its title.
pub(super) fn after_separator(rest: &str) -> &str {
    separator(rest).unwrap_or(rest).trim_start()
}

fn separator(rest: &str) -> Option<&str> {
    if let Some(rest) = rest.strip_prefix([':', '.', ')', '：', '、']) {
        let closed = rest.strip_prefix("**").or_else(|| rest.strip_prefix("__"));
        let rest = closed.unwrap_or(rest);
        return (rest.is_empty() || !rest.starts_with(|c: char| c.is_ascii_digit()))
            .then_some(rest);
    }
    let trimmed = rest.trim_start();
    let rest = ["--", "-", "–", "—", "|"].iter().find_map(|dash| trimmed.strip_prefix(dash))?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some(rest)
}

fn strip_word<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    let word = words
        .iter()
        .find(|word| text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)))?;
    let rest = &text[word.len()..];
    let inner = rest.trim_start().trim_start_matches('#');
    (rest.len() > inner.len() && inner.starts_with(|c: char| c == 'T' || c.is_ascii_digit()))
        .then_some(inner)
}

fn take_t(text: &str) -> Option<Taken<'_>> {
    let end = t_length(text)?;
    let rest = &text[end..];
    let id = text[..end].to_owned();
    if let Some(rest) = separator(rest) {
        return Some(Taken { id, rest: rest.trim_start() });
    }
    let follows = rest.is_empty() || rest.starts_with(char::is_whitespace);
    let closes = rest.starts_with(['*', '_', '`', '[', '(']);
    // `T004, T005 …`, `T001-T003` and `T001 → T002` are text about tasks.
    let about = rest.trim_start().starts_with(['→', '-', '–', ',', '&', '+', '/', '‖'])
        || ["and ", "to ", "through ", "or "].iter().any(|w| rest.trim_start().starts_with(w));
    ((follows || closes) && !about).then_some(Taken { id, rest })
}

fn t_length(text: &str) -> Option<usize> {
    let head = ["TASK-", "T-", "T"].iter().find(|head| {
        text.strip_prefix(**head).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })?;
    let length = head.len() + digits_and_dots(&text[head.len()..])?;
    end_of_t(text, length)
}

fn take_number(text: &str) -> Option<Taken<'_>> {
    let end = number_length(text)?;
    let (id, rest) = (&text[..end], &text[end..]);
    let dotted = id.contains('.');
    let (closed, rest) = match rest.strip_prefix(['.', ')', ':']) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let free = rest.is_empty() || rest.starts_with(char::is_whitespace) || rest.starts_with('*');
    ((dotted || closed) && free).then(|| Taken { id: id.to_owned(), rest })
}

fn number_length(text: &str) -> Option<usize> {
    end_of_id(text, digits_and_dots(text)?)
}

fn take_prefixed(text: &str) -> Option<Taken<'_>> {
    let end = prefixed_length(text)?;
    // Without the colon it may be any name: `UTF-8 names`, `S3 bucket`. `P1:` is a priority.
    if text[..end].strip_prefix('P').is_some_and(|rest| rest.len() == 1) {
        return None;
    }
    let rest = text[end..].trim_start_matches(['*', '_', '`']).strip_prefix(':')?;
    let free = rest.is_empty() || rest.starts_with(char::is_whitespace) || rest.starts_with('*');
    free.then(|| Taken { id: text[..end].to_owned(), rest })
}

fn prefixed_length(text: &str) -> Option<usize> {
    let letters = text.bytes().take_while(u8::is_ascii_uppercase).count();
    if !(1..=8).contains(&letters) {
        return None;
    }
    let dash = usize::from(text[letters..].starts_with(['-', '_']));
    let head = letters + dash;
    end_of_id(text, head + digits_and_dots(&text[head..])?)
}

/// Length of `12`, `1.2`, `1.2.3`, without a final dot.
fn digits_and_dots(text: &str) -> Option<usize> {
    let mut end = 0;
    loop {
        let digits = text[end..].bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=6).contains(&digits) {
            return None;
        }
        end += digits;
        let next = text[end..].strip_prefix('.');
        if !next.is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit())) || end > 60 {
            return Some(end);
        }
        end += 1;
    }
}

/// One letter may follow (`T017b`), but no word.
fn end_of_id(text: &str, length: usize) -> Option<usize> {
    let rest = &text[length..];
    let letter = usize::from(rest.starts_with(|c: char| ('a'..='h').contains(&c)));
    let wordy = rest[letter..].starts_with(|c: char| c.is_alphanumeric() && c.is_ascii());
    (!wordy && !rest[letter..].starts_with('%')).then_some(length + letter)
}

/// After the number of a `T012`: one letter, or words in capitals (`T031-MIN`, `T012-B2`).
fn end_of_t(text: &str, length: usize) -> Option<usize> {
    let mut end = length;
    let ends = |at: usize| !text[at..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '%');
    let letter = usize::from(text[end..].starts_with(|c: char| c.is_ascii_alphabetic()));
    if !ends(end + letter) {
        return None;
    }
    end += letter;
    while let Some(suffix) = text[end..].strip_prefix(['-', '_']) {
        let capitals = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        let width = suffix.bytes().take_while(capitals).count();
        // `T001-T003` is a range, `T001-003` too.
        let word = suffix.starts_with(|c: char| c.is_ascii_uppercase());
        let other = t_length(suffix).is_some();
        if !word || other || !(1..=12).contains(&width) || !ends(end + 1 + width) || end > 60 {
            break;
        }
        end += 1 + width;
    }
    Some(end)
}
