//! Which scopes of keys a route admits: the table of the handbook, and that it is true.

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::{Value, json};

use super::{Place, ROLES, ROUTES};
use crate::support::{dump, fleet::text};

/// The generated page. `MUSTER_WRITE_HANDBOOK=1 cargo nextest run -E 'test(the_table_of_access)'`
/// writes it.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/handbook/access.md");

const SCOPES: &[&str] = &["read_only", "reports", "own_attempts", "projects"];

/// The scopes that the document says a route admits.
fn admitted(document: &Value, route: &str) -> BTreeSet<String> {
    let (method, path) = route.split_once(' ').unwrap();
    let operation = &document["paths"][path][method.to_lowercase()];
    operation["x-scopes"].as_array().into_iter().flatten().map(text).collect()
}

fn document() -> Value {
    serde_json::from_str(&muster::http::docs::document().unwrap()).unwrap()
}

fn page() -> String {
    let document = document();
    let mut page = String::from(
        "# Who may call what\n\n\
         This page is generated from the routes; a test calls every route with every role and scope.\n\n\
         A cross in a column of a role: a key with the role may call the route. A cross in a column of a\n\
         scope: a key with the role and this scope may, too. A key without a scope has everything that its\n\
         role permits. Routes without a cross need no key.\n\n",
    );
    let columns = ROLES.iter().map(|(_, role)| *role).chain(SCOPES.iter().copied());
    let columns: Vec<&str> = columns.collect();
    writeln!(page, "| route | {} |", columns.join(" | ")).unwrap();
    writeln!(page, "|---|{}", "---|".repeat(columns.len())).unwrap();
    let mut routes: Vec<_> = ROUTES.iter().collect();
    routes.sort_by_key(|(route, ..)| {
        let (method, path) = route.split_once(' ').unwrap();
        (path, method)
    });
    for (route, who, _) in routes {
        let scopes = admitted(&document, route);
        let roles = ROLES.iter().map(|(letter, _)| who.contains(*letter));
        let all = roles.chain(SCOPES.iter().map(|scope| scopes.contains(*scope)));
        let crosses: Vec<&str> = all.map(|yes| if yes { "x" } else { "" }).collect();
        writeln!(page, "| `{route}` | {} |", crosses.join(" | ")).unwrap();
    }
    page
}

#[test]
fn the_table_of_access_is_that_of_the_routes() {
    let page = page();
    if std::env::var_os("MUSTER_WRITE_HANDBOOK").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert_eq!(
        written, page,
        "handbook/access.md is not current; MUSTER_WRITE_HANDBOOK=1 writes it"
    );
}

/// A key with a scope is refused where the table has no cross, before anything is done, and is not
/// refused because of its scope where the table has one.
#[tokio::test]
async fn each_scope_may_call_what_the_table_says() {
    let document = document();
    for (scope, role) in [
        ("read_only", "admin"),
        ("reports", "viewer"),
        ("own_attempts", "agent"),
        ("projects", "admin"),
        ("projects", "submitter"),
    ] {
        let place = Place::new().await;
        let admin = &place.fleet.admin;
        let of = match scope {
            "projects" => json!({"projects": [place.ids["{project_id}"]]}),
            access => json!({"access": access}),
        };
        let issued = match role {
            "agent" => {
                let agent = json!({"name": "scoped", "scope": of});
                admin.post("/v1/agents", &agent).await.value(201)
            }
            role => {
                let key = json!({"name": "scoped", "role": role, "person": "dora", "scope": of});
                admin.post("/v1/keys", &key).await.value(201)
            }
        };
        let client = place.fleet.client(&text(&issued["token"]));
        let letter = ROLES.iter().find(|(_, word)| *word == role).unwrap().0;
        let in_role = ROUTES.iter().filter(|(_, who, _)| who.contains(letter));
        let (admitting, refusing): (Vec<_>, Vec<_>) =
            in_role.partition(|(route, ..)| admitted(&document, route).contains(scope));
        assert!(!admitting.is_empty() && !refusing.is_empty());
        let before = dump::dump(&place.fleet.pool).await;
        for (route, _, body) in refusing {
            place.call(&client, route, body).await.problem(403, "forbidden");
        }
        dump::same(scope, &before, &dump::dump(&place.fleet.pool).await);
        for (route, _, body) in admitting {
            let answer = place.call(&client, route, body).await;
            let refused: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let detail = refused["detail"].as_str().unwrap_or_default();
            assert!(answer.status.as_u16() != 401, "{scope}: {}", answer.describe());
            assert!(!detail.starts_with("the scope"), "{scope}: {}", answer.describe());
        }
    }
}
