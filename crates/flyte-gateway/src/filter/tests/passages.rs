//! Filtered bodies, in every protocol and encoding.

use std::io::Write as _;

use bytes::Bytes;
use flyte_protocol::{AnswerHead, AnswerKind, AnswerReader, Call, Encoding, Form, Part, Protocol};
use http::{HeaderMap, Request, Response, Version};

use super::{
    super::{Passage, passage::PassageError, *},
    random::Messages,
    *,
};

const LIMIT: usize = 1 << 20;
const WATCH_RUNS: &str = "flyteidl2.workflow.RunService/WatchRuns";
const TAIL_LOGS: &str = "flyteidl2.workflow.RunLogsService/TailLogs";

const MEDIA_TYPES: [&str; 8] = [
    "application/proto",
    "application/json",
    "application/connect+proto",
    "application/connect+json",
    "application/grpc",
    "application/grpc+json",
    "application/grpc-web",
    "application/grpc-web-text",
];

fn call(media_type: &str) -> Call {
    let request = Request::builder()
        .method("POST")
        .version(Version::HTTP_2)
        .header("content-type", media_type)
        .header("accept-encoding", "gzip, zstd")
        .header("connect-accept-encoding", "gzip, zstd")
        .header("grpc-accept-encoding", "gzip, zstd");
    Call::read(&request.body(()).unwrap().into_parts().0).unwrap()
}

fn head(call: &Call, encoding: Encoding) -> AnswerHead {
    let form = call.form.upstream();
    let response = Response::builder()
        .header("content-type", form.content_type())
        .header(form.protocol.encoding_header(), encoding.name());
    AnswerHead::read(form, call.accepted, &response.body(()).unwrap().into_parts().0).unwrap()
}

fn compress(encoding: Encoding, content: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Identity => content.to_vec(),
        Encoding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Encoding::Zstd => zstd::stream::encode_all(content, 1).unwrap(),
    }
}

fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
    [&[flags], &u32::try_from(payload.len()).unwrap().to_be_bytes()[..], payload].concat()
}

/// The body and the trailers of a backend's answer that ends with an error, if there is one.
fn body(
    form: Form,
    encoding: Encoding,
    messages: &[Vec<u8>],
    error: Option<&Refusal>,
) -> (Vec<u8>, Option<HeaderMap>) {
    let compressed = u8::from(encoding != Encoding::Identity);
    if !form.protocol.is_framed() {
        return (compress(encoding, &messages[0]), None);
    }
    let mut body: Vec<u8> =
        messages.iter().flat_map(|message| frame(compressed, &compress(encoding, message))).collect();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("x-more", "1".parse().unwrap());
    if let Some(error) = error {
        error.write_status(&mut trailers);
    }
    match form.protocol {
        Protocol::ConnectStream => {
            let mut end = json!({"metadata": {"x-more": ["1"]}});
            if let Some(error) = error {
                end["error"] = error.to_json();
            }
            body.extend(frame(0b10 | compressed, &compress(encoding, end.to_string().as_bytes())));
        }
        Protocol::GrpcWeb => {
            let lines = form.trailers_frame(&trailers);
            body.extend(frame(0x80 | compressed, &compress(encoding, &lines[5..])));
        }
        _ => return (body, Some(trailers)),
    }
    (body, None)
}

/// Lets a body through in pieces of this size; what the caller gets.
fn pass(
    passage: &mut Passage,
    body: &[u8],
    trailers: Option<HeaderMap>,
    piece: usize,
) -> Result<(Vec<u8>, Option<HeaderMap>), PassageError> {
    let mut passed = Vec::new();
    for piece in body.chunks(piece) {
        passed.extend(passage.push(Bytes::copy_from_slice(piece))?);
    }
    let trailers = trailers.map(|trailers| passage.trailers(trailers));
    passed.extend(passage.end()?);
    Ok((passed, trailers))
}

/// The messages in what the caller gets, and the error.
fn read(
    form: Form,
    head: AnswerHead,
    body: &[u8],
    trailers: Option<&HeaderMap>,
) -> (Vec<Bytes>, Option<Refusal>) {
    let mut reader = AnswerReader::new(form, head, LIMIT);
    reader.push(Bytes::copy_from_slice(body)).unwrap();
    reader.end(trailers);
    let (mut messages, mut error) = (Vec::new(), None);
    while let Some(part) = reader.next_part().unwrap() {
        match part {
            Part::Message(message) => messages.push(message),
            Part::End(end) => error = Refusal::from_end(form, &end).unwrap(),
            Part::Error(_) => unreachable!("the answer is no error"),
        }
    }
    if let Some(trailers) = trailers {
        error = Refusal::from_trailers(trailers).unwrap();
    }
    (messages, error)
}

