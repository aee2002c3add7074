//! Criteria: of tasks, of stories, of the goal.

use super::{codes, criteria_of, names, needs_of, read, task, titles};
use crate::domain::outline::{NoteCode, Outline, OutlineShape};

fn goal(outline: &Outline) -> Vec<(&str, bool)> {
    outline.criteria.iter().map(|found| (found.text.as_str(), found.satisfied)).collect()
}

#[test]
fn boxes_below_a_label_inside_a_task_are_its_criteria() {
    for label in [
        "  - Acceptance criteria:\n    - [ ] refuses bad lines\n    - [x] keeps order",
        "  - **Acceptance Criteria**\n    - [ ] refuses bad lines\n    - [x] keeps order",
        "  - Acceptance criteria\n    - [ ] refuses bad lines\n    - [x] keeps order",
        "  - [ ] Acceptance criteria:\n    - [ ] refuses bad lines\n    - [x] keeps order",
        "  Acceptance criteria:\n  - [ ] refuses bad lines\n  - [x] keeps order",
        "\n  **Done when:**\n\n  - [ ] refuses bad lines\n  - [x] keeps order",
        "  - DoD:\n    1. [ ] refuses bad lines\n    2. [x] keeps order",
        "  - Verify:\n    - [ ] refuses bad lines\n    - [x] keeps order",
        "  - ✅ Success criteria (all of them):\n    - [ ] refuses bad lines\n    - [x] keeps order",
        "Acceptance criteria:\n- [ ] refuses bad lines\n- [x] keeps order",
        "  Acceptance criteria\n  - [ ] refuses bad lines\n  - [x] keeps order",
        "  Accepted when:\n  - [ ] refuses bad lines\n  - [x] keeps order",
        "  - It’s done when:\n    - [ ] refuses bad lines\n    - [x] keeps order",
        "  A/C:\n  - [ ] refuses bad lines\n  - [x] keeps order",
        "  Test cases:\n  - [ ] refuses bad lines\n  - [x] keeps order",
        "  <summary>Acceptance criteria</summary>\n\n  - [ ] refuses bad lines\n  - [x] keeps order",
        "  Critères d'acceptation :\n  - [ ] refuses bad lines\n  - [x] keeps order",
    ] {
        let brief = format!("- [ ] T001 Import the file\n{label}\n- [ ] T002 Export\n");
        let outline = read(&brief);
        assert_eq!(names(&outline), ["T001", "T002"], "{brief}");
        assert_eq!(titles(&outline)[0], "Import the file");
        let criteria: Vec<(&str, bool)> = task(&outline, "T001")
            .criteria
            .iter()
            .map(|found| (found.text.as_str(), found.satisfied))
            .collect();
        assert_eq!(criteria, [("refuses bad lines", false), ("keeps order", true)], "{brief}");
        assert!(outline.notes.is_empty(), "{brief}: {:?}", outline.notes);
    }
}

#[test]
fn other_lists_of_boxes_inside_a_task_are_its_tasks() {
    let outline = read("- [ ] T001 Import\n  - Subtasks:\n    - [ ] read\n    - [ ] parse\n");
    assert_eq!(titles(&outline), ["Import", "read", "parse"]);
    let outline =
        read("- [ ] T001 Import\n  - Acceptance criteria:\n    - [ ] fast\n  - [ ] T002 parse\n");
    assert_eq!(names(&outline), ["T001", "T002"]);
    assert_eq!(criteria_of(&outline, "T001"), ["fast"]);
    let outline = read("- [ ] Define the acceptance criteria\n  - [ ] with sales\n");
    assert_eq!(outline.tasks.len(), 2);
}

