//! Uploads: bytes are hashed while they arrive, and become an artifact when they have the announced digest.
//!
//! 1. A row of `artifact_uploads` is committed before the first byte. It names the bytes for the [sweep], should
//!    this process be killed, and reserves them in the cap of the workspace.
//! 2. Bytes go to the store piece by piece. Nothing of them is in a transaction.
//! 3. The store keeps them, for which it may take as long again: the sweep is put off first. Only then one
//!    transaction takes the row away and writes the artifact.
//!
//! Whatever goes wrong on the way, the bytes and the row are removed. Bytes that are there already are hashed all
//! the same and stored nowhere: the answer says what is true of the bytes that were sent.
//!
//! [sweep]: super::sweep

use std::{io, time::Duration};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio_util::bytes::Bytes;

use super::{store::Incoming, unavailable, views::Artifact};
use crate::{
    app::{
        App, Error, Result, Unit,
        caller::{Caller as _, Principal, UploadCaller},
        caps, workspace,
    },
    domain::{
        artifact::{
            StoredName, counted, digest::ArtifactDigest, media_type, sweep_from, upload_within,
        },
        cap::workspace::Holding,
        ids::{AttemptId, UploadId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
    },
    store::{
        self,
        artifacts::{NewArtifact, NewUpload},
    },
};

const UPLOADED: &str = "muster_artifact_uploaded_bytes_total";
const ENDED: &str = "muster_artifact_uploads_total";

/// What is announced of an upload.
#[derive(Debug, Clone)]
pub struct Announced {
    /// The digest.
    pub digest: ArtifactDigest,
    /// Number of bytes, if it is known.
    pub size: Option<u64>,
    /// Media type, in lower case and without parameters.
    pub media_type: String,
    /// The attempt during which an agent uploads it.
    pub attempt: Option<AttemptId>,
}

/// An upload that runs. Dropped, it leaves nothing behind.
pub struct Upload {
    app: App,
    principal: Principal,
    announced: Announced,
    name: StoredName,
    largest: u64,
    hasher: Sha256,
    size: u64,
    /// Whether the bytes are there already: they are hashed and stored nowhere.
    known: bool,
    incoming: Option<Box<dyn Incoming>>,
    /// Whether nothing of it is left to be removed.
    over: bool,
}

/// The artifact of an upload.
#[derive(Debug, Clone)]
pub struct Uploaded {
    /// The artifact.
    pub artifact: Artifact,
    /// Whether it is new.
    pub created: bool,
}

impl App {
    /// Begins an upload.
    ///
    /// # Errors
    /// `wrong_state` if the service stores no artifacts; `body_too_large`, `unsupported_media_type`,
    /// `workspace_full`; `not_your_attempt` if the named attempt is not a running one of the agent; `unavailable`.
    pub async fn begin_upload(
        &self,
        caller: &UploadCaller,
        announced: Announced,
    ) -> Result<Upload> {
        let artifacts = self.artifacts()?.clone();
        let principal = caller.principal().clone();
        if announced.size.is_some_and(|size| size > artifacts.largest) {
            return Err(too_large(artifacts.largest).into());
        }
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let settings = workspace::read(unit.tx()).await?;
        media_type::admit(settings.artifact_media_types.as_deref(), &announced.media_type)?;
        own_attempt(&mut unit, &principal, announced.attempt).await?;
        let known = store::artifacts::read(unit.tx(), announced.digest).await?.is_some();
        let upload: UploadId = unit.id();
        let name = StoredName { workspace: principal.workspace, digest: announced.digest, upload };
        if !known {
            // Without a length it may be as large as any.
            let most = announced.size.unwrap_or(artifacts.largest);
            let new = NewUpload {
                upload,
                digest: announced.digest,
                reserved: admit(&mut unit, most).await?,
                sweep_from: sweep_from(unit.now(), most),
            };
            store::artifacts::begin_upload(unit.tx(), &new).await?;
        }
        self.commit(unit).await?;
        let mut begun = Upload {
            app: self.clone(),
            principal,
            announced,
            name,
            largest: artifacts.largest,
            hasher: Sha256::new(),
            size: 0,
            known,
            incoming: None,
            over: known,
        };
        if !known {
            match artifacts.store.begin(name).await {
                Ok(incoming) => begun.incoming = Some(incoming),
                Err(error) => return Err(begun.failed(unavailable(error)).await),
            }
        }
        Ok(begun)
    }
}

/// Refuses an attempt that is not a running one of the agent of the key.
async fn own_attempt(
    unit: &mut Unit,
    principal: &Principal,
    attempt: Option<AttemptId>,
) -> Result<()> {
    let Some(attempt) = attempt else { return Ok(()) };
    if let Some(agent) = principal.agent
        && store::artifacts::runs(unit.tx(), agent, attempt).await?
    {
        return Ok(());
    }
    let detail =
        "`attempt_id` names a running attempt of the agent that uploads; leave it out otherwise";
    Err(Refusal::new(Code::NotYourAttempt, detail).into())
}

fn too_large(largest: u64) -> Refusal {
    let detail = format!("an artifact has {largest} bytes at most in this service");
    Refusal::new(Code::BodyTooLarge, detail)
}

fn swept() -> Error {
    let why = "the upload took so long that its bytes were swept";
    Refusal::new(Code::BodyTooSlow, why).into()
}

/// Admits bytes, and returns what they count. The total is locked until the transaction ends, so no two uploads pass
/// the cap together.
async fn admit(unit: &mut Unit, size: u64) -> Result<i64> {
    let counts = counted(i64::try_from(size).unwrap_or(i64::MAX));
    store::artifacts::lock_total(unit.tx()).await?;
    let more = usize::try_from(counts).unwrap_or(usize::MAX);
    caps::admit(unit, Holding::ArtifactBytes, more).await?;
    Ok(counts)
}

impl Upload {
    /// The longest time until its end.
    #[must_use]
    pub fn within(&self) -> Duration {
        upload_within(self.announced.size.unwrap_or(self.largest))
    }

    /// Whether the bytes are there already, so that they need not be sent.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `body_too_large`, `unavailable`. The caller abandons the upload then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let size = self.size.saturating_add(bytes.len() as u64);
        if size > self.largest {
            return Err(too_large(self.largest).into());
        }
        self.size = size;
        self.hasher.update(&bytes);
        metrics::counter!(UPLOADED).increment(bytes.len() as u64);
        match &mut self.incoming {
            Some(incoming) => incoming.write(bytes).await.map_err(unavailable),
            None => Ok(()),
        }
    }

    /// Ends the upload: its bytes become an artifact.
    ///
    /// # Errors
    /// `digest_mismatch`, `workspace_full`, `unavailable`; nothing is stored then.
    pub async fn finish(mut self) -> Result<Uploaded> {
        let actual = ArtifactDigest(self.hasher.clone().finalize().into());
        let announced = self.announced.digest;
        if actual != announced {
            let detail = format!(
                "the {} bytes have the digest {actual}, and not {announced} as the path says",
                self.size
            );
            let refused = Refusal::new(Code::DigestMismatch, detail);
            return Err(self.failed(refused.into()).await);
        }
        let Some(incoming) = self.incoming.take() else {
            count("known");
            return self.known().await;
        };
        if let Err(error) = self.keep(incoming).await {
            return Err(self.failed(error).await);
        }
        match self.store_row().await {
            Ok(Some(artifact)) => {
                self.over = true;
                count("stored");
                Ok(Uploaded { artifact, created: true })
            }
            // Somebody else has stored the same bytes meanwhile.
            Ok(None) => {
                count("known");
                self.clean().await;
                self.known().await
            }
            // If a commit was not answered and took place, the row of the upload is gone: then nothing is removed.
            Err(error) => Err(self.failed(error).await),
        }
    }

    /// Ends the upload without an artifact, and leaves nothing.
    pub async fn abandon(mut self) {
        count("broken");
        self.clean().await;
    }

    /// The artifact that has the bytes, although only their digest was sent.
    ///
    /// # Errors
    /// `unavailable` if it was deleted meanwhile.
    pub async fn unsent(self) -> Result<Uploaded> {
        count("known");
        self.known().await
    }

    async fn failed(mut self, error: Error) -> Error {
        count("refused");
        self.clean().await;
        error
    }

    async fn clean(&mut self) {
        self.incoming = None;
        if !std::mem::replace(&mut self.over, true) {
            self.app.remove_bytes(&[self.name]).await;
        }
    }

    /// The artifact that has the bytes already, uploaded again.
    async fn known(&self) -> Result<Uploaded> {
        let mut unit = self.app.begin(self.principal.workspace, self.principal.actor()).await?;
        let row = store::artifacts::touch(unit.tx(), self.announced.digest).await?;
        let Some(row) = row else {
            let why = "the artifact was deleted while its bytes were uploaded again";
            return Err(Error::Unavailable(why.to_owned()));
        };
        let retention = workspace::read(unit.tx()).await?.artifact_retention_days;
        self.app.commit(unit).await?;
        Ok(Uploaded { artifact: Artifact::of(row, retention), created: false })
    }

    /// Has the store keep the bytes, and the sweep wait for that.
    async fn keep(&self, incoming: Box<dyn Incoming>) -> Result<()> {
        let mut tx = self.app.transaction(self.principal.workspace).await?;
        let until = sweep_from(tx.now, self.size);
        let is_noted = store::artifacts::prolong(&mut tx, self.name.upload, until).await?;
        tx.commit().await?;
        if !is_noted {
            return Err(swept());
        }
        let kept = tokio::time::timeout(upload_within(self.size), incoming.keep()).await;
        kept.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unavailable)
    }

    /// Notes bytes again that the store kept after they were swept, so that they are removed as all others are: now, or
    /// by the sweep if the store does not answer.
    async fn note_again(&self) -> Result<()> {
        let mut tx = self.app.transaction(self.principal.workspace).await?;
        let new = NewUpload {
            upload: self.name.upload,
            digest: self.announced.digest,
            reserved: counted(i64::try_from(self.size).unwrap_or(i64::MAX)),
            sweep_from: tx.now,
        };
        store::artifacts::begin_upload(&mut tx, &new).await?;
        Ok(tx.commit().await?)
    }

    /// Writes the artifact of kept bytes. `None` if there is one with this digest.
    async fn store_row(&self) -> Result<Option<Artifact>> {
        let mut unit = self.app.begin(self.principal.workspace, self.principal.actor()).await?;
        let new = NewArtifact {
            digest: self.announced.digest,
            upload: self.name.upload,
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            media_type: &self.announced.media_type,
            created_by: self.principal.key,
            attempt: self.announced.attempt,
        };
        if !store::artifacts::end_upload(unit.tx(), self.name.upload).await? {
            self.app.undo(unit).await?;
            self.note_again().await?;
            return Err(swept());
        }
        let Some(row) = store::artifacts::insert(unit.tx(), &new).await? else {
            self.app.undo(unit).await?;
            return Ok(None);
        };
        // What it reserved is free again, and it is no larger than that. The total comes last: who has its lock waits
        // for no upload.
        let counts = admit(&mut unit, self.size).await?;
        store::artifacts::add_to_total(unit.tx(), counts).await?;
        let retention = workspace::read(unit.tx()).await?.artifact_retention_days;
        let data = json!({"digest": row.sha256, "size": row.size, "media_type": row.media_type});
        let journal = NewRow::new(Kind::ArtifactUploaded).attempt(row.attempt_id);
        unit.record(journal.agent(self.principal.agent).data(data));
        self.app.commit(unit).await?;
        Ok(Some(Artifact::of(row, retention)))
    }
}

impl Drop for Upload {
    /// A request whose sender went away is dropped where it waits.
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.incoming = None;
        let (app, name) = (self.app.clone(), self.name);
        // Without a runtime the process ends, and the sweep of another one removes the bytes.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            count("broken");
            runtime.spawn(async move { app.remove_bytes(&[name]).await });
        }
    }
}

fn count(outcome: &'static str) {
    metrics::counter!(ENDED, "outcome" => outcome).increment(1);
}

/// Registers the descriptions of these metrics, which `/metrics` shows.
pub(super) fn describe_metrics() {
    metrics::describe_counter!(UPLOADED, "Bytes of artifacts that arrived, of broken uploads too.");
    metrics::describe_counter!(
        ENDED,
        "Ended uploads, by `outcome`: `stored`, `known` (the bytes were there), `refused` or `broken`."
    );
}
