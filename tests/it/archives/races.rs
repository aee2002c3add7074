//! Archiving against what begins and ends work.

use futures_util::future::{join, join3};
use serde_json::json;

use super::put;
use crate::support::{
    agent::claims,
    fleet::{Fleet, text},
    invariants::verify,
};

const TRIES: usize = 64;

async fn none(fleet: &Fleet, what: &str) {
    let found: i64 =
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {what}")))
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(found, 0, "{what}");
}

/// A goal is archived after its end or not at all.
#[tokio::test]
async fn a_goal_that_has_not_ended_is_never_archived() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let mut archived = 0;
    for turn in 0..TRIES {
        let goal = fleet.lone_task(json!({})).await;
        let held = worker.take().await;
        let cancel = format!("/v1/goals/{goal}/cancel");
        let end = async {
            match turn % 3 {
                0 => worker.write(&held, "complete", json!({})).await,
                1 => worker.write(&held, "fail", json!({"class": "permanent"})).await,
                _ => fleet.admin.post(cancel, &json!({})).await,
            }
        };
        let (end, put_away) = join(end, put(&fleet.admin, "goal", &goal, "archive")).await;
        end.expect(200);
        if put_away.status == 200 {
            archived += 1;
        } else {
            put_away.problem(409, "wrong_state");
        }
        if turn % 3 == 2 {
            worker.release(&held).await;
        }
    }
    println!("{archived} of {TRIES} were archived");
    none(&fleet, "goals where archived and ended_at is null").await;
    verify(&fleet.pool).await;
}

/// Of an agent that claims and is archived at once, either the claim or the archiving is refused.
#[tokio::test]
async fn an_archived_agent_never_runs_an_attempt() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    for _ in 0..TRIES {
        fleet.lone_task(json!({})).await;
        let claim = async { worker.client.post("/v1/claims", &json!({})).await };
        let (claim, put_away) =
            join(claim, put(&fleet.admin, "agent", &worker.id, "archive")).await;
        none(
            &fleet,
            "agents g join attempts a on a.agent_id = g.agent_id
             where g.archived and a.state = 'running'",
        )
        .await;
        if put_away.status == 200 {
            claim.problem(409, "agent_not_active");
            put(&fleet.admin, "agent", &worker.id, "unarchive").await.expect(200);
            worker.work_off().await;
        } else {
            put_away.problem(409, "wrong_state");
            for held in claims(&claim) {
                worker.complete(&held).await;
            }
        }
    }
    verify(&fleet.pool).await;
}

/// Of a goal that is posted while its project and the project's budget are archived, either is refused.
#[tokio::test]
async fn an_archived_project_never_has_an_open_goal() {
    let fleet = Fleet::start().await;
    let new = json!({"title": "g", "project": "p", "tasks": [{"ref": "a", "title": "a"}]});
    let project = fleet.admin.post("/v1/projects", &json!({"name": "p"})).await.value(201);
    let project = text(&project["id"]);
    let budget = json!({"node": "project", "node_id": project,
                        "budget": {"limits": [{"unit": "attempts", "amount": 1000}]}});
    let budget = text(&fleet.admin.post("/v1/budgets", &budget).await.value(201)["id"]);
    for _ in 0..TRIES {
        let post = async { fleet.poster.post("/v1/goals", &new).await };
        let (posted, project_away, budget_away) = join3(
            post,
            put(&fleet.admin, "project", &project, "archive"),
            put(&fleet.admin, "budget", &budget, "archive"),
        )
        .await;
        none(
            &fleet,
            "projects p join goals g on g.project_id = p.project_id
             where p.archived and g.ended_at is null",
        )
        .await;
        if project_away.status == 200 {
            assert_eq!(posted.problem(422, "invalid"), ["/project"]);
            put(&fleet.admin, "project", &project, "unarchive").await.expect(200);
        } else {
            project_away.problem(409, "wrong_state");
            let goal = text(&posted.value(201)["id"]);
            fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
        }
        assert!(
            budget_away.status == 200 || budget_away.status == 409,
            "{}",
            budget_away.describe()
        );
        put(&fleet.admin, "budget", &budget, "unarchive").await.expect(200);
    }
    verify(&fleet.pool).await;
}
