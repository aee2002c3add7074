//! Attention: everything that waits for a person, oldest and riskiest first, each with the one
//! request that would clear it.
//!
//! The list is computed from the live tables in one snapshot. Nothing is stored when something
//! begins to wait, so an item exists exactly as long as its cause. The exception is work that failed:
//! without a retry no later event would clear it. Its item goes when an operator retries or acknowledges
//! it. A task in quarantine stays until then, even after the end of its goal, and stands for that goal. A
//! failed goal stays for 30 days at most: goals of CI fail every day, and nobody retries the old ones. A
//! failed task is listed by itself only while its goal is active; afterwards the goal is listed, also if
//! the task was seen. What is archived is not listed.
//!
//! No cause is listed twice, and an item is what one request clears: one set of capabilities
//! instead of each of its tasks, one limit, one freeze instead of each goal under it. An exhausted
//! budget with a pending approval is listed as that approval. Tasks under a freeze are not
//! unclaimable. A goal is stalled only if no other item and no future time explains why it does not
//! change.
//!
//! Decisions:
//! - An agent that was registered or edited less than [`settings::LOST_AFTER`] ago counts as
//!   available. So registering one clears the item; if it is not started within that time, the item
//!   is back and says so.
//! - Tasks that are kept for one agent wait for it: they are an item of their own if it is not
//!   available. An agent that is barred from one task still counts for other tasks with the same
//!   requirements.
//! - A limit that only waits for the reservations of running attempts needs no person.
//! - If the tasks of a stalled goal are ready and agents could do them, the request raises the
//!   goal's priority. Otherwise it cancels the goal.
//! - A verifying goal without an open task is one item, whatever the number of its unsatisfied criteria.
//!   The request has the first of them reworked once more, because that neither believes nor gives up
//!   anything.
//! - A task that is released again and again is listed while it is offered or waits, and not during
//!   its attempts. The request offers it to every agent but the last.
//! - A task that is too large is offered whole to every agent but the last by its request, because that can
//!   be sent unchanged. Its text names the division, which only somebody who knows the work can write.
//! - A model without a price is one item, however many tasks wait for it. Nobody knows its price but
//!   people, so the request has two fields to fill in: an invented price would be believed.
//! - A schedule that paused by itself is listed, and one that a person paused is not.
//! - Rows of the journal that are not sealed are listed with the transactions in the way. Only the
//!   operator of the database can end one of another program, so the request only shows the state.
//! - The ready-made decision on an approval: see [`ready_made`]. Where nobody may decide, its item says
//!   so and offers the decision to an admin ([`nobody`]).
//!
//! Failing web hooks will be listed once there are web hooks.
//!
//! [`settings::LOST_AFTER`]: crate::domain::settings::LOST_AFTER

pub(in crate::app) mod items;
pub(in crate::app) mod nobody;
pub(in crate::app) mod ready_made;
pub mod views;

use chrono::DateTime;

use super::{
    App, Result,
    caller::{Caller as _, MonitorCaller},
    spend::waits,
};
use crate::{
    domain::{
        attention::{
            AttentionKind, COUNTED, FAILED_RISK, Place, QUARANTINE_RISK, STALLED_AFTER,
            UNSEALED_AFTER, counted_on_since, head_start, hindrance,
        },
        task::claim::covers,
    },
    store::{
        SystemTx, Tx, attention as rows,
        attention::{AbleAgent, Scope},
    },
};

pub use views::{AttentionAction, AttentionCounts, AttentionFilter, AttentionItem};

impl App {
    /// Up to `most` items after a place, and the number of items of each kind.
    pub async fn attention(
        &self,
        caller: &MonitorCaller,
        filter: &AttentionFilter,
        after: Option<Place>,
        most: u32,
    ) -> Result<(Vec<AttentionItem>, AttentionCounts)> {
        let workspace = caller.principal().workspace;
        let turn = self.turn_to_read(workspace).await?;
        let mut system: SystemTx = self.pool.begin().await?.into();
        let now = self.clock.or(rows::begin(&mut system).await?);
        let mut tx = system.on_turn(turn, now);
        let live = rows::live_goals(&mut tx, filter.goal, filter.project).await?;
        let scope = Scope { goal: filter.goal, project: filter.project, live: live.as_deref() };
        let mut look = Look { tx: &mut tx, scope };
        let mut counts = AttentionCounts::default();
        let paged = rows::counts(look.tx, scope).await?;
        (counts.approval, counts.quarantined_task) = (paged.approvals, paged.quarantined);
        (counts.failed_goal, counts.failed_task) = (paged.failed_goals, paged.failed_tasks);
        let mut found = look.whole().await?;
        count(&mut counts, &found);
        found.retain(|item| after.is_none_or(|after| item.place() > after));
        let after = after.unwrap_or(FIRST);
        found.extend(look.approvals(after, most.into()).await?);
        found.extend(look.quarantined(after, most.into()).await?);
        found.extend(look.failed(after, most.into()).await?);
        tx.rollback().await?;
        found.retain(|item| filter.kinds.is_empty() || filter.kinds.contains(&item.kind));
        found.sort_by_key(AttentionItem::place);
        found.truncate(most as usize);
        Ok((found, counts))
    }
}

