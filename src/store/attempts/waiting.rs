//! Waiting claims: the ready tasks for them, and whether they may keep waiting.

use crate::{
    domain::{
        ids::{AgentId, KeyId},
        task::claim::Keeping,
    },
    store::{Tx, traced},
};

/// Number of ready tasks with the same required capabilities and the same assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadySet {
    /// Capabilities the tasks require.
    pub capabilities: Vec<String>,
    /// Their assignment to, or exclusion of, an agent.
    pub keeping: Keeping,
    /// Their number, counted up to a limit.
    pub count: i64,
}

/// Counts ready tasks that are neither frozen nor behind a closed gate, by required capabilities and assignment, up to
/// `most` per set. Under a freeze of the whole workspace it examines no task. Sets whose rate is used up are left out.
///
/// Of tasks behind the same gates it counts no more than would get grants now, as sets of their own: all others that
/// were called for them would be called in vain, at each end of an attempt again. Sets behind different gates are counted
/// without regard to each other, and only the first of very many open tasks. It is never zero for tasks that may start:
/// a start makes a new look, and so does a call in vain.
pub async fn ready_sets(tx: &mut Tx, most: i64) -> sqlx::Result<Vec<ReadySet>> {
    let rows = sqlx::query!(
        r#"
        select s.capabilities as "capabilities!", null::uuid as "assigned: AgentId",
               null::uuid as "barred: AgentId", r.count as "count!",
               null::uuid[] as "may_not: Vec<AgentId>"
        from capability_sets s cross join lateral (
            select count(*) as count from (
                select from tasks t
                where t.workspace_id = $1 and t.state = 'ready' and t.capability_key = s.capability_key
                  and t.assigned_agent_id is null and t.barred_agent_id is null
                  and t.offered_capability is null and t.checks_attempt_id is null
                  and not t.gated
                  and (not (select exists (select from freezes f
                                           where f.workspace_id = $1 and f.lifted_at is null))
                       or not exists (select from freezes_over($1, t.task_id, null)))
                limit $2) t
        ) r
        where s.workspace_id = $1 and r.count > 0
          and not exists (select from rates u
                          where u.workspace_id = $1 and u.free_at > $3
                            and u.capability = any(s.capabilities))
          and (select not exists (select from freezes_over($1, null, null)))
        union all
        -- By gates: of those with the same, as many as get grants. The next look shows those behind the limit.
        select s.capabilities, null, null, least(b.count, b.room, $2), null
        from capability_sets s cross join lateral (
            select count(*) as count,
                   least((select min(k.most - (select count(*) from concurrency_grants g
                                               where g.workspace_id = $1
                                                 and g.concurrency_key_id = k.concurrency_key_id))
                          from concurrency_keys k
                          where k.workspace_id = $1 and k.concurrency_key_id = any(n.keys)),
                         case when exists (select from unnest(n.touches) u
                                           where starts_with(u, 'exclusive ')) then 1 end) as room
            from (
                select t.task_id, g.project_id
                from tasks t join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
                where t.workspace_id = $1 and t.state = 'ready' and t.gated
                  and t.capability_key = s.capability_key
                  and t.assigned_agent_id is null and t.barred_agent_id is null
                  and t.offered_capability is null and t.checks_attempt_id is null
                  and (not (select exists (select from freezes f
                                           where f.workspace_id = $1 and f.lifted_at is null))
                       or not exists (select from freezes_over($1, t.task_id, null)))
                  and not exists (select from gates_over($1, t.task_id, $3))
                limit 16 * $2) t
            cross join lateral (
                select array(select c.concurrency_key_id from task_concurrency_keys c
                             where c.workspace_id = $1 and c.task_id = t.task_id
                             order by c.concurrency_key_id) as keys,
                       array(select r.mode || ' ' || r.resource from task_touches r
                             where r.workspace_id = $1 and r.task_id = t.task_id
                             order by r.resource) as touches) n
            group by t.project_id, n.keys, n.touches) b
        where s.workspace_id = $1
          and not exists (select from rates u
                          where u.workspace_id = $1 and u.free_at > $3
                            and u.capability = any(s.capabilities))
          and (select not exists (select from freezes_over($1, null, null)))
        union all
        -- Few, and found by an index of their own.
        select case when t.offered_capability is null then s.capabilities
                    else s.capabilities || t.offered_capability end as needed,
               t.assigned_agent_id, t.barred_agent_id, count(*), null
        from tasks t
        join capability_sets s on s.workspace_id = $1 and s.capability_key = t.capability_key
        where t.workspace_id = $1 and t.state = 'ready'
          and (t.assigned_agent_id is not null or t.barred_agent_id is not null
               or t.offered_capability is not null)
          and t.checks_attempt_id is null
          and not exists (select from freezes_over($1, t.task_id, t.assigned_agent_id))
          and (not t.gated or not exists (select from gates_over($1, t.task_id, $3)))
          and not exists (select from rates u
                          where u.workspace_id = $1 and u.free_at > $3
                            and u.capability = any(s.capabilities))
        group by needed, t.assigned_agent_id, t.barred_agent_id
        union all
        -- Few as well, each with an author of its own.
        select case when t.offered_capability is null then s.capabilities
                    else s.capabilities || t.offered_capability end,
               t.assigned_agent_id, t.barred_agent_id, 1,
               array(select barred_from_check($1, t.task_id))
        from (select * from tasks
              where workspace_id = $1 and state = 'ready' and checks_attempt_id is not null
              order by task_id limit $2) t
        join capability_sets s on s.workspace_id = $1 and s.capability_key = t.capability_key
        where not exists (select from freezes_over($1, t.task_id, t.assigned_agent_id))
          and (not t.gated or not exists (select from gates_over($1, t.task_id, $3)))
          and not exists (select from rates u
                          where u.workspace_id = $1 and u.free_at > $3
                            and u.capability = any(s.capabilities))
        "#,
        tx.workspace.0,
        most,
        tx.now,
    )
    .fetch_all(traced!(tx, "attempts.waiting.ready_sets"))
    .await?;
    let sets = rows.into_iter().map(|row| ReadySet {
        capabilities: row.capabilities,
        keeping: Keeping::of(row.assigned, row.barred).except(row.may_not.unwrap_or_default()),
        count: row.count,
    });
    Ok(sets.collect())
}

