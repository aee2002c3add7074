//! Media types of artifacts: what a workspace takes.
//!
//! muster never interprets the bytes and never lets a browser do so. The media type is for those who read the
//! artifact, and for the allow-list of the workspace.

use crate::domain::{
    check::{Checks, pointer},
    refusal::{Code, Refusal},
};

/// The media type of an upload that names none.
pub const UNKNOWN: &str = "application/octet-stream";
/// Longest media type in bytes.
const LONGEST: usize = 200;
/// Most entries of the allow-list of a workspace.
const ALLOWED: usize = 100;

/// The media type of a `Content-Type`: type and subtype in lower case, without parameters.
///
/// # Errors
/// `unsupported_media_type` if it is none.
pub fn of_header(content_type: Option<&str>) -> Result<String, Refusal> {
    let Some(content_type) = content_type else { return Ok(UNKNOWN.to_owned()) };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if is_media_type(&essence) {
        return Ok(essence);
    }
    let detail = "the `Content-Type` is not a media type such as `text/plain`";
    Err(Refusal::new(Code::UnsupportedMediaType, detail))
}

fn is_media_type(text: &str) -> bool {
    text.len() <= LONGEST
        && text.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub))
}

/// RFC 9110, 5.6.2, in lower case and without `*`.
fn is_token(text: &str) -> bool {
    let allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Whether a text is a media type in lower case, or `type/*` for all of a type.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    match text.strip_suffix("/*") {
        Some(kind) => is_token(kind) && text.len() <= LONGEST,
        None => is_media_type(text),
    }
}

/// Checks the allow-list of a workspace: media types, and `type/*` for all of a type.
pub fn check_allowed(checks: &mut Checks, at: &str, allowed: &[String]) {
    checks.ensure(!allowed.is_empty(), at, "must name a media type; `null` allows all");
    checks.count(at, allowed.len(), ALLOWED);
    for (index, entry) in allowed.iter().enumerate().take(ALLOWED) {
        let detail = "must be a media type in lower case, such as `text/plain` or `image/*`";
        checks.ensure(is_pattern(entry), &pointer(at, index), detail);
    }
}

/// Refuses a media type that the workspace does not take. `None`: it takes all.
///
/// # Errors
/// `unsupported_media_type`.
pub fn admit(allowed: Option<&[String]>, media_type: &str) -> Result<(), Refusal> {
    let Some(allowed) = allowed else { return Ok(()) };
    let fits = |entry: &String| match entry.strip_suffix('*') {
        Some(kind) => media_type.starts_with(kind),
        None => entry == media_type,
    };
    if allowed.iter().any(fits) {
        return Ok(());
    }
    let detail = format!(
        "this workspace takes artifacts of the media types {} only, and not `{media_type}`",
        allowed.iter().map(|entry| format!("`{entry}`")).collect::<Vec<_>>().join(", ")
    );
    Err(Refusal::new(Code::UnsupportedMediaType, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_are_dropped() {
        assert_eq!(of_header(Some("Text/HTML; charset=utf-8")).unwrap(), "text/html");
        assert_eq!(of_header(None).unwrap(), UNKNOWN);
        let long = format!("a/{}", "b".repeat(LONGEST));
        for bad in ["", "text", "text/", "/x", "a/b/c", "te xt/x", "image/*", "a/\u{e9}", &long] {
            assert!(of_header(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_admits_what_it_names() {
        let list = ["image/*".to_owned(), "text/plain".to_owned()];
        assert!(
            admit(Some(&list), "image/png").is_ok() && admit(Some(&list), "text/plain").is_ok()
        );
        assert!(
            admit(Some(&list), "text/html").is_err() && admit(Some(&list), "imagex/y").is_err()
        );
        assert!(admit(None, "text/html").is_ok());
        let refused = |list: &[&str]| {
            let mut checks = Checks::new();
            let list: Vec<String> = list.iter().map(|entry| (*entry).to_owned()).collect();
            check_allowed(&mut checks, "/artifact_media_types", &list);
            checks.finish().is_err()
        };
        assert!(!refused(&["image/*", "text/plain"]));
        for bad in ["*/*", "*", "text", "Text/plain", "text/pl*", ""] {
            assert!(refused(&[bad]), "{bad}");
        }
        assert!(refused(&[]));
    }
}
