//! `flyte get secret`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::secret::{Scope, Secret};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Format};
use crate::time;

pub(crate) const HELP: &str = "\
Without --project and --domain, these are the secrets of the organization, regardless of the configuration.";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the secret to show in detail. By default all secrets are listed
    name: Option<String>,
}

/// The scope on the command line. The configured project and domain are not used, as in the published command.
pub(crate) fn scope(global: &Global) -> Result<Scope, Failure> {
    let scope = Scope {
        project: global.project.clone().unwrap_or_default(),
        domain: global.domain.clone().unwrap_or_default(),
    };
    if !scope.project.is_empty() && scope.domain.is_empty() {
        return Err(Failure::new("the domain of the secret is missing")
            .why("a project's secret belongs to one of its domains")
            .next(format!("Add the domain: --project {} --domain development", scope.project))
            .exit(Exit::Usage));
    }
    Ok(scope)
}

/// A scope in words.
pub(crate) fn described(scope: &Scope) -> String {
    match (scope.project.as_str(), scope.domain.as_str()) {
        ("", "") => "the organization".to_owned(),
        ("", domain) => format!("domain {domain}"),
        (project, domain) => format!("{project}/{domain}"),
    }
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let scope = scope(&context.global)?;
    let now = Clock::default().now();
    let secrets = context.project_domain_client()?.secrets();
    if let Some(name) = arguments.name {
        let found = context.run("Fetching the secret", async {
            let found = secrets.get(&scope, &name).await;
            found.map_err(|error| Failure::resource(format!("cannot show secret {name}"), &error, "secret"))
        })?;
        output::print(format, &found, |secret| details(secret, now))?;
        return Ok(Exit::Success);
    }
    let found = context.run("Listing secrets", async {
        let listed = secrets.list(scope.clone(), None).collect().await;
        listed.map_err(|error| Failure::client("cannot list secrets", &error))
    })?;
    if found.is_empty() {
        output::tell(&format!(
            "No secrets in {} yet. Create one: flyte create secret NAME",
            described(&scope)
        ));
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &found, |secrets| table(secrets, now))?;
    Ok(Exit::Success)
}

fn table(secrets: &[Secret], now: i64) -> String {
    let rows = secrets.iter().map(|secret| {
        let created = secret.created_at.map(|at| time::relative(at, now)).unwrap_or_default();
        let (kind, status) = (secret.kind.as_str().to_owned(), secret.status.as_str().to_owned());
        [secret.name.clone(), kind, described(&secret.scope), status, created]
    });
    output::table(["NAME", "TYPE", "BELONGS TO", "STATUS", "CREATED"], rows)
}

/// One secret, with one field for each line; never its value.
fn details(secret: &Secret, now: i64) -> String {
    let clusters =
        secret.clusters.iter().map(|cluster| format!("{}: {}", cluster.cluster, cluster.status.as_str()));
    output::details([
        ("Name", secret.name.clone()),
        ("Type", secret.kind.as_str().to_owned()),
        ("Belongs to", described(&secret.scope)),
        ("Status", secret.status.as_str().to_owned()),
        ("Clusters", clusters.collect::<Vec<_>>().join(", ")),
        ("Created", secret.created_at.map(|at| time::moment(at, now)).unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests {
    use flyte_client::secret::{ClusterPresence, Kind, Presence};

    use super::*;

    #[test]
    fn secrets_are_a_table_and_one_is_shown_in_detail() {
        let secret = Secret {
            name: "token".into(),
            scope: Scope { project: "flytesnacks".into(), domain: "development".into() },
            kind: Kind::Regular,
            created_at: Some(1_000_000),
            status: Presence::Present,
            clusters: vec![ClusterPresence { cluster: "c1".into(), status: Presence::Present }],
        };
        assert_eq!(
            details(&secret, 1_000_200),
            "Name:        token\nType:        regular\nBelongs to:  flytesnacks/development\nStatus:      present\n\
             Clusters:    c1: present\nCreated:     1970-01-12 13:46:40 UTC (3 minutes ago)\n"
        );
        assert_eq!(
            output::fits(&table(&[secret], 1_000_200)),
            "NAME   TYPE     BELONGS TO               STATUS   CREATED\n\
             token  regular  flytesnacks/development  present  3 minutes ago\n"
        );
    }
}
