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
    acceptance|acceptance checklist|acceptance test|acceptance tests|acceptance conditions|\
    conditions of acceptance|conditions of satisfaction|ac|acs|a/c|definition of done|dod|\
    success metrics|quality gate|quality gates|akzeptanzkriterien|abnahmekriterien|\
    critères d'acceptation|criterios de aceptación|critérios de aceitação|\
    criteri di accettazione|acceptatiecriteria|kryteria akceptacji|критерии приёмки|\
    критерии приемки|验收标准|受入基準";
const CHECKS: &str = "\
    validation|verification|verify|verify that|expected|expected result|expected results|\
    expected outcome|checks|test cases";

/// Right before the word `criteria`, make it a label: `matching criteria` is a feature.
const KINDS_OF_CRITERIA: &str = "\
    acceptance|success|done|release|exit|entry|completion|validation|verification|quality|\
    evaluation|launch|go-live|ship|shipping|readiness|ready|pass|passing|pass/fail|test|testing|\
    review|approval|final|overall|project|goal|measurable|performance|technical|functional|\
    non-functional|business|minimum|mvp|feature|story|task|stop|graduation|sign-off|signoff|\
    closing|closure|deployment|delivery|merge|go/no-go";

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
const PHASES: [&str; 10] = [
    "phase",
    "stage",
    "milestone",
    "sprint",
    "week",
    "day",
    "iteration",
    "part",
    "increment",
    "wave",
];

/// End the headings over what comes after the plan.
const LATER: [&str; 12] = [
    "next steps",
    "next step",
    "following steps",
    "further steps",
    "follow-up steps",
    "next actions",
    "action items",
    "action points",
    "follow-ups",
    "follow ups",
    "followups",
    "follow-up",
];

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

/// The label of a line that only introduces those below it; `Acceptance criteria` needs no colon.
pub(super) fn criteria_line(text: &str) -> Option<(LabelWord, &str)> {
    let text = untagged(text.trim());
    let bare = || {
        let label = text.starts_with(char::is_uppercase) && !text.ends_with(['.', ',', ';']);
        criteria_word(text).filter(|word| label && *word == LabelWord::Criteria)
    };
    criteria_label(text).or_else(|| bare().map(|word| (word, "")))
}

/// `<summary>text</summary>` without its tags.
fn untagged(text: &str) -> &str {
    let mut inner = text;
    while let Some((_, rest)) = inner.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        inner = rest.trim_start();
    }
    if inner.len() == text.len() { text } else { inner.split('<').next().unwrap_or_default() }
}

/// The label that a heading is.
pub(super) fn criteria_heading(title: &str) -> Option<LabelWord> {
    criteria_word(title.split([':', '：', '—', '–']).next().unwrap_or_default())
}

/// The label that a text is, with markup, symbols, numbers and a remark in brackets around it.
pub(super) fn criteria_word(text: &str) -> Option<LabelWord> {
    let text = text.split(['(', '（']).next().unwrap_or_default().to_lowercase().replace('’', "'");
    let edge = |c: char| !c.is_alphanumeric();
    let text = text.trim_matches(edge);
    let text = text.trim_start_matches(|c: char| c.is_ascii_digit() || edge(c));
    let whole = |list: &str| list.split('|').any(|word| word == text);
    let named = names_criteria(text) || is_done_when(text);
    if whole(CRITERIA) || (named && !is_instruction(text)) {
        return Some(LabelWord::Criteria);
    }
    whole(CHECKS).then_some(LabelWord::Check)
}

/// `release criteria`, `criteria for the import`, `acceptance criteria checklist`.
fn names_criteria(text: &str) -> bool {
    const AFTER: &str = "for|of|to|in|per|before|checklist|list|met";
    let is = |list: &str, word: &str| list.split('|').any(|known| known == word);
    let words: Vec<&str> = text.split_whitespace().take(7).collect();
    let at = words.iter().position(|word| matches!(*word, "criteria" | "criterion"));
    let Some(at) = at.filter(|_| words.len() <= 6) else { return false };
    let kind = at.checked_sub(1).is_none_or(|before| is(KINDS_OF_CRITERIA, words[before]));
    kind && words.get(at + 1).is_none_or(|after| is(AFTER, after))
}

/// `done when`, `it's accepted if`.
fn is_done_when(text: &str) -> bool {
    let mut words = text.split_whitespace().rev();
    let joint = matches!(words.next(), Some("when" | "if" | "once"));
    let state = words.next().is_some_and(|word| {
        matches!(word, "done" | "accepted" | "complete" | "completed" | "finished" | "satisfied")
    });
    joint && state && words.count() <= 2
}

/// `define the acceptance criteria` is work.
fn is_instruction(text: &str) -> bool {
    const VERBS: &str = "\
        define|write|agree|review|update|add|check|document|create|specify|collect|list|meet|set|\
        refine|clarify|draft|finalize|finalise|verify|validate|confirm|describe|discuss|map";
    let first = text.split_whitespace().next().unwrap_or_default();
    VERBS.split('|').any(|verb| verb == first)
}

/// `Task 3: …`, `Subtask 2.1: …`.
pub(super) fn is_task_name(text: &str) -> bool {
    after_task_word(text).is_some()
}

/// The text from the number on, after the word `Task`: `Task 3: …`, `Task no. 3`, `[Task-3]`.
pub(super) fn after_task_word(text: &str) -> Option<&str> {
    let bare = text.trim_start_matches(['*', '_', '`', '[']);
    let rest = ["task", "subtask", "sub-task"].iter().find_map(|word| {
        bare.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
        Some(bare[word.len()..].trim_start_matches([' ', '#', '-', '\u{a0}']))
    })?;
    let numbered =
        ["number ", "no. ", "no.", "no ", "nr. ", "nr.", "nr "].iter().find_map(|word| {
            rest.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
            Some(rest[word.len()..].trim_start())
        });
    let rest = numbered.unwrap_or(rest);
    rest.starts_with(|c: char| c.is_ascii_digit()).then_some(rest)
}

/// Whether a heading names one unit of work: `Story 3: …`, `Feature 2`.
pub(super) fn is_unit(title: &str) -> bool {
    numbered(title, &UNITS).is_some()
}

/// The phase that a text names at its start, and the text after it: `Phase 2: Build`.
pub(super) fn phase(text: &str) -> Option<((&'static str, u32), &str)> {
    numbered(text, &PHASES)
}

/// The phase or unit of work that a text names at its start, and the text after it: `Epic 2: Build`.
pub(super) fn part(text: &str) -> Option<((&'static str, u32), &str)> {
    phase(text).or_else(|| numbered(text, &UNITS))
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
    LATER.iter().any(|later| {
        // `Immediate next steps`, `5. Next steps`
        head.strip_suffix(later).is_some_and(|before| before.is_empty() || before.ends_with(' '))
    })
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
