//! Failures that a server tells: status, error body, and the wait it asks for.

use std::time::Duration;

use chrono::DateTime;
use hyper::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::exchange::Reply;
use crate::domain::planning::model::{ErrorKind, ModelError, remark};

/// Longest wait that is believed.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The failure in a reply; `None`: it may have an answer.
pub(super) fn of(reply: &Reply) -> Option<ModelError> {
    let Reply { status, host, headers, body } = reply;
    let told = body.as_ref().and_then(Told::read);
    let kind = match (kind_of(*status), &told) {
        // Some servers send an error with the status of an answer.
        (None, Some(told)) => told.kind().unwrap_or(ErrorKind::Server),
        (None, None) => return None,
        (Some(ErrorKind::RateLimited), Some(told)) if told.is_quota() => ErrorKind::NoQuota,
        (Some(kind), _) => kind,
    };
    let said = match (kind, told) {
        // It may have parts of the key.
        (ErrorKind::Unauthorized, _) => "it does not accept the key".to_owned(),
        (ErrorKind::Redirect, _) => "it leads elsewhere, which is not followed".to_owned(),
        (_, Some(told)) => remark(&told.message),
        (_, None) => "without a reason".to_owned(),
    };
    let detail = format!("{host} answered {}: {said}", status.as_u16());
    let retry_after = if kind.is_retried() { retry_after(headers) } else { None };
    Some(ModelError { retry_after, ..ModelError::new(kind, detail) })
}

fn kind_of(status: StatusCode) -> Option<ErrorKind> {
    match status.as_u16() {
        200..=299 => None,
        300..=399 => Some(ErrorKind::Redirect),
        401 | 403 => Some(ErrorKind::Unauthorized),
        402 => Some(ErrorKind::NoQuota),
        429 => Some(ErrorKind::RateLimited),
        503 | 529 => Some(ErrorKind::Overloaded),
        400..=499 => Some(ErrorKind::BadRequest),
        500..=599 => Some(ErrorKind::Server),
        _ => Some(ErrorKind::Unreadable),
    }
}

/// An error body.
struct Told {
    /// `type` and `code`, in this order.
    names: Vec<String>,
    message: String,
}

impl Told {
    /// Reads `{"error": {"type", "code", "message"}}` of OpenAI and Anthropic, and what compatible servers
    /// send instead: a text under `error`, or `message` or `detail` at the top.
    fn read(body: &Value) -> Option<Self> {
        let error = body.get("error").filter(|error| !error.is_null());
        let top = ["message", "detail"].iter().find_map(|name| body.get(name));
        let is_error =
            error.is_some() || (top.is_some() && body.get("object").is_none_or(|o| o == "error"));
        if !is_error {
            return None;
        }
        let fields = error.filter(|error| error.is_object()).unwrap_or(body);
        let texts =
            ["type", "code"].iter().filter_map(|name| Some(fields.get(name)?.as_str()?.to_owned()));
        let message = match error {
            Some(Value::String(text)) => text.clone(),
            Some(_) | None => match fields.get("message").or(top) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            },
        };
        let param = fields.get("param").and_then(Value::as_str);
        let message = match param {
            Some(param) if !message.contains(param) => format!("{message} ({param})"),
            Some(_) | None => message,
        };
        Some(Self { names: texts.collect(), message })
    }

    fn is_quota(&self) -> bool {
        self.names
            .iter()
            .any(|name| matches!(name.as_str(), "insufficient_quota" | "billing_error"))
    }

    fn kind(&self) -> Option<ErrorKind> {
        if self.is_quota() {
            return Some(ErrorKind::NoQuota);
        }
        self.names.iter().find_map(|name| match name.as_str() {
            "rate_limit_error" | "rate_limit_exceeded" => Some(ErrorKind::RateLimited),
            "overloaded_error" => Some(ErrorKind::Overloaded),
            "authentication_error" | "permission_error" | "invalid_api_key" => {
                Some(ErrorKind::Unauthorized)
            }
            "invalid_request_error"
            | "not_found_error"
            | "request_too_large"
            | "invalid_prompt" => Some(ErrorKind::BadRequest),
            _ => None,
        })
    }
}

