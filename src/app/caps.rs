//! The caps of a workspace: counted in the unit that creates something, shown to everybody.

use super::{
    App, Result, Unit,
    caller::{Caller as _, SelfCaller},
};
use crate::{
    domain::{
        cap::workspace::{Holding, WorkspaceCaps, WorkspaceUse},
        words::Words as _,
    },
    store::{self, Tx},
};

/// Refuses `more` of something that the unit is about to create.
///
/// # Errors
/// `workspace_full`.
pub(in crate::app) async fn admit(unit: &mut Unit, holding: Holding, more: usize) -> Result<()> {
    let used = used(unit.tx(), holding).await?;
    let more = u64::try_from(more).unwrap_or(u64::MAX);
    Ok(unit.caps().admit(holding, used, more)?)
}

async fn used(tx: &mut Tx, holding: Holding) -> Result<u64> {
    Ok(store::usage::held(tx, holding).await?.unsigned_abs())
}

/// What the workspace of `tx` holds.
pub(in crate::app) async fn uses(tx: &mut Tx, caps: WorkspaceCaps) -> Result<Vec<WorkspaceUse>> {
    let mut uses = Vec::with_capacity(Holding::ALL.len());
    for name in Holding::ALL {
        let used = used(tx, *name).await?;
        uses.push(WorkspaceUse { name: *name, limit: caps.of(*name), used });
    }
    Ok(uses)
}

impl App {
    /// The same app with other caps.
    #[must_use]
    pub fn capped(self, caps: WorkspaceCaps) -> Self {
        Self { caps, ..self }
    }

    /// What the caller's workspace holds and may hold. Empty for a key with a scope, which sees nothing of the
    /// workspace as a whole.
    pub async fn workspace_uses(&self, caller: &SelfCaller) -> Result<Vec<WorkspaceUse>> {
        if !caller.principal().scope.is_whole() {
            return Ok(Vec::new());
        }
        uses(&mut self.reader(caller.principal().workspace).await?, self.caps).await
    }
}
