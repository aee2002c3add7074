//! Goals as returned by the API.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{
        access::person::Person,
        goal::progress::left::Ahead,
        ids::{GoalId, KeyId, ProjectId, ScheduleId},
        plan::{discovered::DiscoveredPolicy, new_goal::TaskDefaults},
        spend::Amounts,
        states::{GoalState, Planner},
    },
    store::{
        Tx,
        columns::{uuids, words},
        traced,
    },
};

/// A goal with its texts and spend.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct GoalRow {
    pub goal_id: GoalId,
    pub title: String,
    pub state: GoalState,
    pub planner: Planner,
    pub priority: i16,
    pub weight: i32,
    pub project_id: Option<ProjectId>,
    pub deadline: Option<DateTime<Utc>>,
    pub start_at: Option<DateTime<Utc>>,
    pub tasks_total: i32,
    pub tasks_open: i32,
    pub tasks_done: i32,
    pub tasks_failed: i32,
    pub tasks_cancelled: i32,
    pub max_rework: i16,
    pub weight_total: i64,
    pub weight_done: i64,
    pub weight_cancelled: i64,
    pub computed_at: Option<DateTime<Utc>>,
    pub ahead: Option<Json<Ahead>>,
    pub discovered: DiscoveredPolicy,
    pub spend: Json<Amounts>,
    pub end_reason: Option<String>,
    pub metadata: Json<BTreeMap<String, Value>>,
    pub task_defaults: Json<TaskDefaults>,
    pub brief: Option<String>,
    pub created_by: KeyId,
    pub on_behalf_of: Vec<Person>,
    pub schedule_id: Option<ScheduleId>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub acknowledged_at: Option<DateTime<Utc>>,
    pub archived_at: Option<DateTime<Utc>>,
}

/// Reads one goal.
pub async fn read(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<GoalRow>> {
    sqlx::query_as!(
        GoalRow,
        r#"
        select g.goal_id as "goal_id: GoalId", g.title, g.state as "state: GoalState",
               g.planner as "planner: Planner", g.priority, g.weight, g.project_id as "project_id: ProjectId",
               g.deadline, g.start_at, g.tasks_total, g.tasks_open, g.tasks_done, g.tasks_failed,
               g.tasks_cancelled, g.max_rework, g.weight_total, g.weight_done, g.weight_cancelled,
               g.discovered as "discovered: DiscoveredPolicy",
               p.computed_at as "computed_at?", p.ahead as "ahead?: Json<Ahead>", g.end_reason,
               x.metadata as "metadata: Json<BTreeMap<String, Value>>",
               x.task_defaults as "task_defaults: Json<TaskDefaults>", x.brief,
               g.created_by as "created_by: KeyId",
               g.on_behalf_of as "on_behalf_of: Vec<Person>",
               g.schedule_id as "schedule_id: ScheduleId", g.version, g.created_at, g.updated_at,
               g.ended_at, g.acknowledged_at, g.archived_at,
               coalesce((select jsonb_object_agg(s.unit, s.amount) from spend_sums s
                         where s.workspace_id = $1 and s.node = 'goal' and s.node_id = g.goal_id),
                        '{}') as "spend!: Json<Amounts>"
        from goals g join goal_texts x using (workspace_id, goal_id)
        left join goal_progress p on p.workspace_id = $1 and p.goal_id = g.goal_id
        where g.workspace_id = $1 and g.goal_id = $2
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "goals.read.read"))
    .await
}

/// Filters and page of [`list`].
#[derive(Debug)]
pub struct GoalScope<'a> {
    /// Only these states; empty means all.
    pub states: &'a [GoalState],
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only of these projects, if `project` is not given.
    pub within: Option<&'a [ProjectId]>,
    /// Only archived ones; `false`: only others.
    pub archived: bool,
    /// Only older ones.
    pub after: Option<GoalId>,
    /// Most rows.
    pub rows: u32,
}

