//! Artifacts, the uploads whose bytes no artifact has, and the references to artifacts.

use chrono::{DateTime, Utc};

use super::{
    Tx,
    columns::{digests, uuids},
    traced,
};
use crate::domain::{
    artifact::{ArtifactRef, counted, digest::ArtifactDigest},
    ids::{AgentId, AttemptId, GoalId, KeyId, UploadId},
};

/// An artifact.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct ArtifactRow {
    pub sha256: ArtifactDigest,
    pub upload_id: UploadId,
    pub size: i64,
    pub media_type: String,
    pub created_by: KeyId,
    pub attempt_id: Option<AttemptId>,
    pub created_at: DateTime<Utc>,
    pub uploaded_at: DateTime<Utc>,
}

/// Statements that return artifacts: what stands before the columns, and after them.
macro_rules! artifacts {
    ($before:literal, $after:literal, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            ArtifactRow,
            $before
                + r#" sha256 as "sha256: ArtifactDigest", upload_id as "upload_id: UploadId", size,
                      media_type, created_by as "created_by: KeyId",
                      from_attempt_id as "attempt_id: AttemptId", created_at, uploaded_at "#
                + $after,
            $($argument),+
        )
    };
}

/// Reads an artifact.
pub async fn read(tx: &mut Tx, digest: ArtifactDigest) -> sqlx::Result<Option<ArtifactRow>> {
    artifacts!(
        "select",
        "from artifacts where workspace_id = $1 and sha256 = $2",
        tx.workspace.0,
        &digest.0[..],
    )
    .fetch_optional(traced!(tx, "artifacts.read"))
    .await
}

/// Up to `rows` artifacts after `after`, newest first.
pub async fn list(
    tx: &mut Tx,
    after: Option<UploadId>,
    rows: i64,
) -> sqlx::Result<Vec<ArtifactRow>> {
    artifacts!(
        "select",
        "from artifacts
         where workspace_id = $1 and upload_id < $2
         order by upload_id desc
         limit $3",
        tx.workspace.0,
        after.map_or(uuid::Uuid::max(), |id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "artifacts.list"))
    .await
}

/// Locks artifacts to delete them, in the order of their digests.
pub async fn lock(tx: &mut Tx, of: &[ArtifactDigest]) -> sqlx::Result<Vec<ArtifactRow>> {
    artifacts!(
        "select",
        "from artifacts
         where workspace_id = $1 and sha256 = any($2)
         order by sha256
         for update",
        tx.workspace.0,
        &digests(of),
    )
    .fetch_all(traced!(tx, "artifacts.lock"))
    .await
}

/// The artifacts with these digests, which stay until the transaction ends. Locks in the order of the digests.
pub async fn share(tx: &mut Tx, of: &[ArtifactDigest]) -> sqlx::Result<Vec<ArtifactRef>> {
    sqlx::query_as!(
        ArtifactRef,
        r#"select sha256 as "digest: ArtifactDigest", size, media_type from artifacts
           where workspace_id = $1 and sha256 = any($2)
           order by sha256
           for key share"#,
        tx.workspace.0,
        &digests(of),
    )
    .fetch_all(traced!(tx, "artifacts.share"))
    .await
}

/// Notes that the bytes of an artifact were uploaded again. `None` if there is no such artifact.
pub async fn touch(tx: &mut Tx, digest: ArtifactDigest) -> sqlx::Result<Option<ArtifactRow>> {
    artifacts!(
        "update artifacts set uploaded_at = greatest(uploaded_at, $3)
         where workspace_id = $1 and sha256 = $2
         returning",
        "",
        tx.workspace.0,
        &digest.0[..],
        tx.now,
    )
    .fetch_optional(traced!(tx, "artifacts.touch"))
    .await
}

