//! The loop of an agent: claim, heartbeat, spend, finish, claim again.
//!
//! The work itself is sleep; the requests around it are those of a real agent. It keeps a checkpoint,
//! so that the next attempt can continue from it, obeys the directive of every heartbeat, and stops
//! work on a task after a lost lease.

use std::{sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    client::{CallError, Client, Result},
    display::{Display, Line},
    script::{self, Script},
};
use crate::{
    app::attempts::{
        claim::answer::{Claim, ClaimAnswer, ClaimedTask},
        finish::answer::FinishAnswer,
        heartbeat::answer::HeartbeatAnswer,
    },
    domain::{refusal::Code, states::Directive},
};

/// Length of a lease. Short, so that a death is soon noticed; still ten times the pause between two
/// heartbeats.
const LEASE_SECONDS: u32 = 3;
/// Shortest and longest duration of one step of a task.
const STEP: [Duration; 2] = [Duration::from_millis(140), Duration::from_millis(240)];
/// Longest wait of a claim.
const WAIT_SECONDS: u32 = 10;

/// The steps of every task, each with the progress that it starts from, in percent.
const STEPS: [(u8, &str); 5] = [
    (10, "reading the results of earlier tasks"),
    (30, "writing"),
    (55, "running the tests"),
    (75, "fixing the failures"),
    (90, "collecting the evidence"),
];
/// The step of the incidents.
const TROUBLE: u8 = 55;

/// The end of work on a task.
enum End {
    /// Finished in any way; the agent claims again.
    Over,
    /// The agent is dead.
    Dead,
}

/// An agent of the demo.
#[derive(Debug)]
pub(super) struct Worker {
    /// Its name.
    pub(super) name: &'static str,
    /// A client with its key.
    pub(super) client: Client,
    /// The incidents.
    pub(super) script: Arc<Script>,
    /// Its line on the display.
    pub(super) line: Line,
    /// The display of its events.
    pub(super) display: Arc<Display>,
}

