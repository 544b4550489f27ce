//! Changes single fields of a message, in both forms of protobuf. All else stays as it is.

use flyte_protocol::Codec;

use super::{
    Unreadable,
    binary::{next, write_varint},
    json::Members,
    plan::json_name,
};
use crate::message::Field;

/// What becomes of a field.
pub(super) enum Edit {
    Keep,
    Remove,
    Replace(String),
}

/// Decides on a field by its text; `None` if it is something else.
type Decide<'d> = &'d mut dyn FnMut(Option<&str>) -> Result<Edit, Unreadable>;

/// The message after each field at the end of `way` was decided on. The step `*` is each member of a map. Messages on the way that
/// become empty are left out.
///
/// # Errors
/// [`Unreadable`], and those of `decide`.
pub(super) fn edit(
    message: &[u8],
    codec: Codec,
    way: &[Field],
    decide: Decide<'_>,
) -> Result<Vec<u8>, Unreadable> {
    let mut edited = Vec::with_capacity(message.len());
    match codec {
        Codec::Proto => binary(message, way, decide, &mut edited)?,
        Codec::Json => json(message, way, decide, &mut edited)?,
    }
    Ok(edited)
}

/// The message without a field, whatever is in it.
///
/// # Errors
/// [`Unreadable`].
pub(super) fn without(message: &[u8], codec: Codec, field: Field) -> Result<Vec<u8>, Unreadable> {
    if codec == Codec::Json {
        return edit(message, codec, &[field], &mut |_| Ok(Edit::Remove));
    }
    let (mut rest, mut left) = (message, Vec::with_capacity(message.len()));
    while !rest.is_empty() {
        let raw = next(&mut rest)?;
        if raw.number != field.0 {
            left.extend_from_slice(raw.whole);
        }
    }
    Ok(left)
}

fn write(number: u32, content: &[u8], into: &mut Vec<u8>) {
    write_varint(u64::from(number) << 3 | 2, into);
    write_varint(content.len() as u64, into);
    into.extend_from_slice(content);
}

fn binary(mut rest: &[u8], way: &[Field], decide: Decide<'_>, into: &mut Vec<u8>) -> Result<(), Unreadable> {
    let Some(((number, _), way)) = way.split_first() else { return Err(Unreadable) };
    while !rest.is_empty() {
        let raw = next(&mut rest)?;
        if raw.number != *number {
            into.extend_from_slice(raw.whole);
            continue;
        }
        if way.is_empty() {
            let text = raw.content.map(std::str::from_utf8).transpose().map_err(|_| Unreadable)?;
            match decide(text)? {
                Edit::Keep => into.extend_from_slice(raw.whole),
                Edit::Remove => {}
                Edit::Replace(text) => write(raw.number, text.as_bytes(), into),
            }
            continue;
        }
        let mut inner = Vec::new();
        binary(raw.content.ok_or(Unreadable)?, way, decide, &mut inner)?;
        if !inner.is_empty() {
            write(raw.number, &inner, into);
        }
    }
    Ok(())
}

