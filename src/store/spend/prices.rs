//! The price book, and the model calls priced with it.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::{
    domain::{
        budget::{OnExhausted, UnknownModel},
        ids::{AttemptId, KeyId, PriceId},
        price::{MoneySource, Price, PriceSource, Tokens},
    },
    store::{Tx, columns::uuids, traced},
};

/// A stored price.
#[derive(Debug, Clone)]
pub struct PriceRow {
    /// Its id; rises with time.
    pub price_id: PriceId,
    /// The billing provider.
    pub provider: String,
    /// Name of the model.
    pub model: String,
    /// Time from which it applies.
    pub effective_from: DateTime<Utc>,
    /// Its rates, JSON.
    pub price: Json<Price>,
    /// Source of the price.
    pub source: PriceSource,
    /// Remark for people.
    pub note: Option<String>,
    /// The key that added it.
    pub created_by: Option<KeyId>,
    /// Time at which it was added.
    pub created_at: DateTime<Utc>,
}

/// The prices of models with any of these lower-case names.
pub async fn named(tx: &mut Tx, names: &[String]) -> sqlx::Result<Vec<PriceRow>> {
    sqlx::query_as!(
        PriceRow,
        r#"select price_id as "price_id: PriceId", provider, model, effective_from,
                  price as "price: Json<Price>", source as "source: PriceSource", note, created_by as "created_by: KeyId",
                  created_at
           from prices where workspace_id = $1 and lower(model) = any($2)
           order by created_at, price_id"#,
        tx.workspace.0,
        names,
    )
    .fetch_all(traced!(tx, "spend.prices.named"))
    .await
}

/// All prices, to find the dearest.
pub async fn all(tx: &mut Tx) -> sqlx::Result<Vec<PriceRow>> {
    sqlx::query_as!(
        PriceRow,
        r#"select price_id as "price_id: PriceId", provider, model, effective_from,
                  price as "price: Json<Price>", source as "source: PriceSource", note, created_by as "created_by: KeyId",
                  created_at
           from prices where workspace_id = $1 order by created_at, price_id"#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "spend.prices.all"))
    .await
}

/// Up to `rows` prices after `after`, newest first.
pub async fn list(
    tx: &mut Tx,
    provider: Option<&str>,
    model: Option<&str>,
    after: Option<PriceId>,
    rows: i64,
) -> sqlx::Result<Vec<PriceRow>> {
    sqlx::query_as!(
        PriceRow,
        r#"select price_id as "price_id: PriceId", provider, model, effective_from,
                  price as "price: Json<Price>", source as "source: PriceSource", note, created_by as "created_by: KeyId",
                  created_at
           from prices
           where workspace_id = $1 and ($2::text is null or lower(provider) = lower($2))
             and ($3::text is null or lower(model) = lower($3))
             and ($4::uuid is null or price_id < $4)
           order by price_id desc limit $5"#,
        tx.workspace.0,
        provider,
        model,
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "spend.prices.list"))
    .await
}

/// Adds prices.
pub async fn insert(tx: &mut Tx, rows: &[PriceRow]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &rows.iter().map($of).collect::<Vec<_>>()
        };
    }
    let sources: Vec<&str> = rows.iter().map(|row| row.source.as_str()).collect();
    sqlx::query!(
        "insert into prices (workspace_id, price_id, provider, model, effective_from, price, source,
                             note, created_by, created_at)
         select $1, p.* from unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[],
             $6::jsonb[], $7::text[], $8::text[], $9::uuid[], $10::timestamptz[]) as p",
        tx.workspace.0,
        column!(|row| row.price_id.0),
        column!(|row| row.provider.clone()),
        column!(|row| row.model.clone()),
        column!(|row| row.effective_from),
        column!(|row| &row.price) as &[&Json<Price>],
        &sources as &[&str],
        column!(|row| row.note.clone()) as &[Option<String>],
        column!(|row| row.created_by.map(|id| id.0)) as &[Option<uuid::Uuid>],
        column!(|row| row.created_at),
    )
    .execute(traced!(tx, "spend.prices.insert"))
    .await?;
    Ok(())
}

