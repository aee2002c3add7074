//! Moving a goal to another project.
//!
//! A project's spend and the windows of its limits are the sums of the attempts of its goals, so what the
//! goal has spent moves with it: out of the windows of the old project, which gain room, into those of the
//! new one, which must have room for it. Every total stays the sum of its parts.
//!
//! It is refused while an attempt of the goal runs: its reservation, and the freezes that its claim was
//! judged by, are those of the old project. It is refused for a budget that is allocated above the goal,
//! because that share was reserved from the old project as a whole.
//!
//! The unit holds the workspace alone: a claim or a report between the two projects would be charged to
//! neither.

use std::collections::BTreeMap;

use crate::{
    app::{
        Result, Unit,
        budgets::{
            resume,
            shortage::exhausted,
            windows::{LockedWindows, apply, hold_now},
        },
        spend::charge::{Rises, raise_totals},
    },
    domain::{
        budget::{
            BudgetNode,
            ledger::{Asker, Shortage, WindowKey},
        },
        ids::{LimitId, ProjectId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        spend::most,
        states::SpendNode,
    },
    store::{
        self,
        budgets::windows::{LiveLimit, Wanted},
        goals::{GoalEdit, GoalFacts, moving::ChargedWindow},
    },
};

/// Edits a goal together with its project.
///
/// # Errors
/// `wrong_state` while it cannot move; `budget_exhausted` if the new project has no room for what the
/// goal has spent.
pub(super) async fn to_project(
    unit: &mut Unit,
    goal: &GoalFacts,
    edit: &GoalEdit<'_>,
) -> Result<()> {
    may_move(unit, goal).await?;
    let id = goal.goal_id;
    let out = store::goals::moving::charged_to_project(unit.tx(), id).await?;
    let old = limits(unit, goal.project_id).await?;
    store::goals::edit(unit.tx(), id, edit).await?;
    let new = limits(unit, edit.project_id).await?;
    hold_now(unit, &new).await?;
    let into = store::goals::moving::charged_to_project(unit.tx(), id).await?;
    let left: Vec<LimitId> = old.iter().map(|limit| limit.limit_id).collect();
    shift(unit, old.into_iter().chain(new).collect(), &out, &into).await?;
    move_totals(unit, goal, edit.project_id).await?;
    offer(unit, goal, &left).await
}

async fn may_move(unit: &mut Unit, goal: &GoalFacts) -> Result<()> {
    let running = store::goals::moving::running_attempts(unit.tx(), goal.goal_id).await?;
    if running > 0 {
        let detail = format!(
            "{running} of its attempts run, charged to the project that it is in: freeze the goal with the \
             mode `drain`, and move it when they have ended"
        );
        return Err(Refusal::new(Code::WrongState, detail).into());
    }
    let allocated = store::budgets::allocations::open_of(unit.tx(), goal.goal_id).await?;
    if !allocated.is_empty() {
        let detail = "its budget is allocated: the whole of it was reserved above the goal when it \
                      began, and stays there until the goal has ended";
        return Err(Refusal::new(Code::WrongState, detail).into());
    }
    Ok(())
}

async fn limits(unit: &mut Unit, project: Option<ProjectId>) -> Result<Vec<LiveLimit>> {
    let Some(project) = project else { return Ok(Vec::new()) };
    Ok(store::budgets::windows::limits_of(unit.tx(), &[(BudgetNode::Project, project.0)]).await?)
}

/// Moves the spend of a goal from windows to others, and offers what waits for the first.
async fn shift(
    unit: &mut Unit,
    limits: Vec<LiveLimit>,
    out: &[ChargedWindow],
    into: &[ChargedWindow],
) -> Result<()> {
    let wanted = out.iter().chain(into).map(|charged| Wanted {
        limit: charged.limit_id,
        from: charged.starts_at,
        to: charged.starts_at,
    });
    let wanted: Vec<Wanted> = wanted.collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let rows = store::budgets::windows::lock(unit.tx(), &wanted).await?;
    let LockedWindows { mut ledger, limits, .. } = LockedWindows::of(limits, rows);
    let key = |charged: &ChargedWindow| -> Option<WindowKey> {
        Some(limits.get(&charged.limit_id)?.window(charged.starts_at))
    };
    for charged in out {
        if let Some(key) = key(charged) {
            ledger.take(&key, -charged.amount, -charged.fraction);
        }
    }
    let mut short = Vec::new();
    for charged in into {
        let Some(key) = key(charged) else { continue };
        let Some(before) = ledger.window(&key).cloned() else { continue };
        let fits = before.room();
        ledger.take(&key, charged.amount, charged.fraction);
        if let Some(after) = ledger.window(&key)
            && after.enforced()
            && after.room() < fits.min(0)
        {
            short.push(Shortage::of(&key, &before, charged.amount, fits).of_asker(Asker::Move));
        }
    }
    if !short.is_empty() {
        return Err(exhausted(&short));
    }
    if let Some((window, fits)) = ledger.beyond() {
        let whose = format_args!("{} {} under its limit", window.node, window.node_id);
        return Err(most::beyond(whose, &window.unit, fits).into());
    }
    let moved: Vec<WindowKey> = out.iter().filter_map(key).collect();
    let rooms: BTreeMap<LimitId, i64> =
        moved.iter().filter_map(|key| Some((key.limit, ledger.window(key)?.room()))).collect();
    apply(unit, ledger.into_moves()).await?;
    resume::offer(unit, &Vec::from_iter(rooms), resume::FEW).await.map(drop)
}

/// Moves what the goal has spent from the total of its project to that of the other.
async fn move_totals(unit: &mut Unit, goal: &GoalFacts, to: Option<ProjectId>) -> Result<()> {
    let spent = store::goals::moving::spent(unit.tx(), goal.goal_id).await?;
    let mut rises = Rises::new();
    for (name, amount, fraction) in spent {
        for (project, sign) in [(goal.project_id, -1), (to, 1)] {
            if let Some(project) = project {
                rises.insert(
                    (SpendNode::Project, project.0, name.clone()),
                    (sign * amount, sign * fraction),
                );
            }
        }
    }
    raise_totals(unit, rises).await
}

/// Offers the tasks of the goal that wait for a limit of the project that it left.
async fn offer(unit: &mut Unit, goal: &GoalFacts, left: &[LimitId]) -> Result<()> {
    let waiting = store::budgets::waits::lock_of_goal(unit.tx(), goal.goal_id, left).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    for task in &waiting {
        unit.record(NewRow::new(Kind::TaskReady).goal(goal.goal_id).task(task.task_id));
    }
    let now = unit.now();
    let moves: Vec<_> = waiting.iter().map(|waits| resume::offered(waits, now)).collect();
    store::tasks::moves::apply(unit.tx(), &moves).await?;
    resume::withdraw(unit, left).await
}
