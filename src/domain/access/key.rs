//! Admission of API keys: state, and the comparison of secrets.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{origin::Origin, person::Person, role::Role, scope::Scope, token::SecretHash};
use crate::domain::{ids::AgentId, states::AgentState, words::words};

words! {
    /// The state of a key. Only a `valid` key is accepted.
    pub enum KeyState {
        /// Accepted.
        Valid => "valid",
        /// Past its `expires_at`.
        Expired => "expired",
        /// Revoked by an administrator, or replaced by newer keys of its agent.
        Revoked => "revoked",
        /// A key that it dies with was revoked or expired.
        EndedWithMaker => "ended_with_maker",
    }
}

/// What ends a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// Time of its revocation.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Time of its expiry.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether a key that it dies with is revoked or expired.
    pub maker_ended: bool,
}

/// The state of a key at `now`. A key both revoked and expired is `revoked`.
#[must_use]
pub fn state(ends: Ends, now: DateTime<Utc>) -> KeyState {
    match ends {
        Ends { revoked_at: Some(_), .. } => KeyState::Revoked,
        Ends { expires_at: Some(end), .. } if end <= now => KeyState::Expired,
        Ends { maker_ended: true, .. } => KeyState::EndedWithMaker,
        Ends { revoked_at: None, expires_at: _, maker_ended: false } => KeyState::Valid,
    }
}

/// Who rotates a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotator {
    /// An administrator: the new key lives as long as the old one was to live.
    Admin,
    /// The key itself: the new key lives no longer than the old one was to live, so that nobody
    /// extends the access that they were given for a time.
    Itself,
}

/// When the key that replaces another expires.
///
/// Keys of agents get the lifetime of the workspace (`agent_lifetime`), for every rotator.
#[must_use]
pub fn successor_expires_at(
    old: (Role, DateTime<Utc>, Option<DateTime<Utc>>),
    by: Rotator,
    agent_lifetime: Option<Duration>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let (role, created_at, expires_at) = old;
    match (role, by) {
        (Role::Agent, Rotator::Admin | Rotator::Itself) => {
            agent_lifetime.map(|lifetime| now + lifetime)
        }
        (Role::Admin | Role::Operator | Role::Submitter | Role::Viewer, Rotator::Itself) => {
            expires_at
        }
        (Role::Admin | Role::Operator | Role::Submitter | Role::Viewer, Rotator::Admin) => {
            expires_at.map(|end| now + (end - created_at))
        }
    }
}

/// A stored key, as needed to authenticate a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// SHA-256 of its secret.
    pub secret_sha256: Vec<u8>,
    /// Its role.
    pub role: Role,
    /// The person who holds it.
    pub person: Option<Person>,
    /// As whom it counts.
    pub origin: Origin,
    /// The owner of its agent.
    pub owner: Option<Person>,
    /// Its agent and the agent's state, for keys of role `agent`.
    pub agent: Option<(AgentId, AgentState)>,
    /// What it may do below its role.
    pub scope: Scope,
    /// Its state at the time of the request.
    pub state: KeyState,
    /// The time of the request.
    pub at: DateTime<Utc>,
}

/// The role and agent that a presented secret proves, or `None`.
///
/// The hashes are compared in every case: a refusal takes the same time for a key that is unknown,
/// expired, revoked, of a retired agent, or presented with a wrong secret.
#[must_use]
pub fn admit(stored: Option<&StoredKey>, presented: SecretHash) -> Option<(Role, Option<AgentId>)> {
    const UNKNOWN: [u8; 32] = [0; 32];
    let proven = presented.matches(stored.map_or(&UNKNOWN, |key| key.secret_sha256.as_slice()));
    let key = stored?;
    let valid = match key.state {
        KeyState::Valid => true,
        KeyState::Expired | KeyState::Revoked | KeyState::EndedWithMaker => false,
    };
    let in_service = match key.agent {
        None => true,
        Some((_, AgentState::Active | AgentState::Paused | AgentState::Draining)) => true,
        Some((_, AgentState::Retired)) => false,
    };
    (proven && valid && in_service).then(|| (key.role, key.agent.map(|(agent, _)| agent)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        access::token::Token,
        ids::{KeyId, WorkspaceId},
        words::Words as _,
    };

    fn token(byte: u8) -> Token {
        Token::new(WorkspaceId(Uuid::nil()), KeyId(Uuid::nil()), [byte; 32])
    }

    fn stored(of: &Token) -> StoredKey {
        StoredKey {
            secret_sha256: of.hash().as_bytes().to_vec(),
            role: Role::Operator,
            person: None,
            origin: Origin::default(),
            owner: None,
            agent: None,
            scope: Scope::default(),
            state: KeyState::Valid,
            at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_the_right_secret_of_a_valid_key_is_admitted() {
        let (right, wrong) = (token(1), token(2));
        let key = stored(&right);
        assert_eq!(admit(Some(&key), right.hash()), Some((Role::Operator, None)));
        assert_eq!(admit(Some(&key), wrong.hash()), None);
        assert_eq!(admit(None, right.hash()), None);
        for state in [KeyState::Expired, KeyState::Revoked, KeyState::EndedWithMaker] {
            assert_eq!(admit(Some(&StoredKey { state, ..key.clone() }), right.hash()), None);
        }
    }

    #[test]
    fn an_agent_that_is_retired_is_out() {
        let agent = AgentId(Uuid::max());
        for state in AgentState::ALL {
            let key =
                StoredKey { role: Role::Agent, agent: Some((agent, *state)), ..stored(&token(1)) };
            let admitted = admit(Some(&key), token(1).hash());
            let expected = (*state != AgentState::Retired).then_some((Role::Agent, Some(agent)));
            assert_eq!(admitted, expected);
        }
    }

    #[test]
    fn a_key_ends_exactly_when_it_says() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let second = Duration::from_secs(1);
        let state = |revoked_at, expires_at, maker_ended| {
            state(Ends { revoked_at, expires_at, maker_ended }, now)
        };
        assert_eq!(state(None, None, false), KeyState::Valid);
        assert_eq!(state(None, Some(now + second), false), KeyState::Valid);
        assert_eq!(state(None, Some(now), false), KeyState::Expired);
        assert_eq!(state(Some(now), Some(now), true), KeyState::Revoked);
        assert_eq!(state(None, Some(now + second), true), KeyState::EndedWithMaker);
    }

    proptest! {
        #[test]
        fn a_person_never_extends_their_own_key(lives in 1u64..1_000_000, after in 0u64..1_000_000) {
            let made = DateTime::<Utc>::UNIX_EPOCH;
            let end = made + Duration::from_secs(lives);
            let now = made + Duration::from_secs(after.min(lives - 1));
            for role in [Role::Admin, Role::Operator, Role::Submitter, Role::Viewer] {
                let next = |by| successor_expires_at((role, made, Some(end)), by, None, now);
                prop_assert_eq!(next(Rotator::Itself), Some(end));
                prop_assert_eq!(next(Rotator::Admin), Some(now + Duration::from_secs(lives)));
            }
        }
    }
}
