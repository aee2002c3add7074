//! Simulation of a policy on past approvals. Changes nothing.

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
        access::origin::Origin,
        approval::{Risk, excluded::Decider, floor::RiskFloor},
        canonical,
        check::Checks,
        ids::{ApprovalId, PolicyId},
        policy::{
            PolicySpec, StagePosition,
            matching::Asked,
            panel::Vote,
            replay::{Obstacle, Past, replay},
        },
        span::{Ends, Span},
        states::{ApprovalKind, ApprovalState},
    },
    store::{
        self,
        approvals::history::{PastRow, PastScope},
    },
};

/// Maximum number of approvals in one simulation.
const MOST: u32 = 1000;
/// Maximum number of examples in the answer.
const EXAMPLES: usize = 10;

/// The past approvals of a simulation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimulationRequest {
    /// Only approvals requested at or after this time; absent: no lower bound.
    pub from: Option<DateTime<Utc>>,
    /// Only approvals requested before this time; absent: no upper bound.
    pub until: Option<DateTime<Utc>>,
    /// Maximum number of approvals, newest first; absent: 1000, the maximum.
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// The result of a simulation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Simulation {
    /// Number of approvals that were examined.
    pub examined: usize,
    /// Whether all approvals of the requested time were examined; `false` if the limit cut some
    /// off.
    pub complete: bool,
    /// Number of examined approvals that the policy matches, ignoring other policies.
    pub matched: usize,
    /// Number of matched approvals without a decision by a person: pending, cancelled or expired.
    pub undecided: usize,
    /// Number of matched approvals whose decision the policy would have allowed.
    pub same: usize,
    /// Number of matched approvals decided by an excluded person.
    pub excluded: usize,
    /// Number of matched approvals decided by a person who is no approver of the policy.
    pub not_an_approver: usize,
    /// Number of matched approvals with too few votes for the policy.
    pub too_few: usize,
    /// Number of matched approvals decided after the policy's time limit.
    pub expired: usize,
    /// Some of the approvals with an obstacle, newest first; at most 10.
    #[schema(max_items = 10)]
    pub examples: Vec<SimulationExample>,
}

/// A past approval that the policy would not have decided the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SimulationExample {
    /// Id of the past approval: `GET /v1/approvals/{approval_id}`.
    pub approval_id: ApprovalId,
    /// Kind of the past approval.
    pub kind: ApprovalKind,
    /// State of the approval at the time of the simulation.
    pub state: ApprovalState,
    /// Risk of the past approval, by which the policy matched or not: its floor is included.
    pub risk: Risk,
    /// Why its risk is at least this; `null`: no floor applied.
    pub risk_floor: Option<RiskFloor>,
    /// Reasons why its decision would not have been valid under the policy.
    pub obstacles: Vec<Obstacle>,
}

impl App {
    /// Simulates a policy on past approvals.
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
        Span { from: *from, to: *until }.check(&mut checks, Ends("/from", "/until"));
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
            cast.entry(row.approval_id).or_default().push(standing::vote(&row));
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
    let (risk, risk_floor) = (row.risk, row.risk_floor.clone().map(|floor| floor.0));
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
        let example = SimulationExample { approval_id, kind, state, risk, risk_floor, obstacles };
        simulation.examples.push(example);
    }
}

/// The votes of people; `None` without a decision by a person.
fn past(row: PastRow, votes: Vec<Vote>) -> Option<Past> {
    let (verdict, decided_at) = (row.verdict?, row.decided_at?);
    let origin = Origin { key: row.origin, person: row.origin_person };
    let decider = Decider { key: row.decided_by, person: row.person, origin, link: None };
    if decider == Decider::NOBODY {
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
