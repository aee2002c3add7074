//! The macro for closed word lists: one enum for database, JSON and OpenAPI.
//!
//! Each state or kind is spelt once, and the Rust enum, the database text, the JSON and the schema
//! derive from it. A test compares the database's CHECK constraints with [`Words::ALL`].

/// A closed list of words.
pub trait Words: Copy + Sized + 'static {
    /// Every word, in the order of declaration.
    const ALL: &'static [Self];
    /// The stored and sent spelling.
    fn as_str(self) -> &'static str;
}

/// A text outside the list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of the words allowed here")]
pub struct UnknownWord(pub String);

macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$vmeta:meta])* $variant:ident => $text:tt,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
                 serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub enum $name {
            $($(#[$vmeta])* #[serde(rename = $text)] $variant,)+
        }

        impl $crate::domain::words::Words for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl $name {
            /// The word as it is stored and sent.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                $crate::domain::words::Words::as_str(self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::words::UnknownWord;
            fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err($crate::domain::words::UnknownWord(other.to_owned())),
                }
            }
        }
    };
}
pub(crate) use words;
