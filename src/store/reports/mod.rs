//! Spend reports: sums over spend entries, and over the daily totals of pruned goals.
//!
//! Unlike the rest of the store, reports read many rows. They run in a transaction begun by
//! [`begin`]: a read-only snapshot, so rows and totals agree, which may scan and join whole tables.
//! Each statement is planned for its arguments, because grouping and filters decide what it reads.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueRef},
    types::Json,
};

use super::{SystemTx, Tx, traced};
use crate::domain::{
    ids::{AgentId, GoalId, ProjectId, TaskId},
    report::{
        GroupBy, Place,
        money::{Millionths, Sums},
    },
    span::Span,
    spend::{CORRECTION_PREFIX, RERATE_PREFIX},
};

pub mod agents;
pub mod bottlenecks;
pub mod forecasts;

impl Type<Postgres> for Millionths {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
    fn compatible(ty: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(ty)
    }
}

impl<'r> Decode<'r, Postgres> for Millionths {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(<&str as Decode<'r, Postgres>>::decode(value)?.parse()?)
    }
}

/// Prepares the transaction for a report. Must be its first statement.
pub async fn begin(tx: &mut SystemTx) -> sqlx::Result<()> {
    super::verify::hold_still(tx).await?;
    sqlx::query!(r#"select set_config('plan_cache_mode', 'force_custom_plan', true) as "plan""#)
        .fetch_one(traced!(tx, "reports.begin"))
        .await?;
    Ok(())
}

/// Filter and grouping of a report.
#[derive(Debug, Clone, Copy)]
pub struct SpendScope<'a> {
    /// What each row stands for.
    pub group_by: GroupBy,
    /// Time zone of the days, an IANA name.
    pub time_zone: &'a str,
    /// Time span in which the entries were stored.
    pub span: Span,
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only of this goal; nothing of a pruned one.
    pub goal: Option<GoalId>,
    /// Only of this agent.
    pub agent: Option<AgentId>,
    /// Only of this task; nothing of a pruned one.
    pub task: Option<TaskId>,
    /// Only of this model.
    pub model: Option<&'a str>,
}

/// One row of a report.
#[derive(Debug, Clone)]
pub struct SpendGroup {
    /// Id, name or day of the group; empty for none.
    pub key: String,
    /// Name of the group, for people.
    pub name: Option<String>,
    /// Sums by unit.
    pub sums: Sums,
    /// Number of attempts with spend.
    pub attempts: i64,
    /// Position in the order of the report.
    pub place: Place,
}

/// The total of a report.
#[derive(Debug, Clone, Default)]
pub struct SpendSum {
    /// Sums by unit.
    pub sums: Sums,
    /// Number of attempts with spend.
    pub attempts: i64,
}

