//! The dialogue with a model: a question, at most two repair turns, then a plan or the end.
//!
//! ```text
//! question -> answer -> plan
//!                    -> findings -> repair turn -> answer -> ...
//!                    -> refusal, failure -> end
//! ```
//!
//! Every answer counts, whatever it is good for: it is charged. [`ANSWERS`] bounds them; calls that were
//! repeated because a server failed are no answers. A refusal ends the dialogue at once, because the same
//! question has the same answer. The caller reads and checks the plan of an answer, and stores nothing before
//! [`Step::Plan`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    model::{Conversation, Ending, ModelAnswer, ModelError, Speaker, Turn},
    prompt::Prompt,
};
use crate::domain::{
    plan::{
        TaskSpec,
        finding::{Finding, Severity},
    },
    words::words,
};

/// Most answers of one dialogue.
pub const ANSWERS: u8 = 3;
/// Longest answer that is repeated to the model in a repair turn, in bytes. A longer one is cut.
const REPEATED: usize = 128 * 1024;
/// Most findings in one repair turn.
const FINDINGS: usize = 40;
/// Longest text of one finding, in characters.
const FINDING_CHARS: usize = 500;

words! {
    /// Why a dialogue ended without a plan.
    pub enum GaveUpBecause {
        /// The last answer that was allowed had errors too.
        NotRepaired => "not_repaired",
        /// The model refuses.
        Refused => "refused",
        /// The model was not reached, or did not answer.
        NoAnswer => "no_answer",
        /// The budget does not allow a further answer.
        Budget => "budget",
    }
}

/// The end of a dialogue without a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GaveUp {
    /// Why.
    pub because: GaveUpBecause,
    /// For people, in one line.
    pub detail: String,
    /// The findings of the last answer.
    pub findings: Vec<Finding>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Ask the model with [`Dialogue::conversation`].
    Ask,
    /// The plan has no errors; it may have warnings.
    Plan(Vec<TaskSpec>, Vec<Finding>),
    /// There is no plan.
    GiveUp(GaveUp),
}

/// What one answer was worth, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Round {
    /// Whether the answer was cut at the most output tokens.
    pub truncated: bool,
    /// What was found in it; errors first.
    pub findings: Vec<Finding>,
}

/// A dialogue with a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Dialogue {
    conversation: Conversation,
    rounds: Vec<Round>,
    ended: bool,
}

/// A plan that was read from an answer, and what was found in it. An error is a plan that could not be read.
pub type Reading = Result<(Vec<TaskSpec>, Vec<Finding>), Vec<Finding>>;

impl Dialogue {
    /// A dialogue that begins with a prompt. `schema`: of the answer.
    #[must_use]
    pub fn new(prompt: &Prompt, schema: &Value) -> Self {
        let conversation = Conversation {
            instructions: prompt.instructions.clone(),
            turns: vec![Turn { speaker: Speaker::Muster, text: prompt.question.clone() }],
            schema: schema.clone(),
        };
        Self { conversation, rounds: Vec::new(), ended: false }
    }

