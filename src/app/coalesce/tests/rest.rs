//! Kinds whose batches begin a while apart.

use std::time::Duration;

use futures_util::future::join_all;

use super::{Desk, Echo, echo};
use crate::{
    app::{
        Result,
        coalesce::{Coalescer, Limits},
    },
    clock::Stopwatch,
};

/// What comes while a group rests is one batch, and another group does not rest with it.
#[tokio::test]
async fn a_kind_in_no_hurry_is_done_in_fewer_batches() {
    let apart = Duration::from_millis(200);
    let coalescer = Coalescer::new(Limits { apart, in_flight: 1, ..Limits::default() });
    let desk = Desk::open();
    let began = Stopwatch::start();
    coalescer.submit(&desk, echo(1)).await.unwrap();
    let others = [echo(2), Echo { group: 1, ..echo(3) }, echo(4)];
    let answers = join_all(others.map(|echo| coalescer.submit(&desk, echo))).await;
    assert_eq!(answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(began.elapsed() >= apart, "the group did not rest");
    assert_eq!(desk.batches(), [vec![1], vec![3], vec![2, 4]]);
    coalescer.drain().await;
}

/// However long a group would rest, a full batch does not wait for that.
#[tokio::test]
async fn a_full_batch_ends_a_rest() {
    let apart = Duration::from_secs(3600);
    let limits = Limits { apart, in_flight: 1, batch: 3, ..Limits::default() };
    let (desk, coalescer) = (Desk::open(), Coalescer::new(limits));
    coalescer.submit(&desk, echo(0)).await.unwrap();
    let answers = (1..=6).map(|number| coalescer.submit(&desk, echo(number)));
    let answers = tokio::time::timeout(Duration::from_secs(10), join_all(answers)).await;
    assert!(answers.expect("they waited").iter().all(Result::is_ok));
    assert_eq!(desk.batches(), [vec![0], vec![1, 2, 3], vec![4, 5, 6]]);
}
