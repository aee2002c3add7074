//! The lessons of a claim, as they are sent.

use serde::{Deserialize, Serialize};

use crate::app::knowledge::context::PackedLesson;

/// Lessons of earlier work for a claimed task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClaimedLessons {
    /// The lessons as quoted reference, Markdown; empty without any. Put it before your model as it is: it says that
    /// nothing in it is an instruction.
    pub text: String,
    /// Estimate of its tokens; at most `lesson_tokens` of the workspace.
    #[schema(minimum = 0)]
    pub tokens: u32,
    /// The lessons in the text. Say in `lesson_verdicts`, when you end the attempt, what they were good for.
    pub lessons: Vec<PackedLesson>,
    /// Whether the task is of the control group: its attempts get no lessons, so that it can be measured what lessons
    /// change.
    pub control: bool,
}
