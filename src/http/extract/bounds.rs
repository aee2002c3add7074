//! Bounds of a request's numbers, as the API document states them.
//!
//! Serde knows only the range of the Rust type that a number is read into. A number outside of it must be
//! refused with the bounds that the caller can act on, so these are taken from the schema of the request.
//! That is costly, and happens only for a refusal.

use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// The smallest and the largest value of the number at `pointer` in a body of `T`, if its schema states both.
#[must_use]
pub fn of<T: ToSchema>(pointer: &str) -> Option<(i64, i64)> {
    let mut named = Vec::new();
    T::schemas(&mut named);
    let named = named
        .into_iter()
        .filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?)))
        .collect();
    Schemas(named)
        .at(&serde_json::to_value(T::schema()).ok()?, pointer.split('/').skip(1).collect())
}

/// The smallest and the largest value of the number in the parameter `name` of a query of `T`, if its schema
/// states both. Where it states none of a number of 64 bits, that of the type.
#[must_use]
pub fn of_parameter<T: IntoParams>(name: &str) -> Option<(i64, i64)> {
    let parameter = T::into_params(|| None).into_iter().find(|known| known.name == name)?;
    let schema = serde_json::to_value(parameter.schema?).ok()?;
    let bound = |name: &str, of_type: i64| {
        schema[name].as_i64().or((schema["format"] == "int64").then_some(of_type))
    };
    Some((bound("minimum", i64::MIN)?, bound("maximum", i64::MAX)?))
}

struct Schemas(Vec<(String, Value)>);

impl Schemas {
    fn at(&self, schema: &Value, path: Vec<&str>) -> Option<(i64, i64)> {
        if let Some(name) = schema["$ref"].as_str().and_then(|link| link.rsplit('/').next()) {
            let (_, schema) = self.0.iter().find(|(known, _)| known == name)?;
            return self.at(schema, path);
        }
        let among = |list: &str| {
            let schemas = schema[list].as_array()?;
            schemas.iter().find_map(|schema| self.at(schema, path.clone()))
        };
        if let Some(found) = ["oneOf", "anyOf", "allOf"].into_iter().find_map(among) {
            return Some(found);
        }
        let Some((first, rest)) = path.split_first() else {
            return Some((schema["minimum"].as_i64()?, schema["maximum"].as_i64()?));
        };
        let parts =
            [&schema["properties"][*first], &schema["additionalProperties"], &schema["items"]];
        parts
            .into_iter()
            .filter(|part| part.is_object())
            .find_map(|part| self.at(part, rest.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use utoipa::IntoParams;

    use super::{of, of_parameter};
    use crate::app::{agents::views::NewAgent, attempts::heartbeat::answer::HeartbeatRequest};

    #[test]
    fn bounds_are_those_of_the_document() {
        assert_eq!(of::<HeartbeatRequest>("/progress/percent"), Some((0, 100)));
        assert_eq!(of::<NewAgent>("/max_concurrent"), Some((1, 10_000)));
        assert_eq!(of::<NewAgent>("/name"), None);
        assert_eq!(of::<NewAgent>("/nothing/here"), None);
    }

    #[derive(IntoParams)]
    #[expect(dead_code, reason = "only its parameters are read")]
    struct Sample {
        #[param(minimum = 1, maximum = 200)]
        limit: Option<u32>,
        #[param(minimum = 0)]
        after: i64,
        name: String,
    }

    #[test]
    fn bounds_of_parameters_are_those_of_the_document() {
        assert_eq!(of_parameter::<Sample>("limit"), Some((1, 200)));
        assert_eq!(of_parameter::<Sample>("after"), Some((0, i64::MAX)));
        assert_eq!(of_parameter::<Sample>("name"), None);
        assert_eq!(of_parameter::<Sample>("nothing"), None);
    }
}
