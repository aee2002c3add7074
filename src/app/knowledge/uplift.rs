//! What lessons change: trials summed up, and what accepted answers saved.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::{
        App, Result,
        access::scope::see_project,
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        check::Checks,
        ids::ProjectId,
        knowledge::uplift::{Uplift, compare},
        refusal::Refusal,
        span::{Ends, Span},
    },
    store::{
        self,
        knowledge::trials::{Arms, TrialFilter},
    },
};

/// Which tasks are compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpliftAsk {
    /// Only tasks of this project.
    pub project: Option<ProjectId>,
    /// Only tasks first claimed at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only tasks first claimed before this time.
    pub until: Option<DateTime<Utc>>,
}

/// What accepted answers of earlier tasks saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Savings {
    /// Number of tasks that were closed with the result of an earlier one.
    #[schema(example = 14, minimum = 0)]
    pub answers: i64,
    /// What the earlier tasks had cost, in millionths of a US dollar.
    #[schema(example = 3_200_000, minimum = 0)]
    pub usd_micros: i64,
    /// Tokens that they had used.
    #[schema(example = 912_000, minimum = 0)]
    pub tokens: i64,
    /// Time that their attempts had taken, in milliseconds.
    #[schema(example = 5_400_000, minimum = 0)]
    pub wall_ms: i64,
}

/// What lessons change in the tasks that get them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UpliftReport {
    /// Tasks with lessons against those of the control group.
    #[serde(flatten)]
    pub uplift: Uplift,
    /// Tasks of both groups that have not ended; they are not compared yet.
    #[schema(example = 12, minimum = 0)]
    pub open: i64,
    /// What accepted answers saved.
    pub saved: Savings,
}

impl App {
    /// Compares tasks with lessons to those of the control group.
    ///
    /// # Errors
    /// `not_found` for a project that the caller does not see; `invalid`; `forbidden` for a key of single projects that
    /// names none.
    pub async fn lesson_uplift(
        &self,
        caller: &ProjectReaderCaller,
        ask: UpliftAsk,
    ) -> Result<UpliftReport> {
        let UpliftAsk { project, since, until } = ask;
        let principal = caller.principal();
        let mut checks = Checks::new();
        Span { from: since, to: until }.check(&mut checks, Ends("?since", "?until"));
        checks.finish()?;
        match project {
            Some(project) => see_project(principal, project)?,
            None if principal.scope.projects.is_none() => {}
            None => {
                let detail = "must be given: this key is for single projects";
                return Err(Refusal::invalid_at("?project_id", detail).into());
            }
        }
        let mut tx = self.reader(principal.workspace).await?;
        if let Some(project) = project
            && store::projects::existing(&mut tx, &[project]).await?.is_empty()
        {
            return Err(Refusal::not_found("project").into());
        }
        let filter = TrialFilter { project, since, until };
        let Arms { with, without, open } = store::knowledge::trials::arms(&mut tx, filter).await?;
        let saved = store::knowledge::answers::saved(&mut tx, filter).await?;
        Ok(UpliftReport {
            uplift: compare(&with, &without),
            open,
            saved: Savings {
                answers: saved.answers,
                usd_micros: saved.usd_micros,
                tokens: saved.tokens,
                wall_ms: saved.wall_ms,
            },
        })
    }
}
