//! The range of a download (RFC 9110, 14): one range of bytes.

/// What of the bytes is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All: no range, several, or none that can be read, which a server may ignore.
    Whole,
    /// From the first to the last byte, both included.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// Nothing of it exists.
    Nothing,
}

/// What a `Range` wants of `size` bytes.
#[must_use]
pub fn wanted(range: Option<&str>, size: u64) -> Wanted {
    let read = || {
        let (unit, spec) = range?.trim().split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
            return None;
        }
        let (first, last) = spec.trim().split_once('-')?;
        match (number(first)?, number(last)?) {
            (None, None) => None,
            // The last so many bytes.
            (None, Some(0)) => Some(Wanted::Nothing),
            (None, Some(count)) => Some(part(size.saturating_sub(count), size, size)),
            (Some(first), None) => Some(part(first, size, size)),
            (Some(first), Some(last)) if first <= last => {
                Some(part(first, last.saturating_add(1), size))
            }
            (Some(_), Some(_)) => None,
        }
    };
    read().unwrap_or(Wanted::Whole)
}

/// From `first` to before `end`, of `size` bytes.
fn part(first: u64, end: u64, size: u64) -> Wanted {
    match end.min(size).checked_sub(1) {
        Some(last) if first <= last => Wanted::Part { first, last },
        Some(_) | None => Wanted::Nothing,
    }
}

/// A number, or nothing at all; `None` for other texts.
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Beyond all sizes.
    Some(Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let part = |first, last| Wanted::Part { first, last };
        for (range, found) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=2-", part(2, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-30", part(0, 9)),
            ("Bytes = 1-99999999999999999999999", part(1, 9)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=4-3", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(range), 10), found, "{range}");
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
    }

    proptest! {
        #[test]
        fn a_part_is_never_beyond_the_bytes(range in "bytes=[0-9]{0,21}-[0-9]{0,21}", size: u64) {
            if let Wanted::Part { first, last } = wanted(Some(&range), size) {
                prop_assert!(first <= last && last < size);
            }
        }
    }
}
