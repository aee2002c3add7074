//! Routing in the transaction of a claim.

use std::{collections::HashMap, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    app::{Result, Unit},
    domain::{
        ids::{AgentId, AttemptId, TaskId},
        routing::{
            assign::{Choice, Considered, Deferred, Router},
            deferral::Rival,
            policy::Policy,
        },
    },
    store::{
        self, Tx,
        routing::{assignments::NewAssignment, rivals::RivalRow},
    },
};

/// Most agents that are stored with an assignment.
const STORED: usize = 5;

/// The agents that a task may be left for, with the work that they do now.
pub(in crate::app) async fn rivals(
    tx: &mut Tx,
    router: &Router<'_>,
    agents: &[AgentId],
    required: &[String],
) -> Result<Vec<Rival>> {
    if agents.is_empty() {
        return Ok(Vec::new());
    }
    let now = router.now;
    let online = store::routing::rivals::online(tx, agents).await?;
    let rivals = online.into_iter().map(|row| {
        let RivalRow { agent_id, capabilities, max_concurrent, running } = row;
        let free =
            usize::try_from(max_concurrent).unwrap_or_default().saturating_sub(running.len());
        let belief = router.beliefs.least_known(required, agent_id);
        let usual = belief.and_then(|belief| belief.duration_ms);
        Rival::new(agent_id, capabilities, free, &running, usual, now)
    });
    Ok(rivals.collect())
}

/// Stores why tasks were given to agents.
pub(in crate::app) async fn record(
    unit: &mut Unit,
    policy: Policy,
    choices: Vec<Choice>,
    attempts: &HashMap<TaskId, AttemptId>,
) -> Result<()> {
    let rows: Vec<NewAssignment> = choices
        .into_iter()
        .filter_map(|choice| {
            let attempt_id = *attempts.get(&choice.task)?;
            Some(NewAssignment {
                attempt_id,
                task_id: choice.task,
                agent_id: choice.agent,
                waited_ms: choice.waited.num_milliseconds(),
                control: choice.control,
                reason: choice.reason,
                candidates: compact(&choice.considered),
            })
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    for row in &rows {
        metrics::counter!("muster_assignments_total", "reason" => row.reason.as_str()).increment(1);
    }
    Ok(store::routing::assignments::insert(unit.tx(), policy, &rows).await?)
}

fn compact(considered: &[Considered]) -> Option<Value> {
    if considered.is_empty() {
        return None;
    }
    let one = |one: &Considered| {
        let Considered { agent, score, success, usd_micros, duration_ms, load, affinity } = one;
        let short = |number: f64| (number * 1_000.0).round() / 1_000.0;
        let mut map = Map::new();
        map.insert("a".into(), json!(agent));
        map.insert("s".into(), json!(short(*score)));
        map.insert("p".into(), json!(short(*success)));
        let whole = |number: &f64| number.round().clamp(0.0, 1e15) as i64;
        if let Some(cost) = usd_micros {
            map.insert("c".into(), json!(whole(cost)));
        }
        if let Some(duration) = duration_ms {
            map.insert("d".into(), json!(whole(duration)));
        }
        if let Some(load) = load {
            map.insert("l".into(), json!(short(*load)));
        }
        if *affinity > 0.0 {
            map.insert("f".into(), json!(short(*affinity)));
        }
        Value::Object(map)
    };
    Some(considered.iter().take(STORED).map(one).collect())
}

/// Time until the first of the deferrals ends.
pub(in crate::app) fn first_end(
    deferred: &[Deferred],
    now: chrono::DateTime<chrono::Utc>,
) -> Option<Duration> {
    let first = deferred.iter().map(|deferred| deferred.until).min()?;
    Some((first - now).to_std().unwrap_or_default())
}
