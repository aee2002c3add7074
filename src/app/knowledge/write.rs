//! Writing lessons: one gate, one writer at a time.
//!
//! Whatever becomes a lesson comes through [`write`]: digests, lessons of agents and people, imports. Each text passes
//! the gate ([`gate`]): a secret refuses it, orders quarantine it. Then it gets its cluster, its links to
//! contradicting lessons, and its document in the index, in one unit of work. Writers take turns by the cursor of the
//! workspace, so no two of them found the same cluster.
//!
//! Decisions:
//! - An agent that says again what a lesson of the same project says already, word by word, adds
//!   nothing; the lesson counts as learned again. Digests are always written, one for each task.
//! - A lesson joins clusters of its project and of the workspace: the id of a lesson of another project is nothing that
//!   its readers should see.
//! - Only quarantine is recorded in the journal here; what people do is recorded where they do it, and a digest follows
//!   from the journal.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry};

use serde_json::json;

use super::views::LessonSource;
use crate::{
    app::{Result, Unit},
    domain::{
        access::person::Person,
        ids::{KeyId, LessonId, ProjectId},
        journal::{Kind, NewRow},
        knowledge::{
            LessonKind, LessonState, Origin, Outcome, Trust,
            gate::{self, Verdict},
            identifiers::{Expanded, expand},
            near, shelf, standing,
        },
    },
    store::{
        self,
        knowledge::{
            clusters::{Alike, LinkedBy},
            cursors::Cursor,
            index::NewDoc,
            lessons::{NewLesson, NewVersion, Rewritten},
        },
    },
};

