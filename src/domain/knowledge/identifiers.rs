//! The words of a text, as they are indexed.
//!
//! PostgreSQL's `to_tsvector` stems words and drops stop words, but takes an identifier as one word or cuts it at
//! places of its own: `src/main.rs` and `a.b` are one lexeme, `utf-8` is `utf` and the number -8, and `<String>` is a
//! tag that it skips. So identifiers are split here before. What PostgreSQL splits well stays as it is: plain prose,
//! words with hyphens (`boundary-layer`), numbers, versions and abbreviations (`e.g.`). So a collection of prose ranks
//! as `to_tsvector` ranks it, but for words joined by a slash or without the blank after a full stop, which are found.
//!
//! | text | words | kept whole as a term |
//! |---|---|---|
//! | `parseXMLDate` | parsexmldate parse xml date | |
//! | `parse_date` | parse date | `parse_date` |
//! | `src/parse_date.rs` | src parse date rs | `src/parse_date.rs`, `parse_date.rs`, `parse_date` |
//! | `std::fs::read` | std fs read | `std::fs::read` |
//! | `utf-8`, `ORA-00942` | utf 8, ora 00942 | `utf-8`, `ora-00942` |
//! | `v1.2.3` | 1.2.3 | |
//! | `E0382`, `0xff` | e0382, 0xff | |
//!
//! A name in camel case stands whole among the words, not beside them: `github` and `GitHub` are then stemmed alike and
//! find each other. Scripts without blanks between words become pairs of characters.
//!
//! Case is folded here, because a server with the locale `C` folds ASCII only. Texts and queries go through the same
//! function, which reads its input once. Its output has no control characters.

/// Characters of the longest identifier that is kept whole.
pub const WHOLE_CHARS: usize = 100;
/// Characters of the longest name in camel case. A longer run of letters and digits is encoded data.
const CAMEL_CHARS: usize = 64;
/// Fewest characters that an abbreviation in capitals at the end of a name follows: `userID`, but not `mRNA`, `HbA1c`.
const BEFORE_CAPITALS: usize = 3;

/// A text, ready to be indexed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The text in lower case, with its identifiers split.
    pub text: String,
    /// Its identifiers as a whole, in lower case, once for each occurrence, with at most [`WHOLE_CHARS`] characters.
    pub wholes: Vec<String>,
}

impl Expanded {
    /// Both texts, one after the other.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let text = format!("{}\n{}", self.text, other.text);
        let wholes = self.wholes.iter().chain(&other.wholes).cloned().collect();
        Self { text, wholes }
    }

    fn add_sign(&mut self, sign: char) {
        // `<a>` would be a tag and `/a` a path for PostgreSQL: both hide the word.
        let hides = matches!(sign, '<' | '>' | '/' | '\\' | '~');
        self.text.push(if sign.is_control() || hides { ' ' } else { sign });
    }

    /// Parts, each apart from its neighbours.
    fn add_parts(&mut self, parts: &[&str], add: impl Fn(&mut Self, &str)) {
        self.add_border();
        for part in parts {
            add(self, part);
            self.add_border();
        }
    }

    fn add_border(&mut self) {
        if self.text.ends_with(|last: char| !last.is_whitespace()) {
            self.text.push(' ');
        }
    }

    fn add_whole(&mut self, identifier: &str) {
        let whole = identifier.to_lowercase();
        if whole.contains(char::is_alphanumeric) && whole.chars().count() <= WHOLE_CHARS {
            self.wholes.push(whole);
        }
    }
}

