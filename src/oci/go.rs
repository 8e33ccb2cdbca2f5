//! The types of Go's structs, read and written as its `encoding/json` does.

use super::json::{Json, Read, Wrong, kind, members, read, typed, write_key};
use crate::digest::Digest;
use crate::error::Error;
use base64::Engine as _;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Quotes text as `encoding/json` does, with its escapes for HTML.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

impl Json for String {
    fn absent() -> Read<Self> {
        Ok(String::new())
    }
    fn read(value: &RawValue) -> Read<Self> {
        let text: String = typed(value, '"', "a string")?;
        // It would end a C string early, and what is left could be something else altogether.
        if text.contains('\0') { Err(Wrong::new("has a U+0000 in it")) } else { Ok(text) }
    }
    fn omit(&self) -> bool {
        self.is_empty()
    }
    fn write(&self, out: &mut String) {
        write_string(self, out);
    }
}

impl Json for bool {
    fn absent() -> Read<Self> {
        Ok(false)
    }
    fn read(value: &RawValue) -> Read<Self> {
        match value.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(Wrong::new(format!("is {}, not a boolean", kind(other)))),
        }
    }
    fn omit(&self) -> bool {
        !self
    }
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl Json for i64 {
    fn absent() -> Read<Self> {
        Ok(0)
    }
    fn read(value: &RawValue) -> Read<Self> {
        let text = value.get();
        text.parse().map_err(|_| Wrong::new(format!("is {}, not an integer of 64 bits", kind(text))))
    }
    fn omit(&self) -> bool {
        *self == 0
    }
    fn write(&self, out: &mut String) {
        out.push_str(&self.to_string());
    }
}

impl Json for Digest {
    fn absent() -> Read<Self> {
        Err(Wrong::new("is missing"))
    }
    fn read(value: &RawValue) -> Read<Self> {
        String::read(value)?.parse().map_err(|e: Error| Wrong::new(format!("is {}", e.message())))
    }
    fn write(&self, out: &mut String) {
        write_string(self.as_str(), out);
    }
}

/// Go's `[]byte`: base64, read with line breaks, written without.
impl Json for Bytes {
    fn absent() -> Read<Self> {
        Ok(Bytes::new())
    }
    fn read(value: &RawValue) -> Read<Self> {
        use base64::engine::{GeneralPurpose, general_purpose::PAD};
        const LENIENT: GeneralPurpose =
            GeneralPurpose::new(&base64::alphabet::STANDARD, PAD.with_decode_allow_trailing_bits(true));
        let mut text = String::read(value)?;
        text.retain(|c| c != '\r' && c != '\n');
        LENIENT.decode(text).map(Bytes::from).map_err(|e| Wrong::new(format!("is not base64: {e}")))
    }
    fn omit(&self) -> bool {
        self.is_empty()
    }
    fn write(&self, out: &mut String) {
        out.push('"');
        base64::engine::general_purpose::STANDARD.encode_string(self, out);
        out.push('"');
    }
}

/// A pointer, or a slice whose being nil matters: written without `omitempty` it is `null`.
impl<T: Json> Json for Option<T> {
    fn absent() -> Read<Self> {
        Ok(None)
    }
    fn read(value: &RawValue) -> Read<Self> {
        T::read(value).map(Some)
    }
    fn omit(&self) -> bool {
        self.as_ref().is_none_or(T::omit)
    }
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }
}

impl<T: Json> Json for Vec<T> {
    fn absent() -> Read<Self> {
        Ok(Vec::new())
    }
    fn read(value: &RawValue) -> Read<Self> {
        let items: Vec<&RawValue> = typed(value, '[', "a list")?;
        items.into_iter().enumerate().map(|(i, item)| read(item).map_err(|w| w.at_index(i))).collect()
    }
    fn omit(&self) -> bool {
        self.is_empty()
    }
    fn write(&self, out: &mut String) {
        out.push('[');
        for (i, item) in self.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            item.write(out);
        }
        out.push(']');
    }
}

impl<T: Json> Json for BTreeMap<String, T> {
    fn absent() -> Read<Self> {
        Ok(BTreeMap::new())
    }
    fn read(value: &RawValue) -> Read<Self> {
        let entry = |(key, value): (String, &RawValue)| {
            if key.contains('\0') {
                return Err(Wrong::new("has a key with U+0000 in it"));
            }
            read(value).map_err(|w| w.at(&key)).map(|value| (key, value))
        };
        members(value)?.into_iter().map(entry).collect()
    }
    fn omit(&self) -> bool {
        self.is_empty()
    }
    fn write(&self, out: &mut String) {
        let mut first = true;
        out.push('{');
        for (key, value) in self {
            write_key(key, &mut first, out);
            value.write(out);
        }
        out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_does() {
        let mut out = String::new();
        write_string("a\"\\/<>&\u{2028}\u{2029}\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}é😀\u{fffd}", &mut out);
        let expected =
            r#""a\"\\/\u003c\u003e\u0026\u2028\u2029\n\r\t\b\f\u0001\u001f"#.to_owned() + "\u{7f}é😀\u{fffd}\"";
        assert_eq!(out, expected);
    }

    #[test]
    fn base64_is_read_as_go_reads_it() {
        let read = |text: &str| Bytes::read(&RawValue::from_string(text.into()).unwrap()).ok();
        assert_eq!(read(r#""aGVs\r\nbG8=""#).unwrap(), "hello");
        assert_eq!(read(r#""aGVsbG9=""#).unwrap(), "hello");
        assert!(read(r#""aGVsbG8""#).is_none() && read(r#""*""#).is_none() && read("7").is_none());
    }
}
