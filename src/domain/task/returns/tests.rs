//! Random lives of a goal on the pure rules: the caller that writes changes down is played by a few
//! lines here.

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Cause, Returns,
    graph::{Edge, Graph, Node},
    reopen, retry,
};
use crate::domain::{
    ids::TaskId,
    refusal::Code,
    states::{GoalState, TaskState},
    words::Words as _,
};

#[derive(Debug, Clone)]
struct Task {
    parent: Option<usize>,
    container: bool,
    /// Places of needed tasks, and whether each is satisfied.
    needs: Vec<(usize, bool)>,
    state: TaskState,
    started: bool,
    lost: bool,
    needs_unmet: i32,
    children_open: i32,
    children_failed: i32,
}

#[derive(Debug, Clone, Default)]
struct World {
    tasks: Vec<Task>,
}

fn id(place: usize) -> TaskId {
    TaskId(Uuid::from_u128(place as u128))
}

fn place(task: TaskId) -> usize {
    task.0.as_u128() as usize
}

impl World {
    /// A plan: `parents` makes containers of earlier tasks, `needs` dependencies on earlier tasks.
    fn new(parents: &[Option<prop::sample::Index>], needs: &[Vec<prop::sample::Index>]) -> Self {
        let mut world = Self::default();
        for (at, parent) in parents.iter().enumerate() {
            let parent = parent.filter(|_| at > 0).map(|index| index.index(at));
            let later = parent.map(|parent| world.end_later(parent)).unwrap_or_default();
            // What ends only after this task is nothing that it can need.
            let wanted = needs[at].iter().filter(|_| at > 0).map(|index| index.index(at));
            let mut wanted: Vec<usize> = wanted.filter(|need| !later.contains(need)).collect();
            wanted.sort_unstable();
            wanted.dedup();
            world.tasks.push(Task {
                parent,
                container: false,
                needs_unmet: wanted.len() as i32 + i32::from(parent.is_some()),
                needs: wanted.into_iter().map(|need| (need, false)).collect(),
                state: TaskState::Waiting,
                started: false,
                lost: false,
                children_open: 0,
                children_failed: 0,
            });
            if let Some(parent) = parent {
                world.tasks[parent].container = true;
                world.tasks[parent].children_open += 1;
            }
        }
        for at in 0..world.tasks.len() {
            world.free(at);
        }
        world
    }

    /// A task and every other one that cannot end before it.
    fn end_later(&self, than: usize) -> Vec<usize> {
        let (mut later, mut left) = (Vec::new(), vec![than]);
        while let Some(at) = left.pop() {
            if later.contains(&at) {
                continue;
            }
            later.push(at);
            left.extend(self.tasks[at].parent);
            for other in 0..self.tasks.len() {
                let within = std::iter::successors(Some(other), |at| self.tasks[*at].parent);
                let needs = |place: usize| self.tasks[place].needs.iter().any(|need| need.0 == at);
                if within.into_iter().any(needs) {
                    left.push(other);
                }
            }
        }
        later
    }

    fn children(&self, of: usize) -> Vec<usize> {
        (0..self.tasks.len()).filter(|at| self.tasks[*at].parent == Some(of)).collect()
    }

    fn free(&mut self, at: usize) {
        let task = &mut self.tasks[at];
        if task.state != TaskState::Waiting || task.needs_unmet > 0 {
            return;
        }
        if !task.container {
            task.state = TaskState::Ready;
            return;
        }
        task.state = TaskState::Running;
        for child in self.children(at) {
            if !self.tasks[child].state.is_terminal() {
                self.tasks[child].needs_unmet -= 1;
                self.free(child);
            }
        }
    }

