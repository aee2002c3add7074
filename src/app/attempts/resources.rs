//! Resources that a running attempt takes or gives up beside those of its task.
//!
//! One request is all or nothing: first it gives up, then it takes. Taking what the attempt holds, in the same mode, and
//! giving up what it does not hold change nothing, so the same request can be sent again. A resource of the task can be given up
//! early; the next attempt takes it again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::park::{Parking, hold};
use crate::{
    app::{
        App, Result, Unit,
        caller::{Caller as _, HolderCaller},
        gates,
    },
    domain::{
        check::Checks,
        freeze::Act,
        gate::{
            ledger::{Ledger, Needs},
            resource::{Touch, check_touches},
        },
        ids::{AttemptId, TaskId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
    },
    store,
};

/// Resources to take and to give up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourcesRequest {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// Resources to take, at most 64: all of them, or none. One that the attempt holds gets the mode.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub take: Vec<Touch>,
    /// Resources to give up, at most 128, spelt as they were taken. Those that it does not hold are ignored.
    #[serde(default)]
    #[schema(example = json!(["src/api/**"]), max_items = 128)]
    pub release: Vec<String>,
}

impl ResourcesRequest {
    fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        check_touches(&mut checks, "/take", &self.take);
        checks.count("/release", self.release.len(), settings::ATTEMPT_RESOURCES);
        let released: BTreeSet<&str> = self.release.iter().map(String::as_str).collect();
        for (index, resource) in self.release.iter().enumerate().take(settings::ATTEMPT_RESOURCES) {
            checks.chars(&format!("/release/{index}"), resource, settings::RESOURCE_CHARS);
        }
        for (index, touch) in self.take.iter().enumerate() {
            let both = released.contains(touch.resource.as_str());
            let at = format!("/take/{index}/resource");
            checks.ensure(!both, &at, "is in `release` too");
        }
        let nothing = self.take.is_empty() && self.release.is_empty();
        checks.ensure(!nothing, "", "must take or release something");
        Ok(checks.finish()?)
    }
}

/// What the attempt holds after the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ResourcesAnswer {
    /// Id of the attempt, which goes on.
    pub attempt_id: AttemptId,
    /// Id of its task.
    pub task_id: TaskId,
    /// Every resource that it holds now, by name.
    pub resources: Vec<Touch>,
}

impl App {
    /// Takes and gives up resources of a running attempt.
    ///
    /// # Errors
    /// `lease_lost`, `frozen`, `goal_ended`, `task_ended`, `not_found`, `not_your_attempt`, `invalid`;
    /// `resource_held` if another attempt holds a conflicting resource; `workspace_full` if the attempts of the project
    /// hold too many. Nothing is changed then.
    pub async fn change_resources(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        asked: &ResourcesRequest,
    ) -> Result<ResourcesAnswer> {
        asked.check()?;
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let act = if asked.take.is_empty() { Act::Rest } else { Act::Begin };
        let held = hold(&mut unit, caller, attempt, &asked.lease, act).await?;
        let answer = change(&mut unit, &held, asked).await?;
        self.commit(unit).await?;
        Ok(answer)
    }
}

async fn change(
    unit: &mut Unit,
    parking: &Parking,
    asked: &ResourcesRequest,
) -> Result<ResourcesAnswer> {
    let Parking { goal, task, attempt } = parking;
    let id = attempt.attempt_id;
    let released = store::gates::give_up(unit.tx(), id, &asked.release).await?;
    let own = store::gates::held_by(unit.tx(), id).await?;
    let new: Vec<Touch> = asked.take.iter().filter(|touch| !own.contains(touch)).cloned().collect();
    if !new.is_empty() {
        take(unit, parking, &own, &new).await?;
    }
    if !new.is_empty() || !released.is_empty() {
        let data = json!({"taken": shown(&new), "released": shown(&released)});
        let row = NewRow::new(Kind::AttemptResourcesChanged).goal(goal.goal_id).task(task.task_id);
        unit.record(row.attempt(id).agent(attempt.holder.agent()).data(data));
    }
    Ok(ResourcesAnswer {
        attempt_id: id,
        task_id: task.task_id,
        resources: store::gates::held_by(unit.tx(), id).await?,
    })
}

async fn take(unit: &mut Unit, parking: &Parking, own: &[Touch], new: &[Touch]) -> Result<()> {
    let Parking { goal, task: _, attempt } = parking;
    let names: BTreeSet<&str> =
        own.iter().chain(new).map(|touch| touch.resource.as_str()).collect();
    if names.len() > settings::ATTEMPT_RESOURCES {
        let detail = format!(
            "the attempt would hold {} resources; at most {} are allowed: take a pattern, or release some",
            names.len(),
            settings::ATTEMPT_RESOURCES
        );
        return Err(Refusal::invalid_at("/take", detail).into());
    }
    let scope = goal.project_id.map_or(unit.workspace().0, |project| project.0);
    let held = gates::held_in(unit, &[scope]).await?;
    let known = |touch: &&Touch| own.iter().any(|held| held.resource == touch.resource);
    let count = held.len() + new.iter().filter(|touch| !known(touch)).count();
    if count > settings::SCOPE_RESOURCES && count > held.len() {
        let detail = format!(
            "running attempts hold {} resources of {}, and more than {} are not taken: take a pattern for many of \
             them, or release some",
            held.len(),
            if goal.project_id.is_some() { "this project" } else { "goals without a project" },
            settings::SCOPE_RESOURCES
        );
        return Err(Refusal::new(Code::WorkspaceFull, detail).into());
    }
    let ledger = Ledger { held, ..Ledger::default() };
    let needs = Needs { keys: Vec::new(), scope, touches: new.to_vec() };
    if let Some(obstacle) = ledger.obstacle(&needs, Some(attempt.attempt_id)) {
        return Err(gates::held(&obstacle).into());
    }
    let grants: Vec<_> =
        new.iter().map(|touch| (attempt.attempt_id, scope, touch.clone())).collect();
    Ok(store::gates::grant_resources(unit.tx(), &grants).await?)
}

/// The first twenty of a list, for the journal.
fn shown<T: Serialize>(list: &[T]) -> Vec<&T> {
    list.iter().take(20).collect()
}
