//! One end of an attempt in a batch: complete, fail or release.

use std::time::Duration;

use serde_json::{Value, json};

use super::answer::{CompleteRequest, FailRequest, FinishAnswer, ReleaseRequest};
use crate::{
    app::{
        caller::Actor,
        knowledge::handed::{HandedLesson, HandedVerdict},
    },
    domain::{
        ids::{AttemptId, WorkspaceId},
        states::FailureClass,
        task::{AttemptFacts, Ending, Failure, TaskFacts, holder::Holder},
    },
    store::attempts::results::NewEvidence,
};

/// The requested end of an attempt.
#[derive(Debug, Clone)]
pub(in crate::app) enum Finish {
    Complete(CompleteRequest),
    Fail(FailRequest),
    Release(ReleaseRequest),
}

impl Finish {
    /// The lessons that it hands in.
    pub(in crate::app) fn lessons(&self) -> &[HandedLesson] {
        match self {
            Self::Complete(request) => &request.lessons,
            Self::Fail(request) => &request.lessons,
            Self::Release(request) => &request.lessons,
        }
    }

    /// What it says of lessons that the attempt was given.
    pub(in crate::app) fn verdicts(&self) -> &[HandedVerdict] {
        match self {
            Self::Complete(request) => &request.lesson_verdicts,
            Self::Fail(request) => &request.lesson_verdicts,
            Self::Release(request) => &request.lesson_verdicts,
        }
    }
}

/// One command of a batch.
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
    /// The agent's message, for people and for the next attempt.
    pub(in crate::app) fn message(&self) -> Option<String> {
        match &self.finish {
            Finish::Complete(_) => None,
            Finish::Fail(request) => request.message.clone(),
            Finish::Release(request) => request.message.clone(),
        }
    }

    /// The report of a failure, as the rules read it.
    pub(in crate::app) fn failure(&self) -> Option<Failure> {
        match &self.finish {
            Finish::Fail(request) => Some(Failure {
                class: request.class,
                retryable: request.retryable,
                retry_after: request
                    .retry_after_seconds
                    .map(|seconds| Duration::from_secs(seconds.into())),
            }),
            Finish::Complete(_) | Finish::Release(_) => None,
        }
    }

    /// Whether it reports that its task is too large for one attempt.
    pub(in crate::app) fn is_too_large(&self) -> bool {
        match &self.finish {
            Finish::Fail(request) => request.class == FailureClass::TooLarge,
            Finish::Complete(_) | Finish::Release(_) => false,
        }
    }

    /// The result of a completion.
    pub(in crate::app) fn result(&self) -> Option<Value> {
        match &self.finish {
            Finish::Complete(request) => request.result.clone(),
            Finish::Fail(_) | Finish::Release(_) => None,
        }
    }

    /// Checkpoint for the next attempt.
    pub(in crate::app) fn checkpoint(&self) -> Option<Value> {
        match &self.finish {
            Finish::Release(request) => request.checkpoint.clone(),
            Finish::Complete(_) | Finish::Fail(_) => None,
        }
    }

    /// Payload of the approval of the result.
    pub(in crate::app) fn payload(&self) -> Value {
        match &self.finish {
            Finish::Complete(request) => {
                let mut payload = json!({"result": request.result, "evidence": request.evidence});
                // Left out without any, as before: reviewers' rules compare payloads.
                if !request.artifacts.is_empty() {
                    payload["artifacts"] = json!(request.artifacts);
                }
                payload
            }
            Finish::Fail(_) | Finish::Release(_) => Value::Null,
        }
    }
}

/// An admitted command, to be written.
#[derive(Debug)]
pub(in crate::app) struct Judged<'a> {
    pub command: &'a FinishCommand,
    pub attempt: &'a AttemptFacts,
    pub task: &'a TaskFacts,
    pub ending: Ending,
    pub answer: FinishAnswer,
    /// The evidence of a completion, to be stored.
    pub evidence: Vec<NewEvidence>,
    /// Whether other agents must check the result.
    pub checks: bool,
}
