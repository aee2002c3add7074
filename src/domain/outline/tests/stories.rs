//! Stories that a document calls independent run in parallel.

use super::{codes, needs_of, read, read_as};
use crate::domain::outline::{NoteCode, Ordering};

const DOCUMENT: &str = "\
## Phase 1: Setup
- [ ] T001 a
## Phase 2: Foundational
- [ ] T002 b
## Phase 3: User Story 1 - Import (P1)
### Tests for User Story 1
- [ ] T003 c
### Implementation for User Story 1
- [ ] T004 d
## Phase 4: User Story 2 - Export (P2)
- [ ] T005 e
## Phase 5: User Story 3 - Share (P3)
- [ ] T006 f
## Phase 6: Polish
- [ ] T007 g

## Dependencies
";

fn with(remark: &str) -> String {
    format!("{DOCUMENT}\n{remark}\n")
}

#[test]
fn independent_stories_follow_the_phase_before_them() {
    for remark in [
        "- User stories can then proceed in parallel (if staffed)",
        "Once the Foundational phase completes, all user stories can start in parallel.",
        "Each user story is independently testable.",
        "- **User Stories (Phase 3+)**: can proceed in parallel after Foundational (Phase 2)",
        "- US1, US2 and US3 can run in parallel",
        "- User Story 1 (P1): no dependencies on other stories\n- User Story 2 (P2): independently testable\n\
         - User Story 3 (P3): Can start after Foundational (Phase 2) - independently testable",
    ] {
        let outline = read(&with(remark));
        assert_eq!(needs_of(&outline, "T002"), ["T001"], "{remark}");
        assert_eq!(needs_of(&outline, "T003"), ["T002"], "{remark}");
        assert_eq!(needs_of(&outline, "T004"), ["T003"], "{remark}");
        assert_eq!(needs_of(&outline, "T005"), ["T002"], "{remark}");
        assert_eq!(needs_of(&outline, "T006"), ["T002"], "{remark}");
        assert_eq!(needs_of(&outline, "T007"), ["T004", "T005", "T006"], "{remark}");
        assert_eq!(codes(&outline), [NoteCode::StoriesInParallel], "{remark}");
        assert!(outline.notes[0].line > 17, "{:?}", outline.notes);
    }
}

#[test]
fn a_story_follows_the_phase_that_is_named_first() {
    for rest in [
        "(Phase 2) - May integrate with US1 but should be independently testable",
        "(Phase 2), may use US1; independently testable",
        "phase (Phase 2) may integrate with US1, independently testable",
        "(Phase 2) – independently testable, integrates with US1",
    ] {
        let line = |story: u8| {
            format!("- **User Story {story} (P{story})**: Can start after Foundational {rest}\n")
        };
        let outline = read(&with(&format!(
            "- User stories can then proceed in parallel (if staffed)\n\n{}{}",
            line(2),
            line(3)
        )));
        assert_eq!(needs_of(&outline, "T005"), ["T002"], "{rest}");
        assert_eq!(needs_of(&outline, "T006"), ["T002"], "{rest}");
        assert_eq!(needs_of(&outline, "T007"), ["T004", "T005", "T006"], "{rest}");
        assert_eq!(codes(&outline), [NoteCode::StoriesInParallel], "{rest}");
    }
}

#[test]
fn the_phase_that_is_named_counts() {
    let outline = read(&with("User stories can proceed in parallel after Setup (Phase 1)."));
    assert_eq!(needs_of(&outline, "T003"), ["T002"], "nothing is said of what is read first");
    assert_eq!(needs_of(&outline, "T005"), ["T001"]);
    assert_eq!(needs_of(&outline, "T007"), ["T004", "T005", "T006"]);
}

#[test]
fn stated_dependencies_between_stories_stay() {
    let outline = read(&with(
        "- Stories can proceed in parallel\n- US2 (Phase 4): depends on US1 (needs the parser)\n- US3: can run parallel with US2 after US1",
    ));
    assert_eq!(needs_of(&outline, "T005"), ["T004"]);
    assert_eq!(needs_of(&outline, "T006"), ["T004"]);
    assert_eq!(needs_of(&outline, "T007"), ["T005", "T006"]);
    let outline = read(&with("- US2 and US3 can run in parallel"));
    assert_eq!(needs_of(&outline, "T005"), ["T004"]);
    assert_eq!(needs_of(&outline, "T006"), ["T004"]);
}

#[test]
fn without_such_words_the_sections_follow_each_other() {
    for remark in [
        "- User stories cannot proceed in parallel",
        "- All tests for a user story can run in parallel",
        "- Tasks within the stories can run in parallel",
        "- T003, T004 can run in parallel",
        "- US1 must complete first",
        "Grouped by user story to enable independent implementation of each story",
    ] {
        let outline = read(&with(remark));
        assert_eq!(needs_of(&outline, "T005"), ["T004"], "{remark}");
        assert_eq!(needs_of(&outline, "T006"), ["T005"], "{remark}");
        assert_eq!(codes(&outline), [], "{remark}");
    }
    let outline = read_as(&with("Stories can proceed in parallel"), Ordering::Sequential);
    assert_eq!(needs_of(&outline, "T006"), ["T005"]);
}

#[test]
fn phases_that_are_called_parallel_are() {
    let outline = read(
        "## Phase 1\n- [ ] a\n## Phase 2\n- [ ] b\n## Phase 3\n- [ ] c\n## Phase 4\n- [ ] d\n\n\
         ## Notes\nPhase 2 and Phase 3 can run in parallel.\n",
    );
    assert_eq!(needs_of(&outline, "s3-1"), ["s1-1"]);
    assert_eq!(needs_of(&outline, "s4-1"), ["s2-1", "s3-1"]);
}
