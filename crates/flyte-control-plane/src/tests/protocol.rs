//! Authentication in each protocol, and the form of errors.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE},
};
use connectrpc::{CompressionProvider as _, GzipProvider};
use flyte_idl::{
    flyteidl2::{
        auth::{GetOAuth2MetadataResponse, GetPublicClientConfigResponse, UserInfoResponse},
        project::{GetProjectRequest, GetProjectResponse},
        workflow::GetRunDetailsRequest,
    },
    google::rpc::{ErrorInfo, Status},
};
use serde_json::json;

use super::{
    run::{Runs, run_id},
    streams::{PROTOCOLS, open, read},
    *,
};
use flyte_access::RESOURCE_METADATA;
use flyte_model::Role;
use flyte_store::{AuditQuery, StoredAuditRecord};

/// A protocol and its compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Connect with gzip, also for an empty message. The PyPI package `flyte` sends this.
    ConnectGzip,
    Connect,
    Grpc,
    GrpcGzip,
    GrpcWeb,
}

use Protocol::{Connect, ConnectGzip, Grpc, GrpcGzip, GrpcWeb};

pub(super) const ALL: [Protocol; 5] = [ConnectGzip, Connect, Grpc, GrpcGzip, GrpcWeb];

fn gzip(bytes: &[u8]) -> Bytes {
    GzipProvider::new().compress(bytes).unwrap()
}

fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flags], &length[..], message].concat()
}

impl Protocol {
    pub(super) fn request(self, path: &str, message: &[u8], token: Option<&str>) -> Request<Body> {
        let request = Request::post(path);
        let (request, body) = match self {
            ConnectGzip => (
                request
                    .header(header::CONTENT_TYPE, "application/proto")
                    .header(header::CONTENT_ENCODING, "gzip")
                    .header("connect-protocol-version", "1"),
                gzip(message).to_vec(),
            ),
            Connect => (request.header(header::CONTENT_TYPE, "application/proto"), message.to_vec()),
            Grpc => (
                request.header(header::CONTENT_TYPE, "application/grpc").header("te", "trailers"),
                envelope(0, message),
            ),
            GrpcGzip => (
                request
                    .header(header::CONTENT_TYPE, "application/grpc+proto")
                    .header("grpc-encoding", "gzip")
                    .header("te", "trailers"),
                envelope(1, &gzip(message)),
            ),
            GrpcWeb => {
                (request.header(header::CONTENT_TYPE, "application/grpc-web+proto"), envelope(0, message))
            }
        };
        let request = match token {
            Some(token) => request.header(header::AUTHORIZATION, bearer(token)),
            None => request,
        };
        request.body(body.into()).unwrap()
    }

    /// Reads the outcome: the code of a Connect error, or the gRPC status.
    fn outcome(self, answer: &Answer) -> Outcome {
        match self {
            Connect | ConnectGzip if answer.status == StatusCode::OK => Outcome::Ok(answer.body.to_vec()),
            Connect | ConnectGzip => Outcome::Failed(match answer.error().0.as_str() {
                "unauthenticated" => 16,
                "unimplemented" => 12,
                "permission_denied" => 7,
                "not_found" => 5,
                "invalid_argument" => 3,
                other => panic!("{other}: {answer:?}"),
            }),
            Grpc | GrpcGzip | GrpcWeb => {
                // gRPC reports failures in `grpc-status`; the HTTP status is always 200.
                assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
                let mut rest = &answer.body[..];
                let (mut message, mut status) = (Vec::new(), None);
                while let [flags, a, b, c, d, tail @ ..] = rest {
                    let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                    let (frame, tail) = tail.split_at(length);
                    match flags {
                        0x80 => status = grpc_status(std::str::from_utf8(frame).unwrap()),
                        0 => message = frame.to_vec(),
                        other => panic!("flags {other:#x}: {answer:?}"),
                    }
                    rest = tail;
                }
                let in_headers = [&answer.trailers, &answer.headers].into_iter().find_map(|headers| {
                    headers.get("grpc-status").map(|status| status.to_str().unwrap().parse().unwrap())
                });
                match status.or(in_headers).expect("a gRPC status") {
                    0 => Outcome::Ok(message),
                    code => Outcome::Failed(code),
                }
            }
        }
    }
}

