use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flyte_auth::api_key::ApiKeyError;
use flyte_auth::flows::external_command::CommandFailure;
use flyte_auth::http::{Target, TrustSetting};
use flyte_auth::oauth::ClientId;
use flyte_auth::store::StoreError;
use flyte_auth::{Absence, AuthError, ConnectFailure, Intermediary};
use flyte_client::upload::UploadError;
use flyte_client::{ClientError, DecidingRule};
use flyte_config::{ConfigError, NamedBy, Origin};

use crate::{Hint, resource, unreachable};

fn hint(error: &impl Hint) -> String {
    error.hint().unwrap_or_default()
}

#[track_caller]
fn assert_hint(error: &impl Hint, expected: &str) {
    let hint = hint(error);
    assert!(hint.contains(expected), "{hint:?} does not contain {expected:?}");
}

fn control_plane(trust: TrustSetting) -> Target {
    Target::ControlPlane { address: "https://localhost:8443".into(), trust }
}

#[test]
fn sign_in_errors_name_the_command_that_helps() {
    let endpoint = || "flyte.example.com".to_owned();
    let refused = |code: &str| AuthError::Refused { code: code.into(), description: None };
    for (error, expected) in [
        (
            AuthError::LoginRequired { endpoint: endpoint(), absence: Absence::NoTerminal },
            "Run `flyte auth login`",
        ),
        (AuthError::LoginRequired { endpoint: endpoint(), absence: Absence::Job("CI") }, "FLYTE_API_KEY"),
        (AuthError::SessionEnded { endpoint: endpoint(), reason: None }, "Run `flyte auth login`"),
        (refused("access_denied"), "`flyte auth login` to try again"),
        (refused("invalid_scope"), "admin.scopes"),
        (AuthError::NoDeviceFlow { issuer: "i".into() }, "`flyte auth login --auth-type pkce`"),
        (AuthError::CodeEnded { reason: "the code expired" }, "new code"),
        (AuthError::WrongEndpoint { url: "u".into(), answer: "a".into() }, "not the web console's"),
        (
            AuthError::Discovery { url: "u".into(), reason: "r".into() },
            "`flyte create config --endpoint HOST`",
        ),
        (AuthError::UnsupportedAuthType { auth_type: "x".into() }, "--auth-type pkce"),
        (AuthError::CaFile { path: "ca.pem".into(), reason: "r".into() }, "--ca-cert-file FILE"),
        (AuthError::ClockSkew { seconds: 90, ahead: true }, "timedatectl"),
        (AuthError::Proxy { setting: "HTTPS_PROXY", reason: "r".into() }, "Correct HTTPS_PROXY"),
        (
            AuthError::CallbackPort { port: 53593, source: Arc::new(std::io::ErrorKind::AddrInUse.into()) },
            "port 53593",
        ),
    ] {
        assert_hint(&error, expected);
    }
}

#[test]
fn machines_are_referred_to_their_credentials() {
    let endpoint = || "flyte.example.com".to_owned();
    let client_refused = AuthError::ClientRefused {
        endpoint: endpoint(),
        client_id: ClientId::parse("ci").unwrap(),
        code: "invalid_client".into(),
        description: None,
    };
    assert_hint(&client_refused, "`flyte create api-key NAME`");
    let exchange = AuthError::ExchangeRefused { endpoint: endpoint(), code: "c".into(), description: None };
    assert_hint(&exchange, "`flyte create trust`");
    let audience = AuthError::IdTokenAudience {
        location: "l".into(),
        found: "f".into(),
        wanted: "https://flyte".into(),
    };
    assert_hint(&audience, "`aud: https://flyte`");
    let command = |failure| AuthError::Command { program: "p".into(), setting: "admin.command", failure };
    assert_hint(&command(CommandFailure::Missing), "--command '...'");
    assert_hint(&command(CommandFailure::Empty), "Run the command of admin.command by hand");
    assert_hint(&ApiKeyError::Flyte1, "Create a key for this control plane");
    assert_hint(&ApiKeyError::LostEnd, "Copy the whole key again");
    assert_hint(&AuthError::ApiKey(ApiKeyError::LostEnd), "Copy the whole key again");
}

#[test]
fn times_are_written_for_the_reader() {
    let busy = |retry_after| AuthError::Busy { url: "u".into(), status: 503, retry_after };
    assert_hint(&busy(Some(7)), "Try again in 7 seconds");
    assert_hint(&busy(None), "Try again later");
    let step_up = |max_age, tried| AuthError::StepUpRequired {
        endpoint: "e".into(),
        wanted: "w".into(),
        max_age,
        tried,
    };
    assert_hint(&step_up(Some(Duration::from_secs(900)), false), "--max-age 15m`");
    assert_hint(&step_up(Some(Duration::from_secs(30)), false), "--max-age 30s`");
    assert_hint(&step_up(None, false), "`flyte auth login` to try again");
    assert_hint(&step_up(Some(Duration::from_secs(900)), true), "administrator");
}

#[test]
fn an_unknown_authority_can_be_trusted_as_the_process_is_configured() {
    let failure = ConnectFailure::UnknownAuthority;
    let by_configuration = unreachable(&control_plane(TrustSetting::Configuration), &failure).unwrap();
    assert!(
        by_configuration
            .contains("`flyte create config --endpoint https://localhost:8443 --ca-cert-file FILE`")
            && by_configuration.contains("ca.pem on its page https://localhost:8443/"),
        "{by_configuration}"
    );
    let by_variable = unreachable(&control_plane(TrustSetting::Variable), &failure).unwrap();
    assert!(by_variable.contains("`export SSL_CERT_FILE=FILE`"), "{by_variable}");
    let other = unreachable(&Target::Other, &failure).unwrap();
    assert!(other.contains("admin.caCertFilePath"), "{other}");
}

