//! Random lives of one task, on the pure rules alone: the caller that writes the endings down is
//! played by a few lines here.

use chrono::TimeDelta;
use proptest::prelude::*;
use uuid::Uuid;

use super::release::{Released, release};
use crate::domain::{approval::review::review, ids::AgentId, task::*, words::Words as _};

const LEASE: [u8; 32] = [7; 32];

/// What may happen next; `attempt` is any attempt that there ever was.
#[derive(Debug, Clone)]
enum Happening {
    Claim,
    Beat { attempt: prop::sample::Index },
    Complete { attempt: prop::sample::Index },
    Fail { attempt: prop::sample::Index, class: FailureClass, retryable: Option<bool> },
    Release { attempt: prop::sample::Index },
    Park { attempt: prop::sample::Index },
    Resume,
    Review { accepted: bool },
    Sweep,
    AskToCancel,
    ForceCancel,
    TakeBack,
    Pass { seconds: i64 },
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let attempt = || any::<prop::sample::Index>();
    prop_oneof![
        6 => Just(H::Claim),
        2 => attempt().prop_map(|attempt| H::Beat { attempt }),
        2 => attempt().prop_map(|attempt| H::Complete { attempt }),
        4 => (attempt(), prop::sample::select(FailureClass::ALL), any::<Option<bool>>())
            .prop_map(|(attempt, class, retryable)| H::Fail { attempt, class, retryable }),
        2 => attempt().prop_map(|attempt| H::Release { attempt }),
        2 => attempt().prop_map(|attempt| H::Park { attempt }),
        2 => Just(H::Resume),
        2 => any::<bool>().prop_map(|accepted| H::Review { accepted }),
        3 => Just(H::Sweep),
        1 => Just(H::AskToCancel),
        1 => Just(H::ForceCancel),
        1 => Just(H::TakeBack),
        4 => (1i64..200).prop_map(|seconds| H::Pass { seconds }),
    ]
}

/// A ready task that was never tried.
pub fn task(now: DateTime<Utc>) -> TaskFacts {
    TaskFacts {
        task_id: TaskId(Uuid::nil()),
        goal_id: GoalId(Uuid::nil()),
        parent_id: None,
        container: false,
        state: TaskState::Ready,
        priority: 5,
        ready_from: now,
        children_open: 0,
        children_failed: 0,
        attempts_used: 0,
        max_attempts: 3,
        lost_in_row: 0,
        released_in_row: 0,
        approve_start: false,
        approve_result: false,
        current_attempt: None,
        cancelling: false,
        max_rework: 3,
        reworks: 0,
        weight: 1,
        criteria_version: 1,
        checks: None,
    }
}

struct World {
    now: DateTime<Utc>,
    task: TaskFacts,
    attempts: Vec<AttemptFacts>,
    /// Failures because of a rate limit.
    rate_limits: usize,
}

impl World {
    fn new(max_attempts: i32, approve_result: bool) -> Self {
        let now = DateTime::UNIX_EPOCH;
        let task = TaskFacts { max_attempts, approve_result, ..task(now) };
        Self { now, task, attempts: Vec::new(), rate_limits: 0 }
    }

    fn agent() -> Holder {
        Holder::Agent(AgentId(Uuid::nil()))
    }

    fn current(&self) -> Option<&AttemptFacts> {
        self.attempts.last()
    }

    fn claim(&mut self) {
        let promoted = self.task.state == TaskState::Waiting && self.task.ready_from <= self.now;
        if promoted {
            self.task.state = freed(false, false, self.task.ready_from, self.now).state();
        }
        if self.task.state != TaskState::Ready {
            return;
        }
        let number = self.attempts.len() as i32 + 1;
        let attempt_id = AttemptId(Uuid::from_u128(number as u128));
        self.attempts.push(AttemptFacts {
            attempt_id,
            task_id: self.task.task_id,
            goal_id: self.task.goal_id,
            holder: Self::agent(),
            number,
            state: AttemptState::Running,
            lease_sha256: LEASE.to_vec(),
            lease_ms: 60_000,
            lease_expires_at: self.now + TimeDelta::seconds(60),
            hard_deadline: self.now + TimeDelta::seconds(300),
            withdrawn: false,
        });
        self.task.state = TaskState::Running;
        self.task.current_attempt = Some(attempt_id);
    }

