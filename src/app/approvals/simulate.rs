//! Trying a policy on the approvals of the past. Nothing is changed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{policies, standing};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, MonitorCaller},
    },
    domain::{
        approval::excluded::Decider,
        canonical,
        check::Checks,
        ids::{ApprovalId, PolicyId},
        policy::{
            PolicySpec, StagePosition,
            matching::Asked,
            panel::Vote,
            replay::{Obstacle, Past, replay},
        },
        states::{ApprovalKind, ApprovalState},
    },
    store::{
        self,
        approvals::history::{PastRow, PastScope},
    },
};

/// Most approvals that one simulation looks at.
const MOST: u32 = 1000;
/// Most examples that it names.
const EXAMPLES: usize = 10;

/// Which approvals of the past a policy is tried on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimulationRequest {
    /// Only those asked at this instant or later.
    pub from: Option<DateTime<Utc>>,
    /// Only those asked before.
    pub until: Option<DateTime<Utc>>,
    /// How many at most, the newest first; left out: 1000, the most.
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// What a policy would have meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Simulation {
    /// How many approvals were looked at.
    pub examined: usize,
    /// Whether these were all of the time that was asked for.
    pub complete: bool,
    /// For how many of them the policy is, were there no other.
    pub matched: usize,
    /// How many of these no person decided: they are pending, or ended otherwise.
    pub undecided: usize,
    /// How many would have been decided all the same.
    pub same: usize,
    /// How many were decided by somebody who is excluded.
    pub excluded: usize,
    /// How many were decided by somebody who is no approver.
    pub not_an_approver: usize,
    /// How many would have needed more people.
    pub too_few: usize,
    /// How many were decided after their time would have been over.
    pub expired: usize,
    /// Some of those with which something would have been in the way, newest first.
    #[schema(max_items = 10)]
    pub examples: Vec<SimulationExample>,
}

/// An approval that would have gone otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SimulationExample {
    /// The approval.
    pub approval_id: ApprovalId,
    /// Its kind.
    pub kind: ApprovalKind,
    /// State that the approval came to.
    pub state: ApprovalState,
    /// What would have stood in the way.
    pub obstacles: Vec<Obstacle>,
}

impl App {
    /// Tries a policy on approvals of the past.
    ///
    /// # Errors
    /// `not_found`, `invalid`.
    pub async fn simulate_policy(
        &self,
        caller: &MonitorCaller,
        policy: PolicyId,
        request: &SimulationRequest,
    ) -> Result<Simulation> {
        let SimulationRequest { from, until, limit } = request;
        let mut checks = Checks::new();
        checks.range("/limit", limit.unwrap_or(MOST), 1..=MOST);
        checks.finish()?;
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let spec = policies::read(&mut tx, policy).await?.spec;
        let rows = limit.unwrap_or(MOST);
        let scope = PastScope { from: *from, until: *until, rows: i64::from(rows) + 1 };
        let mut past = store::approvals::history::list(&mut tx, &scope).await?;
        let complete = past.len() <= rows as usize;
        past.truncate(rows as usize);
        let ids: Vec<ApprovalId> = past.iter().map(|row| row.approval_id).collect();
        let asked = store::approvals::frozen_policy::asked(&mut tx, &ids).await?;
        let mut cast: HashMap<ApprovalId, Vec<Vote>> = HashMap::new();
        for row in store::approvals::votes::list(&mut tx, &ids).await? {
            cast.entry(row.approval_id).or_default().push(standing::vote(&row)?);
        }
        drop(tx);
        let asked: HashMap<ApprovalId, Asked> = asked.into_iter().collect();
        let mut simulation = Simulation { examined: past.len(), complete, ..Simulation::default() };
        for row in past {
            let covered = asked.get(&row.approval_id).is_some_and(|a| spec.r#match.covers(a));
            if covered {
                let votes = cast.remove(&row.approval_id).unwrap_or_default();
                note(&mut simulation, &spec, row, votes);
            }
        }
        Ok(simulation)
    }
}

fn note(simulation: &mut Simulation, spec: &PolicySpec, row: PastRow, votes: Vec<Vote>) {
    simulation.matched += 1;
    let (approval_id, kind, state) = (row.approval_id, row.kind, row.state);
    let Some(past) = past(row, votes) else {
        simulation.undecided += 1;
        return;
    };
    let obstacles = replay(spec, &past);
    if obstacles.is_empty() {
        simulation.same += 1;
        return;
    }
    for obstacle in &obstacles {
        match obstacle {
            Obstacle::Excluded => simulation.excluded += 1,
            Obstacle::NotAnApprover => simulation.not_an_approver += 1,
            Obstacle::TooFew => simulation.too_few += 1,
            Obstacle::Expired => simulation.expired += 1,
        }
    }
    if simulation.examples.len() < EXAMPLES {
        let obstacles = obstacles.into_iter().collect();
        simulation.examples.push(SimulationExample { approval_id, kind, state, obstacles });
    }
}

/// What people did; none: no person decided.
fn past(row: PastRow, votes: Vec<Vote>) -> Option<Past> {
    let (verdict, decided_at) = (row.verdict?, row.decided_at?);
    let decider = Decider { key: row.decided_by, person: row.person };
    if decider == (Decider { key: None, person: None }) {
        return None;
    }
    let decision = Vote {
        place: StagePosition::FIRST,
        revision: row.revision,
        decider,
        in_place_of: None,
        verdict,
        answer: row.answer.as_ref().map(canonical::sha256),
        at: decided_at,
    };
    let votes: Vec<Vote> = votes.into_iter().filter(|vote| vote.revision == row.revision).collect();
    let votes = if votes.is_empty() { vec![decision] } else { votes };
    let (asked_at, revision, excluded) = (row.created_at, row.revision, row.excluded.0);
    Some(Past { asked_at, decided_at, revision, excluded, votes })
}
