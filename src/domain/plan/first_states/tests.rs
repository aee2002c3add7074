//! The first states of random valid plans, and the cycles of invalid ones.

use std::collections::HashSet;

use proptest::prelude::*;

use crate::domain::{
    plan::{ApprovalPoints, PlanContext, check_plan, first_states::*},
    refusal::Code,
};

/// Tasks that need and contain earlier tasks only, so most plans are valid; containers that
/// need their own children are not.
fn plan() -> impl Strategy<Value = Vec<TaskSpec>> {
    let task = (
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        prop::option::weighted(0.3, any::<prop::sample::Index>()),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    );
    prop::collection::vec(task, 1..14).prop_map(|tasks| {
        let mut plan: Vec<TaskSpec> = Vec::new();
        for (n, (needs, parent, done, later, start)) in tasks.into_iter().enumerate() {
            let before = |index: &prop::sample::Index| (n > 0).then(|| index.index(n).to_string());
            let mut needs: Vec<String> = needs.iter().filter_map(before).collect();
            needs.sort_unstable();
            needs.dedup();
            plan.push(TaskSpec {
                r#ref: n.to_string(),
                title: "t".into(),
                needs,
                parent: parent.as_ref().and_then(before),
                done,
                not_before: later.then(|| at(100)),
                approval: ApprovalPoints { start, result: false },
                ..TaskSpec::default()
            });
        }
        // A container has no start of its own to approve.
        let parents: HashSet<String> = plan.iter().filter_map(|task| task.parent.clone()).collect();
        for task in plan.iter_mut().filter(|task| parents.contains(&task.r#ref)) {
            task.approval = ApprovalPoints::default();
        }
        plan
    })
}

fn at(seconds: i64) -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + chrono::TimeDelta::seconds(seconds)
}

fn check(tasks: &[TaskSpec]) -> Result<(), crate::domain::refusal::Refusal> {
    check_plan(tasks, PlanContext { at: "/tasks", taken: &HashSet::new(), around: None })
}

/// Completes every task that may start until none may. Returns the rest.
fn work_off(tasks: &[TaskSpec], laid: &[FirstState]) -> Vec<usize> {
    let mut done: Vec<bool> = laid.iter().map(|task| task.state == TaskState::Done).collect();
    let mut open = vec![false; tasks.len()];
    loop {
        let mut moved = false;
        for index in 0..tasks.len() {
            let free = laid[index].needs.iter().all(|(need, _)| done[*need])
                && laid[index].parent.is_none_or(|parent| open[parent]);
            if !free || done[index] {
                continue;
            }
            if !laid[index].container {
                done[index] = true;
                moved = true;
                continue;
            }
            moved |= !open[index];
            open[index] = true;
            let mut children = (0..tasks.len()).filter(|child| laid[*child].parent == Some(index));
            if children.all(|child| done[child]) {
                done[index] = true;
                moved = true;
            }
        }
        if !moved {
            return (0..tasks.len()).filter(|index| !done[*index]).collect();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn nothing_of_a_sound_plan_waits_for_nothing_or_for_ever(tasks in plan()) {
        if let Err(refusal) = check(&tasks) {
            prop_assert_eq!(refusal.code, Code::PlanInvalid);
            prop_assert!(refusal.detail.contains("circle"), "{}", refusal.detail);
            return Ok(());
        }
        let laid = first_states(&tasks, None, at(0));
        prop_assert_eq!(laid.len(), tasks.len());
        for (task, spec) in laid.iter().zip(&tasks) {
            let open_needs = task.needs.iter().filter(|(need, _)| {
                laid[*need].state != TaskState::Done
            }).count();
            let gate = task.parent.is_some_and(|parent| laid[parent].state == TaskState::Waiting);
            prop_assert_eq!(task.needs_unmet as usize, open_needs + usize::from(gate));
            let later = spec.not_before.is_some();
            let state = match (task.state, task.container) {
                (TaskState::Done, false) => spec.done,
                (TaskState::Done, true) => task.children_open == 0,
                (TaskState::Waiting, _) => task.needs_unmet > 0 || later,
                (TaskState::Running, true) => task.needs_unmet == 0 && task.children_open > 0,
                (TaskState::Parked, false) => task.needs_unmet == 0 && spec.approval.start,
                (TaskState::Ready, false) => task.needs_unmet == 0 && !spec.approval.start,
                _ => false,
            };
            prop_assert!(state, "{} is {:?} with {task:?}", spec.r#ref, task.state);
        }
        for index in 0..tasks.len() {
            let open = laid.iter().filter(|child| {
                child.parent == Some(index) && child.state != TaskState::Done
            }).count();
            prop_assert_eq!(laid[index].children_open as usize, open);
            prop_assert_eq!(laid[index].container, laid.iter().any(|c| c.parent == Some(index)));
        }
        prop_assert_eq!(work_off(&tasks, &laid), Vec::<usize>::new(), "left for ever");
    }

    /// One edge back along a chain closes a cycle, and the error shows the cycle.
    #[test]
    fn a_circle_is_found_and_spelt_out(tasks in plan(), from in any::<prop::sample::Index>(), length in 2usize..6) {
        let mut tasks = if check(&tasks).is_ok() { tasks } else { Vec::new() };
        let names: Vec<String> = (0..length).map(|n| format!("circle {n}")).collect();
        for (n, name) in names.iter().enumerate() {
            tasks.push(TaskSpec {
                r#ref: name.clone(),
                title: "t".into(),
                needs: vec![names[(n + 1) % length].clone()],
                ..TaskSpec::default()
            });
        }
        let index = from.index(tasks.len());
        tasks.rotate_left(index);
        let refusal = check(&tasks).unwrap_err();
        prop_assert_eq!(refusal.code, Code::PlanInvalid);
        prop_assert_eq!(refusal.errors.len(), 1);
        let shown: Vec<&str> = refusal.errors[0].detail.rsplit(": ").next().unwrap()
            .split(" -> ").collect();
        prop_assert_eq!(shown.len(), length + 1, "{:?}", shown);
        prop_assert_eq!(shown.first(), shown.last());
        for name in &names {
            prop_assert!(shown.contains(&name.as_str()), "{name} is not in {shown:?}");
        }
    }

    #[test]
    fn a_task_that_needs_its_container_or_itself_is_a_circle(tasks in plan(), which in 0..3) {
        let task = |name: &str, needs: &[&str], parent: Option<&str>| TaskSpec {
            r#ref: name.into(),
            title: "t".into(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            parent: parent.map(str::to_owned),
            ..TaskSpec::default()
        };
        let mut tasks = if check(&tasks).is_ok() { tasks } else { Vec::new() };
        tasks.extend(match which {
            0 => vec![task("x", &["x"], None)],
            1 => vec![task("x", &[], None), task("y", &["x"], Some("x"))],
            _ => vec![task("x", &["y"], None), task("y", &[], Some("x"))],
        });
        let refusal = check(&tasks).unwrap_err();
        prop_assert!(refusal.detail.contains("circle"), "{}", refusal.detail);
    }
}
