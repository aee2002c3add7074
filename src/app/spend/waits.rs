//! Waits for prices: parking tasks that used a model without a price, and offering them again.
//!
//! A wait begins with the spend ([`super::pricing`]). From then on no agent is offered the task, its
//! attempt is told to stop, and its next end parks the task ([`cascade`]). A result that arrives first
//! counts as usual, and only the spend waits. The wait is over when a price holds at this moment, or when the budget no longer
//! refuses. In the same transaction the task is offered again and what it used is rated. The supervisor
//! looks for both, so a price that begins in the future ends the wait at its time.
//!
//! Ending waits in the transaction of the new price was rejected: one import may concern thousands of
//! goals.

use std::collections::{BTreeSet, HashMap};

use super::{pricing, rerate};
use crate::{
    app::{
        Result, Unit,
        tasks::{cascade, change::Change},
        unit::locks::locked,
    },
    domain::{
        ids::{AttemptId, TaskId},
        price::{self, Lack, PriceWait, wait},
        states::TaskState,
        task::{Next, TaskFacts},
    },
    store::{self, Tx, spend::waits::Waiting},
};

/// Those of the waits that are over.
pub(in crate::app) async fn over(tx: &mut Tx, waits: &[Waiting]) -> Result<Vec<Waiting>> {
    let names: BTreeSet<String> = waits.iter().flat_map(|wait| price::names(&wait.model)).collect();
    let book = pricing::book(tx, &Vec::from_iter(names)).await?;
    let attempts: Vec<AttemptId> = waits.iter().map(|wait| wait.attempt_id).collect();
    let refusing = pricing::refusing(tx, &attempts).await?;
    let now = tx.now;
    let is_over = |wait: &&Waiting| {
        let price = pricing::find_named(&book, wait.provider.as_deref(), &wait.model, now);
        price.is_some() || !refusing.contains(&wait.attempt_id)
    };
    Ok(waits.iter().filter(is_over).cloned().collect())
}

/// Ends waits of one goal that are over, offers open tasks that wait for nothing else, and rates what all
/// used. Returns the number of tasks offered. The caller holds the lock of the goal.
pub(in crate::app) async fn end(unit: &mut Unit, over: &[Waiting]) -> Result<u64> {
    let tasks: BTreeSet<TaskId> = over.iter().map(|wait| wait.task_id).collect();
    let tasks = Vec::from_iter(tasks);
    let facts = store::tasks::lock(unit.tx(), &tasks).await?;
    // Spend is stored under these locks: what comes later finds the price.
    let attempts = store::spend::waits::attempts(unit.tx(), &tasks).await?;
    let held = locked(unit, &attempts).await?;
    store::spend::waits::forget(unit.tx(), over).await?;
    let freed = store::spend::waits::freed(unit.tx(), &tasks).await?;
    let now = unit.now();
    let offered = facts.into_iter().filter(|task| freed.contains(&task.task_id));
    let offered: Vec<Change> =
        offered.map(|task| Change::of_task(task, Next::Retry(now), None)).collect();
    let count = offered.len() as u64;
    cascade::apply(unit, offered).await?;
    let models: BTreeSet<&str> = over.iter().map(|wait| wait.model.as_str()).collect();
    rerate::rate(unit, &held, &models).await?;
    Ok(count)
}

/// Parks ready tasks of one goal that wait for a price: their spend came with or after the end of
/// their attempt. The caller holds the lock of the goal.
pub(in crate::app) async fn park(unit: &mut Unit, tasks: &[TaskId]) -> Result<u64> {
    let facts = store::tasks::lock(unit.tx(), tasks).await?;
    let waiting = store::spend::waits::of_tasks(unit.tx(), tasks).await?;
    let waits = |task: &TaskFacts| waiting.contains_key(&task.task_id);
    let ready = facts.into_iter().filter(|task| task.state == TaskState::Ready && waits(task));
    // Offering a task that waits for a price parks it.
    let offered = ready.map(|task| {
        let at = task.ready_from;
        Change::of_task(task, Next::Retry(at), None)
    });
    let offered: Vec<Change> = offered.collect();
    let count = offered.len() as u64;
    cascade::apply(unit, offered).await?;
    Ok(count)
}

/// Why `models` (provider and name) have no price, in their order.
pub(in crate::app) async fn lacks(
    tx: &mut Tx,
    models: Vec<(Option<String>, String)>,
) -> Result<Vec<Lack>> {
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let names: BTreeSet<String> =
        models.iter().flat_map(|(_, model)| price::names(model)).collect();
    let book = pricing::book(tx, &Vec::from_iter(names)).await?;
    let now = tx.now;
    let lack = |(provider, model): (Option<String>, String)| {
        let disagreeing = pricing::disagreeing(&book, provider.as_deref(), &model, now);
        Lack { provider, model, disagreeing }
    };
    Ok(models.into_iter().map(lack).collect())
}

/// Why tasks wait for prices, by task, for the holders of their attempts.
pub(in crate::app) async fn reasons(
    tx: &mut Tx,
    tasks: &[TaskId],
) -> Result<HashMap<TaskId, String>> {
    if tasks.is_empty() {
        return Ok(HashMap::new());
    }
    let waiting = store::spend::waits::of_tasks(tx, tasks).await?;
    let waiting: Vec<(TaskId, PriceWait)> = waiting
        .into_iter()
        .flat_map(|(task, waits)| waits.into_iter().map(move |wait| (task, wait)))
        .collect();
    let models: Vec<(Option<String>, String)> =
        waiting.iter().map(|(_, wait)| (wait.provider.clone(), wait.model.clone())).collect();
    let lacks = lacks(tx, models).await?;
    let mut of_task: HashMap<TaskId, Vec<Lack>> = HashMap::new();
    for ((task, _), lack) in waiting.into_iter().zip(lacks) {
        of_task.entry(task).or_default().push(lack);
    }
    Ok(of_task.into_iter().map(|(task, lacks)| (task, wait::reason(&lacks))).collect())
}
