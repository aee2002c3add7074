//! Numbers about the lessons of a workspace: how they grow, and what needs a look.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};

use super::sight::Sight;
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ProjectReaderCaller},
    },
    store,
};

/// Days of growth.
const DAYS: i64 = 30;
/// Days after which a lesson that was neither learned, confirmed nor shown is stale.
const STALE_DAYS: i64 = 180;

/// Lessons of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LessonGrowth {
    /// The day, UTC.
    pub day: NaiveDate,
    /// Lessons written on it.
    pub written: i64,
    /// Those of them that the service wrote about ended tasks.
    pub digests: i64,
}

/// Numbers about the lessons that the caller sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LessonStatistics {
    /// Number of lessons, in every state.
    pub lessons: i64,
    /// Their number by state.
    pub states: BTreeMap<String, i64>,
    /// Their number by kind.
    pub kinds: BTreeMap<String, i64>,
    /// Lessons that resemble another one, without the first of each cluster.
    pub duplicates: i64,
    /// Lessons that another contradicts.
    pub contradicted: i64,
    /// Active lessons and candidates that no attempt was ever given.
    pub never_shown: i64,
    /// Active lessons and candidates that were neither learned, confirmed nor given to an attempt for 180 days.
    pub stale: i64,
    /// Lessons with more harmful than helpful verdicts.
    pub disliked: i64,
    /// Lessons by day, the last 30 days; days without any are left out.
    pub growth: Vec<LessonGrowth>,
}

impl App {
    /// Counts the lessons that the caller sees.
    pub async fn lesson_statistics(
        &self,
        caller: &ProjectReaderCaller,
    ) -> Result<LessonStatistics> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let sight = Sight::of(&mut tx, caller.principal()).await?;
        let (projects, workspace) = (sight.projects(), sight.sees_workspace());
        let projects = projects.as_deref();
        let stale = tx.now - TimeDelta::days(STALE_DAYS);
        let groups = store::knowledge::counts::groups(&mut tx, projects, workspace).await?;
        let flags = store::knowledge::counts::flags(&mut tx, projects, workspace, stale).await?;
        let since = tx.now - TimeDelta::days(DAYS);
        let growth = store::knowledge::counts::growth(&mut tx, projects, workspace, since).await?;
        let (mut states, mut kinds) = (BTreeMap::new(), BTreeMap::new());
        for group in groups {
            *states.entry(group.state.to_string()).or_default() += group.lessons;
            *kinds.entry(group.kind.to_string()).or_default() += group.lessons;
        }
        Ok(LessonStatistics {
            lessons: states.values().sum(),
            states,
            kinds,
            duplicates: flags.duplicates,
            contradicted: flags.contradicted,
            never_shown: flags.never_shown,
            stale: flags.stale,
            disliked: flags.disliked,
            growth: growth
                .into_iter()
                .map(|(day, written, digests)| LessonGrowth { day, written, digests })
                .collect(),
        })
    }
}
