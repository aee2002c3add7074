//! An agent's life, as any agent lives it: claim, beat, spend, finish, claim again.
//!
//! The work itself is sleep; everything around it is what a real agent has to do. It keeps a
//! checkpoint so that whoever comes after it does not begin at nothing, obeys the directive of
//! every heartbeat, and takes a lost lease for what it is: somebody else's task now.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    client::{CallError, Client, Result},
    display::{Display, Seat},
    script::{self, Script},
};
use crate::{
    app::{
        attempts::{
            claim::views::{Claim, ClaimRequest, ClaimedTask},
            finish::views::{CompleteRequest, EvidenceInput, FailRequest, ReleaseRequest},
            heartbeat::{HeartbeatRequest, Progress},
        },
        spend::SpendRequest,
    },
    domain::{
        refusal::Code,
        spend::{Amounts, SpendEntry, SpendReport},
        states::Directive,
    },
};

/// How long an agent may stay silent. Short, so that a death is soon noticed; still ten times as
/// long as the pause between two heartbeats.
const LEASE_SECONDS: u32 = 3;
/// How long one step of a task takes, at least and at most.
const STEP: [Duration; 2] = [Duration::from_millis(140), Duration::from_millis(240)];
/// How long a claim waits for work.
const WAIT_SECONDS: u32 = 10;

/// The steps of every task, and how far each brings it, in percent.
const STEPS: [(u8, &str); 5] = [
    (10, "reading what the tasks before it produced"),
    (30, "writing"),
    (55, "running the tests"),
    (75, "fixing what they found"),
    (90, "collecting the evidence"),
];
/// The step in which things go wrong.
const TROUBLE: u8 = 55;

/// How work on a task ended.
enum End {
    /// One way or the other; the next can be claimed.
    Over,
    /// The agent is no more.
    Dead,
}

/// A worker of the demo.
#[derive(Debug)]
pub(super) struct Worker {
    /// Its name.
    pub(super) name: &'static str,
    /// Its key's view of the service.
    pub(super) client: Client,
    /// What goes wrong.
    pub(super) script: Arc<Script>,
    /// Where it is shown.
    pub(super) seat: Seat,
    /// Where others are told of what it does.
    pub(super) display: Arc<Display>,
}