impl Worker {
    /// Works until it dies or the future is dropped.
    ///
    /// # Errors
    /// muster refuses a request that an agent may make, or does not answer.
    pub(super) async fn live(self) -> Result<()> {
        let terms = json!({"max": 1, "wait_seconds": WAIT_SECONDS, "lease_seconds": LEASE_SECONDS});
        for turn in 1u64.. {
            self.line.idle("waits for work");
            // With this key a claim whose answer was lost gets the same tasks again.
            let key = format!("claim-{turn}");
            let answer: Option<ClaimAnswer> =
                self.client.post_once("/v1/claims", &key, &terms).await?;
            for claim in answer.map(|answer| answer.claims).unwrap_or_default() {
                match self.work(&claim).await {
                    Ok(End::Over) => {}
                    Ok(End::Dead) => return Ok(()),
                    Err(lost) if lost.is(Code::LeaseLost) => {
                        self.note(&claim, "was too slow, and has lost the task");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn work(&self, claim: &Claim) -> Result<End> {
        let task = &claim.task.r#ref;
        let from = self.begin(claim);
        for (percent, doing) in STEPS.into_iter().filter(|(percent, _)| *percent > from) {
            self.line.working(task, &claim.task.title, percent, doing);
            let progress = json!({"percent": percent, "message": doing});
            let beat = json!({"progress": progress, "checkpoint": {"percent": percent}});
            match self.say::<HeartbeatAnswer>(claim, "heartbeat", beat).await?.directive {
                Directive::Continue | Directive::WrapUp => {}
                Directive::Pause | Directive::Stop => return self.release(claim, percent).await,
            }
            if percent == TROUBLE && self.script.dies(task) {
                self.line.dead(&format!("died in the middle of {task}"));
                self.note(claim, "dies in the middle of it: no more heartbeats");
                return Ok(End::Dead);
            }
            if percent == TROUBLE && self.script.fails(task) {
                return self.fail(claim).await;
            }
            tokio::time::sleep(pace(&claim.task.title, percent)).await;
            self.spend(claim, percent).await?;
        }
        self.complete(claim).await
    }

    /// The progress of the last checkpoint, from which the work continues.
    fn begin(&self, claim: &Claim) -> u8 {
        let reached =
            claim.checkpoint.as_ref().and_then(|checkpoint| checkpoint["percent"].as_u64());
        let from = reached.and_then(|percent| u8::try_from(percent).ok()).unwrap_or_default();
        match claim.earlier_attempts.last() {
            Some(earlier) => {
                let (number, state) = (earlier.number, earlier.state);
                let how = format!("continues at {from} %: attempt {number} is {state}");
                self.note(claim, &how);
            }
            None => self.note(claim, "begins"),
        }
        from
    }

    /// Reports a model call: an entry with its own key, which a repeated report does not add again.
    async fn spend(&self, claim: &Claim, percent: u8) -> Result<()> {
        let input = 900 + 37 * weight(&claim.task.title, percent);
        let output = 120 + 11 * weight(&claim.task.description, percent);
        let dollars = 3 * input + 15 * output;
        let amounts =
            json!({"input_tokens": input, "output_tokens": output, "usd_micros": dollars});
        let key = format!("call-{percent}");
        let entry = json!({"key": key, "amounts": amounts, "model": "demo-model"});
        self.say::<Value>(claim, "spend", json!({"entries": [entry]})).await.map(drop)
    }

    async fn complete(&self, claim: &Claim) -> Result<End> {
        let ClaimedTask { r#ref, title, criteria, .. } = &claim.task;
        let evidence = criteria.iter().map(|criterion| {
            let (number, text) = (criterion.number, format!("a test shows it: {}", criterion.text));
            let uri = format!("https://ci.example.com/{ref}/{number}");
            json!({"criterion": number, "text": text, "uri": uri})
        });
        let read: Vec<&str> = claim.needs.iter().map(|needed| needed.r#ref.as_str()).collect();
        let result = json!({
            "result": {"summary": format!("done: {title}"), "by": self.name, "read": read},
            "evidence": evidence.collect::<Vec<_>>(),
            "spend": {"totals": {"tool_calls": weight(title, 7) % 9 + 1}},
        });
        let answer: FinishAnswer = self.say(claim, "complete", result).await?;
        self.note(claim, &format!("completes it: {}", answer.task_state));
        Ok(End::Over)
    }

    async fn fail(&self, claim: &Claim) -> Result<End> {
        let class = script::FAILURE_CLASS;
        let failure = json!({"class": class, "message": script::FAILURE_MESSAGE});
        let answer: FinishAnswer = self.say(claim, "fail", failure).await?;
        self.note(claim, &format!("fails ({class}), and it is {}", answer.task_state));
        Ok(End::Over)
    }

    async fn release(&self, claim: &Claim, percent: u8) -> Result<End> {
        let release =
            json!({"message": "stopped by a directive", "checkpoint": {"percent": percent}});
        match self.say::<Value>(claim, "release", release).await {
            Err(error) if !matches!(error, CallError::Refused { .. }) => Err(error),
            Ok(_) | Err(_) => Ok(End::Over),
        }
    }

    /// Sends a request of the attempt, with its lease.
    async fn say<T: DeserializeOwned>(
        &self,
        claim: &Claim,
        verb: &str,
        mut body: Value,
    ) -> Result<T> {
        body["lease"] = json!(claim.lease);
        self.client.post(&format!("/v1/attempts/{}/{verb}", claim.attempt_id), &body).await
    }

    fn note(&self, claim: &Claim, what: &str) {
        self.display.note(self.name, &claim.task.r#ref, what);
    }
}

/// Duration of a step: the same in every run, and different between tasks.
fn pace(title: &str, percent: u8) -> Duration {
    let [least, most] = STEP;
    let part = u32::try_from(weight(title, percent)).unwrap_or_default();
    least + (most - least) * part / 100
}

/// A number from 0 to 99 that looks random.
fn weight(text: &str, percent: u8) -> i64 {
    let sum = text
        .bytes()
        .fold(u32::from(percent), |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    i64::from(sum % 100)
}
