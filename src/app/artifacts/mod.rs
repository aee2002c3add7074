//! Artifacts: files that results and evidence refer to by the SHA-256 of their bytes.
//!
//! The bytes are in a [`store`], never in the database and never as a whole in memory. A row is written after its
//! bytes are safe, and is there before anything refers to it.
//!
//! Decisions:
//! - Bytes belong to a workspace. Another workspace with the same bytes stores them again: so a digest says
//!   nothing of what others have, and every deletion is of one's own bytes alone.
//! - Agents, submitters and operators upload. An agent needs no running attempt: what it measured may be
//!   uploaded before it claims the task of the report. It may name its attempt.
//! - Everybody in the workspace who knows a digest reads the bytes; who knows it was told, by a result or the
//!   list. A key for single projects does neither, because an artifact belongs to no project.
//! - Operators delete an artifact, unless an open goal refers to it: evidence must not lose what it rests on.
//! - Retention deletes what no open goal refers to. The same bytes uploaded again count as new.
//! - An artifact is as long in a workspace as its row. What else is in the store belongs to the uploads that run,
//!   and to those that [`sweep`] removes.

pub mod refer;
pub mod store;
mod sweep;
pub mod upload;
pub mod views;

use std::{io, sync::Arc};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio_util::bytes::Bytes;

use super::{
    App, Error, Result,
    caller::{ArtifactReaderCaller, Caller as _, OperatorCaller, ReaderCaller},
    workspace,
};
use crate::{
    domain::{
        artifact::{StoredName, digest::ArtifactDigest},
        ids::{UploadId, WorkspaceId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
    },
    store::{self as database, artifacts::ArtifactRow},
};
use store::{ArtifactStore, Chunks};
use views::Artifact;

const DOWNLOADED: &str = "muster_artifact_downloaded_bytes_total";

/// The store of a service, and the largest artifact that it takes.
#[derive(Debug, Clone)]
pub struct Artifacts {
    /// The bytes.
    pub store: Arc<dyn ArtifactStore>,
    /// Most bytes of one artifact.
    pub largest: u64,
}

/// An artifact that may be read.
#[derive(Debug, Clone)]
pub struct Found {
    /// What is known of it.
    pub artifact: Artifact,
    name: StoredName,
}

impl App {
    /// The same app with a store of artifacts.
    #[must_use]
    pub fn with_artifacts(self, artifacts: Artifacts) -> Self {
        Self { artifacts: Some(artifacts), ..self }
    }

    /// The store of artifacts.
    ///
    /// # Errors
    /// `wrong_state` if the service has none.
    pub(in crate::app) fn artifacts(&self) -> Result<&Artifacts> {
        self.artifacts.as_ref().ok_or_else(|| {
            let detail = "this service stores no artifacts: its operator sets MUSTER_ARTIFACTS_DIR or \
                          MUSTER_ARTIFACTS_URL";
            Refusal::new(Code::WrongState, detail).into()
        })
    }

    /// Finds an artifact to be read.
    ///
    /// # Errors
    /// `not_found`, `wrong_state`.
    pub async fn find_artifact(
        &self,
        caller: &ArtifactReaderCaller,
        digest: ArtifactDigest,
    ) -> Result<Found> {
        self.artifacts()?;
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let row = database::artifacts::read(&mut tx, digest).await?;
        let row = row.ok_or_else(|| Refusal::not_found("artifact"))?;
        let retention = workspace::read(&mut tx).await?.artifact_retention_days;
        let name = StoredName { workspace, digest, upload: row.upload_id };
        Ok(Found { artifact: Artifact::of(row, retention), name })
    }

    /// The bytes of an artifact from `first` on, `length` of them. If they are all, they are held to the digest:
    /// bytes that were changed in the store break off before their end.
    ///
    /// # Errors
    /// `unavailable` if the store does not have them.
    pub async fn read_artifact(&self, found: &Found, first: u64, length: u64) -> Result<Chunks> {
        let store = Arc::clone(&self.artifacts()?.store);
        let chunks = store.read(found.name, first, length).await.map_err(unavailable)?;
        let chunks = chunks.inspect_ok(|bytes| {
            metrics::counter!(DOWNLOADED).increment(bytes.len() as u64);
        });
        if first == 0 && i64::try_from(length).is_ok_and(|length| length == found.artifact.size) {
            return Ok(verified(chunks, found.artifact.digest).boxed());
        }
        Ok(chunks.boxed())
    }

    /// Up to `rows` artifacts after `after`, newest first.
    pub async fn list_artifacts(
        &self,
        caller: &ReaderCaller,
        after: Option<UploadId>,
        rows: u32,
    ) -> Result<Vec<Artifact>> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let retention = workspace::read(&mut tx).await?.artifact_retention_days;
        let rows = database::artifacts::list(&mut tx, after, rows.into()).await?;
        Ok(rows.into_iter().map(|row| Artifact::of(row, retention)).collect())
    }

    /// Deletes an artifact, and its bytes from the store.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` if an open goal refers to it, or the service has no store.
    pub async fn delete_artifact(
        &self,
        caller: &OperatorCaller,
        digest: ArtifactDigest,
    ) -> Result<()> {
        self.artifacts()?;
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let locked = database::artifacts::lock(unit.tx(), &[digest]).await?;
        let row = locked.into_iter().next().ok_or_else(|| Refusal::not_found("artifact"))?;
        if let Some(goal) = database::artifacts::open_goal(unit.tx(), digest).await? {
            let detail =
                format!("the goal {goal} is open and refers to the artifact; end it first");
            return Err(Refusal::new(Code::WrongState, detail).into());
        }
        let name = StoredName { workspace: principal.workspace, digest, upload: row.upload_id };
        delete(&mut unit, row).await?;
        self.commit(unit).await?;
        self.remove_bytes(&[name]).await;
        Ok(())
    }

    /// Removes bytes that no artifact has, as far as the store answers: the rest is left to the duty.
    pub(in crate::app) async fn remove_bytes(&self, names: &[StoredName]) {
        if let Err(error) = self.sweep(names).await {
            tracing::warn!(%error, "bytes of artifacts are left in their store; they are swept later");
        }
    }
}