    /// What the app does with an ending.
    fn write(&mut self, index: usize, ending: Ending) {
        let Ending { attempt, next, attempts_used, lost_in_row, released_in_row } = ending;
        self.attempts[index].state = attempt;
        self.task.attempts_used = attempts_used;
        self.task.lost_in_row = lost_in_row;
        self.task.released_in_row = released_in_row;
        self.task.state = match next {
            Next::Done => TaskState::Done,
            Next::Review => TaskState::Reviewing,
            Next::Failed(_) => TaskState::Failed,
            Next::Cancelled => TaskState::Cancelled,
            Next::Park => TaskState::Parked,
            Next::Retry(at) => {
                self.task.ready_from = at;
                if at > self.now { TaskState::Waiting } else { TaskState::Ready }
            }
        };
    }

    fn happen(&mut self, happening: &Happening) -> Result<(), TestCaseError> {
        let of = |index: &prop::sample::Index, len: usize| (len > 0).then(|| index.index(len));
        let len = self.attempts.len();
        match happening {
            Happening::Claim => self.claim(),
            Happening::Pass { seconds } => self.now += TimeDelta::seconds(*seconds),
            Happening::Beat { attempt } => {
                let Some(index) = of(attempt, len) else { return Ok(()) };
                self.beat(index)?;
            }
            Happening::Complete { attempt } => {
                let Some(index) = of(attempt, len) else { return Ok(()) };
                self.complete(index)?;
            }
            Happening::Fail { attempt, class, retryable } => {
                let Some(index) = of(attempt, len).filter(|i| self.admits(*i)) else {
                    return Ok(());
                };
                let failure = Failure { class: *class, retryable: *retryable, retry_after: None };
                let ending = fail(&self.task, &self.attempts[index], failure, 0.5, self.now);
                self.rate_limits += usize::from(failure.is_rate_limit());
                self.write(index, ending);
            }
            Happening::Release { attempt } => {
                let Some(index) = of(attempt, len).filter(|i| self.admits(*i)) else {
                    return Ok(());
                };
                let ending = release(&self.task, Released::Idly, 0.5, self.now);
                self.write(index, ending);
            }
            Happening::Park { attempt } => {
                let index = of(attempt, len).filter(|i| self.admits(*i) && !self.task.cancelling);
                let Some(index) = index else { return Ok(()) };
                self.write(index, park(&self.task));
            }
            Happening::Resume if self.task.state == TaskState::Parked => {
                self.task.state = TaskState::Ready;
            }
            Happening::Review { accepted } if self.task.state == TaskState::Reviewing => {
                self.write(len - 1, review(&self.task, *accepted, self.now));
            }
            Happening::Sweep => {
                let ending = self.current().and_then(|a| expire(&self.task, a, 0.5, self.now));
                if let Some(ending) = ending {
                    self.write(len - 1, ending);
                }
            }
            Happening::AskToCancel if self.task.state == TaskState::Running => {
                self.task.cancelling = true;
            }
            Happening::ForceCancel if self.task.cancelling && !self.task.state.is_terminal() => {
                let live = matches!(self.task.state, TaskState::Running | TaskState::Reviewing);
                if live {
                    self.attempts[len - 1].state = AttemptState::Cancelled;
                }
                self.task.state = TaskState::Cancelled;
            }
            Happening::TakeBack => {
                let lapsed = self.attempts.last_mut().filter(|a| a.state == AttemptState::Expired);
                if let Some(attempt) = lapsed {
                    attempt.withdrawn = true;
                }
            }
            Happening::Resume
            | Happening::Review { .. }
            | Happening::AskToCancel
            | Happening::ForceCancel => {}
        }
        Ok(())
    }

    fn admits(&self, index: usize) -> bool {
        fence(&self.attempts[index], Self::agent(), &LEASE).is_ok()
    }

    fn beat(&mut self, index: usize) -> Result<(), TestCaseError> {
        if !self.admits(index) {
            return Ok(());
        }
        let attempt = &mut self.attempts[index];
        let renewed = crate::domain::task::heartbeat::renewed(attempt, self.now);
        prop_assert!(renewed >= attempt.lease_expires_at, "a heartbeat shortened a lease");
        prop_assert!(renewed <= attempt.hard_deadline.max(attempt.lease_expires_at));
        attempt.lease_expires_at = renewed;
        Ok(())
    }