impl Protocol {
    /// The detail of a refusal.
    fn error_info(self, answer: &Answer) -> ErrorInfo {
        let decode = |text: &str| BASE64_STANDARD_NO_PAD.decode(text.trim_end_matches('=')).unwrap();
        if matches!(self, Connect | ConnectGzip) {
            let detail = answer.json()["details"][0].clone();
            assert_eq!(detail["type"], "google.rpc.ErrorInfo", "{answer:?}");
            return ErrorInfo::decode_from_slice(&decode(detail["value"].as_str().unwrap())).unwrap();
        }
        const NAME: &str = "grpc-status-details-bin";
        let in_headers = [&answer.trailers, &answer.headers]
            .into_iter()
            .find_map(|headers| headers.get(NAME).map(|value| value.to_str().unwrap().to_owned()));
        let body = String::from_utf8_lossy(&answer.body);
        let in_body = || body.lines().find_map(|line| line.split_once(NAME)?.1.strip_prefix(':'));
        let value = in_headers.unwrap_or_else(|| in_body().unwrap().trim().to_owned());
        let status = Status::decode_from_slice(&decode(&value)).unwrap();
        assert_eq!(status.details[0].type_url, "type.googleapis.com/google.rpc.ErrorInfo");
        ErrorInfo::decode_from_slice(&status.details[0].value).unwrap()
    }
}

fn grpc_status(trailers: &str) -> Option<u8> {
    trailers.lines().find_map(|line| line.strip_prefix("grpc-status:"))?.trim().parse().ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Ok(Vec<u8>),
    /// The number of the code (google.rpc.Code).
    Failed(u8),
}

impl Outcome {
    fn message<M: Message>(self) -> M {
        let Self::Ok(bytes) = self else { panic!("{self:?}") };
        M::decode_from_slice(&bytes).unwrap()
    }
}

const UNAUTHENTICATED: Outcome = Outcome::Failed(16);
const UNIMPLEMENTED: Outcome = Outcome::Failed(12);
const PERMISSION_DENIED: Outcome = Outcome::Failed(7);
const NOT_FOUND: Outcome = Outcome::Failed(5);

#[tokio::test]
async fn auth_metadata_needs_no_token() {
    let server = Server::start().await;
    for protocol in ALL {
        for token in [None, Some("not a token")] {
            let answer = server.send(protocol.request(METADATA, &[], token)).await;
            let metadata: GetOAuth2MetadataResponse = protocol.outcome(&answer).message();
            assert_eq!(metadata.issuer, "https://localhost:8443", "{protocol:?}");
            assert_eq!(metadata.token_endpoint, "https://localhost:8443/oauth2/token");
            assert!(metadata.code_challenge_methods_supported.contains(&"S256".to_owned()));
            let answer = server.send(protocol.request(CLIENT_CONFIG, &[], token)).await;
            let client: GetPublicClientConfigResponse = protocol.outcome(&answer).message();
            assert_eq!(
                (client.client_id.as_str(), client.redirect_uri.as_str()),
                ("flyte", "http://localhost:53593/callback")
            );
            assert_eq!(client.audience, "https://localhost:8443");
        }
    }
}

