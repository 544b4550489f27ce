//! A stream ends when its reader's access ends. Tested for every streaming method of the descriptors, in each protocol.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use buffa_descriptor::{DescriptorPool, FieldKind, MessageIndex, SingularKind};
use serde_json::{Map, json};
use tokio::task::JoinSet;

use super::{
    run::{Runs, action_id, run_id},
    *,
};
use flyte_access::{
    door::{Door, RequiredScope},
    token::MachineGrant,
};
use flyte_model::{ClientId, Limit, PrincipalKind, Rights, Role, Scope};
use flyte_runner_local::apps;
use flyte_store::{ActionId, AppChange, AppId, AppNote, AppStatus, TrustRule};

/// The content types of streams: Connect, gRPC and gRPC-Web.
pub(super) const PROTOCOLS: [&str; 3] =
    ["application/connect+json", "application/grpc+json", "application/grpc-web+json"];
pub(super) const CONNECT: [&str; 1] = [PROTOCOLS[0]];
/// The lifetime of the API key of these tests, in seconds.
const KEY_LIFETIME: i64 = 60;
/// The gRPC status codes of methods that this server does not support: `failed_precondition` and `unimplemented`.
pub(super) const NOT_SUPPORTED: [u8; 2] = [9, 12];
pub(super) const PERMISSION_DENIED: u8 = 7;
const UNAUTHENTICATED: u8 = 16;

/// A value for a request field, by the type of the field.
fn known(message: &str) -> Option<Value> {
    Some(match message {
        "flyteidl2.common.RunIdentifier" => run_id("p", "r1"),
        "flyteidl2.common.ActionIdentifier" => action_id("p", "r1", "a0"),
        "flyteidl2.common.ProjectIdentifier" => json!({"name": "p", "domain": "development"}),
        "flyteidl2.app.Identifier" => json!({"project": "p", "domain": "development", "name": "web"}),
        _ => return None,
    })
}

/// A request for existing resources. Sets each field of a known type, and the first field of a `oneof`.
fn request(pool: &DescriptorPool, message: MessageIndex) -> Value {
    let (mut fields, mut oneofs) = (Map::new(), HashSet::new());
    for field in pool.message(message).fields() {
        let FieldKind::Singular(SingularKind::Message(of)) = field.kind() else { continue };
        let Some(value) = known(pool.message(of).full_name()) else { continue };
        if field.oneof_index().is_none_or(|oneof| oneofs.insert(oneof)) {
            fields.insert(field.json_name().to_owned(), value);
        }
    }
    fields.into()
}

/// The path of every server-streaming method, with a request.
pub(super) fn streaming_methods() -> Vec<(String, Value)> {
    let pool = DescriptorPool::decode(flyte_idl::FILE_DESCRIPTOR_SET).unwrap();
    let mut methods = Vec::new();
    for service in pool.services() {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            assert!(!method.is_client_streaming(), "{path}: client-streaming methods have no test");
            if method.is_server_streaming() {
                methods.push((path, request(&pool, method.input())));
            }
        }
    }
    methods
}

/// A server on which the run `r1` waits and the app `web` runs.
async fn server() -> Runs {
    server_with(|_| {}).await
}

pub(super) async fn server_with(change: impl FnOnce(&mut Config)) -> Runs {
    let server = Runs::with(change).await;
    assert_eq!(server.run("p", "r1").await.status, StatusCode::OK);
    let id = json!({"project": "p", "domain": "development", "name": "web"});
    let app = json!({"app": {
        "metadata": {"id": id},
        "spec": {"container": {"image": "none", "command": ["fserve"]}, "desiredState": "DESIRED_STATE_ACTIVE"},
    }});
    let created = server.json("/flyteidl2.app.AppService/Create", Some("Ada"), &app).await;
    assert_eq!(created.status, StatusCode::OK, "{created:?}");
    let web = AppId { project: "p".to_owned(), domain: "development".to_owned(), name: "web".to_owned() };
    let change = AppChange::Starts { port: 8080 };
    let note = AppNote { status: AppStatus::Deploying, message: String::new(), change };
    server.plane.store.note_app(&web, 1, &note, NOW).await.unwrap().unwrap();
    std::fs::create_dir_all(apps::directory(&server.plane.config, &web, 1)).unwrap();
    server
}

