//! Tasks that an agent could claim now: whose turn it is.

use super::{
    cause::{TaskCause, TaskCauseKind, cause},
    phrases::many,
    situation::{LeftFor, Situation},
};
use crate::domain::explain::{
    answer::{Actor, CauseFacts, Remedy},
    request,
};

impl Situation {
    /// The causes of a task that a free agent has only to claim; never empty.
    pub(super) fn turn(&self) -> Vec<TaskCause> {
        let left = self.left_for();
        let order = if left.is_none() { self.order() } else { None };
        let mut found: Vec<TaskCause> =
            left.into_iter().chain(self.offered()).chain(order).collect();
        if found.is_empty() {
            found.push(self.unclaimed());
        }
        found
    }

    pub(super) fn left_for(&self) -> Option<TaskCause> {
        let LeftFor { agent_id, name, until } = self.left_for.as_ref()?;
        let detail = format!(
            "it is left for the better agent `{name}` until {}; then anybody able gets it",
            until.to_rfc3339()
        );
        let acts = Actor::agent(*agent_id, name);
        let remedy = Remedy { clears_at: Some(*until), ..Remedy::by(acts, request::claim(1)) };
        let better = self.fleet.iter().find(|agent| agent.agent_id == *agent_id);
        let facts = CauseFacts {
            agents: better.map_or_else(Vec::new, |agent| self.standings(&[agent])),
            ..CauseFacts::default()
        };
        Some(cause(TaskCauseKind::Deferral, detail, remedy, facts))
    }

    pub(super) fn order(&self) -> Option<TaskCause> {
        let place = self.place.as_ref().filter(|place| place.ahead > 0)?;
        let least = if place.at_least { "at least " } else { "" };
        let ahead = many(usize::try_from(place.ahead).unwrap_or_default(), "task");
        let first = place.first.first();
        let first = first.map_or_else(String::new, |first| {
            format!("; the first is `{}` of the goal \"{}\"", first.r#ref, first.goal_title)
        });
        let detail = format!("{least}{ahead} go first{first}");
        Some(cause(
            TaskCauseKind::Order,
            detail,
            self.claimed(place.ahead + 1),
            CauseFacts::default(),
        ))
    }

    pub(super) fn unclaimed(&self) -> TaskCause {
        let detail = match self.free_agent() {
            Some(agent) => {
                format!("it can be claimed now, for example by the agent `{}`", agent.name)
            }
            None => "it can be claimed now".to_owned(),
        };
        cause(TaskCauseKind::Unclaimed, detail, self.claimed(1), CauseFacts::default())
    }

    pub(super) fn claimed(&self, most: i64) -> Remedy {
        let acts = match self.free_agent() {
            Some(agent) => Actor::agent(agent.agent_id, &agent.name),
            None => Actor::operator(),
        };
        Remedy::by(acts, request::claim(most))
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::domain::{
        explain::{
            answer::ActorKind,
            task::{causes, situation::tests_only::situation},
        },
        states::TaskState,
    };

    #[test]
    fn a_ready_task_with_a_free_agent_has_only_to_be_claimed() {
        let found = causes(&situation(TaskState::Ready));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].cause, TaskCauseKind::Unclaimed);
        let Remedy { acts, request, clears_at } = &found[0].remedy;
        assert_eq!((acts.kind, acts.name.as_deref()), (ActorKind::Agent, Some("agent 1")));
        assert_eq!(request.as_ref().map(|request| request.path.as_str()), Some("/v1/claims"));
        assert_eq!(*clears_at, None);
    }
}
