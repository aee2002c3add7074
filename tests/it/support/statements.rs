//! Counting the statements of the service.

use std::sync::{Arc, LazyLock, Mutex};

use tracing::{
    Dispatch, Subscriber,
    span::{Attributes, Id},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    filter::LevelFilter,
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

/// Hears the spans and events of this thread until the guard is dropped, and misses none.
///
/// While a process has one subscriber, a place in the code that is reached for the first time asks only
/// the subscriber of the thread that reached it, and keeps the answer for every thread: the place would be
/// silent for this test because another test, without a subscriber, came first. With two, all are asked.
/// So there is always one more, which wants to hear nothing.
pub fn hear(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    static ANOTHER: LazyLock<Dispatch> =
        LazyLock::new(|| Dispatch::new(tracing_subscriber::registry().with(LevelFilter::OFF)));
    LazyLock::force(&ANOTHER);
    tracing::subscriber::set_default(subscriber)
}

impl Statements {
    /// Records the statements of this thread, on which a test runs with everything that it starts.
    pub fn record() -> Self {
        let names = Names::default();
        let recorder = tracing_subscriber::registry().with(names.clone());
        Self { names, _recording: hear(recorder) }
    }

    pub fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.names.0.lock().unwrap())
    }
}
