//! Why a task does not run, or who has it: the causes, in their order.

mod agents;
mod approvals;
pub mod cause;
mod ends;
pub mod gates;
mod kept;
mod phrases;
pub mod situation;
pub mod stops;
mod turn;
mod waits;

use crate::domain::states::TaskState;
use approvals::question;
use cause::TaskCause;
use gates::gate;
use situation::Situation;
use stops::frozen;

/// The causes, the decisive one first; never empty.
#[must_use]
pub fn causes(at: &Situation) -> Vec<TaskCause> {
    let mut found = Vec::new();
    match at.state {
        TaskState::Done | TaskState::Failed | TaskState::Cancelled => return vec![at.ended()],
        TaskState::Running => {
            found.extend(at.cancelling());
            found.push(if at.container { at.subtasks() } else { at.running() });
            return found;
        }
        TaskState::Waiting => {
            found.extend(at.goal_not_active());
            found.extend((at.needs_unmet > 0).then(|| at.needs()));
            found.extend(at.time());
        }
        TaskState::Parked | TaskState::Reviewing => {
            found.extend(at.cancelling());
            found.extend(at.goal_not_active());
            found.extend(at.parked());
        }
        TaskState::Ready => {}
    }
    found.extend(at.freezes.iter().map(frozen));
    if at.state == TaskState::Ready {
        found.extend(at.goal_not_active());
        found.extend(at.price());
        found.extend(at.gates.iter().map(gate));
        found.extend(at.rate());
        found.extend(at.budget());
        if at.is_offer_over() {
            found.push(at.promotion());
        } else {
            found.extend(at.agents());
            found.extend(if found.is_empty() { at.turn() } else { Vec::from_iter(at.offered()) });
        }
    }
    if found.is_empty() {
        found.push(at.promotion());
    }
    found
}

impl Situation {
    fn parked(&self) -> Vec<TaskCause> {
        let mut found = Vec::new();
        found.extend(self.price());
        if !self.limits.is_empty() {
            found.extend(self.budget());
        } else {
            found.extend(self.question.as_ref().map(question));
        }
        found.extend(self.divided());
        found.extend((self.children_open > 0).then(|| self.subtasks()));
        found
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::domain::{
        explain::{
            answer::FreezeOver,
            fleet::sound,
            task::{
                cause::TaskCauseKind,
                situation::{
                    UsedRate,
                    tests_only::{NOW, kinds, situation},
                },
            },
        },
        ids::FreezeId,
        words::Words as _,
    };
    use uuid::Uuid;

    #[test]
    fn every_state_has_a_cause() {
        for state in TaskState::ALL {
            for container in [false, true] {
                let at = Situation { container, ..situation(*state) };
                assert!(!causes(&at).is_empty(), "{state} {container}");
            }
        }
    }

    #[test]
    fn what_keeps_every_agent_comes_before_what_keeps_some() {
        let mut at = situation(TaskState::Ready);
        at.fleet[0].free_slots = 0;
        at.rates = vec![UsedRate { capability: "rust".into(), free_at: NOW }];
        at.freezes = vec![FreezeOver {
            freeze_id: FreezeId(Uuid::nil()),
            scope: crate::domain::freeze::FreezeScope::Workspace,
            scope_id: None,
            capability: None,
            mode: crate::domain::freeze::FreezeMode::Drain,
            reason: String::new(),
            set_by: None,
            set_at: NOW,
        }];
        let wanted = [TaskCauseKind::Freeze, TaskCauseKind::Rate, TaskCauseKind::AgentsFull];
        assert_eq!(kinds(&at), wanted);
    }

    #[test]
    fn one_free_agent_is_enough() {
        let mut at = situation(TaskState::Ready);
        at.fleet.push(sound(2, &["rust"]));
        at.fleet[0].state = crate::domain::states::AgentState::Paused;
        assert_eq!(kinds(&at), [TaskCauseKind::Unclaimed]);
        at.fleet[1].free_slots = 0;
        // The sooner passed hindrance comes first.
        assert_eq!(kinds(&at), [TaskCauseKind::AgentsFull, TaskCauseKind::AgentsPaused]);
    }
}
