//! The words that tell a list of tasks from any other list.
//!
//! Only used where a document has no boxes, ids or task headings: then a list
//! counts when its heading, or the line right before it, says what it is.

/// Says that the list below is work to be done.
const TASK_WORDS: [&str; 26] = [
    "tasks",
    "task list",
    "task breakdown",
    "steps",
    "todo",
    "todos",
    "to-do",
    "to-dos",
    "to do",
    "checklist",
    "action items",
    "work items",
    "procedure",
    "runbook",
    "work breakdown",
    "aufgaben",
    "schritte",
    "tareas",
    "pasos",
    "tâches",
    "étapes",
    "задачи",
    "шаги",
    "任务",
    "步骤",
    "手順",
];

/// What may follow such a word at the start: `Steps to take`.
const JOINTS: [&str; 6] = [" for ", " to ", " of ", " in ", " für ", " para "];

/// A heading that is exactly one of these, apart from a subject after a colon.
const PLANS: [&str; 10] = [
    "plan",
    "the plan",
    "implementation plan",
    "action plan",
    "work plan",
    "migration plan",
    "execution plan",
    "development plan",
    "plan of work",
    "plan of action",
];

/// Says that lines with ids below are about tasks that stand elsewhere.
const ABOUT_TASKS: [&str; 10] = [
    "dependencies",
    "dependency",
    "parallel",
    "execution order",
    "critical path",
    "strategy",
    "notes",
    "summary",
    "example",
    "examples",
];

/// Says that the text below is about the work, not the work.
const OTHER_WORDS: [&str; 34] = [
    "goal",
    "goals",
    "non-goals",
    "overview",
    "background",
    "context",
    "problem",
    "vision",
    "risks",
    "open questions",
    "alternatives",
    "references",
    "notes",
    "requirements",
    "criteria",
    "metrics",
    "user stories",
    "personas",
    "appendix",
    "faq",
    "assumptions",
    "dependencies",
    "parallel",
    "execution order",
    "decisions",
    "decision log",
    "principles",
    "glossary",
    "summary",
    "history",
    "features",
    "reproduce",
    "out of scope",
    "constraints",
];

const CRITERIA: [&str; 14] = [
    "acceptance criteria",
    "acceptance",
    "criteria",
    "success criteria",
    "done when",
    "definition of done",
    "done criteria",
    "exit criteria",
    "completion criteria",
    "validation",
    "verification",
    "verify",
    "expected result",
    "expected results",
];

/// Whether a heading, or a line before a list, announces tasks: it begins or
/// ends with a word for them, as `Tasks don't land` does not.
pub(super) fn announces_tasks(text: &str) -> bool {
    let text = plain(text);
    let head = text.split([':', '：', '(', '（', '—', '–']).next().unwrap_or_default();
    let head = head.trim().trim_end_matches(['*', '_']);
    let announces = |word: &&str| {
        if !word.is_ascii() && head.chars().count() <= 12 && head.contains(*word) {
            return true;
        }
        let starts = head.strip_prefix(*word).is_some_and(|rest| {
            rest.is_empty() || JOINTS.iter().any(|joint| rest.starts_with(joint))
        });
        let ends = head.strip_suffix(*word).is_some_and(|rest| rest.ends_with(' '));
        starts || ends
    };
    TASK_WORDS.iter().any(announces) && !is_about_other_things(&text)
}

/// Whether a heading stands over remarks about tasks, not over tasks.
pub(super) fn is_about_tasks(text: &str) -> bool {
    let text = plain(text);
    !text.starts_with("phase") && ABOUT_TASKS.iter().any(|word| holds(&text, word))
}

/// Whether a heading announces a plan, for the list right below it.
pub(super) fn announces_plan(text: &str) -> bool {
    let text = plain(text);
    let head = text.split([':', '：', '(']).next().unwrap_or_default().trim();
    let numbered = head.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '));
    PLANS.contains(&numbered)
}

/// Whether a heading announces anything but tasks.
pub(super) fn is_about_other_things(text: &str) -> bool {
    let text = plain(text);
    OTHER_WORDS.iter().any(|word| holds(&text, word))
}

/// What follows `Acceptance criteria:` and its relatives.
pub(super) fn criteria_label(text: &str) -> Option<&str> {
    let bare = text.trim().trim_start_matches(['*', '_', '#', ' ']);
    let (label, value) = match bare.split_once([':', '：']) {
        Some((label, value)) => (label, value),
        None => (bare, ""),
    };
    let label = label.trim_matches(['*', '_', ' ']).to_lowercase();
    let keyed = bare.len() < text.trim().len() || bare.contains([':', '：']);
    let value = value.trim_start_matches(['*', '_']).trim();
    (keyed && CRITERIA.contains(&label.as_str())).then_some(value)
}

/// `Files: …`, `**Goal**: …`: a field of its own, not the title going on.
pub(super) fn is_field(text: &str) -> bool {
    let bare = text.trim_start().trim_start_matches(['*', '_']);
    let Some((key, rest)) = bare.split_once(':') else { return false };
    let key = key.trim_end_matches(['*', '_']);
    let wordy = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '/' | '_');
    key.starts_with(char::is_uppercase)
        && key.chars().count() <= 30
        && key.chars().all(wordy)
        && (rest.is_empty() || rest.starts_with([' ', '*', '_']))
}

fn plain(text: &str) -> String {
    text.trim().trim_matches(['*', '_', '#', ':', '：', ' ']).to_lowercase()
}

/// Whether the word stands in the text as a word.
fn holds(text: &str, word: &str) -> bool {
    if !word.is_ascii() {
        return text.contains(word);
    }
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let wordy = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '-');
        !wordy(before) && !wordy(after)
    })
}
