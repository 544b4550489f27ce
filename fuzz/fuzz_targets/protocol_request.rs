//! Bodies of requests, in every protocol and encoding. What is read does not depend on the pieces in which it comes, is within the
//! limit, and is read again from what the upstream gets.
#![no_main]

use bytes::Bytes;
use flyte_protocol::{Accepted, Call, ReadError, RequestReader};
use http::{Request, Version};

const LIMIT: usize = 4096;

const MEDIA_TYPES: [&str; 7] = [
    "application/proto",
    "application/json",
    "application/connect+proto",
    "application/connect+json",
    "application/grpc",
    "application/grpc-web",
    "application/grpc-web-text",
];

fn call(choice: u8, body: &[u8]) -> Option<Call> {
    let kind = usize::from(choice) % (MEDIA_TYPES.len() + 1);
    let encoding = ["identity", "gzip", "zstd"][usize::from(choice) / (MEDIA_TYPES.len() + 1) % 3];
    let request = Request::builder().version(Version::HTTP_2);
    let request = match MEDIA_TYPES.get(kind) {
        Some(media_type) => request
            .method("POST")
            .header("content-type", *media_type)
            .header("content-encoding", if kind < 2 { encoding } else { "identity" })
            .header("connect-content-encoding", encoding)
            .header("grpc-encoding", encoding),
        // The query of a GET.
        None => request.method("GET").uri(format!("/a.B/C?{}", std::str::from_utf8(body).ok()?)),
    };
    Call::read(&request.body(()).ok()?.into_parts().0).ok()
}

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
    Ok(messages)
}

libfuzzer_sys::fuzz_target!(|input: (u8, u8, &[u8])| {
    let (choice, piece, body) = input;
    let Some(call) = call(choice, body) else { return };
    let is_get = usize::from(choice) % (MEDIA_TYPES.len() + 1) == MEDIA_TYPES.len();
    let body = if is_get { &[][..] } else { body };
    let whole = read(&call, body, body.len().max(1));
    let in_pieces = read(&call, body, usize::from(piece) + 1);
    assert_eq!(whole.is_ok(), in_pieces.is_ok(), "{whole:?} and {in_pieces:?}");
    let Ok(messages) = whole else { return };
    assert_eq!(in_pieces.as_ref(), Ok(&messages));
    assert!(messages.iter().all(|message| message.len() <= LIMIT));
    let mut upstream = Request::builder().method("POST").version(Version::HTTP_2).body(()).unwrap().into_parts().0;
    upstream.headers = call.upstream_headers(Accepted::default(), call.timeout);
    let again = Call::read(&upstream).unwrap();
    let body: Vec<u8> = messages.iter().flat_map(|message| again.form.frame(message.clone())).collect();
    assert_eq!(read(&again, &body, usize::from(piece) + 1), Ok(messages));
});
