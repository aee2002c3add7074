//! The guarantees of a review, for random criteria, waivers and counts.

use proptest::prelude::*;
use uuid::Uuid;

use crate::domain::{
    approval::review::*,
    ids::{GoalId, TaskId},
    states::TaskState,
    words::Words as _,
};

fn task(max_rework: i32, reworks: i32, cancelling: bool) -> TaskFacts {
    TaskFacts {
        task_id: TaskId(Uuid::nil()),
        goal_id: GoalId(Uuid::nil()),
        parent_id: None,
        container: false,
        state: TaskState::Reviewing,
        priority: 5,
        ready_from: DateTime::UNIX_EPOCH,
        children_open: 0,
        children_failed: 0,
        attempts_used: 1,
        max_attempts: 3,
        lost_in_row: 0,
        released_in_row: 0,
        approve_start: false,
        approve_result: true,
        current_attempt: None,
        cancelling,
        max_rework,
        reworks,
        weight: 1,
        criteria_version: 1,
        checks: None,
    }
}

fn waiver(criterion: i16) -> Waiver {
    Waiver { criterion, reason: "seen".to_owned() }
}

fn criteria(flags: &[(bool, bool)]) -> Vec<Shown> {
    let numbered = flags.iter().zip(1i16..);
    numbered
        .map(|((required, shown), number)| Shown {
            number,
            required: *required,
            shown: *shown,
            person: false,
        })
        .collect()
}

proptest! {
    /// A result is accepted exactly if each criterion that needs a waiver has one, and no other does.
    #[test]
    fn exactly_what_is_not_shown_is_waived(
        flags in prop::collection::vec((any::<bool>(), any::<bool>()), 0..8),
        waived in prop::collection::btree_set(-1i16..10, 0..8),
    ) {
        let criteria = criteria(&flags);
        let needed: std::collections::BTreeSet<i16> = criteria.iter()
            .filter(|c| c.required && !c.shown).map(|c| c.number).collect();
        let waive: Vec<Waiver> = waived.iter().copied().map(waiver).collect();
        let verdict = check_waivers(&criteria, &waive);
        prop_assert_eq!(verdict.is_ok(), waived == needed);
        if let Err(refusal) = verdict {
            let needless = waived.difference(&needed).count();
            let code = if needless > 0 { Code::Invalid } else { Code::EvidenceMissing };
            prop_assert_eq!(refusal.code, code);
            prop_assert_eq!(refusal.errors.len(), needless.max(1));
            for number in needed.difference(&waived).filter(|_| needless == 0) {
                prop_assert!(refusal.detail.contains(&number.to_string()));
            }
        }
    }

    /// A person chooses when the bound is reached and again after each further round. No attempt is
    /// lost, and the count stays within its bounds.
    #[test]
    fn the_bound_is_reached_once_per_round(max_rework in 1i32..=20, rounds in 1usize..5) {
        let mut task = task(max_rework, 0, false);
        let mut sent_back = 0;
        for round in 0..rounds {
            loop {
                let (reworks, rejection) = rejected(&task, DateTime::UNIX_EPOCH);
                prop_assert!((1..=max_rework).contains(&reworks));
                task.reworks = reworks;
                match rejection {
                    Rejection::Again(ending) => {
                        sent_back += 1;
                        prop_assert_eq!(ending.attempts_used, task.attempts_used);
                        prop_assert_eq!(ending.next, Next::Retry(DateTime::UNIX_EPOCH));
                    }
                    Rejection::Choose => break,
                }
            }
            prop_assert_eq!(task.reworks, max_rework);
            prop_assert_eq!(sent_back, max_rework - 1, "round {}", round);
            task.reworks = one_more_round(&task);
        }
    }

    #[test]
    fn what_is_being_cancelled_is_no_question(max_rework in 1i32..=20, reworks in 0i32..=20) {
        let task = task(max_rework, reworks.min(max_rework), true);
        let (_, rejection) = rejected(&task, DateTime::UNIX_EPOCH);
        prop_assert_eq!(rejection, Rejection::Again(review(&task, false, DateTime::UNIX_EPOCH)));
    }

    /// Every choice goes with exactly one verdict, and only with decisions about results.
    #[test]
    fn a_choice_goes_with_its_verdict(
        action in prop::sample::select(ReviewChoice::ALL),
        verdict in prop::sample::select(Verdict::ALL),
        kind in prop::sample::select(ApprovalKind::ALL),
    ) {
        let tasks = match action {
            ReviewChoice::Split => vec![TaskSpec::default()],
            ReviewChoice::Accept | ReviewChoice::Reassign | ReviewChoice::Cancel => Vec::new(),
        };
        let choice = Choice { action, agent_id: None, tasks };
        let mut checks = Checks::new();
        let said = Said { verdict, waive: &[], feedback: &[], choice: Some(&choice) };
        check_said(&mut checks, kind, said);
        let goes = kind == ApprovalKind::Result && verdict == action.verdict();
        prop_assert_eq!(checks.finish().is_ok(), goes);
    }
}

#[test]
fn a_choice_is_made_in_the_last_round_and_only_there() {
    let choice = Choice { action: ReviewChoice::Accept, agent_id: None, tasks: Vec::new() };
    assert!(check_choice(true, Some(&choice)).is_ok() && check_choice(false, None).is_ok());
    assert!(check_choice(true, None).is_err() && check_choice(false, Some(&choice)).is_err());
}
