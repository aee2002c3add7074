//! Repeatable requests.
//!
//! A creating POST may carry an `Idempotency-Key`. Its answer is stored in the transaction of its
//! effect, so either both exist or neither. Within 24 hours the same request with the same key gets
//! the same answer and has no second effect; a different request with the key is refused.
//! [`App::create`] does so for one request, [`take_all`] and [`store_all`] for a batch.
//!
//! The stored answer may contain a new key or a lease. It is encrypted (ChaCha20-Poly1305) under a
//! key derived from the caller's bearer secret. The database holds only a hash of that secret, so a
//! reader of the database learns nothing, and only the caller can get the answer again.

use std::collections::HashSet;

use chacha20poly1305::{
    ChaCha20Poly1305, Nonce,
    aead::{Aead as _, KeyInit as _},
};
use hmac::{Hmac, Mac as _};
use secrecy::ExposeSecret as _;
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;

use crate::{
    app::{App, Error, Result, Unit, caller::Principal},
    domain::{
        refusal::{Code, Refusal},
        settings,
    },
    store::{
        self, Hold,
        idempotency::{NewReplay, Replay, Taken},
    },
};

/// Identity of a request with an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The `Idempotency-Key` header.
    pub key: String,
    /// SHA-256 of method, path with query, and body.
    pub fingerprint: [u8; 32],
}

/// An answer, and whether it is a repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<T> {
    /// The answer.
    pub value: T,
    /// Whether it is the stored answer of an earlier request.
    pub replayed: bool,
}

impl<T> Outcome<T> {
    /// A first answer.
    pub fn fresh(value: T) -> Self {
        Self { value, replayed: false }
    }

    /// A repeated answer.
    pub fn replayed(value: T) -> Self {
        Self { value, replayed: true }
    }

    /// The same outcome with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome { value: change(self.value), replayed: self.replayed }
    }
}

/// A request with an `Idempotency-Key`, and its sender.
#[derive(Debug, Clone)]
pub(in crate::app) struct Repeatable {
    pub principal: Principal,
    pub request: Request,
}

impl Repeatable {
    /// The request, if it has a key.
    pub(in crate::app) fn of(principal: &Principal, request: Option<&Request>) -> Option<Self> {
        let request = request?.clone();
        Some(Self { principal: principal.clone(), request })
    }
}

/// State of a request with an `Idempotency-Key`.
#[derive(Debug)]
pub(in crate::app) enum Repeat<T> {
    /// New: the caller executes it, then stores the answer with [`store_all`] in the same unit.
    New,
    /// A repeat, with the stored answer.
    Answered(T),
    /// The key belongs to another request, or the same request is in progress.
    Refused(Refusal),
}

/// States of requests, in their order.
pub(in crate::app) async fn take_all<T: DeserializeOwned>(
    unit: &mut Unit,
    requests: &[&Repeatable],
) -> Result<Vec<Repeat<T>>> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let now = unit.now();
    let keys: Vec<_> = requests.iter().map(|r| (r.principal.key, r.request.key.as_str())).collect();
    let since = now - settings::REPLAY_FOR;
    let taken = store::idempotency::take(unit.tx(), &keys, since).await?;
    // The database lets a transaction take the same key twice.
    let mut seen = HashSet::new();
    let outcome = |((repeatable, key), taken)| match taken {
        _ if !seen.insert(key) => Ok(Repeat::Refused(in_progress())),
        Taken::InProgress => Ok(Repeat::Refused(in_progress())),
        Taken::Free => Ok(Repeat::New),
        Taken::Answered(replay) => answered(repeatable, replay),
    };
    requests.iter().copied().zip(keys.iter().copied()).zip(taken).map(outcome).collect()
}

fn in_progress() -> Refusal {
    let detail = "the same request is being worked on; send it again in a moment";
    Refusal::new(Code::IdempotencyInProgress, detail)
}

fn answered<T: DeserializeOwned>(of: &Repeatable, replay: Replay) -> Result<Repeat<T>> {
    let Replay { request_sha256, sealed } = replay;
    if request_sha256 != of.request.fingerprint {
        let detail =
            "this Idempotency-Key was used for another request; use a new key for a new request";
        return Ok(Repeat::Refused(Refusal::new(Code::IdempotencyKeyReused, detail)));
    }
    let sealed = sealed.ok_or_else(|| Error::Corrupt("a replay without answer".into()))?;
    match open(&of.principal, &of.request.key, &sealed) {
        // Another session of the same identity: it has the same key, but not the token that opens.
        Err(_) if of.principal.session.is_some() => {
            let detail = "this Idempotency-Key was used before this sign-in; use a new key";
            Ok(Repeat::Refused(Refusal::new(Code::IdempotencyKeyReused, detail)))
        }
        opened => opened.map(Repeat::Answered),
    }
}