#[tokio::test]
async fn every_other_method_needs_a_valid_token() {
    let server = Server::start().await;
    let unknown =
        ["/flyteidl2.workflow.RunService/CreateRun", "/a.b/c", "/flyteidl2.project.ProjectService/Nothing"];
    let near = [
        "/flyteidl2.auth.AuthMetadataServices/GetOAuth2Metadata",
        "/flyteidl2.auth.authmetadataservice/GetOAuth2Metadata",
        "/flyteidl2.auth.AuthMetadataService%2F/GetOAuth2Metadata",
    ];
    for protocol in ALL {
        for path in [USER_INFO, CREATE, UPDATE, GET, LIST].iter().chain(&unknown).chain(&near) {
            for token in [None, Some("not.a.token")] {
                let answer = server.send(protocol.request(path, &[], token)).await;
                assert_eq!(protocol.outcome(&answer), UNAUTHENTICATED, "{protocol:?} {path} {token:?}");
                let challenge = answer.header("www-authenticate");
                assert!(challenge.starts_with("Bearer ") && challenge.contains("resource_metadata="));
                assert_eq!(challenge.contains("invalid_token"), token.is_some(), "{challenge}");
                if matches!(protocol, Connect | ConnectGzip) {
                    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
                }
            }
        }
    }
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented_for_authenticated_callers() {
    let server = Server::start().await;
    let token = server.token("Root", &["all"]);
    for protocol in ALL {
        for path in ["/flyteidl2.workflow.RunService/Nothing", "/flyteidl2.project.ProjectService/Nothing"] {
            let answer = server.send(protocol.request(path, &[], Some(&token))).await;
            assert_eq!(protocol.outcome(&answer), UNIMPLEMENTED, "{protocol:?} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_token_without_the_scope_is_denied_every_method() {
    let server = Server::start().await;
    for scopes in [&["openid", "profile", "email", "offline_access"][..], &[], &["All", "all:read"]] {
        let token = server.token("Root", scopes);
        for protocol in ALL {
            for path in [USER_INFO, CREATE, GET, LIST, "/a.b/c"] {
                let answer = server.send(protocol.request(path, &[], Some(&token))).await;
                assert_eq!(protocol.outcome(&answer), PERMISSION_DENIED, "{protocol:?} {path} {scopes:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_valid_token_is_accepted_in_each_protocol() {
    let server = Server::start().await;
    let created = json!({"project": {"id": "p1"}});
    assert_eq!(server.json(CREATE, Some("Root"), &created).await.status, StatusCode::OK);
    let token = server.token("Ada", &["openid", "all"]);
    let request = GetProjectRequest { id: "p1".to_owned(), ..Default::default() }.encode_to_vec();
    for protocol in ALL {
        let answer = server.send(protocol.request(USER_INFO, &[], Some(&token))).await;
        let user: UserInfoResponse = protocol.outcome(&answer).message();
        assert_eq!((user.subject.as_str(), user.email.as_str()), ("user-Ada", "ada@example.com"));
        let answer = server.send(protocol.request(GET, &request, Some(&token))).await;
        let found: GetProjectResponse = protocol.outcome(&answer).message();
        assert_eq!(found.project.as_option().unwrap().id, "p1", "{protocol:?}");
        assert_eq!(
            protocol.outcome(&server.send(protocol.request(GET, &[], Some(&token))).await),
            Outcome::Failed(5)
        );
    }
    let answer = server.json(USER_INFO, Some("Ada"), &json!({})).await.json();
    assert_eq!(answer["preferredUsername"], "ada@example.com");
}

#[tokio::test]
async fn what_a_request_names_is_checked_in_each_protocol() {
    let server = Runs::start().await;
    assert_eq!(server.run("p", "r1").await.status, StatusCode::OK);
    let (own, other) = (server.key(Role::Viewer, "p").await, server.key(Role::Viewer, "q").await);
    let id = json!({"runId": run_id("p", "r1")});
    let message = serde_json::from_value::<GetRunDetailsRequest>(id.clone()).unwrap().encode_to_vec();
    let details = "/flyteidl2.workflow.RunService/GetRunDetails";
    for protocol in ALL {
        let answer = server.send(protocol.request(details, &message, Some(&own))).await;
        assert!(matches!(protocol.outcome(&answer), Outcome::Ok(_)), "{protocol:?}: {answer:?}");
        let answer = server.send(protocol.request(details, &message, Some(&other))).await;
        assert_eq!(protocol.outcome(&answer), NOT_FOUND, "{protocol:?}");
        let info = protocol.error_info(&answer);
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("OUTSIDE_OF_LIMIT", "flyteauth"));
        assert_eq!((info.metadata["rule"].as_str(), info.metadata["project"].as_str()), ("limit", "p"));
        let answer = server.send(protocol.request(details, b"\x0a\x05p", Some(&own))).await;
        assert!(protocol.outcome(&answer) == Outcome::Failed(3), "{protocol:?}: {answer:?}");
    }
    let query = format!("connect=v1&encoding=json&message={}", id.to_string().replace('"', "%22"));
    let request = Request::get(format!("{details}?{query}")).header(header::AUTHORIZATION, bearer(&other));
    assert_eq!(server.send(request.body(Body::empty()).unwrap()).await.error().0, "not_found");
    let watch = "/flyteidl2.workflow.RunService/WatchActions";
    for protocol in PROTOCOLS {
        let stream = open(server.router.clone(), protocol, watch, &id, &other).await;
        assert_eq!(read(stream).await, (0, 5), "{protocol}");
    }
    // The first attempt is in the audit log with what it was for, and then the count of repeats.
    server.plane.audit.flush().await;
    let query = AuditQuery { limit: 1000, ..AuditQuery::default() };
    let (records, _) = server.plane.store.list_audit_records(&query).await.unwrap();
    let denied = |path: &str| {
        let of = |entry: &&StoredAuditRecord| {
            entry.record.event == "call_denied" && entry.record.object.as_deref() == Some(path)
        };
        records.iter().filter(of).map(|entry| entry.record.details["project"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((denied(details), denied(watch)), (vec!["p".to_owned(); 2], vec!["p".to_owned(); 2]));
    let rules = records.iter().filter(|entry| entry.record.event == "call_denied");
    assert!(rules.clone().count() >= 4 && rules.clone().all(|entry| entry.record.details["rule"] == "limit"));
}

#[tokio::test]
async fn read_only_methods_accept_get_requests() {
    let server = Server::start().await;
    assert_eq!(
        server.json(CREATE, Some("Root"), &json!({"project": {"id": "p1"}})).await.status,
        StatusCode::OK
    );
    let get = async |path: &str, message: &[u8], token: Option<&str>| {
        let message = BASE64_URL_SAFE.encode(message);
        let mut request =
            Request::get(format!("{path}?connect=v1&encoding=proto&base64=1&message={message}"));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, bearer(token));
        }
        server.send(request.body(Body::empty()).unwrap()).await
    };
    let metadata: GetOAuth2MetadataResponse = get(METADATA, &[], None).await.message();
    assert_eq!(metadata.issuer, "https://localhost:8443");

    let request = GetProjectRequest { id: "p1".to_owned(), ..Default::default() }.encode_to_vec();
    let answer = get(GET, &request, None).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
    let token = server.token("Root", &["all"]);
    let found: GetProjectResponse = get(GET, &request, Some(&token)).await.message();
    assert_eq!(found.project.as_option().unwrap().id, "p1");
    // A token in the query is ignored, because queries are logged (RFC 6750 section 2.3).
    let in_query = format!("{GET}?connect=v1&encoding=proto&message=&access_token={token}");
    let answer = server.send(Request::get(in_query).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    // Methods with side effects reject GET.
    for path in [CREATE, UPDATE] {
        let answer = get(path, &[], Some(&token)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn resource_metadata_names_the_authorization_server() {
    let server = Server::start().await;
    let request = Request::get(RESOURCE_METADATA).body(Body::empty()).unwrap();
    let metadata = server.send(request).await.json();
    assert_eq!(metadata["resource"], "https://localhost:8443");
    assert_eq!(metadata["authorization_servers"], json!(["https://localhost:8443"]));
    assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
}

#[tokio::test]
async fn an_unknown_page_is_not_found() {
    let server = Server::start().await;
    for path in ["/nothing", "/nothing/here", "/admin/users", "/flyteidl2.project.ProjectService"] {
        let answer = server.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_path_is_not_normalized() {
    let server = Server::start().await;
    let token = server.token("Root", &["all"]);
    for (path, expected) in [
        (LIST.to_owned(), StatusCode::OK),
        (LIST.replace("/List", "/%4cist"), StatusCode::NOT_FOUND),
        (LIST.replace("/List", ";x=1/List"), StatusCode::NOT_FOUND),
        (format!("{LIST};x=1"), StatusCode::NOT_FOUND),
        (format!("{LIST}/"), StatusCode::NOT_FOUND),
        (format!("/{LIST}"), StatusCode::NOT_FOUND),
        (LIST.replace("Service/", "Service%2F"), StatusCode::NOT_FOUND),
    ] {
        let request = Request::post(&path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, bearer(&token))
            .body(Body::from("{}"))
            .unwrap();
        assert_eq!(server.send(request).await.status, expected, "{path}");
    }
}