/// An artifact to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewArtifact<'a> {
    /// SHA-256 of its bytes.
    pub digest: ArtifactDigest,
    /// The upload that stored them.
    pub upload: UploadId,
    /// Number of bytes.
    pub size: i64,
    /// Media type.
    pub media_type: &'a str,
    /// The key that uploaded it.
    pub created_by: KeyId,
    /// The attempt during which it was uploaded.
    pub attempt: Option<AttemptId>,
}

/// Stores an artifact, whose bytes are kept. `None` if there is one with its digest.
pub async fn insert(tx: &mut Tx, new: &NewArtifact<'_>) -> sqlx::Result<Option<ArtifactRow>> {
    artifacts!(
        "insert into artifacts (workspace_id, sha256, upload_id, size, media_type, created_by,
                                from_attempt_id, created_at, uploaded_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
         on conflict (workspace_id, sha256) do nothing
         returning",
        "",
        tx.workspace.0,
        &new.digest.0[..],
        new.upload.0,
        new.size,
        new.media_type,
        new.created_by.0,
        new.attempt.map(|id| id.0),
        tx.now,
    )
    .fetch_optional(traced!(tx, "artifacts.insert"))
    .await
}

/// Locks the total of the workspace: what is admitted under this lock is admitted one after the other.
pub async fn lock_total(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into artifact_totals (workspace_id, bytes) values ($1, 0) on conflict do nothing",
        tx.workspace.0,
    )
    .execute(traced!(tx, "artifacts.lock_total"))
    .await?;
    sqlx::query_scalar!(
        "select bytes from artifact_totals where workspace_id = $1 for no key update",
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "artifacts.lock_total"))
    .await?;
    Ok(())
}

/// Adds to the total of the workspace, which has a row.
pub async fn add_to_total(tx: &mut Tx, bytes: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update artifact_totals set bytes = bytes + $2 where workspace_id = $1",
        tx.workspace.0,
        bytes,
    )
    .execute(traced!(tx, "artifacts.add_to_total"))
    .await?;
    Ok(())
}

/// Deletes a locked artifact with the references of ended goals to it, and leaves its bytes for the sweep. They are
/// reserved until then.
pub async fn delete(tx: &mut Tx, row: &ArtifactRow) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from artifact_refs where workspace_id = $1 and sha256 = $2",
        tx.workspace.0,
        &row.sha256.0[..],
    )
    .execute(traced!(tx, "artifacts.delete_refs"))
    .await?;
    sqlx::query!(
        "delete from artifacts where workspace_id = $1 and sha256 = $2",
        tx.workspace.0,
        &row.sha256.0[..],
    )
    .execute(traced!(tx, "artifacts.delete"))
    .await?;
    let reserved = counted(row.size);
    add_to_total(tx, -reserved).await?;
    let (upload, digest, sweep_from) = (row.upload_id, row.sha256, tx.now);
    begin_upload(tx, &NewUpload { upload, digest, reserved, sweep_from }).await
}

/// Artifacts that were last uploaded before `before` and that no open goal refers to, oldest first. A hint: judge
/// again under locks.
pub async fn due(
    tx: &mut Tx,
    before: DateTime<Utc>,
    rows: i64,
) -> sqlx::Result<Vec<ArtifactDigest>> {
    sqlx::query_scalar!(
        r#"select a.sha256 as "sha256: ArtifactDigest" from artifacts a
           where a.workspace_id = $1 and a.uploaded_at < $2
             and not exists (select from artifact_refs r
                             join goals g on g.workspace_id = $1 and g.goal_id = r.goal_id
                             where r.workspace_id = $1 and r.sha256 = a.sha256 and g.ended_at is null)
           order by a.uploaded_at
           limit $3"#,
        tx.workspace.0,
        before,
        rows,
    )
    .fetch_all(traced!(tx, "artifacts.due"))
    .await
}

