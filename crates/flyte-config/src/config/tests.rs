use super::*;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    let environment = Environment {
        variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        directory: "/work".into(),
        home: Some("/home/ada".into()),
    };
    Config::load(Some(&path), &environment)
}

/// The message without the name of the temporary directory.
fn message(text: &str, variables: &[(&str, &str)]) -> String {
    let message = load(text, variables).unwrap_err().to_string();
    let file = format!("{}config.yaml", std::path::MAIN_SEPARATOR);
    message.rsplit_once(&file).map_or(message.clone(), |(_, rest)| format!("config.yaml{rest}"))
}

const FULL: &str = r#"
admin:
  endpoint: dns:///acme.hosted.example.com
  insecure: no
  insecureSkipVerify: true
  caCertFilePath: ~/ca.pem
  authType: device-flow
  command: [uctl, get-token, 1]
  proxyCommand:
    - proxy
    - token
  httpProxyURL: http://ada:hunter2@proxy:3128
  clientId: app
  clientSecretEnvVar: NOT_SET
  scopes: [all, offline]
  tokenStore: file
  disableKeyring: on
console: {endpoint: console.example.com}
task: {org: acme, project: flytesnacks, domain: development}
image:
  builder: remote
  registry: ghcr.io/acme
  image_refs: {gpu: "ghcr.io/acme/gpu:1"}
local: {persistence: true, tracked: false, tracked_strict: true}
"#;

