//! Freeing tasks without unmet needs: offering, opening, or requesting approval of their start.

use crate::{
    app::{Result, Unit, approvals::ask::ask},
    domain::{
        ids::{GoalId, TaskId},
        journal::{Kind, NewRow},
        states::{ApprovalKind, TaskState},
        task::{self, Freed, TaskFacts},
    },
    store::{self, approvals::NewApproval, tasks::moves::TaskMove},
};

/// Whether the rows of tasks already show that no needs are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// They do.
    Written,
    /// Not yet: the last need was satisfied in this unit of work.
    JustMet,
}

/// Frees tasks without unmet needs, and tasks freed by opened containers in turn. The caller holds
/// their locks.
pub async fn unblock(unit: &mut Unit, tasks: Vec<TaskFacts>, needs: Needs) -> Result<()> {
    let (mut facts, mut needs) = (tasks, needs);
    while !facts.is_empty() {
        let now = unit.now();
        let mut moves = Vec::new();
        let mut opened = Vec::new();
        let mut asked = Vec::new();
        for task in facts.iter().filter(|task| task.state == TaskState::Waiting) {
            let freed = task::freed(task.container, task.approve_start, task.ready_from, now);
            match freed {
                // Nothing changes, so nothing is written.
                Freed::Wait if needs == Needs::Written => continue,
                Freed::Wait | Freed::Ready => {}
                Freed::Open => opened.push(task.task_id),
                Freed::Ask => asked.push(task),
            }
            if freed.state() != task.state {
                let row = NewRow::new(Kind::of_task(freed.state()));
                unit.record(row.goal(task.goal_id).task(task.task_id));
            }
            let needs_met = needs == Needs::JustMet;
            moves.push(TaskMove { needs_met, ..TaskMove::of(task, freed.state(), now) });
        }
        if moves.is_empty() {
            return Ok(());
        }
        store::tasks::moves::apply(unit.tx(), &moves).await?;
        let asked: Vec<_> = asked.iter().map(|task| (task.task_id, task.goal_id)).collect();
        ask_start(unit, &asked).await?;
        if opened.is_empty() {
            return Ok(());
        }
        let within = store::tasks::moves::open_gates(unit.tx(), &opened).await?;
        facts = store::tasks::lock(unit.tx(), &within).await?;
        needs = Needs::Written;
    }
    Ok(())
}

/// Requests approval of the start of tasks, each `(task, goal)`. The payload is the task as
/// written.
pub(in crate::app) async fn ask_start(unit: &mut Unit, tasks: &[(TaskId, GoalId)]) -> Result<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let ids: Vec<TaskId> = tasks.iter().map(|(task, _)| *task).collect();
    let mut shown = store::tasks::links::shown(unit.tx(), &ids).await?;
    let question = |(task, goal): &(TaskId, GoalId)| NewApproval {
        task_id: Some(*task),
        payload: shown.remove(task),
        ..NewApproval::new(unit.id(), ApprovalKind::Start, *goal)
    };
    let questions = tasks.iter().map(question).collect();
    ask(unit, questions).await
}
