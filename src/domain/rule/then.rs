//! What rules do.

use serde::{Deserialize, Serialize};

use super::{Action, Condition, Subject, When};
use crate::domain::{
    approval::Risk,
    check::{Checks, pointer},
    freeze::FreezeMode,
    settings,
    states::AttemptState,
    task::{Ending, Next, TaskFacts},
};

/// What a rule does: exactly one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"nudge": {"text": "You are over your estimate: finish or ask."}}))]
pub enum Then {
    /// Tells whoever works on it, with the answer to the next heartbeat, once. About a goal: everybody
    /// who works on its tasks.
    Nudge {
        /// What to think about; at most 4,000 characters.
        #[schema(min_length = 1, max_length = 4000)]
        text: String,
    },
    /// Asks a person whether it is to go on (`continue`), with another agent (`reassign`, of a task that
    /// was worked on), or not (`cancel`). A task that is worked on is
    /// taken from its agent, which keeps nothing but its last checkpoint, and waits for the answer. A goal,
    /// and a task that waits for its subtasks, go on meanwhile.
    Ask {
        /// One line; left out: the rule's name and what was found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(min_length = 1, max_length = 500)]
        title: Option<String>,
        /// Markdown, for whoever decides; at most 64 KiB.
        #[serde(default)]
        body: String,
        /// How much harm a wrong decision could do; left out: `medium`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        risk: Option<Risk>,
    },
    /// Has the task wait for a person: the same as `ask`, in the service's words.
    Park {},
    /// Freezes the task, or the goal that it belongs to, until an operator lifts that.
    Freeze {
        /// `drain`, `pause` or `stop`.
        mode: FreezeMode,
        /// What is frozen: `task` or `goal`.
        on: Subject,
    },
    /// Takes the task from its agent and offers it to all others; when nobody has it, to all but the agent
    /// that had it last. It waits until another agent that can do it claims.
    Reassign {},
}

/// Most characters of a nudge: it is read in the middle of work.
const NUDGE_CHARS: usize = 4_000;

impl Then {
    /// Its name.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::Nudge { .. } => Action::Nudge,
            Self::Ask { .. } => Action::Ask,
            Self::Park {} => Action::Park,
            Self::Freeze { .. } => Action::Freeze,
            Self::Reassign {} => Action::Reassign,
        }
    }

    /// Whether it is done while nobody else does anything in the workspace.
    #[must_use]
    pub const fn holds_alone(&self) -> bool {
        match self {
            Self::Nudge { .. } | Self::Ask { .. } | Self::Park {} | Self::Reassign {} => false,
            Self::Freeze { .. } => true,
        }
    }

    pub(super) fn check(&self, checks: &mut Checks, at: &str, when: &When) {
        let (here, about) = (pointer(at, self.action()), when.subject());
        match self {
            Self::Nudge { text } => {
                let at = pointer(&here, "text");
                checks.ensure(!text.trim().is_empty(), &at, "must not be empty");
                checks.chars(&at, text, NUDGE_CHARS);
            }
            Self::Ask { title, body, risk: _ } => {
                if let Some(title) = title {
                    checks.line(&pointer(&here, "title"), title, settings::TITLE_CHARS);
                }
                checks.bytes(&pointer(&here, "body"), body, settings::DESCRIPTION_BYTES);
            }
            Self::Park {} => {
                let detail = "a goal cannot be parked; `ask` about it, or `freeze` it";
                checks.ensure(about == Subject::Task, &here, detail);
            }
            Self::Freeze { mode: _, on } => {
                let fits = about == Subject::Task || *on == Subject::Goal;
                let detail = "the condition is about goals: there is no task to freeze";
                checks.ensure(fits, &pointer(&here, "on"), detail);
            }
            Self::Reassign {} => {
                let has_one = about == Subject::Task && when.condition() != Condition::SubtasksOver;
                let detail = "no agent has a goal, or a task that waits for its subtasks";
                checks.ensure(has_one, &here, detail);
            }
        }
    }
}

/// A task that is worked on is taken from its agent and waits for a person. The attempt does not count:
/// nobody said that it was in vain.
#[must_use]
pub fn taken(task: &TaskFacts) -> Ending {
    Ending {
        attempt: AttemptState::Released,
        next: Next::Park,
        attempts_used: task.attempts_used,
        lost_in_row: task.lost_in_row,
    }
}
