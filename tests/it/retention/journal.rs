//! The journal: its oldest rows go once a day, and what is left verifies.

use super::{DAY, count, keep, prune, rows, worked_off};
use crate::{
    journal::{check, seal_all},
    support::{fleet::Fleet, invariants::verify},
};

#[tokio::test]
async fn old_rows_go_and_the_rest_verifies() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let (goal, _) = worked_off(&fleet, &agent, "old").await;
    let kept = seal_all(&fleet.app).await.head;
    fleet.pass(40 * DAY);
    let (young, _) = worked_off(&fleet, &agent, "young").await;
    keep(&fleet.admin, None, Some(30)).await;
    seal_all(&fleet.app).await;
    let would = super::prunable(&fleet).await;
    let report = prune(&fleet).await;
    assert_eq!(rows(&report), rows(&would));
    assert_eq!(rows(&report)["journal"], kept.number);
    assert_eq!(count(&fleet, "select min(number) from journal").await, kept.number + 1);
    let found = check(&fleet.app, None).await;
    assert!(found.holds && found.pruned_to == kept.number, "{found:#?}");
    verify(&fleet.pool).await;
    let old = fleet.admin.get(format!("/v1/events?goal_id={goal}")).await.value(200);
    assert_eq!(old["items"].as_array().unwrap().len(), 0);
    let new = fleet.admin.get(format!("/v1/events?goal_id={young}")).await.value(200);
    assert!(!new["items"].as_array().unwrap().is_empty());
    // Each pruning adds a row, so there is one a day.
    let newest = count(&fleet, "select max(number) from journal").await;
    for _ in 0..3 {
        assert_eq!(rows(&prune(&fleet).await).len(), 0);
        fleet.after(3_600).await;
    }
    assert_eq!(count(&fleet, "select max(number) from journal").await, newest);
    fleet.after(31 * DAY).await;
    seal_all(&fleet.app).await;
    assert_eq!(count(&fleet, "select count(*) from journal where kind = 'goal.created'").await, 0);
    assert!(check(&fleet.app, None).await.holds);
    verify(&fleet.pool).await;
}
