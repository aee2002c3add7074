//! Reads of journal rows.

use chrono::{DateTime, Utc};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::{
    domain::{
        ids::{
            AgentId, ApprovalId, AttemptId, GoalId, KeyId, LinkId, ProjectId, TaskId, WorkspaceId,
        },
        journal::{Hex, Row},
    },
    store::{Tx, traced},
};

/// A JSON column, byte for byte. Muster writes valid JSON on one line without surrounding space;
/// other text was written by somebody else and is returned as a string.
fn json(text: String) -> Box<RawValue> {
    match serde_json::from_str::<Box<RawValue>>(&text) {
        Ok(json) if json.get() == text && !text.contains(['\n', '\r']) => json,
        Ok(_) | Err(_) => to_raw_value(&text).unwrap_or_else(|_| RawValue::NULL.to_owned()),
    }
}

/// A journal row as an event.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// Its number, rising within the workspace.
    pub number: i64,
    /// The time of its transaction.
    pub at: DateTime<Utc>,
    /// Its kind; a newer version may have written kinds unknown to this one.
    pub kind: String,
    /// The project concerned.
    pub project_id: Option<ProjectId>,
    /// The goal concerned.
    pub goal_id: Option<GoalId>,
    /// The task concerned.
    pub task_id: Option<TaskId>,
    /// The attempt concerned.
    pub attempt_id: Option<AttemptId>,
    /// The agent concerned.
    pub agent_id: Option<AgentId>,
    /// The approval concerned.
    pub approval_id: Option<ApprovalId>,
    /// The key that caused it.
    pub actor_key_id: Option<KeyId>,
    /// Details, JSON; `None` after erasure.
    pub data: Option<String>,
}

/// Filter of [`events`].
#[derive(Debug, Clone, Copy, Default)]
pub struct EventFilter<'a> {
    /// Only those about this goal.
    pub goal: Option<GoalId>,
    /// Only those about this task.
    pub task: Option<TaskId>,
    /// Only those of this kind.
    pub kind: Option<&'a str>,
}

/// At most `rows` events numbered above `after` up to `until`, in order.
pub async fn events(
    tx: &mut Tx,
    filter: EventFilter<'_>,
    after: i64,
    until: i64,
    rows: i64,
) -> sqlx::Result<Vec<EventRow>> {
    sqlx::query_as!(
        EventRow,
        r#"
        select number, at, kind, project_id as "project_id: ProjectId",
               goal_id as "goal_id: GoalId", task_id as "task_id: TaskId",
               attempt_id as "attempt_id: AttemptId", agent_id as "agent_id: AgentId",
               approval_id as "approval_id: ApprovalId", actor_key_id as "actor_key_id: KeyId",
               data::text as data
        from journal
        where workspace_id = $1 and number > $2 and number <= $3 and public
          and ($4::uuid is null or goal_id = $4)
          and ($5::uuid is null or task_id = $5)
          and ($6::text is null or kind = $6)
        order by number
        limit $7
        "#,
        tx.workspace.0,
        after,
        until,
        filter.goal.map(|id| id.0),
        filter.task.map(|id| id.0),
        filter.kind,
        rows,
    )
    .fetch_all(traced!(tx, "journal.events"))
    .await
}

