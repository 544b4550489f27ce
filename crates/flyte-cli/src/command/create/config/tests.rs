use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};
use crate::command::create;

fn arguments(line: &str) -> Arguments {
    let words = ["flyte", "create", "config"].into_iter().chain(line.split(' '));
    match Cli::try_parse_from(words).unwrap().command {
        Command::Create(create::Command::Config(arguments)) => arguments,
        other => panic!("{other:?}"),
    }
}

/// Applies a command line to a text.
fn apply(text: &str, line: &str) -> String {
    let mut document = Document::parse(text.to_owned(), Path::new("config.yaml")).unwrap();
    let (arguments, environment) = (arguments(line), Environment::current().unwrap());
    let sign_in = SignIn::of(&arguments, &environment).unwrap();
    fill_in(&mut document, &arguments, &sign_in, None, !text.is_empty()).unwrap();
    document.text().to_owned()
}

#[test]
fn new_file_is_the_documented_one() {
    insta::assert_snapshot!(apply("", "--endpoint https://acme.hosted.example.com"), @r"
    admin:
      endpoint: dns:///acme.hosted.example.com
    image:
      builder: local
    task:
      org: acme
    ");
    insta::assert_snapshot!(apply("", "--endpoint http://acme.hosted.example.com/ --auth-type headless -p p -d d"), @r"
    admin:
      authType: DeviceFlow
      endpoint: dns:///acme.hosted.example.com
    image:
      builder: local
    task:
      domain: d
      org: acme
      project: p
    ");
    insta::assert_snapshot!(apply("", "--devbox --local-persistence --local-tracked --registry ghcr.io/acme"), @r"
    admin:
      endpoint: dns:///localhost:30080
      insecure: true
    image:
      builder: local
      registry: ghcr.io/acme
    local:
      persistence: true
      tracked: true
    task:
      domain: development
      project: flytesnacks
    ");
    insta::assert_snapshot!(apply("", "--endpoint 127.0.0.1:8443 --insecure-skip-verify --builder remote"), @r"
    admin:
      endpoint: dns:///127.0.0.1:8443
      insecureSkipVerify: true
    image:
      builder: remote
    ");
}

const EXISTING: &str = "\
# ours
admin:
  authType: DeviceFlow # terminal only
  caCertFilePath: /etc/ca.pem
  endpoint: dns:///acme.hosted.example.com
  insecureSkipVerify: true
image:
  builder: remote # no Docker here
  image_refs: {gpu: ghcr.io/acme/gpu}
plugin:
  key: value
task:
  org: acme
  project: mine
";

#[test]
fn switching_the_mode_keeps_other_settings() {
    let there = apply(EXISTING, "--endpoint acme.hosted.example.com --auth-type pkce");
    assert_eq!(there, EXISTING.replace("authType: DeviceFlow", "authType: Pkce"));
    let back = apply(&there, "--endpoint acme.hosted.example.com --auth-type headless");
    assert_eq!(back, EXISTING);
    let default = apply(EXISTING, "--endpoint acme.hosted.example.com");
    assert_eq!(default, EXISTING.replace("authType: DeviceFlow # terminal only", "# terminal only"));
}

#[test]
fn new_server_gets_its_own_organization_and_certificate_check() {
    let moved = apply(EXISTING, "--endpoint localhost:8443 --auth-type headless");
    let expected = EXISTING
        .replace("dns:///acme.hosted.example.com", "dns:///localhost:8443")
        .replace("  caCertFilePath: /etc/ca.pem\n", "")
        .replace("  insecureSkipVerify: true\n", "")
        .replace("  org: acme\n", "");
    assert_eq!(moved, expected);
    let custom = EXISTING.replace("org: acme", "org: special");
    assert!(apply(&custom, "--endpoint localhost:8443").contains("org: special"));
    assert!(apply(&custom, "--endpoint acme.hosted.example.com").contains("org: special"));
    assert!(apply(&custom, "--endpoint other.hosted.example.com").contains("org: other"));
}

#[test]
fn plain_http_is_turned_off() {
    let devbox = apply("", "--devbox");
    assert!(devbox.contains("insecure: true"));
    assert!(!apply(&devbox, "--endpoint acme.hosted.example.com").contains("insecure"));
    let flow = apply("admin: {insecure: true, authType: DeviceFlow}\n", "--endpoint localhost");
    assert_eq!(flow, "admin: {insecure: false, authType: Pkce, endpoint: dns:///localhost}\n");
}

#[test]
fn other_settings_are_kept() {
    assert_eq!(apply(EXISTING, "--project other"), EXISTING.replace("project: mine", "project: other"));
}

#[test]
fn every_spelling_of_the_mode_works() {
    for word in ["headless", "device-flow", "device_flow", "DeviceFlow", "HEADLESS"] {
        assert!(apply("", &format!("--auth-type {word}")).contains("authType: DeviceFlow\n"), "{word}");
    }
    for word in ["client-secret", "client_secret", "clientsecret", "app-credential", "app_credential"] {
        assert!(apply("", &format!("--auth-type {word}")).contains("authType: ClientSecret\n"), "{word}");
    }
    for word in ["external-command", "external_command", "externalcommand", "command", "custom"] {
        assert!(apply("", &format!("--auth-type {word}")).contains("authType: ExternalCommand\n"), "{word}");
    }
}

#[test]
fn client_and_command_are_written_and_replaced_by_another_mode() {
    let client = apply("", "--endpoint acme.example.com --client-id ci --client-secret-env-var CI_SECRET");
    insta::assert_snapshot!(client, @r"
    admin:
      authType: ClientSecret
      clientId: ci
      clientSecretEnvVar: CI_SECRET
      endpoint: dns:///acme.example.com
    image:
      builder: local
    task:
      org: acme
    ");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let other = apply(&client, &format!("--client-secret-file {file}"));
    assert!(other.contains(&format!("clientSecretLocation: {file}")) && !other.contains("EnvVar"), "{other}");
    // A setting for a secret implies ClientSecret, so it must be removed.
    for line in ["--auth-type headless", "--endpoint acme.example.com"] {
        let person = apply(&other, line);
        assert!(!person.contains("clientSecret") && !person.contains("ClientSecret"), "{person}");
    }
    let mut words = vec!["flyte", "create", "config"];
    words.extend(["--command", "gcloud auth 'print access'"]);
    let Command::Create(create::Command::Config(arguments)) = Cli::try_parse_from(words).unwrap().command
    else {
        panic!("another command");
    };
    let sign_in = SignIn::of(&arguments, &Environment::default()).unwrap();
    let mut document = Document::parse(String::new(), Path::new("config.yaml")).unwrap();
    fill_in(&mut document, &arguments, &sign_in, None, false).unwrap();
    assert!(
        document.text().contains("  authType: ExternalCommand\n  command: [gcloud, auth, 'print access']\n"),
        "{}",
        document.text()
    );
}

#[test]
fn contradicting_ways_to_sign_in_are_refused() {
    for line in [
        "--auth-type pkce --client-secret-env-var X",
        "--auth-type headless --command x",
        "--client-secret-env-var X --command x",
        "--client-secret-file /nowhere/at/all",
    ] {
        assert!(SignIn::of(&arguments(line), &Environment::default()).is_err(), "{line}");
    }
}
