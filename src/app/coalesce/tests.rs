//! Batches held at a gate show what collects meanwhile: no test sleeps.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::{future::join_all, poll};
use proptest::prelude::*;
use tokio::sync::Semaphore;

use super::{Batched, Coalescer, Limits};
use crate::{
    app::{Error, Result},
    domain::refusal::{Code, Refusal},
};

mod rest;

/// A command answered with its own number, in the way its kind says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Echo {
    number: u32,
    group: u8,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fine,
    Refused,
    /// The database refuses every batch that it is in.
    Poison,
    /// Its batch fails in a way that leaves open whether it was committed.
    Unclear,
    Panics,
    Miscounts,
}

#[derive(Clone)]
struct Desk {
    gate: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<Vec<Echo>>>>,
    at_work: Arc<AtomicUsize>,
    most_at_work: Arc<AtomicUsize>,
}

impl Desk {
    fn closed() -> Self {
        Self {
            gate: Arc::new(Semaphore::new(0)),
            batches: Arc::default(),
            at_work: Arc::default(),
            most_at_work: Arc::default(),
        }
    }

    fn open() -> Self {
        let desk = Self::closed();
        desk.gate.add_permits(Semaphore::MAX_PERMITS);
        desk
    }

    fn batches(&self) -> Vec<Vec<u32>> {
        let batches = self.batches.lock().unwrap();
        batches.iter().map(|batch| batch.iter().map(|echo| echo.number).collect()).collect()
    }
}

#[derive(Debug)]
struct DatabaseSaysNo;

impl std::fmt::Display for DatabaseSaysNo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("out of range")
    }
}
impl std::error::Error for DatabaseSaysNo {}
impl sqlx::error::DatabaseError for DatabaseSaysNo {
    fn message(&self) -> &str {
        "out of range"
    }
    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }
    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }
    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }
    fn kind(&self) -> sqlx::error::ErrorKind {
        sqlx::error::ErrorKind::Other
    }
}

impl Batched for Echo {
    type Context = Desk;
    type Group = u8;
    type Answer = u32;
    const KIND: &'static str = "echo";

    fn group(&self) -> u8 {
        self.group
    }

    async fn run(desk: Desk, group: u8, batch: Vec<Self>) -> Result<Vec<Result<u32>>> {
        assert!(batch.iter().all(|echo| echo.group == group));
        let now = desk.at_work.fetch_add(1, Ordering::SeqCst) + 1;
        desk.most_at_work.fetch_max(now, Ordering::SeqCst);
        desk.batches.lock().unwrap().push(batch.clone());
        desk.gate.acquire().await.unwrap().forget();
        desk.at_work.fetch_sub(1, Ordering::SeqCst);
        let has = |kind| batch.iter().any(|echo| echo.kind == kind);
        assert!(!has(Kind::Panics), "a batch panics on purpose");
        if has(Kind::Poison) {
            return Err(sqlx::Error::Database(Box::new(DatabaseSaysNo)).into());
        }
        if has(Kind::Unclear) {
            return Err(Error::Unavailable("the connection broke".into()));
        }
        let mut answers: Vec<Result<u32>> = batch
            .iter()
            .map(|echo| match echo.kind {
                Kind::Refused => Err(Refusal::new(Code::NotFound, "no").into()),
                _ => Ok(echo.number),
            })
            .collect();
        if has(Kind::Miscounts) {
            answers.pop();
        }
        Ok(answers)
    }
}

fn one_lane() -> Coalescer<Echo> {
    Coalescer::new(Limits { in_flight: 1, batch: 100, queue: 1000, ..Limits::default() })
}

fn echo(number: u32) -> Echo {
    Echo { number, group: 0, kind: Kind::Fine }
}

fn with(number: u32, kind: Kind) -> Echo {
    Echo { number, group: 0, kind }
}

/// Lets spawned tasks go as far as they can.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_command_is_a_batch_of_one() {
    let desk = Desk::open();
    assert_eq!(one_lane().submit(&desk, echo(7)).await.unwrap(), 7);
    assert_eq!(desk.batches(), [[7]]);
}

#[tokio::test]
async fn what_comes_meanwhile_becomes_the_next_batch() {
    let (desk, coalescer) = (Desk::closed(), one_lane());
    let mut first = pin!(coalescer.submit(&desk, echo(0)));
    assert!(poll!(first.as_mut()).is_pending());
    settle().await;
    let others = join_all((1..=5).map(|number| coalescer.submit(&desk, echo(number))));
    let mut others = pin!(others);
    assert!(poll!(others.as_mut()).is_pending());

    desk.gate.add_permits(2);
    assert_eq!(first.await.unwrap(), 0);
    let answers: Vec<u32> = others.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [1, 2, 3, 4, 5]);
    assert_eq!(desk.batches(), [vec![0], vec![1, 2, 3, 4, 5]]);
}

