//! Planning runs: the turns of the planners of goals.
//!
//! Whoever changes the runs of a goal holds its lock, except for [`renew`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use super::{Tx, WriteError, columns::uuids, complete, traced};
use crate::domain::{
    goal::criteria::TaskPurpose,
    ids::{AttemptId, GoalId, PlanId, PlanningRunId, TaskId},
    plan::{
        CriterionSpec,
        new_goal::{PlannerChoice, TaskDefaults},
    },
    planning::{RunFacts, RunState, Said, Target},
    spend::Amounts,
    states::{FailureClass, GoalState, Planner},
};

/// A run to be stored.
#[derive(Debug)]
pub struct NewRun {
    /// Its id.
    pub run_id: PlanningRunId,
    /// Whose turn it is.
    pub planner: PlannerChoice,
    /// Its state.
    pub state: RunState,
    /// What the planner gets beside the texts of the goal.
    pub input: Value,
    /// What the planner said.
    pub said: Value,
    /// The plan that it made.
    pub plan_id: Option<PlanId>,
}

/// Stores runs of one chain behind those of a locked goal. `parts_of`: the task that the target `parts` divides.
pub async fn insert(
    tx: &mut Tx,
    goal: GoalId,
    target: Target,
    parts_of: Option<TaskId>,
    runs: &[NewRun],
) -> sqlx::Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let words = |word: fn(&NewRun) -> &'static str| runs.iter().map(word).collect::<Vec<_>>();
    let ended: Vec<bool> = runs.iter().map(|run| run.state.is_terminal()).collect();
    sqlx::query!(
        r#"
        insert into planning_runs (workspace_id, goal_id, ordinal, run_id, planner, state, input, said, plan_id,
                                   created_at, ended_at, target, parts_of)
        select $1, $2, coalesce((select max(ordinal) from planning_runs
                                 where workspace_id = $1 and goal_id = $2), 0) + r.place::integer,
               r.run_id, r.planner, r.state, r.input, r.said, r.plan_id, $3::timestamptz,
               case when r.ended then $3::timestamptz end, $11, $12
        from unnest($4::uuid[], $5::text[], $6::text[], $7::jsonb[], $8::jsonb[], $9::uuid[], $10::bool[])
             with ordinality as r (run_id, planner, state, input, said, plan_id, ended, place)
        "#,
        tx.workspace.0,
        goal.0,
        tx.now,
        &runs.iter().map(|run| run.run_id.0).collect::<Vec<_>>(),
        &words(|run| run.planner.as_str()) as &[&str],
        &words(|run| run.state.as_str()) as &[&str],
        &runs.iter().map(|run| run.input.clone()).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.said.clone()).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.plan_id.map(|id| id.0)).collect::<Vec<_>>()
            as &[Option<uuid::Uuid>],
        &ended,
        target.as_str(),
        parts_of.map(|id| id.0),
    )
    .execute(traced!(tx, "planning.insert"))
    .await?;
    Ok(())
}

/// The runs of a goal that have not ended, by ordinal.
pub async fn open(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<RunFacts>> {
    sqlx::query_as!(
        RunFacts,
        r#"
        select r.run_id as "run_id: PlanningRunId", r.ordinal, r.planner as "planner: PlannerChoice",
               r.state as "state: RunState", r.attempt, r.running_until, r.task_id as "task_id: TaskId",
               r.target as "target: Target", r.parts_of as "parts_of: TaskId",
               (r.parts_of is not null and p.oversized_at is null) as "moot!"
        from planning_runs r
        left join tasks p on p.workspace_id = $1 and p.task_id = r.parts_of
        where r.workspace_id = $1 and r.goal_id = $2 and r.state in ('queued', 'waiting', 'running')
        order by r.ordinal
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "planning.open"))
    .await
}

/// The number of runs of a goal.
pub async fn count(tx: &mut Tx, goal: GoalId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from planning_runs where workspace_id = $1 and goal_id = $2"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "planning.count"))
    .await
}