/// Of these digests, those that an open goal refers to.
pub async fn held(tx: &mut Tx, of: &[ArtifactDigest]) -> sqlx::Result<Vec<ArtifactDigest>> {
    sqlx::query_scalar!(
        r#"select distinct r.sha256 as "sha256: ArtifactDigest" from artifact_refs r
           join goals g on g.workspace_id = $1 and g.goal_id = r.goal_id
           where r.workspace_id = $1 and r.sha256 = any($2) and g.ended_at is null"#,
        tx.workspace.0,
        &digests(of),
    )
    .fetch_all(traced!(tx, "artifacts.held"))
    .await
}

/// An open goal that refers to an artifact.
pub async fn open_goal(tx: &mut Tx, digest: ArtifactDigest) -> sqlx::Result<Option<GoalId>> {
    sqlx::query_scalar!(
        r#"select r.goal_id as "goal_id: GoalId" from artifact_refs r
           join goals g on g.workspace_id = $1 and g.goal_id = r.goal_id
           where r.workspace_id = $1 and r.sha256 = $2 and g.ended_at is null
           limit 1"#,
        tx.workspace.0,
        &digest.0[..],
    )
    .fetch_optional(traced!(tx, "artifacts.open_goal"))
    .await
}

/// Whether an agent holds this attempt and it runs.
pub async fn runs(tx: &mut Tx, agent: AgentId, attempt: AttemptId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from attempts
                          where workspace_id = $1 and attempt_id = $2 and agent_id = $3
                            and state = 'running') as "runs!""#,
        tx.workspace.0,
        attempt.0,
        agent.0,
    )
    .fetch_one(traced!(tx, "artifacts.runs"))
    .await
}

/// A reference to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewReference {
    /// The attempt that refers.
    pub attempt: AttemptId,
    /// Its goal.
    pub goal: GoalId,
    /// The artifact.
    pub digest: ArtifactDigest,
    /// Whether its result lists it.
    pub in_result: bool,
}

/// Stores references to artifacts, and with the results which artifacts they list.
pub async fn refer(tx: &mut Tx, references: &[NewReference]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into artifact_refs (workspace_id, attempt_id, goal_id, sha256, in_result)
         select $1, * from unnest($2::uuid[], $3::uuid[], $4::bytea[], $5::bool[])
         on conflict (workspace_id, attempt_id, sha256) do nothing",
        tx.workspace.0,
        &references.iter().map(|r| r.attempt.0).collect::<Vec<_>>(),
        &references.iter().map(|r| r.goal.0).collect::<Vec<_>>(),
        &references.iter().map(|r| r.digest.0.to_vec()).collect::<Vec<_>>(),
        &references.iter().map(|r| r.in_result).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "artifacts.refer"))
    .await?;
    let listing: Vec<AttemptId> =
        references.iter().filter(|r| r.in_result).map(|r| r.attempt).collect();
    if listing.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update attempt_results o
         set artifacts = (select array_agg(r.sha256 order by r.sha256) from artifact_refs r
                          where r.workspace_id = $1 and r.attempt_id = o.attempt_id and r.in_result)
         where o.workspace_id = $1 and o.attempt_id = any($2)",
        tx.workspace.0,
        &uuids(&listing),
    )
    .execute(traced!(tx, "artifacts.list_in_results"))
    .await?;
    Ok(())
}

/// The artifacts that the result of an attempt lists and that are still there.
pub async fn of_result(tx: &mut Tx, attempt: AttemptId) -> sqlx::Result<Vec<ArtifactRow>> {
    artifacts!(
        "select",
        "from artifacts
         where workspace_id = $1
           and sha256 in (select r.sha256 from artifact_refs r
                          where r.workspace_id = $1 and r.attempt_id = $2 and r.in_result)
         order by sha256",
        tx.workspace.0,
        attempt.0,
    )
    .fetch_all(traced!(tx, "artifacts.of_result"))
    .await
}

/// Bytes that no artifact has.
#[derive(Debug, Clone, Copy)]
pub struct NewUpload {
    /// The upload.
    pub upload: UploadId,
    /// The announced digest.
    pub digest: ArtifactDigest,
    /// Bytes that count against the cap of the workspace.
    pub reserved: i64,
    /// When the bytes may be removed.
    pub sweep_from: DateTime<Utc>,
}

