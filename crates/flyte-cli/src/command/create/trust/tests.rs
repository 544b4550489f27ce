use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};
use crate::command::create;

fn parse(line: &str) -> Result<Arguments, String> {
    let words = ["flyte", "create", "trust"].into_iter().chain(line.split(' '));
    match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
        Command::Create(create::Command::Trust(arguments)) => Ok(arguments),
        other => panic!("{other:?}"),
    }
}

fn rule(line: &str) -> NewTrust {
    parse(line).unwrap().rule("https://flyte.example.com").unwrap()
}

fn claims(rule: &NewTrust) -> Vec<(&str, &str)> {
    rule.claims.iter().map(|(name, pattern)| (name.as_str(), pattern.as_str())).collect()
}

#[test]
fn github_rule_names_the_repository() {
    let rule = rule("deploy --github acme/app --ref refs/heads/main --environment production -p flytesnacks");
    assert_eq!(rule.issuer, "https://token.actions.githubusercontent.com");
    assert_eq!(rule.audience, "https://flyte.example.com");
    assert_eq!(
        claims(&rule),
        [("environment", "production"), ("ref", "refs/heads/main"), ("repository", "acme/app")]
    );
    assert_eq!((&*rule.access.role, &*rule.access.project), ("contributor", "flytesnacks"));
}

#[test]
fn gitlab_rule_names_the_project() {
    let gitlab = rule("review --gitlab acme/tools/app --ref refs/heads/main --role viewer");
    assert_eq!(gitlab.issuer, "https://gitlab.com");
    assert_eq!(claims(&gitlab), [("project_path", "acme/tools/app"), ("ref_path", "refs/heads/main")]);
    assert_eq!(gitlab.access.role, "viewer");
    let own = rule("review --gitlab acme/app --issuer https://gitlab.acme.example");
    assert_eq!(own.issuer, "https://gitlab.acme.example");
}

#[test]
fn kubernetes_rule_names_the_service_account() {
    let line =
        "batch --kubernetes-service-account jobs/nightly --issuer https://k8s.example --token-lifetime 15m";
    let rule = rule(line);
    assert_eq!(claims(&rule), [("sub", "system:serviceaccount:jobs:nightly")]);
    assert_eq!(rule.token_lifetime.unwrap().as_secs(), 900);
    let error = parse("batch --kubernetes-service-account jobs/nightly").unwrap_err();
    assert!(error.contains("--issuer <URL>"), "{error}");
}

#[test]
fn any_issuer_needs_claims() {
    let rule = rule("ci --issuer https://ci.example --audience flyte --claim sub=repo:acme/* --claim a=b=c");
    assert_eq!((rule.issuer.as_str(), rule.audience.as_str()), ("https://ci.example", "flyte"));
    assert_eq!(claims(&rule), [("a", "b=c"), ("sub", "repo:acme/*")]);
}

#[test]
fn rule_that_trusts_every_token_is_refused() {
    for (line, expected) in [
        ("ci --issuer https://ci.example", "without --claim"),
        ("ci --issuer https://ci.example --claim sub=** --claim aud=*", "match every token"),
        ("ci --github acme/app --claim repository=acme/*", "has two patterns"),
    ] {
        let failure = format!("{:?}", parse(line).unwrap().rule("https://h").unwrap_err());
        assert!(failure.contains(expected) && failure.contains("Usage"), "{failure}");
    }
}

#[test]
fn mistakes_are_named() {
    for (line, expected) in [
        ("ci", "--issuer <URL>"),
        ("ci --issuer http://ci.example --claim a=b", "start with https://"),
        ("ci --issuer ci.example --claim a=b", "not a URL"),
        ("ci --github acme", "write it as two parts"),
        ("ci --github acme/app --gitlab acme/app", "cannot be used with"),
        ("ci --issuer https://i --claim sub", "name=pattern"),
        ("ci --issuer https://i --ref main --claim a=b", "--github <OWNER/REPO>"),
        ("ci --kubernetes-service-account a/b --issuer https://i --ref main", "cannot be used with"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
    }
}