/// A text that is to become a lesson, or a new version of one.
#[derive(Debug, Clone)]
pub(in crate::app) struct NewText {
    /// Its id, if the writer chose one.
    pub id: Option<LessonId>,
    pub kind: LessonKind,
    pub title: String,
    pub body: String,
    pub applies_to: Vec<String>,
    pub capabilities: Vec<String>,
    /// The project that sees it; `None`: the whole workspace.
    pub project: Option<ProjectId>,
    pub source: LessonSource,
    pub origin: Origin,
    pub outcome: Option<Outcome>,
    pub trust: Trust,
    /// Its state if the gate lets it pass; `None`: as its source says.
    pub state: Option<LessonState>,
    pub external: bool,
    pub learned_at: chrono::DateTime<chrono::Utc>,
    pub person: Option<Person>,
    pub key: Option<KeyId>,
    pub supersedes: Vec<LessonId>,
    /// The version that it follows; `None`: it is a new lesson.
    pub follows: Option<(LessonId, i32)>,
}

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::app) enum Became {
    /// A lesson, or a new version.
    Written,
    /// A lesson that is kept away from agents.
    Quarantined,
    /// Nothing: this lesson says the same.
    Known,
    /// Nothing: it holds secrets. Pointers within the text, and what is there.
    Refused(Vec<(&'static str, String)>),
}

/// A text after it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::app) struct Written {
    pub id: LessonId,
    pub became: Became,
}

/// A text behind the gate.
struct Admitted {
    text: NewText,
    id: LessonId,
    /// Place in the answer.
    place: usize,
    fingerprint: [u8; 32],
    reason: Option<String>,
    cluster: LessonId,
    words: near::Words,
    bands: Vec<i64>,
}

impl Admitted {
    fn state(&self) -> LessonState {
        match &self.reason {
            Some(_) => LessonState::Quarantined,
            None => self
                .text
                .state
                .unwrap_or_else(|| standing::first_state(self.text.outcome, self.text.trust)),
        }
    }
}

/// Writes texts under the locked cursor, in their order, and says what became of each.
///
/// # Errors
/// If the database fails. Refused texts are no error: their neighbours are written.
pub(in crate::app) async fn write(
    unit: &mut Unit,
    cursor: &mut Cursor,
    texts: Vec<NewText>,
) -> Result<Vec<Written>> {
    let mut written = Vec::with_capacity(texts.len());
    let mut admitted = Vec::with_capacity(texts.len());
    for (place, text) in texts.into_iter().enumerate() {
        let given = text.follows.map(|(id, _)| id).or(text.id);
        let id = given.unwrap_or_else(|| unit.id());
        let reason = match gate::judge(&text.title, &text.body, &text.applies_to) {
            Ok(Verdict::Accept) => None,
            Ok(Verdict::Quarantine { reasons }) => Some(reasons.join("; ")),
            Err(secrets) => {
                written.push(Written { id, became: Became::Refused(secrets) });
                continue;
            }
        };
        let became = if reason.is_some() { Became::Quarantined } else { Became::Written };
        written.push(Written { id, became });
        admitted.push(Admitted {
            id,
            place,
            fingerprint: near::fingerprint(&text.title, &text.body),
            reason,
            cluster: id,
            words: near::Words::of(&text.title, &text.body),
            bands: near::bands(&text.title, &text.body),
            text,
        });
    }
    let admitted = leave_out_known(unit, admitted, &mut written).await?;
    if admitted.is_empty() {
        return Ok(written);
    }
    let (admitted, opposites) = relate(unit, admitted).await?;
    store_all(unit, &admitted).await?;
    index(unit, cursor, &admitted).await?;
    store::knowledge::clusters::link(unit.tx(), &opposites, LinkedBy::Rule).await?;
    record_quarantine(unit, &admitted);
    Ok(written)
}

/// Leaves out what agents said before, word by word.
async fn leave_out_known(
    unit: &mut Unit,
    admitted: Vec<Admitted>,
    written: &mut [Written],
) -> Result<Vec<Admitted>> {
    let repeats = |text: &NewText| text.origin == Origin::Agent && text.follows.is_none();
    let asked: Vec<Vec<u8>> = admitted
        .iter()
        .filter(|one| repeats(&one.text))
        .map(|one| one.fingerprint.to_vec())
        .collect();
    if asked.is_empty() {
        return Ok(admitted);
    }
    let mut known: HashMap<(Vec<u8>, Option<ProjectId>), LessonId> = HashMap::new();
    for same in store::knowledge::clusters::same(unit.tx(), &asked).await? {
        known.entry((same.fingerprint, same.project_id)).or_insert(same.lesson_id);
    }
    let (mut left, mut again) = (Vec::with_capacity(admitted.len()), Vec::new());
    for one in admitted {
        if !repeats(&one.text) {
            left.push(one);
            continue;
        }
        let print = one.fingerprint.to_vec();
        let own = known.get(&(print.clone(), one.text.project));
        match own.or_else(|| known.get(&(print.clone(), None))).copied() {
            Some(id) => {
                again.push(id);
                written[one.place] = Written { id, became: Became::Known };
            }
            None => {
                known.insert((print, one.text.project), one.id);
                left.push(one);
            }
        }
    }
    if !again.is_empty() {
        store::knowledge::lessons::learned_again(unit.tx(), &again).await?;
    }
    Ok(left)
}

/// Gives each text its cluster, and finds what contradicts it.
async fn relate(
    unit: &mut Unit,
    mut admitted: Vec<Admitted>,
) -> Result<(Vec<Admitted>, Vec<(LessonId, LessonId)>)> {
    let bands: Vec<(i32, i64)> = (0_i32..)
        .zip(&admitted)
        .flat_map(|(place, one)| one.bands.iter().map(move |band| (place, *band)))
        .collect();
    let mut by_text: BTreeMap<usize, Vec<Alike>> = BTreeMap::new();
    for alike in store::knowledge::clusters::alike(unit.tx(), &bands).await? {
        by_text.entry(usize::try_from(alike.text).unwrap_or_default()).or_default().push(alike);
    }
    let mut opposites = Vec::new();
    // Bands of the texts before, with their places: texts of one batch may resemble each other.
    let mut before: HashMap<i64, usize> = HashMap::new();
    for place in 0..admitted.len() {
        let one = &admitted[place];
        let stored = by_text.remove(&place).unwrap_or_default();
        let places: BTreeSet<usize> =
            one.bands.iter().filter_map(|band| before.get(band).copied()).collect();
        let written = places.iter().rev().take(4).map(|place| Other::from(&admitted[*place]));
        let mut cluster = None;
        for other in stored.iter().map(Other::from).chain(written) {
            let seen = other.project.is_none() || other.project == one.text.project;
            if !seen || other.id == one.id {
                continue;
            }
            let words = near::Words::of(other.title, other.body);
            if near::resemblance(&one.words, &words) >= near::NEAR {
                cluster = cluster.or(Some(other.cluster));
            }
            if contradicts(&Other::from(one), &other) {
                opposites.push((one.id, other.id));
            }
        }
        before.extend(one.bands.iter().map(|band| (*band, place)));
        if let Some(cluster) = cluster {
            admitted[place].cluster = cluster;
        }
    }
    Ok((admitted, opposites))
}

/// A lesson that may resemble a text: stored before, or written in the same batch.
struct Other<'a> {
    id: LessonId,
    cluster: LessonId,
    project: Option<ProjectId>,
    kind: LessonKind,
    title: &'a str,
    body: &'a str,
}

