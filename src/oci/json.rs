//! Reading JSON strictly, and objects whose unknown members stay.
//!
//! [`object!`] declares a struct once, in the order of the reference's fields; from that come its reader and its
//! writer. Both keep what they don't know in [`Extra`].

use super::go::write_string;
use crate::digest::shown;
use crate::error::{Error, Result, malformed};
use bytes::Bytes;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// How deep lists and objects may be nested; `serde_json` stops there by itself.
pub const MAX_DEPTH: usize = 127;
/// How many items one list or object may have, so that a small document can't fill the memory.
pub const MAX_ITEMS: usize = 100_000;

/// The members of an object, in their order.
pub(super) type Members<'a> = Vec<(String, &'a RawValue)>;

/// The members of a document's root, after the whole document was found to be sound: UTF-8, one JSON object and
/// nothing after it, no key twice in any object, not too deep, no list too long.
pub(super) fn root<'a>(bytes: &'a [u8], what: &str) -> Result<Members<'a>> {
    members(sound(bytes, what)?).map_err(|wrong| wrong.into_error(what))
}

/// Reads a document that is not an object, as strictly. Null is none.
pub(super) fn whole<T: Json>(bytes: &[u8], what: &str) -> Result<T> {
    T::read(sound(bytes, what)?).map_err(|wrong| wrong.into_error(what))
}

fn sound<'a>(bytes: &'a [u8], what: &str) -> Result<&'a RawValue> {
    let bad = |why: &dyn fmt::Display| malformed(format!("the {what} is not sound JSON: {}", shown(&why.to_string())));
    let text = std::str::from_utf8(bytes).map_err(|e| bad(&e))?;
    let mut whole = serde_json::Deserializer::from_str(text);
    Sound.deserialize(&mut whole).and_then(|()| whole.end()).map_err(|e| bad(&e))?;
    serde_json::from_str(text).map_err(|e| bad(&e))
}

/// Reads a document of one type from its root's members.
pub(super) fn document<T: Json>(members: Members<'_>, what: &str) -> Result<T> {
    T::from_members(members).map_err(|wrong| wrong.into_error(what))
}

/// Writes a document.
pub(super) fn to_bytes<T: Json>(document: &T) -> Bytes {
    let mut out = String::new();
    document.write(&mut out);
    Bytes::from(out)
}

/// Members of an object that this library does not know, in their order: their values byte for byte, their keys as
/// the same text with Go's escapes.
#[derive(Clone, Default)]
pub struct Extra(Vec<(String, Box<RawValue>)>);

impl Extra {
    /// The JSON text of a member.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }
    /// Keys and JSON texts, in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.get()))
    }
    /// Whether everything was known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub(super) fn push(&mut self, key: String, value: &RawValue) {
        self.0.push((key, value.to_owned()));
    }
    pub(super) fn remove(&mut self, keys: &[&str]) {
        self.0.retain(|(key, _)| !keys.contains(&key.as_str()));
    }
}

impl PartialEq for Extra {
    fn eq(&self, other: &Extra) -> bool {
        self.iter().eq(other.iter())
    }
}
impl Eq for Extra {}
impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// What is wrong, and where below the value at hand.
pub(super) struct Wrong {
    path: String,
    why: String,
}
pub(super) type Read<T> = std::result::Result<T, Wrong>;

impl Wrong {
    pub(super) fn new(why: impl Into<String>) -> Wrong {
        Wrong { path: String::new(), why: why.into() }
    }
    pub(super) fn at(mut self, key: &str) -> Wrong {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{}{dot}{}", shown(key), self.path);
        self
    }
    pub(super) fn at_index(mut self, i: usize) -> Wrong {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{i}]{dot}{}", self.path);
        self
    }
    fn into_error(self, what: &str) -> Error {
        let path = if self.path.is_empty() { String::new() } else { format!(": {}", self.path) };
        malformed(format!("{what}{path} {}", self.why))
    }
}

/// A type of the reference's structs: how Go reads it, leaves it out and writes it.
pub(super) trait Json: Sized {
    /// The value of a member that is not there, or null: Go's zero value.
    fn absent() -> Read<Self>;
    /// Reads anything but null.
    fn read(value: &RawValue) -> Read<Self>;
    /// Whether `omitempty` leaves it out.
    fn omit(&self) -> bool {
        false
    }
    fn write(&self, out: &mut String);
    /// Only objects have members.
    fn from_members(_: Members<'_>) -> Read<Self> {
        Err(Wrong::new("is an object"))
    }
}

/// Reads a value as Go does: null is the same as nothing.
pub(super) fn read<T: Json>(value: &RawValue) -> Read<T> {
    if value.get() == "null" { T::absent() } else { T::read(value) }
}

pub(super) fn typed<'a, T: de::Deserialize<'a>>(value: &'a RawValue, first: char, name: &str) -> Read<T> {
    let text = value.get();
    if !text.starts_with(first) {
        return Err(Wrong::new(format!("is {}, not {name}", kind(text))));
    }
    serde_json::from_str(text).map_err(|e| Wrong::new(format!("is not {name}: {}", shown(&e.to_string()))))
}

