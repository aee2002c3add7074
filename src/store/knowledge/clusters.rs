//! Duplicates and contradictions: what resembles a text that is to be written.

use crate::{
    domain::{
        ids::{LessonId, ProjectId},
        knowledge::{LessonKind, LessonState},
    },
    store::{Tx, columns::uuids, traced},
};

/// Lessons looked at per band, newest first.
const PER_BAND: i64 = 4;
/// Lessons looked at per text, newest first.
const PER_TEXT: i64 = 20;

/// A lesson with exactly the text of a fingerprint.
#[derive(Debug, Clone)]
pub struct Same {
    /// The fingerprint.
    pub fingerprint: Vec<u8>,
    /// The lesson.
    pub lesson_id: LessonId,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// Its state.
    pub state: LessonState,
}

/// Lessons whose newest version has one of these fingerprints, oldest first.
pub async fn same(tx: &mut Tx, fingerprints: &[Vec<u8>]) -> sqlx::Result<Vec<Same>> {
    sqlx::query_as!(
        Same,
        r#"select v.fingerprint, l.lesson_id as "lesson_id: LessonId",
                  l.project_id as "project_id: ProjectId", l.state as "state: LessonState"
           from lesson_versions v
           join lessons l on l.workspace_id = $1 and l.lesson_id = v.lesson_id and l.version = v.version
           where v.workspace_id = $1 and v.fingerprint = any($2)
           order by l.lesson_id"#,
        tx.workspace.0,
        fingerprints,
    )
    .fetch_all(traced!(tx, "knowledge.clusters.same"))
    .await
}

/// A lesson that may resemble a text.
#[derive(Debug, Clone)]
pub struct Alike {
    /// Ordinal of the text among those asked about, from 0.
    pub text: i32,
    /// The lesson.
    pub lesson_id: LessonId,
    /// Its cluster.
    pub cluster_id: LessonId,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// Its kind.
    pub kind: LessonKind,
    /// Its title.
    pub title: String,
    /// Its body.
    pub body: String,
}

/// Lessons that share a band with a text: `(ordinal, band)`. Those of a text are its newest.
pub async fn alike(tx: &mut Tx, bands: &[(i32, i64)]) -> sqlx::Result<Vec<Alike>> {
    if bands.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        Alike,
        r#"
        with asked as materialized (
            select * from unnest($2::int[], $3::bigint[]) as a (ordinal, band)
        ),
        -- The newest lessons of each band.
        found as materialized (
            select distinct a.ordinal, b.lesson_id
            from asked a
            cross join lateral (
                select lesson_id from lesson_bands
                where workspace_id = $1 and band = a.band
                order by lesson_id desc
                limit $4) b
        ),
        -- The newest of each text.
        ranked as materialized (
            select ordinal, lesson_id,
                   row_number() over (partition by ordinal order by lesson_id desc) as place
            from found
        )
        select r.ordinal as "text!", l.lesson_id as "lesson_id: LessonId",
               l.cluster_id as "cluster_id: LessonId", l.project_id as "project_id: ProjectId",
               l.kind as "kind: LessonKind", v.title, v.body
        from ranked r
        join lessons l on l.workspace_id = $1 and l.lesson_id = r.lesson_id
        join lesson_versions v on v.workspace_id = $1 and v.lesson_id = l.lesson_id
             and v.version = l.version
        where r.place <= $5
        order by r.ordinal, l.lesson_id desc
        "#,
        tx.workspace.0,
        &bands.iter().map(|(text, _)| *text).collect::<Vec<_>>(),
        &bands.iter().map(|(_, band)| *band).collect::<Vec<_>>(),
        PER_BAND,
        PER_TEXT,
    )
    .fetch_all(traced!(tx, "knowledge.clusters.alike"))
    .await
}

/// An active lesson, and one of another project that may resemble it.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// The lesson.
    pub lesson_id: LessonId,
    /// Its title.
    pub title: String,
    /// Its body.
    pub body: String,
    /// The other lesson.
    pub other_id: LessonId,
    /// Its title.
    pub other_title: String,
    /// Its body.
    pub other_body: String,
}

