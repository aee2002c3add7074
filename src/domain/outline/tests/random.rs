//! What holds for every document.

use std::collections::{BTreeMap, BTreeSet};
use std::{sync::mpsc, thread, time::Duration};

use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser};

use crate::domain::outline::{Ordering, Outline, OutlineTask, TaskOrigin, outline};

/// A piece of a document, and how many boxes a reader sees in it.
fn piece() -> impl Strategy<Value = (String, usize)> {
    let id = (1u32..8).prop_map(|n| format!("T00{n}"));
    let need = (1u32..10).prop_map(|n| format!(" (depends on T00{n})"));
    let mark = prop_oneof![Just(""), Just("[P] "), Just("[US1] ")];
    let boxed =
        (0usize..3, any::<bool>(), proptest::option::of(id), mark, proptest::option::of(need))
            .prop_map(|(depth, done, id, mark, need)| {
                let id = id.map_or(String::new(), |id| format!("{id} "));
                let done = if done { "x" } else { " " };
                let text = format!("{id}{mark}do `it` *now*{}", need.unwrap_or_default());
                (format!("{}- [{done}] {text}\n", "  ".repeat(depth)), 1)
            });
    let numbered = (1u32..4, proptest::option::of(1u32..4)).prop_map(|(a, b)| {
        let id = b.map_or(format!("{a}."), |b| format!("{a}.{b}"));
        (format!("- [ ] {id} Part {a}\n  - Depends on: {a}.1\n"), 1)
    });
    let fixed = prop_oneof![
        Just(("\n## Section\n".to_owned(), 0)),
        Just(("\n### Sub — section\n".to_owned(), 0)),
        Just(("\n#### T003: Heading\n".to_owned(), 0)),
        Just(("```\n- [ ] code\n```\n".to_owned(), 0)),
        Just(("<!-- - [ ] gone -->\n".to_owned(), 0)),
        Just(("\nA paragraph that depends on T001.\n".to_owned(), 0)),
        Just(("- plain\n".to_owned(), 0)),
        Just(("1. plain\n   - [ ] grouped\n".to_owned(), 1)),
        Just(("1. [x] ordered\n".to_owned(), 1)),
        Just(("> - [ ] quoted\n".to_owned(), 1)),
        Just(("\n| [ ] | T001 |\n".to_owned(), 0)),
    ];
    prop_oneof![6 => boxed, 2 => numbered, 3 => fixed]
}

fn document() -> impl Strategy<Value = (String, usize)> {
    proptest::collection::vec(piece(), 1..40).prop_map(|pieces| {
        let boxes = pieces.iter().map(|(_, boxes)| boxes).sum();
        let text: String = pieces.into_iter().map(|(text, _)| text).collect();
        (format!("# Title\n{text}"), boxes)
    })
}

/// Lists nested as every parser of Markdown understands them.
fn clean_document() -> impl Strategy<Value = String> {
    let item = (0usize..4, 0usize..3, any::<bool>());
    proptest::collection::vec(item, 1..40).prop_map(|items| {
        let mut text = String::from("# Title\n\n");
        let mut depth = 0;
        for (at, (wanted, kind, gap)) in items.into_iter().enumerate() {
            depth = if at == 0 { 0 } else { wanted.min(depth + 1) };
            let pad = "  ".repeat(depth);
            match kind {
                0 => text.push_str(&format!("{pad}- [ ] box {at}\n")),
                1 => text.push_str(&format!("{pad}- [x] box {at}\n")),
                _ => text
                    .push_str(&format!("{pad}- item\n{pad}  ```\n{pad}  - [ ] code\n{pad}  ```\n")),
            }
            if gap {
                text.push('\n');
            }
        }
        text
    })
}

fn chaos() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("- [ ] "),
        Just("- [x] T001 "),
        Just("\n"),
        Just("\n\n"),
        Just("  "),
        Just("\t"),
        Just("> "),
        Just("```"),
        Just("~~~\n"),
        Just("<!--"),
        Just("-->"),
        Just("<task>"),
        Just("</task>\n"),
        Just("<name>"),
        Just("</name>"),
        Just("---\n"),
        Just("===\n"),
        Just("# "),
        Just("#### T002: "),
        Just("1. "),
        Just("1.1 "),
        Just("**"),
        Just("["),
        Just("]"),
        Just("("),
        Just(")"),
        Just("(depends on T001, T002-T009"),
        Just("needs: "),
        Just("é任务🎯"),
        Just("\r"),
        Just("\u{feff}"),
        Just("\u{a0}"),
        Just("Tasks:\n"),
        Just("*"),
        Just("Step 1: "),
        Just("a: b\n"),
        Just("`"),
        Just("Validation: "),
        Just("（依赖 "),
    ];
    proptest::collection::vec(token, 0..120).prop_map(|tokens| tokens.concat())
}