/// Deletes a locked artifact that no open goal refers to. Its bytes are left for the sweep.
async fn delete(unit: &mut super::Unit, row: ArtifactRow) -> Result<()> {
    database::artifacts::delete(unit.tx(), &row).await?;
    let data = json!({"digest": row.sha256, "size": row.size, "media_type": row.media_type});
    unit.record(NewRow::new(Kind::ArtifactDeleted).attempt(row.attempt_id).data(data));
    Ok(())
}

/// A failure of the store. The same request may succeed later.
fn unavailable(error: io::Error) -> Error {
    Error::Unavailable(format!("the store of artifacts: {error}"))
}

/// The same bytes, held to their digest: the last piece comes only if it fits.
fn verified(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    digest: ArtifactDigest,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let start = (chunks, Sha256::new(), None::<Bytes>, false);
    stream::try_unfold(start, move |(mut chunks, mut hasher, mut held, done)| async move {
        if done {
            return Ok(None);
        }
        loop {
            let next = chunks.try_next().await?;
            if let Some(bytes) = &next {
                hasher.update(bytes);
            }
            match (held.take(), next) {
                (Some(piece), Some(next)) => {
                    return Ok(Some((piece, (chunks, hasher, Some(next), false))));
                }
                (None, Some(next)) => held = Some(next),
                (last, None) => {
                    let fits = <[u8; 32]>::from(hasher.clone().finalize()) == digest.0;
                    if !fits {
                        tracing::error!(%digest, "the bytes of an artifact were changed in its store");
                        return Err(io::Error::other("the stored bytes do not have their digest"));
                    }
                    return Ok(last.map(|last| (last, (chunks, hasher, None, true))));
                }
            }
        }
    })
}

impl App {
    /// The names of bytes in a workspace.
    pub(in crate::app) fn stored_names(
        workspace: WorkspaceId,
        uploads: &[(UploadId, ArtifactDigest)],
    ) -> Vec<StoredName> {
        let name = |(upload, digest): &(UploadId, ArtifactDigest)| StoredName {
            workspace,
            digest: *digest,
            upload: *upload,
        };
        uploads.iter().map(name).collect()
    }
}

/// Registers the descriptions of these metrics, which `/metrics` shows.
pub fn describe_metrics() {
    upload::describe_metrics();
    sweep::describe_metrics();
    metrics::describe_counter!(DOWNLOADED, "Bytes of artifacts that were read.");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pieces: &[&'static str]) -> Chunks {
        let pieces: Vec<io::Result<Bytes>> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        stream::iter(pieces).boxed()
    }

    #[tokio::test]
    async fn changed_bytes_break_off_before_their_end() {
        let digest = ArtifactDigest(Sha256::digest(b"abc").into());
        for good in [&["abc"][..], &["a", "b", "c"]] {
            let read: Vec<Bytes> = verified(pieces(good), digest).try_collect().await.unwrap();
            assert_eq!(read.concat(), b"abc");
        }
        let mut sent = Vec::new();
        let mut chunks = Box::pin(verified(pieces(&["a", "b", "d"]), digest));
        let broken = loop {
            match chunks.try_next().await {
                Ok(Some(piece)) => sent.extend(piece),
                Ok(None) => panic!("the end of other bytes"),
                Err(error) => break error,
            }
        };
        assert_eq!((sent.as_slice(), broken.kind()), (&b"ab"[..], io::ErrorKind::Other));
        let nothing = ArtifactDigest(Sha256::digest(b"").into());
        let read: Vec<Bytes> = verified(pieces(&[]), nothing).try_collect().await.unwrap();
        assert!(read.is_empty());
    }
}