    fn end(&mut self, at: usize, state: TaskState) {
        self.tasks[at].state = state;
        if state == TaskState::Done {
            for other in 0..self.tasks.len() {
                let needs = &mut self.tasks[other].needs;
                if let Some(need) = needs.iter_mut().find(|need| **need == (at, false)) {
                    need.1 = true;
                    self.tasks[other].needs_unmet -= 1;
                    self.free(other);
                }
            }
        } else {
            for other in 0..self.tasks.len() {
                let needs = self.tasks[other].needs.contains(&(at, false));
                let inside = self.tasks[other].parent == Some(at);
                if (needs || inside) && !self.tasks[other].state.is_terminal() {
                    self.tasks[other].lost = self.at_fault(at);
                    self.end(other, TaskState::Cancelled);
                }
            }
        }
        let Some(parent) = self.tasks[at].parent else { return };
        let above = &mut self.tasks[parent];
        above.children_open -= 1;
        above.children_failed += i32::from(state != TaskState::Done);
        if above.children_open > 0 || above.state.is_terminal() {
            return;
        }
        let (container, failed) = (above.container, above.children_failed);
        match (container, failed) {
            (true, 0) => self.end(parent, TaskState::Done),
            (true, _) => {
                let failure = self.children(parent).into_iter().any(|child| self.at_fault(child));
                let state = if failure { TaskState::Failed } else { TaskState::Cancelled };
                self.end(parent, state);
            }
            (false, _) => self.tasks[parent].state = TaskState::Ready,
        }
    }

    /// Whether a task failed, or was lost with one that did.
    fn at_fault(&self, at: usize) -> bool {
        let task = &self.tasks[at];
        task.state == TaskState::Failed || (task.state == TaskState::Cancelled && task.lost)
    }

    fn graph(&self) -> Graph {
        let node = |(at, task): (usize, &Task)| Node {
            task_id: id(at),
            reference: at.to_string(),
            state: task.state,
            container: task.container,
            parent: task.parent.map(id),
            started: task.started,
            lost_cause: task.lost && task.state == TaskState::Cancelled,
            children_open: task.children_open,
            obsolete: false,
        };
        let edges = self.tasks.iter().enumerate().flat_map(|(at, task)| {
            let edge = move |need: &(usize, bool)| Edge {
                task: id(at),
                needs: id(need.0),
                satisfied: need.1,
            };
            task.needs.iter().map(edge)
        });
        let edges: Vec<Edge> = edges.collect();
        Graph::new(self.tasks.iter().enumerate().map(node).collect(), &edges)
    }

    fn apply(&mut self, returns: &Returns) {
        for (task, need) in &returns.undone {
            let needs = &mut self.tasks[place(*task)].needs;
            let need = needs.iter_mut().find(|known| known.0 == place(*need)).unwrap();
            assert!(need.1, "undone twice");
            need.1 = false;
        }
        for held in &returns.held {
            let task = &mut self.tasks[place(held.task_id)];
            task.needs_unmet += held.more_needs;
            if held.waits_again {
                task.state = TaskState::Waiting;
            }
        }
        for back in &returns.tasks {
            let task = &mut self.tasks[place(back.task_id)];
            assert_eq!(task.state, back.from);
            (task.state, task.lost) = (TaskState::Waiting, false);
            task.needs_unmet = back.needs_unmet;
        }
        for (parent, more) in &returns.parents {
            let task = &mut self.tasks[place(*parent)];
            task.children_open += more.open;
            task.children_failed = (task.children_failed - more.failed).max(0);
        }
        for back in &returns.tasks {
            self.free(place(back.task_id));
        }
    }

    fn begun(&self, at: usize) -> bool {
        self.tasks[at].started || self.children(at).into_iter().any(|child| self.begun(child))
    }

    /// What `verify` checks of stored tasks.
    fn check(&self) -> Result<(), TestCaseError> {
        let lost =
            |at: usize| matches!(self.tasks[at].state, TaskState::Failed | TaskState::Cancelled);
        for (at, task) in self.tasks.iter().enumerate() {
            let open = !task.state.is_terminal();
            let children = self.children(at);
            let open_children =
                children.iter().filter(|child| !self.tasks[**child].state.is_terminal()).count();
            prop_assert_eq!(task.children_open, open_children as i32, "children of {}", at);
            if task.container {
                let failed = children.iter().filter(|child| lost(**child)).count();
                prop_assert_eq!(task.children_failed, failed as i32, "failed children of {}", at);
                prop_assert!(!open || open_children > 0, "{} contains nothing open", at);
                prop_assert!(open || open_children == 0, "{} has ended before its tasks", at);
                let done = task.state == TaskState::Done;
                prop_assert!(!done || failed == 0, "{} is done without its tasks", at);
            }
            for (need, satisfied) in &task.needs {
                let done = self.tasks[*need].state == TaskState::Done;
                prop_assert!(!done || *satisfied, "{} does not know that {} is done", at, need);
                prop_assert!(done || !satisfied || self.begun(at), "{} was not begun", at);
                prop_assert!(!open || *satisfied || !lost(*need), "{} waits for ever", at);
            }
            let Some(parent) = task.parent.filter(|_| open) else {
                continue;
            };
            let above = &self.tasks[parent];
            let waits = above.container || above.state == TaskState::Parked;
            prop_assert!(!above.state.is_terminal() && waits, "{} outlives {}", at, parent);
        }
        for (at, task) in self.tasks.iter().enumerate().filter(|(_, t)| !t.state.is_terminal()) {
            let unmet = task.needs.iter().filter(|(_, satisfied)| !satisfied).count() as i32;
            let closed = task.parent.is_some_and(|parent| {
                self.tasks[parent].container && self.tasks[parent].state == TaskState::Waiting
            });
            prop_assert_eq!(task.needs_unmet, unmet + i32::from(closed), "needs of {}", at);
            prop_assert_eq!(task.state == TaskState::Waiting, task.needs_unmet > 0, "{}", at);
        }
        Ok(())
    }

