//! Lessons for planners: what is known of work like that of a brief.

use super::{context::pack_for, sight::Sight};
use crate::{
    app::{App, Result},
    domain::ids::{GoalId, WorkspaceId},
    store,
};

/// Most characters of a brief that are searched for: its first ones say what it is about.
const BRIEF: usize = 4_000;

impl App {
    /// Lessons for the plan of a goal as quoted reference, within `lesson_tokens` of the workspace: those of the
    /// workspace and of the project of the goal. `None`: none is found in time. A plan is made without them then.
    pub(in crate::app) async fn lessons_for_plan(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        title: &str,
        brief: &str,
    ) -> Option<String> {
        let search = self.search_for_plan(workspace, goal, title, brief);
        match tokio::time::timeout(4 * self.lesson_searches.within(), search).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, %goal, "a goal is planned without lessons");
                None
            }
            Err(_) => {
                tracing::warn!(%goal, "lessons for a plan were not found in time");
                None
            }
        }
    }

    async fn search_for_plan(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        title: &str,
        brief: &str,
    ) -> Result<Option<String>> {
        let Some(offer) = self.lesson_offer(workspace).await?.filter(|offer| offer.tokens > 0)
        else {
            return Ok(None);
        };
        let mut tx = self.reader(workspace).await?;
        let project = store::goals::project_of(&mut tx, goal).await?.flatten();
        let brief: String = brief.chars().take(BRIEF).collect();
        let text = format!("{title}\n{brief}");
        let sight = Sight::of_task(project);
        let tokens = offer.tokens.unsigned_abs();
        let pack = pack_for(&mut tx, &sight, &text, project, tokens, None).await?;
        Ok(Some(pack.text).filter(|text| !text.is_empty()))
    }
}
