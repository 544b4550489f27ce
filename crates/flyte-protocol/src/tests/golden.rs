//! Calls as the published connectrpc and grpcio write them: `tests/peers/protocol-golden.py` prints `golden.json`.

use http::{HeaderMap, HeaderName, response};
use serde::Deserialize;

use super::*;

/// The message of each error in the file.
const MESSAGE: &str = "a text of 40 characters, and é and % too";

type Headers = Vec<(String, String)>;

#[derive(Deserialize)]
struct Recorded {
    name: String,
    messages: Vec<String>,
    answers: Vec<String>,
    error: Option<String>,
    method: String,
    target: String,
    headers: Headers,
    body: String,
    status: u16,
    answer_headers: Headers,
    answer: String,
    trailers: Option<Headers>,
}

fn hexadecimal(text: &str) -> Bytes {
    (0..text.len()).step_by(2).map(|index| u8::from_str_radix(&text[index..index + 2], 16).unwrap()).collect()
}

fn map(headers: &Headers) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect()
}

fn answer_head(recorded: &Recorded) -> response::Parts {
    let (mut head, ()) = http::Response::builder().status(recorded.status).body(()).unwrap().into_parts();
    head.headers = map(&recorded.answer_headers);
    head
}

/// What a reader of the answer sees, which arrives in pieces of this size.
fn read_answer(recorded: &Recorded, call: &Call, piece: usize) -> (Vec<Bytes>, Option<Refusal>) {
    let form = call.form.upstream();
    let head = answer_head(recorded);
    let answer = AnswerHead::read(form, call.accepted, &head).unwrap();
    let trailers = recorded.trailers.as_ref().map(map);
    let (mut watch, mut reader) = (Watch::new(form, &answer), AnswerReader::new(form, answer, LIMIT));
    let (mut messages, mut error) = (Vec::new(), None);
    let mut drain = |reader: &mut AnswerReader| {
        while let Some(part) = reader.next_part().unwrap() {
            match part {
                Part::Message(message) => messages.push(message),
                Part::End(end) => error = Refusal::from_end(form, &end).unwrap(),
                Part::Error(json) => error = Refusal::from_json(&serde_json::from_slice(&json).unwrap()),
            }
        }
    };
    for piece in hexadecimal(&recorded.answer).chunks(piece) {
        watch.see(piece).unwrap();
        reader.push(Bytes::copy_from_slice(piece)).unwrap();
        drain(&mut reader);
    }
    if let Some(trailers) = &trailers {
        watch.trailers(trailers);
    }
    reader.end(trailers.as_ref());
    drain(&mut reader);
    assert_eq!(watch.end(), Ok(()), "{}", recorded.name);
    if form.protocol == Protocol::Grpc {
        error = Refusal::from_trailers(trailers.as_ref().unwrap_or(&head.headers)).unwrap();
    }
    (messages, error)
}

#[test]
fn what_published_clients_and_servers_write_is_read() {
    let calls: Vec<Recorded> = serde_json::from_str(include_str!("golden.json")).unwrap();
    assert!(calls.len() > 100);
    for recorded in &calls {
        let name = &recorded.name;
        let mut request = head(&recorded.method, &recorded.target, &[]);
        request.headers = map(&recorded.headers);
        let call = Call::read(&request).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected: Vec<_> = recorded.messages.iter().map(|message| hexadecimal(message)).collect();
        assert_eq!(call.form.protocol == Protocol::ConnectGet, name.contains(" get "), "{name}");
        assert!(matches!(call.timeout.map(|timeout| timeout.as_secs()), Some(30)), "{name}");
        for piece in [1, 7, 4096] {
            assert_eq!(read(&call, &hexadecimal(&recorded.body), piece).unwrap(), expected, "{name}");
            let (answers, error) = read_answer(recorded, &call, piece);
            let expected: Vec<_> = recorded.answers.iter().map(|answer| hexadecimal(answer)).collect();
            assert_eq!(answers, expected, "{name}");
            assert_eq!(error.as_ref().map(|error| error.code.name()), recorded.error.as_deref(), "{name}");
            let Some(error) = error else { continue };
            assert_eq!(error.message, MESSAGE, "{name}");
            assert_eq!(error.details.len(), usize::from(name.starts_with("connectrpc")), "{name}");
            same_error(recorded, &call, &error);
        }
    }
}

