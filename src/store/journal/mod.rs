//! The journal: written by every unit of work, read as events and as audit.
//!
//! Numbers are assigned under a lock held until the commit. So later statements see every row up to
//! the newest number, and numbers have no gaps.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{SystemTx, Tx, traced};
use crate::domain::{
    ids::{AgentId, WorkspaceId},
    journal::{DATA_VERSION, Digest, NewRow},
};

mod read;
pub mod seals;

pub use read::{
    AuditFilter, EventFilter, EventRow, Span, events, goal_of, goal_of_task, list, nth_below,
    range, time_of,
};

/// Appends rows in order, each with the next number of the workspace.
///
/// Must be the last statement before the commit: its lock makes the order of numbers that of
/// commits.
pub async fn append(tx: &mut Tx, rows: &[NewRow]) -> sqlx::Result<()> {
    let ids = |of: &dyn Fn(&NewRow) -> Option<Uuid>| rows.iter().map(of).collect::<Vec<_>>();
    let digests = |of: fn(&NewRow) -> Option<Digest>| {
        rows.iter().map(|row| of(row).map(|digest| digest.0.to_vec())).collect::<Vec<_>>()
    };
    let actor = |row: &NewRow| row.actor.clone().unwrap_or_default();
    let texts = |of: &dyn Fn(&NewRow) -> Option<String>| rows.iter().map(of).collect::<Vec<_>>();
    let subjects: Vec<_> =
        rows.iter().map(|row| row.subject().unwrap_or(("workspace", tx.workspace.0))).collect();
    sqlx::query!(
        r#"
        with head as (
            insert into journal_heads as heads (workspace_id, last_number)
            values ($1, $2)
            on conflict (workspace_id) do update set last_number = heads.last_number + $2
            returning last_number - $2 as before
        )
        insert into journal (workspace_id, number, at, data_version, kind, public, subject,
                             subject_id, project_id, goal_id, task_id, attempt_id, agent_id,
                             approval_id, actor_key_id, actor_person, link_id, link_maker,
                             on_behalf_of, request, before_sha256, after_sha256, data, salt)
        select $1, head.before + r.place, $3, $4, r.kind, r.public, r.subject, r.subject_id,
               r.project_id, r.goal_id, r.task_id, r.attempt_id, r.agent_id, r.approval_id,
               r.actor_key_id, r.actor_person, r.link_id, r.link_maker,
               string_to_array(r.people, E'\n'), r.request, r.before_sha256, r.after_sha256,
               r.data::json, r.salt
        from head,
             unnest($5::text[], $6::bool[], $7::text[], $8::uuid[], $9::uuid[], $10::uuid[],
                    $11::uuid[], $12::uuid[], $13::uuid[], $14::uuid[], $15::uuid[], $16::text[],
                    $17::uuid[], $18::uuid[], $19::text[], $20::text[], $21::bytea[], $22::bytea[],
                    $23::text[], $24::bytea[])
             with ordinality as r (kind, public, subject, subject_id, project_id, goal_id, task_id,
                                   attempt_id, agent_id, approval_id, actor_key_id, actor_person,
                                   link_id, link_maker, people, request, before_sha256,
                                   after_sha256, data, salt, place)
        "#,
        tx.workspace.0,
        rows.len() as i64,
        tx.now,
        DATA_VERSION,
        &rows.iter().map(|row| row.kind.as_str()).collect::<Vec<_>>() as &[&str],
        &rows.iter().map(|row| row.kind.is_public()).collect::<Vec<_>>(),
        &subjects.iter().map(|(noun, _)| *noun).collect::<Vec<_>>() as &[&str],
        &subjects.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
        &ids(&|row| row.project.map(Uuid::from)) as &[Option<Uuid>],
        &ids(&|row| row.goal.map(Uuid::from)) as &[Option<Uuid>],
        &ids(&|row| row.task.map(Uuid::from)) as &[Option<Uuid>],
        &ids(&|row| row.attempt.map(Uuid::from)) as &[Option<Uuid>],
        &ids(&|row| row.agent.map(Uuid::from)) as &[Option<Uuid>],
        &ids(&|row| row.approval.map(Uuid::from)) as &[Option<Uuid>],
        &ids(&|row| actor(row).key.map(Uuid::from)) as &[Option<Uuid>],
        &texts(&|row| actor(row).person.map(|person| person.to_string())) as &[Option<String>],
        &ids(&|row| actor(row).link.map(|link| link.id.into())) as &[Option<Uuid>],
        &ids(&|row| actor(row).link.map(|link| link.made_by.into())) as &[Option<Uuid>],
        // Names of people contain no line breaks.
        &texts(&|row| (!row.on_behalf_of.is_empty()).then(|| row.on_behalf_of.join("\n")))
            as &[Option<String>],
        &texts(&|row| actor(row).request_id.map(|id| id.to_string())) as &[Option<String>],
        &digests(|row| row.before) as &[Option<Vec<u8>>],
        &digests(|row| row.after) as &[Option<Vec<u8>>],
        &rows.iter().map(data).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.salt.to_vec()).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "journal.append"))
    .await?;
    Ok(())
}