#[tokio::test]
async fn groups_keep_apart_and_take_turns() {
    let desk = Desk::closed();
    let coalescer =
        Coalescer::new(Limits { in_flight: 1, batch: 2, queue: 100, ..Limits::default() });
    let of = |number, group| Echo { number, group, kind: Kind::Fine };
    let commands = [of(0, 0), of(1, 1), of(2, 1), of(3, 1), of(4, 2), of(5, 1)];
    let mut all = pin!(join_all(commands.map(|command| coalescer.submit(&desk, command))));
    assert!(poll!(all.as_mut()).is_pending());
    desk.gate.add_permits(100);
    all.await;
    assert_eq!(desk.batches(), [vec![0], vec![1, 2], vec![4], vec![3, 5]]);
}

#[tokio::test]
async fn a_full_queue_refuses_and_does_nothing() {
    let desk = Desk::closed();
    let coalescer =
        Coalescer::new(Limits { in_flight: 1, batch: 10, queue: 2, ..Limits::default() });
    let mut first = pin!(coalescer.submit(&desk, echo(0)));
    assert!(poll!(first.as_mut()).is_pending());
    settle().await;
    let mut waiting = pin!(join_all([1, 2].map(|n| coalescer.submit(&desk, echo(n)))));
    assert!(poll!(waiting.as_mut()).is_pending());

    let refused = coalescer.submit(&desk, echo(3)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);

    desk.gate.add_permits(2);
    assert!(waiting.await.iter().all(Result::is_ok));
    assert_eq!(desk.batches(), [vec![0], vec![1, 2]]);
}

#[tokio::test]
async fn a_caller_who_goes_away_disturbs_nobody() {
    let (desk, coalescer) = (Desk::closed(), one_lane());
    let mut at_work = Box::pin(coalescer.submit(&desk, echo(0)));
    assert!(poll!(at_work.as_mut()).is_pending());
    settle().await;
    let mut waits = Box::pin(coalescer.submit(&desk, echo(1)));
    assert!(poll!(waits.as_mut()).is_pending());
    let mut stays = pin!(coalescer.submit(&desk, echo(2)));
    assert!(poll!(stays.as_mut()).is_pending());

    drop(at_work);
    drop(waits);
    desk.gate.add_permits(2);
    assert_eq!(stays.await.unwrap(), 2);
    assert_eq!(desk.batches(), [[0], [2]], "what had begun was done, what had not was not");
}

/// Submits the commands so that all of them share a batch, and returns their answers.
async fn in_one_batch(commands: Vec<Echo>) -> (Vec<Result<u32>>, Vec<Vec<u32>>) {
    let (desk, coalescer) = (Desk::closed(), one_lane());
    let mut first = pin!(coalescer.submit(&desk, echo(0)));
    assert!(poll!(first.as_mut()).is_pending());
    settle().await;
    let all = join_all(commands.into_iter().map(|command| coalescer.submit(&desk, command)));
    let mut all = pin!(all);
    assert!(poll!(all.as_mut()).is_pending());
    desk.gate.add_permits(100);
    let answers = all.await;
    let after = coalescer.submit(&desk, echo(99)).await;
    assert_eq!(after.unwrap(), 99, "the coalescer goes on");
    let batches = desk.batches();
    (answers, batches[1..batches.len() - 1].to_vec())
}

#[tokio::test]
async fn a_refused_command_does_not_disturb_its_neighbours() {
    let (answers, batches) = in_one_batch(vec![echo(1), with(2, Kind::Refused), echo(3)]).await;
    assert_eq!(answers[0].as_ref().unwrap(), &1);
    assert_eq!(answers[1].as_ref().unwrap_err().code(), Code::NotFound);
    assert_eq!(answers[2].as_ref().unwrap(), &3);
    assert_eq!(batches, [[1, 2, 3]]);
}

#[tokio::test]
async fn a_command_that_the_database_refuses_hurts_only_itself() {
    let (answers, batches) = in_one_batch(vec![echo(1), with(2, Kind::Poison), echo(3)]).await;
    assert_eq!(answers[0].as_ref().unwrap(), &1);
    assert_eq!(answers[1].as_ref().unwrap_err().code(), Code::Internal);
    assert_eq!(answers[2].as_ref().unwrap(), &3);
    assert_eq!(batches, [vec![1, 2, 3], vec![1], vec![2], vec![3]]);
}

