//! Texts that must be something: an address, a URI, a day or an instant.

use chrono::{DateTime, NaiveDate};
use email_address::{EmailAddress, Options};

use super::Format;

impl Format {
    /// Whether `text` is one.
    pub(super) fn fits(self, text: &str) -> bool {
        match self {
            Self::Email => is_email(text),
            Self::Uri => fluent_uri::Uri::parse(text).is_ok(),
            Self::Date => is_date(text),
            Self::DateTime => is_instant(text),
        }
    }

    /// What it must be, with an example.
    pub(super) const fn wanted(self) -> &'static str {
        match self {
            Self::Email => "must be an email address such as `octocat@github.com`",
            Self::Uri => "must be a URI with its scheme, such as `https://example.com/a`",
            Self::Date => "must be a day that exists, as year-month-day: `2026-02-28`",
            Self::DateTime => {
                "must be a day that exists and a time with its zone, such as \
                 `2026-02-28T09:30:00Z` or `2026-02-28T10:30:00+01:00`"
            }
        }
    }
}

/// `Mona <mona@example.com>` is a mailbox of a mail's header, not an address.
fn is_email(text: &str) -> bool {
    EmailAddress::parse_with_options(text, Options::default().without_display_text()).is_ok()
}

/// RFC 3339: chrono alone would take `2026-2-3` and years of five digits.
fn is_date(text: &str) -> bool {
    let digits = |at: std::ops::Range<usize>| {
        text.as_bytes().get(at).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    text.len() == 10
        && digits(0..4)
        && digits(5..7)
        && digits(8..10)
        && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// RFC 3339 with a `T`: chrono alone would take a space.
fn is_instant(text: &str) -> bool {
    matches!(text.as_bytes().get(10), Some(b'T' | b't'))
        && DateTime::parse_from_rfc3339(text).is_ok()
}