    fn works(&self) -> Option<usize> {
        self.tasks.iter().position(|task| {
            task.state == TaskState::Ready || (task.state == TaskState::Running && !task.container)
        })
    }
}

#[derive(Debug, Clone)]
enum Happening {
    Start(prop::sample::Index),
    Finish(prop::sample::Index, bool),
    Split(prop::sample::Index),
    Cancel(prop::sample::Index),
    Retry(prop::sample::Index),
    RetryAll,
    Reopen(prop::sample::Index),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let index = || any::<prop::sample::Index>();
    prop_oneof![
        3 => index().prop_map(H::Start),
        8 => (index(), prop::bool::weighted(0.7)).prop_map(|(at, good)| H::Finish(at, good)),
        1 => index().prop_map(H::Split),
        1 => index().prop_map(H::Cancel),
        4 => index().prop_map(H::Retry),
        1 => Just(H::RetryAll),
        4 => index().prop_map(H::Reopen),
    ]
}

fn worlds() -> impl Strategy<Value = World> {
    let task = (
        prop::option::weighted(0.4, any::<prop::sample::Index>()),
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    );
    prop::collection::vec(task, 1..12).prop_map(|tasks| {
        let (parents, needs): (Vec<_>, Vec<_>) = tasks.into_iter().unzip();
        World::new(&parents, &needs)
    })
}

impl World {
    fn happen(&mut self, happening: &Happening) -> Result<(), TestCaseError> {
        let before = self.clone();
        let of = |index: &prop::sample::Index| index.index(before.tasks.len());
        match happening {
            Happening::Start(index) => {
                let task = &mut self.tasks[of(index)];
                if task.state == TaskState::Ready {
                    (task.state, task.started) = (TaskState::Running, true);
                }
            }
            Happening::Finish(index, good) => {
                let at = of(index);
                let works = matches!(self.tasks[at].state, TaskState::Ready | TaskState::Running);
                if works && !self.tasks[at].container {
                    self.tasks[at].started = true;
                    self.end(at, if *good { TaskState::Done } else { TaskState::Failed });
                }
            }
            Happening::Split(index) => {
                let at = of(index);
                if self.tasks[at].state == TaskState::Running && !self.tasks[at].container {
                    self.tasks[at].state = TaskState::Parked;
                    (self.tasks[at].children_open, self.tasks[at].children_failed) = (2, 0);
                    let first = self.tasks.len();
                    let subtask = Task {
                        parent: Some(at),
                        started: false,
                        lost: false,
                        needs: Vec::new(),
                        state: TaskState::Ready,
                        children_open: 0,
                        ..before.tasks[at].clone()
                    };
                    self.tasks.push(subtask.clone());
                    self.tasks.push(Task {
                        needs: vec![(first, false)],
                        needs_unmet: 1,
                        state: TaskState::Waiting,
                        ..subtask
                    });
                }
            }
            Happening::Cancel(index) => {
                if !self.tasks[of(index)].state.is_terminal() {
                    self.end(of(index), TaskState::Cancelled);
                }
            }
            Happening::Retry(index) => {
                let asked = retry::task(&self.graph(), id(of(index)));
                self.retried(&before, asked, self.tasks[of(index)].state == TaskState::Failed)?;
            }
            Happening::RetryAll => {
                let asked = retry::goal(&self.graph());
                let failed = self.tasks.iter().any(|task| task.state == TaskState::Failed);
                self.retried(&before, asked, failed)?;
            }
            Happening::Reopen(index) => {
                let at = of(index);
                match reopen::task(&self.graph(), id(at)) {
                    Ok(returns) => {
                        self.apply(&returns);
                        prop_assert_eq!(before.tasks[at].state, TaskState::Done);
                        let begun = returns.begun.iter().map(|task| place(*task));
                        for other in begun {
                            prop_assert_eq!(self.tasks[other].state, before.tasks[other].state);
                        }
                        for other in returns.waiting_again().map(place) {
                            prop_assert!(!before.begun(other), "{} was begun", other);
                        }
                    }
                    Err(refusal) => prop_assert_eq!(refusal.code, Code::WrongState),
                }
            }
        }
        Ok(())
    }

