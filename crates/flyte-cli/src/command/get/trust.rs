//! `flyte get trust`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::trust::Trust;

use crate::command::get::api_key;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the rule to show in detail. By default all rules are listed
    name: Option<String>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let trusts = context.client()?.trusts();
    let now = Clock::default().now();
    if let Some(name) = arguments.name {
        let trust = context.run("Fetching the trust rule", async {
            let found = trusts.get(&name).await;
            found
                .map_err(|error| Failure::resource(format!("cannot show trust rule {name}"), &error, "trust"))
        })?;
        output::print(format, &trust, |trust| details(trust, now))?;
        return Ok(Exit::Success);
    }
    let found = context.run("Listing trust rules", async {
        let listed = trusts.list().await;
        listed.map_err(|error| Failure::resource("cannot list trust rules", &error, "trust"))
    })?;
    if found.is_empty() {
        output::tell("No trust rules yet. Create one: flyte create trust NAME --github ORG/REPO");
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &found, |trusts| table(trusts, now, context.global.wide))?;
    Ok(Exit::Success)
}

fn table(trusts: &[Trust], now: i64, wide: bool) -> String {
    let used =
        |trust: &Trust| trust.last_used_at.map_or_else(|| "never".to_owned(), |at| time::relative(at, now));
    if !wide {
        let rows = trusts.iter().map(|trust| {
            let issuer = trust.issuer.trim_start_matches("https://").to_owned();
            [trust.name.clone(), issuer, trust.access.role.clone(), used(trust)]
        });
        return output::table(["NAME", "ISSUER", "ROLE", "LAST USED"], rows);
    }
    let rows = trusts.iter().map(|trust| {
        [
            trust.name.clone(),
            trust.issuer.clone(),
            claims(trust, " "),
            api_key::limits(&trust.access),
            used(trust),
        ]
    });
    output::table(["NAME", "ISSUER", "CLAIMS", "RIGHTS", "LAST USED"], rows)
}

/// One rule, with one field for each line.
pub(crate) fn details(trust: &Trust, now: i64) -> String {
    let moment = |moment: Option<i64>| moment.map(|at| time::moment(at, now)).unwrap_or_default();
    let lifetime = trust.token_lifetime.map(time::spoken).unwrap_or_default();
    let used = match trust.last_used_at {
        None => "never".to_owned(),
        used => moment(used),
    };
    output::details([
        ("Name", trust.name.clone()),
        ("Issuer", trust.issuer.clone()),
        ("JWKS", trust.jwks_uri.clone()),
        ("Audience", trust.audience.clone()),
        ("Claims", claims(trust, ", ")),
        ("Rights", api_key::limits(&trust.access)),
        ("Token lifetime", lifetime),
        ("Created", moment(trust.created_at)),
        ("Created by", api_key::maker(&trust.created_by_name, &trust.created_by_email, &trust.created_by)),
        ("Last used", used),
    ])
}

fn claims(trust: &Trust, between: &str) -> String {
    let claims = trust.claims.iter().map(|(name, pattern)| format!("{name}={pattern}"));
    claims.collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use flyte_client::Access;

    use super::*;

    #[test]
    fn rules_have_a_table_and_details() {
        let trust = Trust {
            name: "deploy".into(),
            issuer: "https://token.actions.githubusercontent.com".into(),
            audience: "https://flyte.example.com".into(),
            claims: [("ref", "refs/heads/main"), ("repository", "acme/app")]
                .map(|(name, pattern)| (name.to_owned(), pattern.to_owned()))
                .into(),
            access: Access { role: "contributor".into(), project: "p".into(), ..Access::default() },
            token_lifetime: Some(900),
            jwks_uri: String::new(),
            created_by: "7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11".into(),
            created_by_email: "admin@localhost".into(),
            created_by_name: "Ada Lovelace".into(),
            created_at: Some(1_000_000),
            last_used_at: None,
        };
        insta::assert_snapshot!("trust_details", details(&trust, 1_000_200));
        let all = [trust];
        insta::assert_snapshot!("trust_table_narrow", output::fits(&table(&all, 1_000_200, false)));
        let text = table(&all, 1_000_200, true);
        insta::assert_snapshot!("trust_table", anstream::adapter::strip_str(&text).to_string());
    }
}
