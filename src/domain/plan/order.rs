//! The order of the tasks of a goal.
//!
//! Each task is two points, its start and its end. Containment and needs are edges between them, so a
//! task that needs its own container is a circle, and so is one that is put into a container that
//! something it needs waits for.

use std::collections::HashMap;

use super::{TaskSpec, around::OrderedTask, cycle::find_cycle};
use crate::domain::ids::TaskId;

/// The refs of a circle in order, or `None` if there is none. `tasks` are new and `ordered` exist; a
/// circle of both begins with a new one. Unknown refs are ignored.
#[must_use]
pub fn circle<'a>(tasks: &'a [TaskSpec], ordered: &'a [OrderedTask]) -> Option<Vec<&'a str>> {
    let old = ordered.iter().map(|task| task.r#ref.as_str());
    let names: Vec<&str> = old.chain(tasks.iter().map(|task| task.r#ref.as_str())).collect();
    let by_ref: HashMap<&str, usize> =
        names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
    let by_id: HashMap<TaskId, usize> =
        ordered.iter().enumerate().map(|(index, task)| (task.task_id, index)).collect();
    let mut edges = Edges { after: vec![Vec::new(); 2 * names.len()] };
    for (index, task) in ordered.iter().enumerate() {
        let needs = task.needs.iter().filter_map(|need| by_id.get(need)).copied();
        edges.place(index, task.parent.and_then(|parent| by_id.get(&parent)).copied(), needs);
    }
    for (index, task) in (ordered.len()..).zip(tasks) {
        let needs = task.needs.iter().filter_map(|need| by_ref.get(need.as_str())).copied();
        let parent = task.parent.as_deref().and_then(|parent| by_ref.get(parent)).copied();
        edges.place(index, parent, needs);
    }
    let mut points = find_cycle(&edges.after)?;
    let new = points.iter().position(|point| point / 2 >= ordered.len());
    points.rotate_left(new.unwrap_or_default());
    let mut refs: Vec<&str> = points.iter().map(|point| names[point / 2]).collect();
    refs.dedup();
    if refs.len() > 1 && refs.first() == refs.last() {
        refs.pop();
    }
    Some(refs)
}

struct Edges {
    after: Vec<Vec<usize>>,
}

impl Edges {
    fn place(&mut self, task: usize, parent: Option<usize>, needs: impl Iterator<Item = usize>) {
        let start = |task: usize| 2 * task;
        let end = |task: usize| 2 * task + 1;
        self.after[start(task)].push(end(task));
        for need in needs {
            self.after[end(need)].push(start(task));
        }
        if let Some(parent) = parent {
            self.after[start(parent)].push(start(task));
            self.after[end(task)].push(end(parent));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ordered(name: usize, parent: Option<usize>, needs: &[usize]) -> OrderedTask {
        let id = |name: usize| TaskId(uuid::Uuid::from_u128(name as u128));
        OrderedTask {
            task_id: id(name),
            r#ref: name.to_string(),
            parent: parent.map(id),
            needs: needs.iter().copied().map(id).collect(),
        }
    }

    fn spec(name: usize, parent: Option<usize>, needs: &[usize]) -> TaskSpec {
        TaskSpec {
            r#ref: name.to_string(),
            parent: parent.map(|parent| parent.to_string()),
            needs: needs.iter().map(ToString::to_string).collect(),
            ..TaskSpec::default()
        }
    }

    #[test]
    fn a_task_put_into_a_container_that_its_need_waits_for_closes_a_circle() {
        // 1 is in 0; 2 needs 0. A new task in 0 that needs 2 can never start.
        let before = [ordered(0, None, &[]), ordered(1, Some(0), &[]), ordered(2, None, &[0])];
        let added = [spec(3, Some(0), &[2])];
        let found = circle(&added, &before).unwrap();
        assert_eq!(found[0], "3");
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(circle(&[spec(3, Some(0), &[1])], &before), None);
        assert_eq!(circle(&[spec(3, None, &[2])], &before), None);
    }

    proptest! {
        /// A plan has a circle or has none, whatever part of it exists already.
        #[test]
        fn it_does_not_matter_when_the_tasks_were_added(
            drawn in prop::collection::vec(
                (prop::collection::vec(0usize..12, 0..3), prop::option::weighted(0.3, 0usize..12)), 1..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let count = drawn.len();
            let clean = |n: usize| {
                let (needs, parent) = &drawn[n];
                let needs: Vec<usize> = needs.iter().copied().filter(|need| *need < count).collect();
                // The parent comes first: nesting alone is no circle.
                (needs, parent.filter(|parent| *parent < n))
            };
            let whole: Vec<TaskSpec> = (0..count)
                .map(|n| { let (needs, parent) = clean(n); spec(n, parent, &needs) })
                .collect();
            let cut = cut.index(count);
            // What exists needs and is in what exists: edges to later tasks belong to the later ones.
            let early = |n: usize| {
                let (needs, parent) = clean(n);
                (needs.into_iter().filter(|need| *need < cut).collect::<Vec<_>>(), parent)
            };
            let before: Vec<OrderedTask> = (0..cut)
                .map(|n| { let (needs, parent) = early(n); ordered(n, parent, &needs) })
                .collect();
            let cropped: Vec<TaskSpec> = (0..cut)
                .map(|n| { let (needs, parent) = early(n); spec(n, parent, &needs) })
                .chain(whole[cut..].iter().cloned())
                .collect();
            let split = circle(&whole[cut..], &before).is_some();
            prop_assert_eq!(split, circle(&cropped, &[]).is_some());
        }
    }
}
