//! Dependencies that a document states, and prose that states none.

use super::{codes, names, needs_of, read, read_as, task, titles};
use crate::domain::outline::{NoteCode, Ordering};

/// Only stated dependencies, as nothing else is ordered.
fn stated(brief: &str, name: &str) -> Vec<String> {
    task(&read_as(brief, Ordering::Parallel), name).needs.clone()
}

#[test]
fn brackets_at_the_end_state_dependencies() {
    for end in [
        "(depends on T001, T002)",
        "(Depends on: T001 and T002)",
        "(needs: T001, T002)",
        "[needs T001, T002]",
        "[depends: T001, T002]",
        "(different file, depends on T001, T002)",
        "(depends on T001-T002)",
        "(depends on T001 through T002)",
        "(depends on `T001`, **T002**)",
        "(depends on T001 (models), T002)",
        "*(depends on T001, T002)*",
        "(depends on T1, T2).",
        "(blocked by T001, T002) [P]",
        "(after T001 & T002)",
        "（依赖 T001、T002）",
    ] {
        let brief = format!("- [ ] T001 a\n- [ ] T002 b\n- [ ] T003 Build it {end}\n");
        assert_eq!(stated(&brief, "T003"), ["T001", "T002"], "{end}");
        assert_eq!(titles(&read(&brief))[2], "Build it", "{end}");
    }
}

#[test]
fn lines_below_state_dependencies() {
    for line in [
        "  - needs: T001, T002",
        "  - **Depends on**: T001, T002",
        "  - **Dependencies:** Task T001, Task T002",
        "  Depends on: T001, T002",
        "  - _Depends: T001, T002_",
        "  - Depends on T001, T002",
        "\n  Blocked by: T001, T002",
    ] {
        let brief = format!("- [ ] T001 a\n- [ ] T002 b\n- [ ] T003 Build it\n{line}\n");
        assert_eq!(stated(&brief, "T003"), ["T001", "T002"], "{line}");
        assert_eq!(titles(&read(&brief))[2], "Build it", "{line}");
    }
}

#[test]
fn clauses_and_other_lines_state_dependencies() {
    for text in [
        "c — depends on T001",
        "c, depends on T001",
        "c; blocked by T001",
        "c {depends: T001}",
        "c @depends(T001)",
        "c needs:T001",
        "c *depends on T001*",
        "c. Depends on T001.",
        "c (must follow T001)",
        "c (once T001 is done)",
        "c\n  - Hard dependencies: T001",
        "c\n  - Dependencies (hard): T001",
        "c\n  - Dependencies — T001",
        "c\n  - 🔗 **Depends on**: T001",
        "c\n  - Depends on\n    - T001",
        "c\n  - Depends on:\n    - [ ] T001",
        "c\n  - Blocked by\n    - [x] T001",
    ] {
        let brief = format!("- [ ] T001 a\n- [ ] T002 [P] b\n- [ ] T003 [P] {text}\n");
        assert_eq!(stated(&brief, "T003"), ["T001"], "{text}");
        assert_eq!(names(&read(&brief)), ["T001", "T002", "T003"], "{text}");
    }
    for text in ["(depends on T001 or T002)", "(depends on T001, then T002)"] {
        let brief = format!("- [ ] T001 a\n- [ ] T002 b\n- [ ] T003 c {text}\n");
        assert_eq!(stated(&brief, "T003"), ["T001", "T002"], "{text}");
    }
    let outline = read("- [ ] T001 a\n- [ ] T002 [P] b, depends on T001 for its schema\n");
    assert_eq!(codes(&outline), [NoteCode::UnknownNeed]);
}

#[test]
fn prose_states_nothing() {
    for text in [
        "Explain why the queue depends on T001 in the manual",
        "Do it (already begun in T001, see there)",
        "Do it (this needs T001 to be read first)",
        "Pass it (needs 2 reviewers)",
        "Pin it (requires Python 3.11)",
        "Pin it (requires 3.11)",
        "Wait (after 2.1)",
        "Build\n  - the parser depends on T001 being fast",
        "Build\n  - Dependencies: 18 libraries",
        "Build\n  - Dependencies: React 18, Node 2.1",
        "Build\n  - _Requirements: 2.1, 3.11_",
        "Build\n  - Depends on: None",
        "Build\n  - after 2.1",
        "Call `f(depends on T001)` here",
    ] {
        let tasks = "- [ ] T001 a\n- [ ] 2. b\n  - [ ] 2.1 c\n- [ ] 3.11 d\n- [ ] 18. e\n";
        let prose = "## Notes\n\nT003 depends on T001.\n\n- T003 needs T001\n";
        let brief = format!("{tasks}- [ ] T003 {text}\n\n{prose}");
        assert_eq!(stated(&brief, "T003"), [""; 0], "{text}");
        assert!(read(&brief).notes.iter().all(|note| note.code != NoteCode::UnknownNeed));
    }
}

