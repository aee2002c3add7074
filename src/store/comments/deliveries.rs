//! Comments for running attempts.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        addressee::Addressee,
        handover::ClaimedComment,
        ids::{AgentId, AttemptId, CommentId, GoalId, TaskId},
        settings,
    },
    store::{Tx, columns::uuids, traced},
};

/// A comment to be delivered.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The comment.
    pub comment_id: CommentId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Its task; `None`: every task of the goal.
    pub task_id: Option<TaskId>,
    /// The agent that wrote it, which does not get it.
    pub by: Option<AgentId>,
    /// Whom it is for; `None`: everybody.
    pub to: Option<&'a Addressee>,
}

/// Has a comment delivered to the running attempts that it is for. The caller has locked its task. An attempt that
/// starts at this moment may miss a comment on its goal: see [`spread`].
pub async fn begin(tx: &mut Tx, new: Delivery<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "with later as (
             insert into comments_to_spread (workspace_id, comment_id, goal_id, written_at)
             select $1, $2, $3, $8 where $4::uuid is null
         )
         insert into comment_deliveries (workspace_id, attempt_id, comment_id, goal_id)
         select $1, a.attempt_id, $2, $3
         from attempts a
         left join agents g on g.workspace_id = $1 and g.agent_id = a.agent_id
         where a.workspace_id = $1 and a.state = 'running' and a.goal_id = $3
           and ($4::uuid is null or a.task_id = $4)
           and ($5::uuid is null or a.agent_id is distinct from $5)
           and ($6::uuid is null or a.agent_id = $6)
           and ($7::text is null or $7 = any(g.capabilities))
         order by a.attempt_id
         on conflict do nothing",
        tx.workspace.0,
        new.comment_id.0,
        new.goal_id.0,
        new.task_id.map(|id| id.0),
        new.by.map(|id| id.0),
        new.to.and_then(|to| to.agent_id).map(|id| id.0),
        new.to.and_then(|to| to.capability.as_deref()),
        tx.now,
    )
    .execute(traced!(tx, "comments.deliveries.begin"))
    .await?;
    Ok(())
}

/// Notes comments that attempts were given with their claims: these are not delivered to them again.
pub async fn given(tx: &mut Tx, given: &[(AttemptId, GoalId, CommentId)]) -> sqlx::Result<()> {
    if given.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into comment_deliveries (workspace_id, attempt_id, goal_id, comment_id, sent, seen_at)
         select $1, d.attempt_id, d.goal_id, d.comment_id, 1, $2
         from unnest($3::uuid[], $4::uuid[], $5::uuid[]) as d (attempt_id, goal_id, comment_id)
         on conflict do nothing",
        tx.workspace.0,
        tx.now,
        &given.iter().map(|(attempt, _, _)| attempt.0).collect::<Vec<_>>(),
        &given.iter().map(|(_, goal, _)| goal.0).collect::<Vec<_>>(),
        &given.iter().map(|(_, _, comment)| comment.0).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "comments.deliveries.given"))
    .await?;
    Ok(())
}

/// Stores that attempts have comments. `seen`: in order, without duplicates.
pub async fn seen(tx: &mut Tx, seen: &[(AttemptId, CommentId)]) -> sqlx::Result<()> {
    sqlx::query!(
        "with mine as materialized (
             select d.attempt_id, d.comment_id
             from unnest($3::uuid[], $4::uuid[]) as a (attempt_id, comment_id)
             join comment_deliveries d on d.workspace_id = $1 and d.attempt_id = a.attempt_id
                  and d.comment_id = a.comment_id and d.seen_at is null
             order by d.attempt_id, d.comment_id for no key update of d
         )
         update comment_deliveries d set seen_at = $2
         from mine m
         where d.workspace_id = $1 and d.attempt_id = m.attempt_id and d.comment_id = m.comment_id",
        tx.workspace.0,
        tx.now,
        &seen.iter().map(|(attempt, _)| attempt.0).collect::<Vec<Uuid>>(),
        &seen.iter().map(|(_, comment)| comment.0).collect::<Vec<Uuid>>(),
    )
    .execute(traced!(tx, "comments.deliveries.seen"))
    .await?;
    Ok(())
}

