//! Boxes, ids, marks and titles as people write them.

use super::{codes, criteria_of, names, needs_of, read, task, titles};
use crate::domain::outline::{NoteCode, OutlineShape};

#[test]
fn every_kind_of_box_is_a_task() {
    let outline = read(
        "- [ ] a\n* [x] b\n+ [X] c\n1. [ ] d\n2) [x] e\n- [~] f\n- [-] g\n-   [ ]  h\n-\t[ ] i\n- [] j\n- - [ ] k\n",
    );
    assert_eq!(titles(&outline), ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]);
    let done: Vec<&str> =
        outline.tasks.iter().filter(|task| task.done).map(|task| task.title.as_str()).collect();
    assert_eq!(done, ["b", "c", "e"]);
    assert_eq!(outline.shape, OutlineShape::Boxes);
}

#[test]
fn links_and_escaped_boxes_are_text() {
    let outline =
        read("- [x](https://example.org) link\n- \\[ ] escaped\n- [ ] real\n- \\[ \\] escaped\n");
    assert_eq!(titles(&outline), ["real"]);
    assert_eq!(codes(&outline), [NoteCode::BoxInText; 2]);
    assert_eq!(outline.notes[0].line, 2);
}

#[test]
fn boxes_in_code_comments_and_front_matter_are_text() {
    let outline = read(
        "---\ntitle: x\nlist:\n  - [ ] matter\n---\n\n```md\n- [ ] fenced\n```\n~~~\n```\n- [ ] tilde\n~~~\n\n\
         <!-- - [ ] hidden -->\n<!--\n- [ ] hidden too\n-->\n\nText\n\n    - [ ] indented code\n\n- [ ] real\n  ```\n  - [ ] nested fence\n  ```\n- [ ] after\n",
    );
    assert_eq!(titles(&outline), ["real", "after"]);
    assert_eq!(task(&outline, "s1-1").description, "```\n- [ ] nested fence\n```");
}

#[test]
fn an_unclosed_fence_or_comment_does_not_panic_or_hide_what_is_before() {
    assert_eq!(titles(&read("- [ ] a\n```\n- [ ] b\n")), ["a"]);
    assert_eq!(titles(&read("- [ ] a <!-- not closed\n- [ ] b\n")), ["a <!-- not closed", "b"]);
    assert_eq!(titles(&read("- [ ] use `<!--` here\n- [ ] b -->\n")), ["use `<!--` here", "b -->"]);
}

#[test]
fn line_endings_marks_and_tabs_do_not_matter() {
    let outline = read("\u{feff}# Plan\r\n\r\n- [ ] one\r\n\t- [x] two\r\n- [ ] three\r");
    assert_eq!(titles(&outline), ["one", "two", "three"]);
    assert_eq!(task(&outline, "s1-1.1").parent.as_deref(), Some("s1-1"));
    assert_eq!(task(&outline, "s1-1").line, 3);
}

#[test]
fn ids_tags_and_marks_are_taken_off_the_title() {
    let outline = read(
        "- [ ] T001 [P] [US1] Create `src/__init__.py`\n- [ ] **T002**: [US1, US2] Bold id\n\
         - [ ] **T003 [P] Bold** title\n- [ ] `T004` (P) Code id\n- [ ] T005: Trailing [US3] [P]\n\
         - [ ] [T006] [Backend] Bracket id\n- [ ] T007b - With a dash\n- [ ] Task 8: By name\n- [ ] **Task 9.1** By number\n",
    );
    assert_eq!(
        titles(&outline),
        [
            "Create `src/__init__.py`",
            "Bold id",
            "Bold title",
            "Code id",
            "Trailing",
            "Bracket id",
            "With a dash",
            "By name",
            "By number"
        ]
    );
    assert_eq!(
        names(&outline),
        ["T001", "T002", "T003", "T004", "T005", "T006", "T007b", "8", "9.1"]
    );
    assert_eq!(task(&outline, "T002").labels, ["US1", "US2"]);
    assert_eq!(task(&outline, "T005").labels, ["US3"]);
    assert_eq!(task(&outline, "T006").labels, ["Backend"]);
    let parallel = outline.tasks.iter().filter(|task| task.parallel).count();
    assert_eq!(parallel, 4);
}

#[test]
fn names_that_only_look_like_ids_stay_in_the_title() {
    let outline = read(
        "- [ ] UTF-8 names\n- [ ] S3 bucket\n- [ ] T-shirt sizes\n- [ ] 3 retries\n- [ ] P1: urgent\n\
         - [ ] T001-T003 review\n- [ ] 3.11 support\n- [ ] 10% faster\n",
    );
    assert!(outline.tasks.iter().all(|task| task.explicit_id.is_none()), "{:?}", names(&outline));
    assert_eq!(titles(&outline)[6], "3.11 support");
}

#[test]
fn optional_tasks_are_known_by_their_star() {
    let outline = read(
        "- [ ] 1. Build\n  - [ ] 1.1 Core\n  - [ ]* 1.2 Tests\n  - [ ]\\* 1.3 More\n- [ ] 2.1* (P) Load\n- [ ] (optional) tidy\n- [ ] [Optional] polish\n- [ ] docs (optional)\n",
    );
    let optional: Vec<&str> =
        outline.tasks.iter().filter(|task| task.optional).map(|task| task.title.as_str()).collect();
    assert_eq!(optional, ["Tests", "More", "Load", "polish", "docs"]);
    assert_eq!(task(&outline, "1.2").parent.as_deref(), Some("1"));
}

