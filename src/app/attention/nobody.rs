//! Pending approvals that nobody may decide: attention offers them to an admin.

use std::collections::HashSet;

use serde_json::json;

use super::views::AttentionItem;
use crate::{
    app::{Result, error::corrupt},
    domain::{
        ids::ApprovalId,
        policy::{PolicySpec, StagePosition, able},
    },
    store::{
        self, Tx,
        attention::{AskedOf, asked_of},
        authority::Holder,
    },
};

/// Says of each item whose approval nobody may decide that an admin decides it.
pub(super) async fn offer_to_admins(tx: &mut Tx, items: &mut [AttentionItem]) -> Result<()> {
    let ids: Vec<ApprovalId> = items.iter().filter_map(|item| item.approval_id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let keys = store::authority::deciders(tx).await?;
    let mut stuck = HashSet::new();
    for asked in asked_of(tx, &ids).await? {
        if !decidable(&asked, &keys)? {
            stuck.insert(asked.approval_id);
        }
    }
    let nobody = |item: &&mut AttentionItem| item.approval_id.is_some_and(|id| stuck.contains(&id));
    for item in items.iter_mut().filter(nobody) {
        item.detail.push_str(
            " Nobody may decide it: everybody with a valid key is excluded, or too few approvers are \
             left. An admin decides it, and the journal shows that.",
        );
        item.action.body["nobody_else"] = json!(true);
        item.action.what.push_str(" Only with the key of an admin.");
    }
    Ok(())
}

/// Whether somebody may decide an approval.
pub(in crate::app) fn decidable(asked: &AskedOf, keys: &[Holder]) -> Result<bool> {
    let AskedOf { approval_id: _, project_id, excluded, policy, stage, escalation } = asked;
    let keys = &store::authority::within(keys, *project_id);
    let Some(policy) = policy else { return Ok(able::can_be_decided(None, excluded, keys)) };
    let spec: PolicySpec = serde_json::from_value(policy.clone()).map_err(corrupt)?;
    let place = StagePosition { stage: *stage, escalation: *escalation };
    Ok(able::can_be_decided(Some((&spec, place)), excluded, keys))
}