/// Our own answer with the same error says the same, bytes for bytes except for the order of members and optional escapes.
fn same_error(recorded: &Recorded, call: &Call, error: &Refusal) {
    let name = &recorded.name;
    let form = call.form.upstream();
    let theirs = match recorded.trailers.as_ref() {
        Some(trailers) => map(trailers),
        None => map(&recorded.answer_headers),
    };
    let json = |bytes: &[u8]| {
        let mut json: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let error = if json.get("error").is_some() { &mut json["error"] } else { &mut json };
        // Some servers add the detail in a form for people.
        for detail in error["details"].as_array_mut().unwrap() {
            detail.as_object_mut().unwrap().remove("debug");
        }
        json
    };
    let (ours, body) = error.response(form).into_parts();
    match form.protocol {
        Protocol::Connect | Protocol::ConnectGet => {
            assert_eq!(ours.status.as_u16(), recorded.status, "{name}");
            assert_eq!(ours.headers["content-type"], theirs["content-type"], "{name}");
            assert_eq!(json(&body), json(&hexadecimal(&recorded.answer)), "{name}");
        }
        Protocol::Grpc => {
            assert_eq!(ours.headers["grpc-status"], theirs["grpc-status"], "{name}");
            assert_eq!(
                ours.headers.get("grpc-status-details-bin"),
                theirs.get("grpc-status-details-bin"),
                "{name}"
            );
            if name.starts_with("grpcio") {
                assert_eq!(ours.headers["grpc-message"], theirs["grpc-message"], "{name}");
            }
        }
        Protocol::ConnectStream | Protocol::GrpcWeb | Protocol::GrpcWebText => {
            let Ending::Frame(frame) = error.ending(form) else { panic!("{name} ends otherwise") };
            let again = Refusal::from_end(form, &frame[5..]).unwrap().unwrap();
            assert_eq!(&again, error, "{name}");
            let theirs = hexadecimal(&recorded.answer);
            if call.accepted == Accepted::default() && form.protocol == Protocol::ConnectStream {
                // The last frame.
                let end = theirs.windows(9).rposition(|bytes| bytes == b"{\"error\":").unwrap();
                assert_eq!(json(&frame[5..]), json(&theirs[end..]), "{name}");
            }
        }
    }
}

#[test]
fn our_errors_are_those_of_our_servers() {
    for code in 1..=16 {
        let code = Code::from_number(code).unwrap();
        let theirs = connectrpc::ErrorCode::from_grpc_code(code.number().into()).unwrap();
        assert_eq!((code.name(), code.http_status()), (theirs.as_str(), theirs.http_status()));
        // It does not know the last one.
        for media_type in &MEDIA_TYPES[..MEDIA_TYPES.len() - 1] {
            let request = post(media_type, &[]);
            let form = Form::read(&request).unwrap();
            let theirs = connectrpc::ConnectError::new(theirs, MESSAGE).into_http_response(&request.headers);
            let ours = Refusal::new(code, MESSAGE).response(form);
            assert_eq!(ours.status(), theirs.status(), "{media_type}");
            let decoded = |headers: &HeaderMap| Refusal::from_trailers(headers).ok();
            // It writes a last frame in gRPC-Web, where we have no body.
            if form.protocol == Protocol::Grpc {
                assert_eq!(decoded(ours.headers()), decoded(theirs.headers()), "{media_type}");
            }
            let bare = |headers: &HeaderMap| {
                headers["content-type"].to_str().unwrap().trim_end_matches("+proto").replace("-text", "")
            };
            assert_eq!(bare(ours.headers()), bare(theirs.headers()), "{media_type}");
        }
    }
}