#[test]
fn a_title_goes_on_until_a_field_a_gap_or_a_hard_break() {
    let outline = read(
        "- [ ] T001 A title that\n  goes on\n  Files: src/a.rs\n- [ ] T002 Short  \n  detail\n- [ ] T003 Alone\n\n  A paragraph.\n",
    );
    assert_eq!(titles(&outline), ["A title that goes on", "Short", "Alone"]);
    assert_eq!(task(&outline, "T001").description, "Files: src/a.rs");
    assert_eq!(task(&outline, "T002").description, "detail");
    assert_eq!(task(&outline, "T003").description, "A paragraph.");
}

#[test]
fn long_titles_are_cut_and_nothing_is_lost() {
    let words = "word ".repeat(200);
    let outline = read(&format!("- [ ] T001 {words}\n  - detail\n"));
    let task = task(&outline, "T001");
    assert!(task.title.chars().count() <= 500);
    let all = format!("{} {}", task.title, task.description);
    assert_eq!(all.matches("word").count(), 200);
    assert!(task.description.ends_with("\n\n- detail"));
}

#[test]
fn a_box_without_a_title_is_called_by_what_is_written() {
    let outline = read("- [ ]\n- [x] T002\n- [ ] c\n");
    assert_eq!(titles(&outline), ["- [ ]", "T002", "c"]);
    assert_eq!(codes(&outline), [NoteCode::EmptyTitle, NoteCode::EmptyTitle]);
}

#[test]
fn sub_bullets_are_description_and_criteria_lists_are_criteria() {
    let outline = read(
        "- [ ] 1.1 Build\n  - step one\n    ```sh\n    make\n    ```\n  - **Validation**: it runs\n    - fast\n    - safe\n  - last word\n\
         - [ ] 1.2 Ship\n\n  Acceptance criteria:\n  - users see it\n    at once\n  - no errors\n\n  Afterwards.\n",
    );
    assert_eq!(criteria_of(&outline, "1.1"), ["it runs", "fast", "safe"]);
    assert_eq!(
        task(&outline, "1.1").description,
        "- step one\n  ```sh\n  make\n  ```\n- last word"
    );
    assert_eq!(criteria_of(&outline, "1.2"), ["users see it at once", "no errors"]);
    assert_eq!(task(&outline, "1.2").description, "Afterwards.");
}

#[test]
fn duplicate_ids_get_a_suffix_and_a_note_and_gaps_are_noted() {
    let outline = read("- [ ] T001 a\n- [ ] T002 b\n- [ ] T002 c\n- [ ] T002-2: d\n- [ ] T007 e\n");
    assert_eq!(outline.tasks[2].explicit_id.as_deref(), Some("T002"));
    assert_eq!(outline.tasks[2].reference, "T002-2");
    let mut names = names(&outline);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 5);
    assert_eq!(codes(&outline), [NoteCode::DuplicateId, NoteCode::GapInNumbering]);
    assert!(outline.notes[1].message.contains("T003 to T006"), "{:?}", outline.notes);
}

#[test]
fn quoted_and_tagged_boxes_count() {
    let outline = read(
        "> - [ ] quoted\n>   - [ ] inside\n\n<details>\n<summary>More</summary>\n- [ ] folded\n</details>\n\n<verification>\n- [ ] checked\n</verification>\n",
    );
    assert_eq!(titles(&outline), ["quoted", "inside", "folded", "checked"]);
    assert_eq!(outline.tasks[1].parent.as_deref(), Some("s1-1"));
    assert_eq!(outline.tasks[3].section.as_deref(), Some("verification"));
    assert_eq!(needs_of(&outline, "s2-1"), ["s1-1", "s1-2"]);
}

#[test]
fn plain_items_group_the_boxes_below_them() {
    let outline = read("## Work\n1. Prepare\n   - [ ] a\n   - [ ] b\n2. Finish\n   - [ ] c\n");
    assert_eq!(titles(&outline), ["a", "b", "c"]);
    assert_eq!(outline.tasks[2].section.as_deref(), Some("Finish"));
    assert_eq!(needs_of(&outline, "s1-3"), ["s1-1", "s1-2"]);
}

#[test]
fn badly_indented_boxes_are_still_boxes() {
    let outline = read("1. [ ] a\n  - [ ] b\n- [ ] c\n        - [ ] d\nText\n- [ ] e\n- [ ]f\n");
    assert_eq!(titles(&outline), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(outline.tasks[1].parent.as_deref(), Some("1"));
    assert_eq!(outline.tasks[3].parent, Some(outline.tasks[2].reference.clone()));
}

#[test]
fn glued_documents_keep_their_tasks_apart() {
    let one = "---\nname: a\n---\n# A\n\n- [ ] T001 first\n- [x] T002 second\n";
    let outline = read(&format!("{one}\n{one}"));
    assert_eq!(names(&outline), ["T001", "T002", "T001-2", "T002-2"]);
    assert_eq!(needs_of(&outline, "T001-2"), ["T002"]);
    assert_eq!(needs_of(&outline, "T002-2"), ["T001-2"]);
}
