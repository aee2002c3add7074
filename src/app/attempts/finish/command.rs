//! One ending in a batch: complete, fail or release.

use serde_json::{Value, json};

use super::answer::{CompleteRequest, FailRequest, FinishAnswer, ReleaseRequest};
use crate::{
    app::caller::Actor,
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

    /// What the next attempt is handed.
    pub(in crate::app) fn checkpoint(&self) -> Option<Value> {
        match &self.finish {
            Finish::Release(request) => request.checkpoint.clone(),
            Finish::Complete(_) | Finish::Fail(_) => None,
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
