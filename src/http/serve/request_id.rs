//! The id of a request, between the layer that assigns it and the handlers that record it.

use std::sync::Arc;

/// The id of a request: an extension that [`super::layers`] adds to every request, equal to the
/// `X-Request-Id` header of its answer.
#[derive(Debug, Clone, Default)]
pub struct RequestId(pub Arc<str>);