/// A piece that documents repeat; `{n}` counts.
fn unit() -> impl Strategy<Value = String> {
    let token = proptest::sample::select(vec![
        "- [ ] ",
        "- [x] T{n} ",
        "\n",
        "\n\n",
        "  ",
        "    ",
        "> ",
        "```",
        "<!--",
        "-->",
        "<task>",
        "</task>\n",
        "<name>",
        "</name>",
        "---\n",
        "# ",
        "## ",
        "### Task {n}: ",
        "#### T{n}: ",
        "{n}. ",
        "{n}.1 ",
        "**",
        "*",
        "[",
        "](",
        "(depends on T{n}",
        "(depends on T1-T{n})",
        "T{n}, ",
        "needs: T1\n",
        "é任务🎯",
        "\r\n",
        "Tasks:\n",
        "Step {n}: ",
        "`",
        "| ",
        "| T{n} | a | T1 |\n",
        "| id | task |\n|---|---|\n",
        "Acceptance criteria:\n",
        "## Phase {n}: a\n",
        "- [ ] Phase {n}\n",
        "## User Story {n}\n",
        "[P] ",
        "~~",
        "[/] ",
        "✅ ",
        "lorem ipsum ",
        "a\n",
        "a",
        "<a-b>\n",
        "1.1.1.",
        "Next steps\n",
        "User stories can run in parallel after foobar\n",
    ]);
    proptest::collection::vec(token, 1..5).prop_map(|tokens| tokens.concat())
}

/// Bytes of a task that are of no other.
fn own_size(task: &OutlineTask) -> usize {
    let criteria: usize = task.criteria.iter().map(|criterion| criterion.text.len()).sum();
    task.title.len() + task.description.len() + criteria
}

fn ordering() -> impl Strategy<Value = Ordering> {
    prop_oneof![Just(Ordering::Auto), Just(Ordering::Sequential), Just(Ordering::Parallel)]
}

/// References are unique, needs and parents known, parents come first, and
/// nothing waits for itself when a container is finished by its children.
fn holds_together(outline: &Outline) {
    let tasks = &outline.tasks;
    assert!(!tasks.is_empty());
    let index: BTreeMap<&str, usize> =
        tasks.iter().enumerate().map(|(at, task)| (task.reference.as_str(), at)).collect();
    assert_eq!(index.len(), tasks.len(), "references are unique");
    // Two nodes per task: it begins, it is finished.
    let mut before: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); tasks.len() * 2];
    for (at, task) in tasks.iter().enumerate() {
        before[at * 2 + 1].insert(at * 2);
        assert!(task.needs.is_sorted_by(|a, b| a < b), "needs are sorted and unique");
        for need in &task.needs {
            before[at * 2].insert(index[need.as_str()] * 2 + 1);
        }
        if let Some(parent) = &task.parent {
            let parent = index[parent.as_str()];
            assert!(parent < at);
            before[at * 2].insert(parent * 2);
            before[parent * 2 + 1].insert(at * 2 + 1);
        }
    }
    let mut left: BTreeSet<usize> = (0..before.len()).collect();
    loop {
        let free: Vec<usize> =
            left.iter().copied().filter(|node| before[*node].is_disjoint(&left)).collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|node| {
            left.remove(node);
        });
    }
    assert!(left.is_empty(), "a circle: {tasks:#?}");
}

fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn boxes_in(outline: &Outline) -> usize {
    // The random documents hold no other criteria than boxes.
    let count =
        |task: &OutlineTask| usize::from(task.origin == TaskOrigin::Item) + task.criteria.len();
    outline.tasks.iter().map(count).sum()
}

