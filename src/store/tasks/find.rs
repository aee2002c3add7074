//! Finding tasks: walking them in an order, and testing what no index finds.
//!
//! A walk reads the next tasks of an order from an index, or all of one goal. It tests the goal, the parent,
//! the states and the priorities; [`sift`] and [`texts`] test the rest, for the tasks of a walk only.

use uuid::Uuid;

use crate::{
    domain::{
        ids::{AgentId, GoalId, ProjectId, TaskId},
        settings,
        states::TaskState,
        task::find::{TaskPlace, TaskSort},
        words::Words as _,
    },
    store::{
        Tx,
        columns::{uuids, words},
        traced,
    },
};

/// The tasks of a walk.
#[derive(Debug, Clone, Copy)]
pub struct Walk<'a> {
    /// Only tasks of this goal.
    pub goal: Option<GoalId>,
    /// Only children of this task of the goal.
    pub parent: Option<TaskId>,
    /// Only these states; empty: all.
    pub states: &'a [TaskState],
    /// Only these priorities; empty: all.
    pub priorities: &'a [i16],
    /// The order.
    pub sort: TaskSort,
}

/// A task of a walk.
struct Step {
    task_id: TaskId,
    /// What it is sorted by before its id.
    key: i64,
}

/// The next `rows` tasks after a place.
pub async fn walk(
    tx: &mut Tx,
    walk: Walk<'_>,
    after: Option<TaskPlace>,
    rows: i64,
) -> sqlx::Result<Vec<TaskPlace>> {
    let (key, id) = match after {
        Some(place) => (place.key, place.id.0),
        None if walk.sort.descends() => (i64::MAX, Uuid::max()),
        None => (i64::MIN, Uuid::nil()),
    };
    let by_priority = matches!(walk.sort, TaskSort::Priority | TaskSort::HighestFirst);
    let every = walk.states.is_empty() && walk.priorities.is_empty() && !by_priority;
    let steps = match (walk.goal, walk.sort.descends()) {
        (Some(goal), _) if walk.sort == TaskSort::Position => {
            planned(tx, goal, walk, (key, id), rows).await
        }
        (Some(goal), false) => of_goal_up(tx, goal, walk, (key, id), rows).await,
        (Some(goal), true) => of_goal_down(tx, goal, walk, (key, id), rows).await,
        (None, false) if every => oldest(tx, id, rows).await,
        (None, true) if every => newest(tx, id, rows).await,
        (None, false) => of_sets_up(tx, walk, by_priority, (key, id), rows).await,
        (None, true) => of_sets_down(tx, walk, by_priority, (key, id), rows).await,
    }?;
    let place = |Step { task_id, key }| TaskPlace { sort: walk.sort, key, id: task_id };
    Ok(steps.into_iter().map(place).collect())
}

async fn planned(
    tx: &mut Tx,
    goal: GoalId,
    walk: Walk<'_>,
    (key, id): (i64, Uuid),
    rows: i64,
) -> sqlx::Result<Vec<Step>> {
    let position = i32::try_from(key).unwrap_or(if key < 0 { -1 } else { i32::MAX });
    sqlx::query_as!(
        Step,
        r#"select task_id as "task_id: TaskId", position::bigint as "key!"
           from tasks
           where workspace_id = $1 and goal_id = $2
             and ($3::uuid is null or parent_id = $3)
             and (cardinality($4::text[]) = 0 or state = any($4))
             and (cardinality($5::smallint[]) = 0 or priority = any($5))
             and (position, task_id) > ($6::int, $7::uuid)
           order by position, task_id
           limit $8"#,
        tx.workspace.0,
        goal.0,
        walk.parent.map(|id| id.0),
        &words(walk.states),
        walk.priorities,
        position,
        id,
        rows,
    )
    .fetch_all(traced!(tx, "tasks.find.planned"))
    .await
}

async fn of_goal_up(
    tx: &mut Tx,
    goal: GoalId,
    walk: Walk<'_>,
    (key, id): (i64, Uuid),
    rows: i64,
) -> sqlx::Result<Vec<Step>> {
    sqlx::query_as!(
        Step,
        r#"select t.task_id as "task_id: TaskId", k.key as "key!"
           from tasks t
           cross join lateral (select case $6::text
               when 'created_at' then 0
               when 'priority' then t.priority
               else (extract(epoch from t.updated_at) * 1000000)::bigint end as key) k
           where t.workspace_id = $1 and t.goal_id = $2
             and ($3::uuid is null or t.parent_id = $3)
             and (cardinality($4::text[]) = 0 or t.state = any($4))
             and (cardinality($5::smallint[]) = 0 or t.priority = any($5))
             and (k.key, t.task_id) > ($7::bigint, $8::uuid)
           order by k.key, t.task_id
           limit $9"#,
        tx.workspace.0,
        goal.0,
        walk.parent.map(|id| id.0),
        &words(walk.states),
        walk.priorities,
        walk.sort.as_str(),
        key,
        id,
        rows,
    )
    .fetch_all(traced!(tx, "tasks.find.of_goal_up"))
    .await
}

