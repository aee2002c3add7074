//! The text about an ended task.
//!
//! The service writes it from what it knows, without a model: what was to be done, what came out, what went wrong on
//! the way, what people said, what it cost. Equal facts give equal text.
//!
//! How the task ended comes first, so that an excerpt of the beginning is of use; figures come last. Every part has
//! its own share of [`BODY_BYTES`], so that no long part displaces another, and says how much of it is left out.
//! Texts of agents and people stand in one line of a list or in a quotation: none of them can pass for a part of the
//! digest.

use std::{borrow::Cow, fmt::Write as _};

use serde_json::Value;

use super::{Outcome, bounds};

/// Most bytes of the body of a digest.
pub const BODY_BYTES: usize = 12 * 1024;

/// Bytes of the lead: how it ended, and of what it was a part.
const LEAD: usize = 1_100;
const DESCRIPTION: usize = 2_000;
const RESULT: usize = 1_900;
const CRITERIA: usize = 1_900;
const ATTEMPTS: usize = 2_900;
const COMMENTS: usize = 1_200;
const ARTIFACTS: usize = 500;
const SPEND: usize = 600;
const _: () = assert!(
    LEAD + DESCRIPTION + RESULT + CRITERIA + ATTEMPTS + COMMENTS + ARTIFACTS + SPEND <= BODY_BYTES,
    "the parts fit in the body"
);
/// Bytes of one text in a list.
const ITEM: usize = 500;
/// Bytes of a name.
const NAME: usize = 120;
/// Bytes kept for the words that say what is left out.
const LEFT_OUT: usize = 40;

/// Before the reason in the lead.
const REASON: &str = " Reason: ";
/// Before the last words of an agent.
const MESSAGE: &str = " It said: ";
/// Before the words of a reviewer.
const FEEDBACK: &str = " Feedback: ";
/// Start of the line that names the goal.
const GOAL: &str = "Goal: ";
/// Start of the line of a heading. No line of another's text starts so.
const HEADING: &str = "## ";
const TO_BE_DONE: &str = "What was to be done";
const CAME_OUT: &str = "What came out";
const CRITERIA_HEADING: &str = "Criteria";
const ATTEMPTS_HEADING: &str = "Attempts, the latest first";
const COMMENTS_HEADING: &str = "Comments";

/// What is known about an ended task.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Title of its goal.
    pub goal_title: String,
    /// Its title.
    pub title: String,
    /// What was to be done.
    pub description: String,
    /// Section of the goal.
    pub section: Option<String>,
    /// Its labels.
    pub labels: Vec<String>,
    /// What an agent had to be capable of.
    pub capabilities: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended so.
    pub end_reason: Option<String>,
    /// Its criteria.
    pub criteria: Vec<CriterionFact>,
    /// Its attempts, in any order.
    pub attempts: Vec<AttemptFact>,
    /// The accepted result.
    pub result: Option<Value>,
    /// Its artefacts, each in a few words.
    pub artifacts: Vec<String>,
    /// What it cost.
    pub spend: Vec<SpendFact>,
    /// Comments: who wrote, and what.
    pub comments: Vec<(String, String)>,
}

/// A criterion and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriterionFact {
    /// Its number in the task, from 1.
    pub number: i16,
    /// What it asks for.
    pub text: String,
    /// Whether it is met; `None`: nobody decided.
    pub met: Option<bool>,
    /// How far that is verified.
    pub tier: Option<String>,
}

/// An attempt and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFact {
    /// Its number in the task, from 1.
    pub number: i32,
    /// Name of its agent.
    pub agent: Option<String>,
    /// Its last state.
    pub state: String,
    /// Class of its failure.
    pub failure_class: Option<String>,
    /// What its agent said at the end.
    pub message: Option<String>,
    /// What a reviewer said about it.
    pub feedback: Option<String>,
    /// Duration in milliseconds.
    pub wall_ms: i64,
}