proptest! {
    #[test]
    fn documents_give_sound_outlines((brief, boxes) in document(), ordering in ordering()) {
        let Ok(found) = outline(&brief, ordering) else {
            prop_assert_eq!(boxes, 0, "{}", brief);
            return Ok(());
        };
        holds_together(&found);
        prop_assert_eq!(&outline(&brief, ordering), &Ok(found.clone()));
        // Where there are boxes, they are the tasks, each once.
        if boxes > 0 {
            prop_assert_eq!(boxes_in(&found), boxes, "{}", brief);
        }
        let text = bare(&brief);
        for task in &found.tasks {
            prop_assert!(text.contains(&bare(&task.title)), "{}", task.title);
            let line = brief.lines().nth(task.line as usize - 1).unwrap_or_default();
            prop_assert!(bare(line).contains(&bare(&task.title)), "{} in {line}", task.title);
        }
    }

    #[test]
    fn clean_documents_have_the_boxes_a_markdown_parser_finds(brief in clean_document()) {
        let parser = Parser::new_ext(&brief, Options::ENABLE_TASKLISTS);
        let marks: Vec<bool> = parser
            .filter_map(|event| match event {
                Event::TaskListMarker(done) => Some(done),
                _ => None,
            })
            .collect();
        let found = outline(&brief, Ordering::Auto);
        match found {
            Ok(found) if !marks.is_empty() => {
                let done: Vec<bool> = found.tasks.iter().map(|task| task.done).collect();
                prop_assert_eq!(done, marks, "{}", brief);
            }
            _ => prop_assert!(marks.is_empty(), "{}", brief),
        }
    }

    #[test]
    fn no_input_breaks_it(brief in chaos(), ordering in ordering()) {
        if let Ok(found) = outline(&brief, ordering) {
            holds_together(&found);
        }
    }

    /// A text is repeated in the tasks below it as a title at most: the plan does not grow with the product of
    /// a document's parts.
    #[test]
    fn an_outline_is_not_much_larger_than_its_document(
        begin in unit(), units in proptest::collection::vec((unit(), 1usize..600), 1..4),
        ordering in ordering(),
    ) {
        let mut brief = begin;
        for (unit, times) in units {
            for n in 0..times {
                brief.push_str(&unit.replace("{n}", &n.to_string()));
            }
        }
        let Ok(found) = outline(&brief, ordering) else { return Ok(()) };
        let own: usize = found.tasks.iter().map(own_size).sum();
        let criteria: usize = found.criteria.iter().map(|criterion| criterion.text.len()).sum();
        prop_assert!(own + criteria <= 4 * brief.len() + 100, "{} of {}", own + criteria, brief.len());
        for task in &found.tasks {
            let section = task.section.as_deref().unwrap_or_default();
            prop_assert!(section.chars().count() <= 500 && task.title.chars().count() <= 500);
        }
        let notes: usize = found.notes.iter().map(|note| note.text.len() + note.message.len()).sum();
        prop_assert!(notes <= 2_000 * found.notes.len());
        let edges: usize = found.tasks.iter().map(|task| task.needs.len()).sum();
        prop_assert!(edges <= 50_000 + 3 * found.tasks.len(), "{edges} edges");
    }

    #[test]
    fn no_text_breaks_it(brief in "\\PC{0,200}") {
        let _ = outline(&brief, Ordering::Auto);
    }
}