#[test]
fn headings_called_task_are_tasks_with_their_criteria_and_needs() {
    let brief = "### Task 1: Import\n\nRead it.\n\n**Acceptance Criteria:**\n- [ ] refuses bad lines\n\
                 - [x] keeps order\n\n### Task 2: Export\n\n**Depends on:** Task 1\n\n\
                 **Acceptance Criteria:**\n\n- [ ] writes\n";
    let t =
        brief.replace("Task 1: I", "T001: I").replace("Task 2", "T002").replace("Task 1", "T001");
    for (brief, ids) in [(brief, ["1", "2"]), (&t, ["T001", "T002"])] {
        let outline = read(brief);
        assert_eq!(names(&outline), ids);
        assert_eq!(titles(&outline), ["Import", "Export"]);
        assert_eq!(outline.shape, OutlineShape::TaskHeadings);
        assert_eq!(criteria_of(&outline, ids[0]), ["refuses bad lines", "keeps order"]);
        assert!(outline.tasks[0].criteria[1].satisfied && !outline.tasks[0].criteria[0].satisfied);
        assert_eq!(needs_of(&outline, ids[1]), [ids[0]]);
        assert!(!outline.tasks[0].done);
        assert!(outline.notes.is_empty(), "{:?}", outline.notes);
    }
}

#[test]
fn boxes_below_a_task_heading_without_a_label_are_its_steps() {
    let outline = read(
        "## Task 1: Base\n- [x] schema\n- [ ] api\n## Task 2: UI\n\n**Depends on:** Task 1\n\n\
         #### Acceptance criteria\n- [ ] fast\n",
    );
    assert_eq!(titles(&outline), ["Base", "schema", "api", "UI"]);
    assert_eq!(task(&outline, "1.1").parent.as_deref(), Some("1"));
    assert_eq!(criteria_of(&outline, "2"), ["fast"]);
    assert_eq!(needs_of(&outline, "2"), ["1"]);
}

#[test]
fn sections_of_criteria_belong_to_the_goal() {
    for heading in [
        "## Done Criteria",
        "## Acceptance Criteria",
        "# Definition of Done",
        "## ✅ Success Criteria (v1)",
        "**Release criteria:**",
        "### 3. Exit criteria",
        "## Success Metrics",
        "## Quality Gates",
        "## Acceptance criteria for the import",
    ] {
        let brief = format!(
            "{heading}\n- [ ] green\n- [x] small\n\n## Task Breakdown\n1. [ ] write tests\n2. [ ] ship\n"
        );
        let outline = read(&brief);
        assert_eq!(titles(&outline), ["write tests", "ship"], "{heading}");
        assert_eq!(goal(&outline), [("green", false), ("small", true)], "{heading}");
        assert_eq!(needs_of(&outline, "1"), [""; 0], "{heading}");
        assert_eq!(codes(&outline), [NoteCode::GoalCriteria], "{heading}");
        assert_eq!(outline.notes[0].line, 2);
    }
}

#[test]
fn tasks_stay_tasks_in_a_section_of_criteria() {
    let outline = read("## Tasks\n- [ ] T001 a\n## Acceptance\n- [ ] T002 b\n- [ ] c\n");
    assert_eq!(names(&outline), ["T001", "T002"]);
    assert_eq!(goal(&outline), [("c", false)]);
    let outline = read("## 1. Build\n- [ ] 1.1 a\n## 2. Acceptance\n- [ ] 2.1 run it\n");
    assert_eq!(names(&outline), ["1.1", "2.1"]);
    let outline = read("## Build\n- [ ] a\n## Verification\n- [ ] run the suite\n");
    assert_eq!(titles(&outline), ["a", "run the suite"]);
}

#[test]
fn features_about_criteria_are_work() {
    for heading in ["## Matching criteria engine", "## Search criteria UI", "## Filter criteria"] {
        let outline = read(&format!("{heading}\n- [ ] build\n\n## Tasks\n- [ ] ship\n"));
        assert_eq!(titles(&outline), ["build", "ship"], "{heading}");
    }
}

