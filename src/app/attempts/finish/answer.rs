//! Requests that end an attempt, and their answer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::knowledge::handed::{self, HandedLesson, HandedVerdict},
    domain::{
        artifact::{RESULT_ARTIFACTS, digest::ArtifactDigest},
        check::{Checks, pointer},
        criterion::{
            Criterion, CriterionType, EvidenceTier,
            decimal::Decimal,
            evidence::{self, Artifacts, Piece},
            schema::Work,
        },
        ids::{AttemptId, TaskId},
        refusal::{Code, FieldError, Refusal},
        settings,
        spend::SpendReport,
        states::{AttemptState, FailureClass, TaskState},
    },
};

/// Evidence for a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceInput {
    /// Number of the criterion that it is about; left out: the result in general.
    #[serde(default)]
    #[schema(minimum = 1, example = 1)]
    pub criterion: Option<i16>,
    /// `false`: the criterion is not met, and `text` says what is missing. Only in a task that verifies a
    /// goal (label `verify`) or checks the result of another task (label `check`), about one of its criteria.
    /// Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub met: bool,
    /// The evidence itself: test output, a review, a measurement. At most 16 KiB.
    #[schema(example = "cargo test: 214 passed, 0 failed", min_length = 1)]
    pub text: String,
    /// Address of the full evidence; not fetched by muster.
    #[serde(default)]
    #[schema(example = "https://ci.example.com/runs/17", max_length = 2000)]
    pub uri: Option<String>,
    /// The artifact that is the evidence, or holds it in full: upload it first with
    /// `PUT /v1/artifacts/{sha256}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactDigest>,
    /// The number, for a criterion of the type `metric`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Decimal>,
    /// The exit code of the program. Only in a check (label `check`), for a criterion of the type `command`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 0)]
    pub exit_code: Option<i32>,
}

impl EvidenceInput {
    /// The piece that the rules judge.
    #[must_use]
    pub fn piece(&self) -> Piece {
        Piece {
            criterion: self.criterion,
            met: self.met,
            artifact: self.artifact,
            value: self.value,
            exit_code: self.exit_code,
        }
    }
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

/// Completes an attempt with its result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteRequest {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// The result, any JSON; handed to the tasks that need this one. At most 256 KiB.
    #[serde(default)]
    #[schema(example = json!({"commit": "4f2a91c", "summary": "endpoints written"}))]
    pub result: Option<Value>,
    /// Evidence; at least one piece for each required criterion of the types `text`, `artifact` and `metric`. Its tier
    /// is computed by the server. At most 500 pieces.
    #[serde(default)]
    pub evidence: Vec<EvidenceInput>,
    /// The artifacts of the result, handed to the tasks that need this one: upload them first with
    /// `PUT /v1/artifacts/{sha256}`. At most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactDigest>,
    /// Spend since the last report.
    #[serde(default)]
    pub spend: SpendReport,
    /// What this attempt taught, for the agents of later tasks; at most 5. Lessons of a verified result are given to
    /// agents that claim a task like this one. A secret in a lesson refuses the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lessons: Vec<HandedLesson>,
    /// What you say of the lessons that the claim had. Those that mislead agents of two owners are given to nobody
    /// else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lesson_verdicts: Vec<HandedVerdict>,
}

/// Ends an attempt without a result, as failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FailRequest {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// Class of the failure. `rate_limited` uses up no try: the task waits, from the third time in a row on longer each
    /// time, and the agent with all agents of its account is given no tasks meanwhile. `transient`, `resources` and `timeout` are retried;
    /// `invalid_input` and `permanent` are not. `too_large` is retried once; after the second such failure,
    /// and instead of a final one, the task is `parked` until it is divided.
    pub class: FailureClass,
    /// Explanation, for people and the next attempt. At most 16 KiB.
    #[serde(default)]
    #[schema(example = "the provider answered 529 three times")]
    pub message: Option<String>,
    /// Overrides whether the class is retried. `max_attempts` still applies.
    #[serde(default)]
    pub retryable: Option<bool>,
    /// Earliest retry, in seconds from now; at most a day. With `rate_limited`: how long the task and the agent
    /// wait; default 60, at least 1.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86400)]
    pub retry_after_seconds: Option<u32>,
    /// Spend since the last report.
    #[serde(default)]
    pub spend: SpendReport,
    /// What this attempt taught, for the agents of later tasks; at most 5. Lessons of a verified result are given to
    /// agents that claim a task like this one. A secret in a lesson refuses the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lessons: Vec<HandedLesson>,
    /// What you say of the lessons that the claim had. Those that mislead agents of two owners are given to nobody
    /// else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lesson_verdicts: Vec<HandedVerdict>,
}

