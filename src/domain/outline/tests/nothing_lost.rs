//! Every line with a box, an id or the name of a task ends somewhere.

use proptest::prelude::*;

use crate::domain::outline::{NoteCode, Ordering, Outline, outline};

/// One line of a generated document.
#[derive(Debug, Clone)]
struct Line {
    text: String,
    sign: Sign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// Nothing that looks like a task.
    None,
    Box,
    /// An id or `Task n` without a box.
    Named,
    /// Inside a comment.
    Hidden,
}

/// A block of lines; `@` is replaced by a word that no other line has, `#` by a number.
fn block() -> impl Strategy<Value = Vec<(String, Sign)>> {
    let mark = prop::sample::select(vec![
        "[ ]",
        "[x]",
        "[X]",
        "[~]",
        "[-]",
        "[/]",
        "[>]",
        "[WIP]",
        "[done]",
        "[!]",
        "[]",
        "[✓]",
        "[.]",
        "[Not started]",
        "[ ]:",
        "{ }",
        "□",
    ]);
    let bullet = prop::sample::select(vec![
        "- ", "* ", "+ ", "1. ", "2) ", "-", "• ", "– ", "", "► ", "·", "a) ", "(1) ", "1: ",
        "-- ", "− ",
    ]);
    let id = prop::sample::select(vec![
        "",
        "",
        "T#: ",
        "T# ",
        "**T#** ",
        "Task #: ",
        "#. ",
        "T#-MIN ",
        "AUTH-#: ",
        "Step #: ",
        "AC#: ",
        "T# [P] [US1] ",
    ]);
    let text = prop::sample::select(vec![
        "do @",
        "`do` @",
        "do @ (depends on T1)",
        "~~do @~~",
        "do @ [P]",
        "Phase # @",
        "**do @**",
    ]);
    let boxed = (0usize..4, bullet, mark, id, text).prop_map(|(depth, bullet, mark, id, text)| {
        // Words are marks behind a bullet only.
        let worded =
            mark.chars().any(|c| c.is_alphabetic() && !matches!(c, 'x' | 'X')) || mark == "{ }";
        let bullet = if worded || mark == "[]" { "- " } else { bullet };
        vec![(format!("{}{bullet}{mark} {id}{text}", "  ".repeat(depth)), Sign::Box)]
    });
    let named = prop::sample::select(vec![
        "- T# do @",
        "* **T#** do @",
        "- Task #: do @",
        "### Task #: do @",
        "#### T#: do @",
        "## Task #.1 - do @",
        "### ~~Task #: do @~~",
        "| T# | do @ |",
        "- ❌ T# do @",
        "T#: do @",
        "  - T# do @",
        "### [ ] do @",
        "## [x] T# do @",
        "## [ ] Phase # do @",
        "### Task # Do @",
        "### Task # of the rest @",
        "### Task # (P0): do @",
        "### Task #/90: do @",
        "### [Task #] do @",
        "### Subtask #.1: do @",
        "### Task no. #: do @",
        "### Task-#: do @",
        "- Task # do @",
        "- (T#) do @",
        "- T#, do @",
        "- t00# do @",
    ])
    .prop_map(|text| vec![(text.to_owned(), Sign::Named)]);
    let plain = prop::sample::select(vec![
        "",
        "",
        "Prose of @.",
        "## Section @",
        "### Part @",
        "- bullet @",
        "  - detail @",
        "---",
        "## Phase 1",
        "## Phase 2: Build",
        "## Acceptance Criteria",
        "**Acceptance criteria:**",
        "  - Acceptance criteria:",
        "  **Done when:**",
        "  - Depends on: T1",
        "  Depends on:",
        "## Dependencies",
        "User stories can proceed in parallel.",
        "## User Story 1",
        "## Next Steps",
        "### US-001: Story",
        "> quote @",
    ])
    .prop_map(|text| vec![(text.to_owned(), Sign::None)]);
    let code = prop::sample::select(vec!["```\n- [ ] T# do @\n```", "~~~md\n## Task #\n~~~"])
        .prop_map(|text| text.lines().map(|line| (line.to_owned(), Sign::None)).collect());
    let comment = prop::sample::select(vec![
        vec![("<!-- - [ ] T# do @ -->", Sign::Hidden)],
        vec![("<!--", Sign::None), ("- [ ] do @", Sign::Hidden), ("-->", Sign::None)],
        vec![("<!-- late", Sign::None), ("### Task #: @", Sign::Hidden), ("-->", Sign::None)],
    ])
    .prop_map(|lines| lines.into_iter().map(|(text, sign)| (text.to_owned(), sign)).collect());
    let table = prop::sample::select(vec![
        "| ID | Task | Depends on |",
        "| Ticket | Text | Who |",
        "| Task | Owner | Status |",
    ])
    .prop_map(|header| {
        let mut lines = vec![(String::new(), Sign::None), (header.to_owned(), Sign::None)];
        lines.push(("|---|---|---|".to_owned(), Sign::None));
        lines.push(("| T# | do @ | |".to_owned(), Sign::Named));
        lines.push(("| T# | [ ] do @ | T1 |".to_owned(), Sign::Box));
        lines
    });
    let element = Just(vec![
        ("<task>".to_owned(), Sign::None),
        ("<name>Task #: do @</name>".to_owned(), Sign::Named),
        ("- [ ] fine @".to_owned(), Sign::Box),
        ("</task>".to_owned(), Sign::None),
    ]);
    prop_oneof![12 => boxed, 4 => named, 8 => plain, 1 => code, 1 => comment, 1 => table, 1 => element]
}

