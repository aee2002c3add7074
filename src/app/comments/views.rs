//! Wire types of comments.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        access::person::Person,
        addressee::Addressee,
        check::Checks,
        comment::CommentKind,
        ids::{AgentId, AttemptId, CommentId, GoalId, KeyId, TaskId},
        refusal::Refusal,
    },
    store::comments::CommentRow,
};

/// A comment to write.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewComment {
    /// What to say, Markdown; at most 16 KiB.
    #[schema(
        example = "The old importer reads the dates as local time; keep that.",
        min_length = 1
    )]
    pub text: String,
    /// `note`, `question`, or `answer` to a question.
    #[serde(default = "note")]
    #[schema(default = "note")]
    pub kind: CommentKind,
    /// The addressee. Left out: everybody at the task or goal; of an answer, the author of the question. Others can
    /// read it too.
    #[serde(default)]
    pub to: Option<Addressee>,
    /// Of an answer: the question, about the same goal or one of its tasks.
    #[serde(default)]
    pub answers: Option<CommentId>,
}

fn note() -> CommentKind {
    CommentKind::Note
}

impl NewComment {
    /// Refuses an empty or too long text, and an answer to nothing. (Control characters are refused by the reader of
    /// bodies.)
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub(in crate::app) fn check(&self) -> std::result::Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.message("/text", &self.text);
        if let Some(to) = &self.to {
            to.check(&mut checks, "/to");
        }
        let fits = (self.kind == CommentKind::Answer) == self.answers.is_some();
        let detail = "names the question of an `answer`, and belongs to nothing else";
        checks.ensure(fits, "/answers", detail);
        checks.finish()
    }
}

/// What a person or an agent said about a task or a goal. A comment is never edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Comment {
    /// Id of the comment.
    pub id: CommentId,
    /// The goal that it is about, or the goal of its task.
    pub goal_id: GoalId,
    /// The task that it is about; `null`: the goal itself.
    pub task_id: Option<TaskId>,
    /// The comment, Markdown.
    #[schema(example = "The old importer reads the dates as local time; keep that.")]
    pub text: String,
    /// `note`, `question` or `answer`.
    #[serde(default = "note")]
    #[schema(required = true)]
    pub kind: CommentKind,
    /// Whom it is for; `null`: everybody at the task or goal.
    #[serde(default)]
    #[schema(required = true)]
    pub to: Option<Addressee>,
    /// The question that an answer answers; `null` otherwise.
    #[serde(default)]
    #[schema(required = true)]
    pub answers: Option<CommentId>,
    /// The agent that wrote it; `null`: a person did.
    pub agent_id: Option<AgentId>,
    /// The attempt during which the agent wrote it; `null`: a person wrote it.
    pub attempt_id: Option<AttemptId>,
    /// The person of the key that wrote it; `null` if it names nobody.
    pub person: Option<Person>,
    /// The key that wrote it.
    pub created_by: KeyId,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

impl From<CommentRow> for Comment {
    fn from(row: CommentRow) -> Self {
        let CommentRow {
            comment_id,
            goal_id,
            task_id,
            attempt_id,
            agent_id,
            created_by,
            person,
            kind,
            to_agent,
            to_capability,
            answers,
            text,
            created_at,
        } = row;
        Self {
            id: comment_id,
            goal_id,
            task_id,
            text,
            kind,
            to: Addressee::of(to_agent, to_capability),
            answers,
            agent_id,
            attempt_id,
            person,
            created_by,
            created_at,
        }
    }
}
