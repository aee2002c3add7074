//! Which done tasks can be reopened, and what follows.

use super::{Back, Cause, Obstacle, Returns, changes, graph::Graph, obstacle, refuse};
use crate::domain::{
    ids::TaskId,
    refusal::{Code, Refusal},
    states::{GoalState, TaskState},
};

/// Whether tasks of a goal in this state can be reopened.
///
/// # Errors
/// `goal_ended` for a cancelled goal; `wrong_state` for a goal without tasks.
pub fn in_goal(state: GoalState) -> Result<(), Refusal> {
    super::retry::in_goal(state)
}

/// The reopening of a done task. Done containers around it open again.
///
/// # Errors
/// `not_found`; `wrong_state` if it is not done, if it is a container, or if something that it depends
/// on has ended otherwise.
pub fn task(graph: &Graph, task: TaskId) -> Result<Returns, Refusal> {
    let place = graph.place(task).ok_or_else(|| Refusal::not_found("task"))?;
    done(graph, place)?;
    let mut back = Back::from([(place, Cause::Reopened)]);
    let mut inner = place;
    while let Some(parent) = graph.parent(inner) {
        if !graph.node(parent).container || graph.state(parent) != TaskState::Done {
            break;
        }
        back.insert(parent, Cause::Restored);
        inner = parent;
    }
    let comes_back = |place: usize| back.contains_key(&place);
    let found: Option<Obstacle> = back.keys().find_map(|place| obstacle(graph, *place, comes_back));
    match found {
        Some(found) => Err(refuse(graph, found)),
        None => Ok(changes(graph, &back)),
    }
}

fn done(graph: &Graph, place: usize) -> Result<(), Refusal> {
    let node = graph.node(place);
    let state = node.state;
    let detail = match (state, node.container) {
        (TaskState::Done, false) => return Ok(()),
        (_, true) => {
            "the task only contains others and has no result of its own; reopen one of those"
                .to_owned()
        }
        (TaskState::Failed, false) => {
            "the task failed; `POST /v1/tasks/{task_id}/retry` has it tried again".to_owned()
        }
        (TaskState::Cancelled, false) => {
            "the task was cancelled and has no result; retry the failed task that caused this, or post \
             the work again"
                .to_owned()
        }
        (
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Parked
            | TaskState::Reviewing,
            false,
        ) => format!("the task is {state} and not done yet"),
    };
    Err(Refusal::new(Code::WrongState, detail))
}
