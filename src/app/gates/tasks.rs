//! The gates of new tasks.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use crate::{
    app::{Result, Unit},
    domain::{
        gate::resource::Touch,
        ids::{ConcurrencyKeyId, GoalId, TaskId},
        journal::{Kind, NewRow},
        plan::TaskSpec,
        refusal::{Code, Refusal},
        settings,
    },
    store,
};

/// Stores the concurrency keys and resources of new tasks of a goal. A key that does not exist is created for the
/// workspace with one grant: what a merge queue needs, and never too many at once.
///
/// # Errors
/// `workspace_full` if there are too many concurrency keys.
pub(in crate::app) async fn store_gates(
    unit: &mut Unit,
    goal: GoalId,
    made: &[TaskId],
    specs: &[TaskSpec],
) -> Result<()> {
    let all = || made.iter().copied().zip(specs);
    let names: BTreeSet<String> =
        all().flat_map(|(_, spec)| spec.concurrency_keys.iter().cloned()).collect();
    let known = if names.is_empty() {
        HashMap::new()
    } else {
        named(unit, goal, &Vec::from_iter(names)).await?
    };
    let key = |task: TaskId, name: &String| Some((task, *known.get(name)?));
    let keys: Vec<(TaskId, ConcurrencyKeyId)> = all()
        .flat_map(|(task, spec)| {
            let keys = spec.concurrency_keys.iter().filter_map(|name| key(task, name));
            keys.collect::<Vec<_>>()
        })
        .collect();
    let touches: Vec<(TaskId, &Touch)> = all()
        .flat_map(|(task, spec)| spec.touches.iter().map(move |touch| (task, touch)))
        .collect();
    if keys.is_empty() && touches.is_empty() {
        return Ok(());
    }
    Ok(store::gates::insert(unit.tx(), &keys, &touches).await?)
}

/// The concurrency keys that tasks of a goal mean, created where they do not exist.
async fn named(
    unit: &mut Unit,
    goal: GoalId,
    names: &[String],
) -> Result<HashMap<String, ConcurrencyKeyId>> {
    let known: HashMap<String, ConcurrencyKeyId> =
        store::gates::keys::named(unit.tx(), goal, names).await?.into_iter().collect();
    let new: Vec<&String> = names.iter().filter(|name| !known.contains_key(*name)).collect();
    if new.is_empty() {
        return Ok(known);
    }
    let count = store::gates::keys::count(unit.tx()).await?;
    if count + new.len() as i64 > settings::CONCURRENCY_KEYS {
        return Err(full(count).into());
    }
    for name in new {
        let id: ConcurrencyKeyId = unit.id();
        if store::gates::keys::insert(unit.tx(), id, None, name, 1).await? {
            let data = json!({"concurrency_key_id": id, "name": name, "most": 1});
            unit.record(NewRow::new(Kind::ConcurrencyKeyCreated).data(data));
        }
    }
    // Again: somebody else may have created one at the same time.
    Ok(store::gates::keys::named(unit.tx(), goal, names).await?.into_iter().collect())
}

/// The refusal of more concurrency keys.
pub(super) fn full(count: i64) -> Refusal {
    let detail = format!(
        "the workspace has {count} concurrency keys and may have {}; delete some with \
         DELETE /v1/concurrency-keys/{{concurrency_key_id}}, or name those that exist",
        settings::CONCURRENCY_KEYS
    );
    Refusal::new(Code::WorkspaceFull, detail)
}
