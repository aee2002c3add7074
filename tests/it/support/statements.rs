//! Counting the statements of the service.

use std::sync::{Arc, Mutex};

use tracing::{
    Subscriber,
    span::{Attributes, Id},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
};

/// The statements on this thread since they were last taken, by the names of their spans.
pub struct Statements {
    names: Names,
    _recording: DefaultGuard,
}

#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<&'static str>>>);

impl<S: Subscriber> Layer<S> for Names {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        // Only spans of statements have a number of rows.
        if span.metadata().fields().field("rows").is_some() {
            self.0.lock().unwrap().push(span.metadata().name());
        }
    }
}

impl Statements {
    /// Records the statements of this thread, on which a test runs with everything that it starts.
    pub fn record() -> Self {
        let names = Names::default();
        let recorder = tracing_subscriber::registry().with(names.clone());
        Self { names, _recording: tracing::subscriber::set_default(recorder) }
    }

    pub fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.names.0.lock().unwrap())
    }
}
