//! Tasks: creation, and locked reads for the rules.

pub mod around;
pub mod checks;
pub mod deadlines;
pub mod detail;
pub mod edit;
pub mod find;
pub mod links;
pub mod list;
pub mod moves;
pub mod order;
pub mod replan;
pub mod returns;
pub mod split;
pub mod starts;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Tx, columns::uuids, traced};
use crate::domain::{
    ids::{AttemptId, GoalId, TaskId},
    risk::Risk,
    states::TaskState,
    task::TaskFacts,
};

/// A task to be created.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Its id.
    pub task_id: TaskId,
    /// Its container, or the task whose attempt adds it.
    pub parent_id: Option<TaskId>,
    /// Its name in the plan (`ref`).
    pub reference: String,
    /// Its position in the plan.
    pub position: i32,
    /// Whether it is a container.
    pub container: bool,
    /// Its part of the progress of the goal.
    pub weight: i64,
    /// Its initial state.
    pub state: TaskState,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// Key of its set of required capabilities.
    pub capability_key: String,
    /// Since when it ages in the order of claims.
    pub ranked_from: DateTime<Utc>,
    /// Its upward rank in milliseconds.
    pub upward_ms: i64,
    /// Time before which it is not ready.
    pub ready_from: DateTime<Utc>,
    /// Number of unsatisfied dependencies, plus one if its container is not open.
    pub needs_unmet: i32,
    /// Number of children not done.
    pub children_open: i32,
    /// Most attempts.
    pub max_attempts: i32,
    /// Number of rejected results after which a person must choose.
    pub max_rework: i32,
    /// Its lease in milliseconds.
    pub lease_ms: Option<i64>,
    /// Hard limit of one attempt in milliseconds.
    pub attempt_timeout_ms: Option<i64>,
    /// Longest time from ready to the first claim, in milliseconds.
    pub start_within_ms: Option<i64>,
    /// Longest time of all attempts together, in milliseconds.
    pub finish_within_ms: Option<i64>,
    /// Whether its start needs an approval.
    pub approve_start: bool,
    /// Whether its result needs an approval.
    pub approve_result: bool,
    /// Title, one line.
    pub title: String,
    /// Description in Markdown.
    pub description: String,
    /// Heading of the plan above it.
    pub section: Option<String>,
    /// Labels, a JSON array of text.
    pub labels: serde_json::Value,
    /// Input for the agent, JSON.
    pub input: Option<serde_json::Value>,
    /// Expected spend, JSON.
    pub estimate: Option<serde_json::Value>,
    /// Least risk of approvals about it.
    pub risk: Option<Risk>,
}

impl NewTask {
    /// The task, not ready before its goal starts.
    #[must_use]
    pub fn starting(self, start: Option<DateTime<Utc>>) -> Self {
        let ready_from = start.map_or(self.ready_from, |start| start.max(self.ready_from));
        Self { ready_from, ..self }
    }
}