#[test]
fn connection_failures_say_what_to_check() {
    for (failure, expected) in [
        (ConnectFailure::Refused, "HOST:PORT"),
        (ConnectFailure::UnknownHost, "DNS"),
        (ConnectFailure::TimedOut, "VPN"),
        (ConnectFailure::CertificateExpired, "renewed"),
        (ConnectFailure::CertificateNotYetValid, "clock"),
        (ConnectFailure::AuthorityCertificate, "CA:FALSE"),
        (ConnectFailure::CertificateName, "the name that the certificate is for"),
        (ConnectFailure::NotTls, "--insecure"),
    ] {
        assert_hint(&failure, expected);
        assert_eq!(unreachable(&control_plane(TrustSetting::Configuration), &failure), failure.hint());
    }
    assert!(ConnectFailure::Other("x".into()).hint().is_none());
    let other = |failure| unreachable(&Target::Other, &failure).unwrap();
    assert!(other(ConnectFailure::Refused).contains("administrator"));
    assert!(other(ConnectFailure::CertificateName).contains("another name"));
    assert_eq!(Some(other(ConnectFailure::TimedOut)), ConnectFailure::TimedOut.hint());
}

#[test]
fn what_is_in_front_of_the_server_is_named_by_its_status() {
    let hint_of = |status, words: &str, retry_after| {
        let words = (!words.is_empty()).then(|| words.to_owned());
        hint(&Intermediary { status, server: None, words, retry_after })
    };
    for (status, words, expected) in [
        (400, "Client sent an HTTP request to an HTTPS server.", "leave out --insecure"),
        (400, "The plain HTTP request was sent to HTTPS port", "leave out --insecure"),
        (400, "Request Header Or Cookie Too Large", "larger request headers"),
        (400, "", "larger request headers"),
        (401, "", "admin.proxyCommand"),
        (403, "", "VPN"),
        (407, "", "HTTPS_PROXY"),
        (413, "", "larger requests"),
        (431, "", "larger request headers"),
        (502, "", "cannot reach it. Try again later."),
        (500, "", "Try again later."),
        (511, "", "open any web page"),
    ] {
        let hint = hint_of(status, words, None);
        assert!(hint.contains(expected), "{status} {words}: {hint}");
    }
    assert!(hint_of(503, "", Some(9)).contains("Try again in 9 seconds."));
    assert_eq!(hint_of(400, "bad input", None), "");
    assert_eq!(hint_of(404, "", None), "");
}

#[test]
fn stores_that_do_not_work_can_be_replaced() {
    assert_hint(&StoreError::NoKeyring, "--token-store file");
    assert_hint(&StoreError::NoHome, "FLYTE_TOKEN_STORE=memory");
    let path = PathBuf::from("/home/ada/.local/share/flyte/tokens");
    assert_hint(&StoreError::DiskFull { path: path.clone() }, "`df -h /home/ada/.local/share/flyte`");
    assert_hint(&StoreError::Permissions { path }, "Move /home/ada/.local/share/flyte/tokens away");
    assert_hint(&AuthError::Store(StoreError::NoKeyring), "--token-store file");
}

#[test]
fn calls_refer_to_the_list_of_their_resource() {
    let message = || "no".to_owned();
    let not_found = ClientError::NotFound { message: message() };
    assert_eq!(not_found.hint(), None, "the kind of resource is not known");
    assert_eq!(resource(&not_found, "task").unwrap(), "List what there is: flyte get task");
    let exists = ClientError::AlreadyExists { message: message() };
    assert!(resource(&exists, "api-key").unwrap().ends_with("flyte get api-key"));
    let rule = DecidingRule { name: "role".into(), rpc: "a.B/C".into() };
    let decided = ClientError::PermissionDenied { message: message(), rule: Some(Box::new(rule)) };
    assert_eq!(
        decided.hint().unwrap(),
        "The rule that decided is \"role\". All rules: flyte auth can-i a.B/C"
    );
    let denied = ClientError::PermissionDenied { message: message(), rule: None };
    assert_eq!(resource(&denied, "task"), denied.hint());
    assert_hint(&denied, "flyte whoami");
    let upload = UploadError::Client(denied);
    assert_hint(&upload, "flyte whoami");
    let read = UploadError::Read { path: "x".into(), reason: message() };
    assert_hint(&read, "readable");
}

#[test]
fn configuration_errors_refer_to_the_setting() {
    let missing = |named_by| ConfigError::Missing { path: "x".into(), named_by };
    assert_hint(&missing(NamedBy::Caller), "Correct or remove --config");
    assert_hint(&missing(NamedBy::Variable("UCTL_CONFIG")), "Correct or remove UCTL_CONFIG");
    let value = |origin| ConfigError::Value { origin, key: "admin.insecure".into(), reason: "r".into() };
    assert_hint(&value(Origin::Variable("FLYTE_ADMIN_INSECURE".into())), "unset FLYTE_ADMIN_INSECURE");
    let file = Origin::File { path: "config.yaml".into(), line: 1, column: 1 };
    assert_hint(&value(file), "Correct that line of config.yaml");
}
