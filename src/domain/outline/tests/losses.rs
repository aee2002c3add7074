//! Nothing that looks like a task is lost: it is a task, or it is said.

use super::{codes, criteria_of, names, needs_of, read, task, titles};
use crate::domain::outline::{NoteCode, Ordering, Outline, outline};

fn lines(outline: &Outline, code: NoteCode) -> Vec<u32> {
    outline.notes.iter().filter(|note| note.code == code).map(|note| note.line).collect()
}

#[test]
fn an_unclosed_code_block_is_said_with_what_it_hides() {
    for (brief, line) in [
        ("- [x] T001 a\n```\n- [ ] T002 b\n", 2),
        ("- [x] T001 a\n\n~~~sh\nmake\n- [ ] T002 b\n- [ ] T003 c\n", 3),
        ("- [x] T001 a\n  ```\n  code\n- [ ] T002 b", 2),
    ] {
        let outline = read(brief);
        assert_eq!(lines(&outline, NoteCode::UnclosedCode), [line], "{brief}");
        assert_eq!(names(&outline), ["T001"]);
    }
    assert!(read("- [x] T001 a\n```\nmake\n```\n").notes.is_empty());
}

#[test]
fn boxes_in_code_and_comments_are_said() {
    let outline = read("- [ ] a\n```\ntext\n- [ ] b\n- [ ] c\n```\n- [ ] d\n\n    - [ ] e\n");
    assert_eq!(lines(&outline, NoteCode::BoxesInCode), [4]);
    let outline = read("- [x] T001 a\n<!-- later\n- [ ] T002 b\n\n## More\n- [ ] T003 c\n-->\n");
    assert_eq!(lines(&outline, NoteCode::HiddenInComment), [3]);
    let outline = read("- [x] T001 a\n<!-- - [ ] T002 b -->\n<!--\n### Task 3: c\n-->\n");
    assert_eq!(lines(&outline, NoteCode::HiddenInComment), [2]);
    assert!(read("- [ ] a\n<!-- a remark\nabout it -->\n").notes.is_empty());
}

#[test]
fn unknown_marks_are_open_tasks_with_a_note() {
    for mark in [
        "done",
        "WIP",
        "/",
        ">",
        "!",
        "?",
        "⏭️",
        "in progress",
        "50%",
        "o",
        "*",
        ".",
        "0",
        "Not started",
        "In Dev",
        "WIP 50%",
        "Done ✅",
        "queued",
    ] {
        let outline = read(&format!("- [x] T001 a\n- [{mark}] T002 b\n"));
        assert_eq!(names(&outline), ["T001", "T002"], "{mark}");
        assert!(!task(&outline, "T002").done, "{mark}");
        assert_eq!(lines(&outline, NoteCode::UnknownBox), [2], "{mark}");
        assert_eq!(outline.notes[0].text, format!("- [{mark}] T002 b"));
    }
    for mark in ["✓", "✔", "✅", " x ", "X"] {
        let outline = read(&format!("- [{mark}] T001 a\n"));
        assert!(task(&outline, "T001").done, "{mark}");
        assert!(outline.notes.is_empty());
    }
}

#[test]
fn near_boxes_are_boxes() {
    for near in [
        "\n[ ] T002 b",
        "[ ] T002 b",
        "-[ ] T002 b",
        "*[ ] T002 b",
        "1.[ ] T002 b",
        "• [ ] T002 b",
        "•[ ] T002 b",
        "– [ ] T002 b",
        "◦ [ ] T002 b",
        "- [  ] T002 b",
        "- [ ]T002 b",
        "- ［ ］ T002 b",
        "- ☐ T002 b",
        "☐ T002 b",
        "- ( ) T002 b",
        "- { } T002 b",
        "- □ T002 b",
        "- ❏ T002 b",
        "- **[ ]** T002 b",
        "- **[ ] T002 b**",
        "- [ ]: T002 b",
        "- <input type=\"checkbox\"> T002 b",
        "- \u{200b}[ ] T002 b",
        "- ► [ ] T002 b",
        "<li>[ ] T002 b</li>",
        "► [ ] T002 b",
        "·[ ] T002 b",
        "a) [ ] T002 b",
        "(1) [ ] T002 b",
        "1: [ ] T002 b",
        "-- [ ] T002 b",
        "− [ ] T002 b",
        "‐ [ ] T002 b",
        "[ ]T002 b",
        "**[ ]** T002 b",
        "###[ ] T002 b",
    ] {
        let outline = read(&format!("- [x] T001 a\n{near}\n- [ ] T003 c\n"));
        assert_eq!(names(&outline), ["T001", "T002", "T003"], "{near}");
        assert_eq!(titles(&outline), ["a", "b", "c"], "{near}");
        assert!(outline.notes.is_empty(), "{near}: {:?}", outline.notes);
    }
}