/// The place before every item.
const FIRST: Place =
    Place { rank: DateTime::UNIX_EPOCH, kind: AttentionKind::Approval, id: uuid::Uuid::nil() };

/// A view of a workspace in one snapshot.
struct Look<'a> {
    tx: &'a mut Tx,
    scope: Scope<'a>,
}

impl Look<'_> {
    /// All items of the kinds that are few per workspace; these are not paged in SQL.
    async fn whole(&mut self) -> Result<Vec<AttentionItem>> {
        let (scope, now) = (self.scope, self.tx.now);
        let (mut found, short) = self.unclaimable().await?;
        let limits = rows::exhausted_limits(self.tx, scope).await?;
        found.extend(limits.into_iter().map(items::exhausted));
        let freezes = rows::freezes_with_waiting(self.tx, scope).await?;
        found.extend(freezes.into_iter().map(items::frozen));
        let before = now - STALLED_AFTER;
        let goals = rows::resting_goals(self.tx, scope, before, &short).await?;
        found.extend(goals.into_iter().map(|goal| items::stalled(goal, now)));
        let goals = rows::unverified_goals(self.tx, scope).await?;
        found.extend(goals.into_iter().map(|goal| items::unverified(goal, now)));
        let goals = rows::unplanned_goals(self.tx, scope).await?;
        found.extend(goals.into_iter().map(|goal| items::unplanned(goal, now)));
        let released = rows::released_again(self.tx, scope).await?;
        found.extend(released.into_iter().map(items::released));
        let oversized = rows::oversized(self.tx, scope).await?;
        found.extend(oversized.into_iter().map(items::oversized));
        let models = rows::awaited_models(self.tx, scope).await?;
        let named = models.iter().map(|row| (row.provider.clone(), row.model.clone())).collect();
        let lacks = waits::lacks(self.tx, named).await?;
        found.extend(models.into_iter().zip(&lacks).map(|(row, lack)| items::unpriced(row, lack)));
        if scope.live.is_none() {
            let paused = rows::paused_schedules(self.tx).await?;
            found.extend(paused.into_iter().map(items::paused_schedule));
        }
        let lessons = rows::quarantined_lessons(self.tx, scope).await?;
        found.extend(lessons.into_iter().map(items::quarantined_lesson));
        found.extend(self.unsealed().await?);
        Ok(found)
    }

    /// The item of a journal that is not sealed, with what keeps the sealer from it.
    async fn unsealed(&mut self) -> Result<Option<AttentionItem>> {
        if self.scope.live.is_some() {
            return Ok(None);
        }
        let Some(since) = rows::unsealed_since(self.tx).await? else { return Ok(None) };
        if since > self.tx.now - UNSEALED_AFTER {
            return Ok(None);
        }
        let blockers = rows::blockers_of_sealing(self.tx).await?;
        Ok(Some(items::unsealed(self.tx.workspace, since, &blockers)))
    }

    /// Items of ready tasks that no available agent can do, one per set of required capabilities;
    /// and the keys of these sets, regardless of the scope.
    async fn unclaimable(&mut self) -> Result<(Vec<AttentionItem>, Vec<String>)> {
        let wanted = rows::ready_capabilities(self.tx).await?;
        let kept = rows::kept(self.tx, self.scope).await?;
        if wanted.is_empty() && kept.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let fleet = rows::fleet(self.tx).await?;
        let since = counted_on_since(self.tx.now);
        let hindered = |agent: &AbleAgent| {
            hindrance(agent.state, agent.heard_at >= since, agent.freeze_id.is_some())
        };
        let mut able: Vec<&[String]> = fleet
            .iter()
            .filter(|agent| hindered(agent).is_none())
            .map(|agent| agent.capabilities.as_slice())
            .collect();
        // A fleet has many agents but few distinct sets of capabilities.
        able.sort_unstable();
        able.dedup();
        let short: Vec<(String, Vec<String>)> = wanted
            .into_iter()
            .filter(|(_, required)| !able.iter().any(|able| covers(able, required)))
            .collect();
        let keys: Vec<String> = short.iter().map(|(key, _)| key.clone()).collect();
        let mut found: Vec<AttentionItem> = kept
            .iter()
            .filter_map(|kept| {
                let agent = fleet.iter().find(|agent| agent.agent_id == kept.agent_id)?;
                Some(items::kept(kept, hindered(agent)?, agent))
            })
            .collect();
        if keys.is_empty() {
            return Ok((found, keys));
        }
        let sets = rows::waiting_in(self.tx, self.scope, &keys).await?;
        for set in sets {
            let required = short.iter().find(|(key, _)| *key == set.capability_key);
            let Some((_, required)) = required else { continue };
            let could = fleet
                .iter()
                .filter(|agent| covers(&agent.capabilities, required))
                .filter_map(|agent| Some((hindered(agent)?, agent)));
            found.push(items::unclaimable(&set, required, could.collect()));
        }
        Ok((found, keys))
    }

    async fn approvals(&mut self, after: Place, most: i64) -> Result<Vec<AttentionItem>> {
        let after = after.within(AttentionKind::Approval);
        let found = rows::pending_approvals(self.tx, self.scope, after, most).await?;
        let mut items: Vec<AttentionItem> = found.into_iter().map(items::approval).collect();
        nobody::offer_to_admins(self.tx, &mut items).await?;
        Ok(items)
    }

    async fn quarantined(&mut self, after: Place, most: i64) -> Result<Vec<AttentionItem>> {
        // All of them have the same risk, so they are ordered by the time of failure.
        let (rank, id) = after.within(AttentionKind::QuarantinedTask);
        let after = (rank + head_start(QUARANTINE_RISK), id);
        let found = rows::quarantined(self.tx, self.scope, after, most).await?;
        Ok(found.into_iter().map(items::quarantined).collect())
    }

    /// Failed goals, and failed tasks of active goals.
    async fn failed(&mut self, after: Place, most: i64) -> Result<Vec<AttentionItem>> {
        // All of a kind have the same risk, so they are ordered by the time of failure.
        let behind = |kind| {
            let (rank, id) = after.within(kind);
            (rank + head_start(FAILED_RISK), id)
        };
        let (goals, tasks) = (behind(AttentionKind::FailedGoal), behind(AttentionKind::FailedTask));
        let goals = rows::failed_goals(self.tx, self.scope, goals, most).await?;
        let tasks = rows::failed_tasks(self.tx, self.scope, tasks, most).await?;
        let goals = goals.into_iter().map(items::failed_goal);
        Ok(goals.chain(tasks.into_iter().map(items::failed_task)).collect())
    }
}

