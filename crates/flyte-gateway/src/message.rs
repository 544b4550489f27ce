//! Single fields of a message, in both forms of protobuf.

use flyte_protocol::Codec;
use serde_json::Value;

use crate::filter::binary;

/// A field, by its number and its name.
pub(crate) type Field = (u32, &'static str);

/// The texts of fields of the message at the end of a way through messages. `None` if that message is not there, or cannot be
/// read. Texts that are left out are empty.
pub(crate) fn texts<const N: usize>(
    message: &[u8],
    codec: Codec,
    way: &[Field],
    fields: [Field; N],
) -> Option<[String; N]> {
    match codec {
        Codec::Proto => texts_in_binary(message, way, fields),
        Codec::Json => texts_in_json(message, way, fields),
    }
}

fn texts_in_binary<const N: usize>(
    mut message: &[u8],
    way: &[Field],
    fields: [Field; N],
) -> Option<[String; N]> {
    for (number, _) in way {
        message = contents(message, *number)?.pop()?;
    }
    let text = |(number, _): Field| {
        let last = contents(message, number)?.pop().unwrap_or_default();
        String::from_utf8(last.to_vec()).ok()
    };
    let mut texts = [const { String::new() }; N];
    for (into, field) in texts.iter_mut().zip(fields) {
        *into = text(field)?;
    }
    Some(texts)
}

/// What the fields of a number hold.
fn contents(mut message: &[u8], number: u32) -> Option<Vec<&[u8]>> {
    let mut contents = Vec::new();
    while !message.is_empty() {
        let raw = binary::next(&mut message).ok()?;
        if raw.number == number {
            contents.push(raw.content?);
        }
    }
    Some(contents)
}

fn texts_in_json<const N: usize>(message: &[u8], way: &[Field], fields: [Field; N]) -> Option<[String; N]> {
    let json: Value = serde_json::from_slice(message).ok()?;
    let mut object = &json;
    for (_, name) in way {
        object = member(object, name)?;
    }
    let mut texts = [const { String::new() }; N];
    for (into, (_, name)) in texts.iter_mut().zip(fields) {
        if let Some(value) = member(object, name) {
            *into = value.as_str()?.to_owned();
        }
    }
    object.is_object().then_some(texts)
}

/// A field under either of its names that is not `null`.
fn member<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    let spellings = [crate::filter::json_name(name), name.to_owned()];
    spellings.iter().find_map(|name| object.get(name).filter(|value| !value.is_null()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: [Field; 2] = [(1, "action_id"), (1, "run")];
    const FIELDS: [Field; 2] = [(2, "project"), (4, "name")];

    #[test]
    fn fields_are_found_in_both_forms() {
        // `action_id.run` with the domain `d`, the project `p` and no name, then another field.
        let binary = b"\x0a\x08\x0a\x06\x1a\x01d\x12\x01p\x12\x01x";
        for (message, codec, expected) in [
            (&binary[..], Codec::Proto, Some(["p", ""])),
            (br#"{"actionId":{"run":{"project":"p","domain":"d"}}}"#, Codec::Json, Some(["p", ""])),
            (br#"{"action_id":{"run":{"project":"p","name":"n"}}}"#, Codec::Json, Some(["p", "n"])),
            (br#"{"actionId":{"run":{"project":null}}}"#, Codec::Json, Some(["", ""])),
            (br#"{"actionId":{"run":{"project":1}}}"#, Codec::Json, None),
            (br#"{"actionId":{"run":"p"}}"#, Codec::Json, None),
            (br#"{"actionId":null}"#, Codec::Json, None),
            (b"{}", Codec::Json, None),
            (b"{", Codec::Json, None),
            (b"", Codec::Proto, None),
            (b"\x0a\x00", Codec::Proto, None),
            (b"\x0a\x02\x0a\x00", Codec::Proto, Some(["", ""])),
            (b"\x0a\x04\x0a\x02\x10\x01", Codec::Proto, None),
            (b"\x0a\x05\x0a\x03\x12\x01\xff", Codec::Proto, None),
            (b"\x0a\x09", Codec::Proto, None),
        ] {
            let found = texts(message, codec, &WAY, FIELDS);
            assert_eq!(found, expected.map(|texts| texts.map(str::to_owned)), "{message:?}");
        }
    }
}
