//! Requests and URIs in front of a backend. What passes for a limited caller names no object of others and no host.
#![no_main]

use std::sync::LazyLock;

use buffa::Message as _;
use flyte_access::{
    Caller,
    door::{Backend, Buckets, Door, Location, Message, RPCS, Storage},
};
use flyte_idl::flyteidl2::workflow::{
    CreateRunRequest,
    create_run_request::{InputWrapper, Task},
};
use flyte_model::{ClientId, Limit, PrincipalKind, Role, Scope};
use flyte_policy::Grants;
use flyte_settings::{Environment, Flags};

static BACKEND: LazyLock<Backend> = LazyLock::new(|| {
    let settings = [("data-dir", "/nowhere"), ("upstream.url", "https://backend"), ("projects.storage", "s3://b")];
    let settings = settings.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
    let loaded = flyte_settings::load(&Flags { file: None, settings }, &Environment::default());
    Backend::new(&loaded.expect("the settings are valid").config.projects).expect("the prefixes are valid")
});

/// The bytes of a URI after all that any reader might decode, in lower case.
fn decoded(uri: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = uri.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = if *first == b'%' { tail.get(..2) } else { None };
        let byte = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).to_lowercase()
}

fn check(request: &CreateRunRequest) {
    if let Some(InputWrapper::OffloadedInputData(data)) = &request.input_wrapper
        && !data.uri.is_empty()
    {
        let Location::Inside { project, .. } = BACKEND.locate(data.uri.as_bytes()) else {
            panic!("{:?} passed", data.uri)
        };
        assert_eq!(project, "p");
        let path = decoded(&data.uri);
        assert!(path.contains("p/") && !path.contains("/../") && !path.ends_with("/.."), "{path:?}");
    }
    if let Some(Task::TaskSpec(spec)) = &request.task {
        let account = &spec.task_template.security_context.run_as.k8s_service_account;
        assert!(matches!(account.as_str(), "" | "default"), "{account:?}");
    }
}

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let caller = Caller {
        subject: String::new(),
        client_id: ClientId::from_static("flyte"),
        scopes: [Scope::ALL].into(),
        family_id: String::new(),
        token_id: String::new(),
        expires_at: i64::MAX,
        principal: PrincipalKind::Person,
        authenticated_at: None,
        grants: Grants::of_role(
            Role::Admin,
            &Limit { project: Some("p".to_owned()), domain: None },
        ),
        on_behalf_of: None,
    };
    let (door, backend) = (Door::published(), &*BACKEND);
    let path = format!("/{}", RPCS[usize::from(choice) % RPCS.len()].name);
    let _ = door.pass(&caller, &path, Message::Binary(bytes), backend);
    let _ = door.pass(&caller, &path, Message::Json(bytes), backend);
    let create = "/flyteidl2.workflow.RunService/CreateRun";
    if door.pass(&caller, create, Message::Binary(bytes), backend).is_ok()
        && let Ok(request) = CreateRunRequest::decode_from_slice(bytes)
    {
        check(&request);
    }
    if door.pass(&caller, create, Message::Json(bytes), backend).is_ok()
        && let Ok(request) = serde_json::from_slice(bytes)
    {
        check(&request);
    }
    // A text is a prefix, or it is not; a URI is placed or it is not.
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(buckets) = Buckets::new([text]) {
            assert_ne!(buckets.locate(bytes), Location::Outside, "{text:?}");
        }
        if let Location::Inside { project, domain } = backend.locate(bytes) {
            for name in [project, domain] {
                assert!(!matches!(name, "" | "." | "..") && !name.contains(['/', '%', '\\']), "{text:?}");
            }
        }
    }
});
