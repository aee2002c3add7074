//! Looking after lessons: people write, edit, confirm, archive, restore, promote, merge and link them.
//!
//! Decisions:
//! - A text of a person passes the same gate as that of an agent. A secret refuses the request; orders quarantine
//!   the lesson, which its writer may restore.
//! - An edit is a new version; the old ones stay. `If-Match` names the version that was read.
//! - A person vouches for what they write: it is active, with trust `person`. A merge is trusted as its least source.
//! - `restore` is what clears a quarantine: a person has read the lesson and takes it for harmless.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    read,
    sight::Sight,
    state::reshelve,
    views::{Lesson, LessonSource},
    write::{Became, NewText, write},
};
use crate::{
    app::{
        App, Error, Result, Unit,
        caller::{Caller as _, Principal, ProjectOperatorCaller},
        error::same_version,
        unit::idempotency::{Outcome as Answered, Request},
    },
    domain::{
        check::{Checks, pointer},
        ids::{LessonId, ProjectId},
        journal::{Kind, NewRow},
        knowledge::{LessonKind, LessonState, Origin, Trust, bounds, standing},
        refusal::{Code, FieldError, Refusal},
        settings,
    },
    store::{self, Hold, knowledge::clusters::LinkedBy},
};

/// A lesson to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLessonRequest {
    /// `approach`, `pitfall`, `decision`, `howto` or `estimate`.
    pub kind: LessonKind,
    /// One line, at most 300 characters.
    #[schema(example = "The importer's dates are local time", min_length = 1, max_length = 300)]
    pub title: String,
    /// Markdown, at most 16 KiB. No keys, passwords or tokens.
    #[schema(min_length = 1)]
    pub body: String,
    /// What it is about: paths, packages, error codes; at most 20.
    #[serde(default)]
    #[schema(example = json!(["src/importer.rs"]))]
    pub applies_to: Vec<String>,
    /// Capabilities of tasks that it is for.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The project whose readers see it. Left out or `null`: the whole workspace.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
}

impl NewLessonRequest {
    fn check(&self) -> std::result::Result<(), Refusal> {
        let mut checks = Checks::new();
        check_kind(&mut checks, self.kind);
        bounds::check(&mut checks, "", &self.title, &self.body, &self.applies_to);
        check_capabilities(&mut checks, &self.capabilities);
        checks.finish()
    }
}

fn check_kind(checks: &mut Checks, kind: LessonKind) {
    let detail = "digests are written by the service; choose another kind";
    checks.ensure(kind != LessonKind::Digest, "/kind", detail);
}

fn check_capabilities(checks: &mut Checks, capabilities: &[String]) {
    checks.count("/capabilities", capabilities.len(), settings::LIST_ITEMS);
    for (index, capability) in capabilities.iter().enumerate().take(settings::LIST_ITEMS) {
        checks.line(&pointer("/capabilities", index), capability, bounds::APPLIES_CHARS);
    }
}

/// An edit of a lesson: a new version. Absent fields keep their value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LessonChange {
    /// `approach`, `pitfall`, `decision`, `howto` or `estimate`; a digest keeps its kind.
    pub kind: Option<LessonKind>,
    /// One line.
    #[schema(min_length = 1, max_length = 300)]
    pub title: Option<String>,
    /// Markdown.
    #[schema(min_length = 1)]
    pub body: Option<String>,
    /// What it is about.
    pub applies_to: Option<Vec<String>>,
    /// Capabilities of tasks that it is for.
    pub capabilities: Option<Vec<String>>,
}

/// Several lessons as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeRequest {
    /// The other lessons, 1 to 20; they are superseded.
    pub with: Vec<LessonId>,
    /// Title of the merged lesson; left out: that of this lesson.
    #[serde(default)]
    pub title: Option<String>,
    /// Text of the merged lesson; left out: the texts of all, one after the other.
    #[serde(default)]
    pub body: Option<String>,
}

/// Another lesson.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OtherLesson {
    /// The other lesson.
    pub lesson_id: LessonId,
}

/// Why a lesson is put away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveRequest {
    /// The reason, one line.
    #[schema(max_length = 300)]
    pub reason: Option<String>,
}

/// Lessons of one merge, at most.
const MERGED: usize = 20;