    /// Applies a retry: finished work and what was cancelled on request stay as they are.
    fn retried(
        &mut self,
        before: &World,
        asked: Result<Returns, crate::domain::refusal::Refusal>,
        failed: bool,
    ) -> Result<(), TestCaseError> {
        let returns = match asked {
            Ok(returns) => returns,
            Err(refusal) => {
                prop_assert_eq!(refusal.code, Code::WrongState);
                return Ok(());
            }
        };
        prop_assert!(failed, "something was retried that had not failed");
        prop_assert!(returns.of(Cause::Retried).count() > 0);
        prop_assert!(returns.begun.is_empty() && returns.held.is_empty());
        self.apply(&returns);
        for (was, is) in before.tasks.iter().zip(&self.tasks) {
            let wanted = was.state == TaskState::Cancelled && !was.lost;
            if was.state == TaskState::Done || wanted {
                prop_assert_eq!(was.state, is.state);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn whatever_comes_back_the_counts_are_right(
        world in worlds(),
        happenings in prop::collection::vec(happening(), 0..60),
    ) {
        let mut world = world;
        world.check()?;
        for happening in &happenings {
            world.happen(happening)?;
            world.check()?;
        }
    }

    /// What failed, with everything that was lost with it, can all be done after one retry of the goal.
    #[test]
    fn a_retried_goal_can_be_completed(
        world in worlds(),
        happenings in prop::collection::vec(happening(), 0..40),
    ) {
        let mut world = world;
        for happening in &happenings {
            if !matches!(happening, Happening::Cancel(_) | Happening::Split(_)) {
                world.happen(happening)?;
            }
        }
        let failed = world.tasks.iter().any(|task| task.state == TaskState::Failed);
        let retried = retry::goal(&world.graph());
        prop_assert_eq!(retried.is_ok(), failed);
        if let Ok(returns) = retried {
            world.apply(&returns);
        }
        while let Some(at) = world.works() {
            world.tasks[at].started = true;
            world.end(at, TaskState::Done);
            world.check()?;
        }
        prop_assert!(world.tasks.iter().all(|task| task.state == TaskState::Done), "{:#?}", world);
    }
}

#[test]
fn each_state_has_its_answer() {
    for state in TaskState::ALL {
        let node = Node {
            task_id: id(0),
            reference: "a".to_owned(),
            state: *state,
            container: false,
            parent: None,
            started: false,
            lost_cause: false,
            children_open: 0,
            obsolete: false,
        };
        let graph = Graph::new(vec![Node { obsolete: true, ..node.clone() }], &[]);
        assert!(retry::task(&graph, id(0)).is_err() && retry::goal(&graph).is_err(), "{state}");
        let graph = Graph::new(vec![node], &[]);
        assert_eq!(retry::task(&graph, id(0)).is_ok(), *state == TaskState::Failed, "{state}");
        assert_eq!(reopen::task(&graph, id(0)).is_ok(), *state == TaskState::Done, "{state}");
        assert_eq!(retry::task(&graph, id(1)).unwrap_err().code, Code::NotFound);
    }
    for state in GoalState::ALL {
        let good =
            state.is_worked_on() || matches!(state, GoalState::Failed | GoalState::Completed);
        assert_eq!(retry::in_goal(*state).is_ok(), good, "{state}");
        assert_eq!(reopen::in_goal(*state).is_ok(), good, "{state}");
    }
}
