//! The prompt: what a model is asked for.
//!
//! The text is `prompt.md` beside this file. [`VERSION`] and the digest of the text name it: they are stored
//! with what the model said, and a test holds that another text has another version.
//!
//! **Data stays data.** The brief, the draft and the lessons are between two marked lines. The mark has a part
//! of the digest of what it surrounds, and is changed until it is not in there, so no text can close its own
//! fence. Control characters are dropped. Names are one short line. Placeholders are replaced in one pass, so a
//! brief that has one stays as it is. Every part has a largest size; what is cut says so.

use std::{fmt::Write as _, sync::LazyLock};

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::domain::{settings, spend::Amounts};

/// Version of the text; rises by one with every change of it.
pub const VERSION: i32 = 1;

const TEXT: &str = include_str!("prompt.md");
/// Between the instructions and the question.
const QUESTION: &str = "<!-- question -->\n";

/// Digest of the text.
pub static SHA256: LazyLock<String> = LazyLock::new(|| HEXLOWER.encode(&Sha256::digest(TEXT)));

/// Largest brief in a prompt, in bytes.
const BRIEF: usize = 96 * 1024;
/// Largest draft in a prompt, in bytes.
const DRAFT: usize = 32 * 1024;
/// Most capabilities in a prompt.
pub const CAPABILITIES: usize = 100;
/// Largest pack of lessons in a prompt, in bytes. The workspace bounds its tokens.
const LESSONS: usize = 128 * 1024;
/// Most units of a budget, or of a usual cost.
const UNITS: usize = 20;
/// Longest name, in characters.
const NAME: usize = 200;

/// What the fleet can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapabilityRecord {
    /// Name of the capability.
    pub name: String,
    /// Agents that have it and may work.
    pub agents: i64,
    /// Attempts of tasks that require it whose result was accepted.
    pub accepted: i64,
    /// Attempts of such tasks that failed, expired or were rejected.
    pub failed: i64,
    /// Median duration of a finished task that required it, in milliseconds.
    pub usual_ms: Option<i64>,
    /// Median spend of such a task by unit.
    pub usual: Amounts,
}

/// What a prompt is made of.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// Title of the goal.
    pub title: &'a str,
    /// The brief.
    pub brief: &'a str,
    /// What the fleet can do; at most [`CAPABILITIES`] are used.
    pub capabilities: &'a [CapabilityRecord],
    /// What is left of the budgets by unit; `None`: nothing is limited.
    pub budget_left: Option<&'a Amounts>,
    /// When the goal should be completed.
    pub deadline: Option<DateTime<Utc>>,
    /// The present time.
    pub now: DateTime<Utc>,
    /// Relevant lessons as quoted reference.
    pub lessons: Option<&'a str>,
    /// The plan that the planner `outline` finds in the brief, as JSON.
    pub draft: Option<&'a str>,
    /// The other tasks of a goal that is worked on and planned anew, as JSON; then `draft` has the open ones of its
    /// plan. `None`: its first plan, or the parts of a task.
    pub standing: Option<&'a str>,
    /// JSON Schema of the answer.
    pub schema: &'a Value,
}

/// A prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The instructions.
    pub instructions: String,
    /// The first turn.
    pub question: String,
    /// Digest of both.
    pub sha256: String,
}

/// Writes the prompt.
#[must_use]
pub fn write(material: &Material<'_>) -> Prompt {
    let (instructions, question) = TEXT.split_once(QUESTION).unwrap_or((TEXT, ""));
    let question = fill(question, |name| match name {
        "title" => line(material.title, NAME),
        "brief" => fenced("BRIEF", material.brief, BRIEF),
        "capabilities" => capabilities(material.capabilities),
        "limits" => limits(material),
        "lessons" => lessons(material.lessons),
        "draft" => draft(material.draft, material.standing),
        "schema" => material.schema.to_string(),
        other => format!("{{{{{other}}}}}"),
    });
    let mut digest = Sha256::new();
    digest.update(instructions);
    digest.update([0]);
    digest.update(&question);
    let sha256 = HEXLOWER.encode(&digest.finalize());
    Prompt { instructions: instructions.trim_end().to_owned(), question, sha256 }
}

