//! How the attempts of agents ended, by capability and version of the agent.
//!
//! The functions run in the transaction of a report ([`super::begin`]). An attempt at a task that requires several
//! capabilities counts at each of them. Attempts of people do not count.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        ids::{AgentId, AttemptId},
        report::money::Sums,
        routing::record::tells,
        states::FailureClass,
        words::Words as _,
    },
    store::{Tx, traced},
};

/// The attempts that are read.
#[derive(Debug, Clone, Copy)]
pub struct AttemptScope<'a> {
    /// The first attempt.
    pub first: AttemptId,
    /// The attempt behind the last one.
    pub end: AttemptId,
    /// Only of this agent.
    pub agent: Option<AgentId>,
    /// Only at this capability; empty: at tasks that require none.
    pub capability: Option<&'a str>,
}

/// The start of the newest `most` attempts, if there are more than that: the first of them, and when it began.
pub async fn newest(
    tx: &mut Tx,
    scope: &AttemptScope<'_>,
    most: i64,
) -> sqlx::Result<Option<(AttemptId, DateTime<Utc>)>> {
    // Ids of attempts ascend with time, so both the range and the order are those of the key.
    let rows = sqlx::query!(
        r#"
        select a.attempt_id as "attempt_id: AttemptId", a.started_at
        from (select attempt_id from attempts
              where workspace_id = $1 and attempt_id >= $2 and attempt_id < $3
                and ($4::uuid is null or agent_id = $4)
              order by attempt_id desc offset $5 limit 2) n
        join attempts a on a.workspace_id = $1 and a.attempt_id = n.attempt_id
        order by a.attempt_id desc
        "#,
        tx.workspace.0,
        scope.first.0,
        scope.end.0,
        scope.agent.map(|id| id.0),
        most - 1,
    )
    .fetch_all(traced!(tx, "reports.agents.newest"))
    .await?;
    let more = rows.len() == 2;
    Ok(rows.into_iter().next().filter(|_| more).map(|row| (row.attempt_id, row.started_at)))
}

/// The attempts of an agent, with one model and version, at a capability.
#[derive(Debug, Clone)]
pub struct AgentGroup {
    /// The capability; empty: tasks that require none.
    pub capability: String,
    /// The agent.
    pub agent_id: AgentId,
    /// Its name.
    pub name: String,
    /// The model and version.
    pub version_key: String,
    /// Digest of these, for the order.
    pub version_place: Uuid,
    /// Whether the agent has them now.
    pub current: bool,
    /// Accepted attempts.
    pub accepted: i64,
    /// Rejected ones.
    pub rejected: i64,
    /// Released ones.
    pub released: i64,
    /// Cancelled ones.
    pub cancelled: i64,
    /// Parked ones.
    pub parked: i64,
    /// Running and submitted ones.
    pub open: i64,
    /// First tries that were judged.
    pub first_judged: i64,
    /// First tries that were accepted.
    pub first_accepted: i64,
    /// Median and 95th percentile of the durations of accepted attempts, in milliseconds.
    pub durations: Option<Vec<i64>>,
    /// Failed and expired ones by class.
    pub classes: Option<Json<BTreeMap<FailureClass, i64>>>,
    /// Spend of all, by unit.
    pub spend: Option<Json<Sums>>,
    /// The attempts by bucket, in order.
    pub trend: Option<Json<Vec<BucketRow>>>,
}

/// Attempts that began in one bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BucketRow {
    /// The bucket, from 0.
    pub bucket: i32,
    /// Number of attempts.
    pub attempts: i64,
    /// Accepted ones.
    pub accepted: i64,
    /// Rejected ones.
    pub rejected: i64,
    /// Failures that say something of the agent.
    pub failed: i64,
    /// Lost leases.
    pub lost: i64,
    /// Median duration of the accepted ones, in milliseconds.
    pub p50: Option<i64>,
}

/// Position of a group in the order of the report.
#[derive(Debug, Clone, Copy)]
pub struct GroupPlace<'a> {
    /// The capability.
    pub capability: &'a str,
    /// The agent.
    pub agent: AgentId,
    /// Digest of its model and version.
    pub version: Uuid,
}