/// Splits the identifiers of a text.
#[must_use]
pub fn expand(text: &str) -> Expanded {
    let mut expanded = Expanded { text: String::with_capacity(text.len()), wholes: Vec::new() };
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if !is_of_word(first) {
            expanded.add_sign(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (token, after) = rest.split_at(token_length(rest));
        add_token(&mut expanded, token);
        if let Some(language) = language_with_signs(token, after) {
            expanded.add_whole(&language);
        }
        rest = after;
    }
    // At once, because the small letter of a sigma depends on its neighbours.
    expanded.text = expanded.text.to_lowercase();
    expanded
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || is_paired(c)
}

/// Bytes of the token at the start of a text: words, joined by signs without blanks.
fn token_length(text: &str) -> usize {
    let mut length = 0;
    loop {
        let rest = &text[length..];
        length += rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
        let rest = &text[length..];
        let joint = ["://", "::", ".", "/", "\\", "-", "@"]
            .into_iter()
            .find(|joint| rest.starts_with(joint));
        match joint {
            Some(joint) if rest[joint.len()..].starts_with(is_of_word) => length += joint.len(),
            _ => return length,
        }
    }
}

/// `C++`, `C#`, `F#`.
fn language_with_signs(token: &str, after: &str) -> Option<String> {
    if token.len() != 1 || !token.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let signs = ["++", "#"].into_iter().find(|signs| after.starts_with(signs))?;
    let ends = !after[signs.len()..].starts_with(is_of_word);
    ends.then(|| format!("{token}{signs}"))
}

fn add_token(expanded: &mut Expanded, token: &str) {
    if token.contains(is_paired) {
        add_pairs(expanded, token);
    } else if is_uuid(token) {
        // People quote the first group; the others are found with the whole.
        expanded.add_parts(&[&token[..8]], |expanded, part| expanded.text.push_str(part));
        expanded.add_whole(token);
    } else {
        // A scheme says nothing about what an address names.
        add_path(expanded, token.split_once("://").map_or(token, |(_, address)| address));
    }
}

fn is_uuid(token: &str) -> bool {
    token.len() == 36
        && token.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `a/b/c.rs`, `a::b`, `name@host`.
fn add_path(expanded: &mut Expanded, token: &str) {
    let parts = split(token, &['/', '\\', '@', ':']);
    let are_slashes = !token.contains(['@', ':']);
    match parts.as_slice() {
        [one] => add_dotted(expanded, one),
        // `l/d`, `1/2`.
        several
            if are_slashes
                && (are_letters(several) || several.iter().all(|part| is_number(part))) =>
        {
            expanded.text.push_str(token);
        }
        // `and/or` is prose.
        [one, other] if are_slashes && is_plain(one) && is_plain(other) => {
            expanded.add_parts(&parts, |expanded, part| expanded.text.push_str(part));
        }
        _ => {
            expanded.add_whole(token);
            expanded.add_parts(&parts, add_dotted);
        }
    }
}

/// `main.rs`, `a.b`, `1.2.3`.
fn add_dotted(expanded: &mut Expanded, token: &str) {
    let parts = split(token, &['.']);
    match parts.as_slice() {
        [one] => add_hyphened(expanded, one),
        // `e.g`, `2.5kg`, `1.2.3`: PostgreSQL keeps them.
        several if are_letters(several) || several.iter().all(|part| starts_with_digit(part)) => {
            expanded.text.push_str(token);
        }
        [first, rest @ ..]
            if is_version_start(first) && rest.iter().all(|part| is_number(part)) =>
        {
            expanded.text.push_str(&token[1..]);
        }
        several => {
            expanded.add_whole(token);
            expanded.add_parts(several, add_hyphened);
        }
    }
}

/// `utf-8`, `my_crate-dev`. PostgreSQL takes apart what has neither numbers nor other joints.
fn add_hyphened(expanded: &mut Expanded, token: &str) {
    let parts = split(token, &['-']);
    match parts.as_slice() {
        [one] => add_joined(expanded, one),
        several if several.iter().all(|part| is_plain(part)) && !has_signed_number(several) => {
            expanded.text.push_str(token);
        }
        several => {
            expanded.add_whole(token);
            expanded.add_parts(several, add_joined);
        }
    }
}

/// Whether a later part would be a negative number. `1e-5` is a number as a whole.
fn has_signed_number(parts: &[&str]) -> bool {
    let is_power = matches!(parts, [mantissa, exponent] if is_number(exponent)
        && mantissa.strip_suffix(['e', 'E']).is_some_and(is_number));
    !is_power && parts.iter().skip(1).any(|part| starts_with_digit(part))
}

/// `parse_date`, `__init__`.
fn add_joined(expanded: &mut Expanded, token: &str) {
    let parts = split(token, &['_']);
    match parts.as_slice() {
        [one] => add_camel(expanded, one),
        several => {
            expanded.add_whole(token);
            expanded.add_parts(several, add_camel);
        }
    }
}

/// `parseDate`, `XMLHttpRequest`.
fn add_camel(expanded: &mut Expanded, token: &str) {
    let parts = humps(token);
    if parts.len() < 2 {
        expanded.text.push_str(token);
        return;
    }
    expanded.add_border();
    expanded.text.push_str(token);
    expanded.add_parts(&parts, |expanded, part| expanded.text.push_str(part));
}

/// The parts of a name in camel case; one part if it is none.
fn humps(token: &str) -> Vec<&str> {
    let chars: Vec<(usize, char)> = token.char_indices().take(CAMEL_CHARS + 1).collect();
    if chars.len() > CAMEL_CHARS {
        return vec![token];
    }
    let mut borders = vec![0];
    for place in 1..chars.len() {
        let start = borders.last().copied().unwrap_or_default();
        if is_border(&chars[start..], place - start) {
            borders.push(place);
        }
    }
    // A single character is no word: `eBay`, `pH`, `IPv6`.
    let mut kept: Vec<usize> = Vec::with_capacity(borders.len());
    for (index, &border) in borders.iter().enumerate() {
        let end = borders.get(index + 1).copied().unwrap_or(chars.len());
        let follows_one = kept.last().is_some_and(|last| border - last == 1);
        let is_one_at_the_end = end - border == 1 && end == chars.len();
        if border == 0 || !(follows_one || is_one_at_the_end) {
            kept.push(border);
        }
    }
    let ends = kept.iter().skip(1).copied().chain([chars.len()]);
    let byte = |place: usize| chars.get(place).map_or(token.len(), |(at, _)| *at);
    let spans: Vec<(usize, usize)> = kept.iter().copied().zip(ends).collect();
    if spans.iter().all(|(from, to)| to - from < BEFORE_CAPITALS) {
        return vec![token];
    }
    spans.into_iter().map(|(from, to)| &token[byte(from)..byte(to)]).collect()
}

/// Whether a part ends before `place`; `part` starts where it starts.
fn is_border(part: &[(usize, char)], place: usize) -> bool {
    let at = |place: usize| part.get(place).map_or(' ', |(_, c)| *c);
    let (before, c, after) = (at(place - 1), at(place), at(place + 1));
    if !c.is_uppercase() || !before.is_alphanumeric() {
        return false;
    }
    if before.is_uppercase() {
        // `XMLHttp`, but not the plural `URLs`.
        return after.is_lowercase() && (after != 's' || at(place + 2).is_alphabetic());
    }
    after.is_lowercase() || (before.is_lowercase() && place >= BEFORE_CAPITALS)
}

fn split<'a>(token: &'a str, joints: &[char]) -> Vec<&'a str> {
    token.split(joints).filter(|part| !part.is_empty()).collect()
}

