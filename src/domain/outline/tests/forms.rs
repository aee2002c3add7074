//! The kinds of documents: task headings, elements, items, steps.

use super::{criteria_of, names, needs_of, read, task, titles};
use crate::domain::outline::{OutlineShape, TaskOrigin};

#[test]
fn boxes_below_a_heading_with_an_id_are_its_criteria() {
    let outline = read(
        "## Phase 1\n\n#### T001: Model\n\nSome text.\n\n- [x] has fields\n- [x] has tests\n\n#### T002: [P] Store\n\n**Dependencies**: T001\n\n- [ ] saves\n- [x] loads\n\n## Review\n- [ ] sign off\n",
    );
    assert_eq!(outline.shape, OutlineShape::TaskHeadings);
    assert_eq!(titles(&outline), ["Model", "Store", "sign off"]);
    assert_eq!(criteria_of(&outline, "T001"), ["has fields", "has tests"]);
    assert!(task(&outline, "T001").done);
    assert_eq!(task(&outline, "T001").description, "Some text.");
    assert_eq!(task(&outline, "T001").section.as_deref(), Some("Phase 1"));
    assert!(!task(&outline, "T002").done);
    assert_eq!(needs_of(&outline, "T002"), ["T001"]);
    assert_eq!(outline.tasks[2].needs, ["T002"]);
    assert_eq!(outline.tasks[0].origin, TaskOrigin::Heading);
}

#[test]
fn headings_over_boxes_with_ids_only_group() {
    let outline = read("## T1: Base\n- [ ] T1.1 a\n- [ ] T1.2 b\n## T001-T004: Range\n- [ ] c\n");
    assert_eq!(titles(&outline), ["a", "b", "c"]);
    assert_eq!(outline.shape, OutlineShape::Boxes);
}

#[test]
fn headings_with_the_id_of_a_box_describe_that_box() {
    let list = "## List\n- [x] T001 Do\n  it\n- [ ] T002 Ship it\n";
    let details = "## Details\n### T001: Do it\nSome text.\n- [x] works\n### T002: Ship it\n";
    for brief in [format!("{list}{details}"), format!("{details}{list}")] {
        let outline = read(&brief);
        assert_eq!(titles(&outline), ["Do it", "Ship it"]);
        assert_eq!(criteria_of(&outline, "T001"), ["works"]);
        assert_eq!(task(&outline, "T001").description, "### T001: Do it\nSome text.");
        assert!(task(&outline, "T001").done);
        assert!(outline.notes.is_empty());
    }
}

#[test]
fn task_headings_are_tasks_where_there_are_no_boxes() {
    let outline = read(
        "# Work\n## Phase 1: Base\n### Task 1.1: First\n- **File**: a.rs\n- **Validation**: compiles\n  - tests pass\n\
         ### Task 1.2 - Second\n#### Acceptance Criteria\n- works\n## Phase 2\n### Task 2.1: Third\n\
         Depends on Task 1.1 in spirit.\n## Dependencies\n- Task 2.1 must precede Task 1.1\n",
    );
    assert_eq!(outline.shape, OutlineShape::TaskHeadings);
    assert_eq!(names(&outline), ["1.1", "1.2", "2.1"]);
    assert_eq!(titles(&outline), ["First", "Second", "Third"]);
    assert_eq!(criteria_of(&outline, "1.1"), ["compiles", "tests pass"]);
    assert_eq!(task(&outline, "1.1").description, "- **File**: a.rs");
    assert_eq!(criteria_of(&outline, "1.2"), ["works"]);
    assert_eq!(needs_of(&outline, "2.1"), ["1.2"]);
    assert!(outline.notes.is_empty(), "{:?}", outline.notes);
}

#[test]
fn task_headings_nest() {
    let outline =
        read("## Task 1: Big\ntext\n### Task 1.1: Small\n### Task 1.2: Other\n## Task 2: End\n");
    assert_eq!(task(&outline, "1.1").parent.as_deref(), Some("1"));
    assert_eq!(needs_of(&outline, "1.1"), [""; 0]);
    assert_eq!(needs_of(&outline, "1.2"), ["1.1"]);
    assert_eq!(needs_of(&outline, "2"), ["1"]);
}

#[test]
fn step_headings_are_tasks_if_there_are_several() {
    let outline = read("# Move\n## Step 1: Stop\nNow.\n## Step 2: Copy\n## Step 3. Start\n");
    assert_eq!(titles(&outline), ["Stop", "Copy", "Start"]);
    assert_eq!(needs_of(&outline, "3"), ["2"]);
}

