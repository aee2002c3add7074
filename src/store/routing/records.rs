//! Records of agents: written from the ends of attempts in the journal, behind the commit.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        ids::{AgentId, GoalId, TaskId},
        routing::{
            affinity::{Affinities, Lately, Near},
            assign::Rules,
            policy::Policy,
            record::{LogSums, Outcome, Record},
        },
        states::FailureClass,
        task::claim::capabilities,
    },
    store::{Tx, traced},
};

/// Rows of the journal that were not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// Number of the last row that was read.
    pub after: i64,
    /// Number of the newest row.
    pub newest: i64,
}

/// What of the journal was not read yet.
pub async fn unread(tx: &mut Tx) -> sqlx::Result<Unread> {
    sqlx::query_as!(
        Unread,
        r#"select coalesce((select read_to from route_cursors where workspace_id = $1), 0) as "after!",
                  coalesce((select last_number from journal_heads where workspace_id = $1), 0)
                  as "newest!""#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "routing.records.unread"))
    .await
}

/// Notes that the journal was read from `after` to `to`. Returns `false` if another process did it meanwhile.
pub async fn read_to(tx: &mut Tx, after: i64, to: i64) -> sqlx::Result<bool> {
    let moved = sqlx::query!(
        "insert into route_cursors as c (workspace_id, read_to) values ($1, $3)
         on conflict (workspace_id) do update set read_to = excluded.read_to where c.read_to = $2",
        tx.workspace.0,
        after,
        to,
    )
    .execute(traced!(tx, "routing.records.read_to"))
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// The end of an attempt of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The agent.
    pub agent_id: AgentId,
    /// Its model and version when the attempt began.
    pub version_key: String,
    /// Capabilities that the task requires.
    pub required: Vec<String>,
    /// Class of the failure; `None`: accepted or rejected.
    pub class: Option<FailureClass>,
    /// What is learnt of it.
    pub outcome: Outcome,
}

/// Ends of attempts in the journal after `after`, up to `to`, in their order.
pub async fn ends(tx: &mut Tx, after: i64, to: i64) -> sqlx::Result<Vec<End>> {
    let rows = sqlx::query!(
        r#"
        select a.agent_id as "agent_id!: AgentId", t.capability_key,
               j.data ->> 'attempt_state' = 'accepted' as "accepted!",
               r.failure_class as "class?: FailureClass", j.at,
               (extract(epoch from a.ended_at - a.started_at) * 1000)::bigint as "duration_ms!",
               case when g.version_since is null or a.started_at >= g.version_since
                    then version_key(g.model, g.agent_version)
                    else coalesce(g.version_before, '') end as "version_key!",
               (select least(s.entries::numeric + s.reported + ceil(s.fraction / 1000000),
                             1000000000000000)::bigint
                from attempt_spend s where s.workspace_id = $1 and s.attempt_id = a.attempt_id
                  and s.unit = 'usd_micros') as cost
        from journal j
        join attempts a on a.workspace_id = $1 and a.attempt_id = j.attempt_id
        join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
        join agents g on g.workspace_id = $1 and g.agent_id = a.agent_id
        left join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
        where j.workspace_id = $1 and j.number > $2 and j.number <= $3
          and j.kind in ('task.done', 'task.failed', 'task.waiting', 'task.ready', 'task.parked')
          and j.data ->> 'attempt_state' in ('accepted', 'rejected', 'failed', 'expired')
          and a.ended_at is not null
        order by j.number
        "#,
        tx.workspace.0,
        after,
        to,
    )
    .fetch_all(traced!(tx, "routing.records.ends"))
    .await?;
    let ends = rows.into_iter().map(|row| End {
        agent_id: row.agent_id,
        version_key: row.version_key,
        required: capabilities(&row.capability_key),
        class: row.class,
        outcome: Outcome {
            accepted: row.accepted,
            cost: row.cost,
            duration_ms: row.duration_ms.max(0),
            at: row.at,
        },
    });
    Ok(ends.collect())
}

/// Key of a record: capability, agent, and its model and version.
pub type RecordKey = (String, AgentId, String);

/// The records with these keys.
pub async fn of(tx: &mut Tx, keys: &[RecordKey]) -> sqlx::Result<HashMap<RecordKey, Record>> {
    let rows = sqlx::query!(
        r#"
        select r.capability, r.agent_id as "agent_id: AgentId", r.version_key, r.attempts, r.accepted,
               r.failed, r.cost_weight, r.cost_sum, r.cost_squares, r.duration_weight, r.duration_sum,
               r.duration_squares, r.updated_at
        from unnest($2::text[], $3::uuid[], $4::text[]) as k (capability, agent_id, version_key)
        join agent_records r on r.workspace_id = $1 and r.capability = k.capability
             and r.agent_id = k.agent_id and r.version_key = k.version_key
        "#,
        tx.workspace.0,
        &keys.iter().map(|(capability, ..)| capability.clone()).collect::<Vec<_>>(),
        &keys.iter().map(|(_, agent, _)| agent.0).collect::<Vec<_>>(),
        &keys.iter().map(|(.., version)| version.clone()).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "routing.records.of"))
    .await?;
    let records = rows.into_iter().map(|row| {
        let record = Record {
            attempts: row.attempts,
            accepted: row.accepted,
            failed: row.failed,
            cost: LogSums { weight: row.cost_weight, sum: row.cost_sum, squares: row.cost_squares },
            duration: LogSums {
                weight: row.duration_weight,
                sum: row.duration_sum,
                squares: row.duration_squares,
            },
            updated_at: row.updated_at,
        };
        ((row.capability, row.agent_id, row.version_key), record)
    });
    Ok(records.collect())
}

