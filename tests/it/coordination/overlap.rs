//! The rule of overlap is the same in the service and in the database: a task that the search leaves out is one that
//! could not start.

use muster::domain::gate::resource::overlap;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::support::{database::fresh_database, fleet::seed};

const PARTS: &[&str] =
    &["a", "ab", "b", "*", "**", "?", "a*", "*b", "a?", "_", "%", "\\", "ä", "**/", "***", "a?**"];

fn resource(random: &mut StdRng) -> String {
    let count = random.random_range(1..5);
    let parts: Vec<&str> = (0..count).map(|_| PARTS[random.random_range(0..PARTS.len())]).collect();
    parts.join(if random.random() { "/" } else { "" })
}

#[tokio::test]
async fn the_search_and_the_service_have_one_rule() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let mut random = StdRng::seed_from_u64(seed());
    let pairs: Vec<(String, String)> =
        (0..50_000).map(|_| (resource(&mut random), resource(&mut random))).collect();
    let (a, b): (Vec<String>, Vec<String>) = pairs.iter().cloned().unzip();
    let found: Vec<bool> = sqlx::query_scalar(
        "select resources_overlap(a, b) from unnest($1::text[], $2::text[]) with ordinality as p (a, b, n)
         order by n",
    )
    .bind(a)
    .bind(b)
    .fetch_all(&pool)
    .await
    .unwrap();
    let mut met = 0;
    for ((a, b), found) in pairs.iter().zip(found) {
        assert_eq!(found, overlap(a, b), "`{a}` and `{b}`");
        met += usize::from(found);
    }
    assert!((1_000..49_000).contains(&met), "{met} of {}: nothing was tested", pairs.len());
}