/// Creates tasks with their texts. Parents must precede their children.
///
/// # Errors
/// When the database fails or a ref is taken.
pub async fn insert(tx: &mut Tx, goal: GoalId, tasks: &[NewTask]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &tasks.iter().map($of).collect::<Vec<_>>()
        };
    }
    let ids: Vec<Uuid> = tasks.iter().map(|task| task.task_id.0).collect();
    sqlx::query!(
        r#"
        insert into tasks (workspace_id, goal_id, created_at, updated_at, task_id, parent_id, ref,
            position, container, state, priority, capability_key, ranked_from, ready_from,
            needs_unmet, children_open, max_attempts, lease_ms, attempt_timeout_ms,
            start_within_ms, finish_within_ms, approve_start, approve_result, max_rework, weight,
            upward_ms, ended_at, start_by, finish_by, claim_rank, turn_of)
        select $1, $2, $3::timestamptz, $3, t.*,
               case when t.state = 'done' then $3::timestamptz end,
               case when t.state = 'ready' then $3::timestamptz + t.start_within_ms * interval '1 ms' end,
               case when t.state = 'ready' then $3::timestamptz + t.finish_within_ms * interval '1 ms' end,
               claim_rank_of(t.ranked_from, t.priority, t.upward_ms,
                   (select least(g.deadline, case when t.state = 'ready' then
                        $3::timestamptz + t.finish_within_ms * interval '1 ms' end)
                    from goals g where g.workspace_id = $1 and g.goal_id = $2),
                   (select w.routing = 'fifo' from workspaces w where w.workspace_id = $1)),
               case when (select w.routing = 'fifo' from workspaces w where w.workspace_id = $1)
                   then '00000000-0000-0000-0000-000000000000'::uuid else $2 end
        from unnest($4::uuid[], $5::uuid[], $6::text[], $7::int[], $8::bool[], $9::text[],
                    $10::smallint[], $11::text[], $12::timestamptz[], $13::timestamptz[],
                    $14::int[], $15::int[], $16::int[], $17::bigint[], $18::bigint[],
                    $19::bigint[], $20::bigint[], $21::bool[], $22::bool[], $23::int[],
                    $24::bigint[], $25::bigint[])
             as t (task_id, parent_id, ref, position, container, state, priority, capability_key,
                   ranked_from, ready_from, needs_unmet, children_open, max_attempts, lease_ms,
                   attempt_timeout_ms, start_within_ms, finish_within_ms, approve_start,
                   approve_result, max_rework, weight, upward_ms)
        "#,
        tx.workspace.0,
        goal.0,
        tx.now,
        &ids,
        column!(|t| t.parent_id.map(|id| id.0)) as &[Option<Uuid>],
        column!(|t| t.reference.clone()),
        column!(|t| t.position),
        column!(|t| t.container),
        column!(|t| t.state.as_str().to_owned()),
        column!(|t| t.priority),
        column!(|t| t.capability_key.clone()),
        column!(|t| t.ranked_from),
        column!(|t| t.ready_from),
        column!(|t| t.needs_unmet),
        column!(|t| t.children_open),
        column!(|t| t.max_attempts),
        column!(|t| t.lease_ms) as &[Option<i64>],
        column!(|t| t.attempt_timeout_ms) as &[Option<i64>],
        column!(|t| t.start_within_ms) as &[Option<i64>],
        column!(|t| t.finish_within_ms) as &[Option<i64>],
        column!(|t| t.approve_start),
        column!(|t| t.approve_result),
        column!(|t| t.max_rework),
        column!(|t| t.weight),
        column!(|t| t.upward_ms),
    )
    .execute(traced!(tx, "tasks.insert"))
    .await?;
    // `unnest` cannot return one array per row, so labels are passed as JSON.
    sqlx::query!(
        r#"
        insert into task_texts (workspace_id, task_id, title, description, section, labels, input,
                                estimate, risk)
        select $1, t.task_id, t.title, t.description, t.section,
               array(select jsonb_array_elements_text(t.labels)), t.input, t.estimate, t.risk
        from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::jsonb[],
                    $9::text[])
             as t (task_id, title, description, section, labels, input, estimate, risk)
        "#,
        tx.workspace.0,
        &ids,
        column!(|t| t.title.clone()),
        column!(|t| t.description.clone()),
        column!(|t| t.section.clone()) as &[Option<String>],
        column!(|t| t.labels.clone()),
        column!(|t| t.input.clone()) as &[Option<serde_json::Value>],
        column!(|t| t.estimate.clone()) as &[Option<serde_json::Value>],
        column!(|t| t.risk.map(|risk| risk.as_str().to_owned())) as &[Option<String>],
    )
    .execute(traced!(tx, "tasks.insert"))
    .await?;
    Ok(())
}

/// Registers sets of capabilities; claims search registered sets only.
pub async fn know_capability_sets(tx: &mut Tx, keys: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into capability_sets (workspace_id, capability_key, capabilities)
        select $1, key, case when key = '' then '{}'::text[] else string_to_array(key, ',') end
        from unnest($2::text[]) as key
        order by key
        on conflict do nothing
        "#,
        tx.workspace.0,
        keys,
    )
    .execute(traced!(tx, "tasks.know_capability_sets"))
    .await?;
    Ok(())
}