#[test]
fn ids_without_a_box_are_said_beside_boxes() {
    for stray in [
        "* T002 b",
        "- **T002** b",
        "• T002 b",
        "\n| ID | Task |\n|---|---|\n| T002 | b |",
        "\n| b | T002 |",
        "\n| Done | What |\n|---|---|\n| [ ] | T002 b |",
        "\nT002 b",
        "\n## T002\n\nb",
        "- Task 2: b",
    ] {
        let brief = format!("- [x] T001 a\n{stray}\n");
        let outline = read(&brief);
        let said = lines(&outline, NoteCode::IdWithoutTask);
        let known = names(&outline).len() == 2;
        assert!(known || said.len() == 1, "{brief}: {:?} {:?}", outline.tasks, outline.notes);
    }
    let outline = read("- Task 1: a\n- [ ] b\n1. [ ] c\n");
    assert_eq!(codes(&outline), [NoteCode::IdWithoutTask], "the number of a list is no id");
    let outline = read("- [ ] AUTH-1: a\n- AUTH-2: b\n- [ ] AUTH-3: c\n");
    assert_eq!(codes(&outline), [NoteCode::IdWithoutTask], "and no gap");
    assert_eq!(outline.notes[0].line, 2);
    let outline = read("- [ ] T001 a\n- [ ] T002 b\n\nT001 comes first.\n\n- T002 after T001\n");
    assert!(outline.notes.is_empty(), "{:?}", outline.notes);
}

#[test]
fn what_is_struck_out_is_cancelled() {
    for struck in [
        "- [ ] ~~T002 b~~",
        "- ~~[ ] T002 b~~",
        "~~- [ ] T002 b~~",
        "- [ ] T002 ~~b~~",
        "- [ ] ~~**T002** b~~ (moved to v2)",
        "- [ ] <del>T002 b</del>",
        "* [/] ~~T002 b~~ — dropped",
    ] {
        let outline = read(&format!("- [x] T001 a\n{struck}\n- [ ] T003 c\n"));
        assert_eq!(names(&outline), ["T001", "T003"], "{struck}");
        assert_eq!(lines(&outline, NoteCode::StruckOut), [2], "{struck}");
        assert_eq!(outline.notes.len(), 1, "no gap: {:?}", outline.notes);
    }
    assert_eq!(titles(&read("- [ ] replace ~~this~~ that\n- [ ] ~~old~~ new\n")).len(), 2);
    let outline = read("### Task 1: a\n\n### ~~Task 2: b~~\n\n### Task 3: c\n");
    assert_eq!(names(&outline), ["1", "3"]);
    assert_eq!(codes(&outline), [NoteCode::StruckOut]);
}

#[test]
fn boxes_in_the_middle_of_a_text_are_said() {
    let outline = read("Legend: [ ] open, [x] done\n\n- [ ] a\n  not [ ] a box\n\n`[ ]` is code\n");
    assert_eq!(titles(&outline), ["a not [ ] a box"]);
    assert_eq!(lines(&outline, NoteCode::BoxInText), [1, 4]);
}

#[test]
fn brackets_and_signs_beside_boxes_are_said() {
    for (near, code) in [
        ("- `[ ]` b", NoteCode::BoxInText),
        ("- [custom] b", NoteCode::BoxInText),
        ("- [Blocked by legal] b", NoteCode::BoxInText),
        ("- ⏳ b", NoteCode::BoxInText),
        ("- ❌ T002 b", NoteCode::IdWithoutTask),
        ("[TODO] b", NoteCode::BoxInText),
        ("\n[wip] T002 b", NoteCode::BoxInText),
    ] {
        let outline = read(&format!("- [x] T001 a\n{near}\n"));
        assert_eq!(titles(&outline), ["a"], "{near}");
        assert!(codes(&outline).contains(&code), "{near}: {:?}", outline.notes);
    }
    let outline = read("- [x] a\n\nRead:\n- [1] a citation\n- [text](link)\n- [^1]: a note\n");
    assert!(outline.notes.is_empty(), "{:?}", outline.notes);
}

#[test]
fn rows_of_tables_beside_tasks_are_said() {
    let table = "\n| ID | Task | Status |\n|--|--|--|\n| 3 | build | todo |\n";
    for tasks in ["- [x] signed\n", "### Task 1: a\n### Task 2: b\n"] {
        let outline = read(&format!("{tasks}{table}"));
        assert_eq!(codes(&outline), [NoteCode::IdWithoutTask], "{tasks}");
    }
    let plain = "\n| Task | Owner |\n|--|--|\n| build | ann |\n";
    assert_eq!(codes(&read(&format!("- [x] signed\n{plain}"))), [NoteCode::IdWithoutTask]);
    let facts = "\n| Name | Status |\n|--|--|\n| Linux | good |\n";
    assert!(read(&format!("- [x] signed\n{facts}")).notes.is_empty());
}

