//! Names for the members of unions in the OpenAPI document.
//!
//! The schema of an enum with fields is a union of anonymous objects. Generators of clients must make up names
//! for these, and some give up when two are the same. So each member is a schema of its own: `When` with the
//! member `budget_used` becomes `WhenBudgetUsed`, and what that member holds `WhenBudgetUsedOptions`. The JSON
//! that a union admits stays the same.

use serde_json::{Value, json};

/// Gives every anonymous member of a union a schema of its own. Returns the names of these; a test holds that no other
/// schema has one of them.
pub fn name_members(document: &mut Value) -> Vec<String> {
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut)
    else {
        return Vec::new();
    };
    let mut named = Vec::new();
    for (name, schema) in schemas.iter_mut() {
        let members = schema.get_mut("oneOf").and_then(Value::as_array_mut);
        for member in members.into_iter().flatten() {
            name_member(name, member, &mut named);
        }
    }
    let names = named.iter().map(|(name, _)| name.clone()).collect();
    schemas.extend(named);
    names
}

/// A member with one property, under which all of its fields are.
fn name_member(union: &str, member: &mut Value, named: &mut Vec<(String, Value)>) {
    let Some(properties) = member.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    let mut properties: Vec<_> = properties.iter_mut().collect();
    let [(tag, content)] = properties.as_mut_slice() else { return };
    let name = format!("{union}{}", pascal(tag));
    if content["type"] == "object" {
        name_schema(format!("{name}Options"), content, named);
    }
    name_schema(name, member, named);
}

fn name_schema(name: String, schema: &mut Value, named: &mut Vec<(String, Value)>) {
    let reference = json!({"$ref": format!("#/components/schemas/{name}")});
    named.push((name, std::mem::replace(schema, reference)));
}

fn pascal(snake: &str) -> String {
    snake
        .split('_')
        .flat_map(|word| {
            let first = word.chars().next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(word.chars().skip(1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::name_members;

    #[test]
    fn members_and_what_they_hold_get_names() {
        let member = |name: &str| {
            let fields = json!({"type": "object", "properties": {"count": {"type": "integer"}}});
            json!({"type": "object", "required": [name], "properties": {name: fields}})
        };
        let word = json!({"type": "string"});
        let mut document = json!({"components": {"schemas": {
            "When": {"oneOf": [member("budget_used"), member("failures"), word]}}}});
        name_members(&mut document);
        let schemas = &document["components"]["schemas"];
        let link = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        let union = json!([link("WhenBudgetUsed"), link("WhenFailures"), word]);
        assert_eq!(schemas["When"]["oneOf"], union);
        let inner = &schemas["WhenBudgetUsed"]["properties"]["budget_used"];
        assert_eq!(*inner, link("WhenBudgetUsedOptions"));
        assert_ne!(schemas["WhenBudgetUsedOptions"]["properties"]["count"], Value::Null);
    }
}
