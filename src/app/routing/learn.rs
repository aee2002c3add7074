//! Learning from the ends of attempts.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::TimeDelta;

use crate::{
    app::{App, Result},
    domain::{
        ids::{AgentId, WorkspaceId, first_at},
        routing::{
            beliefs::{Beliefs, Known},
            record::{Record, tells},
        },
    },
    store::{
        self, Tx,
        routing::records::{End, RecordKey, RecordRow, Unread},
    },
};

/// Rows of the journal read at once.
const ROWS: i64 = 4_000;
/// Rows of the journal behind which reading goes on with the newest [`ROWS`]. A record weighs at most sixty
/// attempts, so what is left out of a long backlog would count for next to nothing.
const BEHIND: i64 = 20_000;
/// Most reads of one run.
const READS: usize = 6;
/// Time for which the latest work of an agent counts for affinity.
const LATELY: TimeDelta = TimeDelta::minutes(30);
/// How long assignments are kept.
const KEPT: TimeDelta = TimeDelta::days(30);
/// How long records of former versions are kept after their last attempt.
const RECORDS_KEPT: TimeDelta = TimeDelta::days(90);

impl App {
    /// Counts the ends of attempts that are in the journal, and makes the beliefs of this process anew if anything
    /// happened. Returns the number of counted ends.
    pub(in crate::app) async fn learn_routes(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut counted = 0;
        let mut newest = 0;
        for _ in 0..READS {
            let unread =
                store::routing::records::unread(&mut self.reader(workspace).await?).await?;
            newest = unread.newest;
            if unread.after >= unread.newest {
                break;
            }
            match self.learn_some(workspace, unread).await? {
                Some(ends) => counted += ends,
                // Another process reads the same rows.
                None => break,
            }
        }
        if self.routes.number(workspace) != Some(newest) {
            let mut tx = self.reader(workspace).await?;
            let beliefs = beliefs(&mut tx).await?;
            drop(tx);
            self.routes.set(workspace, beliefs, newest);
        }
        Ok(counted)
    }

    async fn learn_some(&self, workspace: WorkspaceId, unread: Unread) -> Result<Option<u64>> {
        let Unread { after, newest } = unread;
        let from = if newest - after > BEHIND { newest - ROWS } else { after };
        let to = newest.min(from + ROWS);
        let mut tx = self.transaction(workspace).await?;
        if !store::routing::records::read_to(&mut tx, after, to).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        let ends = store::routing::records::ends(&mut tx, from, to).await?;
        let counted = count(&mut tx, ends).await?;
        tx.commit().await?;
        Ok(Some(counted))
    }

    /// Deletes assignments that are older than thirty days, bite by bite until one is not full or the time is over.
    /// Returns their number, and whether some may be left.
    pub(in crate::app) async fn prune_assignments(
        &self,
        workspace: WorkspaceId,
    ) -> Result<(u64, bool)> {
        let at_once = store::routing::assignments::PRUNED_AT_ONCE.unsigned_abs();
        let bite = async || {
            let mut tx = self.reader(workspace).await?;
            let before = first_at(tx.now - KEPT);
            Ok(store::routing::assignments::prune(&mut tx, before).await?)
        };
        self.delete_in_bites(at_once, bite).await
    }
}

impl App {
    /// Deletes records of models and versions that an agent neither has now nor had before these, and that were not
    /// updated for ninety days: nothing reads them. Returns their number, and whether some may be left.
    pub(in crate::app) async fn prune_records(
        &self,
        workspace: WorkspaceId,
    ) -> Result<(u64, bool)> {
        let at_once = store::routing::records::PRUNED_AT_ONCE.unsigned_abs();
        let bite = async || {
            let mut tx = self.reader(workspace).await?;
            let before = tx.now - RECORDS_KEPT;
            Ok(store::routing::records::prune(&mut tx, before).await?)
        };
        self.delete_in_bites(at_once, bite).await
    }
}

async fn count(tx: &mut Tx, ends: Vec<End>) -> Result<u64> {
    let mut by_key: BTreeMap<RecordKey, Vec<End>> = BTreeMap::new();
    let mut counted = 0;
    for end in ends {
        if end.class.is_some_and(|class| !tells(class)) {
            continue;
        }
        counted += 1;
        let none = end.required.is_empty().then(String::new);
        for capability in end.required.iter().cloned().chain(none) {
            let key = (capability, end.agent_id, end.version_key.clone());
            by_key.entry(key).or_default().push(end.clone());
        }
    }
    if by_key.is_empty() {
        return Ok(0);
    }
    let keys: Vec<RecordKey> = by_key.keys().cloned().collect();
    let mut stored = store::routing::records::of(tx, &keys).await?;
    let now = tx.now;
    let records: Vec<(RecordKey, Record)> = by_key
        .into_iter()
        .map(|(key, ends)| {
            let mut record = stored.remove(&key).unwrap_or_else(|| Record::new(now));
            for end in ends {
                record.observe(end.outcome);
            }
            (key, record)
        })
        .collect();
    store::routing::records::store(tx, &records).await?;
    Ok(counted)
}

/// What is believed of the agents of a workspace now.
pub(in crate::app) async fn beliefs(tx: &mut Tx) -> Result<Beliefs> {
    let rows = store::routing::records::all(tx).await?;
    if rows.is_empty() {
        return Ok(Beliefs::default());
    }
    let rules = store::routing::records::rules(tx).await?;
    let affinities = store::routing::records::affinities(tx, tx.now - LATELY).await?;
    let mut able: HashMap<AgentId, Arc<[String]>> = HashMap::new();
    for row in &rows {
        able.entry(row.agent_id).or_insert_with(|| row.able.clone().into());
    }
    Ok(Beliefs::new(known(&rows, tx.now), able, affinities, rules.policy, tx.now))
}

/// One entry per capability and agent, with the record of the version before.
pub(in crate::app) fn known(rows: &[RecordRow], now: chrono::DateTime<chrono::Utc>) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    for row in rows {
        let same = known
            .last()
            .is_some_and(|last| last.capability == row.capability && last.agent == row.agent_id);
        if !same {
            known.push(Known {
                capability: row.capability.clone(),
                agent: row.agent_id,
                record: Record::new(now),
                before: None,
            });
        }
        let Some(last) = known.last_mut() else { continue };
        if row.current {
            last.record = row.record;
        } else {
            last.before = Some(row.record);
        }
    }
    known
}
