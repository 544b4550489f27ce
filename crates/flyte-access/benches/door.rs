//! What the door costs each request.
//!
//! `cargo bench -p flyte-access --bench door`. The target is 2 µs for a typical `CreateRun`, less than 1 µs for `Get*`, and 5 µs in front
//! of a backend.
#![allow(clippy::unwrap_used, reason = "a benchmark is for developers only")]

use std::{hint::black_box, path::Path};

use buffa::Message as _;
use criterion::{Criterion, criterion_group, criterion_main};
use flyte_access::{
    Caller,
    door::{Backend, Door, Location, Message, Storage, locate_below},
};
use flyte_idl::flyteidl2::workflow::{CreateRunRequest, GetRunDetailsRequest};
use flyte_model::{ClientId, Limit, PrincipalKind, Role, Scope};
use flyte_policy::Grants;
use flyte_settings::Config;
use serde_json::{Value, json};

struct Bucket;

impl Storage for Bucket {
    fn locate<'u>(&self, uri: &'u [u8]) -> Location<'u> {
        uri.strip_prefix(b"s3://flyte-data/prefix/").map_or(Location::Outside, locate_below)
    }
}

fn caller() -> Caller {
    Caller {
        subject: "ada".to_owned(),
        client_id: ClientId::from_static("flyte"),
        scopes: [Scope::OPENID, Scope::ALL].into(),
        family_id: String::new(),
        token_id: String::new(),
        expires_at: i64::MAX,
        principal: PrincipalKind::Person,
        authenticated_at: None,
        grants: Grants::of_role(
            Role::Contributor,
            &Limit { project: Some("flytesnacks".to_owned()), domain: Some("development".to_owned()) },
        ),
        on_behalf_of: None,
    }
}

/// What `flyte run` sends for a task of three inputs, about 1.5 kB of protobuf.
fn create_run() -> Value {
    let bundle =
        "s3://flyte-data/prefix/flytesnacks/development/content/0123456789abcdef/code0123456789.tar.gz";
    let name =
        |name: &str| json!({"org": "acme", "project": "flytesnacks", "domain": "development", "name": name});
    let variable =
        |key: &str| json!({"key": key, "value": {"type": {"simple": "INTEGER"}, "description": key}});
    json!({
        "runId": name("r0123456789"),
        "taskSpec": {
            "shortName": "main",
            "environment": {"name": "hello_world"},
            "documentation": {"shortDescription": "Computes something.", "sourceCode": {"link": "https://github.com/acme/x"}},
            "taskTemplate": {
                "id": {"resourceType": "TASK", "project": "flytesnacks", "domain": "development", "name": "hello_world.main",
                    "version": "0123456789abcdef0123456789abcdef", "org": "acme"},
                "type": "python",
                "metadata": {"runtime": {"type": "FLYTE_SDK", "version": "2.12.1", "flavor": "python"}, "retries": {"retries": 2}},
                "interface": {
                    "inputs": {"variables": [variable("x"), variable("y"), variable("z")]},
                    "outputs": {"variables": [variable("o0")]},
                },
                "container": {
                    "image": "ghcr.io/flyteorg/flyte:py3.13-v2.12.1",
                    "args": ["a0", "--inputs", "{{.input}}", "--outputs-path", "{{.outputPrefix}}", "--version", "0123456789abcdef",
                        "--raw-data-path", "{{.rawOutputDataPrefix}}", "--checkpoint-path", "{{.checkpointOutputPrefix}}",
                        "--prev-checkpoint", "{{.prevCheckpointPrefix}}", "--run-name", "{{.runName}}", "--name", "{{.actionName}}",
                        "--image-cache", "H4sIAAAAAAAC/6tWykvMTVWyUlAqKMrPSk0uUdJRUEosKFCyMgQAhZQ0vB0AAAA=", "--tgz", bundle,
                        "--dest", ".", "--resolver", "flyte._internal.resolvers.default.DefaultTaskResolver", "mod", "hello",
                        "instance", "main"],
                    "resources": {"requests": [{"name": "CPU", "value": "1"}, {"name": "MEMORY", "value": "1Gi"}]},
                    "env": [{"key": "A", "value": "b"}],
                },
                "securityContext": {},
            },
        },
        "inputs": {"literals": [
            {"name": "x", "value": {"scalar": {"primitive": {"integer": "1"}}}},
            {"name": "y", "value": {"scalar": {"primitive": {"stringValue": "some text"}}}},
            {"name": "z", "value": {"scalar": {"blob": {"uri": bundle}}}},
        ]},
        "runSpec": {
            "labels": {"values": {"team": "a"}}, "envs": {"values": [{"key": "LOG_LEVEL", "value": "20"}]},
            "rawDataStorage": {"rawDataPrefix": ""},
        },
        "source": "RUN_SOURCE_CLI",
    })
}

/// The same task with the specification of its pod, as a `PodTemplate` of the SDK makes it.
fn create_run_of_pod() -> Value {
    let mut request = create_run();
    let template = &mut request["taskSpec"]["taskTemplate"];
    let container = template["container"].take();
    let pod = json!({"podSpec": {
        "containers": [{
            "name": "primary", "image": container["image"], "args": container["args"],
            "env": [{"name": "A", "value": "b"}], "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
            "securityContext": {"runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        }],
        "volumes": [{"name": "cache", "emptyDir": {}}],
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    }});
    template["k8sPod"] = pod;
    template.as_object_mut().unwrap().remove("container");
    request
}

fn measure(c: &mut Criterion) {
    let (door, caller) = (Door::published(), caller());
    let backend = Backend::new(&Config::for_test(Path::new("/nowhere")).projects).unwrap();
    let json = create_run().to_string();
    let binary = serde_json::from_str::<CreateRunRequest>(&json).unwrap().encode_to_vec();
    let get = json!({"runId": create_run()["runId"]});
    let get_binary = serde_json::from_value::<GetRunDetailsRequest>(get.clone()).unwrap().encode_to_vec();
    let get_json = get.to_string();
    let (create, details) =
        ("/flyteidl2.workflow.RunService/CreateRun", "/flyteidl2.workflow.RunService/GetRunDetails");
    for (name, path, message) in [
        (format!("CreateRun, {} bytes", binary.len()), create, Message::Binary(&binary)),
        (format!("CreateRun in JSON, {} bytes", json.len()), create, Message::Json(json.as_bytes())),
        ("GetRunDetails".to_owned(), details, Message::Binary(&get_binary)),
        ("GetRunDetails in JSON".to_owned(), details, Message::Json(get_json.as_bytes())),
    ] {
        c.bench_function(&name, |b| {
            b.iter(|| {
                door.admit(&caller, path).unwrap();
                door.pass(black_box(&caller), path, black_box(message), &Bucket).unwrap();
            });
        });
    }
    let pod_json = create_run_of_pod().to_string();
    let pod = serde_json::from_str::<CreateRunRequest>(&pod_json).unwrap().encode_to_vec();
    for (name, message) in [
        (format!("CreateRun to a backend, {} bytes", binary.len()), &binary),
        (format!("CreateRun of a pod to a backend, {} bytes", pod.len()), &pod),
    ] {
        c.bench_function(&name, |b| {
            b.iter(|| {
                door.admit(&caller, create).unwrap();
                door.pass(black_box(&caller), create, Message::Binary(black_box(message)), &backend).unwrap();
            });
        });
    }
}

criterion_group!(benches, measure);
criterion_main!(benches);
