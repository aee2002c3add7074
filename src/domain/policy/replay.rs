//! Replay of a past approval under a policy.
//!
//! The past votes, or the single decision, are cast as votes under the policy. The people involved
//! might have acted differently under it; so the result lists obstacles, not a prediction.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    PolicySpec, StagePosition, expiry,
    panel::{Outcome, Panel, Vote},
};
use crate::domain::{approval::excluded::Excluded, words::words};

words! {
    /// Obstacle to a past decision under the policy.
    pub enum Obstacle {
        /// An excluded person decided: requester, owner of the agent, or author of the work.
        Excluded => "excluded",
        /// A person decided who is no approver.
        NotAnApprover => "not_an_approver",
        /// More people must agree.
        TooFew => "too_few",
        /// The approval would have timed out before the decision.
        Expired => "expired",
    }
}

/// A decided approval.
#[derive(Debug, Clone)]
pub struct Past {
    /// Time of the request.
    pub asked_at: DateTime<Utc>,
    /// Time of the decision.
    pub decided_at: DateTime<Utc>,
    /// Revision that was decided.
    pub revision: i32,
    /// Excluded people.
    pub excluded: Vec<Excluded>,
    /// Votes, or the decision as the only one, in the order cast.
    pub votes: Vec<Vote>,
}

/// Obstacles under the policy; empty: the decision would stand.
#[must_use]
pub fn replay(spec: &PolicySpec, past: &Past) -> BTreeSet<Obstacle> {
    let mut obstacles = BTreeSet::new();
    let lifetime = expiry::lifetime(spec).map(TimeDelta::seconds);
    if lifetime.is_some_and(|lifetime| past.decided_at >= past.asked_at + lifetime) {
        obstacles.insert(Obstacle::Expired);
    }
    let mut place = StagePosition::FIRST;
    let mut cast: Vec<Vote> = Vec::new();
    for vote in &past.votes {
        let panel = Panel::new(spec, place, &past.excluded);
        if !spec.allow_self && past.excluded.iter().any(|excluded| excluded.is(&vote.decider)) {
            obstacles.insert(Obstacle::Excluded);
            continue;
        }
        let Ok(in_place_of) = panel.principal(&vote.decider, vote.in_place_of.as_ref(), vote.at)
        else {
            obstacles.insert(Obstacle::NotAnApprover);
            continue;
        };
        cast.push(Vote { place, in_place_of, revision: past.revision, ..vote.clone() });
        match panel.tally(&cast, past.revision).outcome {
            Outcome::Pending => {}
            Outcome::NextStage => place = place.next_stage(),
            Outcome::Decided(_) => return obstacles,
        }
    }
    obstacles.insert(Obstacle::TooFew);
    obstacles
}