/// Up to `rows` groups after a place, by capability, agent and version. `from`, `length_ms`: start and length of the
/// first bucket.
pub async fn groups(
    tx: &mut Tx,
    scope: &AttemptScope<'_>,
    from: DateTime<Utc>,
    length_ms: i64,
    after: Option<GroupPlace<'_>>,
    rows: i64,
) -> sqlx::Result<Vec<AgentGroup>> {
    let telling: Vec<&str> = FailureClass::ALL
        .iter()
        .filter(|class| tells(**class))
        .map(|class| class.as_str())
        .collect();
    sqlx::query_as!(
        AgentGroup,
        r#"
        with tries as materialized (
            select a.attempt_id, a.agent_id, c.capability collate "C" as capability, a.state,
                   md5(v.version_key)::uuid as version, v.version_key,
                   case when a.state in ('failed', 'expired')
                        then coalesce(r.failure_class, case a.state when 'expired' then 'lost'
                                                            else 'transient' end) end as class,
                   a.number = 1 or not exists (
                       select from attempts e
                       where e.workspace_id = $1 and e.task_id = a.task_id and e.number < a.number
                         and e.state in ('rejected', 'failed', 'expired')) as first,
                   greatest(floor(extract(epoch from a.ended_at - a.started_at) * 1000), 0)::bigint
                       as ms,
                   greatest(floor(extract(epoch from a.started_at - $5) * 1000 / $6::bigint), 0)::int
                       as bucket
            from attempts a
            join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
            join agents g on g.workspace_id = $1 and g.agent_id = a.agent_id
            left join attempt_results r on a.state in ('failed', 'expired')
                 and r.workspace_id = $1 and r.attempt_id = a.attempt_id
            cross join lateral unnest(case t.capability_key when '' then array['']
                                      else string_to_array(t.capability_key, ',') end)
                as c (capability)
            cross join lateral (
                select case when g.version_since is null or a.started_at >= g.version_since
                            then version_key(g.model, g.agent_version)
                            else coalesce(g.version_before, '') end as version_key) v
            where a.workspace_id = $1 and a.attempt_id >= $2 and a.attempt_id < $3
              and ($4::uuid is null or a.agent_id = $4)
              and ($7::text is null or c.capability = $7)
        ), groups as materialized (
            select capability, agent_id, version, max(version_key) as version_key,
                   count(*) filter (where state = 'accepted') as accepted,
                   count(*) filter (where state = 'rejected') as rejected,
                   count(*) filter (where state = 'released') as released,
                   count(*) filter (where state = 'cancelled') as cancelled,
                   count(*) filter (where state = 'parked') as parked,
                   count(*) filter (where state in ('running', 'submitted')) as open,
                   count(*) filter (where first and (state in ('accepted', 'rejected')
                                                     or class = any($8))) as first_judged,
                   count(*) filter (where first and state = 'accepted') as first_accepted,
                   percentile_disc(array[0.5, 0.95]) within group (order by ms)
                       filter (where state = 'accepted') as durations
            from tries
            where $9::text is null
               or (capability, agent_id, version) > ($9, $10::uuid, $11::uuid)
            group by capability, agent_id, version
            order by capability, agent_id, version limit $12
        ), classes as (
            select capability, agent_id, version, jsonb_object_agg(class, number) as classes
            from (select capability, agent_id, version, class, count(*) as number
                  from tries where class is not null
                  group by capability, agent_id, version, class) c
            group by capability, agent_id, version
        ), spent as (
            select capability, agent_id, version,
                   jsonb_object_agg(unit, millionths::text) as spend
            from (select t.capability, t.agent_id, t.version, p.unit,
                         sum((p.entries::numeric + p.reported) * 1000000 + p.fraction) as millionths
                  from tries t
                  join attempt_spend p on p.workspace_id = $1 and p.attempt_id = t.attempt_id
                  group by t.capability, t.agent_id, t.version, p.unit) s
            group by capability, agent_id, version
        ), trends as (
            select capability, agent_id, version,
                   jsonb_agg(jsonb_build_object('bucket', bucket, 'attempts', attempts,
                       'accepted', accepted, 'rejected', rejected, 'failed', failed, 'lost', lost,
                       'p50', p50) order by bucket) as trend
            from (select capability, agent_id, version, bucket, count(*) as attempts,
                         count(*) filter (where state = 'accepted') as accepted,
                         count(*) filter (where state = 'rejected') as rejected,
                         count(*) filter (where class = any($8)) as failed,
                         count(*) filter (where class = 'lost') as lost,
                         percentile_disc(0.5) within group (order by ms)
                             filter (where state = 'accepted') as p50
                  from tries group by capability, agent_id, version, bucket) b
            group by capability, agent_id, version
        )
        select g.capability as "capability!", g.agent_id as "agent_id!: AgentId", n.name as "name!",
               g.version_key as "version_key!", g.version as "version_place!",
               g.version_key = version_key(n.model, n.agent_version) as "current!",
               g.accepted as "accepted!", g.rejected as "rejected!", g.released as "released!",
               g.cancelled as "cancelled!", g.parked as "parked!", g.open as "open!",
               g.first_judged as "first_judged!", g.first_accepted as "first_accepted!",
               g.durations as "durations?",
               c.classes as "classes?: Json<BTreeMap<FailureClass, i64>>",
               s.spend as "spend?: Json<Sums>", b.trend as "trend?: Json<Vec<BucketRow>>"
        from groups g
        join agents n on n.workspace_id = $1 and n.agent_id = g.agent_id
        left join classes c on c.capability = g.capability and c.agent_id = g.agent_id
             and c.version = g.version
        left join spent s on s.capability = g.capability and s.agent_id = g.agent_id
             and s.version = g.version
        left join trends b on b.capability = g.capability and b.agent_id = g.agent_id
             and b.version = g.version
        order by g.capability, g.agent_id, g.version
        "#,
        tx.workspace.0,
        scope.first.0,
        scope.end.0,
        scope.agent.map(|id| id.0),
        from,
        length_ms,
        scope.capability,
        &telling as &[&str],
        after.map(|place| place.capability),
        after.map(|place| place.agent.0),
        after.map(|place| place.version),
        rows,
    )
    .fetch_all(traced!(tx, "reports.agents.groups"))
    .await
}