fn count(counts: &mut AttentionCounts, found: &[AttentionItem]) {
    for item in found {
        let place = match item.kind {
            AttentionKind::Approval => &mut counts.approval,
            AttentionKind::QuarantinedTask => &mut counts.quarantined_task,
            AttentionKind::UnclaimableTask => &mut counts.unclaimable_task,
            AttentionKind::ExhaustedBudget => &mut counts.exhausted_budget,
            AttentionKind::Freeze => &mut counts.freeze,
            AttentionKind::StalledGoal => &mut counts.stalled_goal,
            AttentionKind::ReleasedTask => &mut counts.released_task,
            AttentionKind::UnsealedJournal => &mut counts.unsealed_journal,
            AttentionKind::FailedGoal => &mut counts.failed_goal,
            AttentionKind::FailedTask => &mut counts.failed_task,
            AttentionKind::UnpricedModel => &mut counts.unpriced_model,
            AttentionKind::UnverifiedGoal => &mut counts.unverified_goal,
            AttentionKind::UnplannedGoal => &mut counts.unplanned_goal,
            AttentionKind::OversizedTask => &mut counts.oversized_task,
            AttentionKind::PausedSchedule => &mut counts.paused_schedule,
            AttentionKind::QuarantinedLesson => &mut counts.quarantined_lesson,
        };
        *place = (*place + 1).min(COUNTED);
    }
}
