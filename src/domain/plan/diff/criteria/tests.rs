//! Edited lists of criteria, one habit each; and random ones.

use std::collections::BTreeMap;

use super::{
    CriterionAction, CriterionEntry, CriterionReason, Decider, Followed, PresentCriterion, Then,
    follow,
};
use crate::domain::{
    goal::criteria::{CriterionState, Written},
    plan::{CriterionSpec, diff::tests::random::Random},
    settings,
};

/// `[ ] text` or `[x] text` per line.
fn list(text: &str) -> Vec<CriterionSpec> {
    let spec = |line: &str| CriterionSpec {
        text: line.trim()[4..].to_owned(),
        required: true,
        satisfied: line.trim().starts_with("[x]"),
        ..CriterionSpec::default()
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(spec).collect()
}

fn with_names(
    present: &[PresentCriterion],
    wanted: Vec<CriterionSpec>,
    sources: &[(&str, &str)],
) -> Followed {
    let sources = sources.iter().map(|(name, source)| ((*name).into(), (*source).into()));
    follow(present, wanted, &BTreeMap::from_iter(sources)).expect("few enough criteria")
}

/// Compares, and holds what holds for every comparison.
fn compare(present: &[PresentCriterion], wanted: &str) -> Followed {
    let found = with_names(present, list(wanted), &[]);
    let told: Vec<CriterionSpec> =
        found.entries.iter().filter_map(CriterionEntry::wanted).collect();
    assert_eq!(told.len(), list(wanted).len(), "each criterion of the plan is told once");
    let mut present = present.to_vec();
    apply(&mut present, &found);
    let again = with_names(&present, told, &[]);
    assert!(!again.entries.iter().any(CriterionEntry::changes), "{:#?}", again.entries);
    found
}

/// Criteria as they are after a plan.
fn apply(present: &mut Vec<PresentCriterion>, found: &Followed) {
    present.retain(|criterion| !found.remove.contains(&criterion.number));
    for criterion in present.iter_mut() {
        if let Some((_, written)) = found.written.iter().find(|of| of.0 == criterion.number) {
            criterion.written = Some(*written);
        }
        let Some(edit) = found.edit.iter().find(|edit| edit.number == criterion.number) else {
            continue;
        };
        criterion.text.clone_from(&edit.text);
        criterion.required = edit.required;
        let (state, decider) = match edit.then {
            Then::Stays => continue,
            Then::Open => (CriterionState::Open, None),
            Then::Satisfied => (CriterionState::Satisfied, Some(Decider::Plan)),
        };
        (criterion.state, criterion.decider, criterion.checked) = (state, decider, false);
    }
    let last = present.iter().map(|criterion| criterion.number).max().unwrap_or(0);
    for (number, spec) in (last + 1..).zip(&found.add) {
        present.push(PresentCriterion {
            number,
            text: spec.text.clone(),
            required: spec.required,
            state: if spec.satisfied { CriterionState::Satisfied } else { CriterionState::Open },
            written: Some(Written::of(spec.satisfied)),
            decider: spec.satisfied.then_some(Decider::Plan),
            checked: false,
        });
    }
}

fn posted(text: &str) -> Vec<PresentCriterion> {
    let mut present = Vec::new();
    apply(&mut present, &with_names(&[], list(text), &[]));
    present
}

fn decided(criterion: &mut PresentCriterion, state: CriterionState, decider: Decider) {
    (criterion.state, criterion.decider, criterion.checked) = (state, Some(decider), true);
}

/// `action:reason:number` of each entry that is not kept unchanged.
fn told(found: &Followed) -> String {
    let entries = found.entries.iter().filter(|entry| entry.reason != CriterionReason::Unchanged);
    let told = entries.map(|entry| {
        let number = entry.number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        format!("{}:{}:{number}", entry.action, entry.reason)
    });
    told.collect::<Vec<_>>().join(" ")
}

const THREE: &str = "[ ] All files import\n[ ] It takes a minute\n[x] The manual says how";

#[test]
fn the_same_list_changes_nothing_whatever_was_decided() {
    let mut present = posted(THREE);
    decided(&mut present[0], CriterionState::Satisfied, Decider::Evidence);
    decided(&mut present[1], CriterionState::Rejected, Decider::Evidence);
    decided(&mut present[2], CriterionState::Rejected, Decider::Person);
    let found = compare(&present, THREE);
    assert_eq!(told(&found), "");
    assert_eq!(found.entries.len(), 3);
    assert!(found.edit.is_empty() && found.add.is_empty() && found.remove.is_empty());
}

#[test]
fn criteria_are_added_removed_and_moved() {
    let present = posted(THREE);
    let found = compare(
        &present,
        "[x] The manual says how\n[ ] Nothing is lost\n[x] Users were asked\n[ ] All files import",
    );
    assert_eq!(told(&found), "add:new:- add:new:- remove:removed:2");
    let state = |at: usize| found.entries[at].state;
    assert_eq!((state(1), state(2)), (CriterionState::Open, CriterionState::Satisfied));
}

#[test]
fn other_words_open_what_was_decided() {
    let reworded =
        "[ ] All files import without an error\n[ ] It takes a minute\n[x] The manual says how";
    let mut present = posted(THREE);
    let found = compare(&present, reworded);
    assert_eq!(told(&found), "change:reworded:1");
    assert_eq!((found.edit[0].then, found.edit[0].reopened), (Then::Stays, false), "it was open");
    assert_eq!(found.entries[0].before.as_deref(), Some("All files import"));

    for (state, decider, why) in [
        (CriterionState::Satisfied, Decider::Evidence, "evidence satisfied it"),
        (CriterionState::Satisfied, Decider::Person, "a person approved it"),
        (CriterionState::Rejected, Decider::Evidence, "a check found that it is not met"),
    ] {
        decided(&mut present[0], state, decider);
        let found = compare(&present, reworded);
        assert_eq!(told(&found), "change:reworded:1");
        assert_eq!((found.edit[0].then, found.edit[0].reopened), (Then::Open, true));
        assert_eq!(found.entries[0].state, CriterionState::Open);
        assert!(found.entries[0].why.contains(why), "{}", found.entries[0].why);
        assert_eq!(found.restarted(), [1]);
    }
}

#[test]
fn case_and_punctuation_keep_the_verdict() {
    let mut present = posted(THREE);
    decided(&mut present[0], CriterionState::Satisfied, Decider::Evidence);
    let found = compare(&present, &THREE.replace("All files import", "**All** files import!"));
    assert_eq!(told(&found), "change:spelling:1");
    assert_eq!(found.edit[0].then, Then::Stays);
    assert_eq!(found.entries[0].state, CriterionState::Satisfied);
}

#[test]
fn a_tick_satisfies_what_nobody_decided_or_checks() {
    let ticked = THREE.replace("[ ]", "[x]");
    let mut present = posted(THREE);
    let found = compare(&present, &ticked);
    assert_eq!(told(&found), "change:ticked:1 change:ticked:2");
    assert_eq!(found.edit[0].then, Then::Satisfied);

    decided(&mut present[0], CriterionState::Rejected, Decider::Evidence);
    present[1].checked = true;
    let found = compare(&present, &ticked);
    assert_eq!(told(&found), "keep:decided:1 keep:decided:2");
    assert!(found.entries[0].why.contains("not met") && found.entries[0].why.contains("a person"));
    assert!(found.entries[1].why.contains("being checked"), "{}", found.entries[1].why);
    assert_eq!(found.written[0], (1, Written::Open), "the same tick counts later");

    // What evidence showed agrees with the tick.
    decided(&mut present[1], CriterionState::Satisfied, Decider::Evidence);
    assert_eq!(told(&compare(&present, &ticked)), "keep:decided:1");
}

#[test]
fn an_unticked_box_takes_back_a_tick_and_nothing_else() {
    let open = THREE.replace("[x]", "[ ]");
    let mut present = posted(THREE);
    let found = compare(&present, &open);
    assert_eq!(told(&found), "change:unticked:3");
    assert_eq!((found.edit[0].then, found.edit[0].reopened), (Then::Open, true));
    decided(&mut present[2], CriterionState::Satisfied, Decider::Person);
    let found = compare(&present, &open);
    assert_eq!(told(&found), "keep:decided:3");
    assert!(found.entries[2].why.contains("a person approved it"));
}

#[test]
fn what_was_given_beside_the_plan_stays() {
    let mut present = posted(THREE);
    present[0].written = None;
    let found = compare(&present, "[ ] It takes a minute\n[x] The manual says how");
    assert_eq!(told(&found), "", "the plan does not have it, and does not say so");
    assert_eq!(found.entries.len(), 2);
    let found = compare(&present, &THREE.replace("[ ]", "[x]"));
    assert_eq!(told(&found), "keep:given:1 change:ticked:2");
    let other = THREE.replace("It takes a minute", "Nobody has to wait");
    assert_eq!(
        told(&compare(&present, &other)),
        "keep:given:1 change:reworded:2",
        "it is no neighbour"
    );
}

#[test]
fn a_removed_criterion_is_told_with_its_verdict() {
    let mut present = posted(THREE);
    decided(&mut present[0], CriterionState::Satisfied, Decider::Evidence);
    let found = compare(&present, "[ ] It takes a minute\n[x] The manual says how");
    assert_eq!(told(&found), "remove:removed:1");
    let entry = &found.entries[2];
    assert_eq!((entry.action, entry.state), (CriterionAction::Remove, CriterionState::Satisfied));
    assert!(entry.why.contains("evidence satisfied it"), "{}", entry.why);
    assert_eq!((found.remove.clone(), found.restarted()), (vec![1], vec![1]));
}

#[test]
fn a_line_between_the_same_neighbours_is_the_same_criterion() {
    let mut present = posted(THREE);
    let other = THREE.replace("It takes a minute", "Nobody has to wait");
    assert_eq!(told(&compare(&present, &other)), "change:reworded:2");
    // Another text is another criterion, once there is a verdict.
    decided(&mut present[1], CriterionState::Satisfied, Decider::Evidence);
    assert_eq!(told(&compare(&present, &other)), "add:new:- remove:removed:2");
}

#[test]
fn the_most_similar_one_is_the_same() {
    let present = posted("[ ] The old files of March import\n[ ] The new files import fast");
    let found = compare(
        &present,
        "[ ] The new files import very fast\n[ ] All the old files of March import",
    );
    assert_eq!(told(&found), "change:reworded:2 change:reworded:1");
}

#[test]
fn what_the_goal_needs_is_checked_for_it() {
    let mut present = posted(THREE);
    for criterion in &mut present {
        criterion.required = false;
    }
    decided(&mut present[0], CriterionState::Rejected, Decider::Evidence);
    let found = compare(&present, THREE);
    assert_eq!(told(&found), "change:edited:1 change:edited:2 change:edited:3");
    let then: Vec<Then> = found.edit.iter().map(|edit| edit.then).collect();
    assert_eq!(then, [Then::Open, Then::Stays, Then::Stays]);
}

/// The criteria of a container begin with its name, which is that of the goal.
#[test]
fn numbers_of_the_document_are_no_words() {
    let mut present = posted("[ ] s1-1: it works\n[ ] s1-2: it works");
    decided(&mut present[0], CriterionState::Satisfied, Decider::Evidence);
    let wanted = list("[ ] s1-1: it is new\n[ ] s1-2: it works\n[ ] s1-3: it works");
    let sources = [("s1-3", "s1-1"), ("s1-1", "s1-2"), ("s1-2", "s1-3")];
    let found = with_names(&present, wanted, &sources);
    assert_eq!(told(&found), "add:new:-");
    assert_eq!(found.add[0].text, "s1-3: it is new");
}

#[test]
fn a_goal_has_no_more_than_so_many() {
    let many = |from: usize, count: usize| -> Vec<CriterionSpec> {
        let spec = |at| CriterionSpec {
            text: format!("c{at}"),
            required: true,
            satisfied: false,
            ..CriterionSpec::default()
        };
        (from..from + count).map(spec).collect()
    };
    let mut present = Vec::new();
    apply(&mut present, &with_names(&[], many(0, settings::GOAL_CRITERIA), &[]));
    for criterion in &mut present {
        criterion.checked = true;
    }
    // None is like another, and there are too many to compare each with each.
    let found = with_names(&present, many(5_000, settings::GOAL_CRITERIA), &[]);
    assert_eq!((found.add.len(), found.remove.len()), (1_000, 1_000));
    present[7].written = None;
    let refused = follow(&present, many(5_000, settings::GOAL_CRITERIA), &BTreeMap::new());
    assert_eq!(refused.expect_err("one more").errors[0].pointer, "/brief");
}

/// The diffs of earlier versions had the criteria that they added.
#[test]
fn a_stored_diff_of_an_earlier_version_is_read() {
    let stored = r#"{"text": "it works", "required": false}"#;
    let entry: CriterionEntry = serde_json::from_str(stored).expect("it is read");
    assert_eq!((entry.action, entry.reason), (CriterionAction::Add, CriterionReason::New));
    let wanted = entry.wanted().expect("it is added");
    assert_eq!(
        (wanted.text.as_str(), wanted.required, wanted.satisfied),
        ("it works", false, false)
    );
}

/// After any edits and verdicts: a verdict of evidence or a person about words that stay is kept, what is not of the plan is
/// never touched, and the same list again changes nothing.
#[test]
fn random_lists_lose_no_verdict() {
    const WORDS: [&str; 8] =
        ["files", "import", "fast", "users", "manual", "errors", "march", "tests"];
    let mut random = Random(16);
    let text = |random: &mut Random| {
        let count = 2 + random.below(4);
        (0..count).map(|_| WORDS[random.below(WORDS.len())]).collect::<Vec<_>>().join(" ")
    };
    let line = |random: &mut Random| {
        let mark = if random.below(3) == 0 { 'x' } else { ' ' };
        format!("[{mark}] {}", text(random))
    };
    for _ in 0..300 {
        let mut lines: Vec<String> = (0..random.below(12)).map(|_| line(&mut random)).collect();
        let mut present = posted(&lines.join("\n"));
        for _ in 0..6 {
            for criterion in &mut present {
                let state = [CriterionState::Satisfied, CriterionState::Rejected][random.below(2)];
                let decider = [Decider::Evidence, Decider::Person][random.below(2)];
                match random.below(6) {
                    0 => decided(criterion, state, decider),
                    1 => criterion.written = None,
                    _ => {}
                }
            }
            for _ in 0..random.below(4) {
                let at = random.below(lines.len() + 1);
                match random.below(4) {
                    0 => lines.insert(at, line(&mut random)),
                    _ if at == lines.len() => {}
                    1 => drop(lines.remove(at)),
                    2 => lines[at].push_str(" now"),
                    _ => {
                        let tick = if lines[at].starts_with("[x]") { "[ ]" } else { "[x]" };
                        lines[at].replace_range(..3, tick);
                    }
                }
            }
            let found = compare(&present, &lines.join("\n"));
            let before = present.clone();
            apply(&mut present, &found);
            for old in &before {
                let now = present.iter().find(|now| now.number == old.number);
                let by_others = matches!(old.decider, Some(Decider::Evidence | Decider::Person));
                match now {
                    None => assert!(old.written.is_some(), "it was given beside the plan"),
                    Some(now) if old.written.is_none() => assert_eq!(now, old),
                    Some(now) if by_others && now.text == old.text => {
                        assert_eq!((now.state, now.decider), (old.state, old.decider));
                    }
                    Some(_) => {}
                }
            }
        }
    }
}
