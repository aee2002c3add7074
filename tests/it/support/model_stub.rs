//! A model server that plays a script.
//!
//! It speaks the wire format of the path it is called at: OpenAI's Chat Completions and Responses, and
//! Anthropic's Messages, with their error bodies and refusals. Each request takes the next act of the script;
//! after the last one it answers 500. It notes what it was sent, the keys too.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What the server does with one request.
#[derive(Debug, Clone)]
pub enum Act {
    /// An answer with this text: 100 input tokens, of which 40 are cached, and 20 output tokens.
    Say(String),
    /// An answer that is cut at the most output tokens.
    Cut(String),
    /// A refusal of the model.
    Refuse(String),
    /// An error of the wire format: status, `type`, message.
    Fault(u16, &'static str, String),
    /// 429 with this `Retry-After`.
    Limited(&'static str),
    /// 400 because of the form of the answer, unless the request has none of these.
    NoForms(&'static [&'static str], String),
    /// 307 to an address.
    Redirect(String),
    /// No answer at all.
    Hang,
    /// The head of an answer, and then nothing.
    Stall,
    /// A body without an end.
    Endless,
    /// The connection is closed.
    Drop,
    /// Status, content type and body as they are.
    Raw(u16, &'static str, String),
}

/// A request that was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// Path and query.
    pub path: String,
    /// Headers, by names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
}

impl Received {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}

/// A running server; ends with the test.
#[derive(Debug, Clone)]
pub struct ModelStub {
    /// Where it listens.
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    script: Arc<Mutex<VecDeque<Act>>>,
}

impl ModelStub {
    /// Starts a server.
    pub async fn play(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
        };
        let server = stub.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        stub
    }

    /// The base of its addresses.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Adds acts to the script.
    pub fn then(&self, acts: impl IntoIterator<Item = Act>) {
        self.script.lock().unwrap().extend(acts);
    }

    /// What it received so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    async fn serve(&self, mut stream: TcpStream) {
        let Some(request) = read(&mut stream).await else { return };
        self.received.lock().unwrap().push(request.clone());
        let act = self.script.lock().unwrap().pop_front();
        let act =
            act.unwrap_or_else(|| Act::Fault(500, "server_error", "the script is over".into()));
        perform(&mut stream, &request, act).await;
        let _ = stream.shutdown().await;
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut part = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
        if bytes.len() < end + 4 + length {
            continue;
        }
        let body = serde_json::from_slice(&bytes[end + 4..end + 4 + length]).unwrap_or(Value::Null);
        return Some(Received { path, headers, body });
    }
}

async fn perform(stream: &mut TcpStream, request: &Received, act: Act) {
    match act {
        Act::Say(text) => send(stream, 200, "", &answer(request, &text, End::Whole)).await,
        Act::Cut(text) => send(stream, 200, "", &answer(request, &text, End::Cut)).await,
        Act::Refuse(text) => send(stream, 200, "", &answer(request, &text, End::Refused)).await,
        Act::Fault(status, kind, message) => {
            send(stream, status, "", &fault(request, kind, &message)).await;
        }
        Act::Limited(after) => {
            let headers =
                format!("retry-after: {after}\r\ndate: Wed, 21 Oct 2026 07:28:00 GMT\r\n");
            let body = fault(request, "rate_limit_error", "Slow down");
            send(stream, 429, &headers, &body).await;
        }
        Act::NoForms(forms, text) => {
            let asked = request.body.to_string();
            match forms.iter().find(|form| asked.contains(**form)) {
                Some(form) => {
                    let message = format!("Unsupported value: {form} is not supported");
                    let body = fault(request, "invalid_request_error", &message);
                    send(stream, 400, "", &body).await;
                }
                None => send(stream, 200, "", &answer(request, &text, End::Whole)).await,
            }
        }
        Act::Redirect(to) => send(stream, 307, &format!("location: {to}\r\n"), &json!({})).await,
        Act::Hang => std::future::pending().await,
        Act::Stall => {
            write(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{").await;
            std::future::pending().await
        }
        Act::Endless => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n\"")
                .await;
            while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
        }
        Act::Drop => {}
        Act::Raw(status, kind, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n"
            );
            write(stream, format!("{head}{body}").as_bytes()).await;
        }
    }
}

async fn send(stream: &mut TcpStream, status: u16, headers: &str, body: &Value) {
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\
         connection: close\r\n\r\n"
    );
    write(stream, format!("{head}{body}").as_bytes()).await;
}

/// The client may have gone.
async fn write(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Cut,
    Refused,
}

fn is_anthropic(request: &Received) -> bool {
    request.path.ends_with("/messages")
}

fn answer(request: &Received, text: &str, end: End) -> Value {
    let model = &request.body["model"];
    if is_anthropic(request) {
        let stop = match end {
            End::Whole => "end_turn",
            End::Cut => "max_tokens",
            End::Refused => "refusal",
        };
        return json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": text}], "stop_reason": stop, "stop_sequence": null,
            "usage": {"input_tokens": 60, "cache_read_input_tokens": 40,
                      "cache_creation_input_tokens": 0, "output_tokens": 20},
        });
    }
    if request.path.ends_with("/responses") {
        let part = match end {
            End::Whole | End::Cut => {
                json!({"type": "output_text", "text": text, "annotations": []})
            }
            End::Refused => json!({"type": "refusal", "refusal": text}),
        };
        let cut = end == End::Cut;
        return json!({
            "id": "resp_1", "object": "response", "model": model, "error": null,
            "status": if cut { "incomplete" } else { "completed" },
            "incomplete_details": if cut { json!({"reason": "max_output_tokens"}) } else { json!(null) },
            "output": [
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"type": "message", "id": "m_1", "role": "assistant", "status": "completed", "content": [part]},
            ],
            "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40},
                      "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 0},
                      "total_tokens": 120},
        });
    }
    let (content, refusal) = match end {
        End::Whole | End::Cut => (json!(text), json!(null)),
        End::Refused => (json!(null), json!(text)),
    };
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": model,
        "choices": [{
            "index": 0, "finish_reason": if end == End::Cut { "length" } else { "stop" },
            "message": {"role": "assistant", "content": content, "refusal": refusal},
        }],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
                  "prompt_tokens_details": {"cached_tokens": 40}},
    })
}

fn fault(request: &Received, kind: &str, message: &str) -> Value {
    if is_anthropic(request) {
        return json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"});
    }
    json!({"error": {"message": message, "type": kind, "param": null, "code": null}})
}
