//! Errors in each protocol.

use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use super::*;

fn refusal() -> Refusal {
    Refusal {
        details: vec![Detail { type_name: "a.B".to_owned(), value: Bytes::from_static(b"\x0a\x01x") }],
        ..Refusal::new(Code::Unauthenticated, "sign in: 100 % \u{e9}\n")
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }
}

#[test]
fn a_whole_response_is_in_the_callers_protocol() {
    let json = json!({
        "code": "unauthenticated",
        "message": "sign in: 100 % \u{e9}\n",
        "details": [{"type": "a.B", "value": "CgF4"}],
    });
    for media_type in MEDIA_TYPES {
        let form = Form::read(&post(media_type, &[])).unwrap();
        let response = refusal().response(form);
        let (head, body) = response.into_parts();
        assert_eq!(head.headers[header::WWW_AUTHENTICATE], "Bearer");
        match form.protocol {
            Protocol::Connect | Protocol::ConnectGet => {
                assert_eq!(
                    (head.status.as_u16(), &head.headers["content-type"]),
                    (401, &"application/json".parse().unwrap())
                );
                assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json);
            }
            Protocol::ConnectStream => {
                assert_eq!(
                    (head.status.as_u16(), &head.headers["content-type"]),
                    (200, &media_type.parse().unwrap())
                );
                assert_eq!(body[0], 0b10);
                assert_eq!(serde_json::from_slice::<Value>(&body[5..]).unwrap(), json!({"error": json}));
                assert_eq!(body.len() - 5, usize::from(body[4]) + usize::from(body[3]) * 256);
            }
            Protocol::Grpc | Protocol::GrpcWeb | Protocol::GrpcWebText => {
                assert_eq!(
                    (head.status.as_u16(), &head.headers["content-type"]),
                    (200, &media_type.parse().unwrap())
                );
                assert_eq!(head.headers["grpc-status"], "16");
                assert_eq!(head.headers["grpc-message"], "sign in: 100 %25 %C3%A9%0A");
                assert_eq!(body, "");
                let read = Refusal::from_trailers(&head.headers).unwrap().unwrap();
                assert_eq!(
                    (read.code, read.message, read.details),
                    (refusal().code, refusal().message, refusal().details)
                );
            }
        }
    }
    assert_eq!(Refusal::from_json(&json).unwrap().details, refusal().details);
}

#[test]
fn a_response_ends_in_the_callers_protocol() {
    for media_type in MEDIA_TYPES {
        let form = Form::read(&post(media_type, &[])).unwrap();
        match (form.protocol, refusal().ending(form)) {
            (Protocol::Connect | Protocol::ConnectGet, ending) => assert_eq!(ending, Ending::Reset),
            (Protocol::ConnectStream, Ending::Frame(frame)) => {
                assert_eq!(frame, refusal().response(form).into_body());
            }
            (Protocol::Grpc, Ending::Trailers(trailers)) => assert_eq!(trailers["grpc-status"], "16"),
            (protocol @ (Protocol::GrpcWeb | Protocol::GrpcWebText), Ending::Frame(frame)) => {
                let frame = if protocol == Protocol::GrpcWeb {
                    frame
                } else {
                    STANDARD.decode(frame).unwrap().into()
                };
                assert_eq!(frame[0], 0x80);
                assert_eq!(frame.len() - 5, usize::from(frame[4]) + usize::from(frame[3]) * 256);
                let text = std::str::from_utf8(&frame[5..]).unwrap();
                assert!(
                    text.starts_with("grpc-status: 16\r\ngrpc-message: sign in: 100 %25 %C3%A9%0A\r\n"),
                    "{text}"
                );
            }
            (protocol, ending) => panic!("{protocol:?}: {ending:?}"),
        }
    }
}

#[test]
fn a_status_that_is_missing_or_unknown_is_no_success() {
    let read = |status: Option<&str>| {
        let mut headers = HeaderMap::new();
        if let Some(status) = status {
            headers.insert("grpc-status", status.parse().unwrap());
        }
        Refusal::from_trailers(&headers).map(|refusal| refusal.map(|refusal| refusal.code))
    };
    assert_eq!(read(None), Err(AnswerError::NoEnd));
    assert_eq!(read(Some("0")), Ok(None));
    for status in ["17", "x", "", "-1", "99999999999"] {
        assert_eq!(read(Some(status)), Ok(Some(Code::Unknown)), "{status:?}");
    }
}
