//! Who may register an agent again, and who may change its owner.
//!
//! A key of an agent lets its holder work as the agent, and its owner is excluded from deciding about
//! its work. So nobody but an admin hands out keys of another person's agent, or moves the exclusion
//! to somebody else.

use crate::{
    app::{Result, Unit, caller::Principal},
    domain::{
        access::role::Role,
        approval::excluded::Decider,
        refusal::{Code, Refusal},
    },
    store::{self, agents::AgentRow},
};

/// Refuses to register a known agent again, unless the caller registered it, owns it, or is an admin.
///
/// # Errors
/// `forbidden`.
pub(super) async fn check_registrant(
    unit: &mut Unit,
    principal: &Principal,
    agent: &AgentRow,
) -> Result<()> {
    if principal.role == Role::Admin {
        return Ok(());
    }
    let caller = principal.decider();
    let owner = agent.owner.clone().map(Decider::person);
    if owner.is_some_and(|owner| owner.same_as(&caller)) {
        return Ok(());
    }
    let registrant = store::agents::registrant(unit.tx(), agent.agent_id).await?;
    let registrant = match registrant {
        Some(key) => store::authority::holder(unit.tx(), key).await?,
        None => None,
    };
    if registrant.is_some_and(|holder| holder.decider.same_as(&caller)) {
        return Ok(());
    }
    let detail = format!(
        "the agent `{}` belongs to another person, so an admin must register it again; or register \
         an agent with another name",
        agent.name
    );
    Err(Refusal::new(Code::Forbidden, detail).into())
}

/// Refuses a change of the owner by anybody but an admin.
///
/// # Errors
/// `forbidden`.
pub(super) fn check_change(role: Role) -> std::result::Result<(), Refusal> {
    if role == Role::Admin {
        return Ok(());
    }
    let detail = "the owner of an agent is excluded from deciding about its work, so an admin must \
                  change it; leave out `owner` to keep it";
    Err(Refusal::new(Code::Forbidden, detail))
}
