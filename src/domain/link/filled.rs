//! The submitted form of a link's page.
//!
//! A form sends pairs of name and text. A decision needs a verdict, which the page never preselects,
//! and the hash of the payload shown. So a program that only follows links decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::{
    approval::{PayloadHash, Verdict},
    check::Checks,
    form::AnswerSchema,
    refusal::{FieldError, Refusal},
};

/// The submitted names and texts, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filled(Vec<(String, String)>);

/// A decision read from a form.
#[derive(Debug, Clone, PartialEq)]
pub struct FormDecision {
    /// The verdict.
    pub verdict: Verdict,
    /// The hash of the payload shown.
    pub payload_sha256: PayloadHash,
    /// The reason or a remark.
    pub reason: Option<String>,
    /// The answer, with the verdict `answer`.
    pub answer: Option<Value>,
}

/// The field of the verdict.
const DECISION: &str = "decision";
/// The hidden field with the hash of the payload shown.
const HASH: &str = "payload_sha256";
/// The field of the reason.
const REASON: &str = "reason";
/// The field of an answer in free text; `answer.0`, `answer.1` ... are the fields of an answer schema.
const ANSWER: &str = "answer";

impl Filled {
    /// From the submitted pairs. Browsers send line breaks as CR LF; they become LF.
    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let plain = |text: String| text.replace("\r\n", "\n");
        Self(pairs.into_iter().map(|(name, text)| (plain(name), plain(text))).collect())
    }

    /// Every text submitted under `name`.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, text)| text.as_str())
    }

    /// The texts submitted for the field at index `place` of the answer schema.
    #[must_use]
    pub fn answers(&self, place: usize) -> Vec<&str> {
        let name = format!("{ANSWER}.{place}");
        self.0.iter().filter(|(given, _)| *given == name).map(|(_, text)| text.as_str()).collect()
    }

    /// Reads the decision.
    ///
    /// # Errors
    /// `invalid`, with every field that is missing, unknown, repeated or malformed.
    pub fn read(&self, schema: Option<&AnswerSchema>) -> Result<FormDecision, Refusal> {
        let mut checks = Checks::new();
        self.check_names(&mut checks, schema);
        let verdict = self.only(&mut checks, DECISION).unwrap_or_default();
        let verdict: Option<Verdict> = verdict.parse().ok();
        checks.ensure(verdict.is_some(), "/decision", "must be chosen");
        let hash = self.only(&mut checks, HASH).unwrap_or_default();
        let hash: Option<PayloadHash> = serde_json::from_value(Value::String(hash.to_owned())).ok();
        let detail = "is missing; open the link again and use the form on its page";
        checks.ensure(hash.is_some(), "/payload_sha256", detail);
        let reason = self.only(&mut checks, REASON).map(str::trim).filter(|text| !text.is_empty());
        let answer = self.answer(&mut checks, schema);
        checks.finish()?;
        let (Some(verdict), Some(payload_sha256)) = (verdict, hash) else {
            return Err(Refusal::invalid(Vec::<FieldError>::new()));
        };
        // A rejection ignores a filled-in answer.
        let answer = if verdict == Verdict::Answer { answer } else { None };
        Ok(FormDecision { verdict, payload_sha256, reason: reason.map(str::to_owned), answer })
    }

    /// The text of a name that may occur once.
    fn only<'f>(&'f self, checks: &mut Checks, name: &'static str) -> Option<&'f str> {
        let mut texts = self.all(name);
        let first = texts.next();
        checks.ensure(texts.next().is_none(), &format!("/{name}"), "is given more than once");
        first
    }

    fn answer(&self, checks: &mut Checks, schema: Option<&AnswerSchema>) -> Option<Value> {
        let Some(schema) = schema else {
            let text = self.only(checks, ANSWER).unwrap_or_default();
            return (!text.trim().is_empty()).then(|| Value::String(text.to_owned()));
        };
        let given: BTreeMap<usize, Vec<&str>> =
            (0..schema.properties.len()).map(|place| (place, self.answers(place))).collect();
        Some(schema.fill(&given))
    }

    fn check_names(&self, checks: &mut Checks, schema: Option<&AnswerSchema>) {
        let fields = schema.map_or(0, |schema| schema.properties.len());
        let mut known: BTreeSet<String> = (0..fields).map(|at| format!("{ANSWER}.{at}")).collect();
        known.extend([DECISION, HASH, REASON].map(str::to_owned));
        if schema.is_none() {
            known.insert(ANSWER.to_owned());
        }
        let strange = self.0.iter().any(|(name, _)| !known.contains(name));
        checks.ensure(!strange, "", "has a field that is not on the page");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn filled(pairs: &[(&str, &str)]) -> Filled {
        Filled::of(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
    }

    fn places(filled: &Filled, schema: Option<&AnswerSchema>) -> Vec<String> {
        let refusal = filled.read(schema).unwrap_err();
        refusal.errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn what_was_not_chosen_is_not_decided() {
        let hash = PayloadHash::of(None).to_string();
        assert_eq!(places(&filled(&[]), None), ["/decision", "/payload_sha256"]);
        assert_eq!(places(&filled(&[("payload_sha256", &hash)]), None), ["/decision"]);
        assert_eq!(places(&filled(&[("decision", "approve")]), None), ["/payload_sha256"]);
        let both = [("payload_sha256", &*hash), ("decision", "approve"), ("decision", "reject")];
        assert_eq!(places(&filled(&both), None), ["/decision"]);
        let more = [("payload_sha256", &*hash), ("decision", "approve"), ("payload", "{}")];
        assert_eq!(places(&filled(&more), None), [""]);
    }

    #[test]
    fn what_was_chosen_is_what_is_said() {
        let hash = PayloadHash::of(Some(&json!(1)));
        let said = filled(&[
            ("payload_sha256", &hash.to_string()),
            ("decision", "reject"),
            ("reason", " too\r\ndear "),
            ("answer", "left from before"),
        ]);
        let want = FormDecision {
            verdict: Verdict::Reject,
            payload_sha256: hash,
            reason: Some("too\ndear".to_owned()),
            answer: None,
        };
        assert_eq!(said.read(None).unwrap(), want);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(pairs in proptest::collection::vec(
            ("decision|reason|answer|answer\\.[0-3]|payload_sha256|.*", ".*"), 0..6),
        ) {
            let schema = AnswerSchema::of_options(&["a".to_owned(), "b".to_owned()]);
            let filled = Filled::of(pairs);
            let _ = filled.read(None);
            let _ = filled.read(Some(&schema));
        }
    }
}