/// What was spent of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendFact {
    /// The unit: `usd_micros`, `wall_ms`, `tokens` or another.
    pub unit: String,
    /// How much of it.
    pub amount: i64,
    /// How much was expected.
    pub estimate: Option<i64>,
}

/// Title and body of a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The title of the task, in one line of at most [`bounds::TITLE_CHARS`] characters.
    pub title: String,
    /// Markdown of at most [`BODY_BYTES`] bytes.
    pub body: String,
}

/// Writes the digest of an ended task.
#[must_use]
pub fn render(facts: &Facts) -> Digest {
    let parts = [
        lead(facts),
        quoted(TO_BE_DONE, &facts.description, DESCRIPTION),
        result(facts.result.as_ref()),
        criteria(&facts.criteria),
        attempts(&facts.attempts),
        comments(&facts.comments),
        list("Artefacts", facts.artifacts.iter().map(|it| line(it, NAME)), ARTIFACTS),
        list("Figures", facts.spend.iter().map(spent), SPEND),
    ];
    let title: String = line(&facts.title, usize::MAX).chars().take(bounds::TITLE_CHARS).collect();
    Digest { title, body: parts.concat().trim_end().to_owned() }
}

/// What the body of a digest says about its task in particular; of any other text, all of it.
///
/// The service writes much the same about any two tasks: how they ended, their goal, agents, times, figures and
/// headings. A comparison that counts those words takes short tasks of one goal for duplicates. What is left is the
/// words of people and agents: description, result, criteria, comments, reasons and messages.
#[must_use]
pub fn matter(body: &str) -> Cow<'_, str> {
    if !is_digest(body) {
        return Cow::Borrowed(body);
    }
    let mut matter = String::with_capacity(body.len());
    let mut heading = None;
    for row in body.lines() {
        if let Some(name) = row.strip_prefix(HEADING) {
            heading = Some(name);
            continue;
        }
        let kept = match heading {
            None | Some(ATTEMPTS_HEADING) => words_of_others(row),
            Some(TO_BE_DONE | CAME_OUT | CRITERIA_HEADING | COMMENTS_HEADING) => row,
            Some(_) => "",
        };
        matter.push_str(kept);
        matter.push('\n');
    }
    Cow::Owned(matter)
}

/// Whether a text starts as [`lead`] does.
fn is_digest(body: &str) -> bool {
    let mut rows = body.lines();
    let (first, second, third) = (rows.next(), rows.next(), rows.next());
    let first = first.unwrap_or_default();
    let ended = first
        .strip_prefix("Done ")
        .or_else(|| first.strip_prefix("Failed "))
        .or_else(|| first.strip_prefix("Cancelled "));
    let counted = ended.is_some_and(|rest| {
        ["without an attempt.", "with one attempt.", "after "].iter().any(|it| rest.starts_with(it))
    });
    counted && second == Some("") && third.is_some_and(|row| row.starts_with(GOAL))
}

/// The end of a line from the first words in it that the service did not write.
fn words_of_others(row: &str) -> &str {
    let starts = [REASON, MESSAGE, FEEDBACK].iter().filter_map(|mark| row.find(mark));
    starts.min().and_then(|start| row.get(start..)).unwrap_or_default()
}

/// One or two lines that say how it ended and of what it was a part.
fn lead(facts: &Facts) -> String {
    let ended = match facts.outcome {
        Outcome::Done => "Done",
        Outcome::Failed => "Failed",
        Outcome::Cancelled => "Cancelled",
    };
    let attempts = match facts.attempts.len() {
        0 => "without an attempt".to_owned(),
        1 => "with one attempt".to_owned(),
        many => format!("after {many} attempts"),
    };
    let mut lead = format!("{ended} {attempts}.");
    if let Some(reason) = said(facts.end_reason.as_deref(), NAME * 3) {
        let _ = write!(lead, "{REASON}{reason}");
    }
    let _ = write!(lead, "\n\n{GOAL}{}", line(&facts.goal_title, NAME * 2));
    if let Some(section) = said(facts.section.as_deref(), NAME) {
        let _ = write!(lead, "; section: {section}");
    }
    for (name, words) in [("labels", &facts.labels), ("capabilities", &facts.capabilities)] {
        if !words.is_empty() {
            let _ = write!(lead, "; {name}: {}", line(&words.join(", "), NAME));
        }
    }
    lead.push_str("\n\n");
    lead
}