/// Returns the task without a result; the attempt does not count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// Explanation, for people and the next attempt. At most 16 KiB.
    #[serde(default)]
    #[schema(example = "shutting down")]
    pub message: Option<String>,
    /// Anything the next attempt needs to continue from here, any JSON; at most 256 KiB.
    #[serde(default)]
    pub checkpoint: Option<Value>,
    /// Spend since the last report.
    #[serde(default)]
    pub spend: SpendReport,
    /// What this attempt taught, for the agents of later tasks; at most 5. Lessons of a verified result are given to
    /// agents that claim a task like this one. A secret in a lesson refuses the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lessons: Vec<HandedLesson>,
    /// What you say of the lessons that the claim had. Those that mislead agents of two owners are given to nobody
    /// else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lesson_verdicts: Vec<HandedVerdict>,
}

/// The ended attempt. An identical request gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FinishAnswer {
    /// Id of the ended attempt.
    pub attempt_id: AttemptId,
    /// `accepted`, `submitted` (waits for a review), `failed` or `released`.
    pub attempt_state: AttemptState,
    /// Id of the attempt's task.
    pub task_id: TaskId,
    /// State of the task after this: `done`, `reviewing`, `waiting` (retried later), `ready`, `parked` (waits
    /// for a price, or to be divided), `failed` or `cancelled`.
    pub task_state: TaskState,
    /// When the task is offered again; `null` if it is not.
    pub retry_at: Option<DateTime<Utc>>,
}

