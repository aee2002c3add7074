//! Artifacts in an object store.

use std::sync::Arc;

use axum::http::Method;
use muster::{
    app::artifacts::Artifacts,
    cli::artifacts::Bytewise,
    outbound::artifacts::{
        Store,
        s3::{S3, S3Settings},
        spool::Spool,
    },
};

use super::{
    count,
    s3_server::{KEY_ID, ObjectStore},
};
use crate::support::{
    artifacts::{path, put, upload},
    client::Client,
    fleet::{Fleet, router},
    scratch_dir,
};

/// A service whose artifacts are in an object store.
struct Stored {
    fleet: Fleet,
    admin: Client,
    objects: ObjectStore,
    spool: tempfile::TempDir,
}

impl Stored {
    async fn start() -> Self {
        let fleet = Fleet::start().await;
        let objects = ObjectStore::default();
        let spool = scratch_dir();
        let base = objects.listen().await;
        let url = format!("s3://files/agents?endpoint={base}&region=eu-test-1");
        let settings = S3Settings {
            key_id: KEY_ID.to_owned(),
            secret: "secret".to_owned(),
            ..S3Settings::parse(&url).unwrap()
        };
        let s3 = S3::new(settings, Spool::open(spool.path().to_owned()).unwrap()).unwrap();
        let store = Arc::new(Bytewise(Arc::new(Store::S3(Box::new(s3)))));
        let app = fleet.app.clone().with_artifacts(Artifacts { store, largest: 1 << 20 });
        let admin = Client::of(router(&app)).with_key(&fleet.admin_key);
        Self { fleet, admin, objects, spool }
    }

    /// The paths of the objects.
    fn paths(&self) -> Vec<String> {
        self.objects.0.lock().unwrap().objects.keys().cloned().collect()
    }

    fn spooled(&self) -> usize {
        std::fs::read_dir(self.spool.path()).unwrap().count()
    }
}

#[tokio::test]
async fn bytes_go_to_the_store_signed_and_come_back() {
    let stored = Stored::start().await;
    let bytes: Vec<u8> = (0..700_000_u32).map(|n| (n % 253) as u8).collect();
    put(&stored.admin, &bytes).await.expect(201);
    let paths = stored.paths();
    let begin = format!("/files/agents/{}/", stored.fleet.workspace);
    assert!(paths.len() == 1 && paths[0].starts_with(&begin), "{paths:?}");
    assert_eq!(stored.spooled(), 0, "the file of the upload is gone");
    assert_eq!(stored.admin.get(path(&bytes)).await.expect(200).body, bytes);
    let part = stored.admin.get(path(&bytes)).header("range", "bytes=699990-").await.expect(206);
    assert_eq!(part.body, bytes[699_990..]);
    put(&stored.admin, b"").await.expect(201);
    assert_eq!(stored.admin.get(path(b"")).await.expect(200).body, b"");
    for bytes in [&bytes[..], b""] {
        stored.admin.call(Method::DELETE, path(bytes)).await.expect(204);
    }
    assert_eq!(stored.paths(), Vec::<String>::new());
    assert!(!stored.objects.0.lock().unwrap().signatures.is_empty());
    assert_eq!(count(&stored.fleet, "artifact_uploads").await, 0);
}

#[tokio::test]
async fn a_busy_store_is_asked_again() {
    let stored = Stored::start().await;
    stored.objects.0.lock().unwrap().busy = 2;
    put(&stored.admin, b"patience").await.expect(201);
    let asked = stored.objects.0.lock().unwrap().asked.clone();
    assert_eq!(asked, ["PUT", "PUT", "PUT"]);
    stored.objects.0.lock().unwrap().busy = 1;
    assert_eq!(stored.admin.get(path(b"patience")).await.expect(200).body, b"patience");
}

#[tokio::test]
async fn a_digest_that_does_not_fit_never_reaches_the_store() {
    let stored = Stored::start().await;
    upload(&stored.admin, path(b"this"), b"that").await.problem(422, "digest_mismatch");
    // Only the removal of what might have been there.
    let asked = stored.objects.0.lock().unwrap().asked.clone();
    assert!(asked.iter().all(|method| method == "DELETE"), "{asked:?}");
    assert_eq!((stored.spooled(), stored.paths().len()), (0, 0));
    assert_eq!(count(&stored.fleet, "artifact_uploads").await, 0);
}

#[tokio::test]
async fn a_store_that_stays_busy_is_reported_and_nothing_is_left() {
    let stored = Stored::start().await;
    stored.objects.0.lock().unwrap().busy = 4;
    put(&stored.admin, b"busy").await.problem(503, "unavailable");
    stored.admin.get(path(b"busy")).await.problem(404, "not_found");
    assert_eq!((stored.spooled(), stored.paths().len()), (0, 0));
    assert_eq!(count(&stored.fleet, "artifact_uploads").await, 0);
    put(&stored.admin, b"busy").await.expect(201);
}
