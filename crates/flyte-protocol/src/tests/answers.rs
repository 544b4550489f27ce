//! Answers of the upstream.

use http::{HeaderMap, response};
use proptest::prelude::*;

use super::*;

fn answer(status: u16, headers: &[(&str, &str)]) -> response::Parts {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap().into_parts().0
}

fn form(media_type: &str) -> Form {
    Form::read(&post(media_type, &[])).unwrap().upstream()
}

fn all() -> Accepted {
    Call::read(&post("application/proto", &[("accept-encoding", "gzip, zstd")])).unwrap().accepted
}

fn status(status: &str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())])
}

/// The body of an answer to a call of this form, with its trailers.
fn body(form: Form, encoding: Encoding, messages: &[(Vec<u8>, bool)]) -> (Vec<u8>, Option<HeaderMap>) {
    let (_, mut body) = call(form.content_type(), encoding, messages);
    match form.protocol {
        Protocol::ConnectStream => {
            let compressed = u8::from(encoding != Encoding::Identity);
            body.extend(frame(0b10 | compressed, &compress(encoding, b"{}")));
        }
        Protocol::GrpcWeb => body.extend(frame(0x80, b"grpc-status: 0\r\n")),
        _ => {}
    }
    (body, (form.protocol == Protocol::Grpc).then(|| status("0")))
}

fn head_of(form: Form, encoding: Encoding) -> AnswerHead {
    let headers = [("content-type", form.content_type()), (form.protocol.encoding_header(), encoding.name())];
    AnswerHead::read(form, all(), &answer(200, &headers)).unwrap()
}

/// What a watch says of a body in pieces.
fn watch(
    form: Form,
    head: AnswerHead,
    body: &[u8],
    piece: usize,
    trailers: Option<&HeaderMap>,
) -> Result<(), AnswerError> {
    let mut watch = Watch::new(form, &head);
    for piece in body.chunks(piece) {
        watch.see(piece)?;
    }
    if let Some(trailers) = trailers {
        watch.trailers(trailers);
    }
    watch.end()
}

/// The messages of a body, and whether it has a last frame.
fn parts(
    form: Form,
    head: AnswerHead,
    body: &[u8],
    piece: usize,
    trailers: Option<&HeaderMap>,
) -> Result<(Vec<Bytes>, bool), AnswerError> {
    let mut reader = AnswerReader::new(form, head, LIMIT);
    let (mut messages, mut has_end) = (Vec::new(), false);
    let mut drain = |reader: &mut AnswerReader| {
        while let Some(part) = reader.next_part()? {
            match part {
                Part::Message(message) => messages.push(message),
                Part::End(_) => has_end = true,
                Part::Error(_) => {}
            }
        }
        Ok(())
    };
    for piece in body.chunks(piece) {
        reader.push(Bytes::copy_from_slice(piece))?;
        drain(&mut reader)?;
    }
    reader.end(trailers);
    drain(&mut reader)?;
    Ok((messages, has_end))
}

proptest! {
    #[test]
    fn every_answer_is_read_and_watched(
        media_type in prop::sample::select(&MEDIA_TYPES[..]),
        encoding in prop::sample::select(&ENCODINGS[..]),
        messages in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 1..5),
        piece in 1_usize..400,
        cut in any::<prop::sample::Index>(),
    ) {
        let form = form(media_type);
        let head = head_of(form, encoding);
        let (body, trailers) = body(form, encoding, &messages);
        prop_assert_eq!(watch(form, head, &body, piece, trailers.as_ref()), Ok(()));
        let (read, _) = parts(form, head, &body, piece, trailers.as_ref()).unwrap();
        let expected = if form.protocol.is_framed() { messages.len() } else { 1 };
        prop_assert_eq!(read.len(), expected);
        for (read, (message, _)) in read.iter().zip(&messages) {
            prop_assert_eq!(&read[..], &message[..]);
        }
        if matches!(form.protocol, Protocol::ConnectStream | Protocol::GrpcWeb) {
            let mut last = LastFrame::new(form, &head, LIMIT);
            let mut passed = Vec::new();
            for piece in body.chunks(piece) {
                passed.extend(last.push(Bytes::copy_from_slice(piece)).unwrap());
            }
            prop_assert!(last.is_at_boundary());
            let end = last.end().unwrap();
            let (_, messages) = call(form.content_type(), encoding, &messages);
            prop_assert_eq!(passed, messages);
            let again = form.end_frame(&end, None).unwrap();
            prop_assert_eq!(&again[5..], &end[..]);
            prop_assert_eq!(Refusal::from_end(form, &end), Ok(None));
            let error = Refusal::new(Code::NotFound, "not found");
            let changed = form.end_frame(&end, Some(&error)).unwrap();
            prop_assert_eq!(Refusal::from_end(form, &changed[5..]), Ok(Some(error)));
            let cut = cut.index(body.len());
            let mut last = LastFrame::new(form, &head, LIMIT);
            let passed: usize = body[..cut].chunks(piece).map(|piece| last.push(Bytes::copy_from_slice(piece)).unwrap().len()).sum();
            prop_assert!(passed <= cut);
            prop_assert_eq!(last.end(), Err(AnswerError::NoEnd));
        }
        // Cut off anywhere, it is not complete: also without trailers, and if trailers come too early.
        if form.protocol.is_framed() {
            let cut = cut.index(body.len());
            prop_assert!(watch(form, head, &body[..cut], piece, None).is_err());
            prop_assert!(parts(form, head, &body[..cut], piece, None).is_err());
            if form.protocol != Protocol::Grpc {
                prop_assert!(watch(form, head, &body[..cut], piece, Some(&status("0"))).is_err());
                prop_assert!(parts(form, head, &body[..cut], piece, Some(&status("0"))).is_err());
                let more = [&body[..], b"x"].concat();
                prop_assert_eq!(watch(form, head, &more, piece, None), Err(AnswerError::AfterEnd));
                prop_assert!(parts(form, head, &more, piece, None).is_err());
            }
        }
    }

    #[test]
    fn no_answer_panics_and_both_readers_agree(
        media_type in prop::sample::select(&MEDIA_TYPES[2..]),
        bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(2), Just(0x80), any::<u8>()], 0..60),
        piece in 1_usize..60,
    ) {
        let form = form(media_type);
        let head = head_of(form, Encoding::Identity);
        let trailers = (form.protocol == Protocol::Grpc).then(|| status("0"));
        let watched = watch(form, head, &bytes, piece, trailers.as_ref());
        let read = parts(form, head, &bytes, piece, trailers.as_ref());
        if read.is_ok() {
            prop_assert_eq!(watched, Ok(()));
        }
    }
}