impl App {
    /// Writes a lesson.
    ///
    /// # Errors
    /// `invalid`, also for a secret; `not_found` for the project.
    pub async fn create_lesson(
        &self,
        caller: &ProjectOperatorCaller,
        new: &NewLessonRequest,
        request: Option<&Request>,
    ) -> Result<Answered<Lesson>> {
        let principal = caller.principal();
        self.create(principal, request, Hold::Share, async |unit| {
            new.check()?;
            see_project(unit, principal, new.project_id).await?;
            let mut cursor = store::knowledge::cursors::lock(unit.tx()).await?;
            let text = NewText {
                kind: new.kind,
                title: new.title.clone(),
                body: new.body.clone(),
                applies_to: new.applies_to.clone(),
                capabilities: new.capabilities.clone(),
                project: new.project_id,
                ..of_person(unit, principal)
            };
            let written = write(unit, &mut cursor, vec![text]).await?;
            let id = only(written)?;
            store::knowledge::cursors::set(unit.tx(), cursor).await?;
            let after = read::lesson(unit.tx(), id).await?;
            record(unit, Kind::LessonCreated, None, &after);
            Ok(after)
        })
        .await
    }

    /// Writes a new version of a lesson. `version`: the version the caller read (`If-Match`); `None` skips the check.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `invalid`, also for a secret.
    pub async fn update_lesson(
        &self,
        caller: &ProjectOperatorCaller,
        lesson: LessonId,
        version: Option<i64>,
        change: &LessonChange,
    ) -> Result<Lesson> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let mut cursor = store::knowledge::cursors::lock(unit.tx()).await?;
        let before = seen(&mut unit, principal, lesson).await?;
        if let Some(version) = version {
            same_version(i64::from(before.version), version)?;
        }
        let text = edited(&unit, principal, &before, change)?;
        only(write(&mut unit, &mut cursor, vec![text]).await?)?;
        store::knowledge::cursors::set(unit.tx(), cursor).await?;
        let after = read::lesson(unit.tx(), lesson).await?;
        record(&mut unit, Kind::LessonUpdated, Some(&before), &after);
        self.commit(unit).await?;
        Ok(after)
    }

    /// Vouches for a lesson: it is active, with trust `person`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn confirm_lesson(
        &self,
        caller: &ProjectOperatorCaller,
        lesson: LessonId,
    ) -> Result<Lesson> {
        self.change_lesson(
            caller.principal(),
            lesson,
            Kind::LessonConfirmed,
            async |unit, before| {
                store::knowledge::lessons::confirm(unit.tx(), before.id).await?;
                Ok((before.project_id, LessonState::Active))
            },
        )
        .await
    }

    /// Puts a lesson away.
    ///
    /// # Errors
    /// `not_found`, `invalid`.
    pub async fn archive_lesson(
        &self,
        caller: &ProjectOperatorCaller,
        lesson: LessonId,
        request: &ArchiveRequest,
    ) -> Result<Lesson> {
        let mut checks = Checks::new();
        if let Some(reason) = &request.reason {
            checks.line("/reason", reason, bounds::TITLE_CHARS);
        }
        checks.finish()?;
        self.change_lesson(
            caller.principal(),
            lesson,
            Kind::LessonArchived,
            async |unit, before| {
                let (state, reason) = (LessonState::Archived, request.reason.as_deref());
                store::knowledge::lessons::set_state(unit.tx(), &[before.id], state, reason)
                    .await?;
                Ok((before.project_id, state))
            },
        )
        .await
    }

    /// Brings back a lesson that was archived, superseded or quarantined.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` for one that is not away.
    pub async fn restore_lesson(
        &self,
        caller: &ProjectOperatorCaller,
        lesson: LessonId,
    ) -> Result<Lesson> {
        self.change_lesson(
            caller.principal(),
            lesson,
            Kind::LessonActivated,
            async |unit, before| {
                let state = match before.state {
                    LessonState::Active | LessonState::Candidate => {
                        let detail = format!("the lesson is {} and not put away", before.state);
                        return Err(Refusal::new(Code::WrongState, detail).into());
                    }
                    LessonState::Quarantined | LessonState::Archived | LessonState::Superseded => {
                        standing::first_state(before.outcome, before.trust)
                    }
                };
                store::knowledge::lessons::set_state(unit.tx(), &[before.id], state, None).await?;
                Ok((before.project_id, state))
            },
        )
        .await
    }

    /// Shows a lesson of a project to the whole workspace.
    ///
    /// # Errors
    /// `not_found`; `forbidden` for a key for single projects; `wrong_state` for one that the workspace sees.
    pub async fn promote_lesson(
        &self,
        caller: &ProjectOperatorCaller,
        lesson: LessonId,
    ) -> Result<Lesson> {
        let principal = caller.principal();
        if principal.scope.projects.is_some() {
            let detail = "a key for single projects cannot show a lesson to the whole workspace";
            return Err(Refusal::new(Code::Forbidden, detail).into());
        }
        self.change_lesson(principal, lesson, Kind::LessonUpdated, async |unit, before| {
            if before.project_id.is_none() {
                let detail = "the whole workspace sees the lesson already";
                return Err(Refusal::new(Code::WrongState, detail).into());
            }
            store::knowledge::lessons::promote(unit.tx(), before.id).await?;
            Ok((None, before.state))
        })
        .await
    }

    /// Says that another lesson replaces a lesson.
    ///
    /// # Errors
    /// `not_found`, `invalid`.
    pub async fn supersede_lesson(
        &self,
        caller: &ProjectOperatorCaller,
        lesson: LessonId,
        by: OtherLesson,
    ) -> Result<Lesson> {
        let principal = caller.principal();
        self.change_lesson(principal, lesson, Kind::LessonSuperseded, async |unit, before| {
            let other = other(unit, principal, before.id, by.lesson_id, "/lesson_id").await?;
            if other.project_id.is_some() && other.project_id != before.project_id {
                let detail = "it is of another project; promote it to the workspace first";
                return Err(Refusal::invalid_at("/lesson_id", detail).into());
            }
            if other.state == LessonState::Superseded {
                let detail = "it is superseded itself; name the lesson that replaced it";
                return Err(Refusal::invalid_at("/lesson_id", detail).into());
            }
            store::knowledge::lessons::supersede(unit.tx(), &[before.id], other.id).await?;
            Ok((before.project_id, LessonState::Superseded))
        })
        .await
    }

    /// Says that two lessons contradict each other.
    ///
    /// # Errors
    /// `not_found`, `invalid`.
    pub async fn contradict_lesson(
        &self,
        caller: &ProjectOperatorCaller,
        lesson: LessonId,
        with: OtherLesson,
    ) -> Result<Lesson> {
        let principal = caller.principal();
        self.change_lesson(principal, lesson, Kind::LessonLinked, async |unit, before| {
            let other = other(unit, principal, before.id, with.lesson_id, "/lesson_id").await?;
            let pair = [(before.id, other.id)];
            store::knowledge::clusters::link(unit.tx(), &pair, LinkedBy::Person).await?;
            Ok((before.project_id, before.state))
        })
        .await
    }

    /// Makes one lesson of several: a new version of the first; the others are superseded by it.
    ///
    /// # Errors
    /// `not_found`, `invalid`, also for a secret and for lessons of another project.
    pub async fn merge_lessons(
        &self,
        caller: &ProjectOperatorCaller,
        lesson: LessonId,
        request: &MergeRequest,
    ) -> Result<Lesson> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let mut cursor = store::knowledge::cursors::lock(unit.tx()).await?;
        let before = seen(&mut unit, principal, lesson).await?;
        let others = merged(&mut unit, principal, &before, &request.with).await?;
        let text = merge(&unit, principal, &before, &others, request)?;
        only(write(&mut unit, &mut cursor, vec![text]).await?)?;
        let ids: Vec<LessonId> = others.iter().map(|other| other.id).collect();
        store::knowledge::lessons::supersede(unit.tx(), &ids, lesson).await?;
        let moved: Vec<_> = others
            .iter()
            .map(|other| (other.id, other.project_id, LessonState::Superseded))
            .collect();
        reshelve(&mut unit, &mut cursor, &moved).await?;
        store::knowledge::cursors::set(unit.tx(), cursor).await?;
        let after = read::lesson(unit.tx(), lesson).await?;
        record(&mut unit, Kind::LessonUpdated, Some(&before), &after);
        for other in &others {
            let replaced = read::lesson(unit.tx(), other.id).await?;
            record(&mut unit, Kind::LessonSuperseded, Some(other), &replaced);
        }
        self.commit(unit).await?;
        Ok(after)
    }

    /// Changes the state or the project of a lesson, and moves it to its new shelf.
    async fn change_lesson(
        &self,
        principal: &Principal,
        lesson: LessonId,
        kind: Kind,
        change: impl AsyncFnOnce(&mut Unit, &Lesson) -> Result<(Option<ProjectId>, LessonState)>,
    ) -> Result<Lesson> {
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let mut cursor = store::knowledge::cursors::lock(unit.tx()).await?;
        let before = seen(&mut unit, principal, lesson).await?;
        let (project, state) = change(&mut unit, &before).await?;
        if (project, state) != (before.project_id, before.state) {
            reshelve(&mut unit, &mut cursor, &[(lesson, project, state)]).await?;
            store::knowledge::cursors::set(unit.tx(), cursor).await?;
        }
        let after = read::lesson(unit.tx(), lesson).await?;
        record(&mut unit, kind, Some(&before), &after);
        self.commit(unit).await?;
        Ok(after)
    }
}

