//! Which failed tasks can be tried again, and what comes back with them.

use std::collections::BTreeSet;

use super::{Back, Cause, Obstacle, Returns, changes, graph::Graph, obstacle, refuse};
use crate::domain::{
    ids::TaskId,
    refusal::{Code, Refusal},
    states::{GoalState, TaskState},
};

/// Whether failed tasks of a goal in this state can be tried again.
///
/// # Errors
/// `goal_ended` for a cancelled goal; `wrong_state` for a goal without tasks.
pub fn in_goal(state: GoalState) -> Result<(), Refusal> {
    match state {
        GoalState::Active | GoalState::Verifying | GoalState::Failed | GoalState::Completed => {
            Ok(())
        }
        GoalState::Cancelled => {
            let detail = "the goal was cancelled, and nothing of it comes back; post it again";
            Err(Refusal::new(Code::GoalEnded, detail))
        }
        GoalState::Planning | GoalState::Proposed => {
            let detail = format!("the goal is {state} and has no tasks yet");
            Err(Refusal::new(Code::WrongState, detail))
        }
    }
}

/// The retry of a failed task; of a container, of every failed task inside it.
///
/// # Errors
/// `not_found`; `wrong_state` if it has not failed, if it is an obsolete check, or if something that it
/// depends on stays failed or cancelled.
pub fn task(graph: &Graph, task: TaskId) -> Result<Returns, Refusal> {
    let place = graph.place(task).ok_or_else(|| Refusal::not_found("task"))?;
    failed(graph, place)?;
    let targets = graph.failed_within(place);
    let back = reach(graph, &targets);
    let Some(&first) = targets.first() else {
        let detail = "no task inside it has failed. What was cancelled because of a failure comes back with \
                      what failed of the goal (`POST /v1/goals/{goal_id}/retry`); what was cancelled on \
                      request stays so";
        return Err(Refusal::new(Code::WrongState, detail));
    };
    if back.is_empty() {
        let unclear = || {
            let detail = "something that it depends on stays failed or cancelled";
            Refusal::new(Code::WrongState, detail)
        };
        return Err(blocking(graph, first).map_or_else(unclear, |found| refuse(graph, found)));
    }
    Ok(changes(graph, &back))
}

/// The retry of every task of a goal that failed and can come back.
///
/// # Errors
/// `wrong_state` if there is none.
pub fn goal(graph: &Graph) -> Result<Returns, Refusal> {
    let targets: Vec<usize> = (0..graph.len())
        .filter(|place| {
            let node = graph.node(*place);
            node.state == TaskState::Failed && !node.container && !node.obsolete
        })
        .collect();
    let back = reach(graph, &targets);
    if back.is_empty() {
        let detail = match targets.as_slice() {
            [] => {
                "no task of the goal has failed; `POST /v1/tasks/{task_id}/reopen` reopens a done one"
            }
            [_, ..] => {
                "no failed task of the goal can come back: each needs a cancelled task, is inside \
                 one, or is a subtask of a task that went on without it"
            }
        };
        return Err(Refusal::new(Code::WrongState, detail));
    }
    Ok(changes(graph, &back))
}

fn failed(graph: &Graph, place: usize) -> Result<(), Refusal> {
    let node = graph.node(place);
    let state = node.state;
    let detail = match state {
        TaskState::Failed if node.obsolete => {
            "no criterion of the goal waits for this check: they are decided, or checked by another task \
             when the other tasks are done"
                .to_owned()
        }
        TaskState::Failed => return Ok(()),
        TaskState::Done => {
            "the task is done; `POST /v1/tasks/{task_id}/reopen` has it done again".to_owned()
        }
        TaskState::Cancelled if node.lost_cause => {
            "the task was cancelled because another was not done: retry that one, or what failed \
             of the goal (`POST /v1/goals/{goal_id}/retry`), and it comes back too"
                .to_owned()
        }
        TaskState::Cancelled => {
            "the task was cancelled on request and stays so; post the work again".to_owned()
        }
        TaskState::Waiting | TaskState::Ready => {
            format!("the task is {state} and will be tried without a retry")
        }
        TaskState::Running | TaskState::Parked | TaskState::Reviewing => {
            format!(
                "the task is {state} and goes on; `POST /v1/tasks/{{task_id}}/reassign` gives it to \
                 another agent"
            )
        }
    };
    Err(Refusal::new(Code::WrongState, detail))
}

/// Whether a task can be among those that come back: a failed one, or one that was cancelled only
/// because of another.
fn may_return(graph: &Graph, place: usize) -> bool {
    match graph.state(place) {
        TaskState::Failed => true,
        TaskState::Cancelled => graph.node(place).lost_cause,
        TaskState::Waiting
        | TaskState::Ready
        | TaskState::Running
        | TaskState::Parked
        | TaskState::Reviewing
        | TaskState::Done => false,
    }
}

/// The largest set of tasks that come back when the targets are tried again: targets, containers
/// around them, and what was cancelled because of one of these. Without a target it is empty.
fn reach(graph: &Graph, targets: &[usize]) -> Back {
    let mut reached: BTreeSet<usize> = BTreeSet::new();
    let mut left = targets.to_vec();
    while let Some(place) = left.pop() {
        if !reached.insert(place) {
            continue;
        }
        // A container that failed because its tasks were lost is one of the lost.
        let lost = |to: &usize| {
            (graph.node(*to).lost_cause || graph.node(*to).container) && may_return(graph, *to)
        };
        left.extend(graph.dependents(place).iter().map(|link| link.to).filter(lost));
        left.extend(graph.children(place).iter().copied().filter(lost));
        let around = graph.parent(place).filter(|parent| graph.node(*parent).container);
        left.extend(around.filter(|parent| may_return(graph, *parent)));
    }
    let mut look: Vec<usize> = reached.iter().copied().collect();
    while let Some(place) = look.pop() {
        if !reached.contains(&place) || !stays(graph, place, &reached) {
            continue;
        }
        reached.remove(&place);
        look.extend(graph.dependents(place).iter().map(|link| link.to));
        look.extend(graph.children(place));
        look.extend(graph.parent(place));
    }
    let targets: BTreeSet<usize> = targets.iter().copied().collect();
    let cause = |place: usize| match targets.contains(&place) {
        true => Cause::Retried,
        false => Cause::Restored,
    };
    reached.into_iter().map(|place| (place, cause(place))).collect()
}

/// Whether a task cannot come back with the others: something keeps it, or it is a container without a
/// task to contain.
fn stays(graph: &Graph, place: usize, reached: &BTreeSet<usize>) -> bool {
    let goes_on = |child: &usize| reached.contains(child) || !graph.state(*child).is_terminal();
    let empty = graph.node(place).container && !graph.children(place).iter().any(goes_on);
    empty || obstacle(graph, place, |other| reached.contains(&other)).is_some()
}

/// What keeps a target, or a container around it, from coming back.
fn blocking(graph: &Graph, target: usize) -> Option<Obstacle> {
    let around: Vec<usize> =
        std::iter::successors(Some(target), |place| graph.parent(*place)).collect();
    let returns = |place: usize| around.contains(&place) && may_return(graph, place);
    around
        .iter()
        .take_while(|place| may_return(graph, **place))
        .find_map(|place| obstacle(graph, *place, returns))
}
