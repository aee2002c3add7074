//! The numbers that rules use: limits of input, defaults and bounds of time.

use std::time::Duration;

/// Characters of a title.
pub const TITLE_CHARS: usize = 500;
/// Characters of a name (key, project, agent).
pub const NAME_CHARS: usize = 200;
/// How many people a goal may be posted for.
pub const ON_BEHALF_OF: usize = 10;
/// Bytes of a goal's brief.
pub const BRIEF_BYTES: usize = 256 * 1024;
/// Bytes of a task's description.
pub const DESCRIPTION_BYTES: usize = 64 * 1024;
/// Bytes of any JSON value an agent or submitter hands in (input, result, checkpoint), as text.
pub const JSON_BYTES: usize = 256 * 1024;
/// Bytes of a reason, message or remark.
pub const MESSAGE_BYTES: usize = 16 * 1024;
/// Characters of a task's ref.
pub const REF_CHARS: usize = 200;
/// Approval policies of one workspace that are in force.
pub const POLICIES: i64 = 200;
/// Tasks of one plan.
pub const PLAN_TASKS: usize = 5_000;
/// Dependencies of one plan.
pub const PLAN_DEPENDENCIES: usize = 100_000;
/// Tasks of one goal, subtasks included: an agent cannot grow a goal without end.
pub const GOAL_TASKS: usize = 20_000;
/// How deep tasks may be nested.
pub const NESTING: usize = 20;
/// Criteria of one task.
pub const TASK_CRITERIA: usize = 200;
/// Capabilities of one task.
pub const TASK_CAPABILITIES: usize = 32;
/// Capabilities of one agent.
pub const AGENT_CAPABILITIES: usize = 200;
/// Labels of one task.
pub const TASK_LABELS: usize = 32;
/// Entries of one spend report, items of one evidence list.
pub const LIST_ITEMS: usize = 500;
/// Tasks of one claim.
pub const CLAIM_MAX: u32 = 100;
/// Heartbeats of one request.
pub const HEARTBEATS_MAX: usize = 1_000;
/// The largest amount of one spend entry or total, in any unit.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// The lease when neither claim nor task says otherwise.
pub const LEASE: Duration = Duration::from_secs(60);
/// The shortest lease.
pub const LEASE_MIN: Duration = Duration::from_secs(1);
/// The longest lease.
pub const LEASE_MAX: Duration = Duration::from_secs(3600);
/// The hard limit of an attempt when the task does not say otherwise.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4 * 3600);
/// The longest duration that any setting of a task may have: 30 days.
pub const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// The lease of a person who takes a task over and does not say otherwise.
pub const TAKEOVER_LEASE: Duration = Duration::from_secs(8 * 3600);
/// The hard limit of a person's attempt, and so its longest lease: 7 days.
pub const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often a task is tried when it does not say otherwise.
pub const MAX_ATTEMPTS: i32 = 3;
/// After how many rejected results a person chooses, when the task does not say otherwise.
pub const MAX_REWORK: i32 = 3;
/// The most rejected results that a task can allow.
pub const MAX_REWORK_MOST: i32 = 20;
/// Leases lost in a row that put a task in quarantine.
pub const LOST_LIMIT: i32 = 3;
/// How long a cancelled attempt has before it is cut off.
pub const CANCEL_GRACE: Duration = Duration::from_secs(60);
/// By how much one point of priority outranks waiting.
pub const PRIORITY_STEP: Duration = Duration::from_secs(300);
/// The priority of a goal that does not say.
pub const PRIORITY: i16 = 5;
/// The highest priority.
pub const PRIORITY_MAX: i16 = 9;
/// First backoff; doubles with each used attempt.
pub const BACKOFF_BASE: Duration = Duration::from_secs(1);
/// Longest backoff.
pub const BACKOFF_MAX: Duration = Duration::from_secs(600);
/// Longest wait of a long poll.
pub const WAIT_MAX_SECONDS: u32 = 60;
/// How long an answer can be replayed by its `Idempotency-Key`.
pub const REPLAY_FOR: Duration = Duration::from_secs(24 * 3600);
/// Keys an agent may hold at once; registering again revokes the oldest beyond it.
pub const AGENT_KEYS: i64 = 5;
/// How old the note of when an agent was last heard of may be before it is written anew.
pub const SEEN_EXACT_TO: Duration = Duration::from_secs(30);
/// Silence after which an agent is late.
pub const LATE_AFTER: Duration = Duration::from_secs(120);
/// Silence after which an agent is lost.
pub const LOST_AFTER: Duration = Duration::from_secs(600);
/// The longest time that a key can be given: ten years.
pub const KEY_EXPIRY_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Bytes of a project's description.
pub const PROJECT_DESCRIPTION_BYTES: usize = 16 * 1024;
/// Most attempts that an agent may run at once.
pub const AGENT_CONCURRENT_MAX: i32 = 10_000;
/// How long a link decides when nothing is said: three days.
pub const LINK_EXPIRY: Duration = Duration::from_secs(3 * 24 * 3600);
/// The longest time that a link can be given: thirty days.
pub const LINK_EXPIRY_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Bytes of a payload, laid out for people, that a link's page shows. A larger one cannot be seen whole
/// on a page, so a link does not decide it.
pub const LINK_PAYLOAD_BYTES: usize = 64 * 1024;
/// How long something that is due may rest before a check of the data says that it was left lying:
/// many sweeps, so that a restart of the service raises no alarm.
pub const SWEEP_PATIENCE: Duration = Duration::from_secs(60);
/// How many examples of what breaks an invariant a check of the data names.
pub const VERIFY_SAMPLES: i64 = 10;
/// How long a check of the data may take when it is asked for over HTTP.
pub const VERIFY_TIME_HTTP: Duration = Duration::from_secs(60);
/// How long a check of the data may take when it is asked for at the command line.
pub const VERIFY_TIME_LOCAL: Duration = Duration::from_secs(30 * 60);
/// Steps of one heartbeat.
pub const STEPS_MAX: usize = 100;