/// Whether a waiting claim may keep waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Key valid, agent active and not archived, request unanswered.
    Waits,
    /// One of these no longer holds; the claim must look again.
    Calls,
}

/// States of claims, each given by key, agent and `Idempotency-Key`; in order.
pub async fn standing(
    tx: &mut Tx,
    asked: &[(KeyId, AgentId, Option<&str>)],
) -> sqlx::Result<Vec<Standing>> {
    let repeats: Vec<Option<&str>> = asked.iter().map(|(_, _, repeat)| *repeat).collect();
    let waits = sqlx::query_scalar!(
        r#"
        select exists (
            select from keys k
            join agents a on a.workspace_id = $1 and a.agent_id = k.agent_id
            where k.workspace_id = $1 and k.key_id = asked.key_id and k.agent_id = asked.agent_id
              and k.revoked_at is null and (k.expires_at is null or k.expires_at > $2)
              and a.state = 'active' and not a.archived
        ) and not exists (
            select from replays r
            where r.workspace_id = $1 and r.key_id = asked.key_id and r.idempotency_key = asked.repeat
        ) as "waits!"
        from unnest($3::uuid[], $4::uuid[], $5::text[])
             with ordinality as asked (key_id, agent_id, repeat, place)
        order by asked.place
        "#,
        tx.workspace.0,
        tx.now,
        &asked.iter().map(|(key, _, _)| key.0).collect::<Vec<_>>(),
        &asked.iter().map(|(_, agent, _)| agent.0).collect::<Vec<_>>(),
        &repeats as &[Option<&str>],
    )
    .fetch_all(traced!(tx, "attempts.waiting.standing"))
    .await?;
    let standing = |waits| if waits { Standing::Waits } else { Standing::Calls };
    Ok(waits.into_iter().map(standing).collect())
}
