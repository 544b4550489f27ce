//! The encoded bytes of `flyteidl2.task.Inputs`.
//!
//! Encoding a message again may change the order of its map entries, and then the hash. So the bytes of the caller are stored
//! and hashed.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use flyte_objects::signed_url::hex;

/// `UploadInputsRequest.inputs`.
const INPUTS: u64 = 6;
/// `Inputs.literals`.
const LITERALS: u64 = 1;
/// `NamedLiteral.name`.
const NAME: u64 = 1;

/// The inputs in an encoded `UploadInputsRequest`; empty if it has none. `None` if the bytes are not a valid message.
pub(super) fn of_request(request: &[u8]) -> Option<Vec<u8>> {
    // Protobuf merges a repeated message field. Appending the bytes does the same.
    let inputs = fields(request).filter_map(|field| match field {
        Some((INPUTS, inputs)) => Some(Some(inputs)),
        Some(_) => None,
        None => Some(None),
    });
    inputs.collect::<Option<Vec<_>>>().map(|inputs| inputs.concat())
}

/// The name of the object of these inputs: their SHA-256.
pub(super) fn address(inputs: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, inputs).as_ref())
}

/// The hash of the inputs for the cache key, without the ignored inputs: FNV-64a, like the published server. Never empty,
/// because clients treat an empty hash as missing.
pub(crate) fn hash(inputs: &[u8], ignored: &[String]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for (_, literal) in fields(inputs).flatten().filter(|(number, _)| *number == LITERALS) {
        let name = fields(literal).flatten().filter(|(number, _)| *number == NAME).last();
        if name.is_some_and(|(_, name)| ignored.iter().any(|ignored| ignored.as_bytes() == name)) {
            continue;
        }
        for byte in (literal.len() as u64).to_be_bytes().iter().chain(literal) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    URL_SAFE_NO_PAD.encode(hash.to_be_bytes())
}

/// The length-delimited fields of an encoded message, with their numbers. The last is `None` if the rest is not valid.
fn fields(message: &[u8]) -> impl Iterator<Item = Option<(u64, &[u8])>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            match next(&mut rest) {
                Some(None) => {}
                Some(Some(field)) => return Some(Some(field)),
                None => {
                    rest = &[];
                    return Some(None);
                }
            }
        }
        None
    })
}

/// The next field; `Some(None)` if it is not length-delimited.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Option<(u64, &'a [u8])>> {
    let tag = varint(rest)?;
    match tag & 7 {
        0 => varint(rest).map(|_| None),
        1 => take(rest, 8).map(|_| None),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Some(Some((tag >> 3, take(rest, length)?)))
        }
        5 => take(rest, 4).map(|_| None),
        _ => None,
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use buffa::Message as _;
    use flyte_idl::flyteidl2::{
        core::KeyValuePair,
        dataproxy::UploadInputsRequest,
        task::{Inputs, NamedLiteral},
    };
    use proptest::prelude::*;

    use super::*;

    fn inputs(names: &[&str]) -> Inputs {
        let literals =
            names.iter().map(|name| NamedLiteral { name: (*name).to_owned(), ..NamedLiteral::default() });
        let context = KeyValuePair { key: "trace".to_owned(), ..KeyValuePair::default() };
        Inputs { literals: literals.collect(), context: vec![context], ..Inputs::default() }
    }

    #[test]
    fn the_bytes_of_the_caller_are_kept() {
        let request = UploadInputsRequest {
            inputs: inputs(&["x", "y"]).into(),
            base_dir: "elsewhere".to_owned(),
            ..UploadInputsRequest::default()
        };
        let raw = of_request(&request.encode_to_vec()).unwrap();
        assert_eq!(raw, inputs(&["x", "y"]).encode_to_vec());
        assert_eq!(of_request(&[]), Some(Vec::new()));
        assert_eq!(of_request(b"\x32\x05abc"), None, "the field is shorter than its length");
        assert_ne!(address(&raw), address(&[]));
    }

    #[test]
    fn ignored_inputs_are_not_hashed() {
        let hashed = |names: &[&str], ignored: &[&str]| {
            let ignored: Vec<_> = ignored.iter().map(ToString::to_string).collect();
            hash(&inputs(names).encode_to_vec(), &ignored)
        };
        assert_eq!(hashed(&["x", "y"], &["y"]), hashed(&["x"], &[]));
        assert_ne!(hashed(&["x", "y"], &[]), hashed(&["x"], &[]));
        assert_ne!(hashed(&["x", "y"], &[]), hashed(&["y", "x"], &[]));
        assert_eq!(hash(&[], &[]).len(), 11);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = of_request(&bytes);
            let _ = hash(&bytes, &["x".to_owned()]);
        }
    }
}