/// A token of each kind of principal.
pub(super) async fn token(server: &Runs, principal: PrincipalKind) -> String {
    let grant = match principal {
        PrincipalKind::Person => return server.token("Ada", &["all"]),
        PrincipalKind::Run => return server.identity("p", "r1").await,
        PrincipalKind::ApiKey => {
            let end = |key: &mut flyte_store::ApiKey| key.expires_at = Some(NOW + KEY_LIFETIME);
            let (key, _) = flyte_testing::api_key(&*server.plane.store, "ci", end).await;
            (key.client_id.to_string(), key.family_id)
        }
        PrincipalKind::Federated => {
            let rule = TrustRule {
                name: "ci".to_owned(),
                issuer: "https://ci.example.com".to_owned(),
                audience: "https://localhost:8443".to_owned(),
                claims: BTreeMap::new(),
                jwks_uri: None,
                rights: Rights {
                    role: Role::Contributor,
                    scopes: [Scope::ALL].into(),
                    limit: Limit::default(),
                },
                token_lifetime: None,
                created_by: "user-Root".to_owned(),
                created_at: NOW,
                last_used_at: None,
                family_id: "family-of-rule".to_owned(),
            };
            server.plane.store.create_trust_rule(&rule).await.unwrap();
            ("ci:job".to_owned(), rule.family_id)
        }
    };
    let grant = MachineGrant {
        principal,
        subject: grant.0,
        client_id: ClientId::from_static("ci"),
        scopes: [Scope::ALL].into(),
        audience: None,
        family_id: grant.1,
        lifetime: None,
    };
    server.plane.access.tokens().issue_to_machine(&grant).unwrap().token.expose_secret().to_owned()
}

/// Opens a stream.
pub(super) async fn open(
    router: Router,
    protocol: &str,
    path: &str,
    request: &Value,
    token: &str,
) -> http::Response<Body> {
    let text = request.to_string();
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, protocol)
        .header(header::AUTHORIZATION, bearer(token))
        .body(Body::from([&[0], &length[..], text.as_bytes()].concat()))
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    response
}

/// Reads a stream to its end. Returns the number of messages and the gRPC status code. Panics if the stream is cut off.
pub(super) async fn read(response: http::Response<Body>) -> (usize, u8) {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a stream is not cut off");
    let trailers = body.trailers().cloned().unwrap_or_default();
    let bytes = body.to_bytes();
    let status = |headers: &HeaderMap| headers.get("grpc-status")?.to_str().unwrap().parse().ok();
    let mut code = status(&trailers).or_else(|| status(&parts.headers));
    let (mut rest, mut messages) = (&bytes[..], 0);
    while let [flags, a, b, c, d, tail @ ..] = rest {
        let (frame, tail) = tail.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        match flags {
            0x80 => {
                let trailers = std::str::from_utf8(frame).unwrap();
                let status = trailers.lines().find_map(|line| line.strip_prefix("grpc-status:")).unwrap();
                code = Some(status.trim().parse().unwrap());
            }
            0x02 => {
                let end: Value = serde_json::from_slice(frame).unwrap();
                code = Some(match end["error"]["code"].as_str() {
                    None => 0,
                    Some("not_found") => 5,
                    Some("permission_denied") => PERMISSION_DENIED,
                    Some("resource_exhausted") => 8,
                    Some("failed_precondition") => 9,
                    Some("unimplemented") => 12,
                    Some("unavailable") => 14,
                    Some("unauthenticated") => UNAUTHENTICATED,
                    Some(other) => panic!("{other}: {end}"),
                });
            }
            _ => messages += 1,
        }
        rest = tail;
    }
    (messages, code.expect("a stream ends with a status"))
}