/// Handling of models without a price, per attempt: that of the nearest budget above with a money
/// limit that is enforced, otherwise of the nearest that only notifies. Omits attempts without such
/// budgets.
pub async fn policies(
    tx: &mut Tx,
    attempts: &[AttemptId],
) -> sqlx::Result<Vec<(AttemptId, UnknownModel, OnExhausted)>> {
    let rows = sqlx::query!(
        r#"select distinct on (a.attempt_id) a.attempt_id as "attempt_id: AttemptId",
                  b.unknown_model as "unknown_model: UnknownModel",
                  b.on_exhausted as "on_exhausted: OnExhausted"
           from unnest($2::uuid[]) as n (attempt_id)
           join attempts a on a.workspace_id = $1 and a.attempt_id = n.attempt_id
           join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
           cross join lateral (values
               (0, 'task', a.task_id), (1, 'goal', a.goal_id), (2, 'agent', a.agent_id),
               (3, 'project', g.project_id), (4, 'workspace', a.workspace_id))
               as p (depth, node, node_id)
           join budget_limits l on l.workspace_id = $1 and l.node = p.node
                and l.node_id = p.node_id and l.removed_at is null and l.unit = 'usd_micros'
           join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
           order by a.attempt_id, b.on_exhausted = 'notify', p.depth"#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "spend.prices.policies"))
    .await?;
    let policies =
        rows.into_iter().map(|row| (row.attempt_id, row.unknown_model, row.on_exhausted));
    Ok(policies.collect())
}

/// A priced model call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCall {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Key of its spend entry.
    pub key: String,
    /// The called provider.
    pub provider: Option<String>,
    /// The model that answered.
    pub model: String,
    /// Time of the call.
    pub called_at: DateTime<Utc>,
    /// Numbers of tokens.
    pub tokens: Tokens,
    /// Source of its money amount.
    pub money: MoneySource,
}

/// Stores calls.
pub async fn insert_calls(tx: &mut Tx, calls: &[ModelCall]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &calls.iter().map($of).collect::<Vec<_>>()
        };
    }
    let money: Vec<&str> = calls.iter().map(|call| call.money.as_str()).collect();
    sqlx::query!(
        "insert into model_calls (workspace_id, attempt_id, entry_key, provider, model, called_at,
             input, cache_read, cache_write, cache_write_1h, output, reasoning, money)
         select $1, c.* from unnest($2::uuid[], $3::text[], $4::text[], $5::text[],
             $6::timestamptz[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
             $11::bigint[], $12::bigint[], $13::text[]) as c
         on conflict do nothing",
        tx.workspace.0,
        column!(|call| call.attempt_id.0),
        column!(|call| call.key.clone()),
        column!(|call| call.provider.clone()) as &[Option<String>],
        column!(|call| call.model.clone()),
        column!(|call| call.called_at),
        column!(|call| call.tokens.input),
        column!(|call| call.tokens.cache_read),
        column!(|call| call.tokens.cache_write),
        column!(|call| call.tokens.cache_write_1h),
        column!(|call| call.tokens.output),
        column!(|call| call.tokens.reasoning),
        &money as &[&str],
    )
    .execute(traced!(tx, "spend.prices.insert_calls"))
    .await?;
    Ok(())
}

/// A call and its total charge.
#[derive(Debug, Clone)]
pub struct ChargedCall {
    /// The call.
    pub call: ModelCall,
    /// Whole micro-dollars.
    pub micros: i64,
    /// Millionths of a micro-dollar, in addition.
    pub fraction: i64,
    /// Tokens charged as unpriced.
    pub unpriced: i64,
    /// Number of corrections by re-rating.
    pub corrections: i32,
}

