//! Edited documents and plans, one habit each; and random ones.

mod model;
pub(super) mod random;

use serde_json::json;

use super::{DiffEntry, DiffReason, Origin, Present, replan};
use crate::domain::{
    ids::TaskId,
    plan::TaskSpec,
    refusal::Code,
    states::TaskState,
    task::edit::{Standing, TaskField},
};
use model::{Goal, PRIORITY, given, read};
use random::{Random, run};

const PHASES: &str = "# Import\n\n## Phase 1: Base\n\n- [ ] Write the schema\n- [ ] Write the parser\n\n\
                      ## Phase 2: Rest\n\n- [ ] Import the old files\n- [ ] Write the manual\n";

fn goal(brief: &str) -> Goal {
    Goal::of(&read(brief).expect("the brief has tasks"))
}

fn compare(goal: &Goal, brief: &str) -> super::Replanned {
    let plan = read(brief).expect("the brief has tasks");
    replan(&goal.tasks, &plan, PRIORITY).expect("a plan that can be applied")
}

fn titles(entries: &[DiffEntry]) -> Vec<(&str, DiffReason)> {
    entries.iter().map(|entry| (entry.title.as_str(), entry.reason)).collect()
}

fn by_title<'g>(goal: &'g Goal, title: &str) -> &'g Present {
    goal.tasks.iter().find(|task| task.spec.title == title).expect("the goal has the task")
}

