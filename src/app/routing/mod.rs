//! Routing between agents: what is believed of them, and why tasks were assigned as they were.
//!
//! Claims read what is believed from memory ([`Routes`]) and add one statement, the rows of the assignments. A
//! second one runs only if a task may be left for an agent that did not ask: it looks at the work of that agent. Duties
//! learn from the ends of attempts behind the commit, and make the beliefs of their process anew.

pub(in crate::app) mod claims;
pub(in crate::app) mod learn;
pub mod report;
pub mod views;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    App, Result,
    caller::{Caller as _, ReportCaller},
};
use crate::{
    domain::{
        ids::{AttemptId, WorkspaceId},
        routing::beliefs::Beliefs,
    },
    store,
};
use views::Assignment;

pub use crate::store::routing::assignments::AssignmentFilter;

/// What is believed of the agents of each workspace, in this process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Routes(Arc<Mutex<HashMap<WorkspaceId, Believed>>>);

#[derive(Clone, Debug, Default)]
struct Believed {
    beliefs: Arc<Beliefs>,
    /// Number of the newest row of the journal when they were made.
    number: i64,
}

impl Routes {
    /// What is believed of the agents of a workspace; nothing before the first run of the duty.
    pub fn beliefs(&self, workspace: WorkspaceId) -> Arc<Beliefs> {
        let all = self.lock();
        all.get(&workspace).map(|believed| Arc::clone(&believed.beliefs)).unwrap_or_default()
    }

    /// Number of the newest row of the journal when the beliefs were made.
    fn number(&self, workspace: WorkspaceId) -> Option<i64> {
        self.lock().get(&workspace).map(|believed| believed.number)
    }

    fn set(&self, workspace: WorkspaceId, beliefs: Beliefs, number: i64) {
        self.lock().insert(workspace, Believed { beliefs: Arc::new(beliefs), number });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Believed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// Up to `rows` assignments after `after`, newest first.
    pub async fn list_assignments(
        &self,
        caller: &ReportCaller,
        filter: AssignmentFilter,
        after: Option<AttemptId>,
        rows: u32,
    ) -> Result<Vec<Assignment>> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let rows =
            store::routing::assignments::list(&mut tx, filter, after, i64::from(rows)).await?;
        Ok(rows.into_iter().map(Assignment::from).collect())
    }
}