/// The wait that a server asks for: seconds, or a time by the server's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(header::RETRY_AFTER)?;
    let wait = match asked.parse::<f64>() {
        Ok(seconds) if seconds.is_nan() => return None,
        Ok(seconds) => Duration::try_from_secs_f64(seconds.min(LONGEST.as_secs_f64())).ok()?,
        Err(_) => {
            let until = DateTime::parse_from_rfc2822(asked).ok()?;
            let now = DateTime::parse_from_rfc2822(text(header::DATE)?).ok()?;
            (until - now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(status: u16, headers: &[(&'static str, &str)], body: Option<Value>) -> Reply {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        Reply { host: "models.example".into(), status, headers: map, body }
    }

    #[test]
    fn errors_of_the_three_formats_have_their_kinds() {
        let openai = |kind: &str, code: Value, message: &str| json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
        let anthropic = |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"});
        let cases = [
            (
                429,
                openai("requests", json!("rate_limit_exceeded"), "Rate limit"),
                ErrorKind::RateLimited,
            ),
            (
                429,
                openai("insufficient_quota", json!("insufficient_quota"), "Quota"),
                ErrorKind::NoQuota,
            ),
            (
                401,
                openai("invalid_request_error", json!("invalid_api_key"), "Key sk-..x"),
                ErrorKind::Unauthorized,
            ),
            (400, openai("invalid_request_error", json!(null), "Bad"), ErrorKind::BadRequest),
            (
                404,
                openai("invalid_request_error", json!("model_not_found"), "No model"),
                ErrorKind::BadRequest,
            ),
            (500, openai("server_error", json!(null), "Sorry"), ErrorKind::Server),
            (529, anthropic("overloaded_error", "Overloaded"), ErrorKind::Overloaded),
            (402, anthropic("billing_error", "Pay"), ErrorKind::NoQuota),
            (413, anthropic("request_too_large", "Large"), ErrorKind::BadRequest),
            (200, anthropic("overloaded_error", "Overloaded"), ErrorKind::Overloaded),
            (
                200,
                json!({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "m"}}),
                ErrorKind::RateLimited,
            ),
            (500, json!({"error": "model runner has unexpectedly stopped"}), ErrorKind::Server),
            (
                422,
                json!({"detail": [{"loc": ["body"], "msg": "field required"}]}),
                ErrorKind::BadRequest,
            ),
            (400, json!({"object": "error", "message": "no such model"}), ErrorKind::BadRequest),
            (307, json!({}), ErrorKind::Redirect),
        ];
        for (status, body, kind) in cases {
            let error = of(&reply(status, &[], Some(body.clone()))).unwrap();
            assert_eq!(error.kind, kind, "{status} {body}");
            assert!(!error.detail.contains("sk-"), "{}", error.detail);
        }
        assert_eq!(of(&reply(200, &[], Some(json!({"choices": [], "error": null})))), None);
        assert_eq!(of(&reply(200, &[], None)), None, "it is not JSON, which is another fault");
    }

    #[test]
    fn a_wait_is_seconds_or_a_time() {
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        let wait = |headers: &[_]| of(&reply(429, headers, None)).unwrap().retry_after;
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        let until = ("retry-after", "Wed, 21 Oct 2026 07:29:30 GMT");
        assert_eq!(wait(&[until, date]), Some(Duration::from_secs(90)));
        assert_eq!(wait(&[until]), None, "the server did not say what time it is");
        assert_eq!(wait(&[("retry-after", "100000000000000000000")]), Some(LONGEST));
        for odd in ["-1", "NaN", "inf", "1e300", "soon", ""] {
            assert!(
                wait(&[("retry-after", odd), date]).is_none_or(|wait| wait <= LONGEST),
                "{odd}"
            );
        }
        assert_eq!(of(&reply(400, &[("retry-after", "7")], None)).unwrap().retry_after, None);
    }
}