/// Bounds of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most comments.
    pub comments: i64,
    /// Most bytes of their texts; the first comment is sent whatever its size.
    pub bytes: i64,
    /// Number of times that a comment is sent at most.
    pub times: i16,
}

impl Bounds {
    /// In the answer to a heartbeat.
    pub const OF_HEARTBEATS: Self = Self {
        comments: settings::HEARTBEAT_COMMENTS,
        bytes: settings::HEARTBEAT_COMMENT_BYTES,
        times: settings::COMMENT_SENT,
    };
}

/// Comments for an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// The comments, oldest first.
    pub comments: Vec<ClaimedComment>,
    /// Whether there are more.
    pub more: bool,
}

/// Delivers comments that are not acknowledged to attempts, the oldest first within `bounds`. `attempts`: in order,
/// without duplicates.
pub async fn deliver(
    tx: &mut Tx,
    attempts: &[AttemptId],
    bounds: Bounds,
) -> sqlx::Result<HashMap<AttemptId, Delivered>> {
    let rows = sqlx::query!(
        r#"
        with due as materialized (
            select a.attempt_id, d.comment_id
            from unnest($2::uuid[]) with ordinality as a (attempt_id, n)
            cross join lateral (
                select d.comment_id from comment_deliveries d
                where d.workspace_id = $1 and d.attempt_id = a.attempt_id and d.seen_at is null
                order by d.comment_id limit $3::bigint + 1
            ) d
        ), sized as materialized (
            select d.attempt_id, d.comment_id, c.task_id, c.kind, c.answers, c.to_agent,
                   c.to_capability, c.text, c.agent_id, c.person, c.created_at,
                   row_number() over w as place, sum(octet_length(c.text)) over w as total
            from due d
            join comments c on c.workspace_id = $1 and c.comment_id = d.comment_id
            window w as (partition by d.attempt_id order by c.comment_id)
        ), mine as materialized (
            select d.attempt_id, d.comment_id
            from sized s
            join comment_deliveries d on d.workspace_id = $1 and d.attempt_id = s.attempt_id
                 and d.comment_id = s.comment_id
            where s.place <= $3::bigint and (s.place = 1 or s.total <= $4::bigint)
            order by d.attempt_id, d.comment_id for no key update of d
        ), sent as (
            update comment_deliveries d
            set sent = d.sent + 1, seen_at = case when d.sent + 1 >= $5::smallint then $6::timestamptz end
            from mine m
            where d.workspace_id = $1 and d.attempt_id = m.attempt_id
              and d.comment_id = m.comment_id and d.seen_at is null
        )
        select s.attempt_id as "attempt_id!: AttemptId",
               m.comment_id is not null as "sent!",
               jsonb_build_object('comment_id', s.comment_id, 'task_id', s.task_id, 'kind', s.kind,
                   'answers', s.answers,
                   'to', case when s.to_agent is null and s.to_capability is null then null
                         else jsonb_strip_nulls(jsonb_build_object('agent_id', s.to_agent,
                              'capability', s.to_capability)) end,
                   'text', s.text, 'agent_id', s.agent_id, 'person', s.person,
                   'created_at', s.created_at) as "comment!: Json<ClaimedComment>"
        from sized s
        left join mine m on m.attempt_id = s.attempt_id and m.comment_id = s.comment_id
        order by s.attempt_id, s.comment_id
        "#,
        tx.workspace.0,
        &uuids(attempts),
        bounds.comments,
        bounds.bytes,
        bounds.times,
        tx.now,
    )
    .fetch_all(traced!(tx, "comments.deliveries.deliver"))
    .await?;
    let mut delivered: HashMap<AttemptId, Delivered> = HashMap::new();
    for row in rows {
        let of = delivered.entry(row.attempt_id).or_default();
        if row.sent {
            of.comments.push(row.comment.0);
        } else {
            of.more = true;
        }
    }
    Ok(delivered)
}

/// Most comments that [`spread`] looks at.
pub const SPREAD_AT_ONCE: i64 = 500;
/// Most deliveries that [`forget_ended`] forgets.
pub const FORGOTTEN_AT_ONCE: i64 = 5_000;

