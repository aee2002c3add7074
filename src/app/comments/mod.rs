//! Comments: what people and agents say about a task or a goal.
//!
//! A comment is advice and no command: it changes no state, and no rule reads it. The next claim of the task
//! hands over the latest comments on the task and on its goal.
//!
//! Decisions:
//! - Operators comment everywhere, submitters on the goals that they posted and on their tasks.
//! - An agent comments on a task while it holds a running attempt of it, and meanwhile on the goal of that
//!   task. Elsewhere it has nothing to say: its text would reach the agents of tasks that it never got.
//! - Tasks and goals that have ended can be commented on: that is when people look back.
//! - A comment is never edited or deleted, because an agent may have acted on it. The writer corrects it with
//!   the next one.
//! - A comment is no edit: the version of its task or goal stays, so nobody's `If-Match` fails because of it.

pub mod views;

use serde_json::json;

use super::{
    App, Result, Unit,
    access::scope::sees_goal,
    caller::{Caller as _, CommentCaller, Principal, ProjectReaderCaller},
    caps,
    tasks::posted,
    unit::{
        idempotency::{Outcome, Request},
        locks::lock_goal,
    },
};
use crate::{
    domain::{
        access::role::Role,
        cap::workspace::Holding,
        ids::{AgentId, AttemptId, CommentId, GoalId, TaskId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
    },
    store::{self, Hold, Tx, comments::NewCommentRow},
};
use views::{Comment, NewComment};

impl App {
    /// Comments on a task.
    ///
    /// # Errors
    /// `not_found`, `invalid`, `workspace_full`; `forbidden` for a submitter who did not post the goal;
    /// `not_your_attempt` for an agent without a running attempt of the task.
    pub async fn comment_on_task(
        &self,
        caller: &CommentCaller,
        task: TaskId,
        new: &NewComment,
        request: Option<&Request>,
    ) -> Result<Outcome<Comment>> {
        let principal = caller.principal();
        self.see_task(principal, task).await?;
        self.create(principal, request, Hold::Share, async |unit| {
            new.check()?;
            let goal = store::tasks::goal_of(unit.tx(), task).await?;
            let goal = goal.ok_or_else(|| Refusal::not_found("task"))?;
            write(unit, principal, (goal, Some(task)), &new.text).await
        })
        .await
    }

    /// Comments on a goal.
    ///
    /// # Errors
    /// `not_found`, `invalid`, `workspace_full`; `forbidden` for a submitter who did not post it;
    /// `not_your_attempt` for an agent without a running attempt of one of its tasks.
    pub async fn comment_on_goal(
        &self,
        caller: &CommentCaller,
        goal: GoalId,
        new: &NewComment,
        request: Option<&Request>,
    ) -> Result<Outcome<Comment>> {
        let principal = caller.principal();
        self.see_goal(principal, goal).await?;
        self.create(principal, request, Hold::Share, async |unit| {
            new.check()?;
            write(unit, principal, (goal, None), &new.text).await
        })
        .await
    }

    /// Reads one comment.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_comment(
        &self,
        caller: &ProjectReaderCaller,
        comment: CommentId,
    ) -> Result<Comment> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let found = read(&mut tx, comment).await?;
        if !sees_goal(&mut tx, caller.principal(), found.goal_id).await? {
            return Err(Refusal::not_found("comment").into());
        }
        Ok(found)
    }

    /// Up to `rows` comments on a task after `after`, newest first.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn list_task_comments(
        &self,
        caller: &ProjectReaderCaller,
        task: TaskId,
        after: Option<CommentId>,
        rows: u32,
    ) -> Result<Vec<Comment>> {
        self.see_task(caller.principal(), task).await?;
        let mut tx = self.reader(caller.principal().workspace).await?;
        if store::tasks::goal_of(&mut tx, task).await?.is_none() {
            return Err(Refusal::not_found("task").into());
        }
        let rows = store::comments::of_task(&mut tx, task, after, rows.into()).await?;
        Ok(rows.into_iter().map(Comment::from).collect())
    }

    /// Up to `rows` comments on a goal after `after`, newest first; not those on its tasks.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn list_goal_comments(
        &self,
        caller: &ProjectReaderCaller,
        goal: GoalId,
        after: Option<CommentId>,
        rows: u32,
    ) -> Result<Vec<Comment>> {
        self.see_goal(caller.principal(), goal).await?;
        let mut tx = self.reader(caller.principal().workspace).await?;
        if store::goals::project_of(&mut tx, goal).await?.is_none() {
            return Err(Refusal::not_found("goal").into());
        }
        let rows = store::comments::of_goal(&mut tx, goal, after, rows.into()).await?;
        Ok(rows.into_iter().map(Comment::from).collect())
    }
}

async fn read(tx: &mut Tx, comment: CommentId) -> Result<Comment> {
    let found = store::comments::read(tx, comment).await?;
    Ok(found.ok_or_else(|| Refusal::not_found("comment"))?.into())
}

async fn write(
    unit: &mut Unit,
    principal: &Principal,
    (goal, task): (GoalId, Option<TaskId>),
    text: &str,
) -> Result<Comment> {
    // Attempts end under the lock of their goal: what an agent holds is held until the commit.
    lock_goal(unit, goal).await?;
    let by_agent = admit(unit, principal, (goal, task)).await?;
    caps::admit(unit, Holding::StoredBytes, 0).await?;
    let id: CommentId = unit.id();
    let new = NewCommentRow {
        comment_id: id,
        goal_id: goal,
        task_id: task,
        by_agent,
        created_by: principal.key,
        person: principal.person.as_ref(),
        text,
    };
    store::comments::insert(unit.tx(), &new).await?;
    let comment = read(unit.tx(), id).await?;
    let excerpt: String = text.chars().take(settings::COMMENT_EXCERPT_CHARS).collect();
    let row = NewRow::new(Kind::CommentCreated).goal(goal).task(task).after(&comment);
    let row = row.agent(comment.agent_id).attempt(comment.attempt_id);
    unit.record(row.data(json!({"comment_id": id, "text": excerpt})));
    Ok(comment)
}

/// Refuses a comment of somebody who has nothing to do with the goal or task. Returns the agent that
/// writes, with its attempt.
async fn admit(
    unit: &mut Unit,
    principal: &Principal,
    (goal, task): (GoalId, Option<TaskId>),
) -> Result<Option<(AgentId, AttemptId)>> {
    let agent = match (principal.role, principal.agent) {
        (Role::Agent, Some(agent)) => agent,
        (Role::Admin | Role::Operator | Role::Submitter | Role::Viewer | Role::Agent, _) => {
            posted::check(unit, principal, goal, "comments only on").await?;
            return Ok(None);
        }
    };
    match store::comments::running_attempt(unit.tx(), agent, goal, task).await? {
        Some(attempt) => Ok(Some((agent, attempt))),
        None => {
            let detail = "an agent comments on a task while it holds a running attempt of it, and \
                          meanwhile on the goal of that task";
            Err(Refusal::new(Code::NotYourAttempt, detail).into())
        }
    }
}