fn json(message: &[u8], way: &[Field], decide: Decide<'_>, into: &mut Vec<u8>) -> Result<(), Unreadable> {
    let Some(((_, name), way)) = way.split_first() else { return Err(Unreadable) };
    let is_step = |member: &str| *name == "*" || member == *name || member == json_name(name);
    let mut separator = b'{';
    for (member, value) in Members::parse(message)?.0 {
        let value = value.get();
        let start = into.len();
        into.push(separator);
        serde_json::to_writer(&mut *into, &member).map_err(|_| Unreadable)?;
        into.push(b':');
        let content = into.len();
        if !is_step(&member) || value == "null" {
            into.extend_from_slice(value.as_bytes());
        } else if way.is_empty() {
            let text: Option<String> = serde_json::from_str(value).ok();
            match decide(text.as_deref())? {
                Edit::Keep => into.extend_from_slice(value.as_bytes()),
                Edit::Remove => {}
                Edit::Replace(text) => serde_json::to_writer(&mut *into, &text).map_err(|_| Unreadable)?,
            }
        } else {
            json(value.as_bytes(), way, decide, into)?;
            if into[content..] == *b"{}" {
                into.truncate(content);
            }
        }
        if into.len() == content {
            into.truncate(start);
        } else {
            separator = b',';
        }
    }
    if separator == b'{' {
        into.push(separator);
    }
    into.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: [Field; 2] = [(1, "request"), (2, "token")];
    const MAP: [Field; 2] = [(3, "per_cluster"), (2, "*")];

    fn replaced(message: &[u8], codec: Codec, way: &[Field]) -> Result<Vec<u8>, Unreadable> {
        edit(message, codec, way, &mut |text| Ok(Edit::Replace(format!("<{}>", text.ok_or(Unreadable)?))))
    }

    #[test]
    fn fields_are_replaced_and_all_else_stays() {
        // A field before, the way, a field after.
        let message = b"\x20\x01\x0a\x05\x08\x07\x12\x01t\x12\x01x";
        let expected = b"\x20\x01\x0a\x07\x08\x07\x12\x03<t>\x12\x01x";
        assert_eq!(replaced(message, Codec::Proto, &WAY), Ok(expected.to_vec()));
        let map = b"\x1a\x06\x0a\x01k\x12\x01v";
        assert_eq!(replaced(map, Codec::Proto, &MAP), Ok(b"\x1a\x08\x0a\x01k\x12\x03<v>".to_vec()));
        for (message, way, expected) in [
            (
                r#"{"a": 1.50,"request":{"limit":7,"token":"\u0074"}}"#,
                WAY,
                r#"{"a":1.50,"request":{"limit":7,"token":"<t>"}}"#,
            ),
            (r#"{"perCluster":{"a":"1","b":"2"}}"#, MAP, r#"{"perCluster":{"a":"<1>","b":"<2>"}}"#),
            (r#"{"request":null,"token":"x"}"#, WAY, r#"{"request":null,"token":"x"}"#),
            ("{}", WAY, "{}"),
        ] {
            let edited = replaced(message.as_bytes(), Codec::Json, &way).unwrap();
            assert_eq!(String::from_utf8(edited).unwrap(), expected);
        }
    }

    #[test]
    fn what_becomes_empty_is_left_out() {
        let remove = |message: &[u8], codec| edit(message, codec, &WAY, &mut |_| Ok(Edit::Remove)).unwrap();
        assert_eq!(remove(b"\x0a\x03\x12\x01t\x12\x01x", Codec::Proto), b"\x12\x01x");
        assert_eq!(remove(b"\x0a\x00", Codec::Proto), b"");
        // A number, for example.
        assert_eq!(remove(b"\x0a\x02\x10\x07", Codec::Proto), b"");
        for (message, expected) in [
            (r#"{"request":{"token":"t"},"b":{}}"#, r#"{"b":{}}"#),
            (r#"{"request":{}}"#, "{}"),
            (r#"{"request":{"token":7,"limit":1}}"#, r#"{"request":{"limit":1}}"#),
        ] {
            assert_eq!(String::from_utf8(remove(message.as_bytes(), Codec::Json)).unwrap(), expected);
        }
    }

    #[test]
    fn a_field_is_left_out_whatever_is_in_it() {
        let map = b"\x20\x01\x1a\x06\x0a\x01k\x12\x01v\x1a\x03\x0a\x01\xff\x12\x01x";
        assert_eq!(without(map, Codec::Proto, MAP[0]), Ok(b"\x20\x01\x12\x01x".to_vec()));
        assert_eq!(without(b"\x1a\x05", Codec::Proto, MAP[0]), Err(Unreadable));
        for name in ["perCluster", "per_cluster"] {
            let json = format!(r#"{{"{name}":{{"a":"1"}},"b":2}}"#);
            assert_eq!(without(json.as_bytes(), Codec::Json, MAP[0]), Ok(br#"{"b":2}"#.to_vec()));
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for message in [&b"\x0a"[..], b"\x08\x01", b"\x0a\x03\x12\x01\xff", b"\x0a\x02\x10\x01"] {
            assert_eq!(replaced(message, Codec::Proto, &WAY), Err(Unreadable), "{message:?}");
        }
        for message in ["", "[]", r#"{"request":1}"#, r#"{"request":{"token":1}}"#] {
            assert_eq!(replaced(message.as_bytes(), Codec::Json, &WAY), Err(Unreadable), "{message}");
        }
    }
}