/// Stores the answers of requests that [`take_all`] reported as new.
pub(in crate::app) async fn store_all<T: Serialize>(
    unit: &mut Unit,
    answers: &[(&Repeatable, &T)],
) -> Result<()> {
    if answers.is_empty() {
        return Ok(());
    }
    let now = unit.now();
    let mut rows = Vec::with_capacity(answers.len());
    for (Repeatable { principal, request }, answer) in answers {
        rows.push(NewReplay {
            key_id: principal.key,
            idempotency_key: &request.key,
            request_sha256: request.fingerprint,
            sealed: seal(principal, &request.key, unit.entropy().bytes(), answer)?,
        });
    }
    let since = now - settings::REPLAY_FOR;
    Ok(store::idempotency::insert(unit.tx(), since, &rows).await?)
}

impl App {
    /// Does `work` in a unit of its own, and stores its answer with its effect; a request that was
    /// answered before gets that answer instead. Whatever is not committed is taken back before the
    /// answer goes out, so that the same request sent again at once is not told that it is in progress.
    ///
    /// # Errors
    /// What the work fails with; `idempotency_key_reused` when the key belongs to another request;
    /// `idempotency_in_progress` when the same one is being worked on.
    pub(in crate::app) async fn create<T: Serialize + DeserializeOwned>(
        &self,
        principal: &Principal,
        request: Option<&Request>,
        hold: Hold,
        work: impl AsyncFnOnce(&mut Unit) -> Result<T>,
    ) -> Result<Outcome<T>> {
        let request = Repeatable::of(principal, request);
        let mut unit = self.begin_holding(principal.workspace, principal.actor(), hold).await?;
        match once(&mut unit, request.as_ref(), work).await {
            Ok(outcome) if outcome.replayed => {
                self.undo(unit).await?;
                Ok(outcome)
            }
            Ok(outcome) => {
                self.commit(unit).await?;
                Ok(outcome)
            }
            Err(error) => {
                // What was refused counts more than a connection that broke meanwhile.
                let _ = self.undo(unit).await;
                Err(error)
            }
        }
    }
}

async fn once<T: Serialize + DeserializeOwned>(
    unit: &mut Unit,
    request: Option<&Repeatable>,
    work: impl AsyncFnOnce(&mut Unit) -> Result<T>,
) -> Result<Outcome<T>> {
    match take_all(unit, request.as_slice()).await?.pop() {
        Some(Repeat::Answered(answer)) => return Ok(Outcome::replayed(answer)),
        Some(Repeat::Refused(refusal)) => return Err(refusal.into()),
        Some(Repeat::New) | None => {}
    }
    let answer = work(unit).await?;
    store_all(unit, request.map(|request| (request, &answer)).as_slice()).await?;
    Ok(Outcome::fresh(answer))
}

fn cipher(principal: &Principal, key: &str) -> Result<ChaCha20Poly1305> {
    let corrupt = |_| Error::Corrupt("no key could be derived".into());
    let secret = principal.secret.expose_secret().as_bytes();
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(secret).map_err(corrupt)?;
    mac.update(b"muster replay ");
    mac.update(key.as_bytes());
    Ok(ChaCha20Poly1305::new(&mac.finalize().into_bytes().0.into()))
}

fn seal<T: Serialize>(
    principal: &Principal,
    key: &str,
    nonce: [u8; 12],
    answer: &T,
) -> Result<Vec<u8>> {
    let plain = serde_json::to_vec(answer).map_err(|error| Error::Corrupt(error.to_string()))?;
    let body = cipher(principal, key)?
        .encrypt(&Nonce::from(nonce), plain.as_slice())
        .map_err(|_| Error::Corrupt("an answer could not be sealed".into()))?;
    Ok([nonce.as_slice(), &body].concat())
}

fn open<T: DeserializeOwned>(principal: &Principal, key: &str, sealed: &[u8]) -> Result<T> {
    let broken = || Error::Corrupt("a replay cannot be opened".into());
    let (nonce, body) = sealed.split_first_chunk::<12>().ok_or_else(broken)?;
    let plain =
        cipher(principal, key)?.decrypt(&Nonce::from(*nonce), body).map_err(|_| broken())?;
    serde_json::from_slice(&plain).map_err(|_| broken())
}
