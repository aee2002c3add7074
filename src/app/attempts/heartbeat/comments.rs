//! Comments in heartbeat answers: those that were written while the attempt runs.
//!
//! A comment waits in the database for each attempt that it is for. The statement that renews leases also sees whether
//! any waits, so heartbeats without one cost no more. It is sent with every answer until a heartbeat acknowledges it,
//! because an answer may be lost; an agent that never acknowledges anything gets it five times.

use std::collections::{BTreeSet, HashMap};

use crate::{
    app::Result,
    domain::ids::{AttemptId, CommentId},
    store::{
        self, Tx,
        attempts::heartbeat::Heard,
        comments::deliveries::{Bounds, Delivered},
    },
};

/// Comments for the attempts of a batch.
#[derive(Debug, Default)]
pub(super) struct Comments(HashMap<AttemptId, Delivered>);

/// Stores what renewed attempts acknowledge, then reads what they are to be told.
pub(super) async fn of(
    tx: &mut Tx,
    seen: BTreeSet<(AttemptId, CommentId)>,
    heard: &HashMap<AttemptId, Heard>,
) -> Result<Comments> {
    if !seen.is_empty() {
        store::comments::deliveries::seen(tx, &Vec::from_iter(seen)).await?;
    }
    let waiting = heard.values().filter(|heard| heard.comments);
    let waiting: BTreeSet<AttemptId> = waiting.map(|heard| heard.attempt.attempt_id).collect();
    if waiting.is_empty() {
        return Ok(Comments::default());
    }
    let waiting = Vec::from_iter(waiting);
    Ok(Comments(store::comments::deliveries::deliver(tx, &waiting, Bounds::OF_HEARTBEATS).await?))
}

impl Comments {
    /// Comments for the answer to this heartbeat. Of several heartbeats of an attempt in a batch the first gets them.
    pub(super) fn take(&mut self, heard: &Heard) -> Delivered {
        self.0.remove(&heard.attempt.attempt_id).unwrap_or_default()
    }
}
