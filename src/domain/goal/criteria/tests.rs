//! Verification by random findings: it ends, it never completes too early, and people have the last word.

use proptest::prelude::*;

use super::*;
use crate::domain::words::Words as _;

const MAX_REWORK: i16 = 3;

fn findings() -> impl Strategy<Value = Finding> {
    prop::sample::select(&[Finding::Nothing, Finding::Met, Finding::NotMet, Finding::Waived][..])
}

fn last_tasks() -> impl Strategy<Value = Option<LastTask>> {
    let purposes = prop::sample::select(TaskPurpose::ALL);
    let task = (purposes, prop::sample::select(TaskState::ALL), findings());
    prop::option::of(task.prop_map(|(purpose, state, finding)| {
        // Only a check that is done has findings.
        let done = purpose == TaskPurpose::Verify && state == TaskState::Done;
        LastTask { purpose, state, finding: if done { finding } else { Finding::Nothing } }
    }))
}

fn criteria() -> impl Strategy<Value = Vec<CriterionFacts>> {
    let states = prop::sample::select(CriterionState::ALL);
    let one = (any::<bool>(), states, 0..=MAX_REWORK, last_tasks());
    prop::collection::vec(one, 1..6).prop_map(|all| {
        let numbered = all.into_iter().zip(1..);
        let fact = |((required, state, reworks, last), number)| CriterionFacts {
            number,
            required,
            state,
            reworks,
            last,
        };
        numbered.map(fact).collect()
    })
}

fn find(criteria: &mut [CriterionFacts], number: i16) -> &mut CriterionFacts {
    criteria.iter_mut().find(|criterion| criterion.number == number).unwrap()
}

fn made(purpose: TaskPurpose) -> Option<LastTask> {
    Some(LastTask { purpose, state: TaskState::Ready, finding: Finding::Nothing })
}

/// Writes a step as the store does; returns the number of tasks made.
fn write(criteria: &mut [CriterionFacts], step: &Step) -> usize {
    for (number, state) in &step.verdicts {
        find(criteria, *number).state = *state;
    }
    for number in &step.rework {
        let criterion = find(criteria, *number);
        criterion.reworks += 1;
        criterion.last = made(TaskPurpose::Rework);
    }
    let Next::Verify(numbers) = &step.next else { return step.rework.len() };
    for number in numbers {
        let criterion = find(criteria, *number);
        criterion.state = CriterionState::Open;
        criterion.last = made(TaskPurpose::Verify);
    }
    step.rework.len() + 1
}

proptest! {
    /// A goal completes exactly if nothing is open and no required criterion is unmet.
    #[test]
    fn complete_means_that_everything_required_is_satisfied(
        mut criteria in criteria(), open in any::<bool>(),
    ) {
        let step = step(&criteria, open, MAX_REWORK);
        write(&mut criteria, &step);
        let verified = criteria.iter().all(|c| !c.required || c.state == CriterionState::Satisfied);
        let completes = verified && !open && step.rework.is_empty();
        prop_assert_eq!(step.next == Next::Complete, completes);
        prop_assert_eq!(is_verified(&criteria), verified);
    }

    /// A satisfied criterion stays so whatever a check finds; one that is being reworked is not decided by the check
    /// before; and no check begins while a task is open.
    #[test]
    fn a_check_decides_only_what_it_was_made_for(criteria in criteria(), open in any::<bool>()) {
        let step = step(&criteria, open, MAX_REWORK);
        for (number, _) in &step.verdicts {
            let criterion = criteria.iter().find(|criterion| criterion.number == *number).unwrap();
            prop_assert_eq!(criterion.state, CriterionState::Open);
            prop_assert_eq!(criterion.last.unwrap().purpose, TaskPurpose::Verify);
        }
        if let Next::Verify(numbers) = &step.next {
            prop_assert!(!open);
            for number in numbers {
                let criterion = criteria.iter().find(|c| c.number == *number).unwrap();
                prop_assert!(criterion.state != CriterionState::Satisfied);
            }
        }
    }

    /// Agents alone make at most so many tasks, then the goal rests until a person decides.
    #[test]
    fn verification_without_a_person_ends(
        required in prop::collection::vec(any::<bool>(), 1..5),
        max_rework in 0..=MAX_REWORK,
        luck in prop::collection::vec((findings(), any::<bool>()), 1..40),
    ) {
        let fact = |(required, number): (&bool, i16)| CriterionFacts {
            number, required: *required, state: CriterionState::Open, reworks: 0, last: None,
        };
        let mut criteria: Vec<CriterionFacts> = required.iter().zip(1..).map(fact).collect();
        let mut luck = luck.iter().cycle();
        let mut tasks = 0;
        loop {
            let open = criteria.iter().filter_map(|c| c.last).any(|last| !last.state.is_terminal());
            let step = step(&criteria, open, max_rework);
            tasks += write(&mut criteria, &step);
            match step.next {
                Next::Complete => {
                    prop_assert!(is_verified(&criteria));
                    break;
                }
                Next::Stay => {
                    prop_assert!(!is_verified(&criteria));
                    break;
                }
                Next::Wait | Next::Verify(_) => {}
            }
            prop_assert!(tasks <= 1 + 2 * criteria.len() * max_rework as usize, "{tasks} tasks");
            for criterion in &mut criteria {
                let Some(last) = &mut criterion.last else { continue };
                if last.state.is_terminal() { continue }
                let (finding, fails) = luck.next().unwrap();
                last.state = if *fails { TaskState::Failed } else { TaskState::Done };
                if last.purpose == TaskPurpose::Verify && !fails {
                    // A required criterion is never left out of an accepted result.
                    let skips = criterion.required && *finding == Finding::Nothing;
                    last.finding = if skips { Finding::NotMet } else { *finding };
                }
            }
        }
    }

    /// A person is refused only while a task mends what was rejected.
    #[test]
    fn a_person_decides_what_is_not_being_reworked(criteria in criteria()) {
        for criterion in &criteria {
            let unmet = criterion.state != CriterionState::Satisfied;
            prop_assert_eq!(decide(criterion, CriterionVerdict::Approve).unwrap(), unmet);
            let busy = criterion.last.is_some_and(|last| {
                last.purpose == TaskPurpose::Rework && !last.state.is_terminal()
            });
            prop_assert_eq!(
                decide(criterion, CriterionVerdict::Reject).is_err(), busy && unmet);
        }
    }
}

#[test]
fn criteria_are_decided_while_the_goal_is_verifying() {
    for state in GoalState::ALL {
        let refused = decidable(*state).err().map(|refusal| refusal.code);
        let expected = match state {
            GoalState::Verifying => None,
            ended if ended.is_terminal() => Some(Code::GoalEnded),
            _ => Some(Code::WrongState),
        };
        assert_eq!(refused, expected, "{state}");
    }
}