    /// What the model is to be asked.
    #[must_use]
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The answers so far.
    #[must_use]
    pub fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes an answer. `read`: reads and checks the plan in a text.
    pub fn answered(&mut self, answer: &ModelAnswer, read: impl FnOnce(&str) -> Reading) -> Step {
        if self.ended || self.rounds.len() >= usize::from(ANSWERS) {
            return self.end(GaveUpBecause::NotRepaired, "the dialogue has ended", Vec::new());
        }
        let truncated = answer.ending == Ending::Truncated;
        if let Ending::Refused(why) = &answer.ending {
            self.rounds.push(Round { truncated, findings: Vec::new() });
            let detail = format!("the model refuses: {why}");
            return self.end(GaveUpBecause::Refused, &detail, Vec::new());
        }
        let (tasks, findings) = match read(&answer.text) {
            Ok((tasks, findings)) => (Some(tasks), findings),
            Err(findings) => (None, findings),
        };
        self.rounds.push(Round { truncated, findings: findings.clone() });
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        if let Some(tasks) = tasks
            && errors == 0
        {
            self.ended = true;
            return Step::Plan(tasks, findings);
        }
        if self.rounds.len() >= usize::from(ANSWERS) {
            let first = findings.first().map_or("it had no plan", |finding| &finding.detail);
            let detail =
                format!("{errors} errors are left after {ANSWERS} answers; the first: {first}");
            return self.end(GaveUpBecause::NotRepaired, &detail, findings);
        }
        let said = match cut(&answer.text, REPEATED) {
            // No wire format has an empty turn.
            "" => "(nothing)".to_owned(),
            said => said.to_owned(),
        };
        self.conversation.turns.push(Turn { speaker: Speaker::Model, text: said });
        let feedback = feedback(truncated, &findings);
        self.conversation.turns.push(Turn { speaker: Speaker::Muster, text: feedback });
        Step::Ask
    }

    /// Ends it because the model did not answer.
    pub fn failed(&mut self, error: &ModelError) -> Step {
        self.end(GaveUpBecause::NoAnswer, &error.to_string(), Vec::new())
    }

    /// Ends it because a budget allows no further answer.
    pub fn exhausted(&mut self, detail: &str) -> Step {
        self.end(GaveUpBecause::Budget, detail, Vec::new())
    }

    fn end(&mut self, because: GaveUpBecause, detail: &str, findings: Vec<Finding>) -> Step {
        self.ended = true;
        Step::GiveUp(GaveUp { because, detail: detail.to_owned(), findings })
    }
}

