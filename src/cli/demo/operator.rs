//! The operator of the demo: watches the goal and decides its approvals.
//!
//! It polls, because it shows the progress; a script that needs only the end of a goal reads it once
//! with `wait_seconds`.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use super::{
    client::{Client, Result},
    display::Display,
};
use crate::{
    app::{approvals::views::Approval, decisions::request::DecisionRequest, goals::views::Goal},
    domain::{
        approval::Verdict,
        ids::{ApprovalId, GoalId},
        refusal::Code,
        spend::Amounts,
    },
};

/// Pause between two polls.
const POLL: Duration = Duration::from_millis(250);
/// Time of a person for a decision.
const THINK: Duration = Duration::from_millis(1500);

/// Decides approvals and shows the progress of the goal, until it has ended.
///
/// # Errors
/// muster refuses a request that an operator may make, or does not answer.
pub(super) async fn watch(client: &Client, goal: GoalId, display: &Display) -> Result<Goal> {
    let mut asked = HashMap::new();
    loop {
        let now: Goal = client.get(&format!("/v1/goals/{goal}")).await?;
        display.overall(now.tasks.done, now.tasks.total, &dollars(&now.spend));
        if now.state.is_terminal() {
            return Ok(now);
        }
        let pending = format!("/v1/approvals?goal_id={goal}&state=pending&limit=200");
        for approval in client.list::<Approval>(&pending).await? {
            attend(client, &approval, &mut asked, display).await?;
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn attend(
    client: &Client,
    approval: &Approval,
    asked: &mut HashMap<ApprovalId, Instant>,
    display: &Display,
) -> Result<()> {
    match asked.get(&approval.id) {
        None => {
            display.note("operator", "", &format!("is asked: {}", approval.title));
            asked.insert(approval.id, Instant::now());
        }
        Some(since) if since.elapsed() >= THINK => {
            approve(client, approval).await?;
            display.note("operator", "", "has read the evidence, and accepts it");
        }
        Some(_) => {}
    }
    Ok(())
}

async fn approve(client: &Client, approval: &Approval) -> Result<()> {
    let decision = DecisionRequest {
        reason: Some("the evidence covers every criterion".to_owned()),
        ..DecisionRequest::new(Verdict::Approve, approval.payload_sha256)
    };
    let path = format!("/v1/approvals/{}/decide", approval.id);
    match client.post::<Value>(&path, &decision).await {
        // The first try had its effect, and its answer was lost.
        Err(error) if error.is(Code::AlreadyDecided) => Ok(()),
        decided => decided.map(drop),
    }
}

/// An amount of money, for people.
pub(super) fn dollars(spend: &Amounts) -> String {
    let micros = spend.get("usd_micros").copied().unwrap_or_default();
    format!("${}.{:04}", micros / 1_000_000, micros % 1_000_000 / 100)
}
