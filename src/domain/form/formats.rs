//! The formats of texts: email address, URI, date, date-time.

use chrono::{DateTime, NaiveDate};
use email_address::{EmailAddress, Options};

use super::Format;

impl Format {
    /// Whether `text` has this format.
    pub(super) fn fits(self, text: &str) -> bool {
        match self {
            Self::Email => is_email(text),
            Self::Uri => fluent_uri::Uri::parse(text).is_ok(),
            Self::Date => is_date(text),
            Self::DateTime => is_instant(text),
        }
    }

    /// The requirement in words, with an example.
    pub(super) const fn wanted(self) -> &'static str {
        match self {
            Self::Email => "must be an email address such as `octocat@github.com`",
            Self::Uri => "must be a URI with its scheme, such as `https://example.com/a`",
            Self::Date => "must be an existing date such as `2026-02-28`",
            Self::DateTime => {
                "must be an existing date and time with a zone, such as `2026-02-28T09:30:00Z` or \
                 `2026-02-28T10:30:00+01:00`"
            }
        }
    }
}

/// `Mona <mona@example.com>` is a mailbox with a display name, not an address.
fn is_email(text: &str) -> bool {
    EmailAddress::parse_with_options(text, Options::default().without_display_text()).is_ok()
}

/// RFC 3339. chrono alone would accept `2026-2-3` and years of five digits.
fn is_date(text: &str) -> bool {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d");
    text.len() == 10 && date.is_ok_and(|date| date.format("%Y-%m-%d").to_string() == text)
}

/// RFC 3339 with a `T`. chrono alone would accept a space.
fn is_instant(text: &str) -> bool {
    matches!(text.as_bytes().get(10), Some(b'T' | b't'))
        && DateTime::parse_from_rfc3339(text).is_ok()
}
