//! One heartbeat in a batch.

use serde_json::Value;

use crate::{
    app::caller::Actor,
    domain::{
        ids::{AttemptId, CommentId, WorkspaceId},
        loops::Window,
        spend::SpendReport,
        task::holder::Holder,
    },
};

/// One heartbeat in a batch.
#[derive(Debug, Clone)]
pub(in crate::app) struct HeartbeatCommand {
    pub workspace: WorkspaceId,
    pub actor: Actor,
    pub holder: Holder,
    pub attempt: AttemptId,
    pub lease_sha256: [u8; 32],
    pub progress: Option<Value>,
    pub steps: Window,
    pub checkpoint: Option<Value>,
    pub spend: SpendReport,
    /// The comments that it acknowledges.
    pub seen: Vec<CommentId>,
}

/// Group of heartbeats that share batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::app) struct Lane {
    pub workspace: WorkspaceId,
    pub reports: bool,
}
