//! What the supervisor did last.

use std::time::Duration;

use crate::support::service::Service;
use muster::app::duties::record::DutyRun;
use serde_json::json;

#[tokio::test]
async fn the_record_adds_up_and_shows_the_last_run() {
    let service = Service::start().await;
    let run = DutyRun {
        duty: "expire",
        runs: 1,
        began_at: service.clock.now(),
        took_ms: 3,
        looked_at: 3,
        did: 2,
        left: 1,
        error: None,
    };
    service.app.record_duty(service.workspace, &run).await.unwrap();
    let later = service.clock.now() + Duration::from_secs(1);
    let failed = DutyRun { began_at: later, did: 0, left: 0, error: Some("no database"), ..run };
    service.app.record_duty(service.workspace, &failed).await.unwrap();
    let record = service.admin.get("/v1/supervisor").await.value(200);
    assert_eq!(
        record,
        json!({"duties": [{
            "duty": "expire", "runs": 2, "did": 2, "failures": 1,
            "last_run_at": "2030-01-01T00:00:01Z", "last_took_ms": 3, "last_examined": 3,
            "last_did": 0, "last_left": 0, "last_failed": true,
        }]})
    );
}

#[tokio::test]
async fn operators_and_viewers_see_it() {
    let service = Service::start().await;
    for (role, status) in [("operator", 200), ("viewer", 200), ("submitter", 403), ("agent", 403)] {
        let client = service.with_role(role).await;
        assert_eq!(client.get("/v1/supervisor").await.status.as_u16(), status, "{role}");
    }
}
