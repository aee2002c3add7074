//! One report of spend in a batch.

use crate::{
    app::caller::Actor,
    domain::{
        ids::{AttemptId, WorkspaceId},
        spend::SpendReport,
        task::holder::Holder,
    },
};

/// One report in a batch.
#[derive(Debug, Clone)]
pub(in crate::app) struct SpendCommand {
    pub workspace: WorkspaceId,
    pub actor: Actor,
    pub holder: Holder,
    pub attempt: AttemptId,
    pub lease_sha256: [u8; 32],
    pub report: SpendReport,
}
