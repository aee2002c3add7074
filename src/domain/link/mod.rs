//! Approval links: a token in place of a key, for one person, one approval and one payload.
//!
//! The holder of a link decides as the person it was made for. Links are forwarded and stay in
//! mailboxes, so a link allows less than a key: one decision about one payload, until it expires, and
//! none of high risk. A payload too large for the page is not decided by link: people approve exactly
//! what they saw.
//!
//! A token is `msl_<public>_<secret>`, built like a key's ([`super::access::token`]): the public part
//! names workspace and link; the secret is 256 random bits, of which only the SHA-256 is stored.

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::{
    access::token::{Parts, SecretHash},
    approval::{Risk, review::ReviewChoice},
    ids::{LinkId, WorkspaceId},
    refusal::{Code, Refusal},
    settings,
    words::words,
};

mod filled;

pub use filled::{Filled, FormDecision};

const PREFIX: &str = "msl_";

words! {
    /// The state of an approval link. `open`: the person can decide; `used`: they decided, and the link
    /// shows the outcome until it expires; `expired`; `revoked`, by an operator or with the key that
    /// made it.
    pub enum LinkState {
        /// The person can decide with it.
        Open => "open",
        /// The person decided with it; until it expires it shows the outcome.
        Used => "used",
        /// Past its `expires_at`, without a decision.
        Expired => "expired",
        /// Revoked by an operator, or with the key that made it.
        Revoked => "revoked",
    }
}

/// Why a link no longer opens its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Past its `expires_at`.
    Expired,
    /// Revoked by an operator, or with the key that made it.
    Revoked,
}

/// The times that determine the state of a link.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When the person decided with it.
    pub used_at: Option<DateTime<Utc>>,
}

impl Times {
    /// Why the link no longer opens its page at `now`; `None` if it does. Both revoked and expired is
    /// `Revoked`.
    #[must_use]
    pub fn over(self, now: DateTime<Utc>) -> Option<Over> {
        match self.revoked_at {
            Some(_) => Some(Over::Revoked),
            None => (self.expires_at <= now).then_some(Over::Expired),
        }
    }

    /// The state at `now`. Both used and expired is `Used`.
    #[must_use]
    pub fn state(self, now: DateTime<Utc>) -> LinkState {
        match (self.over(now), self.used_at) {
            (Some(Over::Revoked), _) => LinkState::Revoked,
            (_, Some(_)) => LinkState::Used,
            (Some(Over::Expired), None) => LinkState::Expired,
            (None, None) => LinkState::Open,
        }
    }
}

/// Checks that an approval of this risk may be decided by link. One that needs a choice may not.
///
/// # Errors
/// `link_refused`: a key is needed.
pub fn enough(risk: Risk, choices: &[ReviewChoice]) -> Result<(), Refusal> {
    if !choices.is_empty() {
        let detail = "the decision must choose how the task continues, which takes a key";
        return Err(Refusal::new(Code::LinkRefused, detail));
    }
    match risk {
        Risk::Low | Risk::Medium => Ok(()),
        Risk::High | Risk::Critical => {
            let detail = format!("the risk is {risk}, so the decision takes a key");
            Err(Refusal::new(Code::LinkRefused, detail))
        }
    }
}

/// The whole payload as indented text, for the link's page.
///
/// # Errors
/// `link_refused` if it is larger than [`settings::LINK_PAYLOAD_BYTES`]: a key is needed.
pub fn shown(payload: Option<&Value>) -> Result<String, Refusal> {
    let text = payload.map(|payload| format!("{payload:#}")).unwrap_or_default();
    let most = settings::LINK_PAYLOAD_BYTES;
    if text.len() <= most {
        return Ok(text);
    }
    let detail = format!(
        "the payload has {} bytes as indented text and a link's page shows at most {most}, so the \
         decision takes a key",
        text.len()
    );
    Err(Refusal::new(Code::LinkRefused, detail))
}

