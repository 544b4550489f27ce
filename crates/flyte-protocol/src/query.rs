//! The query of a unary GET in the Connect protocol.

use std::borrow::Cow;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use crate::{Codec, Encoding, ReadError};

/// Base64 for URLs, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The message of a query.
pub(crate) struct Query {
    pub(crate) message: Bytes,
    pub(crate) encoding: Encoding,
}

fn wrong(name: &'static str, problem: &'static str) -> ReadError {
    ReadError::Query { name, problem }
}

/// The parameter of this name, decoded.
fn parameter<'q>(query: &'q str, name: &'static str) -> Result<Option<Cow<'q, [u8]>>, ReadError> {
    let mut found = None;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if *decode(name, key)? == *name.as_bytes() && found.replace(value).is_some() {
            return Err(wrong(name, "is there more than once"));
        }
    }
    found.map(|value| decode(name, value)).transpose()
}

/// Decodes `%xx`, and `+` as a space, as forms and the Connect implementations do.
fn decode<'q>(name: &'static str, text: &'q str) -> Result<Cow<'q, [u8]>, ReadError> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match *rest {
            [] => return Ok(Cow::Owned(bytes)),
            [b'%', high, low, ref rest @ ..] => {
                let digit = |byte| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let (Some(high), Some(low)) = (digit(high), digit(low)) else {
                    return Err(wrong(name, "has a percent sign without two hexadecimal digits"));
                };
                bytes.push(high << 4 | low);
                rest
            }
            [b'%', ..] => return Err(wrong(name, "has a percent sign without two hexadecimal digits")),
            [b'+', ref rest @ ..] => {
                bytes.push(b' ');
                rest
            }
            [byte, ref rest @ ..] => {
                bytes.push(byte);
                rest
            }
        }
    }
}

/// The codec, which the parameter `encoding` names.
pub(crate) fn codec(query: &str) -> Result<Codec, ReadError> {
    let encoding = parameter(query, "encoding")?.ok_or_else(|| wrong("encoding", "is missing"))?;
    std::str::from_utf8(&encoding)
        .ok()
        .and_then(Codec::from_name)
        .ok_or_else(|| wrong("encoding", "is neither proto nor json"))
}

/// The message and its encoding.
pub(crate) fn read(query: &str) -> Result<Query, ReadError> {
    // The parameter may be missing: some caches and proxies take such parameters away.
    if parameter(query, "connect")?.is_some_and(|version| *version != *b"v1") {
        return Err(wrong("connect", "is not v1"));
    }
    let message = parameter(query, "message")?.ok_or_else(|| wrong("message", "is missing"))?;
    let message = match parameter(query, "base64")?.as_deref() {
        None | Some(b"" | b"0") => message.into_owned(),
        Some(b"1") => BASE64.decode(&*message).map_err(|_| wrong("message", "is not base64 for URLs"))?,
        Some(_) => return Err(wrong("base64", "is neither 0 nor 1")),
    };
    let compression = parameter(query, "compression")?.unwrap_or_default();
    let compression = String::from_utf8_lossy(&compression);
    let encoding = Encoding::from_name(&compression).ok_or_else(|| ReadError::Encoding {
        place: "the query parameter compression",
        encoding: compression.clone().into_owned(),
        accept: "accept-encoding",
    })?;
    Ok(Query { message: message.into(), encoding })
}