#[tokio::test]
async fn a_batch_that_may_have_been_committed_is_not_done_again() {
    for (kind, code) in [
        (Kind::Unclear, Code::Unavailable),
        (Kind::Panics, Code::Internal),
        (Kind::Miscounts, Code::Internal),
    ] {
        let (answers, batches) = in_one_batch(vec![echo(1), with(2, kind), echo(3)]).await;
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap_err().code() == code));
        assert_eq!(batches, [[1, 2, 3]]);
    }
}

#[tokio::test]
async fn drains_what_it_took_and_takes_no_more() {
    let (desk, coalescer) = (Desk::closed(), one_lane());
    let mut all = pin!(join_all([0, 1, 2].map(|n| coalescer.submit(&desk, echo(n)))));
    assert!(poll!(all.as_mut()).is_pending());
    let mut drained = pin!(coalescer.drain());
    assert!(poll!(drained.as_mut()).is_pending());

    let late = coalescer.submit(&desk, echo(3)).await.unwrap_err();
    assert_eq!(late.code(), Code::Unavailable);
    desk.gate.add_permits(100);
    drained.await;
    let Poll::Ready(answers) = poll!(all.as_mut()) else { panic!("drained before answered") };
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_runtime_that_ends_leaves_nobody_waiting() {
    let (desk, coalescer) = (Desk::closed(), one_lane());
    let elsewhere = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let waits = elsewhere.spawn({
        let (desk, coalescer) = (desk.clone(), coalescer.clone());
        async move { coalescer.submit(&desk, echo(0)).await }
    });
    elsewhere.shutdown_background();
    assert!(waits.await.is_err());
    drop(coalescer);
    assert_eq!(Arc::strong_count(&desk.gate), 1, "nothing holds on to the context");
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        8 => Just(Kind::Fine),
        2 => Just(Kind::Refused),
        1 => Just(Kind::Poison),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is submitted in whatever groups, with some callers gone before and some after
    /// their batch began: everybody who stays gets the own answer, nothing is done twice, and no
    /// limit is passed.
    #[test]
    fn everybody_who_stays_gets_the_own_answer(
        commands in proptest::collection::vec((0u8..3, kinds(), any::<bool>()), 1..60),
        in_flight in 1usize..4,
        batch in 1usize..8,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(async {
            let desk = Desk::open();
            let coalescer = Coalescer::new(Limits { in_flight, batch, queue: 1000, ..Limits::default() });
            let mut stayed = Vec::new();
            for (number, (group, kind, stays)) in commands.iter().copied().enumerate() {
                let command = Echo { number: number as u32, group, kind };
                let (desk, coalescer) = (desk.clone(), coalescer.clone());
                let caller = tokio::spawn(async move { coalescer.submit(&desk, command).await });
                if stays { stayed.push((command, caller)) } else { caller.abort() }
            }
            for (command, caller) in stayed {
                match (command.kind, caller.await.unwrap()) {
                    (Kind::Fine, Ok(number)) => assert_eq!(number, command.number),
                    (Kind::Refused, Err(error)) => assert_eq!(error.code(), Code::NotFound),
                    (Kind::Poison, Err(error)) => assert_eq!(error.code(), Code::Internal),
                    (kind, answer) => panic!("{kind:?} was answered {answer:?}"),
                }
            }
            coalescer.drain().await;
            let batches = desk.batches.lock().unwrap();
            assert!(batches.iter().all(|one| one.len() <= batch));
            assert!(desk.most_at_work.load(Ordering::SeqCst) <= in_flight);
            let clean = batches.iter().filter(|one| one.iter().all(|e| e.kind != Kind::Poison));
            let done: Vec<u32> = clean.flatten().map(|echo| echo.number).collect();
            let once: HashSet<u32> = done.iter().copied().collect();
            assert_eq!(once.len(), done.len(), "nothing is done twice");
        });
    }
}

#[tokio::test]
async fn a_batch_that_takes_too_long_is_given_up_and_the_next_has_its_place() {
    let patience = Duration::from_millis(10);
    let limits = Limits { in_flight: 1, patience, ..Limits::default() };
    let (desk, coalescer) = (Desk::closed(), Coalescer::new(limits));
    for number in 0..3 {
        let error = coalescer.submit(&desk, echo(number)).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
    }
    desk.gate.add_permits(1);
    assert_eq!(coalescer.submit(&desk, echo(7)).await.unwrap(), 7);
}