fn are_letters(parts: &[&str]) -> bool {
    parts.iter().all(|part| part.chars().nth(1).is_none() && part.chars().all(char::is_alphabetic))
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn starts_with_digit(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_digit())
}

/// `v1`.
fn is_version_start(part: &str) -> bool {
    part.strip_prefix(['v', 'V']).is_some_and(is_number)
}

/// Whether PostgreSQL takes a part of a name as it is.
fn is_plain(part: &str) -> bool {
    part.chars().all(char::is_alphanumeric) && humps(part).len() < 2
}

/// Pairs of neighbours of scripts without blanks between words; what stands between them as usual.
fn add_pairs(expanded: &mut Expanded, token: &str) {
    let mut rest = token;
    while let Some(first) = rest.chars().next() {
        let paired = is_paired(first);
        let end = rest.find(|c| is_paired(c) != paired).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        expanded.add_border();
        if paired {
            add_run(expanded, run);
        } else {
            add_mixed(expanded, run);
        }
        expanded.add_border();
    }
}

/// What stands between such runs: it may start or end with a joint.
fn add_mixed(expanded: &mut Expanded, run: &str) {
    let inner = run.trim_matches(|c| !is_of_word(c));
    if !inner.is_empty() {
        add_token(expanded, inner);
    }
}

