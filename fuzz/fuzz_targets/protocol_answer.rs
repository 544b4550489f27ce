//! Bodies of answers, in every protocol and encoding. What a reader takes for a complete answer, a watch does too, whatever the
//! pieces are; the last frame is the same for all; and it can be read without a panic.
#![no_main]

use bytes::Bytes;
use flyte_protocol::{
    AnswerError, AnswerHead, AnswerReader, Call, Form, LastFrame, Part, Protocol, Refusal, Watch,
};
use http::{HeaderMap, Request, Response, Version};

const LIMIT: usize = 4096;

const MEDIA_TYPES: [&str; 5] = [
    "application/proto",
    "application/json",
    "application/connect+proto",
    "application/grpc",
    "application/grpc-web",
];

fn parts(
    form: Form,
    head: AnswerHead,
    body: &[u8],
    piece: usize,
    trailers: Option<&HeaderMap>,
) -> Result<Vec<Part>, AnswerError> {
    let mut reader = AnswerReader::new(form, head, LIMIT);
    let mut parts = Vec::new();
    for piece in body.chunks(piece) {
        reader.push(Bytes::copy_from_slice(piece))?;
        while let Some(part) = reader.next_part()? {
            parts.push(part);
        }
    }
    reader.end(trailers);
    while let Some(part) = reader.next_part()? {
        parts.push(part);
    }
    Ok(parts)
}

libfuzzer_sys::fuzz_target!(|input: (u8, u8, &[u8])| {
    let (choice, piece, body) = input;
    let media_type = MEDIA_TYPES[usize::from(choice) % MEDIA_TYPES.len()];
    let encoding = ["identity", "gzip", "zstd"][usize::from(choice) / MEDIA_TYPES.len() % 3];
    let piece = usize::from(piece) + 1;
    let request = Request::builder()
        .method("POST")
        .version(Version::HTTP_2)
        .header("content-type", media_type)
        .header("accept-encoding", "gzip, zstd")
        .header("connect-accept-encoding", "gzip, zstd")
        .header("grpc-accept-encoding", "gzip, zstd");
    let call = Call::read(&request.body(()).unwrap().into_parts().0).unwrap();
    let form = call.form;
    let is_error = usize::from(choice) > 127;
    let response = Response::builder()
        .status(if is_error && !form.protocol.is_framed() { 404 } else { 200 })
        .header("content-type", if is_error && !form.protocol.is_framed() { "application/json" } else { media_type })
        .header(form.protocol.encoding_header(), encoding);
    let head = AnswerHead::read(form, call.accepted, &response.body(()).unwrap().into_parts().0).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let trailers = (form.protocol == Protocol::Grpc).then_some(&trailers);

    let whole = parts(form, head, body, body.len().max(1), trailers);
    let in_pieces = parts(form, head, body, piece, trailers);
    assert_eq!(whole.is_ok(), in_pieces.is_ok(), "{whole:?} and {in_pieces:?}");
    let Ok(whole) = whole else { return };
    assert_eq!(in_pieces.as_ref(), Ok(&whole));
    let mut watch = Watch::new(form, &head);
    for piece in body.chunks(piece) {
        watch.see(piece).unwrap();
    }
    if let Some(trailers) = trailers {
        watch.trailers(trailers);
    }
    assert_eq!(watch.end(), Ok(()));
    if matches!(form.protocol, Protocol::ConnectStream | Protocol::GrpcWeb) {
        let mut last = LastFrame::new(form, &head, LIMIT);
        for piece in body.chunks(piece) {
            let passed = last.push(Bytes::copy_from_slice(piece)).unwrap();
            assert!(passed.len() <= piece.len() + 4);
        }
        let end = last.end().unwrap();
        assert!(whole.contains(&Part::End(end)));
    }
    for part in whole {
        if let Part::End(end) = part {
            let _ = Refusal::from_end(form, &end);
        }
    }
});
