//! The digest of an artifact: its name.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What stands before the digits where a digest is sent in JSON.
const PREFIX: &str = "sha256:";

/// SHA-256 of the bytes of an artifact: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^sha256:[0-9a-f]{64}$",
         example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
pub struct ArtifactDigest(pub [u8; 32]);

impl ArtifactDigest {
    /// Reads 64 hexadecimal digits in lower case: one artifact has one path.
    #[must_use]
    pub fn of_hex(hex: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// Reads `sha256:` and the digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::of_hex(text.strip_prefix(PREFIX)?)
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// The bytes in Base64, as object stores want them.
    #[must_use]
    pub fn base64(&self) -> String {
        data_encoding::BASE64.encode(&self.0)
    }
}

impl std::fmt::Display for ArtifactDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}", self.hex())
    }
}

impl Serialize for ArtifactDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ArtifactDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let detail =
                "must be `sha256:` and the 64 hexadecimal digits, in lower case, of an artifact";
            D::Error::custom(detail)
        })
    }
}

/// The digest in a path: the digits alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestInPath(pub ArtifactDigest);

impl<'de> Deserialize<'de> for DigestInPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digest = ArtifactDigest::of_hex(&text);
        digest
            .map(Self)
            .ok_or_else(|| D::Error::custom("must be 64 hexadecimal digits in lower case"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_digest_is_read_as_it_is_written(bytes: [u8; 32]) {
            let digest = ArtifactDigest(bytes);
            prop_assert_eq!(ArtifactDigest::parse(&digest.to_string()), Some(digest));
            prop_assert_eq!(ArtifactDigest::of_hex(&digest.hex()), Some(digest));
            prop_assert_eq!(ArtifactDigest::parse(&digest.hex()), None);
        }

        #[test]
        fn other_texts_are_no_digests(text in "\\PC{0,80}") {
            if let Some(read) = ArtifactDigest::parse(&text) {
                prop_assert_eq!(read.to_string(), text);
            }
        }
    }

    #[test]
    fn upper_case_is_refused() {
        assert_eq!(ArtifactDigest::of_hex(&"AB".repeat(32)), None);
    }
}