/// Filter of [`charged_calls`].
#[derive(Debug, Clone, Copy)]
pub struct CallFilter<'a> {
    /// Only models with these lower-case names; `None` for all.
    pub models: Option<&'a [String]>,
    /// Calls at this time or later.
    pub from: DateTime<Utc>,
    /// Calls before this time.
    pub to: DateTime<Utc>,
    /// Only calls of attempts up to this one; `None` for all.
    pub last: Option<AttemptId>,
}

/// Calls priced by muster, not by the agent, with the charge of each; after a position, in order of
/// attempt and key.
pub async fn charged_calls(
    tx: &mut Tx,
    filter: CallFilter<'_>,
    after: (AttemptId, &str),
    rows: i64,
) -> sqlx::Result<Vec<ChargedCall>> {
    let CallFilter { models, from, to, last } = filter;
    let rows = sqlx::query!(
        r#"
        select c.attempt_id as "attempt_id: AttemptId", c.entry_key, c.provider, c.model,
               c.called_at, c.input, c.cache_read, c.cache_write, c.cache_write_1h, c.output,
               c.reasoning, c.money as "money: MoneySource",
               coalesce(e.micros, 0)::bigint as "micros!",
               coalesce(e.fraction, 0)::bigint as "fraction!",
               coalesce(e.unpriced, 0)::bigint as "unpriced!", c.corrections
        from model_calls c
        left join lateral (
            select sum(amount) filter (where unit = 'usd_micros') as micros,
                   sum(s.fraction) filter (where unit = 'usd_micros') as fraction,
                   sum(amount) filter (where unit = 'unpriced_tokens') as unpriced
            from (select c.entry_key as key
                  union all
                  select 'rerate:' || n || ':' || c.entry_key
                  from generate_series(1, c.corrections) n) k
            join spend_entries s on s.workspace_id = $1 and s.attempt_id = c.attempt_id
                 and s.entry_key = k.key
        ) e on true
        where c.workspace_id = $1 and c.money <> 'reported'
          and ($2::text[] is null or lower(c.model) = any($2))
          and c.called_at >= $3 and c.called_at < $4
          and (c.attempt_id, c.entry_key) > ($5, $6) and c.attempt_id <= $8
        order by c.attempt_id, c.entry_key limit $7
        "#,
        tx.workspace.0,
        models as Option<&[String]>,
        from,
        to,
        after.0.0,
        after.1,
        rows,
        last.map_or(uuid::Uuid::max(), |attempt| attempt.0),
    )
    .fetch_all(traced!(tx, "spend.prices.charged_calls"))
    .await?;
    let calls = rows.into_iter().map(|row| ChargedCall {
        call: ModelCall {
            attempt_id: row.attempt_id,
            key: row.entry_key,
            provider: row.provider,
            model: row.model,
            called_at: row.called_at,
            tokens: Tokens {
                input: row.input,
                cache_read: row.cache_read,
                cache_write: row.cache_write,
                cache_write_1h: row.cache_write_1h,
                output: row.output,
                reasoning: row.reasoning,
            },
            money: row.money,
        },
        micros: row.micros,
        fraction: row.fraction,
        unpriced: row.unpriced,
        corrections: row.corrections,
    });
    Ok(calls.collect())
}

/// Raises the number of corrections of calls `(attempt, key)`.
pub async fn count_corrections(tx: &mut Tx, calls: &[(AttemptId, String)]) -> sqlx::Result<()> {
    sqlx::query!(
        "update model_calls c set corrections = c.corrections + 1
         from unnest($2::uuid[], $3::text[]) as n (attempt_id, entry_key)
         where c.workspace_id = $1 and c.attempt_id = n.attempt_id and c.entry_key = n.entry_key",
        tx.workspace.0,
        &calls.iter().map(|(attempt, _)| attempt.0).collect::<Vec<_>>(),
        &calls.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "spend.prices.count_corrections"))
    .await?;
    Ok(())
}
