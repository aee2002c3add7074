//! Headings that are tasks, with the ids of what stands below them.

use super::{codes, criteria_of, names, needs_of, read, task, titles};
use crate::domain::outline::{NoteCode, Outline, OutlineShape};

/// The lines that a note says look like a task.
fn said(outline: &Outline) -> Vec<u32> {
    let notes = outline.notes.iter().filter(|note| note.code == NoteCode::IdWithoutTask);
    notes.map(|note| note.line).collect()
}

#[test]
fn steps_with_ids_belong_to_their_task() {
    for (one, two) in [
        ("**Step 1: Write test**", "**Step 2: Run it**"),
        ("Step 1: Write test", "Step 2: Run it"),
        ("1. Write test", "2. Run it"),
        ("1) Write test", "2) Run it"),
        ("1.1 Write test", "1.2 Run it"),
    ] {
        let brief = format!(
            "### Task 1: Parser\n- [x] {one}\n- [x] {two}\n\n### Task 2: Writer\nWrite it.\n"
        );
        let outline = read(&brief);
        assert_eq!(names(&outline), ["1", "1.1", "1.2", "2"], "{brief}");
        assert_eq!(titles(&outline), ["Parser", "Write test", "Run it", "Writer"]);
        assert_eq!(task(&outline, "1.2").parent.as_deref(), Some("1"));
        assert_eq!(needs_of(&outline, "1.2"), ["1.1"]);
        assert_eq!(needs_of(&outline, "2"), ["1"]);
        assert!(!task(&outline, "2").done);
        assert_eq!(task(&outline, "2").description, "Write it.");
        assert!(outline.notes.is_empty(), "{brief}: {:?}", outline.notes);
    }
    let brief = "## Task 1: A\n- [ ] **Step 1: a**\n- [ ] **Step 2: b**\n\n## Task 2: B\n\n\
                 **Depends on:** Task 1\n\n- [ ] **Step 1: c**\n  - [ ] 1.1 d\n- [ ] **Step 2: e**\n";
    let outline = read(brief);
    assert_eq!(names(&outline), ["1", "1.1", "1.2", "2", "2.1", "2.1.1", "2.2"]);
    assert_eq!(task(&outline, "2.1.1").parent.as_deref(), Some("2.1"));
    assert_eq!(needs_of(&outline, "2"), ["1"]);
    assert!(outline.notes.is_empty(), "{:?}", outline.notes);
}

#[test]
fn needs_inside_a_task_may_name_its_steps() {
    let outline = read(
        "## Task 1: A\n- [ ] Step 1: a\n- [ ] Step 2: b\n- [ ] Step 3: c (depends on Step 1)\n\
         ## Task 2: B\n- [ ] 1.1 d\n- [ ] 1.2 e (depends on Task 1)\n- [ ] 1.3 f (depends on 2.1.1)\n\
         - [ ] Step 4: g (depends on Step 3)\n- [ ] Step 3: h\n",
    );
    assert!(needs_of(&outline, "1.3").contains(&"1.1"));
    assert!(needs_of(&outline, "2.1.2").contains(&"1"));
    assert!(needs_of(&outline, "2.4").contains(&"2.3"));
    assert!(!codes(&outline).contains(&NoteCode::UnknownNeed), "{:?}", outline.notes);
    assert!(!codes(&outline).contains(&NoteCode::CircularNeed), "{:?}", outline.notes);
}

#[test]
fn the_title_of_the_whole_document_is_the_goal() {
    for title in ["# Task 3: Importer", "# T012: Importer", "# TASK-12: Importer"] {
        let outline = read(&format!(
            "{title}\n\n## Phase 1\n- [ ] 1.1 a\n## Phase 2\n- [ ] 2.1 b (depends on 1.1)\n"
        ));
        assert_eq!(names(&outline), ["1.1", "2.1"], "{title}");
        assert_eq!(said(&outline), [1], "{title}");
    }
}

#[test]
fn tasks_with_ids_below_a_numbered_task_are_inside_it() {
    let outline = read(
        "## Task 1: Base\n- [x] T001 a\n- [ ] T002 b\n## Task 2: UI\n**Depends on:** Task 1\n- [ ] T003 c\n",
    );
    assert_eq!(names(&outline), ["1", "T001", "T002", "2", "T003"]);
    assert_eq!(task(&outline, "T003").parent.as_deref(), Some("2"));
    assert_eq!(needs_of(&outline, "2"), ["1"]);
    assert!(outline.notes.is_empty(), "{:?}", outline.notes);
}

