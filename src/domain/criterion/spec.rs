//! A criterion as a plan gives it, and its checks.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{CriterionType, EvidenceTier, Terms, is_default, schema::Schemas};
use crate::domain::{
    artifact::media_type,
    check::{Checks, pointer},
    settings,
};

/// Most arguments of a program, the program itself included.
const ARGUMENTS: usize = 64;
/// Most bytes of one of them.
const ARGUMENT_BYTES: usize = 4096;
/// Most characters of the name of a metric, and of a JSON Pointer into a result.
const NAME_CHARS: usize = 200;
const POINTER_CHARS: usize = 500;

/// One condition of success of a task or goal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CriterionSpec {
    /// The condition.
    pub text: String,
    /// Whether it must be met.
    pub required: bool,
    /// Whether it is met already.
    #[serde(skip_serializing_if = "is_default")]
    pub satisfied: bool,
    /// How it is satisfied.
    #[serde(skip_serializing_if = "is_text")]
    pub r#type: CriterionType,
    /// What belongs to the type.
    #[serde(flatten)]
    pub terms: Terms,
    /// The least tier of the evidence that satisfies it; `None`: as its type has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_tier: Option<EvidenceTier>,
}

fn yes() -> bool {
    true
}

fn is_text(of: &CriterionType) -> bool {
    *of == CriterionType::Text
}

impl CriterionSpec {
    /// The least tier of the evidence that satisfies it. `min_tier`: the default of its task.
    #[must_use]
    pub fn demanded(&self, min_tier: Option<EvidenceTier>) -> EvidenceTier {
        let own = self.r#type.tier();
        self.min_tier.or(min_tier).map_or(own, |tier| tier.max(own))
    }