/// Locks tasks in id order and reads the facts for the rules.
pub async fn lock(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<TaskFacts>> {
    sqlx::query_as!(
        TaskFacts,
        r#"
        select task_id as "task_id: TaskId", goal_id as "goal_id: GoalId",
               parent_id as "parent_id: TaskId", container, state as "state: TaskState", priority,
               ready_from, children_open, children_failed, attempts_used, max_attempts,
               lost_in_row, released_in_row, approve_start, approve_result,
               current_attempt_id as "current_attempt: AttemptId",
               cancel_requested_at is not null as "cancelling!", max_rework, reworks, weight,
               criteria_version, checks_attempt_id as "checks: AttemptId"
        from tasks
        where workspace_id = $1 and task_id = any($2)
        order by task_id
        for no key update
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "tasks.lock"))
    .await
}

/// Ids of a goal's open tasks.
pub async fn open_of_goal(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"select task_id as "task_id: TaskId" from tasks
           where workspace_id = $1 and goal_id = $2 and ended_at is null order by task_id"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "tasks.open_of_goal"))
    .await
}

/// The next free position of a goal's tasks, and the given refs already in use.
#[derive(Debug)]
pub struct Room {
    /// The position after the last task.
    pub next_position: i32,
    /// The refs in use.
    pub taken: Vec<String>,
}

/// Reads where further tasks of a goal go; `refs` are checked for use.
pub async fn room(tx: &mut Tx, goal: GoalId, refs: &[String]) -> sqlx::Result<Room> {
    sqlx::query_as!(
        Room,
        r#"select (select coalesce(max(position) + 1, 0) from tasks
                   where workspace_id = $1 and goal_id = $2) as "next_position!",
                  array(select ref from tasks
                        where workspace_id = $1 and goal_id = $2 and ref = any($3)) as "taken!""#,
        tx.workspace.0,
        goal.0,
        refs,
    )
    .fetch_one(traced!(tx, "tasks.room"))
    .await
}

/// The goal of a task.
pub async fn goal_of(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<GoalId>> {
    sqlx::query_scalar!(
        r#"select goal_id as "goal_id: GoalId" from tasks where workspace_id = $1 and task_id = $2"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_optional(traced!(tx, "tasks.goal_of"))
    .await
}

/// The nesting depth of a task: 0 without a parent.
pub async fn depth(tx: &mut Tx, task: TaskId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        with recursive up as (
            select parent_id, 0::bigint as depth from tasks where workspace_id = $1 and task_id = $2
            union all
            select t.parent_id, up.depth + 1 from up
            join tasks t on t.workspace_id = $1 and t.task_id = up.parent_id
        )
        select max(depth) as "depth!" from up
        "#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "tasks.depth"))
    .await
}

/// Adds children to the open count of a task that parks for them.
pub async fn add_children(tx: &mut Tx, parent: TaskId, children: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set children_open = children_open + $3, children_failed = 0
         where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        parent.0,
        children,
    )
    .execute(traced!(tx, "tasks.add_children"))
    .await?;
    Ok(())
}

/// Adds open children to containers that take further tasks, each `(container, children)`.
pub async fn grow_containers(tx: &mut Tx, grown: &[(TaskId, i32)]) -> sqlx::Result<()> {
    sqlx::query!(
        "with locked as materialized (
             select t.task_id, g.children
             from unnest($2::uuid[], $3::int[]) as g (task_id, children)
             join tasks t on t.workspace_id = $1 and t.task_id = g.task_id
             order by t.task_id for no key update of t
         )
         update tasks t set children_open = t.children_open + l.children
         from locked l where t.workspace_id = $1 and t.task_id = l.task_id",
        tx.workspace.0,
        &grown.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &grown.iter().map(|(_, children)| *children).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.grow_containers"))
    .await?;
    Ok(())
}

/// The least risk of approvals about a task; `None` without a floor.
pub async fn least_risk(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<Risk>> {
    sqlx::query_scalar!(
        r#"select risk as "risk: Risk" from task_texts where workspace_id = $1 and task_id = $2"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "tasks.least_risk"))
    .await
}