/// Replaces every `{{name}}`, once and from left to right.
fn fill(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, behind)) = after.split_once("}}") else {
            filled.push_str("{{");
            rest = after;
            continue;
        };
        filled.push_str(&value(name));
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

/// A text between two lines that it cannot contain.
fn fenced(what: &str, text: &str, most: usize) -> String {
    let clean: String =
        text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let shown = cut(&clean, most);
    let digest = HEXLOWER.encode(&Sha256::digest(shown));
    let mut mark = digest.get(..16).unwrap_or_default().to_owned();
    while shown.contains(&mark) {
        mark = HEXLOWER.encode(&Sha256::digest(&mark)).get(..16).unwrap_or_default().to_owned();
    }
    let missing = clean.len() - shown.len();
    let remark = match missing {
        0 => String::new(),
        bytes => format!("\n(The last {bytes} bytes are left out.)"),
    };
    format!("--- BEGIN {what} {mark}\n{shown}\n--- END {what} {mark}{remark}")
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A name of others, as one line.
fn line(text: &str, most: usize) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(most).collect()
}

fn amounts(amounts: &Amounts) -> String {
    let shown = amounts.iter().take(UNITS);
    let shown = shown.map(|(unit, amount)| format!("{amount} {}", line(unit, NAME)));
    shown.collect::<Vec<_>>().join(", ")
}

fn capabilities(records: &[CapabilityRecord]) -> String {
    if records.is_empty() {
        return "No agent is registered. Leave `capabilities` empty.".into();
    }
    let mut text = String::new();
    for record in records.iter().take(CAPABILITIES) {
        let CapabilityRecord { name, agents, accepted, failed, usual_ms, usual } = record;
        let _ = write!(text, "- `{}`: {agents} agents", line(name, NAME));
        let tries = accepted.saturating_add(*failed);
        if tries > 0 {
            let _ = write!(text, "; {accepted} of {tries} attempts accepted");
        }
        if let Some(ms) = usual_ms {
            let _ = write!(text, "; usually {} s", ms / 1000);
        }
        if !usual.is_empty() {
            let _ = write!(text, "; usually {}", amounts(usual));
        }
        text.push('\n');
    }
    if records.len() > CAPABILITIES {
        let _ =
            writeln!(text, "- and {} more, which are not to be used", records.len() - CAPABILITIES);
    }
    text.truncate(text.trim_end().len());
    text
}

fn limits(material: &Material<'_>) -> String {
    let budget = match material.budget_left {
        Some(left) if !left.is_empty() => format!("- Budget left: {}.", amounts(left)),
        Some(_) | None => "- No budget limits this goal.".into(),
    };
    let now = material.now.format("%Y-%m-%dT%H:%MZ");
    let deadline = match material.deadline {
        Some(deadline) => {
            format!(
                "- It is {now}. The goal should be done by {}.",
                deadline.format("%Y-%m-%dT%H:%MZ")
            )
        }
        None => format!("- It is {now}. There is no deadline."),
    };
    format!("{budget}\n{deadline}")
}

fn lessons(lessons: Option<&str>) -> String {
    lessons.map_or_else(|| "None.".into(), |lessons| fenced("LESSONS", lessons, LESSONS))
}

