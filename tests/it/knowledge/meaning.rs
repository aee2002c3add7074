//! Ranking by vectors from an endpoint, and without its answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use muster::{
    app::knowledge::meaning::Embedder,
    domain::planning::model::{ErrorKind, ModelError},
    supervisor,
};
use serde_json::{Value, json};

use super::lesson;
use crate::support::{
    client::Client,
    fleet::{Fleet, router},
};

/// Texts about animals have one direction, all others another. It refuses requests with a text about crypts.
#[derive(Debug, Default)]
struct Animals {
    is_down: AtomicBool,
}

impl Embedder for Animals {
    fn model(&self) -> &str {
        "animals"
    }

    fn embed<'a>(
        &'a self,
        texts: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, ModelError>> {
        let answer = if self.is_down.load(Ordering::SeqCst) {
            Err(ModelError::new(ErrorKind::Unreachable, "the endpoint is down"))
        } else if texts.iter().any(|text| text.contains("crypt")) {
            // As a model does of a text that has too many tokens.
            Err(ModelError::new(ErrorKind::BadRequest, "a text is too long"))
        } else {
            Ok(texts
                .iter()
                .map(|text| match text.contains("herd") || text.contains("zebra") {
                    true => vec![1.0, 0.1],
                    false => vec![0.1, 1.0],
                })
                .collect())
        };
        async { answer }.boxed()
    }
}

async fn search(client: &Client, query: &str) -> Value {
    let request = json!({"query": query, "explain": true});
    client.post("/v1/knowledge/search", &request).await.value(200)
}

fn titles(answer: &Value) -> Vec<&str> {
    let results = answer["results"].as_array().unwrap();
    results.iter().map(|one| one["lesson"]["title"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn vectors_order_what_words_do_not_tell_apart() {
    let fleet = Fleet::start().await;
    let animals = Arc::new(Animals::default());
    let app = fleet.app.clone().with_embedder(animals.clone());
    let client = Client::of(router(&app)).with_key(&fleet.admin_key);
    lesson(&fleet, "howto", "Stripes of code", "Lines of a print.").await;
    // Ids of one instant are in no order.
    fleet.pass(1);
    lesson(&fleet, "howto", "Stripes of a herd", "Lines of animals.").await;
    fleet.pass(1);
    lesson(&fleet, "howto", "Stripes of a flag", "Lines of cloth.").await;

    // No lesson has its vector yet: what is new is neither helped nor harmed.
    let before = search(&client, "stripes zebra").await;
    assert_eq!(before["ranked_by"], "words_and_vectors");
    let newest_first = ["Stripes of a flag", "Stripes of a herd", "Stripes of code"];
    assert_eq!(titles(&before), newest_first, "no word tells them apart");
    assert!(
        before["results"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["explanation"]["cosine"].is_null())
    );

    supervisor::round(&app).await.unwrap();
    let by_vectors = search(&client, "stripes zebra").await;
    assert_eq!(titles(&by_vectors)[0], "Stripes of a herd");
    let cosine = |answer: &Value, place: usize| {
        answer["results"][place]["explanation"]["cosine"].as_f64().unwrap()
    };
    assert!(cosine(&by_vectors, 0) > 0.99 && cosine(&by_vectors, 1) < 0.5, "{by_vectors}");

    animals.is_down.store(true, Ordering::SeqCst);
    let by_words = search(&client, "stripes zebra").await;
    assert_eq!(by_words["ranked_by"], "vectors_unavailable");
    assert!(by_words["results"][0]["explanation"]["cosine"].is_null());
    assert_eq!(titles(&by_words), newest_first);

    // A service without the endpoint ranks by words, whatever is stored.
    assert_eq!(search(&fleet.admin, "lines").await["ranked_by"], "words");
}

#[tokio::test]
async fn a_lesson_that_is_written_again_gets_another_vector() {
    let fleet = Fleet::start().await;
    let app = fleet.app.clone().with_embedder(Arc::new(Animals::default()));
    let client = Client::of(router(&app)).with_key(&fleet.admin_key);
    let id = lesson(&fleet, "howto", "Stripes", "Lines of code.").await;
    supervisor::round(&app).await.unwrap();
    let cosine = async || {
        let found = search(&client, "lines zebra").await;
        found["results"][0]["explanation"]["cosine"].as_f64()
    };
    assert!(cosine().await.unwrap() < 0.5);
    let edit = json!({"body": "Lines of zebras."});
    fleet.admin.patch(format!("/v1/lessons/{id}"), &edit).if_match("*").await.expect(200);
    assert_eq!(cosine().await, None);
    supervisor::round(&app).await.unwrap();
    assert!(cosine().await.unwrap() > 0.99);
}

#[tokio::test]
async fn a_text_that_is_refused_keeps_no_other_from_its_vector() {
    let fleet = Fleet::start().await;
    let app = fleet.app.clone().with_embedder(Arc::new(Animals::default()));
    let client = Client::of(router(&app)).with_key(&fleet.admin_key);
    let long = format!("{}crypt", "Lines of stone. ".repeat(40));
    for (title, body) in [
        ("A herd", "Lines of animals."),
        ("A grave", "Lines of a crypt."),
        ("A tomb", &long),
        ("A flag", "Lines of cloth."),
    ] {
        lesson(&fleet, "howto", title, body).await;
    }
    supervisor::round(&app).await.unwrap();
    let found = search(&client, "lines zebra").await;
    let mut with_vector = Vec::new();
    for one in found["results"].as_array().unwrap() {
        if one["explanation"]["cosine"].is_number() {
            with_vector.push(one["lesson"]["title"].as_str().unwrap());
        }
    }
    with_vector.sort_unstable();
    // The long text has its vector by its first words.
    assert_eq!(with_vector, ["A flag", "A herd", "A tomb"]);
}