/// Notes bytes that no artifact has, before they arrive or after their artifact was deleted. Does nothing if they are
/// noted already.
pub async fn begin_upload(tx: &mut Tx, new: &NewUpload) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into artifact_uploads (workspace_id, upload_id, sha256, begun_at, sweep_from, reserved)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (workspace_id, upload_id) do nothing",
        tx.workspace.0,
        new.upload.0,
        &new.digest.0[..],
        tx.now,
        new.sweep_from,
        new.reserved,
    )
    .execute(traced!(tx, "artifacts.begin_upload"))
    .await?;
    Ok(())
}

/// Puts off the sweep of an upload that goes on. `false` if its bytes are being removed.
pub async fn prolong(
    tx: &mut Tx,
    upload: UploadId,
    sweep_from: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let prolonged = sqlx::query!(
        "update artifact_uploads set sweep_from = greatest(sweep_from, $3)
         where workspace_id = $1 and upload_id = $2 and not abandoned",
        tx.workspace.0,
        upload.0,
        sweep_from,
    )
    .execute(traced!(tx, "artifacts.prolong"))
    .await?;
    Ok(prolonged.rows_affected() == 1)
}

/// Forgets an upload whose bytes become an artifact. `false` if they are being removed.
pub async fn end_upload(tx: &mut Tx, upload: UploadId) -> sqlx::Result<bool> {
    let ended = sqlx::query!(
        "delete from artifact_uploads
         where workspace_id = $1 and upload_id = $2 and not abandoned",
        tx.workspace.0,
        upload.0,
    )
    .execute(traced!(tx, "artifacts.end_upload"))
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Uploads whose time to be swept has come, marked as abandoned; each with its digest.
pub async fn abandon_due(tx: &mut Tx, rows: i64) -> sqlx::Result<Vec<(UploadId, ArtifactDigest)>> {
    let due = sqlx::query!(
        r#"update artifact_uploads set abandoned = true
           where workspace_id = $1 and upload_id in (
               select upload_id from artifact_uploads
               where workspace_id = $1 and sweep_from <= $2
               order by sweep_from
               limit $3
               for update skip locked)
           returning upload_id as "upload_id: UploadId", sha256 as "sha256: ArtifactDigest""#,
        tx.workspace.0,
        tx.now,
        rows,
    )
    .fetch_all(traced!(tx, "artifacts.abandon_due"))
    .await?;
    Ok(due.into_iter().map(|row| (row.upload_id, row.sha256)).collect())
}

/// Marks uploads as abandoned; returns those that no artifact has.
pub async fn abandon(tx: &mut Tx, uploads: &[UploadId]) -> sqlx::Result<Vec<UploadId>> {
    sqlx::query_scalar!(
        r#"update artifact_uploads set abandoned = true
           where workspace_id = $1 and upload_id = any($2)
           returning upload_id as "upload_id: UploadId""#,
        tx.workspace.0,
        &uuids(uploads),
    )
    .fetch_all(traced!(tx, "artifacts.abandon"))
    .await
}

/// Puts off the sweep of abandoned uploads whose bytes were not removed.
pub async fn put_off(
    tx: &mut Tx,
    uploads: &[UploadId],
    sweep_from: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update artifact_uploads set sweep_from = greatest(sweep_from, $3)
         where workspace_id = $1 and upload_id = any($2) and abandoned",
        tx.workspace.0,
        &uuids(uploads),
        sweep_from,
    )
    .execute(traced!(tx, "artifacts.put_off"))
    .await?;
    Ok(())
}

/// Forgets uploads whose bytes are removed.
pub async fn forget(tx: &mut Tx, uploads: &[UploadId]) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from artifact_uploads
         where workspace_id = $1 and upload_id = any($2) and abandoned",
        tx.workspace.0,
        &uuids(uploads),
    )
    .execute(traced!(tx, "artifacts.forget"))
    .await?;
    Ok(())
}
