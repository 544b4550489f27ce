//! What every backend must do, run on each of them. A new backend adds one line to [`contract!`].

mod account;
mod api_key;
mod app;
mod audit;
mod cache;
mod device;
mod grant;
mod project;
mod revocation;
mod run;
mod signing_key;
mod task;
mod trigger;
mod trust;
mod turns;

use std::sync::Arc;

use tempfile::TempDir;

use super::{
    AuthorizationCode, BrowserSession, Client, ClientKind, NewRefreshToken, SecretHash, Store, User,
    sqlite::SqliteStore,
};

/// A backend under test, and what it lies in.
struct Backend {
    store: Arc<dyn Store>,
    _directory: Option<TempDir>,
}

impl std::ops::Deref for Backend {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

fn in_memory() -> Backend {
    Backend { store: Arc::new(SqliteStore::in_memory().unwrap()), _directory: None }
}

fn on_file() -> Backend {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("flyte.db")).unwrap();
    Backend { store: Arc::new(store), _directory: Some(directory) }
}

/// Runs each function of this module, which takes a [`Backend`], on all backends.
macro_rules! contract {
    ($($test:ident),* $(,)?) => {
        mod sqlite_in_memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::store::contract::in_memory()).await; })*
        }
        mod sqlite_on_file {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::store::contract::on_file()).await; })*
        }
    };
}
use contract;

const NOW: i64 = 1_800_000_000;

/// A hash that differs for each name.
fn hash(name: &str) -> SecretHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes()).as_ref());
    hash
}

fn user(name: &str) -> User {
    User {
        id: format!("id-{name}"),
        email: format!("{name}@example.com"),
        name: name.to_owned(),
        password_hash: Some("$hash".to_owned()),
        admin: name == "admin",
        created_at: NOW,
        disabled_at: None,
    }
}

fn session(name: &str, user: &str, expires_at: i64) -> BrowserSession {
    BrowserSession {
        id: format!("session-{name}"),
        cookie_hash: hash(&format!("cookie-{name}")),
        user_id: format!("id-{user}"),
        authenticated_at: NOW,
        expires_at,
    }
}

/// The account `name`, signed in at a browser.
async fn sign_in(store: &Backend, name: &str) {
    store.create_user(&user(name)).await.unwrap();
    assert!(store.create_session(&session(name, name, i64::MAX), Some("$hash")).await.unwrap());
}

fn client(id: &str) -> Client {
    Client {
        id: id.to_owned(),
        name: id.to_uppercase(),
        kind: ClientKind::Confidential,
        secret_hash: Some(hash("secret")),
        jwks: Some("{}".to_owned()),
        redirect_uris: vec!["http://127.0.0.1/cb".to_owned()],
        post_logout_redirect_uris: vec!["http://127.0.0.1/bye".to_owned()],
        grant_types: vec!["authorization_code".to_owned()],
        scopes: vec!["openid".to_owned(), "all".to_owned()],
        first_party: true,
        may_keep_api_keys: true,
        id_token_signed_response_alg: Some("RS256".to_owned()),
        created_at: NOW,
    }
}

/// A code of Ada's for the client `flyte`, good for a minute.
fn code(name: &str) -> AuthorizationCode {
    AuthorizationCode {
        code_hash: hash(&format!("code-{name}")),
        family_id: format!("family-{name}"),
        client_id: "flyte".to_owned(),
        user_id: "id-ada".to_owned(),
        session_id: "session-ada".to_owned(),
        authenticated_at: NOW - 5,
        redirect_uri: "http://localhost:53593/callback".to_owned(),
        code_challenge: "challenge".to_owned(),
        scopes: vec!["openid".to_owned(), "all".to_owned()],
        audience: Some("https://localhost:8443".to_owned()),
        nonce: Some("n".to_owned()),
        expires_at: NOW + 60,
    }
}

/// A refresh token good for an hour.
fn token(name: &str) -> NewRefreshToken {
    NewRefreshToken { token_hash: hash(name), expires_at: NOW + 3600 }
}
