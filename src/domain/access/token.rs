//! Bearer tokens of keys.
//!
//! `mst_<public>_<secret>`: `<public>` is the workspace id and the key id, so a lookup by key names
//! its workspace; `<secret>` is 256 random bits. Both are lowercase base32 (RFC 4648) without
//! padding: 109 characters, safe in a URL, a shell and a double click.
//!
//! A *raw* token is the exception: a secret chosen by the operator for the first start. Its ids
//! derive from it by HMAC-SHA256, so it names a workspace and key like any other. The ids allow
//! offline tests of guesses, so the secret must be random: `openssl rand -hex 32`.
//!
//! Only the SHA-256 of a secret is stored. Secrets are random, so a slow hash is not needed.

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::domain::ids::{KeyId, WorkspaceId};

const PREFIX: &str = "mst_";
/// How a session begins ([`super::session`]).
const SESSION_PREFIX: &str = "mss_";
/// Base32 characters of 32 bytes: two ids, or one secret.
const PART: usize = 52;
/// Minimum length of a raw token.
pub const RAW_LEAST: usize = 32;
/// Maximum length of a raw token.
pub const RAW_MOST: usize = 200;
/// Minimum of distinct characters of a raw token; fewer mean a placeholder.
const RAW_DIFFERENT: usize = 8;

/// Stored hash of a secret.
#[derive(Debug, Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The bytes, for the database.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `stored` is this hash, in constant time.
    #[must_use]
    pub fn matches(&self, stored: &[u8]) -> bool {
        self.0.as_slice().ct_eq(stored).into()
    }
}

/// A well-formed token; the key need not exist.
#[derive(Debug, Clone)]
pub struct Token {
    workspace: WorkspaceId,
    key: KeyId,
    hash: SecretHash,
    text: SecretString,
}

/// Malformed token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key has the form `mst_...` as issued by muster, or is {RAW_LEAST} to {RAW_MOST} random \
     visible ASCII characters without spaces (`openssl rand -hex 32`)"
)]
pub struct NoToken;

impl Token {
    /// A token of a key from 256 random bits.
    #[must_use]
    pub fn new(workspace: WorkspaceId, key: KeyId, random: [u8; 32]) -> Self {
        Parts::new(PREFIX, workspace, key.0, random).into()
    }

    /// Reads a presented token.
    ///
    /// # Errors
    /// When it has neither form.
    pub fn parse(text: &str) -> Result<Self, NoToken> {
        if text.starts_with(PREFIX) {
            return Parts::parse(PREFIX, text).map(Self::from).ok_or(NoToken);
        }
        Self::parse_raw(text)
    }

    fn parse_raw(text: &str) -> Result<Self, NoToken> {
        let bytes = text.as_bytes();
        let different = bytes.iter().collect::<std::collections::BTreeSet<_>>().len();
        let good = (RAW_LEAST..=RAW_MOST).contains(&bytes.len())
            && different >= RAW_DIFFERENT
            && bytes.iter().all(u8::is_ascii_graphic)
            // Neither a damaged `mst_` token nor a session may pass as a raw token.
            && ![PREFIX, SESSION_PREFIX]
                .iter()
                .any(|other| bytes[..other.len()].eq_ignore_ascii_case(other.as_bytes()));
        if !good {
            return Err(NoToken);
        }
        Ok(Self {
            workspace: WorkspaceId(derived(bytes, b"muster bootstrap workspace")?),
            key: KeyId(derived(bytes, b"muster bootstrap key")?),
            hash: hash(text),
            text: SecretString::from(text),
        })
    }

    /// Workspace named by the token.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// Key named by the token.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// Hash of the secret.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        self.hash
    }

    /// The full text, for one display or for the duration of a request.
    #[must_use]
    pub fn into_text(self) -> SecretString {
        self.text
    }

    /// The full text, for display to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl From<Parts> for Token {
    fn from(Parts { workspace, id, hash, text }: Parts) -> Self {
        Self { workspace, key: KeyId(id), hash, text }
    }
}

/// A token of the form `<prefix><public>_<secret>`: of a key, a session or a link.
#[derive(Debug, Clone)]
pub(in crate::domain) struct Parts {
    /// The workspace that it names.
    pub workspace: WorkspaceId,
    /// The key, session or link that it names.
    pub id: Uuid,
    /// The hash of the secret.
    pub hash: SecretHash,
    /// The whole token.
    pub text: SecretString,
}

