//! Whatever the protocol and the encoding of a request are: it counts for the project that its fields name.

use std::io::Write as _;

use bytes::Bytes;
use flyte_access::{
    Caller,
    door::{Callers, Door, Location, Message, RPCS, Refusal, RequiredScope, Storage, locate_below},
};
use flyte_model::{Limit, Role};
use flyte_policy::Grants;
use flyte_protocol::{Call, Codec, Protocol, RequestReader};
use http::{Request, Version};
use proptest::prelude::*;

use super::{frame, gateway};
use crate::filter::tests::random::{Messages, encode, to_json};

const REQUESTS: &str = include_str!("../../../flyte-access/src/door/requests.txt");
const LIMIT: usize = 1 << 20;

const MEDIA_TYPES: [&str; 8] = [
    "application/proto",
    "application/json",
    "application/connect+proto",
    "application/connect+json",
    "application/grpc+proto",
    "application/grpc+json",
    "application/grpc-web+proto",
    "application/grpc-web-text+proto",
];
const ENCODINGS: [&str; 3] = ["identity", "gzip", "zstd"];

/// A store at `s3://bucket`.
struct Bucket;

impl Storage for Bucket {
    fn locate<'u>(&self, uri: &'u [u8]) -> Location<'u> {
        uri.strip_prefix(b"s3://bucket/").map_or(Location::Outside, locate_below)
    }
}

fn limited(project: &str, domain: &str) -> Caller {
    let limit = Limit { project: Some(project.to_owned()), domain: Some(domain.to_owned()) };
    Caller { grants: Grants::of_role(Role::Admin, &limit), ..gateway::caller() }
}

fn compress(encoding: &str, content: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::stream::encode_all(content, 1).unwrap(),
        _ => content.to_vec(),
    }
}

fn url_encoded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// Sends a message by a protocol, and returns it as it is read there.
fn by(media_type: &str, encoding: &str, is_get: bool, message: &[u8], piece: usize) -> (Codec, Bytes) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let message = compress(encoding, message);
    let request = Request::builder().version(Version::HTTP_2);
    let request = if is_get {
        let codec = if media_type.ends_with("json") { "json" } else { "proto" };
        let query =
            format!("connect=v1&encoding={codec}&compression={encoding}&message={}", url_encoded(&message));
        request.uri(format!("/a.B/C?{query}"))
    } else {
        let request = request.method("POST").header("content-type", media_type);
        match media_type.contains("connect") || media_type.contains("grpc") {
            true => request.header("connect-content-encoding", encoding).header("grpc-encoding", encoding),
            false => request.header("content-encoding", encoding),
        }
    };
    let call = Call::read(&request.body(()).unwrap().into_parts().0).unwrap();
    let body = match call.form.protocol {
        Protocol::ConnectGet => Bytes::new(),
        Protocol::Connect => message.into(),
        Protocol::GrpcWebText => STANDARD.encode(frame(u8::from(encoding != "identity"), &message)).into(),
        _ => frame(u8::from(encoding != "identity"), &message),
    };
    let mut reader = RequestReader::new(&call, LIMIT);
    let mut messages = Vec::new();
    for piece in body.chunks(piece) {
        reader.push(Bytes::copy_from_slice(piece)).unwrap();
        messages.extend(reader.next_message().unwrap());
    }
    reader.end();
    messages.extend(reader.next_message().unwrap());
    assert_eq!(messages.len(), 1);
    (call.form.codec, messages.remove(0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_request_counts_for_the_project_that_its_fields_name(seed: u64, start: usize, piece in 1_usize..4000) {
        let (door, messages) = (Door::published(), Messages::of(REQUESTS));
        let own = limited("own", "development");
        let (other_project, other_domain) = (limited("other", "development"), limited("own", "production"));
        let (mut named, mut variant) = (0, start);
        for rpc in RPCS.iter().filter(|rpc| {
            rpc.name.starts_with("flyteidl2.")
                && rpc.callers != Callers::Internal
                && rpc.scope != RequiredScope::None
        }) {
            let tree = messages.request(rpc.name, seed);
            variant = variant.wrapping_add(1);
            let media_type = MEDIA_TYPES[variant % MEDIA_TYPES.len()];
            let encoding = ENCODINGS[variant / MEDIA_TYPES.len() % ENCODINGS.len()];
            let is_get = media_type.starts_with("application/proto") && variant % 5 == 0;
            let message = if media_type.ends_with("json") { to_json(&tree).to_string().into_bytes() } else { encode(&tree) };
            let (codec, read) = by(media_type, encoding, is_get, &message, piece);
            prop_assert_eq!(&read[..], &message[..]);
            let path = format!("/{}", rpc.name);
            let pass = |caller: &Caller| {
                let message = match codec {
                    Codec::Proto => Message::Binary(&read),
                    Codec::Json => Message::Json(&read),
                };
                door.pass(caller, &path, message, &Bucket)
            };
            let case = format!("{} by {media_type} in {encoding}: {}", rpc.name, to_json(&tree));
            // Other rules may refuse it, but not as something of another project.
            prop_assert!(!matches!(pass(&own), Err(Refusal::NotFound { .. })), "{:?}: {}", pass(&own), case);
            if tree.has_text("own") {
                prop_assert!(pass(&other_project).is_err(), "{}", case);
                if let Err(Refusal::NotFound { project, .. }) = pass(&other_project) {
                    prop_assert_eq!(project, "own", "{}", case);
                    named += 1;
                }
            }
            // The list of a project's domains is not a place that the request is about.
            let is_of_project = rpc.name.starts_with("flyteidl2.project.");
            if tree.has_text("development") && !is_of_project {
                prop_assert!(pass(&other_domain).is_err(), "{}", case);
            }
        }
        prop_assert!(named > 10, "only {} requests were found to name a project", named);
    }
}
