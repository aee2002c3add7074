//! What a policy would have made of an approval of the past.
//!
//! What people did then is taken as it was: their votes, or the one decision, as votes under the
//! policy. Whoever was no approver then may of course have left it to somebody else; so what is told
//! is what stands in the way, not what people would have done.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Place, PolicySpec, expiry,
    panel::{Outcome, Panel, Vote},
};
use crate::domain::{approval::excluded::Excluded, words::words};

words! {
    /// What would have stood in the way of a decision of the past.
    pub enum Obstacle {
        /// Somebody decided who is excluded: who asked, owned the agent, or wrote what was reviewed.
        Excluded => "excluded",
        /// Somebody decided who is no approver.
        NotAnApprover => "not_an_approver",
        /// More people would have had to agree.
        TooFew => "too_few",
        /// Its time would have been over before the decision.
        Expired => "expired",
    }
}

/// An approval that was decided.
#[derive(Debug, Clone)]
pub struct Past {
    /// When it was asked.
    pub asked_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
    /// The form that was decided.
    pub revision: i32,
    /// Who was excluded.
    pub excluded: Vec<Excluded>,
    /// The votes, or the decision as the only one, in the order in which they were cast.
    pub votes: Vec<Vote>,
}

/// What would have stood in the way; empty: it would have been decided all the same.
#[must_use]
pub fn replay(spec: &PolicySpec, past: &Past) -> BTreeSet<Obstacle> {
    let mut obstacles = BTreeSet::new();
    let lifetime = expiry::lifetime(spec).map(TimeDelta::seconds);
    if lifetime.is_some_and(|lifetime| past.decided_at >= past.asked_at + lifetime) {
        obstacles.insert(Obstacle::Expired);
    }
    let mut place = Place::FIRST;
    let mut cast: Vec<Vote> = Vec::new();
    for vote in &past.votes {
        let panel = Panel::new(spec, place, &past.excluded);
        if !spec.allow_self && past.excluded.iter().any(|excluded| excluded.is(&vote.decider)) {
            obstacles.insert(Obstacle::Excluded);
            continue;
        }
        let Ok(in_place_of) = panel.seat(&vote.decider, vote.in_place_of.as_ref(), vote.at) else {
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
