//! Numeric constants of the rules: input limits, default durations and bounds.

use std::time::Duration;

/// Characters of a title.
pub const TITLE_CHARS: usize = 500;
/// Characters of a name (key, project, agent).
pub const NAME_CHARS: usize = 200;
/// People in a goal's `on_behalf_of`.
pub const ON_BEHALF_OF: usize = 10;
/// Bytes of a goal's brief.
pub const BRIEF_BYTES: usize = 256 * 1024;
/// Bytes of a task's description.
pub const DESCRIPTION_BYTES: usize = 64 * 1024;
/// Bytes of one JSON value from an agent or submitter (input, result, checkpoint), serialised.
pub const JSON_BYTES: usize = 256 * 1024;
/// Bytes of a reason, message or comment.
pub const MESSAGE_BYTES: usize = 16 * 1024;
/// Comments of a task and its goal that a claim hands over.
pub const CLAIM_COMMENTS: i64 = 20;
/// Bytes of these comments together.
pub const CLAIM_COMMENT_BYTES: i64 = 16 * 1024;
/// Characters of a comment that its event repeats.
pub const COMMENT_EXCERPT_CHARS: usize = 300;
/// Characters of a task's ref.
pub const REF_CHARS: usize = 200;
/// Approval policies in force in one workspace.
pub const POLICIES: i64 = 200;
/// Rules of risk floors in one workspace.
pub const RISK_FLOORS: i64 = 100;
/// Conditions on the payload in one rule of a risk floor.
pub const FLOOR_CONDITIONS: usize = 8;
/// Characters of a pattern or pointer of a risk floor.
pub const FLOOR_CHARS: usize = 500;
/// Bytes of a compiled pattern of a risk floor: bounds the time of a search.
pub const FLOOR_PATTERN_BYTES: usize = 256 * 1024;
/// Bytes of the document of a playbook.
pub const PLAYBOOK_BYTES: usize = 256 * 1024;
/// Variables of a playbook.
pub const PLAYBOOK_VARIABLES: usize = 100;
/// Items of a list that is the value of a variable.
pub const PLAYBOOK_ITEMS: usize = 1_000;
/// Values in the `one_of` of a variable.
pub const PLAYBOOK_CHOICES: usize = 200;
/// Depth of playbooks inside playbooks.
pub const PLAYBOOK_NESTING: usize = 5;
/// Bytes that the templates of one expansion read and write; an instruction counts as 64. It bounds the time
/// of an expansion, and is several times what the largest plan needs.
pub const PLAYBOOK_WORK: u64 = 48 * 1024 * 1024;
/// Playbooks of one workspace.
pub const PLAYBOOKS: i64 = 500;
/// Versions of one playbook.
pub const PLAYBOOK_VERSIONS: i32 = 1_000;
/// Playbooks that one expansion reads.
pub const PLAYBOOK_SHELF: usize = 100;
/// Schedules of one workspace.
pub const SCHEDULES: i64 = 1_000;
/// Queued fires of one schedule; a fire beyond is skipped.
pub const SCHEDULE_QUEUED: i32 = 100;
/// Default of the age up to which fires of a schedule are made late, in seconds.
pub const CATCH_UP_SECONDS: i32 = 3_600;
/// Greatest age up to which fires of a schedule are made late, in seconds: 7 days.
pub const CATCH_UP_SECONDS_MAX: i32 = 604_800;
/// Consecutive refused goals after which a schedule is paused.
pub const SCHEDULE_REFUSALS: i32 = 3;
/// Due times that a schedule shows, and that a preview shows without a number.
pub const DUE_TIMES: usize = 5;
/// Most due times of a preview.
pub const DUE_TIMES_MAX: u32 = 100;
/// Bytes of the name of a time zone.
pub const TIME_ZONE_BYTES: usize = 64;
/// Time for which the fires of schedules are kept.
pub const FIRES_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// Tasks of one plan.
pub const PLAN_TASKS: usize = 5_000;
/// Dependencies of one plan.
pub const PLAN_DEPENDENCIES: usize = 100_000;
/// Tasks of one goal, added ones and subtasks included: bounds the transaction that cancels it.
pub const GOAL_TASKS: usize = 50_000;
/// Planners of one chain.
pub const PLANNERS: usize = 5;
/// Planning runs of one goal, over all its chains.
pub const PLANNING_RUNS: usize = 200;
/// Time for which a server holds a planning run without renewing it. After it another server takes it again.
pub const PLANNING_LEASE: Duration = Duration::from_secs(60);
/// Times that a planning run is taken before it fails: each time before, a server ended while it planned.
pub const PLANNING_TAKES: i32 = 3;
/// Longest time that a model plans.
pub const PLANNING_LONGEST: Duration = Duration::from_secs(15 * 60);
/// Planning runs of one workspace for which models are asked at a time.
pub const PLANNING_AT_ONCE: i64 = 4;
/// Plans of an agent that are sent back before its run fails; the last one of them fails it.
pub const PLAN_REJECTIONS: i32 = 3;
/// Time for which a planning task waits for its first claim if another planner comes after it.
pub const PLAN_START_WITHIN: Duration = Duration::from_secs(30 * 60);
/// Bytes of the outline of a brief that a planning agent gets with its task.
pub const PLAN_DRAFT_BYTES: usize = 128 * 1024;
/// Findings about one plan that are stored and sent back.
pub const FINDINGS: usize = 100;
/// Depth of nested tasks.
pub const NESTING: usize = 20;
/// Failures of class `too_large` after which a task is parked until it is divided.
pub const TOO_LARGE_LIMIT: i64 = 2;
/// Depth of divided tasks inside each other.
pub const SPLIT_DEPTH: i64 = 3;
/// Tasks of one report of discovered work.
pub const DISCOVERED_PER_REPORT: usize = 20;
/// Tasks that one attempt may report as discovered.
pub const DISCOVERED_PER_ATTEMPT: i64 = 50;
/// Discovered tasks of one goal, created or waiting for a decision.
pub const DISCOVERED_PER_GOAL: i64 = 500;
/// Depth of work discovered from discovered work.
pub const DISCOVERED_DEPTH: i64 = 3;
/// Criteria of one task.
pub const TASK_CRITERIA: usize = 200;
/// Criteria of one goal.
pub const GOAL_CRITERIA: usize = 1_000;
/// Default of the reworks that reports of agents make of one criterion of a goal.
pub const GOAL_MAX_REWORK: i16 = 3;
/// Largest `max_rework` of a goal.
pub const GOAL_MAX_REWORK_MOST: i16 = 20;
/// Capabilities of one task.
pub const TASK_CAPABILITIES: usize = 32;
/// Capabilities of one agent.
pub const AGENT_CAPABILITIES: usize = 200;
/// Labels of one task.
pub const TASK_LABELS: usize = 32;
/// Concurrency keys of one task.
pub const TASK_CONCURRENCY_KEYS: usize = 16;
/// Characters of the name of a concurrency key.
pub const CONCURRENCY_KEY_CHARS: usize = 100;
/// Concurrency keys of one workspace.
pub const CONCURRENCY_KEYS: i64 = 1_000;
/// New concurrency keys that an agent may name in one request.
pub const AGENT_NEW_KEYS: usize = 4;
/// Time after which a concurrency key that only tasks made is deleted if no open task names it.
pub const UNUSED_KEY_FOR: Duration = Duration::from_secs(3600);
/// Largest `most` of a concurrency key.
pub const CONCURRENCY_MOST: i32 = 10_000;
/// Resources that one task touches.
pub const TASK_TOUCHES: usize = 64;
/// Resources that one attempt holds.
pub const ATTEMPT_RESOURCES: usize = 128;
/// Resources that attempts of one project hold, beyond which they take no more beside those of their tasks.
pub const SCOPE_RESOURCES: usize = 10_000;
/// Characters of a resource.
pub const RESOURCE_CHARS: usize = 500;
/// Most hand-offs of one task.
pub const HAND_OFFS: i64 = 10;
/// How long a handed-over task is only for its addressee, unless the request says otherwise.
pub const OFFER_SECONDS: u32 = 600;
/// Longest such time.
pub const OFFER_SECONDS_MAX: u32 = 86_400;
/// Most comments of agents on a goal and its tasks together.
pub const GOAL_COMMENTS: i64 = 2_000;
/// Most comments of an agent in [`COMMENTS_WITHIN`].
pub const AGENT_COMMENTS: i64 = 30;
/// The time in which an agent writes at most [`AGENT_COMMENTS`] comments.
pub const COMMENTS_WITHIN: Duration = Duration::from_secs(60);
/// Most comments in the answer to a heartbeat.
pub const HEARTBEAT_COMMENTS: i64 = 20;
/// Most bytes of the texts of these comments together; the first one is sent whatever its size.
pub const HEARTBEAT_COMMENT_BYTES: i64 = 32 * 1024;
/// Number of heartbeats whose answers have a comment that is not acknowledged.
pub const COMMENT_SENT: i16 = 5;
/// Most comments that a heartbeat acknowledges.
pub const HEARTBEAT_SEEN: usize = 100;
/// Longer than a claim's transaction takes: how far from a comment on its goal an attempt may start and not see it.
pub const SPREAD_WITHIN: Duration = Duration::from_secs(30);
/// Entries of one spend report; items of one evidence list.
pub const LIST_ITEMS: usize = 500;
/// Tasks of one claim.
pub const CLAIM_MAX: u32 = 100;
/// Heartbeats of one request.
pub const HEARTBEATS_MAX: usize = 1_000;
/// Largest amount of one spend entry or total, in any unit.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// Lease duration without a value in claim or task.
pub const LEASE: Duration = Duration::from_secs(60);
/// Shortest lease.
pub const LEASE_MIN: Duration = Duration::from_secs(1);
/// Longest lease.
pub const LEASE_MAX: Duration = Duration::from_secs(3600);
/// Hard deadline of an attempt without a value in the task.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4 * 3600);
/// Longest duration in any setting of a task: 30 days.
pub const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Default lease of a person's attempt after a takeover.
pub const TAKEOVER_LEASE: Duration = Duration::from_secs(8 * 3600);
/// Hard deadline and longest lease of a person's attempt: 7 days.
pub const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Default number of attempts of a task.
pub const MAX_ATTEMPTS: i32 = 3;
/// Default number of rejected results before a person chooses how the task goes on.
pub const MAX_REWORK: i32 = 3;
/// Largest `max_rework` of a task.
pub const MAX_REWORK_MOST: i32 = 20;
/// Consecutive lost leases that put a task in quarantine.
pub const LOST_LIMIT: i32 = 3;
/// Consecutive releases after which a task is offered again at once; after more it waits.
pub const FREE_RELEASES: i32 = 2;
/// Consecutive releases from which a task is in the attention list.
pub const RELEASED_LIMIT: i32 = 5;
/// Grace of an attempt after its cancellation was requested.
pub const CANCEL_GRACE: Duration = Duration::from_secs(60);
/// Waiting time that equals one point of priority.
pub const PRIORITY_STEP: Duration = Duration::from_secs(300);
/// Pairs of a goal and a set of capabilities among which one claim chooses. Further goals have their turn in the
/// next claims.
pub const GOALS_IN_TURN: i64 = 256;
/// Longest time that a task is kept for a better agent, in milliseconds, where the workspace sets none.
pub const MAX_DEFERRAL_MS: i32 = 5_000;
/// Most that it can be set to.
pub const MAX_DEFERRAL_MS_MOST: i32 = 600_000;
/// Percentage of assignments made at random, where the workspace sets none.
pub const CONTROL_PERCENT: i32 = 2;
/// Most that it can be set to.
pub const CONTROL_PERCENT_MOST: i32 = 20;
/// Default priority of a goal.
pub const PRIORITY: i16 = 5;
/// Highest priority.
pub const PRIORITY_MAX: i16 = 9;
/// First backoff; doubles with each counted attempt.
pub const BACKOFF_BASE: Duration = Duration::from_secs(1);
/// Longest backoff.
pub const BACKOFF_MAX: Duration = Duration::from_secs(600);
/// Time for which a rate-limited agent is given no tasks, unless it says how long.
pub const RATE_LIMIT: Duration = Duration::from_secs(60);
/// Longest time for which a rate-limited agent is given no tasks.
pub const RATE_LIMIT_MAX: Duration = Duration::from_secs(86_400);
/// Most rates of a workspace.
pub const RATES: i64 = 1_000;
/// Most quota windows of a workspace.
pub const QUOTA_WINDOWS: i64 = 1_000;
/// Longest wait of a long poll, in seconds.
pub const WAIT_MAX_SECONDS: u32 = 60;
/// Retention of an answer under its `Idempotency-Key`.
pub const REPLAY_FOR: Duration = Duration::from_secs(24 * 3600);
/// Live keys of one agent; registering again revokes the oldest above this number.
pub const AGENT_KEYS: i64 = 5;
/// Precision of an agent's last-seen time: a younger value is not rewritten.
pub const SEEN_EXACT_TO: Duration = Duration::from_secs(30);
/// Silence after which an agent counts as late.
pub const LATE_AFTER: Duration = Duration::from_secs(120);
/// Silence after which an agent counts as lost.
pub const LOST_AFTER: Duration = Duration::from_secs(600);
/// Longest lifetime of a key: ten years.
pub const KEY_EXPIRY_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Precision of the last use of a key and of a session: a younger value is not rewritten.
pub const USE_EXACT_TO: Duration = Duration::from_secs(30);
/// Projects in the scope of a key.
pub const SCOPE_PROJECTS: usize = 100;
/// Keys that a key may end with: the length of a chain of makers.
pub const DIES_WITH: usize = 16;
/// Longest time that both keys of a rotation are valid: 30 days.
pub const ROTATION_OVERLAP_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Shortest lifetime of agent keys that a workspace may ask for.
pub const AGENT_KEY_LIFETIME_MIN: Duration = Duration::from_secs(60);
/// A session ends after this time without a request.
pub const SESSION_IDLE: Duration = Duration::from_secs(8 * 3600);
/// A session ends after this time, whatever its use.
pub const SESSION_LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Time from the begin of a sign-in to the return from the identity provider.
pub const SIGN_IN_WITHIN: Duration = Duration::from_secs(600);
/// Characters of the issuer of an identity.
pub const ISSUER_CHARS: usize = 500;
/// Characters of the subject of an identity: the limit of OpenID Connect.
pub const SUBJECT_CHARS: usize = 255;
/// Bytes of a secret.
pub const SECRET_BYTES: usize = 16 * 1024;
/// Secrets of one workspace.
pub const SECRETS: i64 = 1_000;
/// Bytes of a project's description.
pub const PROJECT_DESCRIPTION_BYTES: usize = 16 * 1024;
/// Largest concurrency limit of an agent.
pub const AGENT_CONCURRENT_MAX: i32 = 10_000;
/// Default lifetime of a decision link: three days.
pub const LINK_EXPIRY: Duration = Duration::from_secs(3 * 24 * 3600);
/// Longest lifetime of a decision link: thirty days.
pub const LINK_EXPIRY_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Largest payload, formatted, that a link's page shows, in bytes. A link cannot decide a larger
/// one, because a person could not read all of it.
pub const LINK_PAYLOAD_BYTES: usize = 64 * 1024;
/// Age at which `verify` reports an overdue row. Many sweeps long, so that a restart of the service
/// raises no alarm.
pub const SWEEP_PATIENCE: Duration = Duration::from_secs(60);
/// Violations that `verify` lists per invariant.
pub const VERIFY_SAMPLES: i64 = 10;
/// Time limit of `verify` over HTTP.
pub const VERIFY_TIME_HTTP: Duration = Duration::from_secs(60);
/// Time limit of `verify` at the command line.
pub const VERIFY_TIME_LOCAL: Duration = Duration::from_secs(30 * 60);
/// Steps in one heartbeat.
pub const STEPS_MAX: usize = 100;