/// Runs with something to do about them, as [`step`](crate::domain::planning::step) says; the first 100. Under a
/// freeze no model is asked.
pub async fn due(tx: &mut Tx) -> sqlx::Result<Vec<(GoalId, PlanningRunId)>> {
    let rows = sqlx::query!(
        r#"
        select r.goal_id as "goal_id: GoalId", r.run_id as "run_id: PlanningRunId"
        from planning_runs r
        left join tasks t on t.workspace_id = $1 and t.task_id = r.task_id
        left join tasks p on p.workspace_id = $1 and p.task_id = r.parts_of
        where r.workspace_id = $1 and r.state in ('waiting', 'running')
          and (r.state = 'waiting' or r.running_until <= $2 or t.ended_at is not null or t.state = 'reviewing'
               or r.parts_of is not null and p.oversized_at is null)
          and (r.planner <> 'llm' or r.parts_of is not null and p.oversized_at is null or not exists (
              select from freezes f join goals g on g.workspace_id = $1 and g.goal_id = r.goal_id
              where f.workspace_id = $1 and f.lifted_at is null
                and (f.scope = 'workspace' or f.scope = 'project' and f.scope_id = g.project_id
                     or f.scope = 'goal' and f.scope_id = g.goal_id)))
        order by r.created_at, r.goal_id, r.ordinal limit 100
        "#,
        tx.workspace.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "planning.due"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.goal_id, row.run_id)).collect())
}

/// Whether a freeze is over a goal.
pub async fn is_frozen(tx: &mut Tx, goal: GoalId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from freezes f join goals g on g.workspace_id = $1 and g.goal_id = $2
            where f.workspace_id = $1 and f.lifted_at is null
              and (f.scope = 'workspace' or f.scope = 'project' and f.scope_id = g.project_id
                   or f.scope = 'goal' and f.scope_id = g.goal_id)) as "frozen!"
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "planning.is_frozen"))
    .await
}

/// The number of runs for which models are asked at the moment.
pub async fn asking(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from planning_runs
           where workspace_id = $1 and state = 'running' and running_until > $2"#,
        tx.workspace.0,
        tx.now,
    )
    .fetch_one(traced!(tx, "planning.asking"))
    .await
}

/// Takes a run for `hold`, or for as long as its task takes; returns the number of the taking.
///
/// # Errors
/// When the run is another one than was read.
pub async fn take(tx: &mut Tx, run: &RunFacts, hold: Option<Duration>) -> Result<i32, WriteError> {
    let attempt = run.attempt + 1;
    let changed = sqlx::query!(
        "update planning_runs set state = 'running', attempt = $4, running_until = $5,
                started_at = coalesce(started_at, $6)
         where workspace_id = $1 and run_id = $2 and attempt = $3 and state in ('waiting', 'running')",
        tx.workspace.0,
        run.run_id.0,
        run.attempt,
        attempt,
        hold.map(|hold| tx.now + hold),
        tx.now,
    )
    .execute(traced!(tx, "planning.take"))
    .await?;
    complete(&changed, 1, "a planning run that another server took was to be taken")?;
    Ok(attempt)
}

/// Holds a run longer; `false` if its taking no longer counts.
pub async fn renew(
    tx: &mut Tx,
    run: PlanningRunId,
    attempt: i32,
    hold: Duration,
) -> sqlx::Result<bool> {
    let changed = sqlx::query!(
        "update planning_runs set running_until = $4
         where workspace_id = $1 and run_id = $2 and attempt = $3 and state = 'running'",
        tx.workspace.0,
        run.0,
        attempt,
        tx.now + hold,
    )
    .execute(traced!(tx, "planning.renew"))
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// The end of a run.
#[derive(Debug)]
pub struct Ending<'a> {
    /// Its state.
    pub state: RunState,
    /// What the planner said.
    pub said: &'a Said,
    /// The plan that it made.
    pub plan_id: Option<PlanId>,
    /// Version of the prompt.
    pub prompt: Option<&'a str>,
    /// The model that was asked.
    pub model: Option<&'a str>,
    /// What was used.
    pub spend: &'a Amounts,
}

