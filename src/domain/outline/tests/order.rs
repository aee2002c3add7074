//! What the order of a document implies.

use super::{codes, needs_of, read, read_as, task};
use crate::domain::outline::{NoteCode, Ordering};

const NONE: [&str; 0] = [];

#[test]
fn where_marks_are_used_marked_run_together_and_others_follow() {
    let outline = read(
        "## One\n- [ ] T001 a\n- [ ] T002 [P] b\n- [ ] T003 [P] c\n- [ ] T004 d\n- [ ] T005 e\n- [ ] T006 [P] f\n## Two\n- [ ] T007 g\n- [ ] T008 [P] h\n",
    );
    assert_eq!(needs_of(&outline, "T002"), NONE);
    assert_eq!(needs_of(&outline, "T003"), NONE);
    assert_eq!(needs_of(&outline, "T004"), ["T001", "T002", "T003"]);
    assert_eq!(needs_of(&outline, "T005"), ["T004"]);
    assert_eq!(needs_of(&outline, "T006"), NONE);
    assert_eq!(needs_of(&outline, "T007"), ["T005", "T006"]);
    assert_eq!(needs_of(&outline, "T008"), ["T005", "T006"]);
}

#[test]
fn where_no_marks_are_used_numbers_follow_and_bullets_do_not() {
    let outline = read("- [ ] 1.1 a\n- [ ] 1.2 b\n- [ ] loose\n- [ ] 1.3 c\n");
    assert_eq!(needs_of(&outline, "1.2"), ["1.1"]);
    assert_eq!(needs_of(&outline, "s1-1"), NONE);
    let outline = read("- [ ] a\n- [ ] b\n");
    assert!(outline.tasks.iter().all(|task| task.needs.is_empty()));
}

#[test]
fn the_option_overrules_what_is_unmarked() {
    let brief = "- [ ] a\n- [ ] b\n- [ ] [P] c\n- [ ] d\n";
    let outline = read_as(brief, Ordering::Sequential);
    assert_eq!(needs_of(&outline, "s1-2"), ["s1-1"]);
    assert_eq!(needs_of(&outline, "s1-3"), NONE);
    assert_eq!(needs_of(&outline, "s1-4"), ["s1-2", "s1-3"]);
    let outline =
        read_as("## A\n- [ ] T001 a\n- [ ] T002 b\n## B\n- [ ] T003 c\n", Ordering::Parallel);
    assert_eq!(needs_of(&outline, "T002"), NONE);
    assert_eq!(needs_of(&outline, "T003"), ["T001", "T002"]);
}

#[test]
fn nested_tasks_are_ordered_among_themselves() {
    let outline = read(
        "- [x] 1. One\n  - [x] 1.1 a\n  - [ ] 1.2 b\n    - [ ] 1.2.1 deep\n- [ ] 2. Two\n  - [ ] 2.1 c\n## Next\n- [ ] 3. Three\n",
    );
    assert_eq!(needs_of(&outline, "1.1"), NONE);
    assert_eq!(needs_of(&outline, "1.2"), ["1.1"]);
    assert_eq!(needs_of(&outline, "1.2.1"), NONE);
    assert_eq!(needs_of(&outline, "2"), ["1"]);
    assert_eq!(needs_of(&outline, "2.1"), NONE);
    assert_eq!(needs_of(&outline, "3"), ["2"]);
    assert_eq!(task(&outline, "1.2.1").parent.as_deref(), Some("1.2"));
    assert_eq!(codes(&outline), [NoteCode::DoneWithOpenChildren]);
}

#[test]
fn dotted_ids_nest_without_indentation() {
    let outline = read("- [ ] 1. One\n- [ ] 1.1 a\n- [ ] 1.2 b\n- [ ] 2. Two\n- [ ] 2.1 c\n");
    assert_eq!(task(&outline, "1.1").parent.as_deref(), Some("1"));
    assert_eq!(task(&outline, "2.1").parent.as_deref(), Some("2"));
    assert_eq!(needs_of(&outline, "1.2"), ["1.1"]);
    assert_eq!(needs_of(&outline, "2"), ["1"]);
}

#[test]
fn sections_are_ordered_as_they_are_read() {
    let outline = read(
        "## Phase 1\n### Tests\n- [ ] T001 a\n### Code\n- [ ] T002 b\n## Empty\nText.\n## Phase 2\n- [ ] T003 c\n",
    );
    assert_eq!(needs_of(&outline, "T002"), ["T001"]);
    assert_eq!(needs_of(&outline, "T003"), ["T002"]);
    let outline =
        read("**Phase 1: A**\n\n- [ ] a\n\n**Phase 2: B**\n- [ ] b\n\nLast\n----\n- [ ] c\n");
    assert_eq!(needs_of(&outline, "s2-1"), ["s1-1"]);
    assert_eq!(task(&outline, "s3-1").section.as_deref(), Some("Last"));
    assert_eq!(needs_of(&outline, "s3-1"), ["s2-1"]);
}

#[test]
fn stated_dependencies_inside_a_section_spare_edges_between_sections() {
    let outline = read(
        "## A\n- [ ] T001 [P] a\n- [ ] T002 [P] b (depends on T001)\n## B\n- [ ] T003 [P] c\n- [ ] T004 [P] d (depends on T003)\n",
    );
    assert_eq!(needs_of(&outline, "T003"), ["T002"]);
    assert_eq!(needs_of(&outline, "T004"), ["T003"]);
}

#[test]
fn a_need_that_points_ahead_bends_the_order() {
    let outline =
        read("- [ ] T001 a\n- [ ] T002 b (depends on T003)\n- [ ] T003 c\n- [ ] T004 d\n");
    assert_eq!(needs_of(&outline, "T003"), ["T001"]);
    assert_eq!(needs_of(&outline, "T002"), ["T003"]);
    assert_eq!(needs_of(&outline, "T004"), ["T002"]);
}

#[test]
fn wide_sections_are_joined_through_one_task() {
    let mut brief = String::new();
    for section in ["A", "B", "C"] {
        brief.push_str(&format!("## {section}\n"));
        brief.push_str(&"- [ ] x\n".repeat(60));
    }
    let outline = read(&brief);
    let edges: usize = outline.tasks.iter().map(|task| task.needs.len()).sum();
    assert_eq!(edges, 2 * (59 + 60));
    assert_eq!(needs_of(&outline, "s2-1"), ["s1-60"]);
    assert_eq!(task(&outline, "s1-60").needs.len(), 59);
    assert_eq!(codes(&outline), [NoteCode::OrderNarrowed; 2]);
}