#[test]
fn a_bracket_inside_counts_if_it_says_nothing_else() {
    let brief = "- [ ] T001 a\n- [ ] T002 Build (depends on T001) in `src/b.rs`\n";
    assert_eq!(stated(brief, "T002"), ["T001"]);
    assert_eq!(titles(&read(brief))[1], "Build (depends on T001) in `src/b.rs`");
}

#[test]
fn numbers_are_ids_where_tasks_are_numbered() {
    let brief = "1. [ ] a\n2. [ ] b\n3. [ ] c (depends on 1)\n";
    assert_eq!(stated(brief, "3"), ["1"]);
    let brief = "- [ ] 1.1 a\n- [ ] 1.2 b\n- [ ] 1.3 c\n  - Depends on: Task 1.1\n";
    assert_eq!(stated(brief, "1.3"), ["1.1"]);
}

#[test]
fn unknown_ids_are_noted_and_left_out() {
    let outline = read("- [ ] T001 a (depends on T009)\n- [ ] T002 b\n");
    assert_eq!(needs_of(&outline, "T001"), [""; 0]);
    assert_eq!(codes(&outline), [NoteCode::UnknownNeed]);
}

#[test]
fn circles_are_cut_where_they_point_ahead() {
    let outline = read(
        "- [ ] T001 a (depends on T003)\n- [ ] T002 b (depends on T001)\n- [ ] T003 c (depends on T002)\n",
    );
    assert_eq!(needs_of(&outline, "T001"), [""; 0]);
    assert_eq!(needs_of(&outline, "T003"), ["T002"]);
    assert_eq!(codes(&outline), [NoteCode::CircularNeed]);
}

#[test]
fn nobody_needs_itself_or_what_it_is_nested_in() {
    let outline = read(
        "- [ ] T001 a (depends on T001)\n- [ ] T002 b (depends on T003)\n  - [ ] T003 c (depends on T002)\n",
    );
    assert!(outline.tasks[0].needs.is_empty());
    assert_eq!(needs_of(&outline, "T002"), ["T001"]);
    assert_eq!(needs_of(&outline, "T003"), [""; 0]);
    assert_eq!(codes(&outline), [NoteCode::CircularNeed; 3]);
}

#[test]
fn circles_through_containers_are_cut() {
    let outline = read(
        "- [ ] T1 a\n  - [ ] T2 b (depends on T3)\n- [ ] T3 c\n  - [ ] T4 d (depends on T1)\n",
    );
    assert_eq!(needs_of(&outline, "T2"), [""; 0]);
    assert_eq!(needs_of(&outline, "T4"), ["T1"]);
    assert!(codes(&outline).contains(&NoteCode::CircularNeed));
}

#[test]
fn a_stated_dependency_overrules_the_order_of_sections() {
    let outline = read(
        "## One\n- [ ] T001 a\n- [ ] T002 b (depends on T003)\n## Two\n- [ ] T003 c\n- [ ] T004 d\n",
    );
    assert_eq!(needs_of(&outline, "T002"), ["T001", "T003"]);
    assert_eq!(needs_of(&outline, "T003"), [""; 0]);
    assert!(codes(&outline).contains(&NoteCode::OrderOverruled));
    assert_eq!(names(&outline), ["T001", "T002", "T003", "T004"]);
}

#[test]
fn the_same_id_means_the_task_in_the_same_section() {
    let outline = read(
        "## A\n- [ ] T001 a\n- [ ] T002 b\n## B\n- [ ] T001 c\n- [ ] T002 d (depends on T001)\n",
    );
    assert_eq!(needs_of(&outline, "T002-2"), ["T001-2"]);
}