fn result(result: Option<&Value>) -> String {
    let heading = CAME_OUT;
    match result {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => quoted(heading, text, RESULT),
        Some(Value::Object(fields)) => {
            // A summary tells most in the fewest words.
            let (first, rest): (Vec<_>, Vec<_>) =
                fields.iter().partition(|(name, _)| *name == "summary");
            let fields = first.into_iter().chain(rest);
            list(
                heading,
                fields.map(|(name, value)| format!("{}: {}", line(name, NAME), plain(value))),
                RESULT,
            )
        }
        Some(Value::Array(items)) => list(heading, items.iter().map(plain), RESULT),
        Some(other @ (Value::Bool(_) | Value::Number(_))) => {
            quoted(heading, &other.to_string(), RESULT)
        }
    }
}

/// A value in one line.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => line(text, ITEM),
        other => line(&other.to_string(), ITEM),
    }
}

/// The criteria by number; first those that are not met, as they say most.
fn criteria(criteria: &[CriterionFact]) -> String {
    let mut sorted: Vec<&CriterionFact> = criteria.iter().collect();
    sorted.sort_by_key(|it| (it.met == Some(true), it.number));
    let items = sorted.into_iter().map(|it| {
        let met = match it.met {
            Some(true) => "met",
            Some(false) => "not met",
            None => "not decided",
        };
        let tier =
            said(it.tier.as_deref(), NAME).map(|tier| format!(", {tier}")).unwrap_or_default();
        format!("{}, {met}{tier}: {}", it.number, line(&it.text, ITEM))
    });
    list(CRITERIA_HEADING, items, CRITERIA)
}

/// The attempts, the latest first.
fn attempts(attempts: &[AttemptFact]) -> String {
    let mut sorted: Vec<&AttemptFact> = attempts.iter().collect();
    sorted.sort_by_key(|it| std::cmp::Reverse(it.number));
    let items = sorted.into_iter().map(|it| {
        let mut item = format!("{}", it.number);
        if let Some(agent) = said(it.agent.as_deref(), NAME) {
            let _ = write!(item, " by {agent}");
        }
        let _ = write!(item, ": {}", line(&it.state, NAME));
        if let Some(class) = said(it.failure_class.as_deref(), NAME) {
            let _ = write!(item, " ({class})");
        }
        let _ = write!(item, " after {}.", duration(it.wall_ms));
        if let Some(message) = said(it.message.as_deref(), ITEM) {
            let _ = write!(item, "{MESSAGE}{message}");
        }
        if let Some(feedback) = said(it.feedback.as_deref(), ITEM) {
            let _ = write!(item, "{FEEDBACK}{feedback}");
        }
        item
    });
    list(ATTEMPTS_HEADING, items, ATTEMPTS)
}

fn comments(comments: &[(String, String)]) -> String {
    let items =
        comments.iter().map(|(who, text)| format!("{}: {}", line(who, NAME), line(text, ITEM)));
    list(COMMENTS_HEADING, items, COMMENTS)
}

