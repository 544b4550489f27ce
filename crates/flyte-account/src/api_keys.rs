//! `/account/keys`: the user's own API keys. Everything is done by `flyteauth.ApiKeyService`, as the user.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::MessageField;
use connectrpc::{ConnectError, ErrorCode};
use flyte_idl::flyteauth::{
    Access, ApiKey, ApiKeyServiceClient, CreateApiKeyRequest, DeleteApiKeyRequest, ListApiKeysRequest,
    RotateApiKeyRequest,
};
use flyte_model::Role;
use flyte_pages::{
    Moment,
    account::{ApiKeyForm, ApiKeyView, ApiKeysView, Frame, NewSecretView, api_keys_page, new_secret_page},
    encode,
};
use flyte_policy::{Grants, Permission, Permissions};
use flyte_settings::endpoints;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{
    Account,
    refusal::Refusal,
    shown_once::NewSecret,
    visit::{Posted, Visit},
};

const PATH: &str = "/account/keys";
/// The keys of one page.
const PAGE: u32 = 50;
const DAY: i64 = 86_400;
/// The lifetimes that the form offers, in days.
const LIFETIMES: [i64; 4] = [30, 90, 180, 365];

/// The query of the page.
#[derive(Deserialize)]
pub(crate) struct ApiKeysQuery {
    #[serde(default)]
    token: String,
    /// What was done before.
    done: Option<String>,
    /// The form as it was typed, after a sign-in.
    #[serde(flatten)]
    form: NewKeyFields,
}

/// The fields of a new key.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewKeyFields {
    name: String,
    role: String,
    project: String,
    domain: String,
    lifetime: String,
}

/// The fields of all forms of the page.
#[derive(Deserialize)]
pub(crate) struct KeyForm {
    /// `create`, `rotate` or `delete`.
    action: String,
    /// The key to change.
    #[serde(default)]
    client_id: String,
    /// How long the old secret works, in seconds.
    #[serde(default)]
    overlap: String,
    #[serde(flatten)]
    new: NewKeyFields,
}

/// Shows the page.
pub(crate) async fn show(
    State(account): State<Arc<Account>>,
    visit: Visit,
    Query(query): Query<ApiKeysQuery>,
) -> Result<Response, Refusal> {
    let notice = match query.done.as_deref() {
        Some("deleted") => Some("The API key was deleted. Its tokens are refused from now on."),
        Some("seen") => Some("The secret was shown once and is not kept. If it is lost, rotate the key."),
        _ => None,
    };
    page(&account, &visit, &query.token, query.form, Told { notice, ..Told::default() }).await
}

/// What the page says about the action before.
#[derive(Default)]
struct Told<'a> {
    notice: Option<&'a str>,
    error: Option<&'a str>,
    /// Whether the user has to sign in again.
    sign_in: bool,
}

async fn page(
    account: &Account,
    visit: &Visit,
    token: &str,
    form: NewKeyFields,
    told: Told<'_>,
) -> Result<Response, Refusal> {
    let (calls, config) = visit.calls(account).await?;
    let grants = calls.caller().grants.clone();
    let client = ApiKeyServiceClient::new(calls, config);
    let request = ListApiKeysRequest {
        limit: PAGE,
        token: token.to_owned(),
        created_by: visit.user_id().to_owned(),
        ..Default::default()
    };
    let answer = client.list_api_keys(request).await?.into_owned();
    let now = account.clock.now();
    let view = ApiKeysView {
        keys: answer.api_keys.iter().map(|key| key_view(key, now)).collect(),
        next: answer.token.clone(),
        sign_in: told.sign_in.then(|| sign_in_again(&form)),
        form: ApiKeyForm {
            roles: roles(&grants),
            lifetimes: LIFETIMES.to_vec(),
            name: form.name,
            role: if form.role.is_empty() { Role::Contributor.to_string() } else { form.role },
            project: form.project,
            domain: form.domain,
            lifetime: if form.lifetime.is_empty() { "90".to_owned() } else { form.lifetime },
        },
    };
    let frame = Frame { notice: told.notice, error: told.error, ..visit.frame() };
    Ok(api_keys_page(&visit.headers, &frame, &view))
}