/// A lesson that the principal sees.
async fn seen(unit: &mut Unit, principal: &Principal, lesson: LessonId) -> Result<Lesson> {
    let found = read::lesson(unit.tx(), lesson).await?;
    let sight = Sight::of(unit.tx(), principal).await?;
    if sight.sees(found.project_id, found.state) {
        return Ok(found);
    }
    Err(Refusal::not_found("lesson").into())
}

/// Another lesson that the principal sees, named in the request.
async fn other(
    unit: &mut Unit,
    principal: &Principal,
    lesson: LessonId,
    other: LessonId,
    at: &str,
) -> Result<Lesson> {
    if lesson == other {
        return Err(Refusal::invalid_at(at, "names the same lesson; name another one").into());
    }
    seen(unit, principal, other).await.map_err(|error| match error {
        Error::Refused(refusal) if refusal.code == Code::NotFound => {
            Refusal::invalid_at(at, "there is no such lesson").into()
        }
        other => other,
    })
}

async fn see_project(
    unit: &mut Unit,
    principal: &Principal,
    project: Option<ProjectId>,
) -> Result<()> {
    match project {
        None if principal.scope.projects.is_some() => {
            let detail = "your key is for single projects; name one of them";
            Err(Refusal::invalid_at("/project_id", detail).into())
        }
        None => Ok(()),
        Some(project) => {
            let there = !store::projects::existing(unit.tx(), &[project]).await?.is_empty();
            if there && principal.scope.sees(Some(project)) {
                return Ok(());
            }
            Err(Refusal::invalid_at("/project_id", "there is no such project").into())
        }
    }
}

