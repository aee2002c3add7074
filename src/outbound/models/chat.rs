//! OpenAI's Chat Completions, and servers compatible with it.

use serde_json::{Value, json};

use super::{Dialect, Said};
use crate::domain::planning::model::{
    AnswerForm, Conversation, Ending, ModelSettings, Speaker, remark,
};

pub(super) fn request(
    settings: &ModelSettings,
    conversation: &Conversation,
    dialect: Dialect,
) -> Value {
    let system = json!({"role": "system", "content": conversation.instructions});
    let turns = conversation.turns.iter().map(|turn| {
        let role = match turn.speaker {
            Speaker::Muster => "user",
            Speaker::Model => "assistant",
        };
        json!({"role": role, "content": turn.text})
    });
    let messages: Vec<Value> = std::iter::once(system).chain(turns).collect();
    let mut body = json!({"model": settings.model, "messages": messages});
    let limit = if dialect.old_limit { "max_tokens" } else { "max_completion_tokens" };
    body[limit] = json!(settings.max_output_tokens);
    match dialect.form {
        AnswerForm::Schema => {
            body["response_format"] = json!({
                "type": "json_schema",
                "json_schema": {"name": "plan", "strict": true, "schema": conversation.schema},
            });
        }
        AnswerForm::Json => body["response_format"] = json!({"type": "json_object"}),
        AnswerForm::Text => {}
    }
    body
}

/// `None`: not of this format.
pub(super) fn read(body: &Value) -> Option<Said> {
    let choice = body.get("choices")?.get(0)?;
    let message = choice.get("message")?.as_object()?;
    let text = text_of(message.get("content"))?;
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|said| !said.is_empty());
    let ending = match (refusal, choice.get("finish_reason").and_then(Value::as_str)) {
        (Some(refusal), _) => Ending::Refused(remark(refusal)),
        (None, Some("content_filter")) => Ending::Refused("a content filter stopped it".into()),
        (None, Some("length")) => Ending::Truncated,
        (None, _) => Ending::Complete,
    };
    Some(Said { text, ending })
}

/// A text, or the texts of a list of parts. `None`: something else.
fn text_of(content: Option<&Value>) -> Option<String> {
    match content {
        None | Some(Value::Null) => Some(String::new()),
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(parts)) => {
            Some(parts.iter().filter_map(|part| part.get("text")?.as_str()).collect())
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => None,
    }
}
