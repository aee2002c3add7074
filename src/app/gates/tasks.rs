//! The gates of new tasks, and of tasks that come back.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::json;

use crate::{
    app::{Error, Result, Unit},
    domain::{
        check::Checks,
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
    let wanted =
        all().flat_map(|(task, spec)| spec.concurrency_keys.iter().map(move |name| (task, name)));
    let keys = keys_of(unit, goal, &wanted.collect::<Vec<_>>()).await?;
    let touches: Vec<(TaskId, &Touch)> = all()
        .flat_map(|(task, spec)| spec.touches.iter().map(move |touch| (task, touch)))
        .collect();
    if keys.is_empty() && touches.is_empty() {
        return Ok(());
    }
    Ok(store::gates::insert(unit.tx(), &keys, &touches).await?)
}

/// Has tasks of a goal that come back name their keys anew, which may have been deleted since they ended.
///
/// # Errors
/// `workspace_full` if there are too many concurrency keys.
pub(in crate::app) async fn name_again(
    unit: &mut Unit,
    goal: GoalId,
    tasks: &[TaskId],
) -> Result<()> {
    let names = store::gates::keys::take_names(unit.tx(), tasks).await?;
    if names.is_empty() {
        return Ok(());
    }
    let wanted: Vec<(TaskId, &String)> = names.iter().map(|(task, name)| (*task, name)).collect();
    let keys = keys_of(unit, goal, &wanted).await?;
    Ok(store::gates::insert(unit.tx(), &keys, &[]).await?)
}

/// Checks that tasks which an agent adds name few new concurrency keys. `at`: JSON Pointer of the list.
///
/// # Errors
/// `invalid`, with every place.
pub(in crate::app) async fn few_new_keys(
    unit: &mut Unit,
    goal: GoalId,
    specs: &[TaskSpec],
    at: &str,
) -> Result<()> {
    let names: BTreeSet<&String> = specs.iter().flat_map(|spec| &spec.concurrency_keys).collect();
    if names.len() <= settings::AGENT_NEW_KEYS {
        return Ok(());
    }
    let names: Vec<String> = names.into_iter().cloned().collect();
    let known = store::gates::keys::named(unit.tx(), goal, &names).await?;
    let mut known: HashSet<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
    let mut checks = Checks::new();
    let mut new = 0;
    for (index, spec) in specs.iter().enumerate() {
        for (place, name) in spec.concurrency_keys.iter().enumerate() {
            if !known.insert(name) {
                continue;
            }
            new += 1;
            let detail = format!(
                "is a new concurrency key, of which an agent names at most {} in one request; name those that there \
                 are, or ask an operator to create it",
                settings::AGENT_NEW_KEYS
            );
            let at = format!("{at}/{index}/concurrency_keys/{place}");
            checks.ensure(new <= settings::AGENT_NEW_KEYS, &at, detail.as_str());
        }
    }
    Ok(checks.finish()?)
}

/// The concurrency keys that tasks of a goal mean by names, created where they do not exist.
async fn keys_of(
    unit: &mut Unit,
    goal: GoalId,
    wanted: &[(TaskId, &String)],
) -> Result<Vec<(TaskId, ConcurrencyKeyId)>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let names: BTreeSet<String> = wanted.iter().map(|(_, name)| (*name).clone()).collect();
    let known = named(unit, goal, &Vec::from_iter(names)).await?;
    // An operator may have deleted a key since this unit found its name taken: without it the task would run unbounded.
    let key = |(task, name): &(TaskId, &String)| {
        known.get(*name).map(|key| (*task, *key)).ok_or(Error::Again)
    };
    wanted.iter().map(key).collect()
}

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
    let new: Vec<(ConcurrencyKeyId, &str)> =
        new.into_iter().map(|name| (unit.id(), name.as_str())).collect();
    for (id, name) in store::gates::keys::insert_for_tasks(unit.tx(), &new).await? {
        let data = json!({"concurrency_key_id": id, "name": name, "most": 1});
        unit.record(NewRow::new(Kind::ConcurrencyKeyCreated).data(data));
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