pub(super) fn kind(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

pub(super) fn members(value: &RawValue) -> Read<Members<'_>> {
    struct Ordered<'a>(Members<'a>);
    impl<'de> de::Deserialize<'de> for Ordered<'de> {
        fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
            d.deserialize_map(OrderedVisitor)
        }
    }
    struct OrderedVisitor;
    impl<'de> Visitor<'de> for OrderedVisitor {
        type Value = Ordered<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(entry) = map.next_entry::<String, &'de RawValue>()? {
                members.push(entry);
            }
            Ok(Ordered(members))
        }
    }
    typed::<Ordered>(value, '{', "an object").map(|o| o.0)
}

/// Walks a whole document and keeps nothing.
struct Sound;

impl<'de> DeserializeSeed<'de> for Sound {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> std::result::Result<(), D::Error> {
        d.deserialize_any(self)
    }
}
impl<'de> Visitor<'de> for Sound {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        let mut items = 0;
        while seq.next_element_seed(Sound)?.is_some() {
            items += 1;
            if items > MAX_ITEMS {
                return Err(de::Error::custom(format_args!("a list has more than {MAX_ITEMS} items")));
            }
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value_seed(Sound)?;
            if seen.len() >= MAX_ITEMS {
                return Err(de::Error::custom(format_args!("an object has more than {MAX_ITEMS} members")));
            }
            if let Some(key) = seen.replace(key) {
                return Err(de::Error::custom(format_args!("the key {:?} is there twice", shown(&key))));
            }
        }
        Ok(())
    }
}

/// Declares a struct with its members in the reference's order: `keep` is always written, `omit` has `omitempty`.
macro_rules! object {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $key:literal $mode:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
            /// Members that this library does not know, kept as they are.
            pub extra: $crate::oci::json::Extra,
        }
        impl $crate::oci::json::Json for $name {
            fn absent() -> $crate::oci::json::Read<Self> {
                Self::from_members(Vec::new())
            }
            fn read(value: &serde_json::value::RawValue) -> $crate::oci::json::Read<Self> {
                Self::from_members($crate::oci::json::members(value)?)
            }
            fn from_members(members: $crate::oci::json::Members<'_>) -> $crate::oci::json::Read<Self> {
                $(let mut $field: Option<$type> = None;)*
                let mut extra = $crate::oci::json::Extra::default();
                for (key, value) in members {
                    match key.as_str() {
                        $($key => $field = Some($crate::oci::json::read(value).map_err(|w| w.at($key))?),)*
                        _ => extra.push(key, value),
                    }
                }
                Ok($name {
                    $($field: match $field {
                        Some(value) => value,
                        None => <$type as $crate::oci::json::Json>::absent().map_err(|w| w.at($key))?,
                    },)*
                    extra,
                })
            }
            fn write(&self, out: &mut String) {
                #[allow(unused_mut, reason = "an object may have no known member")]
                let mut first = true;
                out.push('{');
                $(if $crate::oci::json::object!(@ $mode self.$field) {
                    $crate::oci::json::write_key($key, &mut first, out);
                    self.$field.write(out);
                })*
                for (key, value) in self.extra.iter() {
                    $crate::oci::json::write_key(key, &mut first, out);
                    out.push_str(value);
                }
                out.push('}');
            }
        }
    };
    (@ keep $value:expr) => { true };
    (@ omit $value:expr) => { !$value.omit() };
}
pub(super) use object;

pub(super) fn write_key(key: &str, first: &mut bool, out: &mut String) {
    if !std::mem::take(first) {
        out.push(',');
    }
    write_string(key, out);
    out.push(':');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        root(json.as_bytes(), "document").unwrap_err().to_string()
    }

    #[test]
    fn unsound_documents_are_refused() {
        assert!(refused(r#"{"a":1,"b":2,"a":3}"#).contains(r#"the key "a" is there twice"#));
        assert!(refused(r#"{"x":[{"y":{"a":1,"\u0061":2}}]}"#).contains("twice"));
        for json in
            ["", "[]", "1", "null", "\"x\"", "{", "{}x", "{} {}", r#"{"a":}"#, r#"{"a":"\ud800"}"#, "\u{feff}{}"]
        {
            refused(json);
        }
        assert!(root(b"{\"a\":\"\xff\"}", "document").is_err());
        assert_eq!(root(b" {\"b\": 1 , \"a\":null}\n", "document").unwrap()[0].1.get(), "1");
    }

    #[test]
    fn depth_and_length_have_limits() {
        let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(root(nested(MAX_DEPTH - 1).as_bytes(), "document").is_ok());
        refused(&nested(MAX_DEPTH));
        refused(&"[".repeat(500_000));
        refused(&"{\"a\":".repeat(500_000));
        refused(&nested(500_000));
        let long = |n: usize| format!("{{\"a\":[0{}]}}", ",0".repeat(n - 1));
        assert!(root(long(MAX_ITEMS).as_bytes(), "document").is_ok());
        refused(&long(MAX_ITEMS + 1));
    }
}
