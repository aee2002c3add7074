//! The least risk of approvals about each task of a plan.

use std::collections::HashMap;

use super::{TaskSpec, around::Around};
use crate::domain::{risk::Risk, settings};

/// The least risk per task: its own, and at least that of what contains it. `outer`: the least risk of
/// the task whose attempt adds them; an existing container of `around` has its own. So a task's floor
/// cannot be left by asking from a subtask.
#[must_use]
pub fn least_risks(
    tasks: &[TaskSpec],
    outer: Option<Risk>,
    around: Option<&Around>,
) -> Vec<Option<Risk>> {
    let by_ref: HashMap<&str, &TaskSpec> =
        tasks.iter().map(|task| (task.r#ref.as_str(), task)).collect();
    let least = tasks.iter().map(|task| {
        let container = |task: &&TaskSpec| by_ref.get(task.parent.as_deref()?).copied();
        // A checked plan is no deeper; the bound ends a circle.
        let within = std::iter::successors(Some(task), container).take(settings::NESTING + 1);
        let of_container = |task: &TaskSpec| around?.known.get(task.parent.as_deref()?)?.risk;
        within.map(|task| task.risk.max(of_container(task))).max().flatten().max(outer)
    });
    least.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::words::Words as _;

    fn task(name: usize, parent: Option<usize>, risk: Option<Risk>) -> TaskSpec {
        let parent = parent.map(|parent| parent.to_string());
        TaskSpec { r#ref: name.to_string(), parent, risk, ..TaskSpec::default() }
    }

    #[test]
    fn a_circle_ends() {
        let circle = [task(0, Some(1), None), task(1, Some(0), Some(Risk::High))];
        assert_eq!(least_risks(&circle, None, None), [Some(Risk::High); 2]);
    }

    proptest! {
        #[test]
        fn a_task_has_at_least_its_own_risk_and_that_of_what_contains_it(
            drawn in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::option::of(prop::sample::select(Risk::ALL))), 1..15),
            outer in prop::option::of(prop::sample::select(Risk::ALL)),
        ) {
            // The parent comes before or after its children; 0 has none.
            let count = drawn.len();
            let parents: Vec<Option<usize>> = drawn
                .iter()
                .enumerate()
                .map(|(index, (drawn, _))| (index > 0).then(|| drawn.index(index)))
                .collect();
            let mut tasks: Vec<TaskSpec> =
                (0..count).map(|index| task(index, parents[index], drawn[index].1)).collect();
            tasks.reverse();
            let mut least = least_risks(&tasks, outer, None);
            least.reverse();
            for (index, (_, own)) in drawn.iter().enumerate() {
                prop_assert!(least[index] >= *own && least[index] >= outer);
                let above = parents[index].map_or(outer, |parent| least[parent]);
                prop_assert_eq!(least[index], (*own).max(above));
            }
        }
    }
}
