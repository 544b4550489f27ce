//! Changes of a group.

use axum::{extract::Path, response::Response};
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{
    self, AddGroupMemberRequest, AssignGroupPolicyRequest, DeleteGroupRequest, GroupServiceClient,
    RemoveGroupMemberRequest, UnassignGroupPolicyRequest, UpdateGroupRequest, subject,
};

use super::{GROUPS, group, one};
use crate::{
    act::{Act, done, unknown},
    address,
    cell::visible,
    given::Notice,
    grant,
    refusal::Refusal,
    visit::client,
};

/// Makes a change, and leads to the page that shows it.
pub(crate) async fn act(Path(id): Path<String>, act: Act) -> Result<Response, Refusal> {
    match perform(&act, &id).await {
        Ok(Notice::DELETED) => Ok(done(GROUPS, Notice::DELETED)),
        Ok(notice) => Ok(done(&address::of(GROUPS, &id), notice)),
        Err(error) => one(&act.visit, &id, String::new(), &act.failed(error)?).await,
    }
}

async fn perform(act: &Act, id: &str) -> Result<Notice, ConnectError> {
    let subject =
        flyteauth::Subject { subject: Some(subject::Subject::Group(id.to_owned())), ..Default::default() };
    if let Some(notice) = grant::perform(act, subject).await? {
        return Ok(notice);
    }
    let groups = client!(act.visit, GroupServiceClient);
    let (id, typed) = (id.to_owned(), &act.typed);
    let (user, policy) = (typed.owned("user"), typed.owned("policy"));
    match act.name() {
        "change" => {
            let request = UpdateGroupRequest {
                group: id,
                name: typed.owned("name"),
                description: Some(typed.owned("description")),
                ..UpdateGroupRequest::default()
            };
            groups.update_group(request).await?;
            Ok(Notice::SAVED)
        }
        "add-member" => {
            let request = AddGroupMemberRequest { group: id, user, ..AddGroupMemberRequest::default() };
            groups.add_group_member(request).await?;
            Ok(Notice::ADDED)
        }
        "remove-member" => {
            let request = RemoveGroupMemberRequest { group: id, user, ..RemoveGroupMemberRequest::default() };
            groups.remove_group_member(request).await?;
            Ok(Notice::REMOVED)
        }
        "assign" => {
            let request =
                AssignGroupPolicyRequest { group: id, policy, ..AssignGroupPolicyRequest::default() };
            groups.assign_group_policy(request).await?;
            Ok(Notice::ADDED)
        }
        "unassign" => {
            let request =
                UnassignGroupPolicyRequest { group: id, policy, ..UnassignGroupPolicyRequest::default() };
            groups.unassign_group_policy(request).await?;
            Ok(Notice::REMOVED)
        }
        "delete" => {
            act.confirmed(&visible(&group(&act.visit, &id).await?.name))?;
            groups.delete_group(DeleteGroupRequest { group: id, ..DeleteGroupRequest::default() }).await?;
            Ok(Notice::DELETED)
        }
        _ => Err(unknown()),
    }
}
