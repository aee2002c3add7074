//! Evidence that an attempt gives with its result: what is refused, and the tier of the rest.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Criterion, CriterionType, EvidenceTier,
    decimal::Decimal,
    schema::{self, Work},
};
use crate::domain::{
    artifact::{ArtifactRef, digest::ArtifactDigest},
    check::{Checks, pointer},
};

/// One piece of evidence, as it is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Piece {
    /// Number of the criterion that it is about.
    pub criterion: Option<i16>,
    /// Whether it says that the criterion is met.
    pub met: bool,
    /// The artifact that it names.
    pub artifact: Option<ArtifactDigest>,
    /// The number that it gives.
    pub value: Option<Decimal>,
    /// The exit code that it gives.
    pub exit_code: Option<i32>,
}

/// Stored artifacts by digest.
pub type Artifacts = BTreeMap<ArtifactDigest, ArtifactRef>;

/// Whether a piece says that its criterion is met. An exit code says so by itself.
#[must_use]
pub fn says_met(piece: &Piece, criterion: Option<&Criterion>) -> bool {
    let wanted = criterion.and_then(|criterion| criterion.terms.command.as_ref());
    let exited = wanted
        .is_none_or(|wanted| piece.exit_code.is_none_or(|exit_code| exit_code == wanted.exit_code));
    piece.met && exited
}

/// The tier of a piece that an attempt gives for its own result, whatever it is about.
#[must_use]
pub fn tier(piece: &Piece, criterion: Option<&Criterion>, artifacts: &Artifacts) -> EvidenceTier {
    let Some(artifact) = piece.artifact.and_then(|digest| artifacts.get(&digest)) else {
        return EvidenceTier::Claimed;
    };
    match criterion {
        Some(criterion)
            if criterion.r#type == CriterionType::Artifact
                && misfit(criterion, artifact).is_none() =>
        {
            EvidenceTier::MachineChecked
        }
        Some(_) | None => EvidenceTier::Attached,
    }
}

/// Why an artifact does not fit an `artifact` criterion.
fn misfit(criterion: &Criterion, artifact: &ArtifactRef) -> Option<String> {
    let terms = criterion.terms.artifact.clone().unwrap_or_default();
    let number = criterion.number;
    if let Some(wanted) = terms.digest.filter(|wanted| *wanted != artifact.digest) {
        return Some(format!("criterion {number} is about {wanted}, and this is another artifact"));
    }
    let size = artifact.size;
    if terms.min_bytes.is_some_and(|least| size < least)
        || terms.max_bytes.is_some_and(|most| size > most)
    {
        let least = terms.min_bytes.unwrap_or_default();
        let most = terms.max_bytes.map_or("any number of".to_owned(), |most| most.to_string());
        return Some(format!("has {size} bytes; criterion {number} wants {least} to {most} bytes"));
    }
    let wanted = terms.media_type?;
    let fits = match wanted.strip_suffix('*') {
        Some(kind) => artifact.media_type.starts_with(kind),
        None => artifact.media_type == wanted,
    };
    let detail = format!("is `{}`; criterion {number} wants `{wanted}`", artifact.media_type);
    (!fits).then_some(detail)
}

/// Refuses a piece that does not satisfy the criterion that it names. `at`: its place.
pub fn check(
    checks: &mut Checks,
    at: &str,
    piece: &Piece,
    criterion: Option<&Criterion>,
    artifacts: &Artifacts,
) {
    let of = criterion.map(|criterion| criterion.r#type);
    let metric = of == Some(CriterionType::Metric);
    let detail = "is only for a criterion of the type `metric`";
    checks.ensure(metric || piece.value.is_none(), &pointer(at, "value"), detail);
    let runs = criterion
        .is_some_and(|criterion| criterion.reports && criterion.r#type == CriterionType::Command);
    let detail = "is only for the check of a `command` criterion: another agent runs its program";
    checks.ensure(runs || piece.exit_code.is_none(), &pointer(at, "exit_code"), detail);
    let Some(criterion) = criterion else { return };
    match criterion.r#type {
        CriterionType::Metric => check_number(checks, &pointer(at, "value"), piece, criterion),
        CriterionType::Artifact => {
            let at = pointer(at, "artifact");
            match piece.artifact.map(|digest| artifacts.get(&digest)) {
                None => checks.add(&at, "must name the artifact that the criterion is about"),
                // Refused elsewhere: there is no such artifact.
                Some(None) => {}
                Some(Some(artifact)) => {
                    if let Some(detail) = misfit(criterion, artifact) {
                        checks.add(&at, detail);
                    }
                }
            }
        }
        CriterionType::Command if criterion.reports => {
            let detail = "must be the exit code of the program";
            checks.ensure(piece.exit_code.is_some(), &pointer(at, "exit_code"), detail);
        }
        CriterionType::Command
        | CriterionType::Text
        | CriterionType::JsonSchema
        | CriterionType::Review
        | CriterionType::Person => {}
    }
}

fn check_number(checks: &mut Checks, at: &str, piece: &Piece, criterion: &Criterion) {
    let Some(wanted) = &criterion.terms.metric else { return };
    let Some(value) = piece.value else {
        return checks.add(at, format!("must be the number of `{}`", wanted.name));
    };
    let holds = wanted.comparison.holds(value, wanted.value);
    let comparison = wanted.comparison.as_str().replace('_', " ");
    let detail = format!("is {value}; `{}` must be {comparison} {}", wanted.name, wanted.value);
    checks.ensure(holds, at, detail);
}

/// What a result lacks by the schema of a `json_schema` criterion: places in the request, and why.
#[must_use]
pub fn schema_faults(
    criterion: &Criterion,
    result: Option<&Value>,
    work: &mut Work,
) -> Vec<(String, String)> {
    let Some(terms) = &criterion.terms.json_schema else { return Vec::new() };
    let at = format!("/result{}", terms.at);
    let value = result.and_then(|result| result.pointer(&terms.at));
    schema::faults(&at, &terms.schema, value, work)
}

/// Whether an attempt must give evidence for a criterion itself, and does not.
#[must_use]
pub fn lacks(criterion: &Criterion, pieces: &[(Piece, EvidenceTier)]) -> bool {
    if !criterion.required {
        return false;
    }
    let least = match criterion.r#type {
        CriterionType::Text | CriterionType::Metric
            if criterion.min_tier == EvidenceTier::Attached =>
        {
            EvidenceTier::Attached
        }
        CriterionType::Text | CriterionType::Metric | CriterionType::Artifact => {
            EvidenceTier::Claimed
        }
        CriterionType::Command if criterion.reports => EvidenceTier::Claimed,
        // From the server, from others, or from a person.
        CriterionType::JsonSchema
        | CriterionType::Command
        | CriterionType::Review
        | CriterionType::Person => return false,
    };
    !pieces.iter().any(|(piece, tier)| piece.criterion == Some(criterion.number) && *tier >= least)
}
