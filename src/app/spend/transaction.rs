//! Transaction of a batch of spend reports.

use serde_json::json;

use super::{answer::SpendAnswer, charge::charge, command::SpendCommand};
use crate::{
    app::{
        App, Result,
        caller::Actor,
        coalesce::Batched,
        unit::locks::{find, locked},
    },
    domain::{
        ids::{AttemptId, WorkspaceId},
        journal::{Kind, NewRow},
        spend::SpendReport,
        states::AttemptState,
        task::{self, AttemptFacts},
    },
};

impl Batched for SpendCommand {
    type Context = App;
    type Group = WorkspaceId;
    type Answer = SpendAnswer;
    const KIND: &'static str = "spend";

    fn group(&self) -> WorkspaceId {
        self.workspace
    }

    async fn run(
        app: App,
        workspace: WorkspaceId,
        batch: Vec<Self>,
    ) -> Result<Vec<Result<SpendAnswer>>> {
        let mut unit = app.begin(workspace, Actor::SERVICE).await?;
        let ids: Vec<AttemptId> = batch.iter().map(|command| command.attempt).collect();
        let attempts = locked(&mut unit, &ids).await?;
        let admitted: Vec<Result<&AttemptFacts>> = batch
            .iter()
            .map(|command| {
                let attempt = find(&attempts, command.attempt)?;
                task::own(attempt, command.holder, &command.lease_sha256)?;
                Ok(attempt)
            })
            .collect();
        let reports: Vec<(&AttemptFacts, &SpendReport)> = admitted
            .iter()
            .zip(&batch)
            .filter_map(|(attempt, command)| Some((*attempt.as_ref().ok()?, &command.report)))
            .collect();
        let spent = charge(&mut unit, "", &reports, &[]).await?;
        for (attempt, command) in admitted.iter().zip(&batch) {
            let Ok(attempt) = attempt else { continue };
            let spent = spent.get(&attempt.attempt_id);
            let late = attempt.state != AttemptState::Running;
            let row = NewRow::new(Kind::AttemptSpendReported).of_attempt(attempt);
            unit.record(
                row.by(command.actor.clone()).data(json!({"attempt_spend": spent, "late": late})),
            );
        }
        let answers = admitted.into_iter().zip(&batch).map(|(attempt, command)| {
            let attempt = attempt?;
            Ok(SpendAnswer {
                unread: command.report.unread(),
                unit_hints: command.report.unit_hints(),
                attempt_spend: spent.get(&attempt.attempt_id).cloned().unwrap_or_default(),
                late: attempt.state != AttemptState::Running,
            })
        });
        let answers = answers.collect();
        app.commit(unit).await?;
        Ok(answers)
    }
}
