//! The entries of the audit: written by everybody, read by operators.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{
    audit::{AuditEntry, Digest, NewEntry, Seal},
    ids::{AuditEntryId, KeyId, WorkspaceId},
};

/// Writes entries, all of one transaction. Takes no lock that anybody waits for.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    now: DateTime<Utc>,
    ids: &[AuditEntryId],
    entries: &[NewEntry],
) -> sqlx::Result<()> {
    let text = |of: fn(&NewEntry) -> &str| entries.iter().map(of).collect::<Vec<_>>();
    let hash = |of: fn(&NewEntry) -> Option<Digest>| {
        entries.iter().map(|entry| of(entry).map(|hash| hash.0.to_vec())).collect::<Vec<_>>()
    };
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let subjects: Vec<Uuid> = entries.iter().map(|entry| entry.subject_id).collect();
    let keys: Vec<Option<Uuid>> =
        entries.iter().map(|entry| entry.actor_key.map(|key| key.0)).collect();
    let persons: Vec<Option<&str>> =
        entries.iter().map(|entry| entry.actor_person.as_deref()).collect();
    let behalf: Vec<Option<Value>> = entries.iter().map(behalf).collect();
    let requests: Vec<Option<&str>> =
        entries.iter().map(|entry| entry.request_id.as_deref()).collect();
    let details: Vec<Option<&Value>> = entries.iter().map(|entry| entry.details.as_ref()).collect();
    sqlx::query!(
        r#"
        insert into audit_entries (workspace_id, created_at, entry_id, action, subject, subject_id,
                                   actor_key_id, actor_person, on_behalf_of, request,
                                   before_sha256, after_sha256, details)
        select $1, $2, e.*
        from unnest($3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::uuid[], $8::text[],
                    $9::jsonb[], $10::text[], $11::bytea[], $12::bytea[], $13::jsonb[]) e
        "#,
        workspace.0,
        now,
        &ids,
        &text(|entry| &entry.action) as &[&str],
        &text(|entry| entry.subject) as &[&str],
        &subjects,
        &keys as &[Option<Uuid>],
        &persons as &[Option<&str>],
        &behalf as &[Option<Value>],
        &requests as &[Option<&str>],
        &hash(|entry| entry.before) as &[Option<Vec<u8>>],
        &hash(|entry| entry.after) as &[Option<Vec<u8>>],
        &details as &[Option<&Value>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Which entries to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditFilter<'a> {
    /// Only about things of this kind.
    pub subject: Option<&'a str>,
    /// Only about this thing.
    pub subject_id: Option<Uuid>,
    /// Only what this key did.
    pub actor_key: Option<KeyId>,
    /// Only what this person did.
    pub person: Option<&'a str>,
    /// Only what was done on behalf of this person.
    pub on_behalf_of: Option<&'a str>,
    /// Only this action.
    pub action: Option<&'a str>,
    /// Only of this request.
    pub request: Option<&'a str>,
    /// Only from then on.
    pub from: Option<DateTime<Utc>>,
    /// Only before then.
    pub until: Option<DateTime<Utc>>,
}

/// An entry and its seal, of which one may be missing.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// The seal; none: it is not sealed yet.
    pub seal: Option<Seal>,
    /// The entry; none: it was removed.
    pub entry: Option<AuditEntry>,
}

/// What is read, column by column: whatever somebody wrote into one must not make the reading fail.
struct RawRow {
    seq: Option<i64>,
    sealed: Option<AuditEntryId>,
    entry_sha256: Option<Vec<u8>>,
    chain_sha256: Option<Vec<u8>>,
    workspace_id: Option<WorkspaceId>,
    entry_id: Option<AuditEntryId>,
    xid: Option<i64>,
    action: Option<String>,
    subject: Option<String>,
    subject_id: Option<Uuid>,
    actor_key_id: Option<KeyId>,
    actor_person: Option<String>,
    on_behalf_of: Option<Value>,
    request_id: Option<String>,
    before_sha256: Option<String>,
    after_sha256: Option<String>,
    details: Option<Value>,
    created_at: Option<DateTime<Utc>>,
}

impl From<RawRow> for AuditRow {
    fn from(row: RawRow) -> Self {
        let seal = match (row.seq, row.sealed) {
            (Some(seq), Some(entry_id)) => Some(Seal {
                seq,
                entry_id,
                entry_sha256: Digest::stored(&row.entry_sha256.unwrap_or_default()),
                chain_sha256: Digest::stored(&row.chain_sha256.unwrap_or_default()),
            }),
            (None, _) | (_, None) => None,
        };
        let entry = match (row.workspace_id, row.entry_id, row.created_at) {
            (Some(workspace_id), Some(entry_id), Some(created_at)) => Some(AuditEntry {
                workspace_id,
                entry_id,
                xid: row.xid.unwrap_or_default(),
                action: row.action.unwrap_or_default(),
                subject: row.subject.unwrap_or_default(),
                subject_id: row.subject_id.unwrap_or_default(),
                actor_key_id: row.actor_key_id,
                actor_person: row.actor_person,
                on_behalf_of: row.on_behalf_of,
                request_id: row.request_id,
                before_sha256: row.before_sha256,
                after_sha256: row.after_sha256,
                details: row.details,
                created_at,
            }),
            (None, _, _) | (_, None, _) | (_, _, None) => None,
        };
        Self { seal, entry }
    }
}

/// Reads entries `e` and their seals `s`. A time that no program can hold is read as another, which is
/// not what was sealed either.
macro_rules! rows {
    ($conn:expr, $from:literal, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            RawRow,
            r#"select s.seq as "seq?", s.entry_id as "sealed?: AuditEntryId",
                      s.entry_sha256 as "entry_sha256?", s.chain_sha256 as "chain_sha256?",
                      e.workspace_id as "workspace_id?: WorkspaceId",
                      e.entry_id as "entry_id?: AuditEntryId", e.xid as "xid?",
                      e.action as "action?", e.subject as "subject?",
                      e.subject_id as "subject_id?", e.actor_key_id as "actor_key_id?: KeyId",
                      e.actor_person as "actor_person?", e.on_behalf_of as "on_behalf_of?",
                      e.request as "request_id?",
                      encode(e.before_sha256, 'hex') as "before_sha256?",
                      encode(e.after_sha256, 'hex') as "after_sha256?", e.details as "details?",
                      case when e.created_at between '1900-01-01Z' and '9999-01-01Z'
                           then e.created_at
                           when e.entry_id is not null then timestamptz '1900-01-01Z'
                      end as "created_at?" "# + $from,
            $($argument),+
        )
        .fetch_all($conn)
    };
}