#[test]
fn ids_with_a_suffix_keep_it_and_leave_no_gap() {
    let outline = read(
        "- [ ] T030 A\n- [ ] T031-MIN [P] B\n- [ ] T032 C\n- [ ] T012a D\n- [ ] T013 E\n\
         - [ ] T089 F\n- [ ] T090.1 [P] G\n- [ ] T091 H (depends on T031-MIN, T090.1, T012A)\n",
    );
    assert_eq!(titles(&outline), ["A", "B", "C", "D", "E", "F", "G", "H"]);
    assert!(task(&outline, "T031-MIN").parallel && task(&outline, "T090.1").parallel);
    let needs = needs_of(&outline, "T091");
    assert!(["T031-MIN", "T090.1", "T012a"].iter().all(|need| needs.contains(need)), "{needs:?}");
    let gaps = outline.notes.iter().filter(|note| note.code == NoteCode::GapInNumbering);
    assert!(
        gaps.clone().all(|note| !note.message.contains("T031") && !note.message.contains("T090")),
        "{:?}",
        outline.notes
    );
    let outline =
        read("- [ ] T001 a\n- [ ] T002-B2 b\n- [ ] T003Z c\n- [ ] T004_UI: d\n- [ ] T005 e\n");
    assert_eq!(names(&outline), ["T001", "T002-B2", "T003Z", "T004_UI", "T005"]);
    assert!(outline.notes.is_empty());
    let outline = read("- [ ] T001-T003 review\n- [ ] T001-based work\n- [ ] T4K-video\n");
    assert!(outline.tasks.iter().all(|task| task.explicit_id.is_none()), "{:?}", names(&outline));
}

#[test]
fn control_characters_are_left_out_with_a_note_of_the_line() {
    let outline = read("# a\n- [ ] a\u{9d}b\n- [\u{1b} ] c\u{0}\u{0}\n\td\u{c}\n");
    assert_eq!(titles(&outline), ["ab", "c d"]);
    assert_eq!(lines(&outline, NoteCode::ControlCharacters), [2, 3, 4]);
    assert!(outline.notes[0].message.contains("U+009D"), "{:?}", outline.notes);
    assert!(read("- [ ] a\r\n\t- [ ] b\r\n").notes.is_empty());
}

#[test]
fn next_steps_after_the_phases_are_not_the_plan() {
    let phases =
        "# App\n\nText.\n\n## Phase 1: Base\n\n- schema\n- api\n\n## Phase 2: UI\n\n1. pages\n";
    for later in [
        "## Next Steps",
        "## 5. Next steps:",
        "### Next Steps (after approval)",
        "## Immediate Next Steps",
        "## Action items",
        "## Follow-ups",
    ] {
        let outline = read(&format!("{phases}\n{later}\n\n1. Review this plan\n2. Begin\n"));
        assert_eq!(titles(&outline), ["schema", "api", "pages"], "{later}");
        assert_eq!(codes(&outline), [NoteCode::NotThePlan], "{later}");
    }
    assert!(outline(phases, Ordering::Auto).is_err(), "nothing calls these lists work");
    for part in ["Milestone", "Sprint", "Epic", "Wave"] {
        let brief = format!("{}\n## Next steps\n1. Review\n", phases.replace("Phase", part));
        let outline = read(&brief);
        assert_eq!(titles(&outline), ["schema", "api", "pages"], "{part}");
        assert_eq!(codes(&outline), [NoteCode::NotThePlan], "{part}");
    }
    // Phase 1 is prose here: a part of the work would pass for the whole.
    let part = phases.replace("Phase 2", "Phase 3").replace("Phase 1", "Phase 2");
    let next = read(&format!("{part}\n## Next Steps\n\n1. Review\n2. Begin\n"));
    assert_eq!(titles(&next), ["Review", "Begin"]);
    // Without phases they are all there is.
    assert_eq!(titles(&read("# App\n\nProse.\n\n## Next steps\n\n- review\n- begin\n")).len(), 2);
    // With boxes the list was never read; boxes stay.
    let boxes = "## Phase 1\n- [ ] a\n## Phase 2\n- [ ] b\n## Next Steps\n";
    assert_eq!(titles(&read(&format!("{boxes}1. Review\n"))), ["a", "b"]);
    assert_eq!(titles(&read(&format!("{boxes}- [ ] Announce\n"))), ["a", "b", "Announce"]);
}

#[test]
fn every_note_quotes_its_line() {
    let outline = read("- [ ] T001 a (depends on T009)\n- [WIP] b\n");
    assert_eq!(outline.notes[0].text, "- [ ] T001 a (depends on T009)");
    assert_eq!(outline.notes[1].text, "- [WIP] b");
    let long = format!("- [WIP] {}", "é".repeat(500));
    assert_eq!(read(&long).notes[0].text.chars().count(), 200);
}

#[test]
fn a_document_of_struck_out_boxes_has_no_tasks() {
    assert!(outline("- [ ] ~~a~~\n- ~~[ ] b~~\n", Ordering::Auto).is_err());
}

#[test]
fn a_task_keeps_its_text_and_criteria_around_what_is_left_out() {
    let outline =
        read("- [ ] T001 a\n  - [ ] ~~T002 b~~\n  - Acceptance:\n    - [ ] ~~c~~\n    - [x] d\n");
    assert_eq!(names(&outline), ["T001"]);
    assert_eq!(criteria_of(&outline, "T001"), ["d"]);
    assert_eq!(codes(&outline), [NoteCode::StruckOut; 2]);
}