/// Ends a live run.
///
/// # Errors
/// When the run is another one than was read.
pub async fn end(tx: &mut Tx, run: &RunFacts, ending: &Ending<'_>) -> Result<(), WriteError> {
    let changed = sqlx::query!(
        "update planning_runs set state = $4, said = $5, plan_id = $6, prompt = $7, model = $8, spend = $9,
                ended_at = $10, running_until = null
         where workspace_id = $1 and run_id = $2 and attempt = $3 and state in ('waiting', 'running')",
        tx.workspace.0,
        run.run_id.0,
        run.attempt,
        ending.state.as_str(),
        Json(ending.said) as _,
        ending.plan_id.map(|id| id.0),
        ending.prompt,
        ending.model,
        Json(ending.spend) as _,
        tx.now,
    )
    .execute(traced!(tx, "planning.end"))
    .await?;
    complete(&changed, 1, "a planning run that another server took was to be ended")
}

/// Stores what a planner said so far.
pub async fn say(tx: &mut Tx, run: PlanningRunId, said: &Said) -> sqlx::Result<()> {
    sqlx::query!(
        "update planning_runs set said = $3 where workspace_id = $1 and run_id = $2",
        tx.workspace.0,
        run.0,
        Json(said) as _,
    )
    .execute(traced!(tx, "planning.say"))
    .await?;
    Ok(())
}

/// Gives a queued run its turn.
///
/// # Errors
/// When it is not queued.
pub async fn advance(tx: &mut Tx, run: PlanningRunId) -> Result<(), WriteError> {
    let changed = sqlx::query!(
        "update planning_runs set state = 'waiting'
         where workspace_id = $1 and run_id = $2 and state = 'queued'",
        tx.workspace.0,
        run.0,
    )
    .execute(traced!(tx, "planning.advance"))
    .await?;
    complete(&changed, 1, "a planning run that has ended was to have its turn")
}

/// Ends every run of a goal that has not ended; returns their planning tasks that are open. Nobody judges a plan that
/// such a task still hands in.
pub async fn close(tx: &mut Tx, goal: GoalId, state: RunState) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"
        with closed as (
            update planning_runs set state = $3, ended_at = $4, running_until = null
            where workspace_id = $1 and goal_id = $2 and state in ('queued', 'waiting', 'running')
            returning task_id
        )
        update tasks t set approve_result = false, version = version + 1
        from closed c
        where t.workspace_id = $1 and t.task_id = c.task_id and t.ended_at is null
        returning t.task_id as "task_id: TaskId"
        "#,
        tx.workspace.0,
        goal.0,
        state.as_str(),
        tx.now,
    )
    .fetch_all(traced!(tx, "planning.close"))
    .await
}

/// Ends every run of one chain that has not ended; returns their planning tasks that are open, as [`close`] does.
/// `parts_of`: the task that is divided; `None`: the plan of the goal.
pub async fn close_chain(
    tx: &mut Tx,
    goal: GoalId,
    parts_of: Option<TaskId>,
    state: RunState,
) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"
        with closed as (
            update planning_runs set state = $3, ended_at = $4, running_until = null
            where workspace_id = $1 and goal_id = $2 and parts_of is not distinct from $5
              and state in ('queued', 'waiting', 'running')
            returning task_id
        )
        update tasks t set approve_result = false, version = version + 1
        from closed c
        where t.workspace_id = $1 and t.task_id = c.task_id and t.ended_at is null
        returning t.task_id as "task_id: TaskId"
        "#,
        tx.workspace.0,
        goal.0,
        state.as_str(),
        tx.now,
        parts_of.map(|id| id.0),
    )
    .fetch_all(traced!(tx, "planning.close_chain"))
    .await
}

/// The planners that need somebody in the last chain that a goal was planned by, in their order.
pub async fn callable(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<PlannerChoice>> {
    sqlx::query_scalar!(
        r#"
        select r.planner as "planner: PlannerChoice"
        from planning_runs r
        where r.workspace_id = $1 and r.goal_id = $2 and r.target = 'plan' and r.planner in ('llm', 'agent')
          and r.created_at = (select max(created_at) from planning_runs
                              where workspace_id = $1 and goal_id = $2 and target = 'plan')
        order by r.ordinal
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "planning.callable"))
    .await
}

/// Marks the task of a run.
pub async fn set_task(tx: &mut Tx, run: PlanningRunId, task: TaskId) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set purpose = $3 where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
        TaskPurpose::Plan.as_str(),
    )
    .execute(traced!(tx, "planning.set_task"))
    .await?;
    sqlx::query!(
        "update planning_runs set task_id = $3 where workspace_id = $1 and run_id = $2",
        tx.workspace.0,
        run.0,
        task.0,
    )
    .execute(traced!(tx, "planning.set_task"))
    .await?;
    Ok(())
}

