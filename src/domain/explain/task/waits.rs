//! Waits for other tasks, for a time, for the goal, and for a division.

use super::{
    approvals::decide,
    cause::{TaskCause, TaskCauseKind, cause},
    phrases::many,
    situation::Situation,
};
use crate::domain::explain::{
    answer::{Actor, CauseFacts, NAMED, Remedy},
    request,
};

impl Situation {
    pub(super) fn goal_not_active(&self) -> Option<TaskCause> {
        if self.goal_state.has_attempts() {
            return None;
        }
        let detail = format!("its goal is {}", self.goal_state);
        let remedy = match &self.question {
            Some(question) => decide(question),
            None => Remedy::nothing(),
        };
        Some(cause(TaskCauseKind::GoalNotActive, detail, remedy, CauseFacts::default()))
    }

    pub(super) fn blocked(&self, kind: TaskCauseKind, what: &str) -> TaskCause {
        let mut detail = what.to_owned();
        let facts = CauseFacts {
            tasks: self.roots.iter().take(NAMED).cloned().collect(),
            tasks_count: Some(self.blocked_by),
            ..CauseFacts::default()
        };
        let (Some(first), Some(root)) = (self.roots.first(), &self.root) else {
            return cause(kind, detail, Remedy::time(None), facts);
        };
        detail.push_str(&format!("; first of all `{}`: {}", first.r#ref, root.detail));
        cause(kind, detail, root.remedy.clone(), facts)
    }

    pub(super) fn needs(&self) -> TaskCause {
        let count = usize::try_from(self.needs_unmet).unwrap_or_default();
        let what = format!("it needs {} more to be done", many(count, "task"));
        self.blocked(TaskCauseKind::Needs, &what)
    }

    pub(super) fn subtasks(&self) -> TaskCause {
        let count = usize::try_from(self.children_open).unwrap_or_default();
        let what = format!("it waits for {} inside it", many(count, "open task"));
        self.blocked(TaskCauseKind::Subtasks, &what)
    }

    pub(super) fn time(&self) -> Option<TaskCause> {
        if self.ready_from <= self.now {
            return None;
        }
        let remedy = Remedy::time(Some(self.ready_from));
        let at = self.ready_from.to_rfc3339();
        let start = self.not_before.max(self.start_at);
        let (kind, detail) = if start.is_some_and(|start| start >= self.ready_from) {
            let whose =
                if self.start_at >= self.not_before { "its goal starts" } else { "it starts" };
            (TaskCauseKind::StartTime, format!("{whose} at {at}"))
        } else {
            let Self { attempts_used, max_attempts, .. } = self;
            let detail = format!(
                "it is tried again at {at}; {attempts_used} of {max_attempts} tries are used"
            );
            (TaskCauseKind::Backoff, detail)
        };
        Some(cause(kind, detail, remedy, CauseFacts::default()))
    }

    pub(super) fn promotion(&self) -> TaskCause {
        let remedy = Remedy { acts: Actor::muster(), request: None, clears_at: Some(self.now) };
        let detail = match self.is_offer_over() {
            true => {
                "its offer to those it was handed over to is over; the service offers it to all within moments"
            }
            false => "nothing keeps it any more; the service offers it within moments",
        };
        cause(TaskCauseKind::Promotion, detail, remedy, CauseFacts::default())
    }

    pub(super) fn divided(&self) -> Option<TaskCause> {
        if !self.oversized {
            return None;
        }
        let what = "Offers the task once more as it is, to every agent but the last one. To divide it, send its \
                    parts: `POST /v1/tasks/{task_id}/split`.";
        let body = serde_json::json!({"reason": "tried once more as a whole"});
        let path = format!("/v1/tasks/{}/reassign", self.task_id);
        let remedy = Remedy::by(Actor::operator(), request::post(path, body, what));
        let detail = "its agents found it too large for one attempt; it waits to be divided";
        Some(cause(TaskCauseKind::Oversized, detail, remedy, CauseFacts::default()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        explain::{
            answer::NamedTask,
            task::{
                causes,
                situation::tests_only::{NOW, kinds, situation},
            },
        },
        ids::TaskId,
        states::TaskState,
    };

    #[test]
    fn time_is_nobodys() {
        let later = NOW + Duration::from_secs(60);
        let mut at = Situation { ready_from: later, ..situation(TaskState::Waiting) };
        let found = causes(&at);
        assert_eq!(found[0].cause, TaskCauseKind::Backoff);
        assert_eq!(found[0].remedy, Remedy::time(Some(later)));
        at.start_at = Some(later);
        assert_eq!(kinds(&at), [TaskCauseKind::StartTime]);
        at.ready_from = NOW;
        assert_eq!(kinds(&at), [TaskCauseKind::Promotion]);
    }

    #[test]
    fn needs_are_cleared_by_whoever_holds_the_first_root() {
        let mut at = Situation { needs_unmet: 1, ..situation(TaskState::Waiting) };
        let agent = &at.fleet[0];
        let acts = Actor::agent(agent.agent_id, &agent.name);
        let root = TaskCause {
            cause: TaskCauseKind::Running,
            detail: "somebody works on it".into(),
            remedy: Remedy::by(acts.clone(), request::claim(1)),
            facts: CauseFacts::default(),
        };
        at.roots = vec![NamedTask {
            task_id: TaskId(Uuid::nil()),
            r#ref: "root".into(),
            title: "root".into(),
            state: TaskState::Running,
            attempt_id: None,
            agent_id: None,
            agent_name: None,
        }];
        at.root = Some(Box::new(root));
        let found = causes(&at);
        assert_eq!((found[0].cause, &found[0].remedy.acts), (TaskCauseKind::Needs, &acts));
        assert!(found[0].detail.contains("`root`"), "{}", found[0].detail);
    }
}
