//! Dependencies in every spelling are read, or noted.

use super::{codes, read_as, task};
use crate::domain::outline::{NoteCode, Ordering};

fn stated(brief: &str, name: &str) -> Vec<String> {
    task(&read_as(brief, Ordering::Parallel), name).needs.clone()
}

#[test]
fn brackets() {
    for end in [
        "(depends on t001)",
        "(dependsOn: T001)",
        "(depends_on: T001)",
        "(DEPENDS-ON T1)",
        "(blocked-by T001)",
        "(blockedBy: [T001])",
        "(depends on \"T001\")",
        "(depends on 'T001')",
        "(depends on “T001”)",
        "(waiting for T001)",
        "(deps=T001)",
        "(prerequisite: T001)",
        "[blockers: #T001]",
        "⛔ T001",
    ] {
        let end = if end.starts_with('⛔') { format!("\n  {end}") } else { end.to_owned() };
        let brief = format!("- [ ] T001 a\n- [ ] T003 Build it {end}\n");
        assert_eq!(stated(&brief, "T003"), ["T001"], "{end}");
    }
}

#[test]
fn lines_and_lists() {
    for below in [
        "  Blockers: T001",
        "  - Blockers: T001",
        "  - dependsOn: \"T001\"",
        "  - **Blocked-By:** t001",
        "  **Depends on:**\n  - T001",
        "  - **Depends on:**\n    - T001",
        "  - Depends on:\n    - `T001`: the models",
        "\n  **Dependencies**\n\n  - T001 (the models)",
        "  - Predecessors:\n    - t001",
        "  - Depends on: Write the models",
        "  - Depends on:\n    - Write the models",
        "  - depends-on:: T001",
    ] {
        let brief = format!("- [ ] T001 Write the models\n- [ ] T003 Build it\n{below}\n");
        assert_eq!(stated(&brief, "T003"), ["T001"], "{below}");
        let heading =
            brief.replace("- [ ] T001", "### Task 1:").replace("- [ ] T003", "\n### Task 3:");
        let heading =
            heading.replace("\n  ", "\n").replace("T001", "Task 1").replace("t001", "Task 1");
        let outline = read_as(&heading, Ordering::Parallel);
        assert_eq!(task(&outline, "3").needs, ["1"], "{heading}");
    }
}

#[test]
fn what_cannot_be_read_is_noted() {
    for below in [
        "  - Depends on: the importer of the other team",
        "  - Blocked by: legal",
        "  - Depends on:\n    - T009",
        "  - Blockers: T009",
        "  (depends on t009)",
        "  - Depends on:\n    - the importer",
    ] {
        let outline = read_as(&format!("- [ ] T001 a\n{below}\n"), Ordering::Parallel);
        assert_eq!(codes(&outline), [NoteCode::UnknownNeed], "{below}: {:?}", outline.tasks);
    }
    let outline = read_as("- [ ] T001 a\n\n**Depends on:** T001\n", Ordering::Parallel);
    assert_eq!(codes(&outline), [NoteCode::UnknownNeed], "of no task");
}

#[test]
fn nothing_is_no_need() {
    for below in [
        "  - Depends on: None",
        "  - Blocked by: -",
        "  - Blockers: n/a",
        "  - Depends on: nothing (first task)",
        "  - Dependencies:\n    - serde 1.0\n    - tokio",
        "  - **Dependencies:** React 18",
        "  - Needs: coffee",
    ] {
        let outline = read_as(&format!("- [ ] T001 a\n{below}\n"), Ordering::Parallel);
        assert_eq!(codes(&outline), [], "{below}: {:?}", outline.notes);
    }
}

#[test]
fn a_list_of_needs_ends_with_its_list() {
    let brief = "### Task 1: a\n### Task 2: b\n**Depends on:**\n- Task 1\n\nSteps:\n- Task 3 comes later\n### Task 3: c\n";
    assert_eq!(stated(brief, "2"), ["1"]);
    let brief =
        "- [ ] T001 a\n- [ ] T002 b\n  - Depends on:\n    - T001\n  - T003 is next\n- [ ] T003 c\n";
    assert_eq!(stated(brief, "T002"), ["T001"]);
}
