//! One ending in a batch: complete, fail or release.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    Verdict, again,
    answer::{CompleteRequest, FailRequest, FinishAnswer, ReleaseRequest},
    hold, judge, transaction,
};
use crate::{
    app::{App, Result, caller::Actor, coalesce::Batched},
    domain::{
        ids::{AttemptId, WorkspaceId},
        task::{AttemptFacts, Ending, TaskFacts, holder::Holder},
    },
};

/// How an attempt is to end.
#[derive(Debug, Clone)]
pub(in crate::app) enum Finish {
    Complete(CompleteRequest),
    Fail(FailRequest),
    Release(ReleaseRequest),
}

/// One ending in a batch.
#[derive(Debug, Clone)]
pub(in crate::app) struct FinishCommand {
    pub workspace: WorkspaceId,
    pub actor: Actor,
    pub holder: Holder,
    pub attempt: AttemptId,
    pub lease_sha256: [u8; 32],
    pub request_sha256: [u8; 32],
    pub finish: Finish,
}

impl Batched for FinishCommand {
    type Context = App;
    type Group = WorkspaceId;
    type Answer = FinishAnswer;
    const KIND: &'static str = "finish";

    fn group(&self) -> WorkspaceId {
        self.workspace
    }

    async fn run(
        app: App,
        workspace: WorkspaceId,
        batch: Vec<Self>,
    ) -> Result<Vec<Result<FinishAnswer>>> {
        let mut unit = app.begin(workspace, Actor::SERVICE).await?;
        let held = hold(&mut unit, &batch).await?;
        let mut seen = HashMap::new();
        let mut judged = Vec::new();
        let mut answers = Vec::with_capacity(batch.len());
        for command in &batch {
            // A second command for the same task finds it as the first one left it: only the same
            // request again has an answer then.
            if let Some((hash, answer)) = seen.get(&command.attempt) {
                answers.push(again(command, hash, answer));
                continue;
            }
            match judge(&unit, command, &held) {
                Ok(Verdict::Given(answer)) => answers.push(Ok(answer)),
                Ok(Verdict::New(new)) => {
                    let answer = new.answer.clone();
                    seen.insert(command.attempt, (command.request_sha256, answer.clone()));
                    answers.push(Ok(answer));
                    judged.push(new);
                }
                Err(refusal) => answers.push(Err(refusal.into())),
            }
        }
        transaction::write(&mut unit, &judged).await?;
        app.commit(unit).await?;
        Ok(answers)
    }
}

impl FinishCommand {
    /// What the agent said, for people and for the next attempt.
    pub(in crate::app) fn message(&self) -> Option<String> {
        match &self.finish {
            Finish::Complete(_) => None,
            Finish::Fail(request) => request.message.clone(),
            Finish::Release(request) => request.message.clone(),
        }
    }

    /// What it handed in.
    pub(in crate::app) fn result(&self) -> Option<Value> {
        match &self.finish {
            Finish::Complete(request) => request.result.clone(),
            Finish::Fail(_) | Finish::Release(_) => None,
        }
    }

    /// What a reviewer is shown.
    pub(in crate::app) fn payload(&self) -> Value {
        match &self.finish {
            Finish::Complete(request) => {
                json!({"result": request.result, "evidence": request.evidence})
            }
            Finish::Fail(_) | Finish::Release(_) => Value::Null,
        }
    }
}

/// A command that was judged and will be written.
#[derive(Debug)]
pub(in crate::app) struct Judged<'a> {
    pub command: &'a FinishCommand,
    pub attempt: &'a AttemptFacts,
    pub task: &'a TaskFacts,
    pub ending: Ending,
    pub answer: FinishAnswer,
}
