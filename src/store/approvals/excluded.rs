//! People excluded from a decision: requester, poster, makers of their keys, beneficiaries,
//! registrants, owners and authors.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::NewApproval;
use crate::{
    domain::{
        access::person::Person,
        approval::excluded::{Excluded, ExclusionReason},
        ids::{ApprovalId, KeyId},
    },
    store::{Tx, traced},
};

/// The people excluded from decisions on approvals about to be created, as of now.
pub async fn excluded(
    tx: &mut Tx,
    asked: &[NewApproval],
) -> sqlx::Result<BTreeMap<ApprovalId, BTreeSet<Excluded>>> {
    macro_rules! column {
        ($of:expr) => {
            &asked.iter().map($of).collect::<Vec<_>>()
        };
    }
    let rows = sqlx::query!(
        r#"
        with asked as materialized (
            select * from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[])
                     as q (approval_id, goal_id, task_id, asked_by, plan_id)
        ), found as (
            select q.approval_id, 'requester' as because, q.asked_by as key_id, null::text as owner
            from asked q
            where q.asked_by is not null
            union all
            select q.approval_id, 'poster', g.created_by, null
            from asked q
            join goals g on g.workspace_id = $1 and g.goal_id = q.goal_id
            union all
            -- The poster of a goal wrote its plan, directly or in the brief.
            select q.approval_id, 'author', g.created_by, null
            from asked q
            join goals g on g.workspace_id = $1 and g.goal_id = q.goal_id
            where q.plan_id is not null
            union all
            -- The maker of the key that asked or posted could have used it.
            select q.approval_id, 'key_maker', k.created_by, null
            from asked q
            join goals g on g.workspace_id = $1 and g.goal_id = q.goal_id
            join keys k on k.workspace_id = $1 and k.key_id in (q.asked_by, g.created_by)
            where k.created_by is not null
            union all
            select q.approval_id, 'on_behalf_of', null, unnest(g.on_behalf_of)
            from asked q
            join goals g on g.workspace_id = $1 and g.goal_id = q.goal_id
            union all
            -- Agents that worked on the task, or on the one whose attempt added it: their
            -- registrants, and their owners since they began.
            select q.approval_id, 'registrant', a.registered_by, null
            from asked q
            join tasks t on t.workspace_id = $1 and t.task_id = q.task_id
            join attempts m on m.workspace_id = $1 and m.task_id in (t.task_id, t.parent_id)
            join agents a on a.workspace_id = $1 and a.agent_id = m.agent_id
            where a.registered_by is not null
            union all
            select q.approval_id, 'owner', null, o.owner
            from asked q
            join tasks t on t.workspace_id = $1 and t.task_id = q.task_id
            join attempts m on m.workspace_id = $1 and m.task_id in (t.task_id, t.parent_id)
            join agent_owners o on o.workspace_id = $1 and o.agent_id = m.agent_id
            where o.owned_until is null or o.owned_until >= m.started_at
            union all
            -- A person who took the task over did the work with their own hands.
            select q.approval_id, 'author', m.held_by_key, null
            from asked q
            join tasks t on t.workspace_id = $1 and t.task_id = q.task_id
            join attempts m on m.workspace_id = $1 and m.task_id in (t.task_id, t.parent_id)
            where m.held_by_key is not null
        )
        -- A key stands for its person, or for the key from which it comes. The key of an agent stands
        -- for nobody: its registrant and owners are rows of their own.
        select f.approval_id as "approval_id!: ApprovalId", f.because as "because!: ExclusionReason",
               f.key_id as "key_id: KeyId",
               coalesce(f.owner, k.origin_person) as "person: Person",
               case when k.origin_person is null then coalesce(k.origin, k.key_id) end
               as "origin: KeyId"
        from found f
        left join keys k on k.workspace_id = $1 and k.key_id = f.key_id and k.role <> 'agent'
        "#,
        tx.workspace.0,
        column!(|q| q.approval_id.0),
        column!(|q| q.goal_id.0),
        column!(|q| q.task_id.map(|id| id.0)) as &[Option<Uuid>],
        column!(|q| q.asked_by.map(|id| id.0)) as &[Option<Uuid>],
        column!(|q| q.plan_id.map(|id| id.0)) as &[Option<Uuid>],
    )
    .fetch_all(traced!(tx, "approvals.excluded.excluded"))
    .await?;
    let mut found: BTreeMap<ApprovalId, BTreeSet<Excluded>> = BTreeMap::new();
    for row in rows {
        let one = Excluded {
            because: row.because,
            key_id: row.key_id,
            person: row.person,
            origin: row.origin,
        };
        found.entry(row.approval_id).or_default().insert(one);
    }
    Ok(found)
}
