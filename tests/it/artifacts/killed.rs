//! A server that is killed in the middle of an upload: no artifact, and its bytes are swept.

use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    promises::faults::server::{Server, Settings},
    support::{
        artifacts::{path, put},
        client::Client,
        fleet::Fleet,
        process::wait_until,
        scratch_dir,
    },
};

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_leaves_no_artifact_and_another_one_removes_the_bytes() {
    let fleet = Fleet::on_time().await;
    let dir = scratch_dir();
    let root = dir.path().join("artifacts");
    let mut server = Server::start(Settings {
        database_url: fleet.database.url(),
        listen: "127.0.0.1:0".to_owned(),
        bootstrap_key: fleet.admin_key.clone(),
        more: vec![("MUSTER_ARTIFACTS_DIR", root.to_str().unwrap().to_owned())],
    })
    .await;
    let client = |server: &Server| {
        Client::at(format!("http://{}", server.address())).with_key(&fleet.admin_key)
    };
    put(&client(&server), b"before").await.expect(201);
    assert_eq!(files(&root).len(), 1);

    let whole = vec![b'x'; 300_000];
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 300000\r\n\r\n",
        path(&whole),
        fleet.admin_key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&whole[..200_000]).await.unwrap();
    wait_until("the upload arrives", || files(&root).len() == 2);
    server.kill();
    drop(stream);
    server.restart().await;

    let admin = client(&server);
    admin.get(path(&whole)).await.problem(404, "not_found");
    assert_eq!(admin.get(path(b"before")).await.expect(200).body, b"before");
    let list = admin.get("/v1/artifacts").await.value(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list:#}");
    let named = "select exists (select from artifact_uploads)";
    fleet.until(named).await;
    // As if its time had come.
    sqlx::query("update artifact_uploads set sweep_from = begun_at")
        .execute(&fleet.pool)
        .await
        .unwrap();
    fleet.until("select not exists (select from artifact_uploads)").await;
    assert_eq!(files(&root).len(), 1, "only what is an artifact");
    // Sent again as a whole, it is there.
    put(&admin, &whole).await.expect(201);
    assert_eq!(admin.get(path(&whole)).await.expect(200).body, whole);
    let page = admin.get("/v1/artifacts?limit=1").await.value(200);
    assert_eq!(page["items"][0]["size"], json!(300_000));
}
