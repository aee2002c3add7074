//! Comments: what people and agents say about a task or a goal.
//!
//! A comment is advice and no command: it changes no state, and no rule reads it. The next claim of the task
//! hands over the latest comments on the task and on its goal, and running attempts get new ones with their heartbeats.
//!
//! Agents talk to each other with comments: a comment can be for one agent or for those with a capability, and can ask
//! or answer. There is no second mechanism for messages, because what is said about a task belongs to the task.
//!
//! Decisions:
//! - Operators comment everywhere, submitters on the goals that they posted and on their tasks.
//! - An agent comments on a task while it holds a running attempt of it, and meanwhile on the goal of that
//!   task. Elsewhere it has nothing to say: its text would reach the agents of tasks that it never got.
//! - Tasks and goals that have ended can be commented on: that is when people look back.
//! - A comment is never edited or deleted, because an agent may have acted on it. The writer corrects it with
//!   the next one.
//! - The addressee of a comment gets it with a heartbeat. It hides nothing: who can read the task or goal can read
//!   its comments, and a claim hands over the latest of all addressees.
//! - An agent writes at most 30 comments a minute, and agents 2,000 about one goal: two agents that thank each other for
//!   ever end. People are bounded by the limits of their keys.
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
        locks::{lock_goal, lock_task},
    },
};
use crate::{
    domain::{
        access::role::Role,
        addressee::Addressee,
        cap::workspace::Holding,
        comment::CommentKind,
        ids::{AgentId, AttemptId, CommentId, GoalId, TaskId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
    },
    store::{
        self, Hold, Tx,
        comments::{NewCommentRow, deliveries::Delivery},
    },
};
use views::{Comment, NewComment};

impl App {
    /// Comments on a task.
    ///
    /// # Errors
    /// `not_found`, `invalid`, `workspace_full`, `rate_limited`, `wrong_state`; `forbidden` for a submitter who did not post the goal;
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
            write(unit, principal, (goal, Some(task)), new).await
        })
        .await
    }

    /// Comments on a goal.
    ///
    /// # Errors
    /// `not_found`, `invalid`, `workspace_full`, `rate_limited`, `wrong_state`; `forbidden` for a submitter who did not post it;
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
            write(unit, principal, (goal, None), new).await
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
    said: &NewComment,
) -> Result<Comment> {
    // Attempts end under the lock of their goal: what an agent holds is held until the commit. They start under the
    // lock of their task.
    lock_goal(unit, goal).await?;
    lock_task(unit, task).await?;
    let by_agent = admit(unit, principal, (goal, task)).await?;
    caps::admit(unit, Holding::StoredBytes, 0).await?;
    if let Some((agent, _)) = by_agent {
        refuse_too_many(unit, goal, agent).await?;
    }
    let to = addressee(unit, goal, said).await?;
    let id: CommentId = unit.id();
    let new = NewCommentRow {
        comment_id: id,
        goal_id: goal,
        task_id: task,
        by_agent,
        created_by: principal.key,
        person: principal.person.as_ref(),
        kind: said.kind,
        to: to.as_ref(),
        answers: said.answers,
        text: &said.text,
    };
    store::comments::insert(unit.tx(), &new).await?;
    let by = by_agent.map(|(agent, _)| agent);
    let delivery = Delivery { comment_id: id, goal_id: goal, task_id: task, by, to: to.as_ref() };
    store::comments::deliveries::begin(unit.tx(), delivery).await?;
    let comment = read(unit.tx(), id).await?;
    let excerpt: String = said.text.chars().take(settings::COMMENT_EXCERPT_CHARS).collect();
    let row = NewRow::new(Kind::CommentCreated).goal(goal).task(task).after(&comment);
    let row = row.agent(comment.agent_id).attempt(comment.attempt_id);
    let mut data = json!({"comment_id": id, "text": excerpt});
    if comment.kind != CommentKind::Note || comment.to.is_some() {
        data["kind"] = json!(comment.kind);
        data["to"] = json!(comment.to);
    }
    unit.record(row.data(data));
    Ok(comment)
}

/// Whom a comment is for. An answer without an addressee is for the agent that asked.
///
/// # Errors
/// `invalid` for an agent or question that is not there.
async fn addressee(unit: &mut Unit, goal: GoalId, said: &NewComment) -> Result<Option<Addressee>> {
    let mut to = said.to.clone();
    if let Some(id) = said.answers {
        let question = store::comments::read(unit.tx(), id).await?;
        let question = question.filter(|found| found.goal_id == goal);
        let question = question.filter(|found| found.kind == CommentKind::Question);
        let Some(question) = question else {
            let detail = "there is no such question about this goal or one of its tasks";
            return Err(Refusal::invalid_at("/answers", detail).into());
        };
        to = to.or_else(|| Addressee::of(question.agent_id, None));
    }
    if let Some(agent) = said.to.as_ref().and_then(|to| to.agent_id)
        && !store::comments::is_addressable(unit.tx(), agent).await?
    {
        let detail = "there is no such agent, or it is archived or retired";
        return Err(Refusal::invalid_at("/to/agent_id", detail).into());
    }
    Ok(to)
}

/// Refuses more comments of agents than there may be.
///
/// # Errors
/// `rate_limited`, `wrong_state`.
async fn refuse_too_many(unit: &mut Unit, goal: GoalId, agent: AgentId) -> Result<()> {
    let since = unit.now() - settings::COMMENTS_WITHIN;
    let written = store::comments::deliveries::written(unit.tx(), goal, agent, since).await?;
    if written.lately >= settings::AGENT_COMMENTS {
        let detail = format!(
            "the agent wrote {} comments within a minute, which is the most: wait, and say several things in one",
            written.lately
        );
        return Err(Refusal::new(Code::RateLimited, detail).into());
    }
    if written.of_goal >= settings::GOAL_COMMENTS {
        let detail = format!(
            "agents wrote {} comments about this goal and its tasks, which is the most: write results, checkpoints \
             and notes of hand-offs instead",
            written.of_goal
        );
        return Err(Refusal::new(Code::WrongState, detail).into());
    }
    Ok(())
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
