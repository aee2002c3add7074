//! Anthropic's Messages.

use serde_json::{Value, json};

use super::Said;
use crate::domain::planning::model::{
    AnswerForm, Conversation, Ending, ModelSettings, Speaker, remark,
};

/// The version of the format.
pub(super) const VERSION: &str = "2023-06-01";

pub(super) fn request(
    settings: &ModelSettings,
    conversation: &Conversation,
    form: AnswerForm,
) -> Value {
    let turns = conversation.turns.iter().map(|turn| {
        let role = match turn.speaker {
            Speaker::Muster => "user",
            Speaker::Model => "assistant",
        };
        json!({"role": role, "content": turn.text})
    });
    let mut body = json!({
        "model": settings.model,
        "system": conversation.instructions,
        "messages": turns.collect::<Vec<Value>>(),
        "max_tokens": settings.max_output_tokens,
    });
    match form {
        AnswerForm::Schema => {
            body["output_config"] =
                json!({"format": {"type": "json_schema", "schema": conversation.schema}});
        }
        // It has no JSON without a schema.
        AnswerForm::Json | AnswerForm::Text => {}
    }
    body
}

/// `None`: not of this format.
pub(super) fn read(body: &Value) -> Option<Said> {
    if body.get("type").is_some_and(|kind| kind != "message") {
        return None;
    }
    let blocks = body.get("content")?.as_array()?.iter();
    let texts = blocks.filter(|block| block["type"] == "text");
    let text: String = texts.filter_map(|block| block.get("text")?.as_str()).collect();
    let ending = match body.get("stop_reason").and_then(Value::as_str) {
        Some("refusal") => Ending::Refused(if text.is_empty() {
            "the model refuses".into()
        } else {
            remark(&text)
        }),
        Some("max_tokens" | "model_context_window_exceeded") => Ending::Truncated,
        Some(_) | None => Ending::Complete,
    };
    Some(Said { text, ending })
}
