//! Heads of requests.

use std::time::Duration;

use super::*;

#[test]
fn every_media_type_is_read_and_written() {
    for media_type in MEDIA_TYPES {
        let form = Form::read(&post(media_type, &[])).unwrap();
        assert_eq!(form.content_type(), media_type);
        for other in [
            media_type.to_uppercase(),
            format!("{media_type};charset=utf-8"),
            format!(" {media_type} ; Charset=\"UTF-8\"; x=y"),
        ] {
            assert_eq!(Form::read(&post(&other, &[])).unwrap(), form, "{other}");
        }
    }
}

#[test]
fn what_is_no_protocol_is_refused() {
    for media_type in [
        "",
        "text/html",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/protobuf",
        "application/connect",
        "application/connect+",
        "application/connect+xml",
        "application/grpc+",
        "application/grpc+thrift",
        "application/grpc-webs",
        "application/grpcx",
        "application/proto+json",
        "application/json; charset=latin1",
        "application/json, application/proto",
        "multipart/form-data; boundary=application/json",
    ] {
        let request = post(media_type, &[]);
        let error = Call::read(&request).unwrap_err();
        assert_eq!(error, ReadError::MediaType(media_type.to_owned()));
        let response = Refusal::from(error).response(Form::for_errors(&request));
        assert_eq!(response.status(), 415);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert!(response.headers()["accept-post"].to_str().unwrap().contains("application/grpc-web-text"));
    }
    for method in ["PUT", "HEAD", "OPTIONS", "DELETE", "CONNECT", "post"] {
        let request = head(method, "/a.B/C", &[("content-type", "application/proto")]);
        let error = Call::read(&request).unwrap_err();
        assert!(matches!(error, ReadError::Method(_)), "{method}: {error}");
        let response = Refusal::from(error).response(Form::for_errors(&request));
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &"POST, GET".parse().unwrap())
        );
    }
    let mut request = post("application/grpc", &[]);
    request.version = http::Version::HTTP_11;
    assert_eq!(Call::read(&request).unwrap_err(), ReadError::HttpVersion(http::Version::HTTP_11));
    let mut request = post("application/grpc-web", &[]);
    request.version = http::Version::HTTP_11;
    assert!(Call::read(&request).is_ok());
}

#[test]
fn headers_with_two_meanings_are_refused() {
    for (media_type, headers) in [
        ("application/proto", &[("content-type", "application/json")][..]),
        ("application/proto", &[("content-encoding", "gzip"), ("content-encoding", "identity")]),
        ("application/grpc", &[("grpc-encoding", "gzip"), ("grpc-encoding", "gzip")]),
        ("application/grpc", &[("grpc-timeout", "1S"), ("grpc-timeout", "1S")]),
        ("application/proto", &[("connect-protocol-version", "1"), ("connect-protocol-version", "1")]),
    ] {
        let error = Call::read(&post(media_type, headers)).unwrap_err();
        assert!(error.to_string().ends_with("is there more than once"), "{error}");
        assert_eq!(error.code(), Code::InvalidArgument);
    }
    for query in [
        "encoding=json&message={}&message={}",
        "encoding=json&message={}&%6dessage={}",
        "encoding=json&encoding=proto&message={}",
        "encoding=json&message={}&connect=v1&connect=v1",
        "encoding=json&message={}&base64=1&base64=1",
        "encoding=json&message={}&compression=gzip&compression=gzip",
    ] {
        let uri = format!("/a.B/C?{}", query.replace('{', "%7B").replace('}', "%7D"));
        let error = Call::read(&head("GET", &uri, &[])).unwrap_err();
        assert!(error.to_string().ends_with("is there more than once"), "{query}: {error}");
    }
}

#[test]
fn a_query_that_is_wrong_is_refused_with_its_parameter() {
    for (query, expected) in [
        ("", "the query parameter encoding is missing"),
        ("message=x", "the query parameter encoding is missing"),
        ("encoding=xml&message=", "the query parameter encoding is neither proto nor json"),
        ("encoding=proto", "the query parameter message is missing"),
        ("encoding=proto&message=&connect=v2", "the query parameter connect is not v1"),
        ("encoding=proto&message=_&base64=1", "the query parameter message is not base64 for URLs"),
        (
            "encoding=proto&message=%2B%2B%2B%2B&base64=1",
            "the query parameter message is not base64 for URLs",
        ),
        ("encoding=proto&message=&base64=yes", "the query parameter base64 is neither 0 nor 1"),
        (
            "encoding=proto&message=%f",
            "the query parameter message has a percent sign without two hexadecimal digits",
        ),
    ] {
        let error = Call::read(&head("GET", &format!("/a.B/C?{query}"), &[])).unwrap_err();
        assert_eq!(error.to_string(), expected, "{query}");
    }
    let uri = "/a.B/C?encoding=proto&message=&compression=br";
    let error = Call::read(&head("GET", uri, &[])).unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
}

