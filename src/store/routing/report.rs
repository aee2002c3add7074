//! What the routing gained: ended attempts that were routed, and those that were assigned at random.

use chrono::{DateTime, Utc};

use crate::{
    domain::ids::AttemptId,
    store::{Tx, traced},
};

/// Ended attempts of one arm of the comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmRow {
    /// Whether they were assigned at random.
    pub control: bool,
    /// Their number.
    pub attempts: i64,
    /// Number of accepted ones.
    pub accepted: i64,
    /// Number with a cost.
    pub priced: i64,
    /// Mean of their costs in `usd_micros`.
    pub cost: Option<f64>,
    /// Its deviation.
    pub cost_deviation: Option<f64>,
    /// Mean duration of the accepted ones in milliseconds.
    pub duration: Option<f64>,
    /// Its deviation.
    pub duration_deviation: Option<f64>,
    /// Mean time for which the tasks had been ready, in milliseconds.
    pub waited: Option<f64>,
}

/// The start of the newest `most` assignments from `from` to before `to`, if there are more than that: the first of them,
/// and its time.
pub async fn newest(
    tx: &mut Tx,
    from: AttemptId,
    to: AttemptId,
    most: i64,
) -> sqlx::Result<Option<(AttemptId, DateTime<Utc>)>> {
    // Ids of attempts ascend with time, so both the range and the order are those of the key.
    let rows = sqlx::query!(
        r#"
        select s.attempt_id as "attempt_id: AttemptId", s.at
        from (select attempt_id from assignments
              where workspace_id = $1 and attempt_id >= $2 and attempt_id < $3
              order by attempt_id desc offset $4 limit 2) n
        join assignments s on s.workspace_id = $1 and s.attempt_id = n.attempt_id
        order by s.attempt_id desc
        "#,
        tx.workspace.0,
        from.0,
        to.0,
        most - 1,
    )
    .fetch_all(traced!(tx, "routing.report.newest"))
    .await?;
    let more = rows.len() == 2;
    Ok(rows.into_iter().next().filter(|_| more).map(|row| (row.attempt_id, row.at)))
}

/// Both arms, of the attempts that began from `from` to before `to`. Failures that say nothing of the agent do not
/// count, nor do assignments by an operator.
pub async fn arms(tx: &mut Tx, from: AttemptId, to: AttemptId) -> sqlx::Result<Vec<ArmRow>> {
    sqlx::query_as!(
        ArmRow,
        r#"
        with ended as (
            select s.control, s.waited_ms, a.state = 'accepted' as accepted,
                   (extract(epoch from a.ended_at - a.started_at) * 1000)::float8 as duration,
                   (select (p.entries::numeric + p.reported + p.fraction / 1000000.0)::float8
                    from attempt_spend p where p.workspace_id = $1 and p.attempt_id = a.attempt_id
                      and p.unit = 'usd_micros') as cost
            from assignments s
            join attempts a on a.workspace_id = $1 and a.attempt_id = s.attempt_id
            left join attempt_results r on r.workspace_id = $1 and r.attempt_id = s.attempt_id
            where s.workspace_id = $1 and s.attempt_id >= $2 and s.attempt_id < $3
              and s.reason <> 'kept' and s.policy <> 'fifo'
              and a.state in ('accepted', 'rejected', 'failed', 'expired')
              and coalesce(r.failure_class, '') not in ('rate_limited', 'invalid_input',
                  'start_timeout', 'finish_timeout', 'children_failed')
        )
        select control as "control!", count(*) as "attempts!",
               count(*) filter (where accepted) as "accepted!", count(cost) as "priced!",
               avg(cost) as cost, stddev_samp(cost) as cost_deviation,
               avg(duration) filter (where accepted) as duration,
               stddev_samp(duration) filter (where accepted) as duration_deviation,
               avg(waited_ms)::float8 as waited
        from ended group by control
        "#,
        tx.workspace.0,
        from.0,
        to.0,
    )
    .fetch_all(traced!(tx, "routing.report.arms"))
    .await
}
