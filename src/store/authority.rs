//! As whom keys count: holders, posters, and everybody who could decide.

use super::{Tx, traced};
use crate::domain::{
    access::{
        origin::Origin,
        person::Person,
        role::Role,
        scope::{Access, Scope},
    },
    approval::excluded::Decider,
    ids::{GoalId, KeyId, ProjectId},
};

/// A key as a decider, with its role.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The key, its person, and as whom it counts.
    pub decider: Decider,
    /// Its role.
    pub role: Role,
    /// What it may do below its role.
    pub scope: Scope,
}

/// Of `holders`, those who may decide about something of `project`.
#[must_use]
pub fn within(holders: &[Holder], project: Option<ProjectId>) -> Vec<Decider> {
    let seeing = holders.iter().filter(|holder| holder.scope.sees(project));
    seeing.map(|holder| holder.decider.clone()).collect()
}

struct HolderRow {
    key_id: KeyId,
    person: Option<Person>,
    origin: KeyId,
    origin_person: Option<Person>,
    role: Role,
    scope_access: Access,
    scope_projects: Option<Vec<ProjectId>>,
}

impl From<HolderRow> for Holder {
    fn from(row: HolderRow) -> Self {
        let HolderRow { key_id, person, origin, origin_person, role, scope_access, scope_projects } =
            row;
        let origin = Origin { key: Some(origin), person: origin_person };
        let decider = Decider { key: Some(key_id), person, origin, link: None };
        let scope = Scope { access: scope_access, projects: scope_projects };
        Self { decider, role, scope }
    }
}

/// One key, valid or not.
pub async fn holder(tx: &mut Tx, key: KeyId) -> sqlx::Result<Option<Holder>> {
    let row = sqlx::query_as!(
        HolderRow,
        r#"
        select key_id as "key_id: KeyId", person as "person: Person",
               coalesce(origin, key_id) as "origin!: KeyId",
               origin_person as "origin_person: Person", role as "role: Role",
               scope_access as "scope_access: Access",
               scope_projects as "scope_projects: Vec<ProjectId>"
        from keys
        where workspace_id = $1 and key_id = $2
        "#,
        tx.workspace.0,
        key.0,
    )
    .fetch_optional(traced!(tx, "authority.holder"))
    .await?;
    Ok(row.map(Holder::from))
}

/// The key that posted a goal.
pub async fn poster(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<Holder>> {
    let row = sqlx::query_as!(
        HolderRow,
        r#"
        select k.key_id as "key_id: KeyId", k.person as "person: Person",
               coalesce(k.origin, k.key_id) as "origin!: KeyId",
               k.origin_person as "origin_person: Person", k.role as "role: Role",
               k.scope_access as "scope_access: Access",
               k.scope_projects as "scope_projects: Vec<ProjectId>"
        from goals g
        join keys k on k.workspace_id = $1 and k.key_id = g.created_by
        where g.workspace_id = $1 and g.goal_id = $2
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "authority.poster"))
    .await?;
    Ok(row.map(Holder::from))
}

/// Every valid key of an operator or admin that may decide, in id order. Keys with projects decide only
/// within those: see [`within`].
pub async fn deciders(tx: &mut Tx) -> sqlx::Result<Vec<Holder>> {
    let rows = sqlx::query_as!(
        HolderRow,
        r#"
        select key_id as "key_id: KeyId", person as "person: Person",
               coalesce(origin, key_id) as "origin!: KeyId",
               origin_person as "origin_person: Person", role as "role: Role",
               scope_access as "scope_access: Access",
               scope_projects as "scope_projects: Vec<ProjectId>"
        from keys k
        where workspace_id = $1 and role in ('admin', 'operator') and revoked_at is null
          and (expires_at is null or expires_at > $2)
          and scope_access = 'all'
          and not exists (select from keys m
              where m.workspace_id = $1 and m.key_id = any(k.dies_with)
                and (m.revoked_at is not null or m.expires_at <= $2))
        order by key_id
        "#,
        tx.workspace.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "authority.deciders"))
    .await?;
    Ok(rows.into_iter().map(Holder::from).collect())
}
