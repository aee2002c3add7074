//! The caps of a workspace: counted in the unit that creates something, shown to everybody.

use super::{
    App, Result, Unit,
    caller::{Caller as _, SelfCaller},
    unit::holdings::Caps,
};
use crate::{
    domain::{
        cap::workspace::{Holding, WorkspaceCaps, WorkspaceUse},
        words::Words as _,
    },
    store::Tx,
};

/// Refuses `more` of something that the unit is about to create.
///
/// # Errors
/// `workspace_full`.
pub(in crate::app) async fn admit(unit: &mut Unit, holding: Holding, more: usize) -> Result<()> {
    let caps = unit.caps().clone();
    let used = caps.used(unit.tx(), holding).await?;
    let more = u64::try_from(more).unwrap_or(u64::MAX);
    Ok(caps.limits.admit(holding, used, more)?)
}

/// What the workspace of `tx` holds.
pub(in crate::app) async fn uses(tx: &mut Tx, caps: &Caps) -> Result<Vec<WorkspaceUse>> {
    let mut uses = Vec::with_capacity(Holding::ALL.len());
    for name in Holding::ALL {
        let used = caps.used(tx, *name).await?;
        uses.push(WorkspaceUse { name: *name, limit: caps.limits.of(*name), used });
    }
    Ok(uses)
}

impl App {
    /// The same app with other caps.
    #[must_use]
    pub fn capped(self, limits: WorkspaceCaps) -> Self {
        Self { caps: Caps::new(limits), ..self }
    }

    /// What the caller's workspace holds and may hold. Empty for a key with a scope, which sees nothing of the
    /// workspace as a whole.
    pub async fn workspace_uses(&self, caller: &SelfCaller) -> Result<Vec<WorkspaceUse>> {
        if !caller.principal().scope.is_whole() {
            return Ok(Vec::new());
        }
        uses(&mut self.reader(caller.principal().workspace).await?, &self.caps).await
    }
}