/// Reads goals without their briefs, newest first.
///
/// Each filter (project, states, none) has its own index, and conditions on the arguments leave
/// only one branch to run. The rows are looked up one by one (`limit 1`): a generic plan does not
/// know how few they are and would scan the table.
pub async fn list(tx: &mut Tx, scope: &GoalScope<'_>) -> sqlx::Result<Vec<GoalRow>> {
    sqlx::query_as!(
        GoalRow,
        r#"
        with picked as materialized (
            (select g.goal_id from goals g
             where $2::uuid is not null and g.workspace_id = $1 and g.project_id = $2
               and g.archived = $7
               and (cardinality($3::text[]) = 0 or g.state = any($3)) and g.goal_id < $4
             order by g.goal_id desc limit $5)
            union all
            (select o.goal_id from unnest($3::text[]) as s (state)
             cross join lateral (
                 select g.goal_id from goals g
                 where g.workspace_id = $1 and g.state = s.state and g.archived = $7
                   and g.goal_id < $4
                 order by g.goal_id desc limit $5) o
             where $2::uuid is null and $6::uuid[] is null)
            union all
            (select o.goal_id from unnest($6::uuid[]) as p (project_id)
             cross join lateral (
                 select g.goal_id from goals g
                 where g.workspace_id = $1 and g.project_id = p.project_id and g.archived = $7
                   and (cardinality($3::text[]) = 0 or g.state = any($3)) and g.goal_id < $4
                 order by g.goal_id desc limit $5) o
             where $2::uuid is null)
            union all
            (select g.goal_id from goals g
             where $2::uuid is null and $6::uuid[] is null and cardinality($3::text[]) = 0 and g.workspace_id = $1
               and g.archived = $7 and g.goal_id < $4
             order by g.goal_id desc limit $5)
        )
        select g.goal_id as "goal_id: GoalId", g.title, g.state as "state: GoalState",
               g.planner as "planner: Planner", g.priority, g.weight, g.project_id as "project_id: ProjectId",
               g.deadline, g.start_at, g.tasks_total, g.tasks_open, g.tasks_done, g.tasks_failed,
               g.tasks_cancelled, g.max_rework, g.weight_total, g.weight_done, g.weight_cancelled,
               g.discovered as "discovered: DiscoveredPolicy",
               p.computed_at as "computed_at?", p.ahead as "ahead?: Json<Ahead>", g.end_reason,
               x.metadata as "metadata: Json<BTreeMap<String, Value>>",
               x.task_defaults as "task_defaults: Json<TaskDefaults>", null::text as brief,
               g.created_by as "created_by: KeyId",
               g.on_behalf_of as "on_behalf_of: Vec<Person>",
               g.schedule_id as "schedule_id: ScheduleId", g.version, g.created_at, g.updated_at,
               g.ended_at, g.acknowledged_at, g.archived_at,
               coalesce((select jsonb_object_agg(s.unit, s.amount) from spend_sums s
                         where s.workspace_id = $1 and s.node = 'goal' and s.node_id = g.goal_id),
                        '{}') as "spend!: Json<Amounts>"
        from picked
        cross join lateral (
            select * from goals g
            where g.workspace_id = $1 and g.goal_id = picked.goal_id limit 1) g
        cross join lateral (
            select * from goal_texts x
            where x.workspace_id = $1 and x.goal_id = picked.goal_id limit 1) x
        left join lateral (
            select p.computed_at, p.ahead from goal_progress p
            where p.workspace_id = $1 and p.goal_id = picked.goal_id limit 1) p on true
        order by g.goal_id desc limit $5
        "#,
        tx.workspace.0,
        scope.project.map(|id| id.0),
        &words(scope.states),
        scope.after.map_or(uuid::Uuid::max(), |id| id.0),
        i64::from(scope.rows),
        scope.within.map(uuids) as Option<Vec<uuid::Uuid>>,
        scope.archived,
    )
    .fetch_all(traced!(tx, "goals.read.list"))
    .await
}

/// The version of a goal and whether it has ended, for long polls.
pub async fn version(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<(i64, bool)>> {
    let row = sqlx::query!(
        r#"select version, ended_at is not null as "ended!" from goals
           where workspace_id = $1 and goal_id = $2"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "goals.read.version"))
    .await?;
    Ok(row.map(|row| (i64::from(row.version), row.ended)))
}