#[test]
fn a_heading_describes_a_box_only_if_they_are_one_task() {
    for list in ["- [x] 1. Read\n- [x] 2. Open\n", "- [x] Task 1: Read\n- [x] Task 2: Open\n"] {
        let outline = read(&format!("{list}\n## Plan\n### Task 2: Writer\nWrite it.\n"));
        assert_eq!(titles(&outline), ["Read", "Open", "Writer"], "{list}");
        assert!(!outline.tasks[2].done);
        assert_eq!(codes(&outline), [NoteCode::DuplicateId]);
        let outline = read(&format!("{list}\n## Plan\n### Task 2: open\nOpen it.\n"));
        assert_eq!(titles(&outline), ["Read", "Open"], "{list}");
        assert_eq!(task(&outline, "2").description, "### Task 2: open\nOpen it.");
    }
    let outline = read("- [ ] Task 1\n- [ ] Task 2\n\n### Task 1: Read\nIt.\n### Task 2: Write\n");
    assert_eq!(names(&outline), ["1", "2"]);
}

#[test]
fn boxes_with_other_ids_below_a_t_heading_are_its_criteria() {
    for (one, two) in [("AC1:", "AC2:"), ("FR-1:", "FR-2:"), ("1.", "2."), ("1.1", "1.2")] {
        let brief = format!(
            "### T001: Import\n- [x] {one} refuses\n### T002: Export\n- [ ] {two} writes\n"
        );
        let outline = read(&brief);
        assert_eq!(names(&outline), ["T001", "T002"], "{brief}");
        assert!(task(&outline, "T001").done && !task(&outline, "T002").done);
        assert_eq!(criteria_of(&outline, "T002"), [format!("{two} writes")]);
        assert!(outline.notes.is_empty(), "{:?}", outline.notes);
    }
    let outline = read("### Task 1: Import\n- [ ] parse\n- [ ] AC1: refuses\n");
    assert_eq!(titles(&outline), ["Import", "parse"]);
    assert_eq!(criteria_of(&outline, "1"), ["AC1: refuses"]);
}

#[test]
fn a_t_heading_over_other_tasks_is_said() {
    let outline = read("- [x] T001 a\n### T002: Export\nWrite it.\n- [x] T003 c\n");
    assert_eq!(names(&outline), ["T001", "T003"]);
    assert_eq!(codes(&outline), [NoteCode::IdWithoutTask], "and no gap");
    assert_eq!(said(&outline), [2]);
    let outline = read("#### T001: Import\n- [ ] T001.1 a\n- [ ] T001.2 b\n");
    assert_eq!(names(&outline), ["T001.1", "T001.2"]);
    assert!(outline.notes.is_empty(), "its parts are all of it");
}

#[test]
fn headings_called_task_are_read_in_every_spelling() {
    for (heading, id, title) in [
        ("Task 2 Ship the thing", "2", "Ship the thing"),
        ("Task 2 (P0): Ship", "2", "Ship"),
        ("Task 2/5: Ship", "2", "Ship"),
        ("Task 2 of 5: Ship", "2", "Ship"),
        ("[Task 2] Ship", "2", "Ship"),
        ("[Task 2] ship", "2", "ship"),
        ("**Task 2** Ship", "2", "Ship"),
        ("Subtask 2.1: Ship", "2.1", "Ship"),
        ("Task no. 2: Ship", "2", "Ship"),
        ("Task No 2 - Ship", "2", "Ship"),
        ("Task-2: Ship", "2", "Ship"),
        ("Task #2 Ship", "2", "Ship"),
        ("Task 2 🚀 Ship", "2", "🚀 Ship"),
        ("任务 — Task 2", "", ""),
    ] {
        let brief = format!("### {heading}\nText.\n\n## Sign-off\n- [x] ok\n");
        let outline = read(&brief);
        if id.is_empty() {
            assert_eq!(titles(&outline), ["ok"], "{brief}");
            continue;
        }
        assert_eq!(titles(&outline), [title, "ok"], "{brief}");
        assert_eq!(outline.tasks[0].explicit_id.as_deref(), Some(id), "{brief}");
        assert!(!outline.tasks[0].done);
    }
    let labels = read("### Task 2 (P0): Ship\n").tasks[0].labels.clone();
    assert_eq!(labels, ["P0"]);
    let outline = read(
        "### Task 1 Import\n\n**Acceptance Criteria:**\n- [ ] fast\n\n### Task 2 Export\n\n**Depends on:** Task 1\n",
    );
    assert_eq!(criteria_of(&outline, "1"), ["fast"]);
    assert_eq!(needs_of(&outline, "2"), ["1"]);
}

#[test]
fn headings_called_task_that_are_phrases_are_said() {
    for heading in ["Task 3 of the import", "Task 3-5: later", "Task 3 & 4", "Task 3, 4: more"] {
        let outline = read(&format!("- [x] a\n\n## {heading}\nText.\n"));
        assert_eq!(titles(&outline), ["a"], "{heading}");
        assert_eq!(said(&outline), [3], "{heading}");
    }
}