#[test]
fn work_after_criteria_is_work() {
    let outline = read("## Feature\nAcceptance criteria:\n- [x] green\nTasks:\n- [ ] a\n- [ ] b\n");
    assert_eq!(titles(&outline), ["a", "b"]);
    assert_eq!(goal(&outline), [("green", true)]);
    let label = "Acceptance criteria:\n- [ ] green\n- [ ] fast\n\n- [ ] Export\n";
    let outline = read(&format!("- [ ] Import\n\n{label}"));
    assert_eq!(titles(&outline), ["Import", "Export"]);
    assert_eq!(goal(&outline).len(), 2);
    let outline = read(&format!("- [ ] Import\n{label}"));
    assert_eq!(titles(&outline), ["Import", "Export"]);
    assert_eq!(outline.tasks[0].criteria.len(), 2);
    let loose = read("- [ ] Import\n\nAcceptance criteria:\n\n- [ ] green\n\n- [ ] fast\n");
    assert_eq!(goal(&loose).len(), 2);
}

#[test]
fn a_statement_right_after_a_criterion_is_none_of_it() {
    for (brief, name) in [
        (
            "- [ ] T001 a\n- [ ] T002 [P] c\n  Acceptance criteria:\n  - [ ] works\n  Depends on: T001\n",
            "T002",
        ),
        (
            "### T001: a\n### T002: b\n**Acceptance Criteria:**\n- [ ] works\nDepends on: T001\n",
            "T002",
        ),
    ] {
        let outline = read(brief);
        assert_eq!(criteria_of(&outline, name), ["works"], "{brief}");
        assert_eq!(needs_of(&outline, name), ["T001"], "{brief}");
    }
}

#[test]
fn criteria_alone_are_the_tasks_and_it_is_said() {
    let outline =
        read("# Faster\n\n## Acceptance criteria\n- [ ] under a second\n- [ ] no cache\n");
    assert_eq!(titles(&outline), ["under a second", "no cache"]);
    assert_eq!(codes(&outline), [NoteCode::CriteriaAsTasks; 2]);
    assert!(outline.criteria.is_empty());
}

#[test]
fn stories_with_criteria_are_the_tasks() {
    for (first, second) in [
        ("### US-001: Log in", "### US-002: Log out"),
        ("### Story 1: Log in", "### Story 2: Log out"),
        ("## Feature 1 - Log in", "## Feature 2 - Log out"),
        ("### Log in", "### Log out"),
    ] {
        let brief = format!(
            "# App\n\n## Stories\n\n{first}\nAs a user.\n\n**Acceptance Criteria:**\n- [ ] a\n- [x] b\n\n{second}\n\
             #### Acceptance criteria\n- [x] c\n"
        );
        let outline = read(&brief);
        assert_eq!(outline.tasks.len(), 2, "{brief}: {:?}", titles(&outline));
        assert!(outline.tasks[0].title.contains("Log in"));
        assert_eq!(outline.tasks[0].criteria.len(), 2, "{first}");
        assert!(!outline.tasks[0].done && outline.tasks[1].done);
        assert!(outline.criteria.is_empty());
    }
}

#[test]
fn stories_above_their_tasks_are_the_specification() {
    let outline = read(
        "## US-001: Log in\n**Acceptance criteria**\n- [ ] a\n\n## Tasks\n- [ ] T001 [US1] form\n- [ ] T002 check\n",
    );
    assert_eq!(names(&outline), ["T001", "T002"]);
    assert_eq!(goal(&outline), [("a", false)]);
}

