//! Archiving budgets that bound no open work.
//!
//! An archived budget keeps its limits: it is left out of lists, and nothing else. To end a limit, an operator
//! removes it. So work that begins later below an archived budget of an agent, a project or the workspace is
//! bounded as before, and no budget is exceeded because somebody tidied up.

use super::{create::about, read, views::Budget};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, OperatorCaller},
    },
    domain::{archive, ids::BudgetId, journal::Kind},
    store,
};

impl App {
    /// Archives a budget. Archiving it again changes nothing.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` if it has limits and open work below its node.
    pub async fn archive_budget(
        &self,
        caller: &OperatorCaller,
        budget: BudgetId,
    ) -> Result<Budget> {
        self.put_budget(caller, budget, true).await
    }

    /// Puts an archived budget back into the lists. Doing so again changes nothing.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn unarchive_budget(
        &self,
        caller: &OperatorCaller,
        budget: BudgetId,
    ) -> Result<Budget> {
        self.put_budget(caller, budget, false).await
    }

    async fn put_budget(
        &self,
        caller: &OperatorCaller,
        budget: BudgetId,
        archived: bool,
    ) -> Result<Budget> {
        let principal = caller.principal();
        let mut unit = self.begin_alone(principal.workspace, principal.actor()).await?;
        let before = read(&mut unit, budget).await?;
        if before.archived_at.is_some() == archived {
            self.undo(unit).await?;
            return Ok(before);
        }
        let (node, node_id) = (before.node, before.node_id);
        let kind = if archived {
            let open = store::budgets::read::open_work(unit.tx(), node, node_id).await?;
            archive::budget(before.limits.len(), open)?;
            Kind::BudgetArchived
        } else {
            Kind::BudgetUnarchived
        };
        store::budgets::set_archived(unit.tx(), budget, archived).await?;
        let after = read(&mut unit, budget).await?;
        let data = serde_json::json!({"budget_id": budget, "node": node, "node_id": node_id});
        unit.record(about(kind, node, node_id).before(&before).after(&after).data(data));
        self.commit(unit).await?;
        Ok(after)
    }
}
