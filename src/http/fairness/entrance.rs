//! The entrance: the order in which requests begin.
//!
//! The runtime works on requests in the order of their arrival. Ten thousand that arrive at once, each
//! refused at once, would keep the next one waiting for a second. So a request begins when it is the turn of
//! its lane: the workspace of a key that was valid a moment ago, or else the address. It has its turn until
//! it waits for the first time; from then on the pools limit it.

use std::{pin::pin, thread::available_parallelism};

use super::Lane;
use crate::turns::Turns;

/// Requests that may begin at a time, for each processor: one begins while the next one is woken.
const PER_PROCESSOR: usize = 2;

/// The entrance of this process.
#[derive(Debug)]
pub(super) struct Entrance(Turns<Lane>);

impl Entrance {
    pub fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        let places = processors * PER_PROCESSOR;
        Self(Turns::ordered(places))
    }

    /// Runs `request`, which begins when it is the turn of `lane`.
    pub async fn begin<T>(&self, lane: Lane, request: impl Future<Output = T>) -> T {
        let mut turn = Some(self.0.take(lane).await);
        let mut request = pin!(request);
        std::future::poll_fn(move |cx| {
            let polled = request.as_mut().poll(cx);
            drop(turn.take());
            polled
        })
        .await
    }
}