#[test]
fn overview_boxes_do_not_block_their_own_sections() {
    let mut overview = String::from("# Plan\n\n");
    let mut sections = String::new();
    for phase in 1..=7 {
        overview.push_str(&format!("- [{}] Phase {phase}\n", if phase == 1 { "x" } else { " " }));
        sections.push_str(&format!("\n## Phase {phase}: Part\n- [ ] work {phase}\n"));
    }
    let outline = read(&format!("{overview}{sections}"));
    assert_eq!(outline.tasks.len(), 7);
    assert!(titles(&outline).iter().all(|title| title.starts_with("work")));
    assert_eq!(codes(&outline), [NoteCode::OverviewBox; 7]);
    assert_eq!(needs_of(&outline, "s1-1"), [""; 0]);
    for overview in [
        "- [ ] [Milestone 1: Base](#m1)\n- [ ] [Milestone 2: UI](#m2)\n",
        "- [ ] **Base**\n- [x] UI\n",
        "- [ ] Milestone 1 - Base\n- [ ] Milestone 2 complete\n",
    ] {
        let outline = read(&format!(
            "{overview}\n## Milestone 1: Base\n- [ ] a\n## Milestone 2: UI\n- [ ] b\n"
        ));
        assert_eq!(titles(&outline), ["a", "b"], "{overview}");
    }
}

#[test]
fn overview_boxes_announce_epics_and_waves_too() {
    for part in ["Epic", "Wave", "Feature", "Story", "Work item"] {
        let outline = read(&format!(
            "- [ ] {part} 1\n- [ ] {part} 2: UI\n\n## {part} 1: Base\n- [ ] a\n## {part} 2: UI\n- [ ] b\n"
        ));
        assert_eq!(titles(&outline), ["a", "b"], "{part}");
        assert_eq!(codes(&outline), [NoteCode::OverviewBox; 2], "{part}");
    }
}

#[test]
fn boxes_that_only_mention_a_phase_are_work() {
    let outline = read(
        "- [ ] Phase 1 smoke test\n- [ ] T009 Phase 2\n## Phase 1\n- [ ] a\n## Phase 2\n- [ ] b\n",
    );
    assert_eq!(outline.tasks.len(), 4);
    let outline = read("- [ ] Phase 1\n- [ ] Phase 2\n## Phase 1\nProse.\n## Phase 2\nProse.\n");
    assert_eq!(outline.tasks.len(), 2);
}

#[test]
fn release_criteria_do_not_hide_tables_of_tasks() {
    let outline = read(
        "# v2\n\n## Release criteria\n- [ ] docs\n- [ ] no regressions\n\n### Tasks\n\n\
         | ID | Task | Depends on | Owner |\n|----|:-----|---|---|\n| T1 | Parser | - | ann |\n\
         | T2 | **Printer** | T1 | |\n| T3 | Both | T1, t2 | |\n",
    );
    assert_eq!(outline.shape, OutlineShape::TableRows);
    assert_eq!(names(&outline), ["T1", "T2", "T3"]);
    assert_eq!(titles(&outline), ["Parser", "Printer", "Both"]);
    assert_eq!(needs_of(&outline, "T3"), ["T1", "T2"]);
    assert_eq!(needs_of(&outline, "T1"), [""; 0]);
    assert_eq!(task(&outline, "T1").description, "Owner: ann");
    assert_eq!(goal(&outline).len(), 2);
    assert_eq!(codes(&outline), [NoteCode::GoalCriteria]);
    let outline = read(
        "## Release criteria\n- [ ] docs\n\n## Work\n| Task | Owner | Depends on |\n|--|--|--|\n\
         | Parser | ann | |\n| Printer | bob | Parser |\n",
    );
    assert_eq!(titles(&outline), ["Parser", "Printer"]);
    assert_eq!(needs_of(&outline, "s1-2"), ["s1-1"]);
    let outline = read(
        "| # | Title | Status | Blocked by |\n|--|--|--|--|\n| 1 | a | ✅ done | |\n| 2 | b | open | 1 |\n| 3 | ~~c~~ | | 1 |\n",
    );
    assert_eq!(names(&outline), ["1", "2"]);
    assert!(task(&outline, "1").done);
    assert_eq!(needs_of(&outline, "2"), ["1"]);
}

#[test]
fn a_ticked_task_with_an_open_criterion_is_said() {
    let outline = read("- [x] T001 a\n  - Acceptance:\n    - [ ] b\n    - [x] c\n");
    assert!(task(&outline, "T001").done);
    assert_eq!(codes(&outline), [NoteCode::DoneWithOpenCriteria]);
}