    /// As it is stored in a task with this default of `min_tier`.
    #[must_use]
    pub fn stored(self, min_tier: Option<EvidenceTier>) -> Self {
        let demanded = self.demanded(min_tier);
        Self {
            required: self.required && !self.satisfied,
            min_tier: above(demanded, self.r#type),
            ..self
        }
    }

    /// What a stored `min_tier` says beyond the type.
    #[must_use]
    pub fn beyond(min_tier: EvidenceTier, of: CriterionType) -> Option<EvidenceTier> {
        above(min_tier, of)
    }
}

fn above(demanded: EvidenceTier, of: CriterionType) -> Option<EvidenceTier> {
    (demanded > of.tier()).then_some(demanded)
}

/// Checks the criteria of a task. `schemas`: those of the tasks of the same request before it.
pub fn check(checks: &mut Checks, schemas: &mut Schemas, at: &str, criteria: &[CriterionSpec]) {
    checks.count(at, criteria.len(), settings::TASK_CRITERIA);
    for (index, criterion) in criteria.iter().enumerate().take(settings::TASK_CRITERIA) {
        let at = pointer(at, index);
        checks.message(&pointer(&at, "text"), &criterion.text);
        check_terms(checks, &at, criterion);
    }
    let of_tasks = criteria.iter().enumerate().take(settings::TASK_CRITERIA);
    let placed = of_tasks.filter_map(|(index, criterion)| {
        let terms = criterion.terms.json_schema.as_ref()?;
        let at = pointer(&pointer(at, index), "json_schema");
        Some((pointer(&at, "schema"), &terms.schema))
    });
    schemas.check_task(checks, at, placed);
}

fn check_terms(checks: &mut Checks, at: &str, criterion: &CriterionSpec) {
    let CriterionSpec { r#type, terms, .. } = criterion;
    let Terms { json_schema, artifact, metric, command, review } = terms;
    let members = [
        (CriterionType::JsonSchema, json_schema.is_some(), true),
        (CriterionType::Artifact, artifact.is_some(), false),
        (CriterionType::Metric, metric.is_some(), true),
        (CriterionType::Command, command.is_some(), true),
        (CriterionType::Review, review.is_some(), false),
    ];
    for (of, given, needed) in members {
        let at = pointer(at, of.as_str());
        let detail = format!("is only for a criterion with `\"type\": \"{of}\"`");
        checks.ensure(!given || of == *r#type, &at, detail);
        let detail = format!("must be given with `\"type\": \"{of}\"`");
        checks.ensure(given || !needed || of != *r#type, &at, detail);
    }
    if let Some(terms) = json_schema {
        let at = pointer(at, "json_schema");
        let place = pointer(&at, "at");
        checks.chars(&place, &terms.at, POINTER_CHARS);
        let detail = "must be a JSON Pointer: empty, or beginning with `/`";
        checks.ensure(terms.at.is_empty() || terms.at.starts_with('/'), &place, detail);
    }
    if let Some(terms) = artifact {
        let at = pointer(at, "artifact");
        for (name, bytes) in [("min_bytes", terms.min_bytes), ("max_bytes", terms.max_bytes)] {
            let detail = "must not be negative";
            checks.ensure(bytes.is_none_or(|bytes| bytes >= 0), &pointer(&at, name), detail);
        }
        let empty = terms.min_bytes.zip(terms.max_bytes).is_some_and(|(least, most)| least > most);
        checks.ensure(!empty, &pointer(&at, "max_bytes"), "must not be less than `min_bytes`");
        if let Some(of) = &terms.media_type {
            let detail = "must be a media type in lower case, such as `text/plain` or `image/*`";
            checks.ensure(media_type::is_pattern(of), &pointer(&at, "media_type"), detail);
        }
    }
    if let Some(terms) = metric {
        let at = pointer(&pointer(at, "metric"), "name");
        checks.line(&at, &terms.name, NAME_CHARS);
    }
    if let Some(terms) = command {
        let at = pointer(&pointer(at, "command"), "program");
        checks.ensure(!terms.program.is_empty(), &at, "must name a program");
        checks.count(&at, terms.program.len(), ARGUMENTS);
        for (index, argument) in terms.program.iter().enumerate().take(ARGUMENTS) {
            checks.bytes(&pointer(&at, index), argument, ARGUMENT_BYTES);
        }
        let named = terms.program.first().is_none_or(|program| !program.trim().is_empty());
        checks.ensure(named, &pointer(&at, 0), "must name a program");
    }
    if let Some(terms) = review {
        let at = pointer(&pointer(at, "review"), "capabilities");
        checks.capabilities(&at, &terms.capabilities, settings::TASK_CAPABILITIES);
    }
}

/// One condition of success: an object, or its text alone.
#[derive(Debug, Clone, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct CriterionObject {
    /// The condition, as an agent can check it. At most 16 KiB.
    #[schema(example = "`cargo test` passes", min_length = 1)]
    text: String,
    /// Whether it must be met before the task or goal is done. Default true.
    #[serde(default = "yes")]
    required: bool,
    /// Whether it is already satisfied, such as a ticked box of the brief: nothing is needed for it. Default false.
    #[serde(default)]
    satisfied: bool,
    /// How it is satisfied. Default `text`. Criteria of goals, and of tasks that contain others, have no other type.
    #[serde(default)]
    r#type: CriterionType,
    /// Of the type `json_schema`, which needs it.
    #[serde(default)]
    #[schema(nullable = false)]
    json_schema: Option<super::SchemaTerms>,
    /// Of the type `artifact`. Left out: any artifact.
    #[serde(default)]
    #[schema(nullable = false)]
    artifact: Option<super::ArtifactTerms>,
    /// Of the type `metric`, which needs it.
    #[serde(default)]
    #[schema(nullable = false)]
    metric: Option<super::MetricTerms>,
    /// Of the type `command`, which needs it.
    #[serde(default)]
    #[schema(nullable = false)]
    command: Option<super::CommandTerms>,
    /// Of the type `review`. Left out: any other agent.
    #[serde(default)]
    #[schema(nullable = false)]
    review: Option<super::ReviewTerms>,
    /// The least tier of the evidence that satisfies it. Default: the `min_tier` of the task, but never less than the
    /// type gives. Beyond what the type gives, a review or the approval of a person comes on top.
    #[serde(default)]
    min_tier: Option<EvidenceTier>,
}

/// The two forms of a criterion.
#[derive(utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what `CriterionSpec` reads")]
enum CriterionForms {
    /// Its text; it is required, and any evidence satisfies it.
    Text(String),
    /// With its settings.
    Object(Box<CriterionObject>),
}

impl PartialSchema for CriterionSpec {
    fn schema() -> RefOr<Schema> {
        CriterionForms::schema()
    }
}

impl ToSchema for CriterionSpec {
    fn name() -> std::borrow::Cow<'static, str> {
        "CriterionSpec".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        CriterionForms::schemas(schemas);
    }
}

impl<'de> Deserialize<'de> for CriterionSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

/// Reads both forms, and names them to the author of anything else.
struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = CriterionSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or an object with `text`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<CriterionSpec, E> {
        Ok(CriterionSpec { text: text.to_owned(), required: true, ..CriterionSpec::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CriterionSpec, A::Error> {
        let object = CriterionObject::deserialize(MapAccessDeserializer::new(map))?;
        let CriterionObject {
            text,
            required,
            satisfied,
            r#type,
            json_schema,
            artifact,
            metric,
            command,
            review,
            min_tier,
        } = object;
        let terms = Terms { json_schema, artifact, metric, command, review };
        Ok(CriterionSpec { text, required, satisfied, r#type, terms, min_tier })
    }
}
