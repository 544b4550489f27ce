//! A new user.

use axum::response::Response;
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{CreateUserRequest, UserServiceClient};
use flyte_pages::{AdminView, Field, Form, FormKind, Part};

use super::{
    USERS,
    link::{self, Once},
};
use crate::{
    act::{Act, done},
    address,
    area::Area,
    form,
    given::{Given, Notice},
    refusal::Refusal,
    visit::{Visit, client},
};

/// Shows the form.
pub(crate) async fn show(visit: Visit) -> Result<Response, Refusal> {
    page(&visit, &Given::default())
}

fn page(visit: &Visit, given: &Given) -> Result<Response, Refusal> {
    if !visit.may("flyteauth.UserService/CreateUser") {
        return Err(ConnectError::permission_denied("creating an account").into());
    }
    let value = |name: &str| given.value("create", name, "");
    let email = Field {
        hint: "The address does not change later.".to_owned(),
        ..form::required("email", "E-mail address", value("email"))
    };
    let name = Field {
        hint: "If it is empty, the part of the address before the @.".to_owned(),
        ..form::text("name", "Name", value("name"))
    };
    let ways = form::pairs(&[
        ("invitation", "By an invitation: a link with which they set a password or connect a provider"),
        ("password", "With a password that the server makes, which the next page shows once"),
        ("provider", "Through an outside provider only"),
    ]);
    let way = form::select("way", "How the user first signs in", &ways, &value("way"));
    let form = Form {
        kind: FormKind::Create,
        ..form::change("create", "/admin/users/new", "create", vec![email, name, way], "Create the user")
    };
    let part = Part { id: "new", forms: vec![form], ..Part::default() };
    let view = AdminView { heading: "New user".to_owned(), parts: vec![part], ..AdminView::default() };
    Ok(visit.page(Area::Users, given, view))
}

/// Creates the account. What the user needs to sign in is on the page that answers, and never again.
pub(crate) async fn create(act: Act) -> Result<Response, Refusal> {
    let outcome = match act.typed.text("way") {
        "invitation" => link::invite(&act).await,
        way => without_invitation(&act, way == "password").await,
    };
    match outcome {
        Ok(answer) => Ok(answer),
        Err(error) => page(&act.visit, &act.failed(error)?),
    }
}

async fn without_invitation(act: &Act, with_password: bool) -> Result<Response, ConnectError> {
    let request = CreateUserRequest {
        email: act.typed.owned("email"),
        name: act.typed.owned("name"),
        with_password,
        ..CreateUserRequest::default()
    };
    let answer = client!(act.visit, UserServiceClient).create_user(request).await?.into_owned();
    let user = answer.user.into_option().unwrap_or_default();
    if answer.password.is_empty() {
        return Ok(done(&address::of(USERS, &user.subject), Notice::CREATED));
    }
    let lead = "Give it to the user now: this page is the only place that shows it. The user can change it after signing in.";
    let once = Once { title: "Password", lead: lead.to_owned(), secret: answer.password };
    Ok(link::page(&act.visit, &user, "The account is created.", once))
}