/// An amount in a unit that people read, and the estimate.
fn spent(fact: &SpendFact) -> String {
    let shown = |amount: i64| match fact.unit.as_str() {
        "usd_micros" => {
            let sign = if amount < 0 { "-" } else { "" };
            let micros = amount.unsigned_abs();
            format!("{sign}{}.{:06} USD", micros / 1_000_000, micros % 1_000_000)
        }
        "wall_ms" => duration(amount),
        _ => amount.to_string(),
    };
    let mut item = format!("{}: {}", line(&fact.unit, NAME), shown(fact.amount));
    if let Some(estimate) = fact.estimate {
        let _ = write!(item, ", estimated {}", shown(estimate));
        if estimate > 0 {
            let _ = write!(item, " (ratio {:.2})", fact.amount as f64 / estimate as f64);
        }
    }
    item
}

/// Milliseconds in the two largest units.
fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// A text in one line; `None` if there is nothing in it.
fn said(text: Option<&str>, bytes: usize) -> Option<String> {
    text.map(|text| line(text, bytes)).filter(|text| !text.is_empty())
}

/// A text in one line of at most so many bytes and without control characters.
fn line(text: &str, bytes: usize) -> String {
    let spaced: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    cut(&spaced.split_whitespace().collect::<Vec<_>>().join(" "), bytes)
}

/// The beginning of a text, with the number of bytes that are left out.
fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let most = text.floor_char_boundary(bytes.saturating_sub(LEFT_OUT));
    let start = text.get(..most).unwrap_or_default();
    // A text without spaces is cut within a word.
    let end = start.rfind(char::is_whitespace).filter(|end| *end > most / 2).unwrap_or(most);
    let kept = start.get(..end).unwrap_or_default().trim_end();
    format!("{kept} … ({} bytes left out)", text.len() - kept.len())
}

/// A heading and a text of several lines as a quotation, in at most so many bytes; nothing for an empty text.
fn quoted(heading: &str, text: &str, bytes: usize) -> String {
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    let mut part = format!("{HEADING}{heading}\n\n");
    let mut taken = 0;
    for row in text.split_inclusive(breaks_line) {
        let clean: String =
            row.chars().filter(|it| *it == '\t' || !it.is_control() && !breaks_line(*it)).collect();
        let clean = clean.trim_end();
        // The mark, the end of the line, and the empty line behind the part.
        let room = bytes.saturating_sub(part.len() + 4);
        if clean.len() + LEFT_OUT > room {
            let left = text.len() - taken;
            let start = if room > 2 * LEFT_OUT { cut_to(clean, room - LEFT_OUT) } else { "" };
            let _ = writeln!(part, "> {start} … ({} bytes left out)", left - start.len());
            break;
        }
        taken += row.len();
        part.push_str("> ");
        part.push_str(clean);
        part.push('\n');
    }
    part.push('\n');
    part
}