#[test]
fn encodings_are_read() {
    for (media_type, header) in [
        ("application/proto", "content-encoding"),
        ("application/connect+proto", "connect-content-encoding"),
        ("application/grpc", "grpc-encoding"),
        ("application/grpc-web", "grpc-encoding"),
    ] {
        for (value, expected) in [
            ("", Some(Encoding::Identity)),
            ("identity", Some(Encoding::Identity)),
            ("gzip", Some(Encoding::Gzip)),
            ("GZIP", Some(Encoding::Gzip)),
            ("zstd", Some(Encoding::Zstd)),
            ("br", None),
            ("deflate", None),
            ("snappy", None),
            ("gzip, gzip", None),
        ] {
            let read = Call::read(&post(media_type, &[(header, value)]));
            assert_eq!(read.as_ref().ok().map(|call| call.encoding), expected, "{media_type} {value}");
            let Err(error) = read else { continue };
            let refusal = Refusal::from(error);
            assert_eq!(refusal.code, Code::Unimplemented);
            assert_eq!(refusal.headers.len(), 1);
        }
    }
    // HTTP's own encoding around frames.
    for media_type in &MEDIA_TYPES[2..] {
        assert!(Call::read(&post(media_type, &[("content-encoding", "gzip")])).is_err(), "{media_type}");
        assert!(Call::read(&post(media_type, &[("content-encoding", "identity")])).is_ok(), "{media_type}");
    }
}

#[test]
fn deadlines_are_read_and_handed_on() {
    for (media_type, header, value, handed_on) in [
        ("application/proto", "connect-timeout-ms", "1500", "1500"),
        ("application/connect+json", "connect-timeout-ms", "1500", "1500"),
        ("application/grpc", "grpc-timeout", "1500m", "1500000u"),
        ("application/grpc-web-text", "grpc-timeout", "1500000u", "1500000u"),
    ] {
        let call = Call::read(&post(media_type, &[(header, value)])).unwrap();
        assert_eq!(call.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(call.upstream_headers(call.accepted, call.timeout)[header], handed_on);
        let error = Call::read(&post(media_type, &[(header, "soon")])).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("the header {header} is not a time limit: \"soon\" ")),
            "{error}"
        );
        // The other protocol's header does not count.
        let other = if header == "grpc-timeout" { "connect-timeout-ms" } else { "grpc-timeout" };
        let call = Call::read(&post(media_type, &[(other, "soon")])).unwrap();
        assert_eq!(call.timeout, None);
        assert!(call.upstream_headers(call.accepted, None).get(other).is_none());
    }
}

#[test]
fn the_upstream_gets_only_what_was_understood() {
    let headers = [
        ("connect-protocol-version", "1"),
        ("accept-encoding", "br, gzip;q=0.5, zstd;q=0"),
        ("x-other", "1"),
        ("authorization", "Bearer x"),
    ];
    let call = Call::read(&post("application/json; charset=utf-8", &headers)).unwrap();
    let upstream = call.upstream_headers(call.accepted, None);
    let mut lines: Vec<_> =
        upstream.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    assert_eq!(
        lines,
        ["accept-encoding: gzip", "connect-protocol-version: 1", "content-type: application/json"]
    );
    let call = Call::read(&head("GET", "/a.B/C?encoding=proto&message=", &[])).unwrap();
    let upstream = call.upstream_headers(Accepted::default(), None);
    assert_eq!(upstream["content-type"], "application/proto");
    assert_eq!(upstream["accept-encoding"], "identity");
    let error = Call::read(&post("application/proto", &[("connect-protocol-version", "2")])).unwrap_err();
    assert_eq!(error.to_string(), "the header connect-protocol-version is not 1");
    // Other protocols have no version.
    assert!(Call::read(&post("application/grpc", &[("connect-protocol-version", "2")])).is_ok());
}
