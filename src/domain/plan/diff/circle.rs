//! The order of a goal after a new plan: what stays, what changes and what is added must not wait for itself.

use std::collections::HashMap;

use super::{Present, Replanned};
use crate::domain::{
    check::pointer,
    ids::TaskId,
    plan::{TaskSpec, in_a_circle, order::circle},
    refusal::{Code, FieldError, Refusal},
    states::TaskState,
};

/// Refuses a plan whose tasks, with those that stay, need each other in a circle.
///
/// # Errors
/// `plan_invalid`.
pub(super) fn check(
    present: &[Present],
    names: &[String],
    found: &Replanned,
) -> Result<(), Refusal> {
    let edits: HashMap<TaskId, _> = found.edit.iter().map(|edit| (edit.task_id, edit)).collect();
    let gone: std::collections::HashSet<TaskId> = found.cancel.iter().copied().collect();
    let stays =
        |task: &&Present| task.state != TaskState::Cancelled && !gone.contains(&task.task_id);
    let bare = |name: &str, parent: Option<&String>, needs: &[String]| TaskSpec {
        r#ref: name.to_owned(),
        parent: parent.cloned(),
        needs: needs.to_vec(),
        ..TaskSpec::default()
    };
    let kept = present.iter().filter(stays).map(|task| match edits.get(&task.task_id) {
        Some(edit) => {
            let parent = edit.parent.as_ref().unwrap_or(&task.spec.parent);
            bare(&task.spec.r#ref, parent.as_ref(), &edit.after.needs)
        }
        None => bare(&task.spec.r#ref, task.spec.parent.as_ref(), &task.spec.needs),
    });
    let added =
        found.add.iter().map(|(_, spec)| bare(&spec.r#ref, spec.parent.as_ref(), &spec.needs));
    let all: Vec<TaskSpec> = kept.chain(added).collect();
    let Some(refs) = circle(&all, &[]) else { return Ok(()) };
    let places: HashMap<&str, usize> =
        names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let place = refs.iter().find_map(|name| places.get(name).copied());
    let at = place.map_or_else(|| "/tasks".to_owned(), |place| pointer("/tasks", place));
    let detail = format!(
        "{}. Tasks that have begun keep their needs and their place: reopen or cancel one of these, or leave the \
         order as it was",
        in_a_circle(&refs)
    );
    Err(Refusal::at(Code::PlanInvalid, &detail, vec![FieldError::new(at, &detail)]))
}