/// The goal of a task, through which the index finds the task's rows.
pub async fn goal_of_task(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<GoalId>> {
    sqlx::query_scalar!(
        r#"select goal_id as "goal_id: GoalId" from tasks where workspace_id = $1 and task_id = $2"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_optional(traced!(tx, "journal.goal_of_task"))
    .await
}

/// The goal with this id, or the goal of the task, attempt or approval with it: the index finds
/// their rows through the goal. `None` for any other id.
pub async fn goal_of(tx: &mut Tx, id: Uuid) -> sqlx::Result<Option<GoalId>> {
    sqlx::query_scalar!(
        r#"select goal_id as "goal_id!: GoalId" from goals where workspace_id = $1 and goal_id = $2
           union all select goal_id from tasks where workspace_id = $1 and task_id = $2
           union all select goal_id from attempts where workspace_id = $1 and attempt_id = $2
           union all select goal_id from approvals where workspace_id = $1 and approval_id = $2
           limit 1"#,
        tx.workspace.0,
        id,
    )
    .fetch_optional(traced!(tx, "journal.goal_of"))
    .await
}

/// A row as stored. Must accept any column value, also one that was tampered with.
struct RawRow {
    workspace_id: WorkspaceId,
    number: i64,
    at: DateTime<Utc>,
    kind: String,
    public: bool,
    project_id: Option<ProjectId>,
    goal_id: Option<GoalId>,
    task_id: Option<TaskId>,
    attempt_id: Option<AttemptId>,
    agent_id: Option<AgentId>,
    approval_id: Option<ApprovalId>,
    subject: String,
    subject_id: Uuid,
    actor_key_id: Option<KeyId>,
    actor_person: Option<String>,
    link_id: Option<LinkId>,
    link_maker: Option<KeyId>,
    on_behalf_of: Option<String>,
    request: Option<String>,
    trace_id: Option<Uuid>,
    before_sha256: Option<Vec<u8>>,
    after_sha256: Option<Vec<u8>>,
    data: Option<String>,
    data_version: i16,
    salt: Option<Vec<u8>>,
    data_sha256: Option<Vec<u8>>,
}

impl From<RawRow> for Row {
    fn from(row: RawRow) -> Self {
        // An array with gaps or several dimensions was not written by muster; returned as text.
        let people = |json: String| serde_json::from_str(&json).unwrap_or_else(|_| vec![json]);
        Self {
            workspace_id: row.workspace_id,
            number: row.number,
            at: row.at,
            kind: row.kind,
            public: row.public,
            project_id: row.project_id,
            goal_id: row.goal_id,
            task_id: row.task_id,
            attempt_id: row.attempt_id,
            agent_id: row.agent_id,
            approval_id: row.approval_id,
            subject: row.subject,
            subject_id: row.subject_id,
            actor_key_id: row.actor_key_id,
            actor_person: row.actor_person,
            link_id: row.link_id,
            link_maker: row.link_maker,
            on_behalf_of: row.on_behalf_of.map(people),
            request: row.request,
            trace_id: row.trace_id,
            before_sha256: row.before_sha256.map(Hex),
            after_sha256: row.after_sha256.map(Hex),
            data: row.data.map(json),
            data_version: row.data_version,
            salt: row.salt.map(Hex),
            data_sha256: row.data_sha256.map(Hex),
        }
    }
}

/// Reads rows. Replaces times outside the range of common date types by a constant; the seal fails
/// for both.
macro_rules! rows {
    ($conn:expr, $where:literal, $($argument:expr),+ $(,)?) => {
        async {
            let rows = sqlx::query_as!(
                RawRow,
                r#"select workspace_id as "workspace_id: WorkspaceId", number,
                          case when at between '1900-01-01Z' and '9999-01-01Z' then at
                               else timestamptz '1900-01-01Z' end as "at!",
                          kind, public, project_id as "project_id: ProjectId",
                          goal_id as "goal_id: GoalId", task_id as "task_id: TaskId",
                          attempt_id as "attempt_id: AttemptId", agent_id as "agent_id: AgentId",
                          approval_id as "approval_id: ApprovalId", subject, subject_id,
                          actor_key_id as "actor_key_id: KeyId", actor_person,
                          link_id as "link_id: LinkId", link_maker as "link_maker: KeyId",
                          array_to_json(on_behalf_of)::text as on_behalf_of, request, trace_id,
                          before_sha256, after_sha256, data::text as data, data_version, salt,
                          data_sha256
                   from journal "# + $where,
                $($argument),+
            )
            .fetch_all($conn)
            .await?;
            Ok(rows.into_iter().map(Row::from).collect())
        }
        .await
    };
}

/// Filter of [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditFilter<'a> {
    /// Only about this kind of thing.
    pub subject: Option<&'a str>,
    /// Only about the thing with this id.
    pub subject_id: Option<Uuid>,
    /// Only about this goal.
    pub goal: Option<GoalId>,
    /// Only actions of this key.
    pub actor_key: Option<KeyId>,
    /// Only actions of this person.
    pub actor_person: Option<&'a str>,
    /// Only actions on behalf of this person.
    pub on_behalf_of: Option<&'a str>,
    /// Only of this kind.
    pub kind: Option<&'a str>,
    /// Only of this request.
    pub request: Option<&'a str>,
    /// At this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
}

/// A span of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// The first number.
    pub from: i64,
    /// The first number after it.
    pub before: i64,
}