fn task(name: &str, needs: &[&str]) -> TaskSpec {
    let needs = needs.iter().map(|need| (*need).to_owned()).collect();
    TaskSpec { r#ref: name.to_owned(), title: format!("Do {name}"), needs, ..TaskSpec::default() }
}

#[test]
fn the_same_brief_changes_nothing_whatever_happened_since() {
    let mut goal = goal(PHASES);
    assert!(compare(&goal, PHASES).diff.is_empty());
    goal.set("s1-1", TaskState::Done, Standing::Ended(TaskState::Done));
    goal.set("s1-2", TaskState::Running, Standing::Held);
    for task in &mut goal.tasks {
        // Edited by hand.
        task.spec.title.push('!');
        task.spec.priority = Some(9);
    }
    let diff = compare(&goal, PHASES).diff;
    assert!(diff.is_empty(), "{diff:#?}");
    assert_eq!(diff.counts.kept, 4);
    assert_eq!(diff.keep[0].reason, DiffReason::Finished);
}

#[test]
fn a_criterion_that_is_repeated_as_a_text_keeps_its_type() {
    let with = |criteria: serde_json::Value| TaskSpec {
        criteria: serde_json::from_value(criteria).expect("criteria"),
        ..task("a", &[])
    };
    let typed = with(json!([
        {"text": "the customer agrees", "type": "person"},
        {"text": "it is sound", "min_tier": "reviewed"},
        "it works",
    ]));
    let goal = Goal::of(&given(vec![typed.clone()]));
    let texts = with(json!(["it works", "it is sound", "the customer agrees"]));
    let ordered = with(json!(["the customer agrees", "it is sound", "it works"]));
    let compare =
        |spec: TaskSpec| replan(&goal.tasks, &given(vec![spec]), PRIORITY).expect("a plan");
    assert!(compare(ordered).diff.is_empty());
    let found = compare(texts);
    let after = &found.edit[0].after.criteria;
    assert_eq!(
        [&after[0], &after[1], &after[2]],
        [&typed.criteria[2], &typed.criteria[1], &typed.criteria[0]]
    );
    // Another text is another criterion.
    let other = compare(with(json!(["the customer likes it"])));
    assert_eq!(other.edit[0].after.criteria, with(json!(["the customer likes it"])).criteria);
    // A type that is given counts.
    let given = compare(with(json!([{"text": "the customer agrees", "type": "review"}])));
    assert_eq!(given.edit[0].after.criteria[0].r#type.as_str(), "review");
}

#[test]
fn a_line_on_top_shifts_no_id() {
    let mut goal = goal(PHASES);
    let ids: Vec<TaskId> = goal.tasks.iter().map(|task| task.task_id).collect();
    let brief =
        PHASES.replace("- [ ] Write the schema", "- [ ] Ask the customer\n- [ ] Write the schema");
    let found = compare(&goal, &brief);
    assert_eq!(titles(&found.diff.add), [("Ask the customer", DiffReason::New)]);
    assert_eq!(found.diff.cancel, []);
    goal.apply(&found);
    for (id, title) in ids.iter().zip([
        "Write the schema",
        "Write the parser",
        "Import the old files",
        "Write the manual",
    ]) {
        assert_eq!(by_title(&goal, title).task_id, *id);
    }
    // What comes after the first phase needs the new task too.
    let manual = by_title(&goal, "Write the manual");
    assert!(manual.spec.needs.contains(&by_title(&goal, "Ask the customer").spec.r#ref));
    assert!(compare(&goal, &brief).diff.is_empty());
}

#[test]
fn a_reworded_line_between_its_neighbours_is_the_same_task() {
    let mut goal = goal(PHASES);
    let brief = PHASES.replace("Write the parser", "Stream everything");
    let found = compare(&goal, &brief);
    assert_eq!(titles(&found.diff.change), [("Write the parser", DiffReason::Edited)]);
    assert_eq!(found.diff.counts.added + found.diff.counts.cancelled, 0);
    let change = &found.diff.change[0].changes[0];
    assert_eq!((change.field.as_str(), &change.before), ("title", &json!("Write the parser")));
    assert_eq!(found.edit[0].fields, [TaskField::Title]);
    // Of one that runs it is other work, unless the title is similar.
    goal.set("s1-2", TaskState::Running, Standing::Held);
    let found = compare(&goal, &brief);
    assert_eq!(titles(&found.diff.cancel), [("Write the parser", DiffReason::Removed)]);
    assert_eq!(titles(&found.diff.add), [("Stream everything", DiffReason::New)]);
    let brief = PHASES.replace("Write the parser", "Write the streaming parser");
    let found = compare(&goal, &brief);
    assert!(found.diff.is_empty(), "{:#?}", found.diff);
    let held = found.diff.keep.iter().find(|entry| entry.reason == DiffReason::InProgress).unwrap();
    assert_eq!(held.changes[0].field, "title");
    assert!(held.text.contains("an attempt works on it"), "{}", held.text);
    // It is offered again, and the same brief changes it.
    goal.apply(&found);
    goal.set("s1-2", TaskState::Ready, Standing::Offered);
    assert_eq!(
        titles(&compare(&goal, &brief).diff.change),
        [("Write the parser", DiffReason::Edited)]
    );
}

#[test]
fn what_has_ended_never_changes_and_takes_no_other_work_in() {
    let mut goal = goal(PHASES);
    goal.set("s1-1", TaskState::Done, Standing::Ended(TaskState::Done));
    goal.set("s1-2", TaskState::Failed, Standing::Failed);
    let brief = PHASES
        .replace("Write the schema", "Ask the customer")
        .replace("- [ ] Write the parser\n", "");
    let found = compare(&goal, &brief);
    assert_eq!(titles(&found.diff.add), [("Ask the customer", DiffReason::New)]);
    let ended: Vec<(&str, DiffReason)> = titles(&found.diff.keep)
        .into_iter()
        .filter(|(_, reason)| *reason == DiffReason::Finished)
        .collect();
    assert_eq!(
        ended,
        [("Write the schema", DiffReason::Finished), ("Write the parser", DiffReason::Finished)]
    );
    assert_eq!(found.drop, [goal.task("s1-2").task_id], "it no longer counts against the goal");
    // A line that comes back is the done task.
    goal.apply(&found);
    let found = compare(&goal, PHASES);
    assert_eq!(titles(&found.diff.cancel), [("Ask the customer", DiffReason::Removed)]);
    assert_eq!(titles(&found.diff.add), [("Write the parser", DiffReason::New)]);
}

#[test]
fn a_given_ref_is_the_identity() {
    let mut goal = Goal::of(&given(vec![task("a", &[]), task("b", &["a"]), task("c", &["b"])]));
    let b = goal.task("b").task_id;
    let other = TaskSpec { title: "Something else".into(), ..task("b", &[]) };
    let plan = given(vec![other, task("c", &["b"]), task("d", &["c"])]);
    let found = replan(&goal.tasks, &plan, PRIORITY).unwrap();
    assert_eq!(found.edit[0].task_id, b);
    assert_eq!(found.edit[0].fields, [TaskField::Title, TaskField::Needs]);
    assert_eq!(titles(&found.diff.cancel), [("Do a", DiffReason::Removed)]);
    goal.apply(&found);
    assert_eq!(goal.task("b").standing, Standing::Offered);
    // The ref of a task that the plan took out is used: the work that has it again gets another name.
    let plan = given(vec![task("a", &[]), task("b", &["a"])]);
    let found = replan(&goal.tasks, &plan, PRIORITY).unwrap();
    assert_eq!(found.add[0].1.r#ref, "a-2");
    assert_eq!(found.diff.add[0].reason, DiffReason::Again);
    goal.apply(&found);
    assert_eq!(goal.task("b").spec.needs, ["a-2"]);
    assert!(replan(&goal.tasks, &plan, PRIORITY).unwrap().diff.is_empty());
}

#[test]
fn numbers_that_somebody_wrote_anew_do_not_mix_tasks_up() {
    let brief = "- [ ] T001 Write the schema\n- [ ] T002 Write the parser\n- [ ] T003 Deploy\n";
    let mut goal = goal(brief);
    goal.set("T001", TaskState::Done, Standing::Ended(TaskState::Done));
    let (schema, deploy) = (goal.task("T001").task_id, goal.task("T003").task_id);
    let edited = "- [ ] T001 Ask the customer\n- [x] T002 Write the schema\n- [ ] T003 Write the parser\n\
                  - [ ] T004 Deploy\n";
    let found = compare(&goal, edited);
    assert_eq!(titles(&found.diff.add), [("Ask the customer", DiffReason::Again)]);
    assert_eq!(found.diff.cancel, []);
    goal.apply(&found);
    assert_eq!(by_title(&goal, "Write the schema").task_id, schema);
    assert_eq!(by_title(&goal, "Deploy").task_id, deploy);
    assert!(compare(&goal, edited).diff.is_empty());
}

#[test]
fn a_ticked_line_is_done_unless_somebody_works_on_it() {
    let mut goal = goal(PHASES);
    let brief = PHASES.replace("[ ] Write the schema", "[x] Write the schema");
    let found = compare(&goal, &brief);
    assert_eq!(titles(&found.diff.change), [("Write the schema", DiffReason::Ticked)]);
    goal.set("s1-1", TaskState::Running, Standing::Held);
    let found = compare(&goal, &brief);
    assert!(found.diff.is_empty(), "its attempt decides");
    goal.set("s1-1", TaskState::Ready, Standing::Offered);
    for task in goal.tasks.iter_mut().filter(|task| task.spec.r#ref == "s1-1") {
        task.spec.approval.result = true;
    }
    assert!(compare(&goal, &brief).diff.is_empty(), "a person approves its result");
}

#[test]
fn what_stands_below_a_task_with_work_of_its_own_stands_beside_it_in_its_order() {
    let flat = given(vec![task("a", &[]), task("b", &[]), task("c", &["a"])]);
    let mut goal = Goal::of(&flat);
    let below = TaskSpec { parent: Some("a".into()), ..task("b", &[]) };
    let plan = given(vec![task("a", &[]), below, task("c", &["a"])]);
    let found = replan(&goal.tasks, &plan, PRIORITY).unwrap();
    assert_eq!(found.diff.counts.added + found.diff.counts.cancelled, 0);
    goal.apply(&found);
    assert_eq!(goal.task("b").spec.parent, None);
    assert_eq!(goal.task("c").spec.needs, ["a", "b"]);
    assert!(replan(&goal.tasks, &plan, PRIORITY).unwrap().diff.is_empty());
    goal.apply(&replan(&goal.tasks, &flat, PRIORITY).unwrap());
    assert_eq!(goal.task("c").spec.needs, ["a"]);
}

#[test]
fn tasks_move_between_containers_and_into_new_ones() {
    let inside =
        |name: &str, parent: &str| TaskSpec { parent: Some(parent.into()), ..task(name, &[]) };
    let mut goal = Goal::of(&given(vec![
        task("box", &[]),
        inside("a", "box"),
        inside("b", "box"),
        task("c", &["box"]),
    ]));
    let plan = given(vec![
        task("box", &[]),
        inside("b", "box"),
        task("new", &[]),
        inside("a", "new"),
        task("c", &["box", "new"]),
    ]);
    let found = replan(&goal.tasks, &plan, PRIORITY).unwrap();
    assert!(found.holds.contains("new"));
    goal.apply(&found);
    assert_eq!(goal.task("a").spec.parent.as_deref(), Some("new"));
    assert!(goal.task("new").container);
    assert!(replan(&goal.tasks, &plan, PRIORITY).unwrap().diff.is_empty());
    // A begun task stays in its container, and that goes on for it.
    goal.set("a", TaskState::Running, Standing::Held);
    let plan =
        given(vec![task("box", &[]), inside("b", "box"), task("a", &[]), task("c", &["box"])]);
    let found = replan(&goal.tasks, &plan, PRIORITY).unwrap();
    assert_eq!(found.cancel, []);
    let kept = titles(&found.diff.keep);
    assert!(kept.contains(&("Do new", DiffReason::InProgress)), "{kept:?}");
    goal.apply(&found);
    goal.set("a", TaskState::Done, Standing::Ended(TaskState::Done));
    assert!(replan(&goal.tasks, &plan, PRIORITY).unwrap().diff.is_empty());
}

#[test]
fn what_is_not_from_the_plan_is_left_alone_unless_it_is_named() {
    let mut goal = Goal::of(&given(vec![task("a", &[]), task("b", &[])]));
    let beside = |name: &str, needs: &[&str], id: u128| {
        let made = goal.task("a").clone();
        let spec = TaskSpec { priority: Some(2), ..task(name, needs) };
        Present { task_id: TaskId(uuid::Uuid::from_u128(id)), spec, origin: Origin::Beside, ..made }
    };
    let more = [beside("x", &[], 900), beside("y", &["b"], 901), beside("z", &["y"], 902)];
    goal.tasks.extend(more);
    let plan =
        given(vec![task("a", &[]), TaskSpec { title: "Do x well".into(), ..task("x", &["a"]) }]);
    let found = replan(&goal.tasks, &plan, PRIORITY).unwrap();
    assert_eq!(titles(&found.diff.change), [("Do x", DiffReason::Edited)]);
    assert_eq!(found.edit[0].fields, [TaskField::Title, TaskField::Needs], "its priority stays");
    assert_eq!(
        titles(&found.diff.cancel),
        [
            ("Do b", DiffReason::Removed),
            ("Do y", DiffReason::NeedsRemoved),
            ("Do z", DiffReason::NeedsRemoved)
        ]
    );
}

#[test]
fn needs_by_hand_stay_and_needs_that_fail_are_refused() {
    let mut goal = Goal::of(&given(vec![task("a", &[]), task("b", &["a"]), task("c", &[])]));
    for task in goal.tasks.iter_mut().filter(|task| task.spec.r#ref == "b") {
        task.spec.needs = vec!["a".into(), "c".into()];
    }
    let plan = given(vec![task("a", &[]), task("b", &["d"]), task("c", &[]), task("d", &[])]);
    let found = replan(&goal.tasks, &plan, PRIORITY).unwrap();
    assert_eq!(found.edit[0].after.needs, ["c", "d"]);
    goal.set("a", TaskState::Failed, Standing::Failed);
    let plan = given(vec![task("a", &[]), task("b", &["a"]), task("c", &["a"])]);
    let refused = replan(&goal.tasks, &plan, PRIORITY).unwrap_err();
    assert_eq!(
        (refused.code, refused.errors[0].pointer.as_str()),
        (Code::PlanInvalid, "/tasks/2/needs")
    );
    assert!(
        refused.detail.contains("retry it first")
            || refused.errors[0].detail.contains("retry it first")
    );
}

#[test]
fn what_has_begun_keeps_its_needs_and_a_circle_with_it_is_refused() {
    let mut goal = Goal::of(&given(vec![task("a", &[]), task("b", &["a"]), task("c", &["b"])]));
    goal.set("a", TaskState::Running, Standing::Held);
    // The other way round: `a` runs and cannot wait for `c`.
    let plan = given(vec![task("c", &[]), task("b", &["c"]), task("a", &["b"])]);
    let found = replan(&goal.tasks, &plan, PRIORITY).unwrap();
    let held = found.diff.keep.iter().find(|entry| entry.r#ref == "a").unwrap();
    assert_eq!((held.reason, held.changes[0].field.as_str()), (DiffReason::InProgress, "needs"));
    // With a need by hand the order closes a circle.
    for task in goal.tasks.iter_mut().filter(|task| task.spec.r#ref == "b") {
        task.spec.needs.push("x".into());
    }
    let x = Present {
        task_id: TaskId(uuid::Uuid::from_u128(900)),
        spec: task("x", &["c"]),
        origin: Origin::Beside,
        ..goal.task("c").clone()
    };
    goal.tasks.push(x);
    let plan = given(vec![task("a", &[]), task("b", &["a"]), task("c", &["b", "a"])]);
    let refused = replan(&goal.tasks, &plan, PRIORITY).unwrap_err();
    assert_eq!(refused.code, Code::PlanInvalid);
    assert!(refused.detail.contains("circle"), "{}", refused.detail);
}

#[test]
fn five_thousand_tasks_are_compared_with_five_thousand() {
    let line = |n: usize, word: &str| format!("- [ ] {word} number {n} of the import\n");
    let brief: String = (0..5_000).map(|n| line(n, "Write part")).collect();
    let mut goal = Goal::default();
    goal.apply_unsettled(&replan(&[], &read(&brief).unwrap(), PRIORITY).unwrap());
    assert!(compare(&goal, &brief).diff.is_empty());
    let reworded: String = (0..5_000).map(|n| line(n, "Stream part")).collect();
    let diff = compare(&goal, &reworded).diff;
    assert_eq!((diff.counts.changed, diff.counts.added), (5_000, 0));
    let other: String = (0..5_000).map(|n| format!("- [ ] {n:x} other {n:x}\n")).collect();
    let diff = compare(&goal, &other).diff;
    assert_eq!((diff.counts.cancelled, diff.counts.added), (5_000, 5_000));
}

/// A document of a random shape, with what real ones have: phases, ids or none, nesting, parallel marks, boxes
/// with the same title, ticked ones.
fn document(random: &mut Random) -> String {
    let verbs = ["Write", "Test", "Review", "Deploy", "Measure", "Describe"];
    let nouns =
        ["the schema", "the parser", "the importer", "the manual", "the endpoints", "a report"];
    let ids = random.below(2) == 0;
    let mut text = String::from("# Plan\n");
    let mut number = 0;
    for phase in 0..1 + random.below(4) {
        text.push_str(&format!(
            "\n## Phase {}: {}\n\n",
            phase + 1,
            nouns[random.below(nouns.len())]
        ));
        for item in 0..1 + random.below(8) {
            number += 1;
            let pad = if item > 0 && random.below(4) == 0 { "  " } else { "" };
            let tick = if random.below(4) == 0 { "x" } else { " " };
            let id = if ids { format!("T{number:03} ") } else { String::new() };
            let mark = if random.below(4) == 0 { "[P] " } else { "" };
            let (verb, noun) = (verbs[random.below(verbs.len())], nouns[random.below(nouns.len())]);
            let tail =
                if random.below(5) == 0 { String::new() } else { format!(" of part {number}") };
            text.push_str(&format!("{pad}- [{tick}] {id}{mark}{verb} {noun}{tail}\n"));
        }
    }
    text
}

/// Finished and unchanged tasks keep their ids, no finished task changes, and the same plan again is empty: after
/// random edits of random documents whose tasks are worked on meanwhile.
#[test]
fn random_edits_of_random_documents() {
    let given = std::env::var("MUSTER_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or(20_260_301);
    println!("to repeat this: MUSTER_TEST_SEED={seed}");
    for n in 0..60 {
        let document = document(&mut Random(seed.wrapping_add(n)));
        let counts = run(&document, 50, seed.wrapping_add(n));
        assert!(counts.no_plan < 50, "{document}");
    }
}

/// The same with the documents of a folder: `MUSTER_PLANS=folder cargo test real_documents -- --ignored --nocapture`.
#[test]
#[ignore = "reads the folder of MUSTER_PLANS"]
fn random_edits_of_real_documents() {
    let folder =
        std::env::var("MUSTER_PLANS").expect("MUSTER_PLANS names a folder of Markdown files");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "md")) {
        let text = std::fs::read_to_string(file).unwrap();
        if read(&text).is_err() {
            println!("{}: no tasks", file.display());
            continue;
        }
        for (what, text) in [("as it is", text.clone()), ("unticked", text.replace("[x]", "[ ]"))] {
            for seed in 1..=3 {
                println!("{} {what}, seed {seed}: {:?}", file.display(), run(&text, 200, seed));
            }
        }
    }
}