/// The longest beginning of at most so many bytes.
fn cut_to(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

/// Whatever Markdown or a terminal could take for the end of a line.
fn breaks_line(letter: char) -> bool {
    matches!(letter, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// A heading and items of one line each, in at most so many bytes; nothing without items.
fn list(heading: &str, items: impl Iterator<Item = String>, bytes: usize) -> String {
    let mut part = format!("{HEADING}{heading}\n\n");
    let mut left = 0u32;
    let mut any = false;
    for item in items {
        any = true;
        // Once one is left out, all behind it are: what is missing is then the end.
        if left > 0 || part.len() + item.len() + LEFT_OUT > bytes {
            left += 1;
            continue;
        }
        let _ = writeln!(part, "- {item}");
    }
    if !any {
        return String::new();
    }
    if left > 0 {
        let _ = writeln!(part, "- … ({left} more left out)");
    }
    part.push('\n');
    part
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn facts() -> Facts {
        Facts {
            goal_title: "Release 2".to_owned(),
            title: "Migrate the\n table".to_owned(),
            description: "Add a column.\n\n## What came out\r\nNothing.".to_owned(),
            section: Some("Storage".to_owned()),
            labels: vec!["db".to_owned(), "risky".to_owned()],
            capabilities: vec!["sql".to_owned()],
            outcome: Outcome::Done,
            end_reason: None,
            criteria: vec![
                CriterionFact {
                    number: 1,
                    text: "Tests pass".to_owned(),
                    met: Some(true),
                    tier: Some("checked".to_owned()),
                },
                CriterionFact {
                    number: 2,
                    text: "No lock".to_owned(),
                    met: Some(false),
                    tier: None,
                },
            ],
            attempts: vec![
                AttemptFact {
                    number: 1,
                    agent: Some("ada".to_owned()),
                    state: "failed".to_owned(),
                    failure_class: Some("timeout".to_owned()),
                    message: Some("lock\nnot granted".to_owned()),
                    feedback: None,
                    wall_ms: 3_720_000,
                },
                AttemptFact {
                    number: 2,
                    agent: None,
                    state: "accepted".to_owned(),
                    failure_class: None,
                    message: None,
                    feedback: Some("Good".to_owned()),
                    wall_ms: 61_000,
                },
            ],
            result: Some(
                json!({"commit": "abc", "summary": "Added with a lock timeout", "rows": [1, 2]}),
            ),
            artifacts: vec!["patch.diff (text/x-diff)".to_owned()],
            spend: vec![
                SpendFact {
                    unit: "usd_micros".to_owned(),
                    amount: 1_500_000,
                    estimate: Some(1_000_000),
                },
                SpendFact { unit: "tokens".to_owned(), amount: 12, estimate: None },
            ],
            comments: vec![("Eve".to_owned(), "Mind the\nreplica".to_owned())],
        }
    }

    #[test]
    fn everything_has_its_place() {
        let digest = render(&facts());
        assert_eq!(digest.title, "Migrate the table");
        assert_eq!(
            digest.body,
            "Done after 2 attempts.\n\n\
             Goal: Release 2; section: Storage; labels: db, risky; capabilities: sql\n\n\
             ## What was to be done\n\n> Add a column.\n> \n> ## What came out\n> \n> Nothing.\n\n\
             ## What came out\n\n- summary: Added with a lock timeout\n- commit: abc\n- rows: [1,2]\n\n\
             ## Criteria\n\n- 2, not met: No lock\n- 1, met, checked: Tests pass\n\n\
             ## Attempts, the latest first\n\n- 2: accepted after 1 min 1 s. Feedback: Good\n\
             - 1 by ada: failed (timeout) after 1 h 2 min. It said: lock not granted\n\n\
             ## Comments\n\n- Eve: Mind the replica\n\n\
             ## Artefacts\n\n- patch.diff (text/x-diff)\n\n\
             ## Figures\n\n- usd_micros: 1.500000 USD, estimated 1.000000 USD (ratio 1.50)\n- tokens: 12"
        );
    }

    #[test]
    fn nothing_known_is_still_a_text() {
        let none = Facts {
            description: String::new(),
            section: None,
            labels: vec![],
            capabilities: vec![],
            outcome: Outcome::Cancelled,
            end_reason: Some("not needed".to_owned()),
            criteria: vec![],
            attempts: vec![],
            result: None,
            artifacts: vec![],
            spend: vec![],
            comments: vec![],
            ..facts()
        };
        assert_eq!(
            render(&none).body,
            "Cancelled without an attempt. Reason: not needed\n\nGoal: Release 2"
        );
    }

    #[test]
    fn the_matter_is_what_the_service_did_not_write() {
        let mut facts = facts();
        facts.end_reason = Some("all is met".to_owned());
        facts.attempts[0].feedback = Some("Wait longer".to_owned());
        let matter = matter(&render(&facts).body).into_owned();
        let rows: Vec<&str> = matter.lines().map(str::trim).filter(|row| !row.is_empty()).collect();
        assert_eq!(
            rows,
            [
                "Reason: all is met",
                "> Add a column.",
                ">",
                "> ## What came out",
                ">",
                "> Nothing.",
                "- summary: Added with a lock timeout",
                "- commit: abc",
                "- rows: [1,2]",
                "- 2, not met: No lock",
                "- 1, met, checked: Tests pass",
                "Feedback: Good",
                "It said: lock not granted Feedback: Wait longer",
                "- Eve: Mind the replica",
            ]
        );
    }

    #[test]
    fn any_other_text_is_all_matter() {
        for text in [
            "",
            "Done with one attempt.",
            "Done with care.\n\nGoal: none",
            "# x\n\nDone with one attempt.\n\nGoal: x",
        ] {
            assert_eq!(matter(text), text);
        }
    }

    #[test]
    fn a_long_part_says_how_much_is_left_out_and_displaces_no_other() {
        let long = Facts { description: "word ".repeat(50_000), ..facts() };
        let body = render(&long).body;
        assert!(body.contains("bytes left out)"));
        assert!(body.contains("- Eve: Mind the replica"));
        let many = Facts { artifacts: vec!["x".repeat(90); 100], ..facts() };
        assert!(render(&many).body.contains("- … (96 more left out)"));
    }

    #[test]
    fn what_is_kept_and_what_is_left_out_is_the_whole_text() {
        let part = quoted("H", &"x".repeat(5_000), 1_000);
        let kept = part.matches('x').count();
        assert!(kept > 800, "{kept}");
        assert!(part.contains(&format!("({} bytes left out)", 5_000 - kept)), "{part}");
        let cut = cut(&"z".repeat(1_000), 200);
        assert!(cut.contains(&format!("({} bytes left out)", 1_000 - cut.matches('z').count())));
    }

    fn text() -> impl Strategy<Value = String> {
        ("(a|é|漢| |\n|\r|\u{2028}|#|>|- |\u{7}){0,12}", 0usize..1_500)
            .prop_map(|(text, times)| text.repeat(times))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn a_digest_is_bounded_and_its_parts_are_ours(
            texts in proptest::collection::vec(text(), 8),
            many in 0usize..14,
        ) {
            let mut it = facts();
            it.goal_title = texts[0].clone();
            it.title = texts[1].clone();
            it.description = texts[2].clone();
            it.end_reason = Some(texts[3].clone());
            it.labels = vec![texts[4].clone(); many];
            it.section = Some(texts[5].clone());
            it.comments = vec![(texts[0].clone(), texts[6].clone()); many];
            it.artifacts = vec![texts[7].clone(); many];
            it.result = Some(json!({ texts[1].clone(): texts[2].clone(), "b": [texts[3].clone()] }));
            for attempt in &mut it.attempts {
                attempt.message = Some(texts[5].clone());
                attempt.feedback = Some(texts[6].clone());
            }
            it.attempts = vec![it.attempts[0].clone(); many];
            for criterion in &mut it.criteria {
                criterion.text = texts[4].clone();
            }
            prop_assert!(lead(&it).len() <= LEAD);
            let digest = render(&it);
            prop_assert!(is_digest(&digest.body));
            prop_assert!(digest.body.len() <= BODY_BYTES);
            prop_assert!(digest.title.chars().count() <= bounds::TITLE_CHARS);
            prop_assert!(!digest.title.contains(breaks_line));
            prop_assert!(digest.body.chars().all(|it| it == '\n' || it == '\t' || !it.is_control()));
            for row in digest.body.lines().filter(|row| row.starts_with('#')) {
                let heading = row.trim_start_matches("## ");
                prop_assert!([
                    "What was to be done", "What came out", "Criteria", "Attempts, the latest first", "Comments",
                    "Artefacts", "Figures",
                ].contains(&heading), "{}", row);
            }
        }

        #[test]
        fn each_part_keeps_its_bytes(text in text(), bytes in 100usize..3_000) {
            prop_assert!(quoted("Heading", &text, bytes).len() <= bytes);
            prop_assert!(cut(&text, bytes).len() <= bytes);
            let items = text.split('a').map(|item| line(item, 90));
            prop_assert!(list("Heading", items, bytes).len() <= bytes);
        }
    }
}
