//! Rotation of keys: another key in the place of one, with a time in which both are valid.
//!
//! The new key has the role, the person, the agent and the scope of the old one. In votes and
//! exclusions both count as one. The old key expires after the overlap. Keys that end with the old key
//! end with the new one from now on, and attempts that the old key took over are the new one's: an
//! attempt has one writer, also during the overlap.
//!
//! - A key is rotated once. Otherwise the holder of the old key could go on making new ones until the
//!   overlap is over.
//! - A key that rotates itself gets no more time than it had ([`Rotator`]).
//! - A rotation revokes no other key of the agent: an instance must not end the keys of the others by
//!   rotating its own again and again.
//! - The maker of a key does not decide what is asked with it, because the maker saw its secret. A key that
//!   rotates itself therefore keeps its maker, who may be the one who rotates it. The maker of a key
//!   that an administrator rotates is that administrator.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::keys::{self, Issue, IssuedKey, Key};
use crate::{
    app::{
        App, Result, Unit,
        caller::{AdminCaller, Caller as _, Principal, SelfCaller},
        caps,
        unit::idempotency::{Outcome, Request},
        workspace,
    },
    domain::{
        access::key::{self, KeyState, Rotator},
        cap::workspace::Holding,
        check::Checks,
        ids::KeyId,
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
    },
    store::{self, Hold, keys::KeyRow},
};

/// Request to rotate a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    /// Time in seconds in which the old key is still accepted: 0 to 30 days. The old key never gets
    /// more time than it had.
    #[schema(example = 3600, minimum = 0, maximum = 2_592_000)]
    pub overlap_seconds: u64,
}

impl Rotation {
    fn overlap(self) -> Result<Duration> {
        let mut checks = Checks::new();
        let most = settings::ROTATION_OVERLAP_MAX.as_secs();
        checks.range("/overlap_seconds", self.overlap_seconds, 0..=most);
        checks.finish()?;
        Ok(Duration::from_secs(self.overlap_seconds))
    }
}

impl App {
    /// Rotates a key.
    ///
    /// # Errors
    /// `not_found`; `invalid`; `wrong_state` if the key is not valid or was rotated before;
    /// `workspace_full` unless the overlap is zero.
    pub async fn rotate_key(
        &self,
        caller: &AdminCaller,
        key: KeyId,
        rotation: Rotation,
        request: Option<&Request>,
    ) -> Result<Outcome<IssuedKey>> {
        self.rotate(caller.principal(), key, Rotator::Admin, rotation, request).await
    }

    /// Rotates the key of the caller.
    ///
    /// # Errors
    /// `invalid`; `forbidden` with a session; `wrong_state` if the key was rotated before;
    /// `workspace_full` unless the overlap is zero.
    pub async fn rotate_own_key(
        &self,
        caller: &SelfCaller,
        rotation: Rotation,
        request: Option<&Request>,
    ) -> Result<Outcome<IssuedKey>> {
        let principal = caller.principal();
        principal.with_key()?;
        self.rotate(principal, principal.key, Rotator::Itself, rotation, request).await
    }

    async fn rotate(
        &self,
        principal: &Principal,
        key: KeyId,
        by: Rotator,
        rotation: Rotation,
        request: Option<&Request>,
    ) -> Result<Outcome<IssuedKey>> {
        self.create(principal, request, Hold::Share, async |unit| {
            replace(unit, key, by, rotation.overlap()?).await
        })
        .await
    }
}

async fn replace(unit: &mut Unit, key: KeyId, by: Rotator, overlap: Duration) -> Result<IssuedKey> {
    let now = unit.now();
    let old = keys::lock(unit, key).await?;
    may_be_rotated(unit, &old).await?;
    // Without an overlap there is no more than one valid key at any time.
    if !overlap.is_zero() {
        caps::admit(unit, Holding::Keys, 1).await?;
    }
    let lifetime = workspace::agent_key_lifetime(unit.tx()).await?;
    let dates = (old.role, old.created_at, old.expires_at);
    let rotator = unit.actor();
    let created_by = if rotator == Some(key) { old.created_by } else { rotator };
    let scope = old.scope();
    let new = Issue {
        name: &old.name,
        role: old.role,
        person: old.person.as_ref(),
        agent: old.agent_id,
        expires_at: key::successor_expires_at(dates, by, lifetime, now),
        scope: &scope,
        created_by,
        counts_as: Some(key),
        dies_with: old.dies_with.as_deref().unwrap_or_default(),
    };
    let issued = keys::issue(unit, new).await?;
    let end = old.expires_at.map_or(now + overlap, |end| end.min(now + overlap));
    store::keys::hand_over(unit.tx(), key, issued.key.id, end).await?;
    let after = keys::lock(unit, key).await?;
    let data = json!({"key_id": key, "to_key_id": issued.key.id, "expires_at": end});
    let row = NewRow::new(Kind::KeyRotated).agent(old.agent_id).data(data);
    unit.record(row.before(&Key::of(old.clone(), now)).after(&Key::of(after, now)));
    Ok(issued)
}

async fn may_be_rotated(unit: &mut Unit, old: &KeyRow) -> Result<()> {
    match key::state(old.ends(), unit.now()) {
        KeyState::Valid => {}
        state @ (KeyState::Expired | KeyState::Revoked | KeyState::EndedWithMaker) => {
            let detail = format!("the key is {state}; only a valid key is rotated");
            return Err(Refusal::new(Code::WrongState, detail).into());
        }
    }
    if store::identities::has_key(unit.tx(), old.key_id).await? {
        let detail = "the key is that of an identity: nobody has its secret, so none replaces it";
        return Err(Refusal::new(Code::WrongState, detail).into());
    }
    if let Some(to) = old.rotated_to {
        let detail = format!("the key was rotated before; rotate its successor {to}");
        return Err(Refusal::new(Code::WrongState, detail).into());
    }
    Ok(())
}
