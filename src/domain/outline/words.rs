//! Words that announce a list of tasks.
//!
//! Used only in documents without boxes, ids or task headings: there a list counts if its heading,
//! or the line right before it, announces tasks. The lists are separated by `|`.

/// Announce tasks in the list below.
const TASK_WORDS: &str = "\
    tasks|task list|task breakdown|steps|todo|todos|to-do|to-dos|to do|checklist|\
    action items|work items|procedure|runbook|work breakdown|aufgaben|schritte|tareas|pasos|\
    tâches|étapes|задачи|шаги|任务|步骤|手順";

/// May follow such a word: `Steps to take`.
const JOINTS: [&str; 6] = [" for ", " to ", " of ", " in ", " für ", " para "];

/// Headings that announce a plan, apart from a subject after a colon.
const PLANS: &str = "\
    plan|the plan|implementation plan|action plan|work plan|migration plan|execution plan|\
    development plan|plan of work|plan of action";

/// Headings over lines with ids of tasks that are defined elsewhere.
const ABOUT_TASKS: &str = "\
    dependencies|dependency|parallel|execution order|critical path|strategy|notes|summary|\
    example|examples";

/// Headings over text about the work.
const OTHER_WORDS: &str = "\
    goal|goals|non-goals|overview|background|context|problem|vision|risks|open questions|\
    alternatives|references|notes|requirements|criteria|metrics|user stories|personas|\
    appendix|faq|assumptions|dependencies|parallel|execution order|decisions|decision log|\
    principles|glossary|summary|history|features|reproduce|out of scope|constraints";

const CRITERIA: &str = "\
    acceptance criteria|acceptance|criteria|success criteria|done when|definition of done|\
    done criteria|exit criteria|completion criteria|validation|verification|verify|\
    expected result|expected results";

/// Whether a heading, or a line before a list, starts or ends with a word for tasks; `Tasks don't
/// land` does neither.
pub(super) fn announces_tasks(text: &str) -> bool {
    let text = plain(text);
    let head = text.split([':', '：', '(', '（', '—', '–']).next().unwrap_or_default();
    let head = head.trim().trim_end_matches(['*', '_']);
    let announces = |word: &str| {
        if !word.is_ascii() && head.chars().count() <= 12 && head.contains(word) {
            return true;
        }
        let starts = head.strip_prefix(word).is_some_and(|rest| {
            rest.is_empty() || JOINTS.iter().any(|joint| rest.starts_with(joint))
        });
        let ends = head.strip_suffix(word).is_some_and(|rest| rest.ends_with(' '));
        starts || ends
    };
    TASK_WORDS.split('|').any(announces) && !is_about_other_things(&text)
}

/// Whether a heading introduces remarks about tasks.
pub(super) fn is_about_tasks(text: &str) -> bool {
    let text = plain(text);
    !text.starts_with("phase") && ABOUT_TASKS.split('|').any(|word| holds(&text, word))
}

/// Whether a heading announces a plan in the list right below it.
pub(super) fn announces_plan(text: &str) -> bool {
    let text = plain(text);
    let head = text.split([':', '：', '(']).next().unwrap_or_default().trim();
    let numbered = head.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '));
    PLANS.split('|').any(|plan| plan == numbered)
}

/// Whether a heading introduces anything but tasks.
pub(super) fn is_about_other_things(text: &str) -> bool {
    let text = plain(text);
    OTHER_WORDS.split('|').any(|word| holds(&text, word))
}

/// The text after `Acceptance criteria:` and similar labels.
pub(super) fn criteria_label(text: &str) -> Option<&str> {
    let bare = text.trim().trim_start_matches(['*', '_', '#', ' ']);
    let (label, value) = match bare.split_once([':', '：']) {
        Some((label, value)) => (label, value),
        None => (bare, ""),
    };
    let label = label.trim_matches(['*', '_', ' ']).to_lowercase();
    let keyed = bare.len() < text.trim().len() || bare.contains([':', '：']);
    let value = value.trim_start_matches(['*', '_']).trim();
    (keyed && CRITERIA.split('|').any(|word| word == label)).then_some(value)
}

/// `Files: …`, `**Goal**: …`: a field, not a continuation of the title.
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

/// Whether the text contains the word as a whole word.
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
