//! Criteria of tasks: how each type is satisfied, and the tiers of evidence.
//!
//! There is one mechanism for all types: evidence has a [`EvidenceTier`], a criterion demands one, and a criterion is shown
//! by evidence that it is met and whose tier is not below. Who gives the evidence depends on the type:
//!
//! | type | evidence from | its tier |
//! |---|---|---|
//! | `text`, `metric` | the attempt | `claimed`; `attached` if it names an artifact |
//! | `artifact` | the attempt; the server compares what it stores | `machine_checked` |
//! | `json_schema` | the server, from the result | `machine_checked` |
//! | `command` | the check of another agent with [`COMMAND`] | `machine_checked` |
//! | `review` | the check of another agent | `reviewed` |
//! | `person` | the approval of the result by a person | `person` |
//!
//! The number of a metric is what the attempt says: the server compares it, and does not measure it.
//!
//! A criterion may demand a higher tier than its type gives. Then a check or an approval comes on top, by the same
//! rule: [`needs`]. What the server can compare itself is refused on completion, and the attempt goes on. What a
//! check finds unmet is a rejected result.

pub mod decimal;
pub mod evidence;
pub mod schema;
mod spec;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{artifact::digest::ArtifactDigest, words::words};
use decimal::Decimal;

pub use spec::{CriterionSpec, check};

/// The capability of an agent that runs the programs of `command` criteria.
pub const COMMAND: &str = "verify:command";

words! {
    /// How a criterion of a task is satisfied.
    #[derive(Default)]
    pub enum CriterionType {
        /// By any evidence.
        #[default]
        Text => "text",
        /// By a result that fits a JSON Schema. The server checks it on completion.
        JsonSchema => "json_schema",
        /// By evidence that names a stored artifact as described.
        Artifact => "artifact",
        /// By evidence with a number. The server compares it.
        Metric => "metric",
        /// By the exit code of a program, run by an agent with `verify:command` that is not the author.
        Command => "command",
        /// By another agent that looks at the result.
        Review => "review",
        /// By a person who approves the result.
        Person => "person",
    }
}

words! {
    /// How far evidence was checked, computed by the server; the later, the further.
    pub enum EvidenceTier {
        /// The author says so.
        Claimed => "claimed",
        /// The author says so and names an artifact.
        Attached => "attached",
        /// The server compared what it stores, or another agent ran a program.
        MachineChecked => "machine_checked",
        /// Another agent looked at it.
        Reviewed => "reviewed",
        /// A person approved it.
        Person => "person",
    }
}

words! {
    /// How the number of a metric is compared.
    pub enum Comparison {
        /// Not below.
        AtLeast => "at_least",
        /// Not above.
        AtMost => "at_most",
        /// Above.
        Above => "above",
        /// Below.
        Below => "below",
        /// The same number.
        Equal => "equal",
    }
}

words! {
    /// What a result shows of a criterion.
    pub enum CriterionFinding {
        /// Nothing yet, or not enough.
        Open => "open",
        /// It is met.
        Met => "met",
        /// A check found that it is not met.
        Unmet => "unmet",
        /// A person waived it.
        Waived => "waived",
    }
}

impl CriterionType {
    /// The tier of the evidence by which a criterion of the type is satisfied, if nothing more is demanded.
    #[must_use]
    pub const fn tier(self) -> EvidenceTier {
        match self {
            Self::Text | Self::Metric => EvidenceTier::Claimed,
            Self::JsonSchema | Self::Artifact | Self::Command => EvidenceTier::MachineChecked,
            Self::Review => EvidenceTier::Reviewed,
            Self::Person => EvidenceTier::Person,
        }
    }
}

impl Comparison {
    /// Whether a number compares so with the wanted one.
    #[must_use]
    pub fn holds(self, number: Decimal, wanted: Decimal) -> bool {
        match self {
            Self::AtLeast => number >= wanted,
            Self::AtMost => number <= wanted,
            Self::Above => number > wanted,
            Self::Below => number < wanted,
            Self::Equal => number == wanted,
        }
    }
}

/// The schema of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaTerms {
    /// JSON Schema 2020-12, at most 16 KiB. `$ref` names a definition of the schema itself, `#/$defs/...`, without
    /// circles.
    #[schema(example = json!({"type": "object", "required": ["commit"]}))]
    pub schema: Value,
    /// JSON Pointer of the checked value in the result; empty: the whole result.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(example = "/figures", max_length = 500)]
    pub at: String,
}

/// The artifact that evidence must name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactTerms {
    /// Exactly this artifact. Left out: any that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<ArtifactDigest>,
    /// Its least size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub min_bytes: Option<i64>,
    /// Its largest size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub max_bytes: Option<i64>,
    /// Its media type, or `image/*` for all of a kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "application/pdf")]
    pub media_type: Option<String>,
}

