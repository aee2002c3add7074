//! Actions of intervention rules.

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

/// Action of a rule: exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"nudge": {"text": "You are over your estimate: finish or ask."}}))]
pub enum Then {
    /// Sends a text once, with the next heartbeat answer of the running attempt. For a goal: to
    /// every running attempt of its tasks.
    Nudge {
        /// Text for the agent, at most 4,000 characters.
        #[schema(min_length = 1, max_length = 4000)]
        text: String,
    },
    /// Opens an approval with the choices `continue`, `reassign` (another agent, if an agent held
    /// the task) and `cancel`. A running task is taken from its agent, which keeps only its last
    /// checkpoint, and waits for the answer. A goal, and a task that waits for its subtasks, go on
    /// meanwhile.
    Ask {
        /// Title of the approval, one line. Default: the rule's name and the finding.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(min_length = 1, max_length = 500)]
        title: Option<String>,
        /// Explanation for the person who decides, in Markdown, at most 64 KiB.
        #[serde(default)]
        body: String,
        /// Harm that a wrong decision could do. Default: `medium`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        risk: Option<Risk>,
    },
    /// Parks the task until a person answers: as `ask`, with a standard text.
    Park {},
    /// Freezes the task or its goal until an operator lifts the freeze.
    Freeze {
        /// Strength of the freeze: `drain`, `pause` or `stop`.
        mode: FreezeMode,
        /// Scope of the freeze: `task` or `goal`.
        on: Subject,
    },
    /// Takes the task from its agent and offers it to all others. Without a holder: to all but its
    /// last agent. The task waits until another capable agent claims it.
    Reassign {},
}

/// Longest nudge, in characters: agents read it in the middle of work.
const NUDGE_CHARS: usize = 4_000;

impl Then {
    /// Name of the action.
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

    /// Whether the action needs exclusive access to the workspace.
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
                let detail = "a goal cannot be parked; use `ask` or `freeze`";
                checks.ensure(about == Subject::Task, &here, detail);
            }
            Self::Freeze { mode: _, on } => {
                let fits = about == Subject::Task || *on == Subject::Goal;
                let detail = "the condition is about goals; freeze the `goal`";
                checks.ensure(fits, &pointer(&here, "on"), detail);
            }
            Self::Reassign {} => {
                let has_one = about == Subject::Task && when.condition() != Condition::SubtasksOver;
                let detail = "a goal, or a task that waits for its subtasks, has no agent to reassign it from";
                checks.ensure(has_one, &here, detail);
            }
        }
    }
}

/// A running task is taken from its agent and waits for a person; the attempt does not count.
#[must_use]
pub fn taken(task: &TaskFacts) -> Ending {
    Ending::unchanged(task, AttemptState::Released, Next::Park)
}