/// What a model is told of its answer.
fn feedback(truncated: bool, findings: &[Finding]) -> String {
    let mut text = String::from("This plan cannot be used.\n");
    if truncated {
        text.push_str(
            "Your answer was cut because it was too long. Write fewer tasks and shorter texts.\n",
        );
    }
    let errors = || findings.iter().filter(|finding| finding.severity == Severity::Error);
    for finding in errors().take(FINDINGS) {
        let place = if finding.pointer.is_empty() { "the plan" } else { &finding.pointer };
        let detail = cut_chars(&finding.detail, FINDING_CHARS);
        text.push_str(&format!("- {}: {place}: {detail}\n", finding.code));
    }
    let more = errors().count().saturating_sub(FINDINGS);
    if more > 0 {
        text.push_str(&format!("- and {more} more\n"));
    }
    text.push_str(
        "Correct every point and keep what was right. Answer with the whole plan again, as one JSON object \
         of the schema and nothing else.",
    );
    text
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn cut_chars(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::{
        plan::finding::FindingCode,
        planning::model::{AnswerForm, ErrorKind},
    };

    fn dialogue() -> Dialogue {
        let prompt =
            Prompt { instructions: "plan".into(), question: "brief".into(), sha256: String::new() };
        Dialogue::new(&prompt, &json!({"type": "object"}))
    }

    fn answer(text: &str, ending: Ending) -> ModelAnswer {
        ModelAnswer { text: text.into(), ending, usage: None, form: AnswerForm::Text, retries: 0 }
    }

    fn finding(severity: Severity, detail: &str) -> Finding {
        let pointer = "/tasks/0".to_owned();
        Finding {
            code: FindingCode::Cycle,
            severity,
            pointer,
            detail: detail.into(),
            refs: Vec::new(),
        }
    }

    fn task() -> TaskSpec {
        TaskSpec { r#ref: "a".into(), title: "A".into(), ..TaskSpec::default() }
    }

    #[test]
    fn errors_come_back_to_the_model_and_warnings_do_not() {
        let mut dialogue = dialogue();
        let findings = vec![
            finding(Severity::Error, "a needs b needs a"),
            finding(Severity::Warning, "vague"),
        ];
        let step =
            dialogue.answered(&answer("{}", Ending::Complete), |_| Ok((vec![task()], findings)));
        assert_eq!(step, Step::Ask);
        let turns = &dialogue.conversation().turns;
        assert_eq!(turns.len(), 3);
        assert_eq!((turns[1].speaker, turns[1].text.as_str()), (Speaker::Model, "{}"));
        let told = &turns[2].text;
        assert!(
            told.contains("cycle: /tasks/0: a needs b needs a") && !told.contains("vague"),
            "{told}"
        );
        let warned = vec![finding(Severity::Warning, "vague")];
        let again =
            dialogue.answered(&answer("{}", Ending::Complete), |_| Ok((vec![task()], warned)));
        assert!(
            matches!(again, Step::Plan(tasks, warnings) if tasks.len() == 1 && warnings.len() == 1)
        );
        assert!(dialogue.has_ended());
    }

    #[test]
    fn a_cut_answer_with_a_whole_plan_is_a_plan() {
        let mut whole = dialogue();
        let step = whole.answered(&answer("{}", Ending::Truncated), |_| Ok((vec![task()], vec![])));
        assert!(matches!(step, Step::Plan(..)));
        let mut cut = dialogue();
        let broken = vec![finding(Severity::Error, "ends in the middle")];
        cut.answered(&answer("{\"tasks\": [", Ending::Truncated), |_| Err(broken));
        assert!(cut.conversation().turns[2].text.contains("fewer tasks"));
        assert!(cut.rounds()[0].truncated);
    }

    #[test]
    fn a_refusal_and_a_failure_end_it() {
        let mut refused = dialogue();
        let step = refused.answered(&answer("", Ending::Refused("no".into())), |_| unreachable!());
        assert!(matches!(step, Step::GiveUp(GaveUp { because: GaveUpBecause::Refused, .. })));
        assert_eq!(refused.rounds().len(), 1, "it was an answer, and is charged");
        let step = dialogue().failed(&ModelError::new(ErrorKind::Timeout, "silent"));
        let Step::GiveUp(gave_up) = step else { panic!("{step:?}") };
        assert_eq!(gave_up.detail, "timeout: silent");
    }

    proptest! {
        #[test]
        fn at_most_three_answers_and_turns_alternate(
            answers in prop::collection::vec(
                (any::<String>(), 0..3u8, prop::collection::vec((any::<bool>(), any::<String>()), 0..60), any::<bool>()),
                1..10,
            ),
        ) {
            let mut dialogue = dialogue();
            let mut asked = 0;
            for (text, ending, findings, is_read) in answers {
                asked += 1;
                let ending = match ending {
                    0 => Ending::Complete,
                    1 => Ending::Truncated,
                    _ => Ending::Refused("no".into()),
                };
                let findings: Vec<Finding> = findings.into_iter().map(|(error, detail)| {
                    finding(if error { Severity::Error } else { Severity::Warning }, &detail)
                }).collect();
                let has_errors = findings.iter().any(|finding| finding.severity == Severity::Error);
                let step = dialogue.answered(&answer(&text, ending.clone()), |_| {
                    if is_read { Ok((vec![task()], findings.clone())) } else { Err(findings.clone()) }
                });
                let turns = &dialogue.conversation().turns;
                let alternate = turns.iter().enumerate().all(|(index, turn)| {
                    let muster = turn.speaker == Speaker::Muster;
                    muster == index.is_multiple_of(2) && !turn.text.is_empty()
                });
                prop_assert!(alternate);
                prop_assert_eq!(turns.len() % 2, 1, "muster has the last turn");
                prop_assert!(turns.iter().all(|turn| turn.text.len() <= REPEATED.max(200_000)));
                match step {
                    Step::Ask => prop_assert!(!dialogue.has_ended()),
                    Step::Plan(..) => {
                        prop_assert!(is_read && !has_errors && !matches!(ending, Ending::Refused(_)));
                        break;
                    }
                    Step::GiveUp(_) => break,
                }
            }
            prop_assert!(asked <= usize::from(ANSWERS), "{asked} answers");
            prop_assert_eq!(dialogue.rounds().len(), asked);
        }
    }
}
