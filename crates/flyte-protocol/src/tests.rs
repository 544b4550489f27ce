//! The crate as its callers see it.

mod answers;
mod golden;
mod heads;
mod refusals;
mod requests;

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::request::Parts;

use crate::*;

/// All forms of requests that have a body.
const MEDIA_TYPES: [&str; 13] = [
    "application/proto",
    "application/json",
    "application/connect+proto",
    "application/connect+json",
    "application/grpc",
    "application/grpc+proto",
    "application/grpc+json",
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web+json",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
    "application/grpc-web-text+json",
];

const ENCODINGS: [Encoding; 3] = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd];

/// The limit of messages in tests, in bytes.
const LIMIT: usize = 64 << 10;

fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::builder().method(method).uri(uri).version(http::Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn post(content_type: &str, headers: &[(&str, &str)]) -> Parts {
    head("POST", "/a.B/C", &[&[("content-type", content_type)], headers].concat())
}

fn compress(encoding: Encoding, content: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Identity => content.to_vec(),
        Encoding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Encoding::Zstd => zstd::stream::encode_all(content, 1).unwrap(),
    }
}

fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
    [&[flags], &u32::try_from(payload.len()).unwrap().to_be_bytes()[..], payload].concat()
}

/// A call and its body. `compressed` says which messages are; a body without frames is if its encoding is not identity.
fn call(media_type: &str, encoding: Encoding, messages: &[(Vec<u8>, bool)]) -> (Call, Vec<u8>) {
    let form = Form::read(&post(media_type, &[])).unwrap();
    let name = form.protocol.encoding_header();
    let call = Call::read(&post(media_type, &[(name, encoding.name())])).unwrap();
    if !form.protocol.is_framed() {
        return (call, compress(encoding, &messages[0].0));
    }
    let mut body = Vec::new();
    for (message, compressed) in messages {
        if *compressed && encoding != Encoding::Identity {
            body.extend(frame(1, &compress(encoding, message)));
        } else {
            body.extend(frame(0, message));
        }
    }
    if form.protocol == Protocol::GrpcWebText {
        // Several parts, each with its padding.
        body = body.chunks(7).map(|part| STANDARD.encode(part)).collect::<String>().into_bytes();
    }
    (call, body)
}

/// The messages of a body that arrives in pieces of this size.
fn read(call: &Call, body: &[u8], piece: usize) -> Result<Vec<Bytes>, ReadError> {
    let mut reader = RequestReader::new(call, LIMIT);
    let mut messages = Vec::new();
    for piece in body.chunks(piece) {
        reader.push(Bytes::copy_from_slice(piece))?;
        while let Some(message) = reader.next_message()? {
            messages.push(message);
        }
    }
    reader.end();
    while let Some(message) = reader.next_message()? {
        messages.push(message);
    }
    assert_eq!(reader.next_message(), Ok(None));
    Ok(messages)
}