#[test]
fn headings_with_a_box_are_tasks() {
    let outline = read("### [ ] Import\nText.\n### [x] Export\n- [x] checked\n");
    assert_eq!(titles(&outline), ["Import", "Export", "checked"]);
    assert_eq!(task(&outline, "s1-2.1").parent.as_deref(), Some("s1-2"));
    assert!(!outline.tasks[0].done && outline.tasks[1].done);
    let outline = read("## [ ] 1. Setup\nText.\n### [ ] 1.1 Install\n## [ ] 2. Build\n");
    assert_eq!(names(&outline), ["1", "1.1", "2"]);
    assert_eq!(outline.shape, OutlineShape::TaskHeadings);
    let outline = read("## [ ] Phase 1: Base\n- [x] a\n- [ ] b\n");
    assert_eq!(titles(&outline), ["a", "b"], "a phase groups");
    assert_eq!(codes(&outline), [NoteCode::OverviewBox]);
    let outline = read("## [ ] Base\n- [x] T001 a\n- [ ] T002 b\n");
    assert_eq!(titles(&outline), ["Base", "a", "b"]);
    let outline =
        read("### [ ] ~~Import~~\n### [ ] Acceptance criteria\n- [ ] fast\n### [ ] Export\n");
    assert_eq!(titles(&outline), ["Export"]);
    let outline = read("## [?] Import\nText.\n\n# [WIP] Plan\n- [x] a\n");
    assert_eq!((titles(&outline), said(&outline)), (vec!["a"], vec![1]));
}

#[test]
fn stories_with_plain_criteria_are_tasks_or_said() {
    for (one, two) in [
        ("### Story 1.1: Log in", "### Story 1.2: Log out"),
        ("## US-001: Log in", "## US-002: Log out"),
    ] {
        let brief = format!(
            "# App\n\n## Epic\n\n{one}\nAs a user.\n\n#### Acceptance Criteria\n\n1. fast\n2. safe\n\n{two}\n\n\
             **Acceptance criteria:**\n- works\n"
        );
        let outline = read(&brief);
        assert_eq!(outline.tasks.len(), 2, "{brief}: {:?}", titles(&outline));
        assert_eq!(outline.tasks[0].criteria.len(), 2, "{brief}");
        assert_eq!(outline.tasks[1].criteria[0].text, "works");
        let numbered = read(&brief.replace("As a user.\n", "").replace("- works", "1. works"));
        assert_eq!(titles(&numbered), titles(&outline), "the criteria are no steps");
        let outline = read(&format!("- [x] ok\n\n{brief}"));
        assert_eq!(
            (titles(&outline), said(&outline).len()),
            (vec!["ok"], 2),
            "{:?}",
            outline.notes
        );
        let outline = read(&format!("- [x] T001 [US1] ok\n\n{brief}"));
        assert!(said(&outline).is_empty(), "the stories are the specification");
    }
}

#[test]
fn units_without_tasks_beside_others_are_said() {
    let outline =
        read("### Feature 1: A\n- [x] a\n### Feature 2: B\nProse.\n### Epic 3\n#### C\n- [x] c\n");
    assert_eq!((titles(&outline), said(&outline)), (vec!["a", "c"], vec![3]));
    let outline = read("## Task 1: A\n- [x] a\n### Task 1 notes\n## Task 2: B\n### Feature 3\n");
    assert!(said(&outline).is_empty(), "inside a task they are its text: {:?}", outline.notes);
}

#[test]
fn ids_in_other_spellings_are_said() {
    for stray in [
        "- t002 b",
        "- T002, b",
        "- (T002) b",
        "- #T002 b",
        "- [T002](#t2) b",
        "- Task 2 b",
        "- Task-2: b",
    ] {
        let outline = read(&format!("- [x] a\n{stray}\n"));
        assert_eq!(said(&outline), [2], "{stray}");
    }
    for text in
        ["- t3 machines", "- t100.large machines", "- T-shirts", "- taskbar 2", "- the task 2 b"]
    {
        assert!(said(&read(&format!("- [x] a\n{text}\n"))).is_empty(), "{text}");
    }
}

#[test]
fn lists_of_steps_beside_boxes_are_said() {
    for list in [
        "# Steps\n1. build\n2. ship\n",
        "Steps:\n\n- build\n- ship\n",
        "## Tasks\n- build\n  - it\n- ship\n",
    ] {
        let outline = read(&format!("{list}\n## Sign-off\n- [x] ok\n"));
        assert_eq!(codes(&outline), [NoteCode::NotThePlan], "{list}");
    }
    for list in
        ["## Notes\n1. one\n2. two\n", "## Sign-off\n### Task 1: a\nSteps:\n1. one\n2. two\n"]
    {
        let outline = read(&format!("{list}\n## Sign-off\n- [x] ok\n"));
        assert_eq!(codes(&outline), [], "{list}: {:?}", outline.notes);
    }
    let outline =
        read("## Step 1: Import\nText.\n\n## Step 2: Export\nText.\n\n## Sign-off\n- [x] ok\n");
    assert_eq!(said(&outline), [1, 4]);
}

#[test]
fn a_step_with_the_title_of_a_section_is_no_overview() {
    let outline = read(
        "### Task 1: Base\n- [ ] Step 1: Build\n- [ ] Step 2: Ship\n### Task 2: Build\n- [ ] a\n### Task 3: Ship\n- [ ] b\n",
    );
    assert_eq!(outline.tasks.len(), 7, "{:?}", outline.notes);
}