/// Serialization of a map of JSON values cannot fail.
fn data(row: &NewRow) -> String {
    serde_json::to_string(&row.data).unwrap_or_default()
}

/// The number of the newest row; 0 if there is none.
pub async fn newest(tx: &mut Tx) -> sqlx::Result<i64> {
    let workspace = tx.workspace;
    Ok(head(tx, workspace).await?.newest)
}

/// What a watcher of a workspace reads again and again.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// The number of the newest row; 0 if there is none.
    pub newest: i64,
    /// Whether the workspace has rates: then tasks become free without a row.
    pub rated: bool,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

/// The number of the newest row, and the database's clock.
pub async fn head(system: &mut SystemTx, workspace: WorkspaceId) -> sqlx::Result<Head> {
    sqlx::query_as!(
        Head,
        r#"select coalesce((select last_number from journal_heads where workspace_id = $1), 0)
                      as "newest!",
                  exists (select from rates where workspace_id = $1) as "rated!",
                  clock_timestamp() as "now!""#,
        workspace.0,
    )
    .fetch_one(traced!(system, "journal.head"))
    .await
}

/// Agents that were edited or lost a key, by the rows above `after` up to `until`.
pub async fn agents_touched(tx: &mut Tx, after: i64, until: i64) -> sqlx::Result<Vec<AgentId>> {
    sqlx::query_scalar!(
        r#"select distinct agent_id as "agent_id!: AgentId" from journal
           where workspace_id = $1 and number > $2 and number <= $3
             and kind in ('agent.updated', 'key.revoked') and agent_id is not null"#,
        tx.workspace.0,
        after,
        until,
    )
    .fetch_all(traced!(tx, "journal.agents_touched"))
    .await
}

/// Counts rows above `after`: those up to `last` without a gap, all up to `last`, and those above
/// `last`.
pub async fn tail(tx: &mut Tx, after: i64, last: i64) -> sqlx::Result<(i64, i64, i64)> {
    let row = sqlx::query!(
        r#"select count(*) filter (where number = $2 + place and number <= $3) as "following!",
                  count(*) filter (where number <= $3) as "present!",
                  count(*) filter (where number > $3) as "beyond!"
           from (select number, row_number() over (order by number) as place from journal
                 where workspace_id = $1 and number > $2) n"#,
        tx.workspace.0,
        after,
        last,
    )
    .fetch_one(traced!(tx, "journal.tail"))
    .await?;
    Ok((row.following, row.present, row.beyond))
}

/// Erases the data of rows, except of rows about the journal itself. Returns the number of erased
/// rows.
pub async fn erase(tx: &mut Tx, numbers: &[i64]) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "update journal set data = null, salt = null,
                data_sha256 = sha256(salt || convert_to(data::text, 'UTF8'))
         where workspace_id = $1 and number = any($2) and data is not null
           and kind not like 'journal.%'",
        tx.workspace.0,
        numbers,
    )
    .execute(traced!(tx, "journal.erase"))
    .await?;
    Ok(done.rows_affected())
}
