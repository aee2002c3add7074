//! Admission of API keys: state, and the comparison of secrets.

use chrono::{DateTime, Utc};

use super::{origin::Origin, person::Person, role::Role, token::SecretHash};
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
    }
}

/// The state of a key at `now`. A key both revoked and expired is `revoked`.
#[must_use]
pub fn state(
    revoked_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> KeyState {
    match (revoked_at, expires_at) {
        (Some(_), _) => KeyState::Revoked,
        (None, Some(end)) if end <= now => KeyState::Expired,
        (None, _) => KeyState::Valid,
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
    /// Its state at the time of the request.
    pub state: KeyState,
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
        KeyState::Expired | KeyState::Revoked => false,
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
    use std::time::Duration;

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
            state: KeyState::Valid,
        }
    }

    #[test]
    fn only_the_right_secret_of_a_valid_key_is_admitted() {
        let (right, wrong) = (token(1), token(2));
        let key = stored(&right);
        assert_eq!(admit(Some(&key), right.hash()), Some((Role::Operator, None)));
        assert_eq!(admit(Some(&key), wrong.hash()), None);
        assert_eq!(admit(None, right.hash()), None);
        for state in [KeyState::Expired, KeyState::Revoked] {
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
        assert_eq!(state(None, None, now), KeyState::Valid);
        assert_eq!(state(None, Some(now + second), now), KeyState::Valid);
        assert_eq!(state(None, Some(now), now), KeyState::Expired);
        assert_eq!(state(Some(now), Some(now), now), KeyState::Revoked);
    }
}