async fn of_goal_down(
    tx: &mut Tx,
    goal: GoalId,
    walk: Walk<'_>,
    (key, id): (i64, Uuid),
    rows: i64,
) -> sqlx::Result<Vec<Step>> {
    sqlx::query_as!(
        Step,
        r#"select t.task_id as "task_id: TaskId", k.key as "key!"
           from tasks t
           cross join lateral (select case $6::text
               when '-created_at' then 0
               when '-priority' then t.priority
               else (extract(epoch from t.updated_at) * 1000000)::bigint end as key) k
           where t.workspace_id = $1 and t.goal_id = $2
             and ($3::uuid is null or t.parent_id = $3)
             and (cardinality($4::text[]) = 0 or t.state = any($4))
             and (cardinality($5::smallint[]) = 0 or t.priority = any($5))
             and (k.key, t.task_id) < ($7::bigint, $8::uuid)
           order by k.key desc, t.task_id desc
           limit $9"#,
        tx.workspace.0,
        goal.0,
        walk.parent.map(|id| id.0),
        &words(walk.states),
        walk.priorities,
        walk.sort.as_str(),
        key,
        id,
        rows,
    )
    .fetch_all(traced!(tx, "tasks.find.of_goal_down"))
    .await
}

async fn oldest(tx: &mut Tx, id: Uuid, rows: i64) -> sqlx::Result<Vec<Step>> {
    sqlx::query_as!(
        Step,
        r#"select task_id as "task_id: TaskId", 0::bigint as "key!"
           from tasks
           where workspace_id = $1 and task_id > $2
           order by task_id
           limit $3"#,
        tx.workspace.0,
        id,
        rows,
    )
    .fetch_all(traced!(tx, "tasks.find.oldest"))
    .await
}

async fn newest(tx: &mut Tx, id: Uuid, rows: i64) -> sqlx::Result<Vec<Step>> {
    sqlx::query_as!(
        Step,
        r#"select task_id as "task_id: TaskId", 0::bigint as "key!"
           from tasks
           where workspace_id = $1 and task_id < $2
           order by task_id desc
           limit $3"#,
        tx.workspace.0,
        id,
        rows,
    )
    .fetch_all(traced!(tx, "tasks.find.newest"))
    .await
}

/// The states and priorities of a walk, all of them if it names none: each pair is a range of the index.
fn sets(walk: Walk<'_>) -> (Vec<String>, Vec<i16>) {
    let states = if walk.states.is_empty() { TaskState::ALL } else { walk.states };
    let mut priorities = walk.priorities.to_vec();
    if priorities.is_empty() {
        priorities.extend(0..=settings::PRIORITY_MAX);
    }
    priorities.sort_unstable();
    priorities.dedup();
    (words(states), priorities)
}

/// Merges the pairs of a state and a priority, each from its own range of the index. By priority, a pair
/// beyond the place is read from its begin, and one before it not at all.
async fn of_sets_up(
    tx: &mut Tx,
    walk: Walk<'_>,
    by_priority: bool,
    (key, id): (i64, Uuid),
    rows: i64,
) -> sqlx::Result<Vec<Step>> {
    let (states, priorities) = sets(walk);
    sqlx::query_as!(
        Step,
        r#"select o.task_id as "task_id!: TaskId", o.key as "key!"
           from unnest($2::text[]) as s (state)
           cross join unnest($3::smallint[]) as p (priority)
           cross join lateral (
               select t.task_id, case when $4::bool then p.priority::bigint else 0 end as key
               from tasks t
               where t.workspace_id = $1 and t.state = s.state and t.priority = p.priority
                 and t.task_id > case when $4 and p.priority <> $5::bigint
                                      then '00000000-0000-0000-0000-000000000000' else $6::uuid end
               order by t.task_id
               limit $7
           ) o
           where not $4 or p.priority >= $5
           order by o.key, o.task_id
           limit $7"#,
        tx.workspace.0,
        &states,
        &priorities,
        by_priority,
        key,
        id,
        rows,
    )
    .fetch_all(traced!(tx, "tasks.find.of_sets_up"))
    .await
}

