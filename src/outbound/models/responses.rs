//! OpenAI's Responses, and servers compatible with it.

use serde_json::{Value, json};

use super::Said;
use crate::domain::planning::model::{
    AnswerForm, Conversation, Ending, ModelSettings, Speaker, remark,
};

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
        "instructions": conversation.instructions,
        "input": turns.collect::<Vec<Value>>(),
        "max_output_tokens": settings.max_output_tokens,
        // The brief is nobody's to keep.
        "store": false,
    });
    match form {
        AnswerForm::Schema => {
            body["text"] = json!({"format": {
                "type": "json_schema", "name": "plan", "strict": true, "schema": conversation.schema,
            }});
        }
        AnswerForm::Json => body["text"] = json!({"format": {"type": "json_object"}}),
        AnswerForm::Text => {}
    }
    body
}

/// `None`: not of this format.
pub(super) fn read(body: &Value) -> Option<Said> {
    let output = body.get("output")?.as_array()?;
    let messages = output.iter().filter(|item| item["type"] == "message");
    let mut text = String::new();
    let mut refusal = None;
    for part in messages.filter_map(|item| item.get("content")?.as_array()).flatten() {
        match part.get("type").and_then(Value::as_str) {
            Some("output_text") => text.push_str(part.get("text")?.as_str()?),
            Some("refusal") => refusal = part.get("refusal").and_then(Value::as_str).map(remark),
            Some(_) | None => {}
        }
    }
    let reason = body.pointer("/incomplete_details/reason").and_then(Value::as_str);
    let ending = match (refusal, body.get("status").and_then(Value::as_str), reason) {
        (Some(refusal), _, _) => Ending::Refused(refusal),
        (None, Some("incomplete"), Some("content_filter")) => {
            Ending::Refused("a content filter stopped it".into())
        }
        (None, Some("incomplete"), _) => Ending::Truncated,
        (None, _, _) => Ending::Complete,
    };
    Some(Said { text, ending })
}
