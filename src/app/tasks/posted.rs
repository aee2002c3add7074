//! Whose a goal is: a submitter cancels, retries, reopens, adds to and comments on only what they posted.

use crate::{
    app::{Result, Unit, caller::Principal},
    domain::{
        access::role::Role,
        ids::GoalId,
        refusal::{Code, Refusal},
    },
    store,
};

/// Refuses a submitter who did not post the goal: neither with this key, nor as this person, nor with
/// a key of the same origin. `verb`: what they would do, as in "a submitter `cancels only` goals that they
/// posted".
///
/// # Errors
/// `forbidden`.
pub(in crate::app) async fn check(
    unit: &mut Unit,
    principal: &Principal,
    goal: GoalId,
    verb: &str,
) -> Result<()> {
    match principal.role {
        Role::Admin | Role::Operator => return Ok(()),
        Role::Submitter | Role::Agent | Role::Viewer => {}
    }
    let poster = store::authority::poster(unit.tx(), goal).await?;
    if poster.is_some_and(|poster| poster.decider.same_as(&principal.decider())) {
        return Ok(());
    }
    let detail =
        format!("a submitter {verb} goals that they posted; ask their poster or an operator");
    Err(Refusal::new(Code::Forbidden, detail).into())
}
