use std::path::Path;

use super::*;
use crate::TlsSource;

fn flags(settings: &[(&'static str, &str)]) -> Flags {
    Flags { file: None, settings: settings.iter().map(|(k, v)| (*k, (*v).to_owned())).collect() }
}

fn home() -> Environment {
    Environment::from([("HOME", "/home/ada")])
}

fn message(result: Result<Loaded, Vec<ConfigError>>) -> String {
    result.unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn without_settings_the_defaults_apply() {
    let config = load(&Flags::default(), &home()).unwrap().config;
    assert_eq!(config.public_url.as_str(), "https://localhost:8443/");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8443");
    assert_eq!(config.data_dir, Path::new("/home/ada/.local/share/flyte-server"));
    assert_eq!(config.tls.source, TlsSource::LocalAuthority);
    assert_eq!(config.tokens.access_token_ttl, 3600);
}

#[test]
fn every_default_is_a_valid_value() {
    for setting in ALL {
        if let Default::Value(text) = setting.default() {
            let canonical = setting.canonical(text).unwrap();
            assert_eq!(setting.canonical(&canonical), Ok(canonical), "{}", setting.key());
        }
    }
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.toml");
    std::fs::write(&path, "org = \"file\"\nlisten = \"127.0.0.1:1\"\ndata-dir = \"data\"\n").unwrap();
    let environment = Environment::from([
        ("HOME", "/home/ada"),
        ("FLYTE_SERVER_ORG", "environment"),
        ("FLYTE_SERVER_LISTEN", "127.0.0.1:2"),
        ("FLYTE_SERVER_SESSION_TTL", ""),
    ]);
    let mut flags = flags(&[("listen", "127.0.0.1:3")]);
    flags.file = Some(path.clone());
    let loaded = load(&flags, &environment).unwrap();
    assert_eq!(loaded.config.org, "environment");
    assert_eq!(loaded.config.listen.port(), 3);
    assert_eq!(loaded.config.public_url.as_str(), "https://localhost:3/");
    assert_eq!(loaded.config.data_dir, directory.path().join("data"));
    let origin = |key| loaded.effective().into_iter().find(|(s, ..)| s.key() == key).unwrap().2;
    assert_eq!(origin("listen"), Origin::Flag("listen"));
    assert_eq!(origin("org"), Origin::Environment("FLYTE_SERVER_ORG".to_owned()));
    assert_eq!(origin("data-dir"), Origin::File { path, line: 3 });
    assert_eq!(origin("session.ttl"), Origin::Default);
}

#[test]
fn a_requested_file_must_exist() {
    let flags = Flags { file: Some("/nowhere/s.toml".into()), ..Flags::default() };
    assert!(message(load(&flags, &home())).starts_with("/nowhere/s.toml: cannot read"));
}

#[test]
fn plaintext_on_a_public_address_needs_permission() {
    let open = flags(&[("tls.mode", "off"), ("listen", "0.0.0.0:80")]);
    assert!(message(load(&open, &home())).contains("--allow-plaintext"));
    let mut allowed = open;
    allowed.settings.insert("tls.allow-plaintext", "true".to_owned());
    assert!(load(&allowed, &home()).is_ok());
    let local = load(&flags(&[("tls.mode", "off")]), &home()).unwrap();
    assert_eq!(local.config.public_url.as_str(), "http://localhost:8443/");
}

#[test]
fn contradictions_are_rejected() {
    for settings in [
        &[("tls.certificate-file", "/c.pem")][..],
        &[("tls.mode", "off"), ("tls.key-file", "/k.pem")],
        &[("public-url", "http://localhost:8443/")],
        &[("tokens.access-token-ttl", "2h"), ("tokens.refresh-token-ttl", "1h")],
    ] {
        // Some of these settings have no flag, so all come from the environment here.
        let variables = settings.iter().map(|(key, value)| {
            let setting = ALL.iter().find(|setting| setting.key() == *key).unwrap();
            (setting.variable(), (*value).to_owned())
        });
        let mut environment = home();
        environment.0.extend(variables);
        assert!(load(&Flags::default(), &environment).is_err(), "{settings:?}");
    }
}

#[test]
fn a_public_url_is_an_origin() {
    for url in ["ftp://a/", "https://a/flyte", "https://a/?q", "http://flyte.example.org/", "https://u:p@a/"]
    {
        assert!(message(load(&flags(&[("public-url", url)]), &home())).contains("--public-url"), "{url}");
    }
}

#[test]
fn a_backend_has_settings_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.toml");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        load(&Flags { file: Some(path.clone()), ..Flags::default() }, &home())
    };
    let upstream = read("upstream.url = \"http://b:8090\"").unwrap().config.upstream.unwrap();
    assert_eq!((upstream.url.as_str(), upstream.clusters.len()), ("http://b:8090/", 0));
    let upstream = "[upstream]\nurl = \"https://b\"\nclusters = [\"gpu=https://g\", \"eu.example.org=http://e\"]\n\
                    certificate-file = \"/c.pem\"\nkey-file = \"/k.pem\"";
    let upstream = read(upstream).unwrap().config.upstream.unwrap();
    assert_eq!(upstream.identity.unwrap().key, Path::new("/k.pem"));
    let hosts: Vec<_> = upstream.clusters.iter().map(|cluster| cluster.host("flyte.example.org")).collect();
    assert_eq!(hosts, ["gpu.flyte.example.org", "eu.example.org"]);
    for (wrong, word) in [
        ("kubernetes.enabled = true", "\"upstream.url\""),
        ("upstream.url = \"http://b\"\nkubernetes.audience = \"a\"", "\"kubernetes.enabled\""),
        ("upstream.url = \"http://b\"\nkubernetes.enabled = true\nkubernetes.namespaces = [\"a/b\"]", "a/b"),
        (
            "upstream.url = \"http://b\"\nkubernetes.enabled = true\nkubernetes.verification = \"no\"",
            "token-review",
        ),
        ("upstream.health-path = \"/\"", "\"upstream.url\""),
        ("upstream.url = \"http://b\"\nrunner.max-tasks = 3", "\"runner.max-tasks\""),
        ("upstream.url = \"http://b\"\nobjects.url = \"s3://b\"", "\"objects.url\""),
        ("upstream.url = \"https://b\"\nupstream.key-file = \"/k\"", "belong together"),
        ("upstream.url = \"http://b\"\nupstream.authority-file = \"/a\"", "not encrypted"),
        (
            "[upstream]\nurl = \"http://b\"\nclusters = [\"gpu=http://g\"]\napps = [\"*.a.example.org=http://k\"]",
            "*.a.example.org@CLUSTER",
        ),
        ("upstream.url = \"http://b\"\nupstream.apps = [\"*.a@gpu=http://k\"]", "\"gpu\""),
        ("upstream.url = \"http://b/path\"", "http://flyte-binary-http.flyte:8090"),
    ] {
        let message = message(read(wrong));
        assert!(message.contains(word), "{wrong}: {message}");
    }
}
