//! Writing down what [`crate::app::attempts::finish`] has judged.

use serde_json::json;

use super::command::{Finish, Judged};
use crate::{
    app::{
        Result, Unit,
        spend::charge,
        tasks::{cascade, change::Change},
    },
    domain::{
        ids::AttemptId,
        spend::SpendReport,
        states::{ApprovalKind, AttemptState, FailureClass},
        task::{AttemptFacts, Next},
    },
    store::{
        self,
        approvals::NewApproval,
        attempts::{
            Progress,
            results::{NewEvidence, NewResult},
        },
    },
};

/// Writes a batch of endings and everything that follows.
///
/// # Errors
/// When the database fails.
pub(in crate::app) async fn write(unit: &mut Unit, judged: &[Judged<'_>]) -> Result<()> {
    if judged.is_empty() {
        return Ok(());
    }
    let ends: Vec<(AttemptId, AttemptState)> =
        judged.iter().map(|j| (j.attempt.attempt_id, j.ending.attempt)).collect();
    store::attempts::end(unit.tx(), &ends).await?;
    let results: Vec<NewResult> = judged.iter().map(result).collect();
    store::attempts::results::insert(unit.tx(), &results).await?;
    evidence(unit, judged).await?;
    checkpoints(unit, judged).await?;
    cascade::settle(unit, judged.iter().map(change).collect()).await?;
    reviews(unit, judged).await?;
    let reports: Vec<(&AttemptFacts, &SpendReport)> =
        judged.iter().map(|j| (j.attempt, spend(j))).collect();
    // One whose lease was swept gave everything back then.
    let running = judged.iter().filter(|j| j.attempt.state == AttemptState::Running);
    let ended: Vec<AttemptId> = running.map(|j| j.attempt.attempt_id).collect();
    let spent = charge(unit, &reports, &ended).await?;
    unit.note_spend(&spent);
    Ok(())
}

fn spend<'a>(judged: &Judged<'a>) -> &'a SpendReport {
    match &judged.command.finish {
        Finish::Complete(request) => &request.spend,
        Finish::Fail(request) => &request.spend,
        Finish::Release(request) => &request.spend,
    }
}

fn class(judged: &Judged<'_>) -> Option<FailureClass> {
    match &judged.command.finish {
        Finish::Fail(request) => Some(request.class),
        Finish::Complete(_) | Finish::Release(_) => None,
    }
}

fn result(judged: &Judged<'_>) -> NewResult {
    NewResult {
        attempt_id: judged.attempt.attempt_id,
        outcome: json!(judged.answer),
        request_sha256: judged.command.request_sha256,
        result: judged.command.result(),
        failure: class(judged),
        message: judged.command.message(),
    }
}

fn change(judged: &Judged<'_>) -> Change {
    let reason = match judged.ending.next {
        Next::Cancelled => Some("cancelled on request".to_owned()),
        Next::Failed(_) | Next::Retry(_) => judged.command.message(),
        Next::Done | Next::Review | Next::Park => None,
    };
    let (attempt, holder) = (judged.attempt.attempt_id, judged.attempt.holder);
    let change = Change::by_attempt(judged.task.clone(), attempt, holder, judged.ending, reason);
    Change { actor: Some(judged.command.actor.clone()), ..change }
}

async fn evidence(unit: &mut Unit, judged: &[Judged<'_>]) -> Result<()> {
    let mut rows = Vec::new();
    for judged in judged {
        let Finish::Complete(request) = &judged.command.finish else { continue };
        for (evidence, number) in request.evidence.iter().zip(1i16..) {
            rows.push(NewEvidence {
                attempt_id: judged.attempt.attempt_id,
                number,
                criterion: evidence.criterion,
                text: evidence.text.clone(),
                uri: evidence.uri.clone(),
            });
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    Ok(store::attempts::results::insert_evidence(unit.tx(), &rows).await?)
}

async fn checkpoints(unit: &mut Unit, judged: &[Judged<'_>]) -> Result<()> {
    let mut rows = Vec::new();
    for judged in judged {
        let Finish::Release(request) = &judged.command.finish else { continue };
        if request.checkpoint.is_some() {
            rows.push(Progress {
                attempt_id: judged.attempt.attempt_id,
                progress: None,
                checkpoint: request.checkpoint.clone(),
            });
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    Ok(store::attempts::progress(unit.tx(), &rows).await?)
}

async fn reviews(unit: &mut Unit, judged: &[Judged<'_>]) -> Result<()> {
    let reviewed: Vec<&Judged<'_>> =
        judged.iter().filter(|judged| judged.ending.next == Next::Review).collect();
    if reviewed.is_empty() {
        return Ok(());
    }
    let tasks: Vec<_> = reviewed.iter().map(|judged| judged.task.task_id).collect();
    let criteria = store::attempts::results::shown_criteria(unit.tx(), &tasks).await?;
    let question = |judged: &&Judged<'_>| {
        // Whoever reviews a result must see what was asked for.
        let mut payload = judged.command.payload();
        payload["criteria"] =
            criteria.get(&judged.task.task_id).cloned().unwrap_or_else(|| json!([]));
        NewApproval {
            task_id: Some(judged.task.task_id),
            attempt_id: Some(judged.attempt.attempt_id),
            payload: Some(payload),
            asked_by: judged.command.actor.key,
            ..NewApproval::new(unit.id(), ApprovalKind::Result, judged.task.goal_id)
        }
    };
    let questions = reviewed.iter().map(question).collect();
    crate::app::approvals::ask::ask(unit, questions).await
}
