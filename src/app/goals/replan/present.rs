//! The tasks of a goal as a new plan meets them.

use std::collections::{HashMap, HashSet};

use crate::{
    app::{Error, Result, Unit},
    domain::{
        ids::{GoalId, TaskId},
        plan::{
            ApprovalPoints, TaskSpec,
            around::{Around, KnownTask},
            diff::{Origin, Present},
        },
        planning::matter::Standing,
        states::TaskState,
        task::edit::standing_of,
    },
    store::{self, goals::plans::AppliedPlan, tasks::replan::PlannedRow},
};

/// The plan in force, and all tasks of a goal: those of the plan first, in its order.
pub(super) struct Found {
    pub applied: AppliedPlan,
    pub tasks: Vec<Present>,
    pub ids: HashMap<String, TaskId>,
}

impl Found {
    /// Reads a locked goal. `lock`: locks its tasks first, for what changes them.
    pub(super) async fn read(unit: &mut Unit, goal: GoalId, lock: bool) -> Result<Self> {
        let applied = store::goals::plans::applied(unit.tx(), goal).await?;
        let applied =
            applied.ok_or_else(|| Error::Corrupt("an active goal without a plan".into()))?;
        if lock {
            store::tasks::replan::lock_all(unit.tx(), goal).await?;
        }
        let rows = store::tasks::replan::all(unit.tx(), goal).await?;
        let mut criteria = store::tasks::replan::criteria(unit.tx(), goal).await?;
        let names: HashMap<TaskId, String> =
            rows.iter().map(|row| (row.task_id, row.reference.clone())).collect();
        let mut needs: HashMap<TaskId, Vec<String>> = HashMap::new();
        for edge in store::tasks::returns::dependencies(unit.tx(), goal).await? {
            if let Some(name) = names.get(&edge.needs) {
                needs.entry(edge.task).or_default().push(name.clone());
            }
        }
        let former = store::goals::plans::former_refs(unit.tx(), goal).await?;
        let former: HashSet<String> = former.into_iter().collect();
        let base: HashMap<&str, &TaskSpec> =
            applied.document.iter().map(|spec| (spec.r#ref.as_str(), spec)).collect();
        let order: HashMap<&str, usize> = applied
            .document
            .iter()
            .enumerate()
            .map(|(at, spec)| (spec.r#ref.as_str(), at))
            .collect();
        let mut tasks: Vec<Present> = rows
            .into_iter()
            .map(|row| {
                let origin = origin(&row, &base, &applied, &former);
                let mut needs = needs.remove(&row.task_id).unwrap_or_default();
                needs.sort_unstable();
                let parent = row.parent.and_then(|id| names.get(&id)).cloned();
                let criteria = criteria.remove(&row.task_id).unwrap_or_default();
                let links = TaskSpec { needs, parent, criteria, ..TaskSpec::default() };
                present(row, links, origin)
            })
            .collect();
        tasks
            .sort_by_key(|task| order.get(task.spec.r#ref.as_str()).copied().unwrap_or(usize::MAX));
        let ids = names.into_iter().map(|(id, name)| (name, id)).collect();
        Ok(Self { applied, tasks, ids })
    }

    /// The tasks as a planner of a new version meets them.
    pub(super) fn standing(&self) -> Standing {
        let mut standing = Standing::default();
        for task in &self.tasks {
            let list = match (&task.origin, task.state) {
                (Origin::Closed | Origin::Former, _) => continue,
                (Origin::Plan { .. }, TaskState::Done) => &mut standing.done,
                (Origin::Plan { .. }, TaskState::Failed | TaskState::Cancelled) => {
                    &mut standing.lost
                }
                (Origin::Plan { .. }, _) if task.cancelling => &mut standing.lost,
                (Origin::Plan { .. }, _) => &mut standing.open,
                (Origin::Beside, _) if task.finished() => continue,
                (Origin::Beside, _) => &mut standing.beside,
            };
            let said: &TaskSpec = match &task.origin {
                Origin::Plan { said, .. } => said,
                Origin::Former | Origin::Beside | Origin::Closed => &task.spec,
            };
            list.push(said.clone());
        }
        standing
    }

    /// The tasks as what added ones need and go into.
    pub(super) fn around(&self, holds: &HashSet<String>) -> Around {
        let known = self.tasks.iter().map(|task| {
            let known = KnownTask {
                task_id: task.task_id,
                state: task.state,
                container: task.container,
                cancelling: task.cancelling,
                depth: 0,
                risk: task.spec.risk,
            };
            (task.spec.r#ref.clone(), known)
        });
        let mut around = Around::of(known.collect());
        around.holds.clone_from(holds);
        around
    }
}

fn origin(
    row: &PlannedRow,
    base: &HashMap<&str, &TaskSpec>,
    applied: &AppliedPlan,
    former: &HashSet<String>,
) -> Origin {
    let name = row.reference.as_str();
    if row.closed {
        return Origin::Closed;
    }
    match base.get(name) {
        Some(base) => Origin::Plan {
            said: Box::new((*base).clone()),
            base: applied.held.get(name).cloned().map(Box::new),
            source: applied.sources.get(name).cloned().unwrap_or_else(|| name.to_owned()),
        },
        None if row.state == TaskState::Done && former.contains(name) => Origin::Former,
        None => Origin::Beside,
    }
}

fn present(row: PlannedRow, links: TaskSpec, origin: Origin) -> Present {
    let seconds = |millis: Option<i64>| millis.and_then(|ms| u32::try_from(ms / 1000).ok());
    Present {
        task_id: row.task_id,
        state: row.state,
        standing: standing_of(row.state, row.container, row.approve_start, row.short),
        container: row.container,
        cancelling: row.cancelling,
        approved: row.approved,
        tried: row.tried,
        attempts_used: row.attempts_used,
        reworks: row.reworks,
        origin,
        spec: TaskSpec {
            r#ref: row.reference,
            title: row.title,
            description: row.description,
            section: row.section,
            labels: row.labels,
            capabilities: row.capabilities,
            priority: Some(row.priority),
            estimate: row.estimate.map(|estimate| estimate.0).unwrap_or_default(),
            input: row.input,
            approval: ApprovalPoints { start: row.approve_start, result: row.approve_result },
            risk: row.risk,
            not_before: Some(row.ready_from),
            max_attempts: Some(row.max_attempts),
            max_rework: Some(row.max_rework),
            lease_seconds: seconds(row.lease_ms),
            attempt_timeout_seconds: seconds(row.attempt_timeout_ms),
            start_within_seconds: seconds(row.start_within_ms),
            finish_within_seconds: seconds(row.finish_within_ms),
            ..links
        },
    }
}
