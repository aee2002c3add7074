//! The id of a request.

use std::sync::Arc;

/// The id of a request, for handlers that write it down.
#[derive(Debug, Clone, Default)]
pub struct RequestId(pub Arc<str>);