/// A well-formed token of a link, not yet checked against a stored link.
#[derive(Debug, Clone)]
pub struct LinkToken(Parts);

impl LinkToken {
    /// A token of a link from 256 random bits.
    #[must_use]
    pub fn new(workspace: WorkspaceId, link: LinkId, random: [u8; 32]) -> Self {
        Self(Parts::new(PREFIX, workspace, link.0, random))
    }

    /// Reads a presented token; `None` if it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Parts::parse(PREFIX, text).map(Self)
    }

    /// The workspace that it names.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        self.0.workspace
    }

    /// The link that it names.
    #[must_use]
    pub fn link(&self) -> LinkId {
        LinkId(self.0.id)
    }

    /// The hash of its secret.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        self.0.hash
    }

    /// Whether the secret matches the stored hash. Takes the same time if there is none.
    #[must_use]
    pub fn proves(&self, stored: Option<&[u8]>) -> bool {
        const UNKNOWN: [u8; 32] = [0; 32];
        self.0.hash.matches(stored.unwrap_or(&UNKNOWN)) && stored.is_some()
    }

    /// The whole token, to be shown once, when the link is made.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.text.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{access::token::Token, words::Words as _};

    proptest! {
        #[test]
        fn a_token_names_its_link(ids in any::<[u128; 2]>(), random in any::<[u8; 32]>()) {
            let [workspace, link] = ids.map(Uuid::from_u128);
            let token = LinkToken::new(WorkspaceId(workspace), LinkId(link), random);
            let read = LinkToken::parse(token.expose()).unwrap();
            prop_assert_eq!((read.workspace().0, read.link().0), (workspace, link));
            prop_assert!(read.proves(Some(token.hash().as_bytes())));
            prop_assert!(!read.proves(Some(&[0; 32])) && !read.proves(None));
            // It needs no escaping in a URL, and is no key.
            prop_assert!(token.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
            prop_assert!(Token::parse(token.expose()).map(|key| key.key().0 != link).unwrap_or(true));
        }

        #[test]
        fn nothing_makes_it_panic(text in any::<String>()) {
            let _ = LinkToken::parse(&text);
            let _ = LinkToken::parse(&format!("msl_{text}"));
        }

        #[test]
        fn a_link_that_is_over_is_never_open(
            end in 0i64..9, revoked in proptest::option::of(0i64..9),
            used in proptest::option::of(0i64..9), now in 0i64..9,
        ) {
            let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
            let times = Times {
                expires_at: at(end), revoked_at: revoked.map(at), used_at: used.map(at),
            };
            let open = times.state(at(now)) == LinkState::Open;
            prop_assert_eq!(open, times.over(at(now)).is_none() && used.is_none());
            prop_assert_eq!(times.over(at(now)).is_none(), revoked.is_none() && now < end);
        }
    }

    #[test]
    fn a_link_is_enough_for_what_can_be_undone() {
        let enough_for: Vec<_> =
            Risk::ALL.iter().filter(|risk| enough(**risk, &[]).is_ok()).collect();
        assert_eq!(enough_for, [&Risk::Low, &Risk::Medium]);
    }

    #[test]
    fn a_payload_is_shown_whole_or_not_at_all() {
        assert_eq!(shown(None).unwrap(), "");
        assert_eq!(shown(Some(&json!({"a": 1}))).unwrap(), "{\n  \"a\": 1\n}");
        let most = settings::LINK_PAYLOAD_BYTES;
        assert!(shown(Some(&json!("x".repeat(most - 2)))).is_ok());
        assert_eq!(shown(Some(&json!("x".repeat(most - 1)))).unwrap_err().code, Code::LinkRefused);
    }

    #[test]
    fn nothing_secret_is_shown_by_debug() {
        let token = LinkToken::new(WorkspaceId(Uuid::nil()), LinkId(Uuid::nil()), [7; 32]);
        let secret = token.expose().rsplit('_').next().unwrap().to_owned();
        assert!(!format!("{token:?}").contains(&secret));
    }
}
