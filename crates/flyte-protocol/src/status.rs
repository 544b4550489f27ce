//! How errors of gRPC are written in headers and trailers.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{Code, Detail, Refusal};

pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(crate) const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Base64 of binary headers and of Connect's details: written without padding, read with or without.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where the type of a message is looked up; before its name in `google.protobuf.Any`.
const TYPE_PREFIX: &str = "type.googleapis.com/";

/// The longest text of an error in a header, in bytes before it is encoded. Peers accept 8 KiB of all headers together at least,
/// and a text that repeats a part of the request may have any length.
const MAX_MESSAGE: usize = 2 << 10;

/// The start of a text that is too long for a header.
fn shorten(message: &str) -> &str {
    let end = (0..=MAX_MESSAGE.min(message.len())).rev().find(|end| message.is_char_boundary(*end));
    &message[..end.unwrap_or_default()]
}

/// Encodes `grpc-message`: everything outside of visible ASCII, and the percent sign, in percent-encoding.
pub(crate) fn encode_message(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Decodes `grpc-message`. What is not percent-encoding stays as it is.
pub(crate) fn decode_message(encoded: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    loop {
        rest = match *rest {
            [] => return String::from_utf8_lossy(&bytes).into_owned(),
            [b'%', high, low, ref tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte| char::from(byte).to_digit(16).unwrap_or_default();
                bytes.push(u8::try_from(digit(high) << 4 | digit(low)).unwrap_or_default());
                tail
            }
            [byte, ref tail @ ..] => {
                bytes.push(byte);
                tail
            }
        };
    }
}

/// Adds the status of an error.
pub(crate) fn write(refusal: &Refusal, headers: &mut HeaderMap) {
    headers.insert(STATUS, HeaderValue::from(u16::from(refusal.code.number())));
    headers.remove(MESSAGE);
    headers.remove(DETAILS);
    let mut insert = |name, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    if !refusal.message.is_empty() {
        insert(MESSAGE, encode_message(shorten(&refusal.message)));
    }
    if !refusal.details.is_empty() {
        insert(DETAILS, BASE64.encode(encode_details(refusal)));
    }
}

/// The error that headers or trailers have; `Ok(None)` for success, `Err` if there is no status.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<Refusal>, ()> {
    let status = headers.get(STATUS).ok_or(())?;
    let number = status.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(u32::MAX);
    if number == 0 {
        return Ok(None);
    }
    let code = Code::from_number(number).unwrap_or(Code::Unknown);
    let message = headers.get(MESSAGE).map(|value| decode_message(value.as_bytes())).unwrap_or_default();
    let mut refusal = Refusal::new(code, message);
    if let Some(details) = headers.get(DETAILS).and_then(|value| BASE64.decode(value).ok()) {
        refusal.details = decode_details(&details).unwrap_or_default();
    }
    Ok(Some(refusal))
}

/// Trailers as gRPC-Web writes them: a line for each, in HTTP/1.1's form.
pub(crate) fn parse_lines(lines: &[u8]) -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        trailers.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    Some(trailers)
}

/// `google.rpc.Status`.
fn encode_details(refusal: &Refusal) -> Vec<u8> {
    let mut status = vec![1 << 3, refusal.code.number()];
    write_field(2, shorten(&refusal.message).as_bytes(), &mut status);
    for detail in &refusal.details {
        let mut any = Vec::new();
        write_field(1, format!("{TYPE_PREFIX}{}", detail.type_name).as_bytes(), &mut any);
        write_field(2, &detail.value, &mut any);
        write_field(3, &any, &mut status);
    }
    status
}

/// A field with a length. An empty one is left out, as encoders do.
fn write_field(number: u8, content: &[u8], into: &mut Vec<u8>) {
    if content.is_empty() {
        return;
    }
    into.push(number << 3 | 2);
    let mut length = content.len();
    while length >= 0x80 {
        into.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    into.push(u8::try_from(length).unwrap_or_default());
    into.extend_from_slice(content);
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The next field: its number, and its content if it has a length.
fn next<'m>(rest: &mut &'m [u8]) -> Option<(u64, &'m [u8])> {
    let tag = varint(rest)?;
    let length = match tag & 7 {
        0 => {
            varint(rest)?;
            0
        }
        1 => 8,
        2 => usize::try_from(varint(rest)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (content, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some((tag >> 3, content))
}

fn decode_details(mut status: &[u8]) -> Option<Vec<Detail>> {
    let mut details = Vec::new();
    while !status.is_empty() {
        let (number, mut any) = next(&mut status)?;
        if number != 3 {
            continue;
        }
        let mut detail = Detail { type_name: String::new(), value: Bytes::new() };
        while !any.is_empty() {
            match next(&mut any)? {
                (1, url) => {
                    let url = std::str::from_utf8(url).ok()?;
                    detail.type_name = url.strip_prefix(TYPE_PREFIX).unwrap_or(url).to_owned();
                }
                (2, value) => detail.value = Bytes::copy_from_slice(value),
                _ => {}
            }
        }
        details.push(detail);
    }
    Some(details)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_status_is_read_as_written(code in 1_u32..17, message in ".{0,200}", types in prop::collection::vec("[a-z.A-Z]{1,200}", 0..3), value: Vec<u8>) {
            let details: Vec<_> = types
                .into_iter()
                .map(|type_name| Detail { type_name, value: value.clone().into() })
                .collect();
            let mut refusal = Refusal::new(Code::from_number(code).unwrap(), message);
            refusal.details = details;
            let mut headers = HeaderMap::new();
            write(&refusal, &mut headers);
            prop_assert_eq!(read(&headers), Ok(Some(refusal)));
        }

        #[test]
        fn a_long_text_fits_into_a_header(message in "[a-zé€]{0,6000}") {
            let mut headers = HeaderMap::new();
            write(&Refusal::new(Code::Internal, message.clone()), &mut headers);
            let read = read(&headers).unwrap().unwrap().message;
            prop_assert!(message.starts_with(&read) && read.len() <= MAX_MESSAGE);
            prop_assert!(read.len() > MAX_MESSAGE - 4 || read == message);
        }

        #[test]
        fn no_status_panics(status in "[0-9]{0,9}", message: Vec<u8>, details in "[A-Za-z0-9+/=]{0,60}") {
            let mut headers = HeaderMap::new();
            headers.insert(STATUS, HeaderValue::try_from(status).unwrap());
            if let Ok(message) = HeaderValue::from_bytes(&message) {
                headers.insert(MESSAGE, message);
            }
            headers.insert(DETAILS, HeaderValue::try_from(details).unwrap());
            let _ = read(&headers);
        }
    }
}