fn add_run(expanded: &mut Expanded, run: &str) {
    // Marks above and below a letter belong to it.
    let mut starts: Vec<usize> =
        run.char_indices().filter(|(at, c)| *at == 0 || !is_mark(*c)).map(|(at, _)| at).collect();
    starts.push(run.len());
    match starts.as_slice() {
        [from, to] => expanded.text.push_str(&run[*from..*to]),
        several => {
            for pair in several.windows(3) {
                expanded.text.push_str(&run[pair[0]..pair[2]]);
                expanded.text.push(' ');
            }
        }
    }
}

/// Chinese, Japanese, Korean, Thai, Lao, Burmese, Khmer. Korean has blanks, but joins particles to words.
fn is_paired(c: char) -> bool {
    let script = matches!(u32::from(c),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1100..=0x11FF | 0x1780..=0x17FF | 0x3005..=0x3007
        | 0x3040..=0x30FF | 0x3130..=0x318F | 0x31F0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF
        | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x20000..=0x3FFFF);
    script && (c.is_alphanumeric() || is_mark(c))
}

/// Marks of the scripts of [`is_paired`].
fn is_mark(c: char) -> bool {
    matches!(u32::from(c),
        0x0E31 | 0x0E34..=0x0E3A | 0x0E47..=0x0E4E | 0x0EB1 | 0x0EB4..=0x0EBC | 0x0EC8..=0x0ECE
        | 0x102B..=0x103E | 0x1056..=0x1059 | 0x105E..=0x1060 | 0x1062..=0x1064 | 0x1067..=0x106D
        | 0x1071..=0x1074 | 0x1082..=0x108D | 0x108F | 0x109A..=0x109D | 0x17B4..=0x17D3 | 0x17DD
        | 0x3099 | 0x309A | 0xFF9E | 0xFF9F)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        expand(text).text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn identifiers_are_split_and_kept_whole() {
        let cases: [(&str, &str, &[&str]); 26] = [
            ("parse_date()", "parse date ()", &["parse_date"]),
            (
                "src/parse_date.rs",
                "src parse date rs",
                &["src/parse_date.rs", "parse_date.rs", "parse_date"],
            ),
            ("./src/main.rs:12", ". src main rs :12", &["src/main.rs", "main.rs"]),
            ("/etc/passwd/x", "etc passwd x", &["etc/passwd/x"]),
            (r"C:\Users\ada.txt", "c: users ada txt", &[r"users\ada.txt", "ada.txt"]),
            ("std::fs::read", "std fs read", &["std::fs::read"]),
            ("Self::add_whole", "self add whole", &["self::add_whole", "add_whole"]),
            ("tokio.task.spawn", "tokio task spawn", &["tokio.task.spawn"]),
            ("ERR_CONN_RESET,", "err conn reset ,", &["err_conn_reset"]),
            ("utf-8", "utf 8", &["utf-8"]),
            ("ORA-00942", "ora 00942", &["ora-00942"]),
            ("my_crate-dev", "my crate dev", &["my_crate-dev", "my_crate"]),
            ("2026-01-21", "2026 01 21", &["2026-01-21"]),
            ("1.2.3-rc1", "1.2.3-rc1", &[]),
            ("v1.2.3", "1.2.3", &[]),
            ("E0382 0xFF", "e0382 0xff", &[]),
            ("__init__", "init", &[]),
            (
                "https://example.org/a/b?c=1",
                "example org a b ?c=1",
                &["example.org/a/b", "example.org"],
            ),
            ("ada@example.org", "ada example org", &["ada@example.org", "example.org"]),
            ("Vec<String>", "vec string", &[]),
            ("C++, C# and F#.", "c++, c# and f#.", &["c++", "c#", "f#"]),
            (
                "550e8400-e29b-41d4-a716-446655440000",
                "550e8400",
                &["550e8400-e29b-41d4-a716-446655440000"],
            ),
            ("_ __ _/_", "", &[]),
            ("and/or", "and or", &[]),
            ("a/b-3", "a b 3", &["a/b-3", "b-3"]),
            ("--no-deps", "--no-deps", &[]),
        ];
        for (text, split, wholes) in cases {
            assert_eq!(words(text).join(" "), split, "{text}");
            assert_eq!(expand(text).wholes, wholes, "{text}");
        }
    }

    #[test]
    fn names_in_camel_case_stand_whole_before_their_parts() {
        for (text, split) in [
            ("parseDate", "parsedate parse date"),
            ("parseXMLDate", "parsexmldate parse xml date"),
            ("XMLHttpRequest", "xmlhttprequest xml http request"),
            ("userID", "userid user id"),
            ("getId", "getid get id"),
            ("GitHub's", "github git hub 's"),
            ("http2Server", "http2server http2 server"),
            ("get_parseDate", "get parsedate parse date"),
        ] {
            assert_eq!(words(text).join(" "), split, "{text}");
        }
        for text in ["mRNA", "pH", "HbA1c", "eBay", "IPv6", "URLs", "IDs", "HTTP", "Rust", "SHA256"]
        {
            assert_eq!(words(text), [text.to_lowercase()], "{text}");
        }
        let code = "aB".repeat(CAMEL_CHARS);
        assert_eq!(words(&code), [code.to_lowercase()], "encoded data is no name");
    }

    #[test]
    fn prose_is_only_put_in_lower_case() {
        for text in [
            "The lift of a wing, in a slipstream .",
            "well-known non-linear 3-dimensional state-of-the-art effects (see above)",
            "it's a test: \"quoted\"; 42 percent, 2.5 in all, 1e-5, .25, 10,000 and -8",
            "e.g. the ratio l/d, i.e. 1/2 of it, at 2.5kg in the U.S.A. of 1.2.3",
            "Größe, Ärger, ΟΔΟΣ und naïve",
        ] {
            let Expanded { text: expanded, wholes } = expand(text);
            assert_eq!((expanded, wholes), (text.to_lowercase(), Vec::new()), "{text}");
        }
    }

    #[test]
    fn scripts_without_blanks_are_pairs() {
        for (text, split) in [
            ("数据库迁移", "数据 据库 库迁 迁移"),
            ("用Rust写", "用 rust 写"),
            ("数据-3,库", "数据 3 , 库"),
            ("データ", "デー ータ"),
            ("한국어", "한국 국어"),
            ("กินข้าว", "กิน นข้ ข้า าว"),
        ] {
            assert_eq!(words(text).join(" "), split, "{text}");
        }
    }

    #[test]
    fn long_texts_stay_in_bounds() {
        let bytes = 1 << 18;
        for part in ["a", "aB", "a_", "a/", "a.b ", "a-1", "数", "_", "/", "x::", "\0", "aB1_c.d/"]
        {
            let text = part.repeat(bytes / part.len());
            let Expanded { text: expanded, wholes } = expand(&text);
            assert!(expanded.len() <= 4 * text.len(), "{part:?}");
            assert!(wholes.iter().map(String::len).sum::<usize>() <= 5 * text.len(), "{part:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_expanded_alike_each_time(text in any::<String>()) {
            let once = expand(&text);
            prop_assert_eq!(&once, &expand(&text));
            prop_assert!(!once.text.contains(char::is_control));
            prop_assert!(once.wholes.iter().all(|whole| whole.chars().count() <= WHOLE_CHARS));
            prop_assert_eq!(&once.text, &once.text.to_lowercase());
        }

        #[test]
        fn what_is_expanded_has_nothing_left_to_split(text in "[a-zA-Z0-9_./:@\\\\<# -]{0,60}") {
            let once = expand(&text).text;
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&expand(&once).text), words(&once));
        }

        #[test]
        fn an_identifier_is_found_by_its_whole_and_by_each_part(
            parts in prop::collection::vec("[a-z]{2,8}", 3..6), joint in "_|/|\\.|::",
        ) {
            let name = parts.join(&joint);
            prop_assert_eq!(expand(&format!("see `{name}`.")).wholes, vec![name.clone()]);
            let found = words(&name);
            prop_assert_eq!(found, parts);
        }

        #[test]
        fn a_name_in_camel_case_is_found_in_small_letters(name in "[a-z]{2,8}([A-Z][a-z]{2,8}){1,4}") {
            let found = words(&name);
            prop_assert_eq!(&found[0], &name.to_lowercase());
            prop_assert_eq!(found[1..].concat(), name.to_lowercase());
            prop_assert!(found.len() > 2);
        }
    }
}