impl Parts {
    /// A token from 256 random bits.
    pub(in crate::domain) fn new(
        prefix: &str,
        workspace: WorkspaceId,
        id: Uuid,
        random: [u8; 32],
    ) -> Self {
        let public = [workspace.0.into_bytes(), id.into_bytes()].concat();
        let secret = base32(&random);
        let text = format!("{prefix}{}_{secret}", base32(&public));
        Self { workspace, id, hash: hash(&secret), text: SecretString::from(text) }
    }

    /// Reads a presented token; `None` if it has another form.
    pub(in crate::domain) fn parse(prefix: &str, text: &str) -> Option<Self> {
        let (public, secret) = text.strip_prefix(prefix)?.split_once('_')?;
        let ids = unbase32(public)?;
        unbase32(secret)?;
        let (workspace, id) = ids.split_first_chunk::<16>()?;
        let id: [u8; 16] = id.try_into().ok()?;
        Some(Self {
            workspace: WorkspaceId(Uuid::from_bytes(*workspace)),
            id: Uuid::from_bytes(id),
            hash: hash(secret),
            text: SecretString::from(text),
        })
    }
}

fn hash(secret: &str) -> SecretHash {
    SecretHash(Sha256::digest(secret.as_bytes()).into())
}

/// Lowercase base32 (RFC 4648) without padding, the spelling of ids and secrets in tokens.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// Accepts only the canonical spelling of [`base32`]: two spellings of one token would have two
/// hashes.
fn unbase32(text: &str) -> Option<[u8; 32]> {
    if text.len() != PART || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
    bytes.try_into().ok()
}

/// A UUIDv7 with timestamp zero: the first key sorts first.
fn derived(secret: &[u8], what: &[u8]) -> Result<Uuid, NoToken> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| NoToken)?;
    mac.update(what);
    let bytes = mac.finalize().into_bytes();
    let random = bytes.first_chunk::<10>().ok_or(NoToken)?;
    Ok(uuid::Builder::from_unix_timestamp_millis(0, random).into_uuid())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_names_its_key(ids in any::<[u128; 2]>(), random in any::<[u8; 32]>()) {
            let [workspace, key] = ids.map(Uuid::from_u128);
            let token = Token::new(WorkspaceId(workspace), KeyId(key), random);
            prop_assert_eq!(token.expose().len(), 109);
            let read = Token::parse(token.expose()).unwrap();
            prop_assert_eq!((read.workspace().0, read.key().0), (workspace, key));
            prop_assert!(read.hash().matches(token.hash().as_bytes()));
        }

        #[test]
        fn another_character_is_another_key_or_none(
            random in any::<[u8; 32]>(), at in 0usize..109, other in "[a-z0-9_]",
        ) {
            let token = Token::new(WorkspaceId(Uuid::nil()), KeyId(Uuid::max()), random);
            let mut text = token.expose().to_owned();
            text.replace_range(at..=at, &other);
            prop_assume!(text != token.expose());
            if let Ok(read) = Token::parse(&text) {
                let same = read.key() == token.key()
                    && read.workspace() == token.workspace()
                    && read.hash().matches(token.hash().as_bytes());
                prop_assert!(!same);
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in any::<String>()) {
            let _ = Token::parse(&text);
            let _ = Token::parse(&format!("mst_{text}"));
        }
    }

    #[test]
    fn a_raw_token_derives_its_ids() {
        let text = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
        let (one, two) = (Token::parse(text).unwrap(), Token::parse(text).unwrap());
        assert_eq!((one.workspace(), one.key()), (two.workspace(), two.key()));
        assert_ne!(one.workspace().0, one.key().0);
        assert_eq!(one.key().0.get_version_num(), 7);
        assert_eq!(one.expose(), text);
    }

    #[test]
    fn placeholders_are_no_tokens() {
        for text in [
            "",
            "secret",
            "change-me",
            &"a".repeat(64),
            &"0123456789 abcdef".repeat(3),
            "mst_",
            "mst_a_b",
        ] {
            assert_eq!(Token::parse(text).unwrap_err(), NoToken, "{text}");
        }
        let token = Token::new(WorkspaceId(Uuid::nil()), KeyId(Uuid::nil()), [7; 32]);
        assert!(Token::parse(&token.expose().to_uppercase()).is_err());
        assert!(Token::parse(&token.expose().replace("mst_a", "mst_A")).is_err());
    }

    #[test]
    fn nothing_secret_is_shown_by_debug() {
        let token = Token::new(WorkspaceId(Uuid::nil()), KeyId(Uuid::nil()), [7; 32]);
        let secret = token.expose().rsplit('_').next().unwrap().to_owned();
        assert!(!format!("{token:?}").contains(&secret));
    }
}