/// Up to `rows` groups after `after`, and the total of all groups. Groups are in order of falling
/// money, days in order of time.
pub async fn spend(
    tx: &mut Tx,
    scope: &SpendScope<'_>,
    after: Option<&Place>,
    rows: i64,
) -> sqlx::Result<(Vec<SpendGroup>, SpendSum)> {
    let SpendScope { group_by, time_zone, span, project, goal, agent, task, model } = *scope;
    let found = sqlx::query!(
        r#"
        with used as materialized (
            select case $2::text when 'agent' then coalesce(a.agent_id::text, '')
                                 when 'model' then coalesce(e.model, '')
                                 when 'goal' then a.goal_id::text
                                 when 'task' then a.task_id::text
                                 when 'project' then coalesce(g.project_id::text, '')
                                 when 'capability' then t.capability_key
                                 else to_char(e.recorded_at at time zone $3::text, 'YYYY-MM-DD')
                   end as key, e.attempt_id as source, 1::bigint as attempts, e.unit,
                   sum(e.amount) * 1000000 + sum(e.fraction) as millionths
            from spend_entries e
            join attempts a on a.workspace_id = $1 and a.attempt_id = e.attempt_id
            join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
            left join tasks t on $2 = 'capability' and t.workspace_id = $1 and t.task_id = a.task_id
            where e.workspace_id = $1
              and ($4::timestamptz is null or e.recorded_at >= $4)
              and ($5::timestamptz is null or e.recorded_at < $5)
              and ($6::uuid is null or g.project_id = $6)
              and ($7::uuid is null or a.goal_id = $7)
              and ($8::uuid is null or a.agent_id = $8)
              and ($9::uuid is null or a.task_id = $9)
              and ($10::text is null or e.model = $10)
            group by 1, 2, 4
            union all
            -- Of models that planned: no agent, task and attempt.
            select case $2 when 'agent' then ''
                           when 'model' then p.model
                           when 'goal' then p.goal_id::text
                           when 'task' then ''
                           when 'project' then coalesce(g.project_id::text, '')
                           when 'capability' then ''
                           else to_char(p.recorded_at at time zone $3, 'YYYY-MM-DD')
                   end, p.goal_id, 0, p.unit, sum(p.amount) * 1000000 + sum(p.fraction)
            from planning_spend p
            join goals g on g.workspace_id = $1 and g.goal_id = p.goal_id
            where p.workspace_id = $1 and $8 is null and $9 is null
              and ($4 is null or p.recorded_at >= $4)
              and ($5 is null or p.recorded_at < $5)
              and ($6 is null or g.project_id = $6)
              and ($7 is null or p.goal_id = $7)
              and ($10 is null or p.model = $10)
            group by 1, 2, 4
            union all
            -- Of pruned goals: a group of attempts counts as their number, a day as its noon.
            select case $2 when 'agent' then coalesce(c.agent_id::text, '')
                           when 'model' then f.model
                           when 'goal' then ''
                           when 'task' then ''
                           when 'project' then coalesce(c.project_id::text, '')
                           when 'capability' then c.capability_key
                           else to_char(d.noon at time zone $3, 'YYYY-MM-DD')
                   end, f.group_id, c.attempts, f.unit,
                   sum(f.amount) * 1000000 + sum(f.fraction)
            from folded_spend f
            cross join lateral (select (f.day + time '12:00') at time zone 'UTC' as noon) d
            join folded_attempts c on c.workspace_id = $1 and c.group_id = f.group_id
            where f.workspace_id = $1 and $7 is null and $9 is null
              and ($4 is null or d.noon >= $4)
              and ($5 is null or d.noon < $5)
              and ($6 is null or c.project_id = $6)
              and ($8 is null or c.agent_id = $8)
              and ($10 is null or f.model = $10)
            group by 1, 2, 3, 4
        ), sums as materialized (
            select key, unit, sum(millionths) as millionths, 0::bigint as attempts
            from used group by key, unit
            union all
            -- As rows of their own and not joined: nobody knows beforehand how many there are.
            select key, null, null, sum(attempts)::bigint
            from (select distinct key, source, attempts from used) s group by key
        ), totals as (
            select (select coalesce(jsonb_object_agg(unit, millionths::text), '{}')
                    from (select unit, sum(millionths) as millionths from sums
                          where unit is not null group by unit) u) as units,
                   (select coalesce(sum(attempts), 0)::bigint
                    from (select distinct source, attempts from used) s) as attempts
        ), groups as (
            select s.key, left(s.key, 100) || ' ' || md5(s.key) as place, s.units, s.attempts,
                   case $2 when 'day' then 0 else s.money end as rank
            from (select key, max(attempts) as attempts,
                         jsonb_object_agg(unit, millionths::text) filter (where unit is not null)
                             as units,
                         coalesce(sum(millionths) filter (where unit = 'usd_micros'), 0) as money
                  from sums group by key) s
        ), page as materialized (
            select * from groups
            where $11::text is null or rank < $11::numeric
               or (rank = $11::numeric and place collate "C" > $12::text)
            order by rank desc, place collate "C" limit $13
        )
        select t.units as "total_units!: Json<Sums>", t.attempts as "total_attempts!",
               p.key as "key?", p.place as "place?", p.rank::text as "rank?: Millionths",
               p.units as "units?: Json<Sums>", p.attempts as "attempts?",
               case $2 when 'agent' then (select n.name from agents n where n.workspace_id = $1
                                          and n.agent_id = nullif(p.key, '')::uuid)
                       when 'goal' then (select n.title from goals n where n.workspace_id = $1
                                         and n.goal_id = nullif(p.key, '')::uuid)
                       when 'task' then (select n.title from task_texts n where n.workspace_id = $1
                                         and n.task_id = nullif(p.key, '')::uuid)
                       when 'project' then (select n.name from projects n where n.workspace_id = $1
                                            and n.project_id = nullif(p.key, '')::uuid)
               end as "name?"
        from totals t left join page p on true
        order by p.rank desc, p.place collate "C"
        "#,
        tx.workspace.0,
        group_by.as_str(),
        time_zone,
        span.from,
        span.to,
        project.map(|id| id.0),
        goal.map(|id| id.0),
        agent.map(|id| id.0),
        task.map(|id| id.0),
        model,
        after.map(|place| place.rank.to_string()),
        after.map(|place| place.key.as_str()),
        rows,
    )
    .fetch_all(traced!(tx, "reports.spend"))
    .await?;
    let mut groups = Vec::with_capacity(found.len());
    let mut sum = SpendSum::default();
    for row in found {
        // Every row repeats the total; without groups it is the only row.
        sum = SpendSum { sums: row.total_units.0, attempts: row.total_attempts };
        if let (Some(key), Some(place), Some(rank), Some(units), Some(attempts)) =
            (row.key, row.place, row.rank, row.units, row.attempts)
        {
            let place = Place { rank, key: place };
            groups.push(SpendGroup { key, name: row.name, sums: units.0, attempts, place });
        }
    }
    Ok((groups, sum))
}

