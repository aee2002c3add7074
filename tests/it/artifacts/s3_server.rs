//! An object store in this process, which takes what is signed and nothing else.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

/// The id of the only access key.
pub const KEY_ID: &str = "AKIDEXAMPLE";

/// What a store has and was asked.
#[derive(Debug, Default)]
pub struct Inside {
    /// The objects by their paths.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// Requests by method, refused ones too.
    pub asked: Vec<String>,
    /// So many requests are refused as one too many.
    pub busy: u32,
    /// Signatures that were presented.
    pub signatures: Vec<String>,
}

/// An object store. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ObjectStore(pub Arc<Mutex<Inside>>);

impl ObjectStore {
    /// Serves it; returns its base URL.
    pub async fn listen(&self) -> String {
        let router = Router::new().fallback(answer).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://{address}")
    }
}

async fn answer(
    State(store): State<ObjectStore>,
    method: Method,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut inside = store.0.lock().unwrap();
    inside.asked.push(method.to_string());
    let of = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let signed = of("X-Amz-Algorithm") == "AWS4-HMAC-SHA256"
        && of("X-Amz-Credential").starts_with(&format!("{KEY_ID}/"))
        && of("X-Amz-Credential").ends_with("/eu-test-1/s3/aws4_request")
        && of("X-Amz-Signature").len() == 64;
    if !signed {
        return refuse(StatusCode::FORBIDDEN, "SignatureDoesNotMatch");
    }
    inside.signatures.push(of("X-Amz-Signature").to_owned());
    if inside.busy > 0 {
        inside.busy -= 1;
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
    }
    let path = uri.path().to_owned();
    match method {
        Method::PUT => {
            let checksum = headers.get("x-amz-checksum-sha256").unwrap().to_str().unwrap();
            let length = headers.get(header::CONTENT_LENGTH).unwrap().to_str().unwrap();
            assert!(of("X-Amz-SignedHeaders").contains("x-amz-checksum-sha256"));
            assert_eq!(length, body.len().to_string());
            if BASE64.encode(&Sha256::digest(&body)) != checksum {
                return refuse(StatusCode::BAD_REQUEST, "BadDigest");
            }
            inside.objects.insert(path, body.to_vec());
            StatusCode::OK.into_response()
        }
        Method::GET => match inside.objects.get(&path) {
            None => refuse(StatusCode::NOT_FOUND, "NoSuchKey"),
            Some(object) => {
                let range = headers.get(header::RANGE).unwrap().to_str().unwrap();
                let (first, last) =
                    range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                let end = object.len().min(last + 1);
                (StatusCode::PARTIAL_CONTENT, object[first..end].to_vec()).into_response()
            }
        },
        Method::DELETE => {
            inside.objects.remove(&path);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn refuse(status: StatusCode, code: &str) -> Response {
    (status, format!("<Error><Code>{code}</Code></Error>")).into_response()
}
