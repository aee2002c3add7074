//! A server that is killed at the statements that store a plan, and what is stored of the planning of a goal.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    client::Client,
    history::Recorder,
    load::Ground,
    relay::{Relay, Side, Statements, Then, Trap},
    server::Server,
};
use crate::support::process::PATIENCE;

/// How long a request waits for its answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// A statement that only the transaction has that stores a plan.
const MARK: &str = "insert into plans";

/// What is stored of the planning of a goal.
pub struct Stored {
    pub plans: i64,
    /// Tasks of the plans: without those of the planning itself.
    pub tasks: i64,
    pub state: String,
}

/// A server behind a relay to its database.
pub struct Rig {
    pub ground: Ground,
    pub server: Server,
    pub admin: Client,
    relay: Relay,
}

impl Rig {
    /// Starts a server with these further variables of its environment.
    pub async fn start(more: Vec<(&'static str, String)>) -> Self {
        let ground = Ground::shared().await;
        let relay = Relay::to_database(&ground.options).await;
        let mut settings = ground.server(relay.database_url(&ground.options));
        settings.more = more;
        let server = Server::start(settings).await;
        let addresses = [server.address().to_owned()];
        let (recorder, answered) = (Arc::new(Recorder::default()), Arc::new(watch::channel(0).0));
        let admin = Client::new(&addresses, &ground.key, TIMEOUT, recorder, answered);
        Self { ground, server, admin, relay }
    }

    /// Looks at what is stored of a goal until `is_planned` says that its plan is there.
    pub async fn planned(&self, goal: &str, is_planned: impl Fn(&Stored) -> bool) {
        let query = "select (select count(*) from plans where goal_id = $1::uuid),
                            (select count(*) from tasks where goal_id = $1::uuid and purpose is null),
                            (select state from goals where goal_id = $1::uuid)";
        let planned = async {
            loop {
                let (plans, tasks, state): (i64, i64, String) =
                    sqlx::query_as(query).bind(goal).fetch_one(&self.ground.pool).await.unwrap();
                if is_planned(&Stored { plans, tasks, state }) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(2 * PATIENCE, planned).await.expect("the goal is not planned");
    }

    /// The planning runs of a goal: `target planner:state`, in order.
    pub async fn runs(&self, goal: &str) -> Vec<String> {
        sqlx::query_scalar(
            "select target || ' ' || planner || ':' || state from planning_runs
             where goal_id = $1::uuid order by ordinal",
        )
        .bind(goal)
        .fetch_all(&self.ground.pool)
        .await
        .unwrap()
    }

    /// Forgets the transactions until now.
    pub fn begin(&self) {
        self.relay.transactions();
    }

    /// The statements of the first transaction since [`Rig::begin`] that stored a plan, and the place among them before
    /// which nothing is written that only this transaction writes.
    pub fn stored(&self) -> (Statements, usize) {
        let mut seen = self.relay.transactions().into_iter();
        let meant = seen.find(|transaction| transaction.committed() && transaction.contains(MARK));
        let statements = meant.expect("no plan was stored").statements;
        let mark = statements.iter().position(|statement| statement.contains(MARK)).unwrap();
        println!("{} statements, the plan is number {}", statements.len(), mark + 1);
        assert_eq!(statements.last().unwrap(), "COMMIT");
        (statements, mark)
    }

    /// Holds up the transaction that comes to these statements.
    pub fn hold_up(&self, at: &[String], side: Side) {
        self.relay.set(Some(Trap { at: at.to_vec(), side, then: Then::Freeze }));
    }

    /// Kills the server where it is held up, and starts it again.
    pub async fn kill_at(&mut self, at: &[String]) {
        let sprung = tokio::time::timeout(PATIENCE, self.relay.sprung()).await;
        let seen = sprung.unwrap_or_else(|_| panic!("nothing came to {at:#?}"));
        assert_eq!(seen, at, "killed somewhere else");
        self.server.kill();
        self.relay.cut_all();
        self.relay.thaw();
        self.start_again().await;
    }

    /// Starts a killed server, whose planning runs nobody holds any more.
    pub async fn start_again(&mut self) {
        sqlx::query(
            "update planning_runs set running_until = now() where running_until is not null",
        )
        .execute(&self.ground.pool)
        .await
        .unwrap();
        self.server.restart().await;
    }
}
