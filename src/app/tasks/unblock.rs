//! Offering tasks that need nothing more, and asking people.

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

/// What the rows of tasks say that need nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// That they need nothing more.
    Written,
    /// Not yet: the last that they needed was satisfied in this unit of work.
    JustMet,
}

/// Offers, opens or asks about tasks that need nothing more, and what opening frees in turn. Their
/// rows are held.
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
                // Nothing changes, and nothing is left to be written.
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

/// Asks whether tasks may start, each `(task, goal)`. What is approved is the task as it is written.
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