/// A bite of comments that are delivered to attempts which started while these were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Number of deliveries.
    pub deliveries: i64,
    /// The last comment, if there may be more after it.
    pub last: Option<CommentId>,
}

/// Has new comments on goals after `after`, up to [`SPREAD_AT_ONCE`], delivered also to attempts that started while
/// these were written, and forgets those that are older.
pub async fn spread(tx: &mut Tx, after: CommentId) -> sqlx::Result<Spread> {
    let row = sqlx::query!(
        r#"with fresh as materialized (
             select s.comment_id, s.goal_id, s.written_at, c.agent_id, c.to_agent, c.to_capability
             from comments_to_spread s
             join comments c on c.workspace_id = $1 and c.comment_id = s.comment_id
             where s.workspace_id = $1 and s.comment_id > $4
             order by s.comment_id limit $5
             for update of s skip locked
         ), old as (
             delete from comments_to_spread s using fresh f
             where s.workspace_id = $1 and s.comment_id = f.comment_id and f.written_at < $2
         ), delivered as (
             insert into comment_deliveries (workspace_id, attempt_id, comment_id, goal_id)
             select $1, a.attempt_id, f.comment_id, f.goal_id
             from fresh f
             join attempts a on a.workspace_id = $1 and a.state = 'running' and a.goal_id = f.goal_id
             left join agents g on g.workspace_id = $1 and g.agent_id = a.agent_id
             where a.started_at between f.written_at - make_interval(secs => $3)
                                    and f.written_at + make_interval(secs => $3)
               and (f.agent_id is null or a.agent_id is distinct from f.agent_id)
               and (f.to_agent is null or a.agent_id = f.to_agent)
               and (f.to_capability is null or f.to_capability = any(g.capabilities))
             order by a.attempt_id, f.comment_id
             on conflict do nothing
             returning attempt_id
         )
         select (select count(*) from delivered) as "deliveries!",
                case when count(*) >= $5 then max(comment_id::text)::uuid end as "last: CommentId"
         from fresh"#,
        tx.workspace.0,
        tx.now - settings::SPREAD_WITHIN,
        settings::SPREAD_WITHIN.as_secs_f64(),
        after.0,
        SPREAD_AT_ONCE,
    )
    .fetch_one(traced!(tx, "comments.deliveries.spread"))
    .await?;
    Ok(Spread { deliveries: row.deliveries, last: row.last })
}

/// Forgets up to [`FORGOTTEN_AT_ONCE`] deliveries to attempts that have ended; returns their number.
pub async fn forget_ended(tx: &mut Tx) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "delete from comment_deliveries d
         using (select d.attempt_id, d.comment_id from comment_deliveries d
                join attempts a on a.workspace_id = $1 and a.attempt_id = d.attempt_id
                where d.workspace_id = $1 and a.state <> 'running' limit $2) e
         where d.workspace_id = $1 and d.attempt_id = e.attempt_id and d.comment_id = e.comment_id",
        tx.workspace.0,
        FORGOTTEN_AT_ONCE,
    )
    .execute(traced!(tx, "comments.deliveries.forget_ended"))
    .await?;
    Ok(done.rows_affected())
}

/// What an agent wrote.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// Comments of agents on the goal and its tasks, counted up to a limit.
    pub of_goal: i64,
    /// Comments of the agent since a time, counted up to a limit.
    pub lately: i64,
}

/// What agents wrote about a goal, and the agent since `since`. Counts no further than the limits of both.
pub async fn written(
    tx: &mut Tx,
    goal: GoalId,
    agent: AgentId,
    since: DateTime<Utc>,
) -> sqlx::Result<Written> {
    sqlx::query_as!(
        Written,
        r#"select (select count(*) from (select from comments
                                         where workspace_id = $1 and goal_id = $2
                                           and agent_id is not null limit $5) c) as "of_goal!",
                  (select count(*) from (select created_at from comments
                                         where workspace_id = $1 and agent_id = $3
                                         order by comment_id desc limit $6) c
                   where c.created_at > $4) as "lately!""#,
        tx.workspace.0,
        goal.0,
        agent.0,
        since,
        settings::GOAL_COMMENTS,
        settings::AGENT_COMMENTS,
    )
    .fetch_one(traced!(tx, "comments.deliveries.written"))
    .await
}
