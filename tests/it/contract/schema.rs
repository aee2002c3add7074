//! The rules of the schema, held against the catalogue of a migrated database.

use std::collections::BTreeMap;

use crate::support::{database::fresh_database, fleet::Fleet};
use muster::{
    domain::{
        access::{role::Role, scope::Access},
        approval::{Risk, Verdict, review::ReviewChoice},
        budget::{BudgetNode, OnExhausted, Period, UnknownModel},
        comment::CommentKind,
        criterion::{CriterionType, EvidenceTier},
        freeze::{FreezeMode, FreezeScope},
        gate::resource::TouchMode,
        goal::criteria::{CriterionState, TaskPurpose, Written},
        knowledge::{LessonKind, LessonState, LessonVerdict, Origin, Outcome, Trust},
        loops::Pattern,
        plan::discovered::DiscoveredPolicy,
        planning::{RunState, Target, model::ModelApi},
        price::{MoneySource, PriceSource},
        routing::{assign::Reason, policy::Policy},
        rule::{Action, Closing, Condition, Subject},
        schedule::{FireOutcome, Overlap, PauseReason},
        secret::Purpose,
        spend::measured::MeasuredOf,
        states::{
            AgentState, ApprovalKind, ApprovalState, AttemptState, FailureClass, GoalState,
            PlanState, Planner, SpendNode, TaskState,
        },
        words::Words,
    },
    store,
};
use serde_json::json;
use sqlx::{PgPool, Row as _};

/// Not of the schema: the list of applied migrations.
const FOREIGN: &str = "_sqlx_migrations";

async fn strings(pool: &PgPool, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).bind(FOREIGN).fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn the_workspace_comes_first_in_every_key_and_index() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let indexes = strings(
        &pool,
        "select i.indexrelid::regclass || ': ' || coalesce(a.attname, 'an expression')
         from pg_index i join pg_class t on t.oid = i.indrelid
         left join pg_attribute a on a.attrelid = t.oid and a.attnum = i.indkey[0]
         where t.relnamespace = 'public'::regnamespace and t.relname <> $1
           and a.attname is distinct from 'workspace_id'",
    )
    .await;
    assert_eq!(indexes, [""; 0], "indexes that do not begin with workspace_id");
    let keys = strings(
        &pool,
        "select c.conrelid::regclass || '.' || c.conname from pg_constraint c
         join pg_class t on t.oid = c.conrelid
         join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
         left join pg_attribute f on f.attrelid = c.confrelid and f.attnum = c.confkey[1]
         where t.relnamespace = 'public'::regnamespace and t.relname <> $1
           and c.contype in ('p', 'u', 'f', 'x')
           and (a.attname <> 'workspace_id' or (c.contype = 'f' and f.attname <> 'workspace_id'))",
    )
    .await;
    assert_eq!(keys, [""; 0], "constraints that do not begin with workspace_id");
    let tables = strings(
        &pool,
        "select t.oid::regclass::text from pg_class t
         where t.relnamespace = 'public'::regnamespace and t.relkind in ('r', 'p')
           and t.relname <> $1 and not exists (select from pg_constraint c
               where c.conrelid = t.oid and c.contype = 'p')",
    )
    .await;
    assert_eq!(tables, [""; 0], "tables without a primary key");
}

#[tokio::test]
async fn every_table_and_column_says_what_it_is() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let silent = strings(
        &pool,
        "select t.relname || coalesce('.' || a.attname, '') from pg_class t
         left join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
         where t.relnamespace = 'public'::regnamespace and t.relkind in ('r', 'p')
           and t.relname <> $1
           and (col_description(t.oid, a.attnum) is null or obj_description(t.oid) is null)",
    )
    .await;
    assert_eq!(silent, [""; 0], "columns or tables without a comment");
}

#[tokio::test]
async fn constraints_have_names_of_their_own() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    // What PostgreSQL makes up ends with `_check`, `_fkey1` and the like; ours say what they hold.
    let nameless = strings(
        &pool,
        "select t.relname || '.' || c.conname from pg_constraint c
         join pg_class t on t.oid = c.conrelid
         where t.relnamespace = 'public'::regnamespace and t.relname <> $1 and c.contype = 'c'
           and (c.conname ~ '_check[0-9]*$' or not starts_with(c.conname, t.relname || '_'))",
    )
    .await;
    assert_eq!(nameless, [""; 0]);
}

fn words<T: Words>() -> Vec<&'static str> {
    let mut words: Vec<&str> = T::ALL.iter().map(|word| word.as_str()).collect();
    words.sort_unstable();
    words
}

/// The kinds of lessons that agents hand in: all but those that the service writes.
fn handed_kinds() -> Vec<&'static str> {
    let mut kinds = words::<LessonKind>();
    kinds.retain(|kind| *kind != LessonKind::Digest.as_str());
    kinds
}