/// One row of the billing export: spend of an agent in one unit on one day.
#[derive(Debug, Clone)]
pub struct DaySpend {
    /// Name of the workspace.
    pub workspace_name: String,
    /// The day in UTC.
    pub day: NaiveDate,
    /// The project.
    pub project_id: Option<ProjectId>,
    /// Name of the project.
    pub project_name: Option<String>,
    /// The goal; `None` for pruned goals, which share their rows.
    pub goal_id: Option<GoalId>,
    /// Title of the goal.
    pub goal_title: Option<String>,
    /// The agent; `None` for a person who took the task over.
    pub agent_id: Option<AgentId>,
    /// Name of the agent.
    pub agent_name: Option<String>,
    /// The called provider, as reported.
    pub provider: Option<String>,
    /// The model, as reported.
    pub model: Option<String>,
    /// The unit.
    pub unit: String,
    /// Whether it corrects earlier entries.
    pub correction: bool,
    /// The amount in millionths of the unit.
    pub millionths: Millionths,
    /// The task, if it is a single one.
    pub task: Option<String>,
    /// The required capabilities, if all tasks have the same.
    pub capability: Option<String>,
    /// Whether a model used it to plan.
    pub planner: bool,
}

/// Spend from `from` to before `to`, in up to `rows` rows.
pub async fn days(
    tx: &mut Tx,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    rows: i64,
) -> sqlx::Result<Vec<DaySpend>> {
    sqlx::query_as!(
        DaySpend,
        r#"
        with used as materialized (
            select (e.recorded_at at time zone 'UTC')::date as day, g.project_id, a.goal_id, a.agent_id,
                   e.provider, e.model, e.unit,
                   (starts_with(e.entry_key, $4) or starts_with(e.entry_key, $6)) as correction,
                   sum(e.amount) * 1000000 + sum(e.fraction) as millionths,
                   min(a.task_id::text) as first_task, max(a.task_id::text) as last_task,
                   min(t.capability_key) as first_capability,
                   max(t.capability_key) as last_capability, false as planner
            from spend_entries e
            join attempts a on a.workspace_id = $1 and a.attempt_id = e.attempt_id
            join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
            join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
            where e.workspace_id = $1 and e.recorded_at >= $2 and e.recorded_at < $3
            group by 1, 2, 3, 4, 5, 6, 7, 8
            union all
            -- Of models that planned.
            select (p.recorded_at at time zone 'UTC')::date, g.project_id, p.goal_id, null, p.provider,
                   p.model, p.unit, false, sum(p.amount) * 1000000 + sum(p.fraction), null, null, null,
                   null, true
            from planning_spend p
            join goals g on g.workspace_id = $1 and g.goal_id = p.goal_id
            where p.workspace_id = $1 and p.recorded_at >= $2 and p.recorded_at < $3
            group by 1, 2, 3, 5, 6, 7
            union all
            -- Of pruned goals: a day counts as its noon.
            select f.day, c.project_id, null, c.agent_id, nullif(f.provider, ''),
                   nullif(f.model, ''), f.unit, f.correction,
                   sum(f.amount) * 1000000 + sum(f.fraction), null, null,
                   min(c.capability_key), max(c.capability_key), c.attempts = 0
            from folded_spend f
            join folded_attempts c on c.workspace_id = $1 and c.group_id = f.group_id
            where f.workspace_id = $1 and (f.day + time '12:00') at time zone 'UTC' >= $2
              and (f.day + time '12:00') at time zone 'UTC' < $3
            group by 1, 2, 4, 5, 6, 7, 8, 14
            order by 1, 2, 3, 4, 5, 6, 7, 8 limit $5
        )
        select w.name as "workspace_name!", u.day as "day!",
               u.project_id as "project_id?: ProjectId", p.name as "project_name?",
               u.goal_id as "goal_id?: GoalId", g.title as "goal_title?",
               u.agent_id as "agent_id?: AgentId", n.name as "agent_name?",
               u.provider as "provider?", u.model as "model?", u.unit as "unit!",
               u.correction as "correction!", u.millionths::text as "millionths!: Millionths",
               case when u.first_task = u.last_task then u.first_task end as "task?",
               case when u.first_capability = u.last_capability then u.first_capability end
                   as "capability?",
               u.planner as "planner!"
        from used u
        join workspaces w on w.workspace_id = $1
        left join goals g on g.workspace_id = $1 and g.goal_id = u.goal_id
        left join agents n on n.workspace_id = $1 and n.agent_id = u.agent_id
        left join projects p on p.workspace_id = $1 and p.project_id = u.project_id
        order by u.day, p.name, u.goal_id, u.agent_id, u.provider, u.model, u.unit, u.correction
        "#,
        tx.workspace.0,
        from,
        to,
        RERATE_PREFIX,
        rows,
        CORRECTION_PREFIX,
    )
    .fetch_all(traced!(tx, "reports.days"))
    .await
}
