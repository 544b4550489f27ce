//! Requests in both forms. What passes for a limited caller decodes to nothing outside of the limit.
#![no_main]

use buffa::Message as _;
use flyte_idl::flyteidl2::workflow::{
    CreateRunRequest,
    create_run_request::{Id, Task},
};
use flyte_model::{ClientId, Limit, PrincipalKind, Role, Scope};
use flyte_policy::Grants;
use flyte_access::{
    Caller,
    door::{Door, Location, Message, RPCS, Storage, locate_below},
};

struct Bucket;

impl Storage for Bucket {
    fn locate<'u>(&self, uri: &'u [u8]) -> Location<'u> {
        uri.strip_prefix(b"s3://b/").map_or(Location::Outside, locate_below)
    }
}

fn check(request: &CreateRunRequest) {
    let within = |project: &str| assert!(matches!(project, "" | "p"), "{project:?} in {request:?}");
    match &request.id {
        Some(Id::RunId(id)) => within(&id.project),
        Some(Id::ProjectId(id)) => within(&id.name),
        None => {}
    }
    match &request.task {
        Some(Task::TaskId(id)) => within(&id.project),
        Some(Task::TriggerName(id)) => within(&id.project),
        Some(Task::TaskSpec(spec)) => within(&spec.task_template.id.project),
        None => {}
    }
    within(&request.run_spec.relation.related_to.project);
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
    let door = Door::published();
    let path = format!("/{}", RPCS[usize::from(choice) % RPCS.len()].name);
    let _ = door.pass(&caller, &path, Message::Binary(bytes), &Bucket);
    let _ = door.pass(&caller, &path, Message::Json(bytes), &Bucket);
    let create = "/flyteidl2.workflow.RunService/CreateRun";
    if door.pass(&caller, create, Message::Binary(bytes), &Bucket).is_ok()
        && let Ok(request) = CreateRunRequest::decode_from_slice(bytes)
    {
        check(&request);
    }
    if door.pass(&caller, create, Message::Json(bytes), &Bucket).is_ok()
        && let Ok(request) = serde_json::from_slice(bytes)
    {
        check(&request);
    }
});