fn views(rows: Vec<RawRow>) -> Vec<AuditRow> {
    rows.into_iter().map(AuditRow::from).collect()
}

/// At most `rows` entries before `before`, newest first. Ids of entries begin with their time, so
/// `span` says from which id on and below which one those of the filter's time are.
///
/// # Errors
/// When the database fails.
pub async fn list(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    filter: AuditFilter<'_>,
    span: (Uuid, Uuid),
    before: Option<AuditEntryId>,
    rows: i64,
) -> sqlx::Result<Vec<AuditRow>> {
    let behalf = filter.on_behalf_of.map(|person| serde_json::json!([person]));
    let found = rows!(
        conn,
        "from audit_entries e
         left join audit_seals s on s.workspace_id = e.workspace_id and s.entry_id = e.entry_id
         where e.workspace_id = $1
           and e.entry_id >= $2::uuid and e.entry_id < least($3::uuid, $4::uuid)
           and ($5::text is null or e.subject = $5)
           and ($6::uuid is null or e.subject_id = $6)
           and ($7::uuid is null or e.actor_key_id = $7)
           and ($8::text is null or e.actor_person = $8)
           and ($9::jsonb is null or e.on_behalf_of @> $9)
           and ($10::text is null or e.action = $10)
           and ($11::text is null or e.request = $11)
           and ($12::timestamptz is null or e.created_at >= $12)
           and ($13::timestamptz is null or e.created_at < $13)
         order by e.entry_id desc limit $14",
        workspace.0,
        span.0,
        span.1,
        before.map(|id| id.0),
        filter.subject,
        filter.subject_id,
        filter.actor_key.map(|id| id.0),
        filter.person,
        behalf,
        filter.action,
        filter.request,
        filter.from,
        filter.until,
        rows,
    );
    Ok(views(found.await?))
}

/// At most `rows` sealed entries numbered above `after` and up to `until`, in their order.
///
/// # Errors
/// When the database fails.
pub async fn sealed(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: i64,
    until: i64,
    rows: i64,
) -> sqlx::Result<Vec<AuditRow>> {
    let found = rows!(
        conn,
        "from (select * from audit_seals where workspace_id = $1 and seq > $2 and seq <= $3
               order by seq limit $4) s
         left join audit_entries e on e.workspace_id = $1 and e.entry_id = s.entry_id
         order by s.seq",
        workspace.0,
        after,
        until,
        rows,
    );
    Ok(views(found.await?))
}

/// Transactions that the database knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// All below have ended, and what they wrote is seen by every statement that begins from now on.
    pub ended_below: i64,
    /// None from this one on has begun yet.
    pub begun_below: i64,
}

/// Entries without a seal of transactions from `from` on that have ended, in their order: at least
/// `rows` of them, if there are so many, and all of the last transaction. `strangers`: also those of
/// transactions that this PostgreSQL has never seen, which came with a dump of another one.
///
/// # Errors
/// When the database fails.
pub async fn to_seal(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    moment: Moment,
    from: i64,
    strangers: bool,
    rows: i64,
) -> sqlx::Result<Vec<AuditEntry>> {
    let Moment { ended_below, begun_below } = moment;
    let found = rows!(
        conn,
        "from audit_entries e
         left join audit_seals s on s.workspace_id = e.workspace_id and s.entry_id = e.entry_id
         where e.workspace_id = $1 and e.xid >= $2
           and (e.xid < $3 or ($4 and e.xid >= $5)) and s.entry_id is null
         order by e.xid fetch first ($6::bigint) rows with ties",
        workspace.0,
        from,
        ended_below,
        strangers,
        begun_below,
        rows,
    );
    let mut entries: Vec<AuditEntry> =
        views(found.await?).into_iter().filter_map(|row| row.entry).collect();
    entries.sort_by_key(|entry| (entry.xid, entry.entry_id));
    Ok(entries)
}

fn behalf(entry: &NewEntry) -> Option<Value> {
    (!entry.on_behalf_of.is_empty()).then(|| serde_json::json!(entry.on_behalf_of))
}