#[test]
fn every_key_is_read() {
    let config = load(FULL, &[]).unwrap();
    let admin = &config.admin;
    assert_eq!(admin.endpoint.as_ref().unwrap().url().as_str(), "https://acme.hosted.example.com/");
    assert!(!admin.insecure && admin.insecure_skip_verify && admin.disable_keyring);
    assert_eq!(admin.ca_cert_file_path.as_deref(), Some(Path::new("/home/ada/ca.pem")));
    assert_eq!(admin.auth_type, AuthType::DeviceFlow);
    assert_eq!(admin.store_kind(), Some(StoreKind::File), "more is said by it than by disableKeyring");
    assert_eq!(admin.command, ["uctl", "get-token", "1"]);
    assert_eq!(admin.proxy_command, ["proxy", "token"]);
    assert_eq!(admin.http_proxy_url.as_ref().unwrap().port(), Some(3128));
    assert_eq!(admin.client_id.as_deref(), Some("app"));
    assert_eq!(admin.scopes, ["all", "offline"]);
    assert_eq!(config.console.endpoint.as_ref().unwrap().authority(), "console.example.com");
    assert_eq!(config.task.project.as_deref(), Some("flytesnacks"));
    assert_eq!(config.image.image_refs["gpu"], "ghcr.io/acme/gpu:1");
    assert!(config.local.persistence && !config.local.tracked && config.local.tracked_strict);
    assert_eq!(config.unknown_keys, []);
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn variables_override_and_are_converted() {
    let config = load(
        FULL,
        &[
            ("FLYTE_ADMIN_ENDPOINT", "localhost:8443"),
            ("FLYTE_ADMIN_INSECURE", "false"),
            ("FLYTE_ADMIN_INSECURESKIPVERIFY", "0"),
            ("FLYTE_AUTH_TYPE", "PKCE"),
            ("FLYTE_ADMIN_AUTHTYPE", "ExternalCommand"),
            ("FLYTE_ADMIN_COMMAND", "get-token --for 'a b'"),
            ("FLYTE_ADMIN_PROXYCOMMAND", r#"["x", "y z"]"#),
            ("FLYTE_ADMIN_SCOPES", "one, two three"),
            ("FLYTE_TASK_PROJECT", "42"),
            ("FLYTE_TASK_DOMAIN", ""),
            ("FLYTE_IMAGE_IMAGE_REFS", r#"{"a": "b"}"#),
            ("FLYTE_LOCAL_TRACKED", "Yes"),
        ],
    )
    .unwrap();
    assert_eq!(config.admin.endpoint.unwrap().authority(), "localhost:8443");
    assert!(!config.admin.insecure && !config.admin.insecure_skip_verify);
    assert_eq!(config.admin.auth_type, AuthType::Pkce);
    assert_eq!(config.admin.command, ["get-token", "--for", "a b"]);
    assert_eq!(config.admin.proxy_command, ["x", "y z"]);
    assert_eq!(config.admin.scopes, ["one", "two", "three"]);
    assert_eq!(config.task.project.as_deref(), Some("42"));
    assert_eq!(config.task.domain.as_deref(), Some("development"));
    assert_eq!(config.image.image_refs["a"], "b");
    assert!(config.local.tracked);
}

#[test]
fn variables_apply_without_a_file() {
    let variables = [("FLYTE_ADMIN_ENDPOINT".to_owned(), "localhost".to_owned())].into();
    let environment = Environment { variables, directory: "/nowhere".into(), home: None };
    let config = Config::load(None, &environment).unwrap();
    assert_eq!(config.admin.endpoint.unwrap().authority(), "localhost");
    assert_eq!(config.source, None);
}

#[test]
fn a_place_for_a_secret_implies_client_credentials() {
    let text = "admin:\n  clientSecretEnvVar: MY_SECRET\n";
    assert_eq!(load(text, &[]).unwrap().admin.auth_type, AuthType::Pkce);
    assert_eq!(load(text, &[("MY_SECRET", "x")]).unwrap().admin.auth_type, AuthType::ClientSecret);
    let text = "admin:\n  clientSecretLocation: /run/secret\n";
    assert_eq!(load(text, &[]).unwrap().admin.auth_type, AuthType::ClientSecret);
}

#[test]
fn insecure_reaches_the_endpoint() {
    let config = load("admin:\n  endpoint: localhost:30080\n  insecure: true\n", &[]).unwrap();
    assert_eq!(config.admin.endpoint.unwrap().url().as_str(), "http://localhost:30080/");
}

#[test]
fn null_and_empty_count_as_unset() {
    for text in ["", "# nothing\n", "admin:\n", "admin: ~\ntask:\n  org:\n  project: ''\n"] {
        let config = load(text, &[]).unwrap();
        assert!(config.admin.endpoint.is_none() && config.task.project.is_none(), "{text:?}");
    }
}

#[test]
fn mistakes_name_file_line_column_and_key() {
    for (text, expected) in [
        (
            "admin:\n  insecure: maybe\n",
            r#"config.yaml:2:13: admin.insecure has to be true or false, not "maybe""#,
        ),
        (
            "admin:\n  insecure: 'false'\n",
            r#"config.yaml:2:13: admin.insecure has to be true or false, not the quoted text "false""#,
        ),
        (
            "task:\n  project: 42\n",
            "config.yaml:2:12: task.project has to be text, not 42; put it in quotes if you mean the text",
        ),
        ("task:\n  org: [a]\n", "config.yaml:2:8: task.org has to be text, not a list"),
        ("admin:\n  scopes: all\n", r#"config.yaml:2:11: admin.scopes has to be a list of words, not "all""#),
        ("admin: yes\n", r#"config.yaml:1:8: admin has to be a mapping of keys to values, not "yes""#),
        ("- a\n", "config.yaml:1:1: a configuration is a mapping of sections, for example admin: and task:"),
    ] {
        assert_eq!(message(text, &[]), expected);
    }
    let endpoint = message("admin:\n  endpoint: ftp://host\n", &[]);
    assert!(
        endpoint.starts_with("config.yaml:2:13: admin.endpoint cannot be used: the endpoint has"),
        "{endpoint}"
    );
    let mode = message("admin:\n  authType: oauth\n", &[]);
    assert!(mode.starts_with("config.yaml:2:13: admin.authType cannot be used: \"oauth\""), "{mode}");
    let malformed = message("admin:\n  endpoint: [a\ntask: b\n", &[]);
    assert!(malformed.contains("config.yaml:") && malformed.contains("not valid YAML"), "{malformed}");
}

#[test]
fn mistakes_in_variables_name_the_variable() {
    let error = load("", &[("FLYTE_ADMIN_INSECURE", "maybe")]).unwrap_err();
    let expected =
        r#"environment variable FLYTE_ADMIN_INSECURE: admin.insecure has to be true or false, not "maybe""#;
    assert_eq!(error.to_string(), expected);
    for (name, value) in
        [("FLYTE_ADMIN_COMMAND", "a 'b"), ("FLYTE_ADMIN_SCOPES", "[1"), ("FLYTE_IMAGE_IMAGE_REFS", "x")]
    {
        assert!(message("", &[(name, value)]).contains(name));
    }
    let error = message("", &[("FLYTE_ADMIN_HTTPPROXYURL", "ftp://ada:hunter2@proxy")]);
    assert!(error.contains("FLYTE_ADMIN_HTTPPROXYURL") && !error.contains("hunter2"), "{error}");
}

#[test]
fn unknown_keys_are_listed() {
    let config = load("admin:\n  clientSecret: x\n  retries: 3\nlogger:\n  level: 5\n", &[]).unwrap();
    let listed: Vec<_> = config.unknown_keys.iter().map(|unknown| unknown.key.as_str()).collect();
    assert_eq!(listed, ["admin.clientSecret", "admin.retries", "logger"]);
    assert!(config.unknown_keys[0].to_string().contains("take it out"));
    assert!(!config.unknown_keys[1].to_string().contains("take it out"));
    let config = load("admin:\n  endpont: x\n  clientid: y\n  retries: 3\n", &[]).unwrap();
    let meant: Vec<_> =
        config.unknown_keys.iter().map(|unknown| unknown.meant().map(ToString::to_string)).collect();
    assert_eq!(meant, [Some("admin.endpoint".to_owned()), Some("admin.clientId".to_owned()), None]);
    assert!(config.unknown_keys[0].to_string().contains("Is admin.endpoint meant?"));
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    std::fs::write(&path, [0xff, 0xfe, 0x00]).unwrap();
    let error = Config::load(Some(&path), &Environment::default()).unwrap_err();
    assert!(error.to_string().contains("UTF-8"), "{error}");
}

#[test]
fn where_tokens_are_kept_is_one_of_three_words() {
    let kind = |text: &str, variables: &[(&str, &str)]| {
        load(text, variables).map(|config| config.admin.store_kind())
    };
    assert_eq!(kind("admin: {}\n", &[]).unwrap(), None);
    assert_eq!(kind("admin: {disableKeyring: true}\n", &[]).unwrap(), Some(StoreKind::Memory));
    let variable = [("FLYTE_TOKEN_STORE", "Keyring")];
    assert_eq!(kind("admin: {tokenStore: memory}\n", &variable).unwrap(), Some(StoreKind::Keyring));
    let error = kind("admin:\n  tokenStore: plain\n", &[]).unwrap_err().to_string();
    assert!(error.contains("admin.tokenStore") && error.contains("use keyring, file or memory"), "{error}");
}
