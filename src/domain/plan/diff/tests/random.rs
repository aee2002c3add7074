//! Random edits of documents, and what holds after each.

use std::collections::{HashMap, HashSet};

use super::model::{Goal, PRIORITY, read};
use crate::domain::{
    ids::TaskId,
    plan::{
        TaskSpec,
        diff::{Origin, PlanDiff, Present, Wanted, replan},
    },
    states::TaskState,
    task::edit::Standing,
};

/// A small generator (SplitMix64): the same seed gives the same edits everywhere.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// What happened in a run.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    pub edits: HashMap<&'static str, usize>,
    /// Edits after which the document has no valid plan.
    pub no_plan: usize,
    /// Plans that were refused, because of what has begun or failed.
    pub refused: usize,
    pub added: usize,
    pub changed: usize,
    pub cancelled: usize,
    pub finished: usize,
    pub same_ids: usize,
}

pub const EDITS: [&str; 8] =
    ["insert", "remove", "reword", "reorder", "tick", "indent", "section", "untick"];

/// One edit of a document.
pub fn edit(text: &str, random: &mut Random) -> (&'static str, String) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let boxed = |line: &str| line.contains("[ ]") || line.contains("[x]") || line.contains("[X]");
    let mut items: Vec<usize> = (0..lines.len()).filter(|at| boxed(&lines[*at])).collect();
    if items.is_empty() {
        items = (0..lines.len())
            .filter(|at| lines[*at].trim_start().starts_with(['-', '*', '#']))
            .collect();
    }
    if items.is_empty() {
        return ("insert", format!("{text}\n- [ ] Something new {}\n", random.next()));
    }
    let kind = EDITS[random.below(EDITS.len())];
    let at = items[random.below(items.len())];
    let pad: String = lines[at].chars().take_while(|c| c.is_whitespace()).collect();
    match kind {
        "insert" => {
            lines.insert(at, format!("{pad}- [ ] Inserted work number {}", random.next() % 100_000))
        }
        "remove" => drop(lines.remove(at)),
        "reword" => lines[at].push_str(&format!(" carefully {}", random.below(1_000))),
        "reorder" => {
            let other = items[random.below(items.len())];
            lines.swap(at, other);
        }
        "tick" => lines[at] = lines[at].replacen("[ ]", "[x]", 1),
        "untick" => lines[at] = lines[at].replacen("[x]", "[ ]", 1),
        "indent" => lines[at].insert_str(0, "  "),
        _ => {
            let line = lines.remove(at);
            let heads: Vec<usize> =
                (0..lines.len()).filter(|at| lines[*at].starts_with('#')).collect();
            let to =
                if heads.is_empty() { lines.len() } else { heads[random.below(heads.len())] + 1 };
            lines.insert(to, line);
        }
    }
    (kind, lines.join("\n") + "\n")
}

/// Tasks with a title that nothing else has, by it.
fn unique<'a, T>(of: impl Iterator<Item = (&'a str, T)>) -> HashMap<String, T> {
    let mut found: HashMap<String, Vec<T>> = HashMap::new();
    for (title, value) in of {
        found.entry(title.to_lowercase()).or_default().push(value);
    }
    found
        .into_iter()
        .filter_map(|(title, mut found)| match found.len() {
            1 => Some((title, found.remove(0))),
            _ => None,
        })
        .collect()
}

/// Edits a document and plans it again and again, while its tasks are worked on. Panics if something does not
/// hold.
pub fn run(document: &str, edits: usize, seed: u64) -> Counts {
    let mut random = Random(seed);
    let mut counts = Counts::default();
    let first = read(document).unwrap_or_else(|refusal| panic!("no plan: {refusal:?}"));
    let (mut text, mut goal) = (document.to_owned(), Goal::of(&first));
    for round in 0..edits {
        // Not everything is ever done: every so often the goal is posted anew.
        if round % 25 == 0 {
            (text, goal) = (document.to_owned(), Goal::of(&first));
        }
        goal.work(&mut random);
        let (kind, edited) = edit(&text, &mut random);
        *counts.edits.entry(kind).or_default() += 1;
        let Ok(plan) = read(&edited) else {
            counts.no_plan += 1;
            continue;
        };
        let place = format!("seed {seed}, round {round}, {kind}");
        if step(&mut goal, &plan, &mut counts, &place) {
            text = edited;
        }
    }
    counts
}