/// Active lessons of other projects that share a band with these active lessons, oldest first. Neither are digests
/// among them nor lessons from outside.
pub async fn elsewhere(tx: &mut Tx, lessons: &[LessonId]) -> sqlx::Result<Vec<Elsewhere>> {
    if lessons.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        Elsewhere,
        r#"
        with pairs as materialized (
            select distinct b.lesson_id, c.lesson_id as other_id
            from lesson_bands b
            cross join lateral (
                select lesson_id from lesson_bands
                where workspace_id = $1 and band = b.band and lesson_id <> b.lesson_id
                order by lesson_id desc
                limit $3) c
            where b.workspace_id = $1 and b.lesson_id = any($2)
        )
        select l.lesson_id as "lesson_id: LessonId", v.title, v.body, o.lesson_id as "other_id: LessonId",
               w.title as other_title, w.body as other_body
        from pairs p
        join lessons l on l.workspace_id = $1 and l.lesson_id = p.lesson_id
        join lessons o on o.workspace_id = $1 and o.lesson_id = p.other_id
        join lesson_versions v on v.workspace_id = $1 and v.lesson_id = l.lesson_id and v.version = l.version
        join lesson_versions w on w.workspace_id = $1 and w.lesson_id = o.lesson_id and w.version = o.version
        where l.state = 'active' and l.kind <> 'digest' and not l.external
          and o.state = 'active' and o.kind <> 'digest' and not o.external
          and l.project_id <> o.project_id
        order by o.lesson_id, l.lesson_id
        limit $4
        "#,
        tx.workspace.0,
        &uuids(lessons),
        PER_TEXT,
        PER_TEXT,
    )
    .fetch_all(traced!(tx, "knowledge.clusters.elsewhere"))
    .await
}

/// Puts a lesson and the rest of its cluster into that of another one.
pub async fn join(tx: &mut Tx, lesson: LessonId, other: LessonId) -> sqlx::Result<()> {
    sqlx::query!(
        "update lessons
         set cluster_id = (select cluster_id from lessons where workspace_id = $1 and lesson_id = $3)
         where workspace_id = $1
           and cluster_id = (select cluster_id from lessons where workspace_id = $1 and lesson_id = $2)",
        tx.workspace.0,
        lesson.0,
        other.0,
    )
    .execute(traced!(tx, "knowledge.clusters.join"))
    .await?;
    Ok(())
}

/// Stores the bands of lessons that have none.
pub async fn insert_bands(tx: &mut Tx, bands: &[(LessonId, i64)]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into lesson_bands (workspace_id, lesson_id, band)
         select $1, * from unnest($2::uuid[], $3::bigint[])
         on conflict do nothing",
        tx.workspace.0,
        &bands.iter().map(|(lesson, _)| lesson.0).collect::<Vec<_>>(),
        &bands.iter().map(|(_, band)| *band).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "knowledge.clusters.insert_bands"))
    .await?;
    Ok(())
}

/// Removes the bands of lessons.
pub async fn remove_bands(tx: &mut Tx, lessons: &[LessonId]) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from lesson_bands where workspace_id = $1 and lesson_id = any($2)",
        tx.workspace.0,
        &uuids(lessons),
    )
    .execute(traced!(tx, "knowledge.clusters.remove_bands"))
    .await?;
    Ok(())
}

/// Who linked two lessons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkedBy {
    /// The words of both.
    Rule,
    /// A person.
    Person,
}

/// Links pairs of lessons that contradict each other. Returns the number of new links.
pub async fn link(tx: &mut Tx, pairs: &[(LessonId, LessonId)], by: LinkedBy) -> sqlx::Result<u64> {
    if pairs.is_empty() {
        return Ok(0);
    }
    let by = match by {
        LinkedBy::Rule => "rule",
        LinkedBy::Person => "person",
    };
    let linked = sqlx::query!(
        "insert into lesson_links (workspace_id, lesson_id, other_id, linked_at, linked_by)
         select $1, least(p.one, p.other), greatest(p.one, p.other), $2, $3
         from unnest($4::uuid[], $5::uuid[]) as p (one, other)
         where p.one <> p.other
         on conflict do nothing",
        tx.workspace.0,
        tx.now,
        by,
        &pairs.iter().map(|(one, _)| one.0).collect::<Vec<_>>(),
        &pairs.iter().map(|(_, other)| other.0).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "knowledge.clusters.link"))
    .await?;
    Ok(linked.rows_affected())
}