/// Documents made to be slow, smaller than a brief may be to keep the suite
/// quick: what grows faster than its input shows at this size too.
#[test]
fn hostile_documents_take_no_longer_than_honest_ones() {
    const SIZE: usize = 96 * 1024;
    let fill = |unit: &str| unit.repeat(SIZE / unit.len());
    let deep: String = (0..500).map(|depth| format!("{}- [ ] a\n", "  ".repeat(depth))).collect();
    let ahead: String = (1..7000)
        .map(|n| format!("- [ ] T{n} a (depends on T{})\n", if n == 6999 { 1 } else { n + 1 }))
        .collect();
    let pairs: String = (0..3000)
        .map(|n| {
            format!(
                "- [ ] T{} a (needs: T{})\n- [ ] T{} b (needs: T{})\n",
                n * 2,
                n * 2 + 1,
                n * 2 + 1,
                n * 2
            )
        })
        .collect();
    let ranges: String =
        (1..6000).map(|n| format!("- [ ] [P] T{n} a (depends on T1-T9999)\n")).collect();
    let dotted: String =
        (1..300).map(|n| format!("- [ ] {} a\n", vec!["1"; n.min(28)].join("."))).collect();
    // Linear, and slow without optimisation.
    let some = |unit: &str| unit.repeat(SIZE / 8 / unit.len());
    let long = |begin: &str, unit: &str, below: &str| {
        format!(
            "{begin}{}\n{}",
            unit.repeat(SIZE / 2 / unit.len()),
            below.repeat(SIZE / 2 / below.len())
        )
    };
    let stories: String = (0..100).map(|n| format!("## User Story {n}\n- [ ] a\n")).collect();
    let remarks = format!(
        "{}{}{stories}",
        "- User stories can start in parallel after foobar\n".repeat(150),
        "## x\n- [ ] b\n".repeat(5_000)
    );
    let documents = [
        fill("- [ ] a\n"),
        fill("- [ ] [P] a\n"),
        fill("## a\n- [ ] b\n- [ ] c\n- [ ] d\n"),
        deep,
        ahead,
        pairs,
        ranges,
        dotted,
        fill("> "),
        fill("- "),
        fill("- [ ] "),
        fill("[A]"),
        format!("- [ ] {}", fill("[A]")),
        format!("- [ ] {}", fill("(")),
        format!("- [ ] {}", fill(")")),
        format!("- [ ] {}", fill("(depends on T1) ")),
        format!("- [ ] {}", fill("`(")),
        format!("- [ ] {}", fill("**")),
        fill("```\n"),
        fill("````\n```\n"),
        fill("<!--"),
        fill("<!-- -->"),
        fill("<!--\n"),
        fill("---\na: b\n"),
        fill("<task>\n"),
        fill("<a-b>\n"),
        fill("<a-b>\n</a-b>\n"),
        fill("1.1 a\n"),
        fill("#"),
        fill("# a\n"),
        fill(" "),
        fill("\t"),
        fill("\n"),
        fill("1.1.1.1.1."),
        format!("- [ ] {}", fill("1.1.1.1.")),
        format!("- [ ] T1 (depends on {})", fill("T1, ")),
        (0..700).rev().map(|n| format!("{}x\n", "`".repeat(n))).collect(),
        format!("- [ ] a\n{}", fill("  - Validation: b\n    - c\n")),
        fill("* "),
        fill("\u{a0}"),
        fill("é"),
        // One long line that much stands below.
        long("# ", "a ", "- [ ] b\n"),
        long("# ", "a ", "- b\n"),
        long("# ", "tasks ", "## x\n- [ ] b\n"),
        long("- ", "a ", "  - [ ] b\n"),
        long("## Acceptance criteria ", "a ", "- [ ] b\n"),
        long("## User Story 1 ", "a ", "- Acceptance criteria:\n  - [ ] b\n"),
        long("### Task 1.1: ", "a ", "- [ ] 1. b\n"),
        long("- [ ] ", "1.", "  - [ ] b\n"),
        // Two stories among very many sections, and remarks about all of them.
        format!("## User Story 1\n- [ ] a\n## User Story 2\n- [ ] b\n{}", fill("## x\n- [ ] c\n")),
        remarks,
        // Rows that are cancelled, beside many lines.
        format!(
            "| id | task |\n|---|---|\n{}\n{}",
            "| T1 | ~~a~~ |\n".repeat(2_000),
            "a\n".repeat(20_000)
        ),
        fill("| T1 | a | T1 |\n"),
        format!("|{}\n|{}\n", "a|".repeat(20_000), "-|".repeat(20_000)),
        format!("- [ ] {}", some("](")),
        format!("- [ ] {}", some("@")),
        format!("- [ ] {}", some("_a ")),
        fill("- [ ] a\r\n"),
        fill("a\u{200d}"),
        fill("\u{202e}a "),
        fill("\u{301}"),
    ];
    let count = documents.len();
    let (sender, edges) = mpsc::channel();
    thread::spawn(move || {
        for brief in documents {
            let found = outline(&brief, Ordering::Auto);
            let tasks = found.map(|found| found.tasks).unwrap_or_default();
            let _ = sender.send(tasks.iter().map(|task| task.needs.len()).sum::<usize>());
        }
    });
    for at in 0..count {
        // Generous: an unoptimised build on a busy machine.
        let edges = edges.recv_timeout(Duration::from_secs(10));
        let edges = edges.unwrap_or_else(|error| panic!("document {at}: {error}"));
        assert!(edges <= 250_000, "document {at} has {edges} edges");
    }
}
