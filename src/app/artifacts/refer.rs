//! References of results and evidence to artifacts.
//!
//! A reference is written in the transaction of the completion, after the artifact was found and locked against
//! deletion. An unknown digest is refused with its place, so nothing rests on bytes that were never there.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    app::{Result, Unit},
    domain::{
        artifact::digest::ArtifactDigest,
        criterion::evidence::Artifacts,
        ids::{AttemptId, GoalId},
    },
    store::{self, artifacts::NewReference},
};

/// What one attempt refers to.
#[derive(Debug, Clone)]
pub(in crate::app) struct References {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its goal.
    pub goal: GoalId,
    /// The artifacts of its result.
    pub in_result: Vec<ArtifactDigest>,
    /// The artifacts of its evidence.
    pub in_evidence: Vec<ArtifactDigest>,
}

/// Of these digests, the artifacts that the workspace has. They stay until the unit ends. Reads nothing without digests.
pub(in crate::app) async fn known(
    unit: &mut Unit,
    digests: impl IntoIterator<Item = ArtifactDigest>,
) -> Result<Artifacts> {
    let digests: BTreeSet<ArtifactDigest> = digests.into_iter().collect();
    if digests.is_empty() {
        return Ok(Artifacts::new());
    }
    let digests: Vec<ArtifactDigest> = digests.into_iter().collect();
    let known = store::artifacts::share(unit.tx(), &digests).await?;
    Ok(known.into_iter().map(|artifact| (artifact.digest, artifact)).collect())
}

/// Writes what ended attempts refer to. Writes nothing without references.
pub(in crate::app) async fn write(unit: &mut Unit, references: &[References]) -> Result<()> {
    let mut rows = Vec::new();
    for of in references {
        let evidence = of.in_evidence.iter().map(|digest| (*digest, false));
        let mut digests: BTreeMap<ArtifactDigest, bool> = evidence.collect();
        digests.extend(of.in_result.iter().map(|digest| (*digest, true)));
        rows.extend(digests.into_iter().map(|(digest, in_result)| NewReference {
            attempt: of.attempt,
            goal: of.goal,
            digest,
            in_result,
        }));
    }
    if rows.is_empty() {
        return Ok(());
    }
    store::artifacts::refer(unit.tx(), &rows).await?;
    Ok(())
}
