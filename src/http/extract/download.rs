//! Downloads: which part of an artifact a request wants, and whether it knows it already.
//!
//! The entity tag of an artifact is its digest. It never changes, so a known tag is always right.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, Method, header, request::Parts},
};

use crate::{
    domain::{
        artifact::{
            digest::ArtifactDigest,
            range::{self, Wanted},
        },
        refusal::Code,
    },
    http::describe::{self, Describe, Description},
};

/// What a request says of its download.
#[derive(Debug, Clone)]
pub struct Download {
    /// Whether it asks for the head alone.
    pub head: bool,
    range: Option<String>,
    if_range: Option<String>,
    known: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Download {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let text = |name: HeaderName| {
            let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
            value.map(|value| value.trim().to_owned())
        };
        Ok(Self {
            head: parts.method == Method::HEAD,
            range: text(header::RANGE),
            if_range: text(header::IF_RANGE),
            known: text(header::IF_NONE_MATCH),
        })
    }
}

/// The entity tag of an artifact.
#[must_use]
pub fn tag(digest: &ArtifactDigest) -> String {
    format!("\"{}\"", digest.hex())
}

impl Download {
    /// Whether the sender has the artifact.
    #[must_use]
    pub fn has(&self, digest: &ArtifactDigest) -> bool {
        let tag = tag(digest);
        let weak = |known: &str| known.trim().trim_start_matches("W/") == tag;
        self.known.as_ref().is_some_and(|known| known == "*" || known.split(',').any(weak))
    }

    /// Which part it wants of `size` bytes.
    #[must_use]
    pub fn wanted(&self, digest: &ArtifactDigest, size: u64) -> Wanted {
        let same = self.if_range.as_ref().is_none_or(|of| *of == tag(digest));
        range::wanted(self.range.as_deref().filter(|_| same), size)
    }
}

impl Describe for Download {
    fn describe(doc: &mut Description<'_>) {
        for (name, text) in [
            ("Range", "One range of bytes, as `bytes=1000-1999`. Several are answered as none."),
            ("If-None-Match", "The `ETag` of an artifact that is known: 304 without its bytes."),
        ] {
            doc.header(name, false, describe::string(), text);
        }
        doc.refuses(&[Code::RangeNotSatisfiable]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_another_artifact_is_none() {
        let digest = ArtifactDigest([1; 32]);
        let of = |range: &str, if_range: Option<&str>, known: Option<&str>| Download {
            head: false,
            range: Some(range.to_owned()),
            if_range: if_range.map(str::to_owned),
            known: known.map(str::to_owned),
        };
        let part = Wanted::Part { first: 1, last: 3 };
        assert_eq!(of("bytes=1-3", None, None).wanted(&digest, 9), part);
        assert_eq!(of("bytes=1-3", Some(&tag(&digest)), None).wanted(&digest, 9), part);
        assert_eq!(of("bytes=1-3", Some("\"v1\""), None).wanted(&digest, 9), Wanted::Whole);
        let list = format!("\"v1\", W/{}", tag(&digest));
        for (known, has) in [(Some("*"), true), (Some(&*list), true), (Some("\"v1\""), false)] {
            assert_eq!(of("", None, known).has(&digest), has);
        }
        assert!(!of("", None, None).has(&digest));
    }
}