#[test]
fn task_elements_are_tasks() {
    let outline = read(
        "<objective>\nBuild it.\n</objective>\n\n<tasks>\n\n<task type=\"auto\">\n  <name>Task 1: Write the parser</name>\n  <files>a.rs</files>\n  <action>\n# Not a heading\n- [ ] a criterion\n\n```\n</task>\n```\n  </action>\n  <done>\n- parses\n- tests\n  pass\n  </done>\n</task>\n\
         <task type=\"checkpoint:human-verify\">\n  <name>Look at it</name>\n</task>\n<task id=\"T9\">Inline text</task>\n\n</tasks>\n\n<verification>\n- [ ] all green\n</verification>\n",
    );
    assert_eq!(outline.shape, OutlineShape::TaskElements);
    assert_eq!(titles(&outline), ["Write the parser", "Look at it", "Inline text", "all green"]);
    assert_eq!(outline.tasks[0].reference, "1");
    assert_eq!(criteria_of(&outline, "1"), ["a criterion", "parses", "tests pass"]);
    assert!(outline.tasks[0].description.contains("<files>a.rs</files>"));
    assert_eq!(outline.tasks[1].labels, ["checkpoint:human-verify"]);
    assert_eq!(outline.tasks[1].needs, ["1"]);
    assert_eq!(outline.tasks[2].reference, "T9");
    assert_eq!(outline.tasks[3].needs, ["T9"]);
}

#[test]
fn items_with_ids_are_tasks_without_boxes() {
    let outline = read(
        "## Tasks\n- **T001** [P] One\n- **T002** [P] Two\n- T003 Three\n\n## Parallel\n- T001, T002 can run together\n- T001 before T003\n",
    );
    assert_eq!(outline.shape, OutlineShape::TaskItems);
    assert_eq!(titles(&outline), ["One", "Two", "Three"]);
    assert_eq!(needs_of(&outline, "T003"), ["T001", "T002"]);
}

#[test]
fn numbered_steps_are_a_sequence() {
    let outline =
        read("Please do this.\n\n1. Dump the data\n   - with care\n2. Load it\n3. Check it\n");
    assert_eq!(outline.shape, OutlineShape::Steps);
    assert_eq!(names(&outline), ["1", "2", "3"]);
    assert_eq!(task(&outline, "1").description, "- with care");
    assert_eq!(needs_of(&outline, "3"), ["2"]);
}

#[test]
fn steps_in_sections_follow_the_sections() {
    let outline = read("# Guide\nIntro.\n## Prepare\n1. a\n2. b\n## Install\n1. c\n2. d\n");
    assert_eq!(names(&outline), ["s1-1", "s1-2", "s2-1", "s2-2"]);
    assert_eq!(needs_of(&outline, "s2-1"), ["s1-2"]);
}

#[test]
fn dotted_lines_are_steps_too() {
    let outline = read("## Steps\n\n1. Base\n1.1 Ground\n1.2 Walls\n2. Roof\n");
    assert_eq!(names(&outline), ["1", "1.1", "1.2", "2"]);
    assert_eq!(task(&outline, "1.2").parent.as_deref(), Some("1"));
    assert_eq!(needs_of(&outline, "2"), ["1"]);
}

#[test]
fn announced_bullets_are_tasks_and_nest() {
    let outline = read(
        "# Product\nProse.\n- a feature\n## Todo\n### Backend\n- api\n  - read\n  - write\n- db\n### Notes\n- remember\n## Schluss\n- nothing\n",
    );
    assert_eq!(titles(&outline), ["api", "read", "write", "db"]);
    assert_eq!(task(&outline, "s1-1.1").parent.as_deref(), Some("s1-1"));
    assert!(outline.tasks.iter().all(|task| task.needs.is_empty()));
    let outline =
        read("Prose.\n\n**Tasks:**\n\n- one\n\n  detail\n- two\n\nOther things:\n\n- three\n");
    assert_eq!(titles(&outline), ["one", "two"]);
    let outline = read("## 实施计划\n\n文字。\n\n## 任务\n- 一\n- 二\n");
    assert_eq!(titles(&outline), ["一", "二"]);
}

#[test]
fn a_document_that_is_one_list_is_a_list_of_tasks() {
    assert_eq!(titles(&read("# Fix the login\n\n- limit the rate\n- log failures\n")).len(), 2);
}

#[test]
fn progress_boxes_are_tasks_and_acceptance_boxes_criteria_of_the_goal() {
    let outline = read(
        "# Plan\n## Purpose\nProse.\n## Progress\n- [x] (2025-01-01 10:00Z) Read\n- [ ] Write\n## Acceptance\n- [ ] works\n## Plan of Work\n1. not a task\n",
    );
    assert_eq!(outline.tasks.len(), 2);
    assert_eq!(needs_of(&outline, "s1-2"), [""; 0]);
    assert_eq!(outline.criteria.len(), 1);
    assert_eq!(outline.criteria[0].text, "works");
}