impl Worker {
    /// Works until it dies or the future is dropped.
    ///
    /// # Errors
    /// When muster refuses what an agent may do, or does not answer.
    pub(super) async fn live(self) -> Result<()> {
        let request =
            ClaimRequest { max: 1, wait_seconds: WAIT_SECONDS, lease_seconds: Some(LEASE_SECONDS) };
        for turn in 1u64.. {
            self.seat.idle("waits for work");
            let key = format!("claim-{turn}");
            for claim in self.client.claim(&request, &key).await? {
                match self.work(&claim).await {
                    Ok(End::Over) => {}
                    Ok(End::Dead) => return Ok(()),
                    Err(lost) if lost.is(Code::LeaseLost) => {
                        self.note(&claim, "was too slow, and leaves it to another");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn work(&self, claim: &Claim) -> Result<End> {
        let from = self.begin(claim);
        for (percent, doing) in STEPS.into_iter().filter(|(percent, _)| *percent > from) {
            self.seat.working(&claim.task.r#ref, &claim.task.title, percent, doing);
            match self.beat(claim, percent, doing).await? {
                Directive::Continue | Directive::WrapUp => {}
                Directive::Pause | Directive::Stop => return self.give_back(claim, percent).await,
            }
            if percent == TROUBLE && self.script.dies(&claim.task.r#ref) {
                self.seat.dead(&format!("died in the middle of {}", claim.task.r#ref));
                self.note(claim, "dies in the middle of it: no more heartbeats");
                return Ok(End::Dead);
            }
            if percent == TROUBLE && self.script.fails(&claim.task.r#ref) {
                return self.fail(claim).await;
            }
            tokio::time::sleep(pace(&claim.task.title, percent)).await;
            self.pay(claim, percent).await?;
        }
        self.finish(claim).await
    }

    /// Where the work begins: where the last checkpoint says.
    fn begin(&self, claim: &Claim) -> u8 {
        let reached =
            claim.checkpoint.as_ref().and_then(|checkpoint| checkpoint["percent"].as_u64());
        let from = reached.and_then(|percent| u8::try_from(percent).ok()).unwrap_or_default();
        match claim.earlier_attempts.last() {
            Some(earlier) => {
                let (number, state) = (earlier.number, earlier.state);
                let how = format!("goes on at {from} %: attempt {number} is {state}");
                self.note(claim, &how);
            }
            None => self.note(claim, "begins"),
        }
        from
    }

    async fn beat(&self, claim: &Claim, percent: u8, doing: &str) -> Result<Directive> {
        let beat = HeartbeatRequest {
            lease: claim.lease.clone(),
            progress: Some(Progress {
                percent: Some(percent),
                message: Some(doing.to_owned()),
                ..Progress::default()
            }),
            checkpoint: Some(json!({"percent": percent})),
            spend: SpendReport::default(),
        };
        Ok(self.client.heartbeat(claim.attempt_id, &beat).await?.directive)
    }

    /// A model call: an entry with a key of its own, so that reporting it again adds nothing.
    async fn pay(&self, claim: &Claim, percent: u8) -> Result<()> {
        let input = 900 + 37 * weight(&claim.task.title, percent);
        let output = 120 + 11 * weight(&claim.task.description, percent);
        let amounts = Amounts::from([
            ("input_tokens".to_owned(), input),
            ("output_tokens".to_owned(), output),
            ("usd_micros".to_owned(), 3 * input + 15 * output),
        ]);
        let report = SpendRequest {
            lease: claim.lease.clone(),
            entries: vec![SpendEntry {
                key: format!("call-{percent}"),
                amounts,
                usage: None,
                model: Some("demo-model".to_owned()),
                note: None,
            }],
            totals: Amounts::new(),
        };
        self.client.spend(claim.attempt_id, &report).await?;
        Ok(())
    }

    async fn finish(&self, claim: &Claim) -> Result<End> {
        let ClaimedTask { r#ref, title, criteria, .. } = &claim.task;
        let evidence = criteria.iter().map(|criterion| EvidenceInput {
            criterion: Some(criterion.number),
            text: format!("a test shows it: {}", criterion.text),
            uri: Some(format!("https://ci.example.com/{ref}/{}", criterion.number)),
        });
        let read: Vec<&str> = claim.needs.iter().map(|needed| needed.r#ref.as_str()).collect();
        let result = CompleteRequest {
            lease: claim.lease.clone(),
            result: Some(
                json!({"summary": format!("done: {title}"), "by": self.name, "read": read}),
            ),
            evidence: evidence.collect(),
            spend: SpendReport {
                entries: Vec::new(),
                totals: Amounts::from([("tool_calls".to_owned(), weight(title, 7) % 9 + 1)]),
            },
        };
        let answer = self.client.complete(claim.attempt_id, &result).await?;
        self.note(claim, &format!("hands in a result: {}", answer.task_state));
        Ok(End::Over)
    }

    async fn fail(&self, claim: &Claim) -> Result<End> {
        let failure = FailRequest {
            lease: claim.lease.clone(),
            class: script::FAILURE_CLASS,
            message: Some(script::FAILURE_MESSAGE.to_owned()),
            retryable: None,
            retry_after_seconds: None,
            spend: SpendReport::default(),
        };
        let answer = self.client.fail(claim.attempt_id, &failure).await?;
        self.note(claim, &format!("fails ({}), and it is {}", failure.class, answer.task_state));
        Ok(End::Over)
    }

    async fn give_back(&self, claim: &Claim, percent: u8) -> Result<End> {
        let release = ReleaseRequest {
            lease: claim.lease.clone(),
            message: Some("told to stop".to_owned()),
            checkpoint: Some::<Value>(json!({"percent": percent})),
            spend: SpendReport::default(),
        };
        match self.client.release(claim.attempt_id, &release).await {
            Err(error) if !matches!(error, CallError::Refused { .. }) => Err(error),
            Ok(_) | Err(_) => Ok(End::Over),
        }
    }

    fn note(&self, claim: &Claim, what: &str) {
        self.display.note(self.name, &claim.task.r#ref, what);
    }
}

/// How long a step takes: the same in every run, and not the same for every task.
fn pace(title: &str, percent: u8) -> Duration {
    let [least, most] = STEP;
    let part = u32::try_from(weight(title, percent)).unwrap_or_default();
    least + (most - least) * part / 100
}

/// A number from 0 to 99 that only looks like chance.
fn weight(text: &str, percent: u8) -> i64 {
    let sum = text
        .bytes()
        .fold(u32::from(percent), |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    i64::from(sum % 100)
}
