//! Chains of random planners that are taken, killed, failed, cancelled and continued in any order.

use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::words::Words as _;

/// Something that happens to a goal that is planned.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A server looks, and takes what is to be taken.
    Look,
    /// The server that took the run last hands in a plan.
    Plan,
    /// The server that took the run last says that there is none.
    Fail,
    /// A server that took the run before the last one hands in a plan, late.
    Late,
    /// All servers are killed, and the time of the run passes.
    Kill,
    /// A person gives the goal another chain.
    Continue,
    /// The goal ends, if it does not wait for its plan.
    End,
}

/// The state of a goal while a plan of this target is made.
fn planned_in(target: Target) -> GoalState {
    match target {
        Target::Plan => GoalState::Planning,
        Target::Replan | Target::Parts => GoalState::Active,
    }
}

fn targets() -> impl Strategy<Value = Target> {
    prop::sample::select(Target::ALL)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    use Event::{Continue, End, Fail, Kill, Late, Look, Plan};
    let event = prop_oneof![
        6 => Just(Look), 2 => Just(Plan), 4 => Just(Fail), 2 => Just(Late), 4 => Just(Kill),
        1 => Just(Continue), 1 => Just(End),
    ];
    prop::collection::vec(event, 0..60)
}

fn chains() -> impl Strategy<Value = Vec<PlannerChoice>> {
    prop::sample::subsequence(PlannerChoice::ALL, 1..=PlannerChoice::ALL.len()).prop_shuffle()
}

/// The rows of one goal, changed as the app changes them.
struct Goal {
    target: Target,
    state: GoalState,
    runs: Vec<RunFacts>,
    now: DateTime<Utc>,
    plans: usize,
}

impl Goal {
    fn new(target: Target, chain: &[PlannerChoice]) -> Self {
        let (state, now) = (planned_in(target), DateTime::UNIX_EPOCH);
        let mut goal = Self { target, state, runs: Vec::new(), now, plans: 0 };
        goal.add(chain);
        goal
    }

    fn add(&mut self, chain: &[PlannerChoice]) {
        for (place, planner) in chain.iter().enumerate() {
            let ordinal = self.runs.len() as i32 + 1;
            self.runs.push(RunFacts {
                run_id: PlanningRunId(Uuid::from_u128(ordinal as u128)),
                ordinal,
                planner: *planner,
                state: if place == 0 { RunState::Waiting } else { RunState::Queued },
                attempt: 0,
                running_until: None,
                task_id: None,
                target: self.target,
                parts_of: (self.target == Target::Parts).then_some(TaskId(Uuid::from_u128(9))),
                moot: false,
            });
        }
    }

    fn run(&mut self, ordinal: i32) -> &mut RunFacts {
        self.runs.iter_mut().find(|run| run.ordinal == ordinal).unwrap()
    }

    fn close(&mut self, state: RunState) {
        for run in self.runs.iter_mut().filter(|run| !run.state.is_terminal()) {
            run.state = state;
        }
    }

    fn fail(&mut self, ordinal: i32) {
        self.run(ordinal).state = RunState::Failed;
        let failed = self.run(ordinal).clone();
        if let Some(next) = after(&self.runs, &failed).map(|run| run.ordinal) {
            self.run(next).state = RunState::Waiting;
        }
    }

    fn plan(&mut self, attempt: impl Fn(i32) -> i32) {
        let Some(run) = live(&self.runs).cloned() else { return };
        if run.state != RunState::Running || !counts(self.state, &run, attempt(run.attempt)) {
            return;
        }
        self.run(run.ordinal).state = RunState::Planned;
        self.close(RunState::Skipped);
        self.plans += 1;
        if self.target == Target::Plan {
            self.state = GoalState::Active;
        }
    }

    fn step(&self) -> Step {
        live(&self.runs).map_or(Step::Nothing, |run| step(self.state, run, self.now))
    }