/// The same from the other end.
async fn of_sets_down(
    tx: &mut Tx,
    walk: Walk<'_>,
    by_priority: bool,
    (key, id): (i64, Uuid),
    rows: i64,
) -> sqlx::Result<Vec<Step>> {
    let (states, priorities) = sets(walk);
    sqlx::query_as!(
        Step,
        r#"select o.task_id as "task_id!: TaskId", o.key as "key!"
           from unnest($2::text[]) as s (state)
           cross join unnest($3::smallint[]) as p (priority)
           cross join lateral (
               select t.task_id, case when $4::bool then p.priority::bigint else 0 end as key
               from tasks t
               where t.workspace_id = $1 and t.state = s.state and t.priority = p.priority
                 and t.task_id < case when $4 and p.priority <> $5::bigint
                                      then 'ffffffff-ffff-ffff-ffff-ffffffffffff' else $6::uuid end
               order by t.task_id desc
               limit $7
           ) o
           where not $4 or p.priority <= $5
           order by o.key desc, o.task_id desc
           limit $7"#,
        tx.workspace.0,
        &states,
        &priorities,
        by_priority,
        key,
        id,
        rows,
    )
    .fetch_all(traced!(tx, "tasks.find.of_sets_down"))
    .await
}

/// What [`sift`] tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sieve<'a> {
    /// Only tasks with this ref.
    pub reference: Option<&'a str>,
    /// Only tasks with this label.
    pub label: Option<&'a str>,
    /// Only tasks that require this capability.
    pub capability: Option<&'a str>,
    /// Only tasks whose latest attempt is of this agent.
    pub agent: Option<AgentId>,
    /// Only tasks of goals of these projects.
    pub within: Option<&'a [ProjectId]>,
}

/// Those of the tasks that pass, in their order. Looks up each by its id.
pub async fn sift(tx: &mut Tx, tasks: &[TaskId], sieve: Sieve<'_>) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"
        with able as materialized (
            select capability_key from capability_sets
            where workspace_id = $1 and $5::text is not null and $5 = any(capabilities)
        )
        select t.task_id as "task_id: TaskId"
        from unnest($2::uuid[]) with ordinality as w (task_id, n)
        cross join lateral (
            select * from tasks t
            where t.workspace_id = $1 and t.task_id = w.task_id limit 1) t
        where ($3::text is null or t.ref = $3)
          and ($4::text is null or exists (
              select from task_texts x
              where x.workspace_id = $1 and x.task_id = t.task_id and $4 = any(x.labels)))
          and ($5 is null or t.capability_key in (select capability_key from able))
          and ($6::uuid is null or exists (
              select from attempts a
              where a.workspace_id = $1 and a.attempt_id = t.current_attempt_id and a.agent_id = $6))
          and ($7::uuid[] is null or exists (
              select from goals g
              where g.workspace_id = $1 and g.goal_id = t.goal_id and g.project_id = any($7)))
        order by w.n
        "#,
        tx.workspace.0,
        &uuids(tasks),
        sieve.reference,
        sieve.label,
        sieve.capability,
        sieve.agent.map(|id| id.0),
        sieve.within.map(uuids) as Option<Vec<Uuid>>,
    )
    .fetch_all(traced!(tx, "tasks.find.sift"))
    .await
}

/// A task and the texts that are searched.
#[derive(Debug)]
pub struct Searched {
    /// The task.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
}

/// The texts of tasks, in the given order. Ends before the task whose description exceeds `bytes` in total; the
/// first is always returned.
pub async fn texts(tx: &mut Tx, tasks: &[TaskId], bytes: i64) -> sqlx::Result<Vec<Searched>> {
    sqlx::query_as!(
        Searched,
        r#"
        select s.task_id as "task_id!: TaskId", s.title as "title!", s.description as "description!"
        from (
            select w.n, x.task_id, x.title, x.description,
                   sum(octet_length(x.description)) over (order by w.n) as total
            from unnest($2::uuid[]) with ordinality as w (task_id, n)
            cross join lateral (
                select * from task_texts x
                where x.workspace_id = $1 and x.task_id = w.task_id limit 1) x
        ) s
        where s.n = 1 or s.total <= $3::bigint
        order by s.n
        "#,
        tx.workspace.0,
        &uuids(tasks),
        bytes,
    )
    .fetch_all(traced!(tx, "tasks.find.texts"))
    .await
}
