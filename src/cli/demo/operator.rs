//! The operator of the demo: looks after the goal, and decides what waits for a person.
//!
//! It polls, because it shows numbers that move; a script that only wants the end of a goal reads
//! it once with `wait_seconds`.

use std::{collections::HashMap, time::Duration};

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
        states::ApprovalState,
    },
};

/// How often it looks.
const LOOK: Duration = Duration::from_millis(250);
/// How long a person thinks.
const THINK: Duration = Duration::from_millis(1500);

/// Decides what waits and shows how far the goal is, until it has ended.
///
/// # Errors
/// When muster refuses what an operator may do, or does not answer.
pub(super) async fn look_after(client: &Client, goal: GoalId, display: &Display) -> Result<Goal> {
    let mut asked = HashMap::new();
    loop {
        let now = client.goal(goal).await?;
        display.overall(now.tasks.done, now.tasks.total, &dollars(&now.spend));
        if now.state.is_terminal() {
            return Ok(now);
        }
        for approval in client.approvals(goal).await? {
            if approval.state == ApprovalState::Pending {
                attend(client, &approval, &mut asked, display).await?;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn attend(
    client: &Client,
    approval: &Approval,
    asked: &mut HashMap<ApprovalId, Instant>,
    display: &Display,
) -> Result<()> {
    // How long a person has thought is nothing that muster knows of.
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
    match client.decide(approval.id, &decision).await {
        // The first try was heard, its answer was not.
        Err(error) if error.is(Code::AlreadyDecided) => Ok(()),
        decided => decided.map(drop),
    }
}

/// Money, for people.
pub(super) fn dollars(spend: &Amounts) -> String {
    let micros = spend.get("usd_micros").copied().unwrap_or_default();
    format!("${}.{:04}", micros / 1_000_000, micros % 1_000_000 / 100)
}