    fn happen(&mut self, event: Event, chain: &[PlannerChoice]) {
        match event {
            Event::Look => {
                let Some(ordinal) = live(&self.runs).map(|run| run.ordinal) else { return };
                match self.step() {
                    Step::Nothing | Step::Look(_) => {}
                    Step::Close => self.close(RunState::Cancelled),
                    Step::Take => {
                        let until = self.now + settings::PLANNING_LEASE;
                        let run = self.run(ordinal);
                        run.state = RunState::Running;
                        (run.attempt, run.running_until) = (run.attempt + 1, Some(until));
                    }
                    Step::GiveUp => self.fail(ordinal),
                }
            }
            Event::Plan => self.plan(|attempt| attempt),
            Event::Late => self.plan(|attempt| attempt - 1),
            Event::Fail => {
                if let Some(run) = live(&self.runs).cloned()
                    && run.state == RunState::Running
                {
                    self.fail(run.ordinal);
                }
            }
            Event::Kill => self.now += settings::PLANNING_LEASE + Duration::from_secs(1),
            Event::Continue if self.state == planned_in(self.target) && self.runs.len() < 40 => {
                self.close(RunState::Cancelled);
                self.add(chain);
            }
            Event::End if self.target != Target::Plan => self.state = GoalState::Completed,
            Event::Continue | Event::End => {}
        }
    }
}

proptest! {
    #[test]
    fn one_run_is_live_and_one_plan_is_made(target in targets(), chain in chains(), events in events()) {
        let mut goal = Goal::new(target, &chain);
        for event in events {
            goal.happen(event, &chain);
            let live: Vec<_> = goal.runs.iter().filter(|run| run.state.is_live()).collect();
            let queued = goal.runs.iter().any(|run| run.state == RunState::Queued);
            prop_assert!(live.len() <= 1);
            prop_assert!(goal.plans <= 1 || target != Target::Plan);
            let planned = goal.runs.iter().filter(|run| run.state == RunState::Planned).count();
            prop_assert_eq!(planned, goal.plans);
            // Nothing is queued behind nobody: a chain ends with a plan or a person.
            prop_assert!(!queued || live.len() == 1);
            if goal.state != planned_in(target) && target == Target::Plan {
                prop_assert!(live.is_empty() && !queued);
            }
            for run in &goal.runs {
                prop_assert!(run.attempt <= settings::PLANNING_TAKES);
            }
        }
        // Nothing goes on for a goal that has ended.
        goal.state = GoalState::Cancelled;
        goal.plan(|attempt| attempt);
        goal.happen(Event::Look, &chain);
        let planned = goal.runs.iter().filter(|run| run.state == RunState::Planned).count();
        prop_assert_eq!(planned, goal.plans);
        prop_assert!(target == Target::Plan || live(&goal.runs).is_none());
    }

    /// Whatever is killed, the chain comes to an end without a person, and in its order.
    #[test]
    fn a_chain_ends_however_often_servers_are_killed(target in targets(), chain in chains()) {
        let mut goal = Goal::new(target, &chain);
        let most = chain.len() * (settings::PLANNING_TAKES as usize + 1);
        for _ in 0..most {
            goal.happen(Event::Look, &chain);
            goal.happen(Event::Kill, &chain);
        }
        prop_assert_eq!(goal.step(), Step::Nothing);
        prop_assert!(goal.runs.iter().all(|run| run.state == RunState::Failed));
    }
}

#[test]
fn a_run_that_is_held_is_left_alone_and_one_with_a_task_is_looked_at() {
    let mut goal = Goal::new(Target::Plan, &[PlannerChoice::Llm]);
    goal.happen(Event::Look, &[]);
    assert_eq!(goal.step(), Step::Nothing);
    let task = TaskId(Uuid::from_u128(7));
    (goal.runs[0].task_id, goal.runs[0].running_until) = (Some(task), None);
    assert_eq!(goal.step(), Step::Look(task));
    goal.state = GoalState::Cancelled;
    assert_eq!(goal.step(), Step::Nothing);
}

#[test]
fn parts_that_nobody_waits_for_are_not_planned() {
    let mut goal = Goal::new(Target::Parts, &[PlannerChoice::Agent, PlannerChoice::Llm]);
    goal.happen(Event::Look, &[]);
    goal.runs[0].moot = true;
    assert_eq!(goal.step(), Step::Close);
    assert!(!counts(goal.state, &goal.runs[0], 1));
    // The chain of another task does not go on for this one.
    goal.runs[1].parts_of = Some(TaskId(Uuid::from_u128(10)));
    assert_eq!(after(&goal.runs, &goal.runs[0]), None);
}
