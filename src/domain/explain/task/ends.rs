//! Tasks that have ended, are being cancelled, or are worked on.

use super::{
    cause::{TaskCause, TaskCauseKind, cause},
    situation::{Holding, Situation},
};
use crate::domain::{
    explain::{
        answer::{Actor, CauseFacts, Remedy},
        request,
    },
    states::TaskState,
};

impl Situation {
    pub(super) fn ended(&self) -> TaskCause {
        let reason = self.end_reason.clone().unwrap_or_default();
        let because = if reason.is_empty() { reason } else { format!(": {reason}") };
        let facts = CauseFacts { failure_class: self.failure_class, ..CauseFacts::default() };
        let retry = || Remedy::by(Actor::operator(), request::retry(self.task_id));
        match (self.state, self.failure_class) {
            (TaskState::Failed, _) if self.quarantined => {
                let detail = "three attempts in a row lost their lease; the task may harm its agents, so look \
                              before it is tried again";
                cause(TaskCauseKind::Quarantined, detail, retry(), facts)
            }
            (TaskState::Failed, class) => {
                let class = class.map_or_else(String::new, |class| format!(" ({class})"));
                let detail = format!("it failed for good{class}{because}");
                cause(TaskCauseKind::Failed, detail, retry(), facts)
            }
            (TaskState::Cancelled, _) => self.cancelled(&because),
            (
                TaskState::Done
                | TaskState::Waiting
                | TaskState::Ready
                | TaskState::Running
                | TaskState::Parked
                | TaskState::Reviewing,
                _,
            ) => cause(TaskCauseKind::Done, "its result was accepted", Remedy::nothing(), facts),
        }
    }

    pub(super) fn cancelled(&self, because: &str) -> TaskCause {
        let Some(first) = &self.failed_first else {
            let detail = format!("it was cancelled{because}");
            return cause(
                TaskCauseKind::Cancelled,
                detail,
                Remedy::nothing(),
                CauseFacts::default(),
            );
        };
        let detail = format!("it was cancelled because `{}` failed{because}", first.r#ref);
        let facts = CauseFacts { tasks: vec![first.clone()], ..CauseFacts::default() };
        let remedy = Remedy::by(Actor::operator(), request::retry(first.task_id));
        cause(TaskCauseKind::Cancelled, detail, remedy, facts)
    }

    pub(super) fn cancelling(&self) -> Option<TaskCause> {
        let by = self.cancel_by?;
        let detail = "its cancellation was requested; its attempt is told to stop, and ends then at the latest";
        let remedy = match &self.holding {
            None => Remedy::time(Some(by)),
            Some(holding) => {
                let acts = self.holder(holding);
                let Holding { attempt_id, .. } = holding;
                let body = serde_json::json!({"lease": "<the lease of the attempt>"});
                let what = "Gives the attempt up; the task is cancelled then.";
                let release =
                    request::post(format!("/v1/attempts/{attempt_id}/release"), body, what);
                Remedy { clears_at: Some(by), ..Remedy::by(acts, release) }
            }
        };
        Some(cause(TaskCauseKind::Cancelling, detail, remedy, CauseFacts::default()))
    }

    pub(super) fn holder(&self, holding: &Holding) -> Actor {
        Actor::holder(holding.agent_id, holding.agent_name.as_deref(), holding.held_by_key)
    }

    pub(super) fn running(&self) -> TaskCause {
        let Some(holding) = &self.holding else {
            let remedy = Remedy::time(None);
            return cause(TaskCauseKind::Running, "it is worked on", remedy, CauseFacts::default());
        };
        let who = match &holding.agent_name {
            Some(name) => format!("the agent `{name}` works on it"),
            None => "a person works on it".to_owned(),
        };
        let detail = format!("{who} since {}", holding.since.to_rfc3339());
        let remedy = Remedy::by(self.holder(holding), request::complete(holding.attempt_id));
        cause(TaskCauseKind::Running, detail, remedy, CauseFacts::default())
    }
}