/// A text that a person vouches for.
pub(super) fn of_person(unit: &Unit, principal: &Principal) -> NewText {
    NewText {
        id: None,
        kind: LessonKind::Howto,
        title: String::new(),
        body: String::new(),
        applies_to: Vec::new(),
        capabilities: Vec::new(),
        project: None,
        source: LessonSource::default(),
        origin: Origin::Person,
        outcome: None,
        trust: Trust::Person,
        state: None,
        external: false,
        learned_at: unit.now(),
        person: principal.person.clone(),
        key: Some(principal.key),
        supersedes: Vec::new(),
        follows: None,
    }
}

/// The next version of a lesson with the changed fields.
fn edited(
    unit: &Unit,
    principal: &Principal,
    before: &Lesson,
    change: &LessonChange,
) -> Result<NewText> {
    let text = NewText {
        kind: change.kind.unwrap_or(before.kind),
        title: change.title.clone().unwrap_or_else(|| before.title.clone()),
        body: change.body.clone().unwrap_or_else(|| before.body.clone()),
        applies_to: change.applies_to.clone().unwrap_or_else(|| before.applies_to.clone()),
        capabilities: change.capabilities.clone().unwrap_or_else(|| before.capabilities.clone()),
        ..next(unit, principal, before)
    };
    let mut checks = Checks::new();
    let detail = "digests are written by the service, and stay digests";
    let kept = (text.kind == LessonKind::Digest) == (before.kind == LessonKind::Digest);
    checks.ensure(kept, "/kind", detail);
    bounds::check(&mut checks, "", &text.title, &text.body, &text.applies_to);
    check_capabilities(&mut checks, &text.capabilities);
    checks.finish()?;
    Ok(text)
}