proptest! {
    #[test]
    fn streams_and_lists_are_filtered_in_every_protocol(
        media_type in prop::sample::select(&MEDIA_TYPES[..]),
        encoding in prop::sample::select(&[Encoding::Identity, Encoding::Gzip, Encoding::Zstd][..]),
        seeds in prop::collection::vec(any::<u64>(), 1..4),
        piece in 1_usize..500,
        fails: bool,
    ) {
        let (caller, call) = (caller("own", "development"), call(media_type));
        let (form, head) = (call.form.upstream(), head(&call, encoding));
        let row = ROWS.iter().find(|row| row.rpc == WATCH_RUNS).unwrap();
        let filter = filter(&caller, WATCH_RUNS, form.codec);
        let answers = Messages::of_answers();
        let trees: Vec<_> = seeds.iter().map(|seed| answers.random(row, *seed, true)).collect();
        let written: Vec<_> = trees.iter().map(|tree| match form.codec {
            Codec::Proto => encode(tree),
            Codec::Json => to_json(tree).to_string().into_bytes(),
        }).collect();
        let sent = if form.protocol.is_framed() { &written[..] } else { &written[..1] };
        let expected: Vec<_> = sent.iter().filter_map(|message| filter.message(message).unwrap()).collect();
        let error = Refusal::new(Code::Internal, "run project:\"foreign\"");
        let (body, trailers) = body(form, encoding, sent, fails.then_some(&error));

        let mut passage = Passage::new(form, head, Some(filter), LIMIT);
        prop_assert!(passage.rewrites());
        let (passed, trailers) = pass(&mut passage, &body, trailers, piece).unwrap();
        prop_assert!(!String::from_utf8_lossy(&passed).contains("foreign"));
        // A unary answer is no longer compressed.
        let head = if form.protocol.is_framed() { head } else { self::head(&call, Encoding::Identity) };
        if expected.is_empty() && !form.protocol.is_framed() {
            prop_assert_eq!(passed.len(), 0);
            return Ok(());
        }
        let (messages, error) = read(form, head, &passed, trailers.as_ref());
        prop_assert_eq!(messages, expected);
        let error = error.map(|error| (error.code, error.message));
        let not_found = (Code::NotFound, "not found".to_owned());
        prop_assert_eq!(error, (fails && form.protocol.is_framed()).then_some(not_found));
        if let Some(trailers) = trailers {
            prop_assert_eq!(&trailers["x-more"], "1");
        } else if form.protocol.is_framed() {
            prop_assert!(String::from_utf8_lossy(&passed).contains("x-more"));
        }
    }

    /// Also where nothing but the end is read, and where nothing is read at all.
    #[test]
    fn other_messages_stay_as_they_are(
        media_type in prop::sample::select(&MEDIA_TYPES[..]),
        encoding in prop::sample::select(&[Encoding::Identity, Encoding::Gzip, Encoding::Zstd][..]),
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4),
        piece in 1_usize..500,
        is_limited: bool,
    ) {
        let caller = if is_limited { caller("own", "development") } else { caller("", "") };
        let call = call(media_type);
        let (form, head) = (call.form.upstream(), head(&call, encoding));
        let filter = Filter::new(&caller, rpc(TAIL_LOGS), form.codec).unwrap();
        prop_assert_eq!(filter.is_some(), is_limited);
        let error = Refusal::new(Code::Internal, "project:\"foreign\"");
        let (body, trailers) = body(form, encoding, &messages, Some(&error));
        let mut passage = Passage::new(form, head, filter, LIMIT);
        prop_assert!(!passage.rewrites());
        let (passed, trailers) = pass(&mut passage, &body, trailers, piece).unwrap();
        if !is_limited {
            prop_assert_eq!(&passed, &body);
        }
        let (read, error) = read(form, head, &passed, trailers.as_ref());
        prop_assert_eq!(&read[..], &messages[..read.len()]);
        let expected = if is_limited { "not found" } else { "project:\"foreign\"" };
        if form.protocol.is_framed() {
            prop_assert_eq!(error.unwrap().message, expected);
        }
    }
}

#[test]
fn an_answer_that_is_not_complete_has_no_end() {
    for media_type in &MEDIA_TYPES[2..] {
        for (name, caller) in
            [(WATCH_RUNS, caller("own", "")), (TAIL_LOGS, caller("own", "")), (TAIL_LOGS, caller("", ""))]
        {
            let call = call(media_type);
            let (form, head) = (call.form.upstream(), head(&call, Encoding::Identity));
            let filter = Filter::new(&caller, rpc(name), form.codec).unwrap();
            let mut passage = Passage::new(form, head, filter, LIMIT);
            assert!(passage.is_at_boundary());
            passage.push(frame(0, b"{}").into()).err();
            assert!(passage.end().is_err(), "{media_type} {name}");
        }
    }
    assert_eq!(head(&call("application/proto"), Encoding::Gzip).kind, AnswerKind::Unary);
}
