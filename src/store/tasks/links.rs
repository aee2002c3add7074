//! Criteria and dependencies of tasks.

use std::collections::HashMap;

use serde_json::{Value, json};
use sqlx::types::Json;

use crate::{
    domain::{
        criterion::{CriterionSpec, CriterionType, EvidenceTier, Terms},
        ids::TaskId,
    },
    store::{Tx, columns::uuids, traced},
};

/// A criterion to be stored.
#[derive(Debug, Clone)]
pub struct NewCriterion {
    /// Its task.
    pub task_id: TaskId,
    /// Ordinal within the task, from 1.
    pub number: i16,
    /// The condition the result must meet.
    pub text: String,
    /// Whether it needs evidence.
    pub required: bool,
    /// Whether it is satisfied already, and needs none.
    pub satisfied: bool,
    /// How it is satisfied.
    pub r#type: CriterionType,
    /// What belongs to the type.
    pub terms: Terms,
    /// The least tier of the evidence that satisfies it.
    pub min_tier: EvidenceTier,
}

/// What belongs to the type of a criterion, as its column has it; `None` for nothing.
pub(in crate::store) fn terms_column(terms: &Terms) -> Option<Value> {
    (*terms != Terms::default()).then(|| json!(terms))
}

/// A criterion as it is stored.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct StoredCriterion {
    pub text: String,
    pub required: bool,
    pub satisfied: bool,
    pub r#type: CriterionType,
    pub terms: Option<Json<Terms>>,
    pub min_tier: EvidenceTier,
}

impl From<StoredCriterion> for CriterionSpec {
    fn from(stored: StoredCriterion) -> Self {
        let StoredCriterion { text, required, satisfied, r#type, terms, min_tier } = stored;
        let terms = terms.map(|Json(terms)| terms).unwrap_or_default();
        let min_tier = Self::beyond(min_tier, r#type);
        Self { text, required, satisfied, r#type, terms, min_tier }
    }
}

/// Stores criteria.
pub async fn insert_criteria(tx: &mut Tx, criteria: &[NewCriterion]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into criteria (workspace_id, task_id, number, text, required, satisfied, type, terms,
                               min_tier)
         select $1, *
         from unnest($2::uuid[], $3::smallint[], $4::text[], $5::bool[], $6::bool[], $7::text[],
                     $8::jsonb[], $9::text[])",
        tx.workspace.0,
        &criteria.iter().map(|c| c.task_id.0).collect::<Vec<_>>(),
        &criteria.iter().map(|c| c.number).collect::<Vec<_>>(),
        &criteria.iter().map(|c| c.text.clone()).collect::<Vec<_>>(),
        &criteria.iter().map(|c| c.required).collect::<Vec<_>>(),
        &criteria.iter().map(|c| c.satisfied).collect::<Vec<_>>(),
        &criteria.iter().map(|c| c.r#type.as_str().to_owned()).collect::<Vec<_>>(),
        &criteria.iter().map(|c| terms_column(&c.terms)).collect::<Vec<_>>() as &[Option<Value>],
        &criteria.iter().map(|c| c.min_tier.as_str().to_owned()).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.links.insert_criteria"))
    .await?;
    Ok(())
}

/// Stores dependencies: (task, its dependency, whether that is done already).
pub async fn insert_dependencies(
    tx: &mut Tx,
    edges: &[(TaskId, TaskId, bool)],
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into dependencies (workspace_id, task_id, needs_task_id, satisfied_at)
         select $1, task_id, needs_task_id, case when done then $2::timestamptz end
         from unnest($3::uuid[], $4::uuid[], $5::bool[]) as d (task_id, needs_task_id, done)",
        tx.workspace.0,
        tx.now,
        &edges.iter().map(|(task, _, _)| task.0).collect::<Vec<_>>(),
        &edges.iter().map(|(_, needs, _)| needs.0).collect::<Vec<_>>(),
        &edges.iter().map(|(_, _, done)| *done).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.links.insert_dependencies"))
    .await?;
    Ok(())
}

/// Stores dependencies as [`insert_dependencies`] does; leaves those that exist.
pub async fn add_dependencies(tx: &mut Tx, edges: &[(TaskId, TaskId, bool)]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into dependencies (workspace_id, task_id, needs_task_id, satisfied_at)
         select $1, task_id, needs_task_id, case when done then $2::timestamptz end
         from unnest($3::uuid[], $4::uuid[], $5::bool[]) as d (task_id, needs_task_id, done)
         on conflict do nothing",
        tx.workspace.0,
        tx.now,
        &edges.iter().map(|(task, _, _)| task.0).collect::<Vec<_>>(),
        &edges.iter().map(|(_, needs, _)| needs.0).collect::<Vec<_>>(),
        &edges.iter().map(|(_, _, done)| *done).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.links.add_dependencies"))
    .await?;
    Ok(())
}

/// The texts of tasks, as payload of the approval of their start.
pub async fn shown(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<HashMap<TaskId, Value>> {
    let rows = sqlx::query!(
        r#"select t.task_id as "task_id: TaskId", jsonb_build_object(
               'ref', t.ref, 'title', x.title, 'description', x.description, 'input', x.input,
               'estimate', x.estimate, 'risk', x.risk,
               'capabilities', (select to_jsonb(s.capabilities) from capability_sets s
                                where s.workspace_id = $1 and s.capability_key = t.capability_key),
               'criteria', coalesce((
                   select jsonb_agg(jsonb_build_object('number', c.number, 'text', c.text,
                                                       'required', c.required, 'satisfied', c.satisfied)
                                    || case when c.type = 'text' then '{}'
                                       else jsonb_build_object('type', c.type) end
                                    || coalesce(c.terms, '{}') order by c.number)
                   from criteria c where c.workspace_id = $1 and c.task_id = t.task_id), '[]'))
               as "shown!"
           from tasks t join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
           where t.workspace_id = $1 and t.task_id = any($2)"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "tasks.links.shown"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.shown)).collect())
}
