//! Comments on tasks and goals.

pub mod deliveries;

use chrono::{DateTime, Utc};

use super::{Tx, traced};
use crate::domain::{
    access::person::Person,
    addressee::Addressee,
    comment::CommentKind,
    ids::{AgentId, AttemptId, CommentId, GoalId, KeyId, TaskId},
};

/// A comment to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewCommentRow<'a> {
    /// Its id.
    pub comment_id: CommentId,
    /// The goal that it is about, or the goal of its task.
    pub goal_id: GoalId,
    /// The task that it is about; `None`: the goal itself.
    pub task_id: Option<TaskId>,
    /// The agent that writes it, with its attempt.
    pub by_agent: Option<(AgentId, AttemptId)>,
    /// The key that writes it.
    pub created_by: KeyId,
    /// The person of that key.
    pub person: Option<&'a Person>,
    /// What it is.
    pub kind: CommentKind,
    /// Whom it is for; `None`: everybody.
    pub to: Option<&'a Addressee>,
    /// The question that it answers.
    pub answers: Option<CommentId>,
    /// The text.
    pub text: &'a str,
}

/// Stores a comment, and that its task or goal has one. The caller holds the lock of the goal.
pub async fn insert(tx: &mut Tx, new: &NewCommentRow<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into comments (workspace_id, comment_id, goal_id, task_id, agent_id, attempt_id,
                               created_by, person, text, created_at, kind, to_agent, to_capability,
                               answers)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        tx.workspace.0,
        new.comment_id.0,
        new.goal_id.0,
        new.task_id.map(|id| id.0),
        new.by_agent.map(|(agent, _)| agent.0),
        new.by_agent.map(|(_, attempt)| attempt.0),
        new.created_by.0,
        new.person.map(Person::as_str),
        new.text,
        tx.now,
        new.kind.as_str(),
        new.to.and_then(|to| to.agent_id).map(|id| id.0),
        new.to.and_then(|to| to.capability.as_deref()),
        new.answers.map(|id| id.0),
    )
    .execute(traced!(tx, "comments.insert"))
    .await?;
    match new.task_id {
        Some(task) => mark_task(tx, task).await,
        None => mark_goal(tx, new.goal_id).await,
    }
}

async fn mark_task(tx: &mut Tx, task: TaskId) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set commented = true
         where workspace_id = $1 and task_id = $2 and not commented",
        tx.workspace.0,
        task.0,
    )
    .execute(traced!(tx, "comments.mark_task"))
    .await?;
    Ok(())
}

async fn mark_goal(tx: &mut Tx, goal: GoalId) -> sqlx::Result<()> {
    sqlx::query!(
        "update goals set commented = true
         where workspace_id = $1 and goal_id = $2 and not commented",
        tx.workspace.0,
        goal.0,
    )
    .execute(traced!(tx, "comments.mark_goal"))
    .await?;
    Ok(())
}

/// The running attempt of an agent at the task, or at any task of the goal; the newest of several.
pub async fn running_attempt(
    tx: &mut Tx,
    agent: AgentId,
    goal: GoalId,
    task: Option<TaskId>,
) -> sqlx::Result<Option<AttemptId>> {
    sqlx::query_scalar!(
        r#"select attempt_id as "attempt_id: AttemptId" from attempts
           where workspace_id = $1 and agent_id = $2 and state = 'running' and goal_id = $3
             and ($4::uuid is null or task_id = $4)
           order by attempt_id desc limit 1"#,
        tx.workspace.0,
        agent.0,
        goal.0,
        task.map(|id| id.0),
    )
    .fetch_optional(traced!(tx, "comments.running_attempt"))
    .await
}

/// Whether there is an agent that is neither archived nor retired.
pub async fn is_addressable(tx: &mut Tx, agent: AgentId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from agents
                          where workspace_id = $1 and agent_id = $2 and not archived
                            and state <> 'retired') as "there!""#,
        tx.workspace.0,
        agent.0,
    )
    .fetch_one(traced!(tx, "comments.is_addressable"))
    .await
}

/// A comment.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct CommentRow {
    pub comment_id: CommentId,
    pub goal_id: GoalId,
    pub task_id: Option<TaskId>,
    pub attempt_id: Option<AttemptId>,
    pub agent_id: Option<AgentId>,
    pub created_by: KeyId,
    pub person: Option<Person>,
    pub kind: CommentKind,
    pub to_agent: Option<AgentId>,
    pub to_capability: Option<String>,
    pub answers: Option<CommentId>,
    pub text: String,
    pub created_at: DateTime<Utc>,
}

/// Reads comments, with the clauses behind `from comments`.
macro_rules! comments {
    ($clauses:literal, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            CommentRow,
            r#"select comment_id as "comment_id: CommentId", goal_id as "goal_id: GoalId",
                      task_id as "task_id: TaskId", attempt_id as "attempt_id: AttemptId",
                      agent_id as "agent_id: AgentId", created_by as "created_by: KeyId",
                      person as "person: Person", kind as "kind: CommentKind",
                      to_agent as "to_agent: AgentId", to_capability,
                      answers as "answers: CommentId", text, created_at
               from comments "# + $clauses,
            $($argument),+
        )
    };
}

/// Reads one comment.
pub async fn read(tx: &mut Tx, comment: CommentId) -> sqlx::Result<Option<CommentRow>> {
    comments!("where workspace_id = $1 and comment_id = $2", tx.workspace.0, comment.0)
        .fetch_optional(traced!(tx, "comments.read"))
        .await
}

/// Up to `rows` comments on a task after `after`, newest first.
pub async fn of_task(
    tx: &mut Tx,
    task: TaskId,
    after: Option<CommentId>,
    rows: i64,
) -> sqlx::Result<Vec<CommentRow>> {
    comments!(
        "where workspace_id = $1 and task_id = $2 and comment_id < $3
         order by comment_id desc
         limit $4",
        tx.workspace.0,
        task.0,
        after.map_or(uuid::Uuid::max(), |id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "comments.of_task"))
    .await
}

/// Up to `rows` comments on a goal itself after `after`, newest first.
pub async fn of_goal(
    tx: &mut Tx,
    goal: GoalId,
    after: Option<CommentId>,
    rows: i64,
) -> sqlx::Result<Vec<CommentRow>> {
    comments!(
        "where workspace_id = $1 and goal_id = $2 and task_id is null and comment_id < $3
         order by comment_id desc
         limit $4",
        tx.workspace.0,
        goal.0,
        after.map_or(uuid::Uuid::max(), |id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "comments.of_goal"))
    .await
}