fn document() -> impl Strategy<Value = Vec<Line>> {
    let unclosed = prop_oneof![9 => Just(false), 1 => Just(true)];
    (prop::collection::vec(block(), 1..30), unclosed).prop_map(|(blocks, unclosed)| {
        let mut lines: Vec<Line> = Vec::new();
        for (text, sign) in blocks.into_iter().flatten() {
            let at = lines.len() + 1;
            let text = text.replace('@', &format!("word{at}end"));
            // `#` is a number behind a letter, a space, `~` or at the start, else a heading.
            let (head, rest) = text.split_at(text.len() - text.trim_start_matches('#').len());
            let (head, rest) =
                if rest.starts_with(' ') { (head, rest) } else { ("", text.as_str()) };
            lines
                .push(Line { text: format!("{head}{}", rest.replace('#', &at.to_string())), sign });
        }
        if unclosed {
            lines.push(Line { text: "```".into(), sign: Sign::None });
            lines.push(Line { text: "- [ ] T900 below".into(), sign: Sign::None });
        }
        lines
    })
}

fn is_somewhere(found: &Outline, at: usize, line: &Line) -> bool {
    let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
    let word = format!("word{number}end");
    let in_task = found.tasks.iter().any(|task| {
        task.line == number
            || task.title.contains(&word)
            || task.description.contains(&word)
            || task.criteria.iter().any(|criterion| criterion.text.contains(&word))
    });
    let in_goal = found.criteria.iter().any(|criterion| criterion.text.contains(&word));
    let noted = found.notes.iter().any(|note| note.line == number);
    // A comment has one note, at its first line that looks like a task.
    let hidden = line.sign == Sign::Hidden
        && found
            .notes
            .iter()
            .any(|note| note.code == NoteCode::HiddenInComment && note.line <= number);
    // Four columns may be code, which has one note too.
    let code = line.text.starts_with("    ")
        && found.notes.iter().any(|note| note.code == NoteCode::BoxesInCode && note.line <= number);
    in_task || in_goal || noted || hidden || code
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_line_that_looks_like_a_task_is_lost(lines in document()) {
        let brief: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
        let Ok(found) = outline(&brief, Ordering::Auto) else {
            let open = |line: &Line| {
                let hidden = ["    ", "|"].iter().any(|start| line.text.starts_with(start))
                    || line.text.contains("~~");
                line.sign == Sign::Box && !hidden
            };
            prop_assert!(!lines.iter().any(open), "{brief}");
            return Ok(());
        };
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.sign != Sign::None) {
            prop_assert!(
                is_somewhere(&found, at, line),
                "line {} `{}` is nowhere in\n{brief}\n{:?}", at + 1, line.text, found.notes
            );
        }
        let unclosed = brief.contains("T900 below");
        let said = found.notes.iter().any(|note| note.code == NoteCode::UnclosedCode);
        prop_assert!(said || !unclosed, "{brief}");
    }
}
