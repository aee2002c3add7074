//! JSON values as the source of request types: an object for a struct, and nothing else.
//!
//! A derived `Deserialize` also accepts a list of the fields' values in place of an object. No request
//! documents that form, and a new field would give such a list another meaning. So this deserializer
//! refuses it, at every level.
//!
//! An integer may be written `5.0` or `1e3`, as JSON Schema says: several languages write every number so.
//! It is read as an integer where the type wants one; free JSON keeps it as it was sent.

use serde::{
    de::{
        DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, Unexpected,
        VariantAccess, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, Value};

use crate::domain::number;

/// A value as the source of a request type.
pub struct Strict(pub Value);

impl Strict {
    /// The value, with an integer in its plain form.
    fn whole(self) -> Self {
        let double = self.0.as_f64().filter(|_| self.0.is_f64());
        double.and_then(number::whole).map_or(self, |whole| Self(whole.into()))
    }
}

/// Methods for integers, which read every form of one.
macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.whole().deserialize_any(visitor)
        })*
    };
}

impl IntoDeserializer<'_, Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict {
    type Error = Error;

    forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier
        ignored_any
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => {
                let mut items = SeqDeserializer::<_, Error>::new(items.into_iter().map(Strict));
                let read = visitor.visit_seq(&mut items)?;
                // A tuple stops at its own length.
                items.end().map_err(|_| Error::custom("this list is too long"))?;
                Ok(read)
            }
            Value::Object(members) => visitor.visit_map(MapDeserializer::new(
                members.into_iter().map(|(name, value)| (name, Self(value))),
            )),
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.0.is_array() {
            return Err(Error::invalid_type(Unexpected::Seq, &"an object"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(Variant { name, content: None }),
            Value::Object(members) if members.len() == 1 => {
                let variant = members.into_iter().next();
                let (name, value) = variant.ok_or_else(|| Error::custom("no variant"))?;
                visitor.visit_enum(Variant { name, content: Some(value) })
            }
            _ => Err(no_word()),
        }
    }
}

/// `sentences` replaces everything but the expectation.
fn no_word() -> Error {
    Error::invalid_type(Unexpected::Other("another value"), &"a word")
}

struct Variant {
    name: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Error;
    type Variant = Content;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Content), Error> {
        Ok((seed.deserialize(self.name.into_deserializer())?, Content(self.content)))
    }
}

struct Content(Option<Value>);

impl Content {
    fn strict(self) -> Strict {
        Strict(self.0.unwrap_or_default())
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if self.0.is_none() { Ok(()) } else { Err(no_word()) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.strict())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.strict().deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.strict().deserialize_struct("", fields, visitor)
    }
}
