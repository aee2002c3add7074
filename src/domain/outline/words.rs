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

/// Labels of criteria: certain ones, and those that also introduce work.
const CRITERIA: &str = "\
    acceptance|acceptance checklist|acceptance tests|ac|acs|done when|done if|definition of done|\
    dod|criteria|akzeptanzkriterien|criterios de aceptación|критерии приёмки|验收标准|受入基準";
const CHECKS: &str = "\
    validation|verification|verify|verify that|expected|expected result|expected results|\
    expected outcome|checks";

/// Certainty of a criteria label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelWord {
    /// `Acceptance criteria`, `Definition of done`.
    Criteria,
    /// `Verify`, `Validation`: criteria inside a task, work elsewhere.
    Check,
}

/// Words of headings that name a unit of work, before its number.
const UNITS: [&str; 9] =
    ["task", "step", "story", "user story", "feature", "epic", "ticket", "issue", "work item"];

/// Words of headings that name a phase, before its number.
const PHASES: [&str; 9] =
    ["phase", "stage", "milestone", "sprint", "week", "day", "iteration", "part", "increment"];

/// Headings over what comes after the plan.
const LATER: [&str; 5] =
    ["next steps", "next step", "following steps", "further steps", "follow-up steps"];

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

/// The label `Acceptance criteria:` and similar, and the text after it.
pub(super) fn criteria_label(text: &str) -> Option<(LabelWord, &str)> {
    let bare = text.trim().trim_start_matches(['*', '_', '#', ' ']);
    let (label, value) = match bare.split_once([':', '：']) {
        Some((label, value)) => (label, value),
        None => (bare, ""),
    };
    let keyed = bare.len() < text.trim().len() || bare.contains([':', '：']);
    let value = value.trim_start_matches(['*', '_']).trim();
    criteria_word(label).filter(|_| keyed).map(|word| (word, value))
}

/// The label that a heading is.
pub(super) fn criteria_heading(title: &str) -> Option<LabelWord> {
    criteria_word(title.split([':', '：', '—', '–']).next().unwrap_or_default())
}

/// The label that a text is, with markup, symbols, numbers and a remark in brackets around it.
pub(super) fn criteria_word(text: &str) -> Option<LabelWord> {
    let text = text.split(['(', '（']).next().unwrap_or_default().to_lowercase();
    let edge = |c: char| !c.is_alphanumeric();
    let text = text.trim_matches(edge);
    let text = text.trim_start_matches(|c: char| c.is_ascii_digit() || edge(c));
    let whole = |list: &str| list.split('|').any(|word| word == text);
    // `release criteria`, `criteria for the import`
    let mut words = text.split_whitespace();
    let named = words.clone().count() <= 6
        && words.any(|word| matches!(word, "criteria" | "criterion"))
        && !text.starts_with(|c: char| c.is_ascii_digit());
    if whole(CRITERIA) || (named && !is_instruction(text)) {
        return Some(LabelWord::Criteria);
    }
    whole(CHECKS).then_some(LabelWord::Check)
}

/// `define the acceptance criteria` is work.
fn is_instruction(text: &str) -> bool {
    const VERBS: &str = "\
        define|write|agree|review|update|add|check|document|create|specify|collect|list|meet|set|\
        refine|clarify|draft|finalize|finalise|verify|validate|confirm|describe|discuss|map";
    let first = text.split_whitespace().next().unwrap_or_default();
    VERBS.split('|').any(|verb| verb == first)
}

/// `Task 3: …`.
pub(super) fn is_task_name(text: &str) -> bool {
    let bare = text.trim_start_matches(['*', '_', '`', '[']);
    let rest = bare.get(..4).filter(|head| head.eq_ignore_ascii_case("task")).map(|_| &bare[4..]);
    rest.is_some_and(|rest| {
        rest.trim_start_matches([' ', '#', '-']).starts_with(|c: char| c.is_ascii_digit())
    })
}

/// Whether a heading names one unit of work: `Story 3: …`, `Feature 2`.
pub(super) fn is_unit(title: &str) -> bool {
    numbered(title, &UNITS).is_some()
}

/// The phase that a text names at its start, and the text after it: `Phase 2: Build`.
pub(super) fn phase(text: &str) -> Option<((&'static str, u32), &str)> {
    numbered(text, &PHASES)
}

fn numbered<'t>(text: &'t str, words: &[&'static str]) -> Option<((&'static str, u32), &'t str)> {
    let bare = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    words.iter().find_map(|word| {
        let head = bare.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
        let rest = bare[head.len()..].trim_start_matches([' ', '#', '-', '\u{a0}']);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        (!after.starts_with(char::is_alphanumeric)).then_some(((*word, number), after))
    })
}

/// Whether a heading introduces what comes after the plan.
pub(super) fn is_later(title: &str) -> bool {
    let text = plain(title);
    let head = text.split([':', '：', '(', '—', '–']).next().unwrap_or_default();
    let head = head.trim_matches(|c: char| !c.is_alphanumeric());
    LATER.contains(&head.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' ')))
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