fn step(goal: &mut Goal, plan: &[Wanted], counts: &mut Counts, place: &str) -> bool {
    let before = goal.clone();
    let found = match replan(&goal.tasks, plan, PRIORITY) {
        Ok(found) => found,
        Err(refusal) => {
            assert!(!refusal.errors.is_empty(), "{place}: {refusal:?}");
            counts.refused += 1;
            return false;
        }
    };
    goal.apply(&found);
    let again = replan(&goal.tasks, plan, PRIORITY)
        .unwrap_or_else(|refusal| panic!("{place}: {refusal:?}"));
    assert!(
        again.diff.is_empty(),
        "{place}: the same plan again changes\n{}\nafter\n{}",
        told(&again.diff),
        told(&found.diff)
    );
    check_finished(&before, goal, place, counts);
    check_ids(&before, goal, plan, place, counts);
    check_whole(goal, plan, &found.document, place);
    counts.added += found.diff.counts.added;
    counts.changed += found.diff.counts.changed;
    counts.cancelled += found.diff.counts.cancelled;
    true
}

/// What has ended is as it was.
fn check_finished(before: &Goal, after: &Goal, place: &str, counts: &mut Counts) {
    let now: HashMap<TaskId, &Present> =
        after.tasks.iter().map(|task| (task.task_id, task)).collect();
    for task in before.tasks.iter().filter(|task| task.finished()) {
        let now = now[&task.task_id];
        assert_eq!((&now.spec, now.state), (&task.spec, task.state), "{place}");
        counts.finished += 1;
    }
    for task in before.tasks.iter().filter(|task| task.standing == Standing::Held) {
        let now = now[&task.task_id];
        assert_eq!(
            (&now.spec.title, &now.spec.needs),
            (&task.spec.title, &task.spec.needs),
            "{place}"
        );
    }
}

/// A title that is unique before and after is the same task.
fn check_ids(before: &Goal, after: &Goal, plan: &[Wanted], place: &str, counts: &mut Counts) {
    let of_plan = |goal: &Goal| -> Vec<(String, (TaskId, bool))> {
        let planned = goal.tasks.iter().filter_map(|task| match &task.origin {
            Origin::Plan { said, .. } => {
                Some((said.title.clone(), (task.task_id, task.container && !task.finished())))
            }
            Origin::Former | Origin::Beside | Origin::Closed => None,
        });
        planned.collect()
    };
    let (old, new) = (of_plan(before), of_plan(after));
    let old = unique(old.iter().map(|(title, value)| (title.as_str(), *value)));
    let new = unique(new.iter().map(|(title, value)| (title.as_str(), *value)));
    let wanted =
        unique(plan.iter().map(|task| (task.spec.title.as_str(), task.spec.r#ref.as_str())));
    let parents: HashSet<&str> =
        plan.iter().filter_map(|task| task.spec.parent.as_deref()).collect();
    for (title, (id, container)) in &old {
        let (Some((then, _)), Some(name)) = (new.get(title), wanted.get(title)) else { continue };
        // An open container that lost its content is another kind of task.
        if *container && !parents.contains(name) {
            continue;
        }
        assert_eq!(id, then, "{place}: `{title}` has another id");
        counts.same_ids += 1;
    }
}

/// The plan is there as a whole, and nothing of it waits for what will not be done.
fn check_whole(goal: &Goal, plan: &[Wanted], document: &[TaskSpec], place: &str) {
    assert!(document.len() >= plan.len(), "{place}");
    let by_name: HashMap<&str, &Present> =
        goal.tasks.iter().map(|task| (task.spec.r#ref.as_str(), task)).collect();
    assert_eq!(by_name.len(), goal.tasks.len(), "{place}: a ref is used twice");
    let names: HashSet<&str> = document.iter().map(|spec| spec.r#ref.as_str()).collect();
    assert_eq!(names.len(), document.len(), "{place}: a task is in the plan twice");
    for spec in document {
        let task = by_name[spec.r#ref.as_str()];
        assert!(
            task.state != TaskState::Cancelled,
            "{place}: `{}` is planned and cancelled",
            spec.r#ref
        );
        if task.finished() {
            continue;
        }
        for need in &task.spec.needs {
            assert!(
                by_name[need.as_str()].state != TaskState::Cancelled,
                "{place}: `{need}` is not done"
            );
        }
        if let Some(parent) = &task.spec.parent {
            let parent = by_name[parent.as_str()];
            assert!(
                !parent.finished() && parent.container,
                "{place}: `{}` is in `{}`, {} {}",
                spec.r#ref,
                parent.spec.r#ref,
                parent.state,
                parent.container
            );
        }
    }
}

/// What a diff changes, for a failure.
fn told(diff: &PlanDiff) -> String {
    format!("add {:#?}\nchange {:#?}\ncancel {:#?}", diff.add, diff.change, diff.cancel)
}
