//! Explanations: why a task does not run or who has it, and why an agent gets nothing.
//!
//! Everything is read in one read-only snapshot, without a lock, by a bounded number of statements: about twenty, and
//! twice as many if another task is decisive. So an explanation is never in the way of a claim.
//!
//! Decisions:
//! - What decides a claim is asked where the claim asks: its search ([`look_ready`]), its view of agents
//!   ([`claimers`], [`free_slots`]), the functions of the database for freezes and gates, the reservations of budgets
//!   without writing them, and the router with the beliefs of this process.
//! - Among several able agents one that is free is enough: then no agent is a cause. If none is, the hindrance that
//!   passes soonest comes first.
//! - A task that waits for others says who holds the first of those that wait for nobody. Its remedy is the remedy of
//!   that task.
//! - An agent that was not heard of for ten minutes cannot be counted on, and still gets what it asks for: its own
//!   explanation does not call silence a cause.
//! - A deferral shows for an agent that would ask now. Which agents wait at this moment is known to each process alone.
//! - The place in the order is that among the tasks of one able agent: agents with other capabilities see other tasks.
//!   Of tasks in projects that the caller does not see only the number is told.
//! - The same holds for the attempts that hold a concurrency key and for those that an agent is busy with: nothing is
//!   offered that ends one which the caller does not see. A question about a limit that was asked in such a project is
//!   left out; the limit itself is told, as in the task. Agents belong to the workspace and are named.
//! - A request that would tell what the key of the caller cannot read is not offered ([`Sight`]): it would have all
//!   limits of a budget. No request has a lease or another secret, whoever asks.
//! - The explanation of an agent admits no keys with projects: nothing in it is filtered.
//!
//! [`look_ready`]: crate::store::attempts::claim::look_ready
//! [`claimers`]: crate::store::attempts::claim::claimers
//! [`free_slots`]: crate::app::attempts::claim::transaction::free_slots

mod agent;
mod deferral;
mod fleet;
mod sight;
mod task;
pub mod views;

use super::{
    App, Result,
    access::scope::sees_goal,
    caller::{Caller as _, ProjectReaderCaller, ReaderCaller},
    routing::AssignmentFilter,
    routing::views::Assignment,
};
use crate::{
    domain::{
        explain::{
            self,
            answer::Remedy,
            task::{
                cause::TaskCause,
                situation::{Holding, Situation},
            },
        },
        ids::{AgentId, TaskId, WorkspaceId},
        refusal::Refusal,
    },
    store::{self, SystemTx, Tx},
};
use sight::Sight;
use views::{AgentExplanation, TaskExplanation, TaskRun};

impl App {
    /// Why a task does not run, or why its agent has it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn explain_task(
        &self,
        caller: &ProjectReaderCaller,
        task: TaskId,
    ) -> Result<TaskExplanation> {
        let principal = caller.principal();
        let mut tx = self.snapshot(principal.workspace).await?;
        let beliefs = self.routes.beliefs(principal.workspace);
        let look = task::Look { sight: Sight::of(principal), beliefs: &beliefs };
        let mut found = look.at(&mut tx, task).await?;
        if !sees_goal(&mut tx, principal, found.goal_id).await? {
            return Err(Refusal::not_found("task").into());
        }
        // One step is enough: roots wait for no other task.
        if let Some(first) = found.roots.first().map(|root| root.task_id) {
            let root = look.at(&mut tx, first).await?;
            found.root = explain::task::causes(&root).into_iter().next().map(Box::new);
        }
        let runs = match found.holding.clone() {
            Some(holding) => Some(run(&mut tx, task, holding).await?),
            None => None,
        };
        tx.rollback().await?;
        let causes = explain::task::causes(&found);
        let (detail, remedy) = decisive(causes.first().map(|cause| (&cause.detail, &cause.remedy)));
        Ok(TaskExplanation {
            task_id: found.task_id,
            goal_id: found.goal_id,
            state: found.state,
            at: found.now,
            detail,
            remedy,
            causes,
            place: found.place,
            runs,
        })
    }

    /// Why an agent gets nothing.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn explain_agent(
        &self,
        caller: &ReaderCaller,
        agent: AgentId,
    ) -> Result<AgentExplanation> {
        let principal = caller.principal();
        let mut tx = self.snapshot(principal.workspace).await?;
        let beliefs = self.routes.beliefs(principal.workspace);
        let look = task::Look { sight: Sight::of(principal), beliefs: &beliefs };
        let found = agent::at(&mut tx, look, agent).await?;
        let now = tx.now;
        tx.rollback().await?;
        let causes = explain::agent::causes(&found);
        let (detail, remedy) = decisive(causes.first().map(|cause| (&cause.detail, &cause.remedy)));
        Ok(AgentExplanation {
            agent_id: agent,
            name: found.agent.name,
            state: found.agent.state,
            at: now,
            detail,
            remedy,
            causes,
        })
    }

    /// A read-only snapshot of a workspace.
    async fn snapshot(&self, workspace: WorkspaceId) -> Result<Tx> {
        let turn = self.turn_to_read(workspace).await?;
        let mut system: SystemTx = self.pool.begin().await?.into();
        let now = self.clock.or(store::attention::begin(&mut system).await?);
        Ok(system.on_turn(turn, now))
    }
}

fn decisive(first: Option<(&String, &Remedy)>) -> (String, Remedy) {
    match first {
        Some((detail, remedy)) => (detail.clone(), remedy.clone()),
        None => (String::new(), Remedy::nothing()),
    }
}

/// The attempt that works on a task, and the stored reason.
async fn run(tx: &mut Tx, task: TaskId, holding: Holding) -> Result<TaskRun> {
    let filter = AssignmentFilter { task: Some(task), ..AssignmentFilter::default() };
    let latest = store::routing::assignments::list(tx, filter, None, 1).await?.pop();
    let assignment = latest.filter(|latest| latest.attempt_id == holding.attempt_id);
    let Holding { attempt_id, agent_id, agent_name, held_by_key, since, lease_expires_at } =
        holding;
    Ok(TaskRun {
        attempt_id,
        agent_id,
        agent_name,
        held_by_key,
        since,
        lease_expires_at,
        assignment: assignment.map(Assignment::from),
    })
}

/// The decisive cause of a task.
fn first_cause(found: &Situation) -> Option<TaskCause> {
    explain::task::causes(found).into_iter().next()
}