/// Of these tasks, those that make plans of live runs.
pub async fn making_plans(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"select task_id as "task_id!: TaskId" from planning_runs
           where workspace_id = $1 and task_id = any($2) and state = 'running'"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "planning.making_plans"))
    .await
}

/// Whether a task was made to plan its goal.
pub async fn is_planning_task(tx: &mut Tx, task: TaskId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from tasks where workspace_id = $1 and task_id = $2
                          and purpose = 'plan') as "planning!""#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "planning.is_planning_task"))
    .await
}

/// What a planning goal is planned from.
#[derive(Debug)]
pub struct PlannedGoal {
    /// Title, one line.
    pub title: String,
    /// Brief in Markdown.
    pub brief: String,
    /// Its state.
    pub state: GoalState,
    /// Target time for the end of its tasks.
    pub deadline: Option<DateTime<Utc>>,
    /// Settings of tasks that set none themselves.
    pub task_defaults: Json<TaskDefaults>,
}

/// Reads what a goal is planned from.
pub async fn goal(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<PlannedGoal>> {
    sqlx::query_as!(
        PlannedGoal,
        r#"
        select g.title, x.brief, g.state as "state: GoalState", g.deadline,
               x.task_defaults as "task_defaults: Json<TaskDefaults>"
        from goals g join goal_texts x using (workspace_id, goal_id)
        where g.workspace_id = $1 and g.goal_id = $2
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "planning.goal"))
    .await
}

/// The criteria of a goal as they were given.
pub async fn criteria(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<CriterionSpec>> {
    let rows = sqlx::query!(
        r#"select text, required, state = 'satisfied' as "satisfied!" from goal_criteria
           where workspace_id = $1 and goal_id = $2 order by number"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "planning.criteria"))
    .await?;
    let criteria = rows.into_iter().map(|row| CriterionSpec {
        text: row.text,
        required: row.required,
        satisfied: row.satisfied,
        ..CriterionSpec::default()
    });
    Ok(criteria.collect())
}

/// What the planner of a run gets beside the texts of the goal.
pub async fn input(tx: &mut Tx, run: PlanningRunId) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        "select input from planning_runs where workspace_id = $1 and run_id = $2",
        tx.workspace.0,
        run.0,
    )
    .fetch_one(traced!(tx, "planning.input"))
    .await
}

/// The producer of the plan of a goal.
pub async fn set_planner(tx: &mut Tx, goal: GoalId, planner: Planner) -> sqlx::Result<()> {
    sqlx::query!(
        "update goals set planner = $3, version = version + 1, updated_at = $4
         where workspace_id = $1 and goal_id = $2 and planner <> $3",
        tx.workspace.0,
        goal.0,
        planner.as_str(),
        tx.now,
    )
    .execute(traced!(tx, "planning.set_planner"))
    .await?;
    Ok(())
}

/// What a planning task handed in, and why it failed.
#[derive(Debug)]
pub struct HandedIn {
    /// The result of the latest attempt.
    pub result: Option<Value>,
    /// The class of its failure.
    pub failure: Option<FailureClass>,
    /// Why the task ended.
    pub reason: Option<String>,
}

/// Reads what a planning task handed in with its latest attempt.
pub async fn handed_in(
    tx: &mut Tx,
    task: TaskId,
    attempt: Option<AttemptId>,
) -> sqlx::Result<HandedIn> {
    sqlx::query_as!(
        HandedIn,
        r#"
        select r.result as "result?", t.failure_class as "failure: FailureClass", x.end_reason as "reason"
        from tasks t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        left join attempt_results r on r.workspace_id = $1 and r.attempt_id = $3
        where t.workspace_id = $1 and t.task_id = $2
        "#,
        tx.workspace.0,
        task.0,
        attempt.map(|id| id.0),
    )
    .fetch_one(traced!(tx, "planning.handed_in"))
    .await
}