#[tokio::test]
async fn lists_of_words_are_the_same_in_the_database_and_in_the_code() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let code = BTreeMap::from([
        ("keys_role_known", words::<Role>()),
        ("keys_scope_access_known", words::<Access>()),
        ("sessions_role_known", words::<Role>()),
        ("identities_role_known", words::<Role>()),
        ("secrets_purpose_known", words::<Purpose>()),
        ("goals_state_known", words::<GoalState>()),
        ("goals_planner_known", words::<Planner>()),
        ("goals_discovered_known", words::<DiscoveredPolicy>()),
        ("goal_criteria_state_known", words::<CriterionState>()),
        ("goal_criteria_written_known", words::<Written>()),
        ("tasks_purpose_known", words::<TaskPurpose>()),
        ("criteria_type_known", words::<CriterionType>()),
        ("criteria_min_tier_known", words::<EvidenceTier>()),
        ("evidence_tier_known", words::<EvidenceTier>()),
        ("plans_state_known", words::<PlanState>()),
        ("plans_planner_known", words::<Planner>()),
        ("planning_runs_planner_known", words::<Planner>()),
        ("planning_runs_state_known", words::<RunState>()),
        ("planning_runs_target_known", words::<Target>()),
        ("approvals_risk_known", words::<Risk>()),
        ("task_texts_risk_known", words::<Risk>()),
        ("risk_floors_risk_known", words::<Risk>()),
        ("risk_floors_kind_known", words::<ApprovalKind>()),
        ("approvals_verdict_known", words::<Verdict>()),
        ("approval_votes_verdict_known", words::<Verdict>()),
        ("approvals_choice_known", words::<ReviewChoice>()),
        ("approval_links_verdict_known", words::<Verdict>()),
        ("tasks_state_known", words::<TaskState>()),
        ("tasks_failure_class_known", words::<FailureClass>()),
        ("agents_state_known", words::<AgentState>()),
        ("workspaces_routing_known", words::<Policy>()),
        ("assignments_policy_known", words::<Policy>()),
        ("assignments_reason_known", words::<Reason>()),
        ("attempts_state_known", words::<AttemptState>()),
        ("attempt_results_failure_class_known", words::<FailureClass>()),
        ("spend_totals_node_known", words::<SpendNode>()),
        ("prices_source_known", words::<PriceSource>()),
        ("model_calls_money_known", words::<MoneySource>()),
        ("planning_spend_money_known", words::<MoneySource>()),
        ("planner_settings_api_known", words::<ModelApi>()),
        ("budgets_node_known", words::<BudgetNode>()),
        ("budgets_on_exhausted_known", words::<OnExhausted>()),
        ("budgets_unknown_model_known", words::<UnknownModel>()),
        ("budget_limits_node_known", words::<BudgetNode>()),
        ("budget_limits_period_known", words::<Period>()),
        ("approvals_kind_known", words::<ApprovalKind>()),
        ("approvals_state_known", words::<ApprovalState>()),
        ("freezes_scope_known", words::<FreezeScope>()),
        ("freezes_mode_known", words::<FreezeMode>()),
        ("task_touches_mode_known", words::<TouchMode>()),
        ("resource_grants_mode_known", words::<TouchMode>()),
        ("comments_kind_known", words::<CommentKind>()),
        ("attempt_loops_pattern_known", words::<Pattern>()),
        ("measured_use_kind_known", words::<MeasuredOf>()),
        ("schedules_overlap_known", words::<Overlap>()),
        ("schedules_pause_known", words::<PauseReason>()),
        ("schedule_fires_outcome_known", words::<FireOutcome>()),
        ("rules_subject_known", words::<Subject>()),
        ("rules_condition_known", words::<Condition>()),
        ("rules_action_known", words::<Action>()),
        ("interventions_subject_known", words::<Subject>()),
        ("interventions_condition_known", words::<Condition>()),
        ("interventions_action_known", words::<Action>()),
        ("interventions_closing_known", words::<Closing>()),
        ("lessons_kind_known", words::<LessonKind>()),
        ("lessons_origin_known", words::<Origin>()),
        ("lessons_outcome_known", words::<Outcome>()),
        ("lessons_state_known", words::<LessonState>()),
        ("lessons_trust_known", words::<Trust>()),
        ("lesson_versions_kind_known", words::<LessonKind>()),
        ("handed_lessons_kind_known", handed_kinds()),
        ("exposures_verdict_known", words::<LessonVerdict>()),
    ]);
    let rows = sqlx::query(
        "select conname::text, (select array_agg(m[1] order by m[1] collate \"C\")
             from regexp_matches(pg_get_constraintdef(oid), '''([^'']*)''::text', 'g') m)
         from pg_constraint where contype = 'c' and conname like '%\\_known'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let stored: BTreeMap<String, Vec<String>> =
        rows.into_iter().map(|row| (row.get(0), row.get(1))).collect();
    let code: BTreeMap<String, Vec<String>> = code
        .into_iter()
        .map(|(name, words)| (name.to_owned(), words.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(stored, code);
}

/// Every column that holds a word has a CHECK with the list.
#[tokio::test]
async fn no_state_is_free_text() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let free = strings(
        &pool,
        "select a.attrelid::regclass || '.' || a.attname from pg_attribute a
         join pg_class t on t.oid = a.attrelid
         where t.relnamespace = 'public'::regnamespace and t.relkind = 'r' and t.relname <> $1
           and a.attname in ('state', 'role', 'planner', 'failure_class', 'node')
           and not exists (select from pg_constraint c where c.conrelid = t.oid
               and c.contype = 'c' and c.conname = t.relname || '_' || a.attname || '_known')",
    )
    .await;
    assert_eq!(free, [""; 0]);
}

#[tokio::test]
async fn amounts_are_whole_numbers_and_instants_have_a_zone() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let wrong = strings(
        &pool,
        "select table_name || '.' || column_name || ' ' || data_type
         from information_schema.columns where table_schema = 'public' and table_name <> $1
           -- The data of the journal is kept as the text that was written: its digest is of that.
           and (table_name, column_name) <> ('journal', 'data')
           -- What is believed of agents fades: these are weights and sums of weights, and no amounts.
           and table_name <> 'agent_records'
           and (data_type in ('real', 'double precision', 'numeric', 'json', 'character varying',
                              'character', 'timestamp without time zone', 'serial')
                or (column_name ~ '_at$' and data_type <> 'timestamp with time zone')
                or (column_name ~ '_id$' and data_type <> 'uuid')
                or column_default like 'nextval%')",
    )
    .await;
    assert_eq!(wrong, [""; 0]);
}

#[tokio::test]
async fn every_connection_has_timeouts() {
    let database = fresh_database().await;
    let pool = store::connect(database.connect_options(), 3).await.unwrap();
    let mut connections = Vec::new();
    for _ in 0..3 {
        connections.push(pool.acquire().await.unwrap());
    }
    for connection in &mut connections {
        let settings = sqlx::query_as::<_, (String, String)>(
            "select name, setting from pg_settings where name in ('statement_timeout',
             'lock_timeout', 'idle_in_transaction_session_timeout') order by name",
        )
        .fetch_all(&mut **connection)
        .await
        .unwrap();
        assert_eq!(settings.len(), 3);
        for (name, setting) in settings {
            let milliseconds: u64 = setting.parse().unwrap();
            assert!((1..=60_000).contains(&milliseconds), "{name} is {setting}");
        }
    }
}

/// A heartbeat must stay a HOT update: it changes no indexed column, and there is room beside it.
#[tokio::test]
async fn heartbeats_change_no_indexed_column() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let beaten = [
        ("attempts", "lease_expires_at"),
        ("attempt_progress", "progress"),
        ("attempt_progress", "checkpoint"),
        ("attempt_progress", "updated_at"),
        ("attempt_progress", "steps"),
        ("attempt_progress", "progressed_at"),
        ("agent_presence", "last_seen_at"),
        ("attempt_spend", "entries"),
        ("attempt_spend", "reported"),
        ("spend_totals", "amount"),
        ("budget_windows", "settled"),
        ("budget_windows", "reserved"),
        ("reservations", "held"),
        ("journal_heads", "last_number"),
    ];
    for (table, column) in beaten {
        let indexes: Vec<String> = sqlx::query_scalar(
            "select i.indexrelid::regclass::text from pg_index i
             where i.indrelid = $1::text::regclass
               and pg_get_indexdef(i.indexrelid) ~ ('\\m' || $2 || '\\M')",
        )
        .bind(table)
        .bind(column)
        .fetch_all(&pool)
        .await
        .unwrap();
        assert_eq!(indexes, [""; 0], "{table}.{column} is indexed");
        let options: Vec<String> = sqlx::query_scalar(
            "select unnest(coalesce(reloptions, '{}')) from pg_class where oid = $1::text::regclass",
        )
        .bind(table)
        .fetch_all(&pool)
        .await
        .unwrap();
        let fill = options.iter().find_map(|option| option.strip_prefix("fillfactor="));
        let fill: u32 = fill.unwrap_or("100").parse().unwrap();
        assert!(fill <= 80, "{table} has no room for HOT updates: fillfactor {fill}");
    }
}

/// Whatever the code does, the database lets no task have two live attempts.
#[tokio::test]
async fn a_second_live_attempt_is_refused_by_the_database() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let second =
        "insert into attempts (workspace_id, attempt_id, task_id, goal_id, agent_id, number,
            state, lease_sha256, lease_ms, lease_expires_at, hard_deadline, started_at)
         select workspace_id, gen_random_uuid(), task_id, goal_id, agent_id, number + 1, state,
            lease_sha256, lease_ms, lease_expires_at, hard_deadline, started_at
         from attempts where attempt_id = $1::uuid";
    let refused = sqlx::query(second).bind(&held.attempt).execute(&fleet.pool).await.unwrap_err();
    let constraint = refused.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("attempts_one_live_per_task"), "{refused}");
}