fn draft(draft: Option<&str>, standing: Option<&str>) -> String {
    if let Some(standing) = standing {
        return format!(
            "The goal is worked on already, and its plan is made anew. The draft has the open tasks of the plan. Repeat \
             those that are still right as they are, with their refs; change what is wrong in the others, and keep their \
             refs too; leave out what is no longer wanted, which cancels it; add what is missing, with new refs. What \
             else the goal has is listed first: done tasks, which `needs` may name and which are not planned again; \
             tasks that failed, which need a new task if their work is still wanted; and tasks beside the plan, which \
             stay.\n{}\n{}",
            fenced("STANDING", standing, DRAFT),
            fenced("DRAFT", draft.unwrap_or("{\"tasks\": []}"), settings::PLAN_DRAFT_BYTES)
        );
    }
    match draft {
        Some(draft) => format!(
            "The brief lists tasks itself. This draft was read from it. Keep its tasks, and add what is \
             missing.\n{}",
            fenced("DRAFT", draft, DRAFT)
        ),
        None => "None: the brief lists no tasks.".into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn material<'a>(brief: &'a str, schema: &'a Value) -> Material<'a> {
        Material {
            title: "A title",
            brief,
            capabilities: &[],
            budget_left: None,
            deadline: None,
            now: DateTime::UNIX_EPOCH,
            lessons: None,
            draft: None,
            standing: None,
            schema,
        }
    }

    #[test]
    fn another_text_has_another_version() {
        let known = (1, "0555e035d1224300985a366275eae97a046e93bf8d46d9076ff5dd4f9a38487e");
        assert_eq!(
            (VERSION, SHA256.as_str()),
            known,
            "raise VERSION with every change of prompt.md"
        );
    }

    #[test]
    fn everything_has_its_place() {
        let schema = json!({"type": "object"});
        let record = CapabilityRecord {
            name: "rust\n- `evil`".into(),
            agents: 2,
            accepted: 3,
            failed: 1,
            usual_ms: Some(61_000),
            usual: [("usd_micros".to_owned(), 5)].into(),
        };
        let left = [("usd_micros".to_owned(), 100)].into();
        let material = Material {
            capabilities: &[record],
            budget_left: Some(&left),
            deadline: Some(DateTime::UNIX_EPOCH),
            lessons: Some("> Run the tests"),
            draft: Some("[]"),
            ..material("Write {{draft}} it", &schema)
        };
        let Prompt { instructions, question, sha256 } = write(&material);
        assert!(instructions.contains("one JSON object") && !instructions.contains("{{"));
        let capability = "- `rust - `evil``: 2 agents; 3 of 4 attempts accepted; usually 61 s; usually 5 usd_micros\n";
        for part in [
            "Write {{draft}} it",
            capability,
            "100 usd_micros",
            "1970-01-01T00:00Z",
            "Run the tests",
        ] {
            assert!(question.contains(part), "{part} in {question}");
        }
        assert_eq!(question.matches("{{").count(), 1, "only that of the brief");
        assert_eq!(sha256.len(), 64);
        let anew = write(&Material { standing: Some("{\"done\": []}"), ..material }).question;
        assert!(anew.contains("BEGIN STANDING") && !anew.contains("read from it"), "{anew}");
    }

    proptest! {
        #[test]
        fn no_brief_closes_its_fence(brief in any::<String>(), echo in any::<bool>()) {
            let schema = json!({});
            let first = write(&material(&brief, &schema)).question;
            // A brief that knows the fence of another one, and repeats it.
            let brief = if echo { format!("{brief}\n{first}") } else { brief };
            let question = write(&material(&brief, &schema)).question;
            let (_, from) = question.split_once("--- BEGIN BRIEF ").unwrap();
            let (mark, rest) = from.split_once('\n').unwrap();
            let end = format!("\n--- END BRIEF {mark}");
            prop_assert_eq!(rest.matches(mark).count(), 1, "only the end has the mark again");
            let (inside, _) = rest.split_once(&end).unwrap();
            let clean: String = brief.chars().filter(|c| !c.is_control() || "\n\t".contains(*c)).collect();
            prop_assert!(clean.starts_with(inside));
            prop_assert!(inside == clean || inside.len() > BRIEF - 4);
        }

        #[test]
        fn a_prompt_is_bounded(size in 0..400_000usize, names in 0..300usize) {
            let schema = json!({});
            let brief = "é".repeat(size / 2);
            let records = vec![CapabilityRecord { name: "x".repeat(500), ..Default::default() }; names];
            let material = Material {
                capabilities: &records, lessons: Some(&brief), draft: Some(&brief), standing: Some(&brief), ..material(&brief, &schema)
            };
            let most = BRIEF + DRAFT + settings::PLAN_DRAFT_BYTES + LESSONS + CAPABILITIES * 300 + 4_000;
            prop_assert!(write(&material).question.len() <= most);
        }
    }
}