    fn complete(&mut self, index: usize) -> Result<(), TestCaseError> {
        let attempt = &self.attempts[index];
        let last = index + 1 == self.attempts.len();
        match complete(&self.task, attempt, Self::agent(), &LEASE) {
            Ok(ending) => {
                prop_assert!(last, "an attempt that lost its task handed in a result");
                prop_assert!(!attempt.withdrawn, "a result for a task that was taken back");
                prop_assert!(ending.attempts_used <= self.task.attempts_used);
                self.write(index, ending);
            }
            Err(refusal) => {
                prop_assert_eq!(refusal.code, Code::LeaseLost);
                prop_assert!(attempt.state != AttemptState::Running, "a live attempt was refused");
            }
        }
        Ok(())
    }

    fn check(&self, before: &TaskFacts) -> Result<(), TestCaseError> {
        let task = &self.task;
        if before.state.is_terminal() {
            prop_assert_eq!(before.state, task.state, "terminal states absorb");
        }
        let live = self
            .attempts
            .iter()
            .filter(|a| matches!(a.state, AttemptState::Running | AttemptState::Submitted))
            .count();
        let wanted = matches!(task.state, TaskState::Running | TaskState::Reviewing);
        prop_assert_eq!(live, usize::from(wanted), "live attempts of a {} task", task.state);
        prop_assert!(task.attempts_used <= task.max_attempts, "{} used", task.attempts_used);
        let counted = self
            .attempts
            .iter()
            .filter(|a| matches!(a.state, AttemptState::Failed | AttemptState::Expired))
            .count();
        prop_assert_eq!((counted - self.rate_limits) as i32, task.attempts_used);
        prop_assert!(task.lost_in_row <= settings::LOST_LIMIT);
        let exhausted =
            task.attempts_used == task.max_attempts || task.lost_in_row == settings::LOST_LIMIT;
        prop_assert!(!exhausted || task.state.is_terminal(), "{} goes on for ever", task.state);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn whatever_happens_the_rules_hold(
        happenings in prop::collection::vec(happening(), 0..80),
        max_attempts in 1i32..6,
        approve_result in any::<bool>(),
    ) {
        let mut world = World::new(max_attempts, approve_result);
        for happening in &happenings {
            let before = world.task.clone();
            world.happen(happening)?;
            world.check(&before)?;
        }
    }

    #[test]
    fn only_the_holder_of_the_lease_passes_the_fence(
        agent in 0u128..2, token in 0u8..2, state in prop::sample::select(AttemptState::ALL),
    ) {
        let mut world = World::new(3, false);
        world.claim();
        world.attempts[0].state = state;
        let seen = fence(&world.attempts[0], Holder::Agent(AgentId(Uuid::from_u128(agent))), &[7 - token; 32]);
        let code = seen.err().map(|refusal| refusal.code);
        let want = match (agent, token, state) {
            (1, ..) => Some(Code::NotYourAttempt),
            (_, 0, AttemptState::Running) => None,
            _ => Some(Code::LeaseLost),
        };
        prop_assert_eq!(code, want);
    }

    #[test]
    fn backoff_is_bounded_and_grows(used in 1i32..2000, low in 0.0f64..1.0, high in 0.0f64..1.0) {
        let (low, high) = (low.min(high), low.max(high));
        let (short, long) = (backoff(used, low), backoff(used, high));
        prop_assert!(short <= long);
        prop_assert!(short >= settings::BACKOFF_BASE / 2);
        prop_assert!(long <= settings::BACKOFF_MAX);
        prop_assert!(backoff(used, low) <= backoff(used + 1, low));
        prop_assert!(backoff(used, 1.0) <= backoff(used, 0.0) * 2);
    }
}

#[test]
fn a_container_fails_only_with_a_failure() {
    for (children_failed, cancelling, failure, want) in [
        (0, false, false, Next::Done),
        (0, true, false, Next::Done),
        (1, false, true, Next::Failed(FailureClass::ChildrenFailed)),
        (1, false, false, Next::Cancelled),
        (1, true, true, Next::Cancelled),
    ] {
        let task = TaskFacts {
            container: true,
            children_failed,
            cancelling,
            ..task(DateTime::UNIX_EPOCH)
        };
        assert_eq!(container_ending(&task, failure), want);
    }
}

/// The hint of a late heartbeat promises exactly what a completion gets.
#[test]
fn a_late_heartbeat_promises_what_a_completion_gets() {
    for (withdrawn, state, stopped) in [
        (false, TaskState::Ready, false),
        (false, TaskState::Ready, true),
        (true, TaskState::Ready, false),
        (true, TaskState::Parked, true),
        (false, TaskState::Running, false),
        (false, TaskState::Failed, true),
    ] {
        let mut world = World::new(3, false);
        world.claim();
        world.task.state = state;
        let attempt = &mut world.attempts[0];
        (attempt.state, attempt.withdrawn) = (AttemptState::Expired, withdrawn);
        let latest = world.task.current_attempt;
        let told = too_late(&world.attempts[0], state, latest, stopped).detail;
        let accepted = complete(&world.task, &world.attempts[0], World::agent(), &LEASE).is_ok();
        assert_eq!(told.contains("`complete` is still accepted"), accepted && !stopped, "{told}");
        assert_eq!(told.contains("until the freeze is lifted"), accepted && stopped, "{told}");
        assert_eq!(told.contains("was edited, reassigned"), withdrawn, "{told}");
    }
}

proptest! {
    /// A rate limit uses up no try, whatever the counters of the task are; and the task waits as long as the agent,
    /// within bounds.
    #[test]
    fn a_rate_limit_uses_up_no_try(
        used in 0i32..10,
        most in 1i32..10,
        lost in 0i32..3,
        cancelling in any::<bool>(),
        retryable in prop::option::of(any::<bool>()),
        after in prop::option::of(0u64..200_000),
        jitter in 0.0f64..1.0,
    ) {
        let attempts_used = used.min(most - 1);
        let mut world = World::new(most, false);
        world.claim();
        let (now, attempt) = (world.now, &world.attempts[0]);
        let task = TaskFacts { attempts_used, lost_in_row: lost, cancelling, ..world.task.clone() };
        let retry_after = after.map(Duration::from_secs);
        let failure = Failure { class: FailureClass::RateLimited, retryable, retry_after };
        let ending = fail(&task, attempt, failure, jitter, now);
        prop_assert_eq!(ending.attempt, AttemptState::Failed);
        let row = if retryable == Some(false) { 0 } else { task.released_in_row + 1 };
        prop_assert_eq!((ending.lost_in_row, ending.released_in_row), (0, row));
        if retryable == Some(false) {
            prop_assert_eq!(ending.attempts_used, attempts_used + 1);
            prop_assert!(matches!(ending.next, Next::Failed(_) | Next::Cancelled));
            return Ok(());
        }
        prop_assert_eq!(ending.attempts_used, attempts_used);
        match ending.next {
            Next::Cancelled => prop_assert!(cancelling),
            Next::Retry(at) => {
                prop_assert!(!cancelling);
                // The first in a row waits as long as the agent.
                prop_assert_eq!(at, now + failure.rate_limit());
                let wait = after.unwrap_or(60).clamp(1, 86_400);
                prop_assert_eq!(at, now + Duration::from_secs(wait));
            }
            next => prop_assert!(false, "{:?}", next),
        }
    }
}

/// An agent that answers every attempt with a rate limit of a second tries a task some hundred times a day, not
/// eighty thousand.
#[test]
fn rate_limits_in_a_row_wait_longer_each_time() {
    let mut world = World::new(3, false);
    world.claim();
    let begin = world.now;
    let (mut now, mut task, mut failures) = (begin, world.task.clone(), 0);
    let retry_after = Some(Duration::from_secs(1));
    let failure = Failure { class: FailureClass::RateLimited, retryable: None, retry_after };
    while now < begin + TimeDelta::days(1) {
        let ending = fail(&task, &world.attempts[0], failure, 0.0, now);
        let Next::Retry(at) = ending.next else { panic!("{:?}", ending.next) };
        assert!(at >= now + Duration::from_secs(1), "not before the agent said");
        failures += 1;
        assert_eq!((ending.attempts_used, ending.released_in_row), (0, failures));
        task.released_in_row = ending.released_in_row;
        now = at;
    }
    assert!(failures < 310, "{failures} failures in a day");
    // What the agent says counts if it is longer.
    let failure = Failure { retry_after: Some(Duration::from_secs(3_600)), ..failure };
    let ending = fail(&task, &world.attempts[0], failure, 1.0, now);
    assert_eq!(ending.next, Next::Retry(now + Duration::from_secs(3_600)));
}