/// The next version of a lesson by a person. What is put away stays so.
fn next(unit: &Unit, principal: &Principal, before: &Lesson) -> NewText {
    let state = match before.state {
        LessonState::Archived | LessonState::Superseded => before.state,
        LessonState::Active | LessonState::Candidate | LessonState::Quarantined => {
            LessonState::Active
        }
    };
    NewText {
        kind: before.kind,
        title: before.title.clone(),
        body: before.body.clone(),
        applies_to: before.applies_to.clone(),
        capabilities: before.capabilities.clone(),
        project: before.project_id,
        source: before.source.clone(),
        outcome: before.outcome,
        state: Some(state),
        external: before.external,
        follows: Some((before.id, before.version)),
        ..of_person(unit, principal)
    }
}

async fn merged(
    unit: &mut Unit,
    principal: &Principal,
    before: &Lesson,
    with: &[LessonId],
) -> Result<Vec<Lesson>> {
    let mut checks = Checks::new();
    let distinct = with.iter().collect::<BTreeSet<_>>().len() == with.len();
    checks.ensure((1..=MERGED).contains(&with.len()), "/with", "names 1 to 20 lessons");
    checks.ensure(distinct, "/with", "names a lesson twice");
    checks.finish()?;
    let mut others = Vec::with_capacity(with.len());
    for (index, id) in with.iter().enumerate() {
        let at = pointer("/with", index);
        let found = other(unit, principal, before.id, *id, &at).await?;
        if found.project_id != before.project_id {
            let detail = "is of another project; promote both to the workspace first";
            return Err(Refusal::invalid_at(&at, detail).into());
        }
        others.push(found);
    }
    Ok(others)
}

fn merge(
    unit: &Unit,
    principal: &Principal,
    before: &Lesson,
    others: &[Lesson],
    request: &MergeRequest,
) -> Result<NewText> {
    let all = || std::iter::once(before).chain(others);
    let joined = || {
        let parts: Vec<String> =
            all().map(|one| format!("## {}\n\n{}", one.title, one.body)).collect();
        parts.join("\n\n")
    };
    let applies_to: BTreeSet<String> = all().flat_map(|one| one.applies_to.clone()).collect();
    let capabilities: BTreeSet<String> = all().flat_map(|one| one.capabilities.clone()).collect();
    let text = NewText {
        title: request.title.clone().unwrap_or_else(|| before.title.clone()),
        body: request.body.clone().unwrap_or_else(joined),
        applies_to: applies_to.into_iter().take(bounds::APPLIES_TO).collect(),
        capabilities: capabilities.into_iter().collect(),
        trust: standing::least(all().map(|one| one.trust)),
        supersedes: others.iter().map(|other| other.id).collect(),
        ..next(unit, principal, before)
    };
    let mut checks = Checks::new();
    bounds::check(&mut checks, "", &text.title, &text.body, &text.applies_to);
    checks.finish()?;
    Ok(text)
}

/// The id of the only text that was written.
fn only(written: Vec<super::write::Written>) -> Result<LessonId> {
    let Some(one) = written.into_iter().next() else {
        return Err(Refusal::invalid_at("", "there is nothing to write").into());
    };
    match one.became {
        Became::Written | Became::Quarantined | Became::Known => Ok(one.id),
        Became::Refused(secrets) => Err(refusal("", &secrets)),
    }
}

/// The refusal of a text with secrets.
pub(super) fn refusal(at: &str, secrets: &[(&'static str, String)]) -> crate::app::Error {
    let errors = secrets
        .iter()
        .map(|(place, detail)| FieldError::new(format!("{at}{place}"), detail.clone()));
    Refusal::invalid(errors.collect()).into()
}

fn record(unit: &mut Unit, kind: Kind, before: Option<&Lesson>, after: &Lesson) {
    let row = NewRow::new(kind).project(after.project_id).data(json!({"lesson_id": after.id}));
    let row = row.after(after);
    unit.record(match before {
        Some(before) => row.before(before),
        None => row,
    });
}
