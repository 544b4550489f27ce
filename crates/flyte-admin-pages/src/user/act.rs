//! Changes of a user.

use axum::{extract::Path, response::Response};
use buffa::MessageField;
use connectrpc::ConnectError;
use flyte_idl::{
    cloudidl::{
        common::UserIdentifier,
        identity::{DeleteUserRequest, UserServiceClient as CloudUsers},
    },
    flyteauth::{self, EndUserSessionsRequest, UpdateUserRequest, UserServiceClient, subject},
};

use super::{USERS, account, link, page};
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
pub(crate) async fn change(Path(id): Path<String>, act: Act) -> Result<Response, Refusal> {
    if act.name() == "password-link" {
        let outcome = async { link::set_password(&act, &account(&act.visit, &id).await?).await };
        return match outcome.await {
            Ok(answer) => Ok(answer),
            Err(error) => page(&act.visit, &id, &act.failed(error)?).await,
        };
    }
    match perform(&act, &id).await {
        Ok(Notice::DELETED) => Ok(done(USERS, Notice::DELETED)),
        Ok(notice) => Ok(done(&address::of(USERS, &id), notice)),
        Err(error) => page(&act.visit, &id, &act.failed(error)?).await,
    }
}

async fn perform(act: &Act, id: &str) -> Result<Notice, ConnectError> {
    let subject =
        flyteauth::Subject { subject: Some(subject::Subject::User(id.to_owned())), ..Default::default() };
    if let Some(notice) = grant::perform(act, subject).await? {
        return Ok(notice);
    }
    if let Some(notice) = grant::perform_policy(act, id).await? {
        return Ok(notice);
    }
    let users = client!(act.visit, UserServiceClient);
    let update = UpdateUserRequest { user: id.to_owned(), ..UpdateUserRequest::default() };
    match act.name() {
        "rename" => {
            let name = act.typed.owned("name");
            if name.is_empty() {
                return Err(ConnectError::invalid_argument("name is missing"));
            }
            users.update_user(UpdateUserRequest { name, ..update }).await?;
            Ok(Notice::SAVED)
        }
        "disable" => {
            users.update_user(UpdateUserRequest { enabled: Some(false), ..update }).await?;
            Ok(Notice::DISABLED)
        }
        "enable" => {
            users.update_user(UpdateUserRequest { enabled: Some(true), ..update }).await?;
            Ok(Notice::ENABLED)
        }
        "end-sessions" => {
            let request = EndUserSessionsRequest { user: id.to_owned(), ..EndUserSessionsRequest::default() };
            users.end_user_sessions(request).await?;
            Ok(Notice::SESSIONS_ENDED)
        }
        "delete" => {
            let user = account(&act.visit, id).await?;
            act.confirmed(&visible(&user.email))?;
            let id = UserIdentifier { subject: id.to_owned(), ..UserIdentifier::default() };
            let request = DeleteUserRequest { id: MessageField::some(id), ..DeleteUserRequest::default() };
            client!(act.visit, CloudUsers).delete_user(request).await?;
            Ok(Notice::DELETED)
        }
        _ => Err(unknown()),
    }
}
