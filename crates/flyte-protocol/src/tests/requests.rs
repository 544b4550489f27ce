//! Bodies of requests.

use proptest::prelude::*;

use super::*;
use crate::error::{BodyError, Place};

fn body_error(place: Place, problem: BodyError) -> Result<Vec<Bytes>, ReadError> {
    Err(ReadError::Body { place, problem })
}

proptest! {
    /// Whatever the protocol, the encoding and the pieces are: what comes out is what was put in.
    #[test]
    fn every_form_yields_its_messages(
        media_type in prop::sample::select(&MEDIA_TYPES[..]),
        encoding in prop::sample::select(&ENCODINGS[..]),
        messages in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 1..5),
        piece in 1_usize..400,
    ) {
        let (call, body) = call(media_type, encoding, &messages);
        let expected = if call.form.protocol.is_framed() { messages.len() } else { 1 };
        let read = read(&call, &body, piece).unwrap();
        prop_assert_eq!(read.len(), expected);
        for (read, (message, _)) in read.iter().zip(&messages) {
            prop_assert_eq!(&read[..], &message[..]);
        }
        // The same again, as the upstream gets it.
        let form = call.form.upstream();
        let headers = call.upstream_headers(Accepted::default(), None);
        let mut again = post("", &[]);
        again.headers = headers;
        let again = Call::read(&again).unwrap();
        prop_assert_eq!((again.form, again.encoding), (form, Encoding::Identity));
        let body: Vec<u8> = read.iter().flat_map(|message| form.frame(message.clone())).collect();
        prop_assert_eq!(super::read(&again, &body, piece).unwrap(), read);
    }

    #[test]
    fn no_body_panics_and_no_message_is_too_large(
        media_type in prop::sample::select(&MEDIA_TYPES[..]),
        encoding in prop::sample::select(&ENCODINGS[..]),
        body in prop::collection::vec(any::<u8>(), 0..200),
        piece in 1_usize..200,
    ) {
        let (call, _) = call(media_type, encoding, &[(Vec::new(), false)]);
        if let Ok(messages) = read(&call, &body, piece) {
            prop_assert!(messages.iter().all(|message| message.len() <= LIMIT));
        }
    }

    /// A body that is cut anywhere is noticed, or ends between two messages.
    #[test]
    fn a_body_that_is_cut_off_is_no_shorter_message(
        media_type in prop::sample::select(&MEDIA_TYPES[2..]),
        encoding in prop::sample::select(&ENCODINGS[..]),
        messages in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..60), any::<bool>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (call, body) = call(media_type, encoding, &messages);
        let cut = cut.index(body.len());
        if let Ok(read) = read(&call, &body[..cut], 50) {
            prop_assert!(read.iter().zip(&messages).all(|(read, (message, _))| read[..] == message[..]));
            prop_assert!(read.len() < messages.len());
        }
    }
}

#[test]
fn a_limit_holds_while_decompressing() {
    let bomb = vec![0; 1 << 20];
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let body = compress(encoding, &bomb);
        assert!(body.len() < LIMIT, "{}", body.len());
        for media_type in MEDIA_TYPES {
            let place = if media_type.contains("connect+") || media_type.contains("grpc") {
                Place::Frame(2)
            } else {
                Place::Body
            };
            let messages = match place {
                Place::Body => vec![(bomb.clone(), true)],
                Place::Frame(_) | Place::End => vec![(b"x".to_vec(), true), (bomb.clone(), true)],
            };
            let (call, body) = call(media_type, encoding, &messages);
            assert_eq!(read(&call, &body, 4096), body_error(place, BodyError::TooLarge { limit: LIMIT }));
        }
        // In the query.
        let message = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&body);
        let uri = format!("/a.B/C?encoding=proto&base64=1&compression={}&message={message}", encoding.name());
        let call = Call::read(&head("GET", &uri, &[])).unwrap();
        assert_eq!(read(&call, b"", 1), body_error(Place::Body, BodyError::TooLarge { limit: LIMIT }));
    }
    // Exactly the limit passes.
    for (media_type, encoding) in
        [("application/proto", Encoding::Gzip), ("application/grpc", Encoding::Zstd)]
    {
        let (call, body) = call(media_type, encoding, &[(vec![7; LIMIT], true)]);
        assert_eq!(read(&call, &body, 4096).unwrap()[0].len(), LIMIT);
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
    let (call, _) = call("application/grpc", Encoding::Identity, &[]);
    let mut reader = RequestReader::new(&call, LIMIT);
    reader.push(Bytes::from_static(b"\x00\xff\xff\xff\xff")).unwrap();
    let expected = ReadError::Body { place: Place::Frame(1), problem: BodyError::TooLarge { limit: LIMIT } };
    assert_eq!(reader.next_message(), Err(expected.clone()));
    assert_eq!(reader.push(Bytes::from_static(b"x")), Err(expected.clone()));
    assert_eq!(reader.next_message(), Err(expected));
    let (call, _) = self::call("application/proto", Encoding::Identity, &[(Vec::new(), false)]);
    let mut reader = RequestReader::new(&call, 4);
    reader.push(Bytes::from_static(b"1234")).unwrap();
    assert!(reader.push(Bytes::from_static(b"5")).is_err());
}