impl CompleteRequest {
    /// Refuses values out of bounds.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.json("/result", self.result.as_ref());
        checks.count("/evidence", self.evidence.len(), settings::LIST_ITEMS);
        for (index, evidence) in self.evidence.iter().enumerate().take(settings::LIST_ITEMS) {
            let at = pointer("/evidence", index);
            let text = pointer(&at, "text");
            checks.ensure(!evidence.text.trim().is_empty(), &text, "must not be empty");
            checks.bytes(&text, &evidence.text, settings::MESSAGE_BYTES);
            if let Some(uri) = &evidence.uri {
                checks.line(&pointer(&at, "uri"), uri, 2000);
            }
        }
        checks.count("/artifacts", self.artifacts.len(), RESULT_ARTIFACTS);
        self.spend.check(&mut checks, "/spend");
        handed::check(&mut checks, &self.lessons, &self.lesson_verdicts);
        checks.finish()
    }

    /// Every artifact that the request refers to.
    pub fn digests(&self) -> impl Iterator<Item = ArtifactDigest> {
        let in_evidence = self.evidence.iter().filter_map(|evidence| evidence.artifact);
        self.artifacts.iter().copied().chain(in_evidence)
    }

    /// Refuses artifacts that the workspace does not have.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub fn refers(&self, known: &Artifacts) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        let detail = "there is no artifact with this digest in this workspace; upload it first";
        for (index, digest) in self.artifacts.iter().enumerate() {
            checks.ensure(known.contains_key(digest), &pointer("/artifacts", index), detail);
        }
        for (index, evidence) in self.evidence.iter().enumerate() {
            let Some(digest) = &evidence.artifact else { continue };
            let at = pointer(&pointer("/evidence", index), "artifact");
            checks.ensure(known.contains_key(digest), &at, detail);
        }
        checks.finish()
    }

    /// Refuses evidence for unknown criteria, evidence and results that do not satisfy their criteria and, unless the
    /// result is reviewed by a person, required criteria without evidence. Returns what the evidence shows: each piece
    /// with whether its criterion is met and its tier, and the criteria whose schema the result fits.
    ///
    /// # Errors
    /// `invalid` or `evidence_missing`, with every place.
    pub fn covers(
        &self,
        criteria: &[Criterion],
        artifacts: &Artifacts,
        reviewed: bool,
    ) -> Result<Covered, Refusal> {
        let mut checks = Checks::new();
        let mut pieces = Vec::with_capacity(self.evidence.len());
        for (index, evidence) in self.evidence.iter().enumerate() {
            let at = pointer("/evidence", index);
            let about = |known: &&Criterion| Some(known.number) == evidence.criterion;
            let known = criteria.iter().find(about);
            let detail = "is only for a criterion of a task that verifies a goal or checks a result; without it, \
                          fail the attempt instead";
            let reports = evidence.met || known.is_some_and(|known| known.reports);
            checks.ensure(reports, &pointer(&at, "met"), detail);
            if let Some(number) = evidence.criterion {
                let detail = format!("the task has no criterion {number}");
                checks.ensure(known.is_some(), &pointer(&at, "criterion"), detail);
            }
            let piece = evidence.piece();
            evidence::check(&mut checks, &at, &piece, known, artifacts);
            pieces.push((
                Piece { met: evidence::says_met(&piece, known), ..piece },
                evidence::tier(&piece, known, artifacts),
            ));
        }
        let (mut fitting, mut work) = (Vec::new(), Work::default());
        let mut schemas: Vec<&Criterion> =
            criteria.iter().filter(|one| one.r#type == CriterionType::JsonSchema).collect();
        // What is not required takes no work away from what is.
        schemas.sort_by_key(|criterion| !criterion.required);
        for criterion in schemas {
            let faults = evidence::schema_faults(criterion, self.result.as_ref(), &mut work);
            if faults.is_empty() {
                fitting.push(criterion.number);
            }
            for (at, detail) in faults.into_iter().filter(|_| criterion.required) {
                checks.add(at, format!("{detail} (criterion {})", criterion.number));
            }
        }
        checks.finish()?;
        let missing = criteria.iter().filter(|criterion| evidence::lacks(criterion, &pieces));
        let missing: Vec<String> = missing.map(|criterion| criterion.number.to_string()).collect();
        if reviewed || missing.is_empty() {
            return Ok(Covered { pieces, fitting });
        }
        let detail = format!(
            "there is no evidence for the required criteria {}; add one piece of evidence for \
             each, naming its `criterion`, and an artifact where the tier `attached` is demanded",
            missing.join(", ")
        );
        let errors = vec![FieldError::new("/evidence", &detail)];
        Err(Refusal::at(Code::EvidenceMissing, detail, errors))
    }
}

/// What the evidence of a completion shows.
#[derive(Debug, Clone, Default)]
pub struct Covered {
    /// The pieces as they are stored, each with its tier.
    pub pieces: Vec<(Piece, EvidenceTier)>,
    /// The criteria whose schema the result fits.
    pub fitting: Vec<i16>,
}

impl FailRequest {
    /// Refuses values out of bounds.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.ensure(
            self.class.reportable(),
            "/class",
            format!("`{}` is set by the service alone", self.class),
        );
        check_message(&mut checks, self.message.as_deref());
        if let Some(seconds) = self.retry_after_seconds {
            checks.range("/retry_after_seconds", seconds, 0..=86_400);
        }
        self.spend.check(&mut checks, "/spend");
        handed::check(&mut checks, &self.lessons, &self.lesson_verdicts);
        checks.finish()
    }
}

impl ReleaseRequest {
    /// Refuses values out of bounds.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        check_message(&mut checks, self.message.as_deref());
        checks.json("/checkpoint", self.checkpoint.as_ref());
        self.spend.check(&mut checks, "/spend");
        handed::check(&mut checks, &self.lessons, &self.lesson_verdicts);
        checks.finish()
    }
}

fn check_message(checks: &mut Checks, message: Option<&str>) {
    if let Some(message) = message {
        checks.bytes("/message", message, settings::MESSAGE_BYTES);
    }
}
