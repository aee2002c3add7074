//! Briefs that nobody means, as long as a brief may be. No test looks at a clock: what is counted is what they repeat
//! and look up, and what took more than about linear work would not end.

use std::collections::HashSet;

use super::{codes, read};
use crate::domain::{
    outline::{NoteCode, Outline},
    plan::{
        PlanContext, check_plan,
        new_goal::{NewGoal, draft},
    },
    settings,
};

/// Text up to the size of a brief: `head`, then `unit` as often as there is room, then `tail`.
fn filled(head: &str, unit: &str, tail: &str) -> String {
    let room = settings::BRIEF_BYTES - head.len() - tail.len();
    format!("{head}{}{tail}", unit.repeat(room / unit.len()))
}

fn is_a_plan(brief: String) {
    let goal = NewGoal { title: "g".into(), brief, ..NewGoal::default() };
    let draft = draft(&goal.source()).expect("it is a plan");
    let none = HashSet::new();
    let context = PlanContext { at: "", taken: &none, around: None };
    assert_eq!(check_plan(&draft.tasks, context), Ok(()));
}

fn count(outline: &Outline, code: NoteCode) -> usize {
    codes(outline).into_iter().filter(|found| *found == code).count()
}

#[test]
fn one_line_as_long_as_a_brief_is_one_task() {
    for (unit, tail) in [
        ("*a_", ""),
        ("[a](<", ""),
        ("[ ", ""),
        ("[ ", "]"),
        ("|[x]:", "://"),
        ("{needs ", "}"),
        (", needs 1 ", ")"),
        (",needs 1 (", "x"),
        (",needs 1", "))))))))"),
        ("(needs T1,", ")"),
        ("`[ ] ", ""),
        ("~~", "x"),
        ("T1-T9,", ""),
        ("US1 ", ""),
    ] {
        let outline = read(&filled("- [ ] a ", unit, tail));
        assert_eq!(outline.tasks.len(), 1, "{unit}");
    }
}

/// A range is looked up once for every time that it is stated, so the lookups are counted, not what is new in them.
#[test]
fn statements_are_looked_up_a_bounded_number_of_times() {
    let tasks: String = (0..5_000).map(|n| format!("- [ ] T{n}\n")).collect();
    let outline = read(&format!("{tasks}- [ ] a (needs {})\n", "T0-T4999,".repeat(10_000)));
    assert_eq!(outline.tasks.last().map(|task| task.needs.len()), Some(5_000));
    assert_eq!(count(&outline, NoteCode::TooManyNeeds), 1);
    // What contains all that it needs looks at it all the same.
    let inside: String = (0..5_000).map(|n| format!("  - [ ] T{n}\n")).collect();
    let outline = read(&format!("- [ ] T9000 (needs {})\n{inside}", "T0-T4999,".repeat(10_000)));
    assert_eq!(outline.tasks[0].needs, [""; 0]);
    assert_eq!(count(&outline, NoteCode::TooManyNeeds), 1);
}

/// Each circle is as long as the document, and there are as many as tasks.
#[test]
fn circles_without_end_are_left_out() {
    let ahead = |n: usize| format!("- [ ] T{n} a (needs T{})\n", n + 1);
    let chain: String = (1..4_000).map(ahead).collect();
    let brief = format!("{chain}- [ ] T4000 a (needs T1-T3999)\n");
    assert!(count(&read(&brief), NoteCode::CircularNeed) > 0);
    is_a_plan(brief);
    is_a_plan((1..3_000).map(|n| format!("- [ ] T{n} (needs T1-T2999)\n")).collect());
}

/// Each row of a table repeats the names of its columns.
#[test]
fn long_names_of_columns_do_not_multiply() {
    let name = "n".repeat(100_000);
    let head = format!("| ID | Task | {name} |\n|--|--|--|\n");
    let outline = read(&filled(&head, "| 1 | a | b |\n", ""));
    let described: usize = outline.tasks.iter().map(|task| task.description.len()).sum();
    assert!(outline.tasks.len() > 10_000 && described < 2 * settings::BRIEF_BYTES * 10);
    assert!(outline.tasks.iter().all(|task| task.description.ends_with(": b")));
}

#[test]
fn groups_that_follow_each_other_have_no_product_of_needs() {
    let group = format!("1. g\n{}", "   - [ ] a\n".repeat(44));
    let outline = read(&filled("", &group, ""));
    let needs: usize = outline.tasks.iter().map(|task| task.needs.len()).sum();
    assert!(needs < 2 * settings::PLAN_DEPENDENCIES, "{needs}");
}

#[test]
fn names_over_many_lines_are_read_once() {
    let outline = read(&filled("<task>\n<name>\n", "a\n", "</name>\n</task>\n"));
    assert_eq!(outline.tasks.len(), 1);
}
