//! `flyte create trust`

mod issuer;

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_auth::flows::token_exchange;
use flyte_client::trust::NewTrust;
use url::Url;

use self::issuer::Known;
use crate::command::create::access::{Limits, Role};
use crate::command::get;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time::{self, Period};

pub(crate) const HELP: &str = "\
A CI system gives its jobs OpenID Connect tokens. By a trust rule, the server exchanges a token, if all claims of the \
rule match, for an access token: CI needs no key that could leak. In a pattern, * \
matches any characters except /, and ** matches any characters.

For example:
  flyte create trust deploy --github acme/app --ref refs/heads/main --project flytesnacks
  flyte create trust review --gitlab acme/app --issuer https://gitlab.example --role viewer
  flyte create trust batch --kubernetes-service-account jobs/nightly --issuer https://k8s.example
  flyte create trust ci --issuer https://ci.example --claim sub='repo:acme/*' --claim env=prod";

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Name of the rule
    #[arg(id = "rule_name", value_name = "NAME", required_unless_present = "name", conflicts_with = "name")]
    rule_name: Option<String>,

    /// The name as an option
    #[arg(long, value_name = "NAME", hide = true)]
    name: Option<String>,

    /// Issuer of the tokens: exactly their iss claim
    #[arg(long, value_name = "URL", value_parser = https, required_unless_present_any = ["github", "gitlab"])]
    issuer: Option<String>,

    /// Audience of the tokens: exactly their aud claim. By default the server's issuer,
    /// which flyte requests in CI
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,

    /// Claim that tokens must have; can be repeated, and all must match
    #[arg(long, value_name = "NAME=PATTERN")]
    claim: Vec<Claim>,

    /// Address of the issuer's JWKS, if the server cannot read a discovery document of the issuer
    #[arg(long, value_name = "URL", value_parser = https)]
    jwks_uri: Option<String>,

    /// Trust GitHub Actions of this repository
    #[arg(long, value_name = "OWNER/REPO", value_parser = path, group = "known")]
    github: Option<String>,

    /// Trust GitLab CI of this project; --issuer for a GitLab other than gitlab.com
    #[arg(long, value_name = "GROUP/PROJECT", value_parser = path, group = "known")]
    gitlab: Option<String>,

    /// Trust pods of this service account; --issuer is the cluster's
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = path, group = "known")]
    kubernetes_service_account: Option<String>,

    /// Only jobs of this branch or tag, for example refs/heads/main (GitHub and GitLab)
    #[arg(long, value_name = "REF", requires = "known", conflicts_with = "kubernetes_service_account")]
    r#ref: Option<String>,

    /// Only jobs of this deployment environment (GitHub and GitLab)
    #[arg(long, value_name = "NAME", requires = "known", conflicts_with = "kubernetes_service_account")]
    environment: Option<String>,

    /// Role of the job
    #[arg(long, value_enum, default_value = "contributor")]
    role: Role,

    #[command(flatten)]
    limits: Limits,

    /// Lifetime of the access tokens, for example 15m. By default that of the server
    #[arg(long, value_name = "DURATION", value_parser = time::lasting)]
    token_lifetime: Option<Period>,
}

/// A claim and what it must match.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim(String, String);

impl FromStr for Claim {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, pattern)) if !name.trim().is_empty() && !pattern.is_empty() => {
                Ok(Self(name.trim().to_owned(), pattern.to_owned()))
            }
            _ => Err("write a claim as name=pattern, for example sub='repo:acme/*'"),
        }
    }
}

fn https(text: &str) -> Result<String, String> {
    let url: Url = text
        .parse()
        .map_err(|error| format!("it is not a URL ({error}); write it as https://ci.example.com"))?;
    let local = url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && local) {
        return Err("it must start with https://, because the server fetches keys from it".to_owned());
    }
    // As typed, because `iss` is compared character by character, and parsing a URL adds a slash.
    Ok(text.to_owned())
}

fn path(text: &str) -> Result<String, &'static str> {
    let parts: Vec<_> = text.split('/').collect();
    if parts.len() >= 2 && parts.iter().all(|part| !part.is_empty() && !part.contains(char::is_whitespace)) {
        Ok(text.to_owned())
    } else {
        Err("write it as two parts, for example acme/app")
    }
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let control_plane = context.endpoint()?;
    let endpoint = control_plane.to_string();
    let known = arguments.known();
    let by_default = arguments.audience.is_none();
    let mut new = arguments.rule(&endpoint)?;
    let name = new.name.clone();
    let session = context.encrypted_session(false)?;
    let trusts = context.client_of(session.clone())?.trusts();
    let created = context.run("Creating the trust rule", async {
        // As the job requests its token: the audience is the server's issuer, which may differ from its address here.
        if by_default && let Ok(provider) = session.provider().await {
            new.audience = token_exchange::audience(&provider, &control_plane);
        }
        let created = trusts.create(new).await;
        created
            .map_err(|error| Failure::resource(format!("cannot create trust rule {name}"), &error, "trust"))
    })?;
    if context.global.format == Format::Table {
        output::tell(&format!("Created trust rule {name}."));
        if let Some(known) = known {
            output::tell(&known.next_step(&endpoint, &created.audience));
        }
    }
    let now = Clock::default().now();
    output::print(context.global.format, &created, |trust| get::trust::details(trust, now))?;
    Ok(Exit::Success)
}

impl Arguments {
    fn known(&self) -> Option<Known> {
        let chosen = [
            (&self.github, Known::GitHub),
            (&self.gitlab, Known::GitLab),
            (&self.kubernetes_service_account, Known::Kubernetes),
        ];
        chosen.into_iter().find_map(|(given, known)| given.is_some().then_some(known))
    }

    /// The rule that the options define.
    fn rule(self, endpoint: &str) -> Result<NewTrust, Failure> {
        let known = self.known();
        let path = self.github.or(self.gitlab).or(self.kubernetes_service_account);
        let mut claims = BTreeMap::new();
        if let (Some(known), Some(path)) = (known, &path) {
            claims = known.claims(path, self.r#ref.as_deref(), self.environment.as_deref());
        }
        for Claim(name, pattern) in self.claim {
            if let Some(before) = claims.insert(name.clone(), pattern.clone())
                && before != pattern
            {
                return Err(mistake(format!(
                    "the claim {name} has two patterns, {before:?} and {pattern:?}"
                ))
                .next("Use each claim once."));
            }
        }
        if claims.is_empty() {
            return Err(mistake("without --claim, the rule would trust every token of the issuer".into())
                .next("Name the trusted jobs: --claim sub='repo:acme/*'"));
        }
        if claims.values().all(|pattern| pattern.chars().all(|c| c == '*')) {
            return Err(mistake("the claims match every token of the issuer".into())
                .next("Name the trusted jobs: --claim sub='repo:acme/*'"));
        }
        Ok(NewTrust {
            name: self.name.or(self.rule_name).unwrap_or_default(),
            issuer: self.issuer.or(known.and_then(Known::issuer).map(str::to_owned)).unwrap_or_default(),
            audience: self.audience.unwrap_or_else(|| endpoint.to_owned()),
            claims,
            access: self.limits.with(Some(self.role)),
            token_lifetime: self.token_lifetime.map(Period::duration),
            jwks_uri: self.jwks_uri.unwrap_or_default(),
        })
    }
}

fn mistake(why: String) -> Failure {
    Failure::new("the trust rule would not be safe").why(why).exit(Exit::Usage)
}

#[cfg(test)]
mod tests;
