//! Reading lessons.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{
    sight::Sight,
    views::{Lesson, LessonVersion},
};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        check::Checks,
        ids::{LessonId, ProjectId, TaskId},
        knowledge::{LessonKind, LessonState, Origin},
        refusal::Refusal,
        span::check_year,
    },
    store::{self, Tx, knowledge::lessons::ListFilter},
};

/// Filter of the list of lessons.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LessonFilter {
    /// Only lessons in this state. Default: active and candidate. Others are for people.
    pub state: Option<LessonState>,
    /// Only lessons of this kind.
    pub kind: Option<LessonKind>,
    /// Only lessons of this project.
    pub project_id: Option<ProjectId>,
    /// Only lessons that were learned from this task.
    pub task_id: Option<TaskId>,
    /// Only lessons by this origin.
    pub origin: Option<Origin>,
    /// `true`: only lessons that another contradicts.
    #[serde(default)]
    pub contradicted: bool,
    /// `true`: only lessons that no attempt was ever given.
    #[serde(default)]
    pub never_shown: bool,
    /// Only lessons that were neither learned, confirmed nor given to an attempt since this time.
    pub stale_since: Option<DateTime<Utc>>,
}

/// These lessons, by id. Unknown ids are left out.
pub(in crate::app) async fn lessons(
    tx: &mut Tx,
    ids: &[LessonId],
) -> Result<HashMap<LessonId, Lesson>> {
    let rows = store::knowledge::lessons::read(tx, ids).await?;
    Ok(rows.into_iter().map(|(id, row)| (id, row.into())).collect())
}

/// One lesson.
pub(in crate::app) async fn lesson(tx: &mut Tx, id: LessonId) -> Result<Lesson> {
    let found = lessons(tx, &[id]).await?.remove(&id);
    Ok(found.ok_or_else(|| Refusal::not_found("lesson"))?)
}

impl App {
    /// Reads a lesson.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_lesson(&self, caller: &ProjectReaderCaller, id: LessonId) -> Result<Lesson> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let found = lesson(&mut tx, id).await?;
        let sight = Sight::of(&mut tx, caller.principal()).await?;
        if sight.sees(found.project_id, found.state) {
            return Ok(found);
        }
        Err(Refusal::not_found("lesson").into())
    }

    /// Up to `rows` versions of a lesson before `before`, newest first.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn list_lesson_versions(
        &self,
        caller: &ProjectReaderCaller,
        id: LessonId,
        before: Option<i32>,
        rows: u32,
    ) -> Result<Vec<LessonVersion>> {
        self.get_lesson(caller, id).await?;
        let mut tx = self.reader(caller.principal().workspace).await?;
        let before = before.unwrap_or(i32::MAX);
        let rows = store::knowledge::versions::of(&mut tx, id, before, rows.into()).await?;
        Ok(rows.into_iter().map(LessonVersion::from).collect())
    }

    /// Up to `rows` lessons after `after`, newest first.
    ///
    /// # Errors
    /// `invalid` for a time of no known year.
    pub async fn list_lessons(
        &self,
        caller: &ProjectReaderCaller,
        filter: &LessonFilter,
        after: Option<LessonId>,
        rows: u32,
    ) -> Result<Vec<Lesson>> {
        let mut checks = Checks::new();
        if let Some(since) = filter.stale_since {
            check_year(&mut checks, "?stale_since", since);
        }
        checks.finish()?;
        let mut tx = self.reader(caller.principal().workspace).await?;
        let sight = Sight::of(&mut tx, caller.principal()).await?;
        let Some(filter) = narrowed(&sight, filter) else { return Ok(Vec::new()) };
        let rows = store::knowledge::lessons::list(&mut tx, &filter, after, rows.into()).await?;
        Ok(rows.into_iter().map(Lesson::from).collect())
    }
}

/// The filter within what the caller sees; `None`: nothing of it.
fn narrowed(sight: &Sight, filter: &LessonFilter) -> Option<ListFilter> {
    let asked = filter
        .state
        .map_or_else(|| vec![LessonState::Active, LessonState::Candidate], |state| vec![state]);
    let open = |state: &LessonState| matches!(state, LessonState::Active | LessonState::Candidate);
    let states: Vec<String> = asked
        .iter()
        .filter(|state| sight.is_person() || open(state))
        .map(|state| state.as_str().to_owned())
        .collect();
    (!states.is_empty()).then(|| ListFilter {
        states,
        kinds: filter.kind.iter().map(|kind| kind.as_str().to_owned()).collect(),
        project: filter.project_id,
        only: sight.projects(),
        workspace: sight.sees_workspace(),
        source_task: filter.task_id,
        origin: filter.origin,
        contradicted: filter.contradicted,
        never_shown: filter.never_shown,
        stale_since: filter.stale_since,
    })
}