/// Opens all streams as `principal`, calls `act`, and checks that each stream ends.
async fn all_end(principal: PrincipalKind, protocols: &[&'static str], act: impl AsyncFnOnce(&Runs)) {
    let server = server().await;
    let token = token(&server, principal).await;
    let mut streams = JoinSet::new();
    for (path, request) in streaming_methods() {
        for &protocol in protocols {
            let response = open(server.router.clone(), protocol, &path, &request, &token).await;
            let path = path.clone();
            streams.spawn(async move { (path, protocol, read(response).await) });
        }
    }
    // Most streams have no more messages then. Streams that have not sent their first message must end too.
    tokio::time::sleep(Duration::from_millis(50)).await;
    act(&server).await;
    let mut ended = HashSet::new();
    let all = async {
        while let Some(stream) = streams.join_next().await {
            let (path, protocol, (_, code)) = stream.unwrap();
            if code == UNAUTHENTICATED {
                ended.insert((path, protocol));
            } else {
                let by_itself = path.ends_with("/WatchClusterEvents") && code == 0;
                let not_theirs = code == PERMISSION_DENIED
                    && Door::published().rpc(&path).unwrap().scope == RequiredScope::All;
                assert!(
                    by_itself || not_theirs || NOT_SUPPORTED.contains(&code),
                    "{principal:?} {protocol} {path}: {code}"
                );
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("every stream ends");
    assert!(ended.len() >= 9 * protocols.len(), "too few were open: {ended:?}");
    // New streams are rejected too.
    for (path, request) in streaming_methods() {
        let response = open_refused(&server, &path, &request, &token).await;
        assert_eq!(response, StatusCode::UNAUTHORIZED, "{path}");
    }
}

/// Opens a stream and returns the HTTP status of the rejection.
async fn open_refused(server: &Runs, path: &str, request: &Value, token: &str) -> StatusCode {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, bearer(token))
        .body(Body::from(request.to_string()))
        .unwrap();
    server.send(request).await.status
}

#[tokio::test]
async fn every_stream_ends_when_the_token_expires() {
    all_end(PrincipalKind::Person, &PROTOCOLS, async |server| {
        server.plane.clock.advance(server.plane.config.tokens.access_token_ttl);
        server.plane.access.check_streams().await;
    })
    .await;
}

#[tokio::test]
async fn every_stream_ends_when_the_token_is_revoked() {
    all_end(PrincipalKind::Person, &PROTOCOLS, async |server| server.plane.access.revoke_family("family"))
        .await;
}

#[tokio::test]
async fn every_stream_ends_when_the_signing_key_is_removed() {
    all_end(PrincipalKind::Person, &CONNECT, async |server| {
        server.plane.keys.rotate_now().await.unwrap();
        server.plane.access.check_streams().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        server.plane.keys.replace_all().await.unwrap();
        server.plane.access.check_streams().await;
    })
    .await;
}

#[tokio::test]
async fn every_stream_ends_with_the_account() {
    all_end(PrincipalKind::Person, &CONNECT, async |server| {
        // Another process disables the account. The server finds this in the database.
        assert!(server.plane.store.disable_user("user-Ada", NOW).await.unwrap().is_some());
        server.plane.access.check_streams().await;
    })
    .await;
}

#[tokio::test]
async fn every_stream_ends_with_the_api_key() {
    all_end(PrincipalKind::ApiKey, &CONNECT, async |server| {
        assert_eq!(
            server.plane.store.delete_api_key(&ClientId::from_static("ci"), NOW).await.unwrap().len(),
            1
        );
        server.plane.access.maintain().await.unwrap();
    })
    .await;
    all_end(PrincipalKind::ApiKey, &CONNECT, async |server| {
        server.plane.clock.advance(KEY_LIFETIME);
        server.plane.access.check_streams().await;
    })
    .await;
}

#[tokio::test]
async fn every_stream_ends_with_the_trust_rule() {
    all_end(PrincipalKind::Federated, &CONNECT, async |server| {
        server.plane.store.delete_trust_rule("ci", NOW).await.unwrap().unwrap();
        server.plane.access.maintain().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn every_stream_of_a_run_ends_with_the_run_or_its_creator() {
    all_end(PrincipalKind::Run, &CONNECT, async |server| {
        let run = server.plane.store.run_by_id(&ActionId::root(run()).run).await.unwrap().unwrap();
        assert!(server.plane.runs.abort(&ActionId::root(run.id), "enough", "user-Ada").await.unwrap());
    })
    .await;
    all_end(PrincipalKind::Run, &CONNECT, async |server| {
        assert!(server.plane.store.disable_user("user-Ada", NOW).await.unwrap().is_some());
        server.plane.access.check_streams().await;
    })
    .await;
}

fn run() -> flyte_store::RunId {
    flyte_store::RunId { project: "p".to_owned(), domain: "development".to_owned(), name: "r1".to_owned() }
}

#[tokio::test]
async fn no_message_is_sent_after_the_token_expires() {
    let server = server().await;
    let token = server.token("Ada", &["all"]);
    let watch = "/flyteidl2.workflow.RunService/WatchRuns";
    let response = open(server.router.clone(), PROTOCOLS[0], watch, &json!({}), &token).await;
    // When the token expires, messages are pending. The streams have not been polled since.
    server.plane.clock.advance(server.plane.config.tokens.access_token_ttl);
    assert_eq!(read(response).await, (0, UNAUTHENTICATED));
}
