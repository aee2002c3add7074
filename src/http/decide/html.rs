//! HTML without injection.
//!
//! Markup is always a literal (`&'static str`); all data goes through [`Html::text`] or [`Html::value`],
//! which escape every special character of HTML. So no caller can forget to escape.
//!
//! Text is shown with invisible characters and changes of direction written out (`[U+202E]`): people
//! approve what they see, so nothing may be hidden, and nothing may look like something else.

use std::fmt::Display;

/// A piece of a page.
#[derive(Debug, Clone, Default)]
pub struct Html(String);

impl Html {
    /// An empty piece.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Markup of our own.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text for people, with invisible characters written out.
    pub fn text(&mut self, text: impl Display) -> &mut Self {
        for c in text.to_string().chars() {
            if is_hidden(c) {
                self.0.push_str(&format!("[U+{:04X}]", u32::from(c)));
            } else {
                self.escaped(c);
            }
        }
        self
    }

    /// The value of an attribute in double quotes, or the text of a `textarea`: the browser sends it
    /// back unchanged.
    pub fn value(&mut self, text: impl Display) -> &mut Self {
        text.to_string().chars().for_each(|c| self.escaped(c));
        self
    }

    /// Another piece.
    pub fn piece(&mut self, piece: &Self) -> &mut Self {
        self.0.push_str(&piece.0);
        self
    }

    /// The page.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    fn escaped(&mut self, c: char) {
        match c {
            '&' => self.0.push_str("&amp;"),
            '<' => self.0.push_str("&lt;"),
            '>' => self.0.push_str("&gt;"),
            '"' => self.0.push_str("&quot;"),
            '\'' => self.0.push_str("&#39;"),
            // Some old browsers end attributes with it.
            '`' => self.0.push_str("&#96;"),
            other => self.0.push(other),
        }
    }
}

/// Whether a character is invisible or changes how others look: controls, invisible joiners and
/// separators, changes of direction, blank letters and tags. The joiners inside emoji are not among them.
fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' | '\u{200d}' | '\u{fe0f}' => false,
        c if c.is_control() => true,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' => true,
        '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0e}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> String {
        let mut html = Html::new();
        html.text(text);
        html.into_string()
    }

    fn value(text: &str) -> String {
        let mut html = Html::new();
        html.value(text);
        html.into_string()
    }

    /// What a browser makes of it.
    fn read(html: &str) -> String {
        [
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
            ("&#39;", "'"),
            ("&#96;", "`"),
            ("&amp;", "&"),
        ]
        .iter()
        .fold(html.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
    }

    proptest! {
        #[test]
        fn nothing_becomes_markup(given in any::<String>(), marks in "[<>&\"'`=/a-z ]{0,40}") {
            let given = format!("{given}{marks}");
            for html in [text(&given), value(&given)] {
                prop_assert!(!html.contains(['<', '>', '"', '\'', '`']), "{html}");
                let whole = |rest: &str| {
                    ["amp;", "lt;", "gt;", "quot;", "#39;", "#96;"].iter().any(|e| rest.starts_with(e))
                };
                prop_assert!(html.split('&').skip(1).all(whole), "{html}");
            }
            prop_assert_eq!(read(&value(&given)), given);
        }

        #[test]
        fn what_is_not_seen_is_written_out(
            given in "[a-z\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{e0061}]{1,30}",
        ) {
            let html = text(&given);
            let hidden = given.chars().filter(|c| !c.is_ascii() && *c != '\u{200d}').count();
            prop_assert_eq!(html.matches("[U+").count(), hidden);
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for plain in ["Grüße, 世界, مرحبا", "a\n\tb", "👩\u{200d}🚀 ⚠\u{fe0f}"] {
            assert_eq!(text(plain), plain);
        }
        assert_eq!(text("a\u{202e}b\u{7}"), "a[U+202E]b[U+0007]");
    }
}
