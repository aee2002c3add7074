//! muster keeps track of the work of a fleet of AI agents.
//!
//! This page is the architecture: the layers, the path of one claim, one expiry and one decision
//! through them, the rules that hold everywhere, and the words. `handbook/` explains the same
//! service to the people who run it.
//!
//! # Layers
//!
//! `main -> { http, supervisor } -> app -> store -> domain`. The supervisor says when, `app` says
//! what, `domain` says whether, `store` writes it down, `http` answers.
//!
//! | layer | owns | may name |
//! |---|---|---|
//! | [`domain`] | words, states, every rule: pure functions without I/O, clock or randomness | nothing of ours |
//! | [`store`] | all SQL; constraint names; the database's clock | `domain`, sqlx |
//! | [`app`] | use cases; the only place that begins and commits; lock order; batches | `domain`, `store` |
//! | [`supervisor`] | when duties run in the background | `app`, `domain` |
//! | [`http`] | routes, extractors, status codes, the API document | `app`, `domain`, axum, utoipa |
//! | [`outbound`] | everything that calls out: an identity provider, models, the store of artifacts; no rule, no SQL, no transaction | `domain` |
//! | beside them | [`cli`], [`config`], [`telemetry`], [`shutdown`], [`open_files`], [`clock`], [`entropy`], [`turns`], [`embedded`] (the private PostgreSQL), [`mod@bench`] (the load generator) | |
//!
//! **One noun, one room.** A noun has the same folder on every floor: `http::api::budgets`,
//! `app::budgets`, `store::budgets`, `domain::budget`. A file holds one idea, which its name says.
//!
//! **Imports run one way.** No two files or folders import each other in a circle. Inside `app`:
//! `duties -> decisions -> rules -> attempts -> goals, spend -> budgets -> tasks -> approvals ->
//! unit`. `tests/it/contract/layers.rs` reads `src/` and fails with the circle, or with the import
//! that climbs.
//!
//! # One claim
//!
//! An agent sends `POST /v1/claims`.
//!
//! 1. **http.** `http::api::claims` has the route. Its handler lists what it needs as extractors
//!    ([`http::extract`]): a key with the role `agent`, a body, an `Idempotency-Key`. Each
//!    extractor refuses for itself and describes itself in the API document. The handler calls one
//!    use case.
//! 2. **app, in front of the transaction.** [`app::attempts::claim`] turns the request into a
//!    command. The [coalescer](app::coalesce) collects the commands that arrive while a batch is at
//!    the database; they become the next batch. On an idle service a command is a batch of one and
//!    waits for nothing.
//! 3. **app, the transaction.** One [`Unit`](app::Unit) for the batch: it locks ready tasks and
//!    then the agents ([`store::attempts::claim`]); [`domain::task::claim::assign`] decides who
//!    gets which task; `app::budgets::reserve` reserves the expected spend from every limit above
//!    each task, in all units or in none; the attempts start, with new leases of which only hashes
//!    are stored.
//! 4. **store.** The candidates come from a partial index on ready tasks, by the
//!    [turns](domain::routing::turns) of goals and inside a goal in the order of
//!    [`rank`](domain::routing::rank::rank), with `skip locked`, so two processes never wait for each
//!    other's tasks. Every statement takes slices: a batch of a hundred costs as many statements as
//!    one claim.
//! 5. **The commit.** The unit appends its journal rows, numbers them last, and commits. Each
//!    command gets its own answer; the refusal of one disturbs no other.
//! 6. **Nothing to do?** A claim with `wait_seconds` waits in [`app::wake`], where it holds no
//!    connection. One watcher per workspace reads the number of the newest journal row and calls
//!    the waiting claims in the order of their arrival.
//!
//! `heartbeat`, `spend` and `finish` have the same shape: `mod` (the calls), `command`,
//! `transaction`, `answer`.
//!
//! # One expiry
//!
//! The agent falls silent, and its lease runs out.
//!
//! 1. **supervisor.** [`supervisor`] goes round every 250 ms in every process. One query tells
//!    which duties are due. `app::duties` has one file per duty.
//! 2. **app, without locks.** The duty finds silent attempts, and groups them by goal. What it
//!    finds is a hint, because a heartbeat may arrive at any moment.
//! 3. **app, the transaction.** One unit per goal: it locks the goal, its tasks and their attempts,
//!    and judges again. [`domain::task::expire`] decides: an attempt whose lease is over is
//!    `expired` and stays consumed; the task goes back with a backoff, or fails after its last try,
//!    or is in quarantine after the third loss in a row.
//! 4. **What follows.** [`app::tasks::cascade`] applies the moves: it frees or cancels what needs
//!    the task, ends containers and the goal. `app::budgets::settle` returns what was reserved and
//!    not used. All of it is one transaction.
//! 5. **The fence.** Safety rests on no clock. Until the unit commits, the agent may still
//!    complete. After it the lease no longer fits, and every write with it is refused:
//!    `lease_lost`.
//!
//! Two processes may run the same duty at once: the second finds nothing left to do under the
//! locks.
//!
//! # One decision
//!
//! An operator approves what an agent asked.
//!
//! 1. **http.** `http::api::approvals` checks the key and the body, and calls [`app::decisions`].
//! 2. **app, the guards.** The unit locks goal, task and approval, in this order. The approval must
//!    be pending (`already_decided`), the decision must name the payload that was read
//!    (`payload_changed`), and the decider must not be excluded ([`domain::approval::excluded`],
//!    `separation_of_duties`). Exclusion was fixed when the question was asked.
//! 3. **A vote.** The policy that was copied when the question was asked says whether this person
//!    may vote and whether the vote completes the last stage ([`domain::policy`]). If not, the vote
//!    is stored and nothing else happens.
//! 4. **The effect.** `app::decisions::effects` does what was decided, in the same transaction: a
//!    plan becomes tasks, a result is accepted, a parked task is offered again. There is no moment
//!    at which something is decided and still waits.
//! 5. **Afterwards.** The next claim of the task holds the decision.
//!
//! # Rules that hold everywhere
//!
//! - **One unit of work**, one transaction, one instant ([`app::Unit`]): `now` is the database's
//!   clock, read once. Ids and jitter come from [`entropy`]. A unit that is dropped has changed
//!   nothing.
//! - **Lock order** is code: [`app::unit::locks`]. Everything takes locks in one order, so no two
//!   units deadlock.
//! - **A rule is a pure function** in [`domain`], with a match that names every state; `store`
//!   writes its result with a compare-and-set and counts the rows.
//! - **Rules between rows** are named constraints and partial unique indexes. A trigger may refuse,
//!   never act.
//! - **Every query names its workspace**, and no join crosses workspaces.
//! - **Amounts** are whole numbers in a named unit, never floats.
//! - **The journal** is the one record: a row for each thing that happened, numbered in the order
//!   of the commits. Seals, events and audit read it behind the writers.
//! - **No network call between begin and commit.** Polling is the truth, waking is a hint.
//! - **A refusal** is a [`Refusal`](domain::refusal::Refusal) with a stable code; it has written
//!   nothing. Anything else that fails is a 5xx that says nothing from inside.
//!
//! # Words
//!
//! One word per thing, the same in table, column, type, JSON, URL, log field, metric and prose.
//!
//! | word | meaning | not |
//! |---|---|---|
//! | workspace | the tenant: everything belongs to exactly one; a key opens exactly one | org, tenant, company |
//! | project | a named group of goals with its own budget | |
//! | goal | what somebody wants; owns tasks and a budget | objective, epic |
//! | plan | a proposed or applied set of tasks and dependencies for a goal; versioned | decomposition |
//! | planner | the maker of a plan: `outline`, `tasks` (given explicitly); planned: `playbook`, `llm`, `agent` | |
//! | task | one unit of work of one goal; may have a parent task | job, ticket, step |
//! | dependency | task B `needs` task A | blocker edge |
//! | container | a task with children in the plan; never claimed, done when its children are | epic |
//! | criterion | one condition of success of a task; satisfied by evidence | |
//! | attempt | one try of one task by one agent; it is the lease term, its `lease` token the fence | run, execution |
//! | lease | the time an attempt may stay silent; renewed by heartbeat | lock, visibility timeout |
//! | claim (verb) | take the best ready task, which starts an attempt | poll, dequeue, checkout |
//! | agent | a registered worker; has capabilities and a concurrency limit | worker, bot |
//! | operator | a person (or script) who may decide and administer | user, admin |
//! | scope (of a key) | what a key may do and see below its role | |
//! | session | one sign-in of a person in a browser; no key | login |
//! | person | a name on keys; decides, owns agents, is excluded | user, account |
//! | capability | what an agent can do and a task requires, e.g. `rust`, `review` | skill, tag |
//! | budget | limits on a node (workspace, project, goal, task, agent) in one or more units | quota |
//! | reservation | the part of every budget on its path that a running attempt reserves | hold |
//! | spend | append-only entries of what was used, charged to an attempt | cost, usage |
//! | settle | move spend from reserved to used, and return the rest; money only | |
//! | approval | a question that waits for a person; kinds `plan`, `start`, `result`, `action`, `budget`, `input` | review, gate |
//! | policy | who decides which approvals, how many must agree, and by when | |
//! | floor | the least risk of an approval, set by its task or by a rule of the workspace | threshold |
//! | freeze | a stop that an operator puts on a scope: `drain`, `pause` or `stop` | hold, halt |
//! | rule | a condition and an action of the supervisor; an intervention is one time it acted | alert |
//! | journal | the one append-only, numbered record of a workspace; `events` and `audit` are two views of it | log |
//! | event | one public row of the journal | log entry |
//! | seal | the chained digest of one segment of the journal | signature |
//! | duty | what the supervisor does in the background | step, job |
//! | artifact | a file that results and evidence refer to by the SHA-256 of its bytes | attachment, blob |
//! | digest (of an artifact) | SHA-256 of its bytes: its name | checksum |
//! | step | one action of an agent in its progress feed | |
//!
//! Words kept for what is planned: *lesson* (an entry of the knowledge repository), *evidence tier*
//! (how far evidence was checked), *quota window* (how much may be used per window of a provider),
//! *cap* (how much a key or workspace may use of the service), *comment*, *runner*, *playbook* (a
//! stored template of a plan), *verifying* (a goal whose tasks are done and whose own criteria are
//! not), *deferral* (keeping a task a moment for a better agent).
//!
//! ## States
//!
//! | noun | states |
//! |---|---|
//! | goal | `planning`, `proposed`, `active`, `completed`, `failed`, `cancelled` |
//! | task | `waiting`, `ready`, `running`, `parked` (waits for a person, its subtasks or a budget), `reviewing` (submitted, not yet accepted), `done`, `failed`, `cancelled` |
//! | attempt | `running`, `parked`, `submitted`, `accepted`, `rejected`, `failed`, `expired`, `released`, `cancelled` |
//! | approval | `pending`, `approved`, `rejected`, `answered`, `expired`, `cancelled` |
//! | agent | `active`, `paused`, `draining`, `retired`; liveness is derived: `online`, `late`, `lost` |
//!
//! [`domain::states`] has them as types; a test compares them with the constraints of the schema.

pub mod app;
pub mod bench;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod embedded;
pub mod entropy;
pub mod http;
pub mod open_files;
pub mod outbound;
pub mod shutdown;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod turns;