#[test]
fn heads_that_are_not_of_the_protocol_are_refused() {
    let read = |media_type: &str, status, headers: &[(&str, &str)]| {
        AnswerHead::read(form(media_type), Accepted::default(), &answer(status, headers))
            .map(|head| head.kind)
    };
    let of = |content_type| [("content-type", content_type)];
    for (asked, status, content_type, kind) in [
        ("application/proto", 200, "application/proto", AnswerKind::Unary),
        ("application/json", 200, "application/json; charset=utf-8", AnswerKind::Unary),
        ("application/proto", 404, "application/json", AnswerKind::UnaryError),
        ("application/grpc", 200, "application/grpc+proto", AnswerKind::Stream),
        ("application/grpc+proto", 200, "application/grpc", AnswerKind::Stream),
        ("application/grpc-web-text", 200, "application/grpc-web+proto", AnswerKind::Stream),
        ("application/connect+json", 200, "application/connect+json", AnswerKind::Stream),
    ] {
        assert_eq!(read(asked, status, &of(content_type)), Ok(kind), "{asked} {content_type}");
    }
    for (asked, status, content_type, code) in [
        ("application/proto", 200, "text/html", Code::Unknown),
        ("application/proto", 200, "application/json", Code::Unknown),
        ("application/json", 502, "text/html", Code::Unavailable),
        ("application/json", 302, "application/json", Code::Unknown),
        ("application/grpc", 200, "text/html", Code::Unknown),
        ("application/grpc", 503, "application/grpc", Code::Unavailable),
        ("application/grpc", 404, "text/plain", Code::Unimplemented),
        ("application/grpc", 200, "application/grpc+json", Code::Unknown),
        ("application/grpc-web", 200, "application/grpc", Code::Unknown),
        ("application/connect+proto", 200, "application/connect+json", Code::Unknown),
        ("application/connect+proto", 401, "application/json", Code::Internal),
        ("application/grpc", 200, "", Code::Unknown),
    ] {
        let error = read(asked, status, &of(content_type)).unwrap_err();
        assert_eq!(Refusal::from(error).code, code, "{asked} {status} {content_type}");
    }
    let trailers_only = [("content-type", "application/grpc"), ("grpc-status", "5")];
    assert_eq!(read("application/grpc", 200, &trailers_only), Ok(AnswerKind::TrailersOnly));
    for encoding in ["gzip", "br"] {
        let headers = [("content-type", "application/grpc"), ("grpc-encoding", encoding)];
        assert_eq!(read("application/grpc", 200, &headers), Err(AnswerError::Encoding));
    }
    let headers = [("content-type", "application/grpc"), ("content-encoding", "gzip")];
    assert_eq!(read("application/grpc", 200, &headers), Err(AnswerError::Encoding));
}

#[test]
fn a_frame_may_follow_only_whole_frames() {
    let form = form("application/connect+proto");
    let mut watch = Watch::new(form, &head_of(form, Encoding::Identity));
    assert!(watch.is_at_boundary());
    for byte in frame(0, b"xy") {
        watch.see(&[byte]).unwrap();
        assert_eq!(watch.is_at_boundary(), byte == b'y');
    }
    assert_eq!(watch.end(), Err(AnswerError::NoEnd));
    watch.see(&frame(2, b"{}")).unwrap();
    assert_eq!(watch.end(), Ok(()));
}