/// Stores records. `records`: each key once, in ascending order.
pub async fn store(tx: &mut Tx, records: &[(RecordKey, Record)]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &records.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        r#"
        insert into agent_records as old (workspace_id, capability, agent_id, version_key, attempts,
            accepted, failed, cost_weight, cost_sum, cost_squares, duration_weight, duration_sum,
            duration_squares, updated_at)
        select $1, r.*
        from unnest($2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::float8[], $7::float8[],
                    $8::float8[], $9::float8[], $10::float8[], $11::float8[], $12::float8[],
                    $13::float8[], $14::timestamptz[]) as r
        on conflict (workspace_id, capability, agent_id, version_key) do update
            set attempts = excluded.attempts, accepted = excluded.accepted, failed = excluded.failed,
                cost_weight = excluded.cost_weight, cost_sum = excluded.cost_sum,
                cost_squares = excluded.cost_squares, duration_weight = excluded.duration_weight,
                duration_sum = excluded.duration_sum, duration_squares = excluded.duration_squares,
                updated_at = excluded.updated_at
        "#,
        tx.workspace.0,
        column!(|((capability, ..), _)| capability.clone()),
        column!(|((_, agent, _), _)| agent.0),
        column!(|((.., version), _)| version.clone()),
        column!(|(_, record)| record.attempts),
        column!(|(_, record)| record.accepted),
        column!(|(_, record)| record.failed),
        column!(|(_, record)| record.cost.weight),
        column!(|(_, record)| record.cost.sum),
        column!(|(_, record)| record.cost.squares),
        column!(|(_, record)| record.duration.weight),
        column!(|(_, record)| record.duration.sum),
        column!(|(_, record)| record.duration.squares),
        column!(|(_, record)| record.updated_at),
    )
    .execute(traced!(tx, "routing.records.store"))
    .await?;
    Ok(())
}

/// The record of an agent at a capability, with one of its models and versions.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordRow {
    /// The capability; empty for tasks that require none.
    pub capability: String,
    /// The agent.
    pub agent_id: AgentId,
    /// Its name.
    pub name: String,
    /// Its capabilities.
    pub able: Vec<String>,
    /// Whether the agent has this model and version now.
    pub current: bool,
    /// The model and version.
    pub version_key: String,
    /// The record.
    pub record: Record,
}

/// Most records that are read.
const MOST: i64 = 50_000;

/// Records of agents that may claim, of the versions they have now and had before.
pub async fn all(tx: &mut Tx) -> sqlx::Result<Vec<RecordRow>> {
    let rows = sqlx::query!(
        r#"
        select r.capability, r.agent_id as "agent_id: AgentId", g.name, g.capabilities,
               r.version_key = version_key(g.model, g.agent_version) as "current!", r.version_key,
               r.attempts, r.accepted, r.failed, r.cost_weight, r.cost_sum, r.cost_squares,
               r.duration_weight, r.duration_sum, r.duration_squares, r.updated_at
        from agents g
        join agent_records r on r.workspace_id = $1 and r.agent_id = g.agent_id
        where g.workspace_id = $1 and g.state = 'active' and not g.archived
          and r.version_key in (version_key(g.model, g.agent_version), coalesce(g.version_before, ''))
        order by r.capability, r.agent_id, r.version_key
        limit $2
        "#,
        tx.workspace.0,
        MOST,
    )
    .fetch_all(traced!(tx, "routing.records.all"))
    .await?;
    let records = rows.into_iter().map(|row| RecordRow {
        capability: row.capability,
        agent_id: row.agent_id,
        name: row.name,
        able: row.capabilities,
        current: row.current,
        version_key: row.version_key,
        record: Record {
            attempts: row.attempts,
            accepted: row.accepted,
            failed: row.failed,
            cost: LogSums { weight: row.cost_weight, sum: row.cost_sum, squares: row.cost_squares },
            duration: LogSums {
                weight: row.duration_weight,
                sum: row.duration_sum,
                squares: row.duration_squares,
            },
            updated_at: row.updated_at,
        },
    });
    Ok(records.collect())
}

