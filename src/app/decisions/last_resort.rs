//! The decision of an admin where nobody else can decide.
//!
//! Exclusions and revoked keys can leave an approval without anybody who may decide it. It must not
//! wait for ever, so an admin decides it, alone and although excluded, and says so in the request
//! (`nobody_else`). It is checked under the lock of the approval that nobody else can: see
//! [`able`]. The approval and the journal show it. There is always an admin, because the last valid
//! key of one cannot be revoked.

use crate::{
    app::{Result, Unit},
    domain::{
        access::role::Role,
        policy::{StagePosition, able},
        refusal::{Code, Refusal},
    },
    store::{self, approvals::ApprovalFacts},
};

/// Admits the decision of an admin on a locked approval that nobody else can decide.
///
/// # Errors
/// `forbidden` for every other role; `separation_of_duties` while somebody else can decide.
pub(super) async fn admit(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    role: Option<Role>,
) -> Result<()> {
    if role != Some(Role::Admin) {
        let detail = "only an admin decides because nobody else can; leave out `nobody_else`";
        return Err(Refusal::new(Code::Forbidden, detail).into());
    }
    if !can_be_decided(unit, facts).await? {
        return Ok(());
    }
    let detail = "somebody else can decide this approval: ask them, or leave out `nobody_else`";
    Err(Refusal::new(Code::SeparationOfDuties, detail).into())
}

async fn can_be_decided(unit: &mut Unit, facts: &ApprovalFacts) -> Result<bool> {
    let id = facts.approval_id;
    let standing = store::approvals::frozen_policy::standing(unit.tx(), id).await?;
    let keys = store::authority::deciders(unit.tx()).await?;
    let project = store::goals::project_of(unit.tx(), facts.goal_id).await?.flatten();
    let keys = store::authority::within(&keys, project);
    let Some(standing) = standing else {
        return Ok(able::can_be_decided(None, &facts.excluded, &keys));
    };
    let place = StagePosition { stage: standing.stage, escalation: standing.escalation };
    let spec = standing.policy.0;
    Ok(able::can_be_decided(Some((&spec, place)), &facts.excluded, &keys))
}