/// The sign-in page, which leads back to the form as it was typed.
fn sign_in_again(form: &NewKeyFields) -> String {
    let fields = [
        ("name", &form.name),
        ("role", &form.role),
        ("project", &form.project),
        ("domain", &form.domain),
        ("lifetime", &form.lifetime),
    ];
    let query: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("{}?return_to={}", endpoints::LOGIN, encode(&format!("{PATH}?{}", query.join("&"))))
}

/// The roles that the user can give to a key somewhere.
fn roles(grants: &Grants) -> Vec<String> {
    let holds = |role: &Role| {
        let permissions = Permissions::of_role(*role);
        Permission::ALL
            .into_iter()
            .filter(|permission| permissions.contains(*permission))
            .all(|permission| grants.may_somewhere(permission))
    };
    [Role::Viewer, Role::Contributor, Role::Admin]
        .iter()
        .filter(|role| holds(role))
        .map(Role::to_string)
        .collect()
}

fn key_view(key: &ApiKey, now: i64) -> ApiKeyView {
    let at = |seconds: i64| Moment::of(seconds).filter(|_| seconds != 0);
    let access = &key.access;
    ApiKeyView {
        name: key.name.clone(),
        client_id: key.client_id.clone(),
        role: access.role.clone(),
        place: match (&*access.project, &*access.domain) {
            ("", _) => None,
            (project, "") => Some(project.to_owned()),
            (project, domain) => Some(format!("{project} \u{b7} {domain}")),
        },
        created: at(key.created_at),
        is_expired: key.expires_at != 0 && key.expires_at <= now,
        expires: at(key.expires_at),
        used: at(key.last_used_at),
        previous: at(key.previous_secret_expires_at).filter(|_| key.previous_secret_expires_at > now),
    }
}

/// The lifetime of a form: seconds, and whether there is no expiry.
fn lifetime(text: &str) -> Result<(i64, bool), Refusal> {
    match text {
        "" => Ok((0, false)),
        "never" => Ok((0, true)),
        days => match days.parse::<i64>().ok().and_then(|days| days.checked_mul(DAY)) {
            Some(seconds) if seconds > 0 => Ok((seconds, false)),
            _ => Err(Refusal::BadForm),
        },
    }
}

/// Creates, rotates or deletes a key.
pub(crate) async fn change(
    State(account): State<Arc<Account>>,
    posted: Posted<KeyForm>,
) -> Result<Response, Refusal> {
    let Posted { visit, fields } = posted;
    let outcome = match &*fields.action {
        "create" => create(&account, &visit, &fields).await?,
        "rotate" => rotate(&account, &visit, &fields).await?,
        "delete" => delete(&account, &visit, &fields).await?,
        _ => return Err(Refusal::BadForm),
    };
    match outcome {
        Ok(Some(new)) => {
            account.shown_once.put(&visit.who.session.id, new, account.clock.now());
            Ok(Redirect::to("/account/keys/secret").into_response())
        }
        Ok(None) => Ok(Redirect::to(&format!("{PATH}?done=deleted")).into_response()),
        Err(error) => {
            let message = words(&error);
            let told = Told {
                error: Some(&message),
                sign_in: error.code == ErrorCode::Unauthenticated,
                ..Told::default()
            };
            page(&account, &visit, "", fields.new, told).await
        }
    }
}

type Outcome = Result<Option<NewSecret>, ConnectError>;