#[test]
fn all_members_of_gzip_and_all_frames_of_zstd_are_read() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let (call, _) = call("application/proto", encoding, &[(Vec::new(), false)]);
        let two = [compress(encoding, b"ab"), compress(encoding, b"cd")].concat();
        assert_eq!(read(&call, &two, 3).unwrap(), ["abcd"]);
        let one = compress(encoding, b"ab");
        let malformed = || body_error(Place::Body, BodyError::Malformed(encoding.name()));
        for garbage in [&b"x"[..], b"\x00", b"garbage that is longer", &one[..one.len() - 1]] {
            assert_eq!(read(&call, &[&one, garbage].concat(), 64), malformed(), "{garbage:?}");
        }
        for cut in 1..one.len() {
            assert_eq!(read(&call, &one[..cut], 64), malformed(), "{cut} of {} bytes", one.len());
        }
        let mut wrong = one.clone();
        let last = wrong.len() - 1;
        wrong[last] ^= 1;
        if encoding == Encoding::Gzip {
            assert_eq!(read(&call, &wrong, 64), malformed());
        }
        // Some clients compress nothing to nothing.
        assert_eq!(read(&call, b"", 1).unwrap(), [""]);
    }
}

#[test]
fn a_window_that_needs_too_much_memory_is_refused() {
    let (call, _) = call("application/proto", Encoding::Zstd, &[(Vec::new(), false)]);
    let compressed = |window: u32| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(window)).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(b"text").unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(read(&call, &compressed(23), 64).unwrap(), ["text"]);
    let refused = body_error(Place::Body, BodyError::Malformed("zstd"));
    assert_eq!(read(&call, &compressed(24), 64), refused);
}

#[test]
fn frames_that_a_client_may_not_send_are_refused() {
    for (media_type, flags, problem) in [
        ("application/connect+proto", 0b10, BodyError::End),
        ("application/connect+json", 0b11, BodyError::End),
        ("application/connect+proto", 0x80, BodyError::Flags(0x80)),
        ("application/grpc", 0x80, BodyError::Flags(0x80)),
        ("application/grpc", 0b10, BodyError::Flags(0b10)),
        ("application/grpc-web", 0x80, BodyError::End),
        ("application/grpc-web", 0x81, BodyError::End),
        ("application/grpc-web", 0b10, BodyError::Flags(0b10)),
        ("application/grpc-web", 0b100, BodyError::Flags(0b100)),
        ("application/grpc", 1, BodyError::NoEncoding),
        ("application/connect+proto", 1, BodyError::NoEncoding),
        ("application/grpc-web+json", 1, BodyError::NoEncoding),
    ] {
        let (call, mut body) = call(media_type, Encoding::Identity, &[(b"x".to_vec(), false)]);
        body.extend(frame(flags, b"y"));
        assert_eq!(read(&call, &body, 64), body_error(Place::Frame(2), problem), "{media_type} {flags}");
    }
    let error = ReadError::Body { place: Place::Frame(2), problem: BodyError::NoEncoding };
    assert_eq!(error.to_string(), "frame 2 of the body is compressed, but no header names the encoding");
    assert_eq!(error.code(), Code::Internal);
}

#[test]
fn base64_comes_in_parts_with_padding() {
    let (call, _) = call("application/grpc-web-text", Encoding::Identity, &[]);
    let body = |parts: &[&[u8]]| parts.iter().map(|part| STANDARD.encode(part)).collect::<String>();
    let message = frame(0, b"hello");
    for cut in 0..message.len() {
        let text = body(&[&message[..cut], &message[cut..], &frame(0, b"")]);
        for piece in [1, 2, 3, 4, 5, 64] {
            assert_eq!(read(&call, text.as_bytes(), piece).unwrap(), ["hello", ""], "{text} by {piece}");
        }
    }
    for wrong in ["AAAA=AAA", "AA A", "AAAA\n", "A-__", "AB==", "=", "AAAAA===", "AAAAAAA!"] {
        let refused = read(&call, wrong.as_bytes(), 64);
        assert!(refused.is_err(), "{wrong}: {refused:?}");
    }
}

#[test]
fn a_get_has_its_message_in_the_query_and_nothing_else() {
    let call = |uri: &str| Call::read(&head("GET", uri, &[])).unwrap();
    for (query, expected) in [
        ("connect=v1&encoding=json&message=%7B%22a%22:1%7D", &b"{\"a\":1}"[..]),
        ("connect=v1&encoding=json&message=%7b%7D", b"{}"),
        ("encoding=json&message={\"a\":+1}", b"{\"a\": 1}"),
        ("encoding=proto&base64=1&message=_-8", b"\xff\xef"),
        ("encoding=proto&base64=1&message=_-8%3D&connect=v1", b"\xff\xef"),
        ("encoding=proto&base64=1&message=_-8=", b"\xff\xef"),
        ("encoding=proto&message=", b""),
        ("encoding=proto&message=%ff&base64=0&compression=&unknown=%zz", b"\xff"),
    ] {
        let uri = format!("/a.B/C?{}", query.replace('"', "%22").replace('{', "%7B").replace('}', "%7D"));
        if query.contains("%zz") {
            // A name or value that is not percent-encoding is refused only where it is read.
            assert_eq!(read(&call(&uri), b"", 1).unwrap()[0], expected, "{query}");
            continue;
        }
        assert_eq!(read(&call(&uri), b"", 1).unwrap(), [expected], "{query}");
    }
    let call = call("/a.B/C?encoding=proto&message=");
    assert_eq!(read(&call, b"x", 1), body_error(Place::Body, BodyError::OfGet));
}