impl<'a> From<&'a Alike> for Other<'a> {
    fn from(alike: &'a Alike) -> Self {
        Self {
            id: alike.lesson_id,
            cluster: alike.cluster_id,
            project: alike.project_id,
            kind: alike.kind,
            title: &alike.title,
            body: &alike.body,
        }
    }
}

impl<'a> From<&'a Admitted> for Other<'a> {
    fn from(admitted: &'a Admitted) -> Self {
        Self {
            id: admitted.id,
            cluster: admitted.cluster,
            project: admitted.text.project,
            kind: admitted.text.kind,
            title: &admitted.text.title,
            body: &admitted.text.body,
        }
    }
}

/// A digest tells what was done and claims nothing: "Enable X" and "Disable X" may both have been done.
fn contradicts(one: &Other<'_>, other: &Other<'_>) -> bool {
    one.kind != LessonKind::Digest
        && other.kind != LessonKind::Digest
        && near::contradicts((one.title, one.body), (other.title, other.body))
}

async fn store_all(unit: &mut Unit, admitted: &[Admitted]) -> Result<()> {
    let (next, new): (Vec<&Admitted>, Vec<&Admitted>) =
        admitted.iter().partition(|one| one.text.follows.is_some());
    let rows: Vec<NewLesson> = new.into_iter().map(row).collect();
    store::knowledge::lessons::insert(unit.tx(), &rows).await?;
    for one in &next {
        let Some((lesson, before)) = one.text.follows else { continue };
        let version = before + 1;
        let text = version_of(one);
        store::knowledge::lessons::insert_versions(
            unit.tx(),
            &[(lesson, version, one.text.kind, &text)],
        )
        .await?;
        store::knowledge::lessons::rewrite(unit.tx(), &rewritten(one, version)).await?;
    }
    let again: Vec<LessonId> = next.iter().map(|one| one.id).collect();
    if !again.is_empty() {
        store::knowledge::clusters::remove_bands(unit.tx(), &again).await?;
        store::knowledge::index::remove(unit.tx(), &again).await?;
    }
    let bands: Vec<(LessonId, i64)> =
        admitted.iter().flat_map(|one| one.bands.iter().map(|band| (one.id, *band))).collect();
    Ok(store::knowledge::clusters::insert_bands(unit.tx(), &bands).await?)
}