/// A capability of the fleet.
#[derive(Debug)]
pub struct FleetCapability {
    /// Its name.
    pub capability: String,
    /// Number of active agents that have it.
    pub agents: i64,
    /// Number of these that were heard of lately.
    pub online: i64,
}

/// The capabilities of active agents; the first 500 by name.
pub async fn fleet(tx: &mut Tx, since: DateTime<Utc>) -> sqlx::Result<Vec<FleetCapability>> {
    sqlx::query_as!(
        FleetCapability,
        r#"
        select c.capability as "capability!", count(*) as "agents!",
               count(*) filter (where p.last_seen_at >= $2) as "online!"
        from agents a
        cross join unnest(a.capabilities) as c (capability)
        left join agent_presence p on p.workspace_id = $1 and p.agent_id = a.agent_id
        where a.workspace_id = $1 and a.state = 'active' and not a.archived
        group by c.capability
        order by c.capability limit 500
        "#,
        tx.workspace.0,
        since,
    )
    .fetch_all(traced!(tx, "planning.fleet"))
    .await
}

/// Whether a planner of the first plan of a goal has started: its budget was set aside then.
pub async fn began(tx: &mut Tx, goal: GoalId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from planning_runs where workspace_id = $1 and goal_id = $2
                          and target = 'plan' and started_at is not null) as "began!""#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "planning.began"))
    .await
}

/// Whether a goal is still planning and a planner of it has its turn; `None`: there is no such goal.
pub async fn is_on(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"select g.state = 'planning' and exists (
                      select from planning_runs r where r.workspace_id = $1 and r.goal_id = g.goal_id
                      and r.state in ('waiting', 'running')) as "on!"
           from goals g where g.workspace_id = $1 and g.goal_id = $2"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "planning.is_on"))
    .await
}

/// Whether a planner has its turn for a new version of the plan of a goal.
pub async fn is_replanning(tx: &mut Tx, goal: GoalId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from planning_runs
                          where workspace_id = $1 and goal_id = $2 and target = 'replan'
                            and state in ('waiting', 'running')) as "on!""#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "planning.is_replanning"))
    .await
}

/// What became of the last run for a new version of the plan of a goal.
pub async fn last_anew(
    tx: &mut Tx,
    goal: GoalId,
) -> sqlx::Result<Option<(RunState, Option<PlanId>)>> {
    let row = sqlx::query!(
        r#"
        select state as "state: RunState", plan_id as "plan_id: PlanId"
        from planning_runs
        where workspace_id = $1 and goal_id = $2 and target = 'replan' and state <> 'skipped'
        order by ordinal desc limit 1
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "planning.last_anew"))
    .await?;
    Ok(row.map(|row| (row.state, row.plan_id)))
}

/// A run.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct RunRow {
    pub run_id: PlanningRunId,
    pub goal_id: GoalId,
    pub ordinal: i32,
    pub planner: Planner,
    pub state: RunState,
    pub attempt: i32,
    pub said: Json<Said>,
    pub task_id: Option<TaskId>,
    pub plan_id: Option<PlanId>,
    pub prompt: Option<String>,
    pub model: Option<String>,
    pub spend: Json<Amounts>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub target: Target,
    pub parts_of: Option<TaskId>,
}

/// Reads the runs of a goal below an ordinal, latest first.
pub async fn list(
    tx: &mut Tx,
    goal: GoalId,
    after: Option<i32>,
    rows: u32,
) -> sqlx::Result<Vec<RunRow>> {
    sqlx::query_as!(
        RunRow,
        r#"
        select run_id as "run_id: PlanningRunId", goal_id as "goal_id: GoalId", ordinal,
               planner as "planner: Planner", state as "state: RunState", attempt,
               said as "said: Json<Said>", task_id as "task_id: TaskId", plan_id as "plan_id: PlanId",
               prompt, model, spend as "spend: Json<Amounts>", created_at, started_at, ended_at,
               target as "target: Target", parts_of as "parts_of: TaskId"
        from planning_runs
        where workspace_id = $1 and goal_id = $2 and ordinal < $3
        order by ordinal desc limit $4
        "#,
        tx.workspace.0,
        goal.0,
        after.unwrap_or(i32::MAX),
        i64::from(rows),
    )
    .fetch_all(traced!(tx, "planning.list"))
    .await
}