/// The number of the `count`th row below `before` that an index finds for `filter`: by its goal, or else
/// by its subject. `None` if there are fewer.
pub async fn nth_below(
    tx: &mut Tx,
    filter: &AuditFilter<'_>,
    before: i64,
    count: i64,
) -> sqlx::Result<Option<i64>> {
    if let Some(goal) = filter.goal {
        return sqlx::query_scalar!(
            "select number
             from journal
             where workspace_id = $1 and goal_id = $2 and number < $3
             order by number desc
             offset $4 limit 1",
            tx.workspace.0,
            goal.0,
            before,
            count - 1,
        )
        .fetch_optional(traced!(tx, "journal.nth_below_of_goal"))
        .await;
    }
    sqlx::query_scalar!(
        "select number
         from journal
         where workspace_id = $1 and subject_id = $2 and number < $3
           and subject not in ('goal', 'task', 'attempt', 'approval')
         order by number desc
         offset $4 limit 1",
        tx.workspace.0,
        filter.subject_id,
        before,
        count - 1,
    )
    .fetch_optional(traced!(tx, "journal.nth_below_of_subject"))
    .await
}

/// The time of a row; `None` if it was pruned.
pub async fn time_of(tx: &mut Tx, number: i64) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        r#"select case when at between '1900-01-01Z' and '9999-01-01Z' then at
                       else timestamptz '1900-01-01Z' end as "at!"
           from journal
           where workspace_id = $1 and number = $2"#,
        tx.workspace.0,
        number,
    )
    .fetch_optional(traced!(tx, "journal.time_of"))
    .await
}

/// At most `rows` rows of `span`, newest first. If the subject belongs to a goal, the
/// filter must name the goal ([`goal_of`]).
pub async fn list(
    tx: &mut Tx,
    filter: AuditFilter<'_>,
    span: Span,
    rows: i64,
) -> sqlx::Result<Vec<Row>> {
    rows!(
        traced!(tx, "journal.list"),
        "where workspace_id = $1 and number < $2 and number >= $14
           and ($3::text is null or subject = $3)
           and ($4::uuid is null or goal_id = $4)
           and ($5::uuid is null or subject_id = $5)
           and ($4::uuid is not null or $5::uuid is null
                or subject not in ('goal', 'task', 'attempt', 'approval'))
           and ($6::uuid is null or actor_key_id = $6)
           and ($7::text is null or actor_person = $7)
           and ($8::text is null or $8 = any(on_behalf_of))
           and ($9::text is null or kind = $9)
           and ($10::text is null or request = $10)
           and ($11::timestamptz is null or at >= $11)
           and ($12::timestamptz is null or at < $12)
         order by number desc limit $13",
        tx.workspace.0,
        span.before,
        filter.subject,
        filter.goal.map(|id| id.0),
        filter.subject_id,
        filter.actor_key.map(|id| id.0),
        filter.actor_person,
        filter.on_behalf_of,
        filter.kind,
        filter.request,
        filter.from,
        filter.until,
        rows,
        span.from,
    )
}

/// At most `rows` rows numbered above `after` up to `until`, in order.
pub async fn range(tx: &mut Tx, after: i64, until: i64, rows: i64) -> sqlx::Result<Vec<Row>> {
    rows!(
        traced!(tx, "journal.range"),
        "where workspace_id = $1 and number > $2 and number <= $3 order by number limit $4",
        tx.workspace.0,
        after,
        until,
        rows,
    )
}