fn row(one: &Admitted) -> NewLesson {
    let text = &one.text;
    NewLesson {
        lesson_id: one.id,
        project_id: text.project,
        cluster_id: one.cluster,
        source_goal: text.source.goal_id,
        source_task: text.source.task_id,
        source_attempt: text.source.attempt_id,
        source_agent: text.source.agent_id,
        learned_at: text.learned_at,
        external: text.external,
        kind: text.kind,
        origin: text.origin,
        outcome: text.outcome,
        state: one.state(),
        reason: one.reason.clone(),
        trust: text.trust,
        capabilities: text.capabilities.clone(),
        text: version_of(one),
    }
}

fn version_of(one: &Admitted) -> NewVersion {
    NewVersion {
        title: one.text.title.clone(),
        body: one.text.body.clone(),
        applies_to: one.text.applies_to.clone(),
        fingerprint: one.fingerprint,
        supersedes: one.text.supersedes.clone(),
        written_by: one.text.key,
        person: one.text.person.clone(),
    }
}

fn rewritten(one: &Admitted, version: i32) -> Rewritten {
    Rewritten {
        lesson_id: one.id,
        version,
        kind: one.text.kind,
        cluster_id: one.cluster,
        state: one.state(),
        reason: one.reason.clone(),
        trust: one.text.trust,
        external: one.text.external,
        outcome: one.text.outcome,
        learned_at: one.text.learned_at,
        capabilities: one.text.capabilities.clone(),
    }
}

/// Puts texts on their shelves in the index.
async fn index(unit: &mut Unit, cursor: &mut Cursor, admitted: &[Admitted]) -> Result<()> {
    let projects: BTreeSet<ProjectId> =
        admitted.iter().filter_map(|one| one.text.project).collect();
    let bases = bases(unit, cursor, projects).await?;
    let texts: Vec<(Expanded, Expanded)> = admitted
        .iter()
        .map(|one| {
            let title = expand(&one.text.title);
            let rest = expand(&format!("{}\n{}", one.text.body, one.text.applies_to.join("\n")));
            let all = title.and(&rest);
            (title, all)
        })
        .collect();
    let docs: Vec<NewDoc<'_>> = admitted
        .iter()
        .zip(&texts)
        .map(|(one, (title, text))| NewDoc {
            lesson_id: one.id,
            doc: cursor.doc(),
            shelf: shelf::shelf(bases.base(one.text.project), one.state()),
            title,
            text,
        })
        .collect();
    Ok(store::knowledge::index::put(unit.tx(), &docs).await?)
}

/// Numbers of the shelves of projects.
pub(super) struct Bases(HashMap<ProjectId, i32>);

impl Bases {
    /// The shelf of a project, or of the workspace.
    pub(super) fn base(&self, project: Option<ProjectId>) -> i32 {
        project.and_then(|project| self.0.get(&project).copied()).unwrap_or(shelf::WORKSPACE)
    }
}

/// The shelves of projects; those that have none get one.
pub(super) async fn bases(
    unit: &mut Unit,
    cursor: &mut Cursor,
    projects: BTreeSet<ProjectId>,
) -> Result<Bases> {
    let asked: Vec<ProjectId> = projects.iter().copied().collect();
    let mut bases = store::knowledge::shelves::bases(unit.tx(), &asked).await?;
    for project in projects {
        if let Entry::Vacant(base) = bases.entry(project) {
            base.insert(store::knowledge::shelves::make(unit.tx(), project, cursor).await?);
        }
    }
    Ok(Bases(bases))
}

fn record_quarantine(unit: &mut Unit, admitted: &[Admitted]) {
    for one in admitted {
        let Some(reason) = &one.reason else { continue };
        let source = &one.text.source;
        unit.record(
            NewRow::new(Kind::LessonQuarantined)
                .project(one.text.project)
                .goal(source.goal_id)
                .task(source.task_id)
                .attempt(source.attempt_id)
                .agent(source.agent_id)
                .data(json!({"lesson_id": one.id, "reason": reason})),
        );
    }
}