/// The number that evidence must give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricTerms {
    /// What is measured.
    #[schema(example = "line coverage", min_length = 1, max_length = 200)]
    pub name: String,
    /// How the number compares with `value`.
    pub comparison: Comparison,
    /// The number it is compared with.
    pub value: Decimal,
}

/// The program that an agent with the capability `verify:command` runs. The server runs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandTerms {
    /// The program and its arguments, at most 64; no shell reads them.
    #[schema(example = json!(["cargo", "test"]), min_items = 1, max_items = 64)]
    pub program: Vec<String>,
    /// The exit code that satisfies the criterion. Default 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exit_code: i32,
}

/// The agent that looks at the result. Never one that worked on the task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewTerms {
    /// Whether it must have an owner who never owned an agent that worked on the task. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub other_owner: bool,
    /// The capabilities that it needs, at most 32. Default: those of the goal's `task_defaults`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["review"]))]
    pub capabilities: Vec<String>,
}

/// What belongs to the type of a criterion; nothing for `text` and `person`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Terms {
    /// Of the type `json_schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<SchemaTerms>,
    /// Of the type `artifact`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactTerms>,
    /// Of the type `metric`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricTerms>,
    /// Of the type `command`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandTerms>,
    /// Of the type `review`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewTerms>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A criterion of a task, for the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criterion {
    /// Ordinal within the task, from 1.
    pub number: i16,
    /// Whether the task needs it.
    pub required: bool,
    /// How it is satisfied.
    pub r#type: CriterionType,
    /// What belongs to the type.
    pub terms: Terms,
    /// The least tier of the evidence that satisfies it; never below that of its type.
    pub min_tier: EvidenceTier,
    /// Whether its task checks it for something else: a goal, or the result of another task. Then evidence may
    /// say that it is not met.
    pub reports: bool,
}

/// What must come after the completion before a result is accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// A check by an agent that runs programs.
    pub command: bool,
    /// A check by an agent that looks at the result.
    pub review: bool,
    /// The approval of a person.
    pub person: bool,
}

impl Needs {
    /// Whether an agent must check the result.
    #[must_use]
    pub const fn checks(self) -> bool {
        self.command || self.review
    }

    /// The needs of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            command: self.command || other.command,
            review: self.review || other.review,
            person: self.person || other.person,
        }
    }
}

/// What a criterion needs beyond what its attempt can give. One that is not required asks for nothing.
#[must_use]
pub fn needs(criterion: &Criterion) -> Needs {
    if !criterion.required || criterion.reports {
        return Needs::default();
    }
    let own = criterion.r#type;
    // What an attempt gives for these is at most `attached`.
    let beyond = match own {
        CriterionType::Text | CriterionType::Metric => EvidenceTier::MachineChecked,
        CriterionType::JsonSchema | CriterionType::Artifact | CriterionType::Command => {
            EvidenceTier::Reviewed
        }
        CriterionType::Review | CriterionType::Person => EvidenceTier::Person,
    };
    let more = criterion.min_tier >= beyond;
    Needs {
        command: own == CriterionType::Command,
        review: own == CriterionType::Review
            || more && criterion.min_tier <= EvidenceTier::Reviewed,
        person: criterion.min_tier == EvidenceTier::Person,
    }
}

/// What all criteria of a task need.
#[must_use]
pub fn needs_of<'a>(criteria: impl IntoIterator<Item = &'a Criterion>) -> Needs {
    criteria.into_iter().map(needs).fold(Needs::default(), Needs::and)
}

/// What the checks of a result found about a criterion that is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub number: i16,
    /// Whether a check found that it is not met.
    pub unmet: bool,
    /// Whether evidence of its tier says that it is met.
    pub shown: bool,
    /// Whether it demands a person.
    pub person: bool,
}

/// What follows when no check of a result is open any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// These criteria are not met: the result is rejected.
    Reject(Vec<i16>),
    /// A person decides: they are asked for, or a check ended without saying anything.
    Ask,
    /// Everything is shown.
    Accept,
}

/// Judges a result by its checks, all of which have ended. `asks`: whether a person must approve each result.
#[must_use]
pub fn outcome(found: &[Found], asks: bool) -> Outcome {
    let unmet: Vec<i16> = found.iter().filter(|one| one.unmet).map(|one| one.number).collect();
    if !unmet.is_empty() {
        return Outcome::Reject(unmet);
    }
    if asks || found.iter().any(|one| one.person || !one.shown) {
        return Outcome::Ask;
    }
    Outcome::Accept
}

/// The finding about a criterion that a view shows.
#[must_use]
pub fn finding(waived: bool, satisfied: bool, unmet: bool, shown: bool) -> CriterionFinding {
    match (waived, satisfied || shown, unmet) {
        (true, _, _) => CriterionFinding::Waived,
        (false, _, true) => CriterionFinding::Unmet,
        (false, true, false) => CriterionFinding::Met,
        (false, false, false) => CriterionFinding::Open,
    }
}

#[cfg(test)]
mod tests;