/// Most records that [`prune`] deletes.
pub const PRUNED_AT_ONCE: i64 = 1_000;

/// Deletes up to [`PRUNED_AT_ONCE`] records that were not updated since `before`, of models and versions that their agent
/// neither has now nor had before these. Returns their number.
pub async fn prune(tx: &mut Tx, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let pruned = sqlx::query!(
        "delete from agent_records d
         using (select r.capability, r.agent_id, r.version_key
                from agent_records r
                join agents g on g.workspace_id = $1 and g.agent_id = r.agent_id
                where r.workspace_id = $1 and r.updated_at < $2
                  and r.version_key <> version_key(g.model, g.agent_version)
                  and r.version_key <> coalesce(g.version_before, '')
                limit $3) o
         where d.workspace_id = $1 and d.capability = o.capability and d.agent_id = o.agent_id
           and d.version_key = o.version_key",
        tx.workspace.0,
        before,
        PRUNED_AT_ONCE,
    )
    .execute(traced!(tx, "routing.records.prune"))
    .await?;
    Ok(pruned.rows_affected())
}

/// The rules of the workspace.
pub async fn rules(tx: &mut Tx) -> sqlx::Result<Rules> {
    let row = sqlx::query!(
        r#"select routing as "routing: Policy", max_deferral_ms, control_percent
           from workspaces where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "routing.records.rules"))
    .await?;
    Ok(Rules {
        policy: row.routing,
        max_deferral: chrono::TimeDelta::milliseconds(row.max_deferral_ms.into()),
        control_percent: row.control_percent,
    })
}

/// Most agents whose latest work is read, attempts of each, and ready tasks with labels or a parent.
const AGENTS: i64 = 200;
const ATTEMPTS: i64 = 4;
const TASKS: i64 = 500;

/// What the agents that were seen since `since` worked on lately, and what is near tasks that are ready.
pub async fn affinities(tx: &mut Tx, since: DateTime<Utc>) -> sqlx::Result<Affinities> {
    let done = sqlx::query!(
        r#"
        select p.agent_id as "agent_id!: AgentId", a.goal_id as "goal_id!: GoalId",
               t.parent_id as "parent_id: TaskId", x.labels as "labels!"
        from (select agent_id from agent_presence
              where workspace_id = $1 and last_seen_at > $2
              order by last_seen_at desc, agent_id limit $3) p
        cross join lateral (
            select a.task_id, a.goal_id from attempts a
            where a.workspace_id = $1 and a.agent_id = p.agent_id
            order by a.attempt_id desc limit $4) a
        join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
        join task_texts x on x.workspace_id = $1 and x.task_id = a.task_id
        "#,
        tx.workspace.0,
        since,
        AGENTS,
        ATTEMPTS,
    )
    .fetch_all(traced!(tx, "routing.records.affinities"))
    .await?;
    let mut lately: HashMap<AgentId, Lately> = HashMap::new();
    for row in done {
        let lately = lately.entry(row.agent_id).or_default();
        lately.goals.insert(row.goal_id);
        lately.parents.extend(row.parent_id);
        lately.labels.extend(row.labels);
    }
    let ready = sqlx::query!(
        r#"
        select t.task_id as "task_id: TaskId", t.parent_id as "parent: TaskId", x.labels
        from (select task_id, parent_id from tasks
              where workspace_id = $1 and state = 'ready' limit $2) t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        where t.parent_id is not null or cardinality(x.labels) > 0
        "#,
        tx.workspace.0,
        TASKS,
    )
    .fetch_all(traced!(tx, "routing.records.affinities"))
    .await?;
    let near = ready.into_iter().map(|row| {
        let labels: HashSet<String> = row.labels.into_iter().collect();
        (row.task_id, Near { parent: row.parent, labels: labels.into_iter().collect() })
    });
    Ok(Affinities { lately, near: near.collect() })
}