async fn create(account: &Account, visit: &Visit, fields: &KeyForm) -> Result<Outcome, Refusal> {
    let (calls, config) = visit.calls(account).await?;
    let (lifetime, no_expiry) = lifetime(&fields.new.lifetime)?;
    let new = &fields.new;
    let request = CreateApiKeyRequest {
        name: new.name.trim().to_owned(),
        access: MessageField::some(Access {
            role: new.role.clone(),
            project: new.project.trim().to_owned(),
            domain: new.domain.trim().to_owned(),
            ..Access::default()
        }),
        lifetime,
        no_expiry,
        ..CreateApiKeyRequest::default()
    };
    Ok(match ApiKeyServiceClient::new(calls, config).create_api_key(request).await {
        Ok(answer) => {
            let answer = answer.into_owned();
            Ok(Some(new_secret(&answer.api_key, answer.client_secret, false)))
        }
        Err(error) => Err(error),
    })
}

async fn rotate(account: &Account, visit: &Visit, fields: &KeyForm) -> Result<Outcome, Refusal> {
    let (calls, config) = visit.calls(account).await?;
    let (lifetime, no_expiry) = lifetime(&fields.new.lifetime)?;
    let request = RotateApiKeyRequest {
        client_id: fields.client_id.clone(),
        overlap: fields.overlap.parse().map_err(|_| Refusal::BadForm)?,
        lifetime,
        no_expiry,
        ..RotateApiKeyRequest::default()
    };
    Ok(match ApiKeyServiceClient::new(calls, config).rotate_api_key(request).await {
        Ok(answer) => {
            let answer = answer.into_owned();
            Ok(Some(new_secret(&answer.api_key, answer.client_secret, true)))
        }
        Err(error) => Err(error),
    })
}

async fn delete(account: &Account, visit: &Visit, fields: &KeyForm) -> Result<Outcome, Refusal> {
    let (calls, config) = visit.calls(account).await?;
    let request = DeleteApiKeyRequest { client_id: fields.client_id.clone(), ..Default::default() };
    match ApiKeyServiceClient::new(calls, config).delete_api_key(request).await {
        Ok(_) => Ok(Ok(None)),
        // Another window has deleted it already.
        Err(error) if error.code == ErrorCode::NotFound => Ok(Ok(None)),
        Err(error) => Ok(Err(error)),
    }
}

fn new_secret(key: &ApiKey, secret: String, rotated: bool) -> NewSecret {
    NewSecret {
        name: key.name.clone(),
        client_id: key.client_id.clone(),
        secret: SecretString::from(secret),
        rotated,
    }
}

/// The message of a failed call as a sentence: the names of fields are those of the form.
fn words(error: &ConnectError) -> String {
    let message = error.message.as_deref().unwrap_or("the server could not do this now; try again later");
    let message = message.replace("access.", "");
    let mut characters = message.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str().trim_end_matches('.'))
}

/// Shows a new secret, once.
pub(crate) async fn show_secret(
    State(account): State<Arc<Account>>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let Some(new) = account.shown_once.take(&visit.who.session.id, account.clock.now()) else {
        return Ok(Redirect::to(&format!("{PATH}?done=seen")).into_response());
    };
    let config = &account.config;
    let portable = portable(config.issuer(), &config.org, &new);
    let view = NewSecretView {
        name: &new.name,
        client_id: &new.client_id,
        secret: new.secret.expose_secret(),
        api_key: portable.expose_secret(),
        rotated: new.rotated,
    };
    Ok(new_secret_page(&visit.headers, &visit.frame(), &view))
}

/// The key as one string for `FLYTE_API_KEY`: host, port, client ID, secret and organization, as the clients read it.
fn portable(issuer: &str, org: &str, new: &NewSecret) -> SecretString {
    let address = issuer.split_once("://").map_or(issuer, |(_, address)| address).trim_end_matches('/');
    let (host, path) = address.find('/').map_or((address, ""), |at| address.split_at(at));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Otherwise the client ID would be read as the port.
    let port = if !host.contains(':') && is_number(&new.client_id) { ":443" } else { "" };
    let org = if org.is_empty() { "None" } else { org };
    let (id, secret) = (&new.client_id, new.secret.expose_secret());
    SecretString::from(BASE64_STANDARD.encode(format!("{host}{port}{path}:{id}:{secret}:{org}")))
}
