//! `flyte get api-key`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::Access;
use flyte_client::api_key::ApiKey;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time;

/// Warn about a key that expires within this time, in seconds.
const LAST_WEEK: i64 = 7 * 86_400;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name or client ID of the key to show in detail. By default all keys that you can see are listed
    name: Option<String>,

    /// Maximum number of keys to list. By default all
    #[arg(long, value_name = "COUNT", conflicts_with = "name")]
    limit: Option<u32>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let keys = context.client()?.api_keys();
    let now = Clock::default().now();
    if let Some(name) = arguments.name {
        let key = context.run("Fetching the API key", async {
            let found = keys.get(&name).await;
            found.map_err(|error| Failure::resource(format!("cannot show API key {name}"), &error, "api-key"))
        })?;
        output::print(format, &key, |key| details(key, now))?;
        warn_of_expiry(std::slice::from_ref(&key), now);
        return Ok(Exit::Success);
    }
    let found = context.run("Listing API keys", async {
        let listed = keys.list(arguments.limit).collect().await;
        listed.map_err(|error| Failure::resource("cannot list API keys", &error, "api-key"))
    })?;
    if found.is_empty() {
        output::tell("You have no API keys yet. Create one: flyte create api-key NAME");
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &found, |keys| table(keys, now, context.global.wide))?;
    warn_of_expiry(&found, now);
    Ok(Exit::Success)
}

/// Warns about keys in their last week, on standard error.
fn warn_of_expiry(keys: &[ApiKey], now: i64) {
    if let Some(warning) = warning(keys, now) {
        output::tell(&warning);
    }
}

fn warning(keys: &[ApiKey], now: i64) -> Option<String> {
    let soon = |key: &&ApiKey| key.expires_at.is_some_and(|at| (now..=now + LAST_WEEK).contains(&at));
    let ending: Vec<_> = keys.iter().filter(soon).collect();
    let next = "To renew: flyte rotate api-key";
    match ending.as_slice() {
        [] => None,
        [key] => {
            let at = key.expires_at.unwrap_or_default();
            Some(format!(
                "The API key {} stops working {}. {next} {} --expires 90d",
                key.name,
                time::relative(at, now),
                key.client_id
            ))
        }
        many => {
            let names: Vec<_> = many.iter().map(|key| key.name.as_str()).collect();
            Some(format!(
                "These API keys stop working within a week: {}. {next} NAME --expires 90d",
                names.join(", ")
            ))
        }
    }
}

fn table(keys: &[ApiKey], now: i64, wide: bool) -> String {
    let relative = |moment: Option<i64>, none: &str| {
        moment.map_or_else(|| none.to_owned(), |at| time::relative(at, now))
    };
    // A server that does not report when a key was created does not report its expiry and last use either.
    let used =
        |key: &ApiKey| relative(key.last_used_at, if key.created_at.is_some() { "never" } else { "-" });
    let creator = |key: &ApiKey| {
        let known = [&key.created_by_email, &key.created_by].into_iter().find(|text| !text.is_empty());
        known.map_or_else(|| "-".to_owned(), Clone::clone)
    };
    if !wide {
        let rows = keys.iter().map(|key| {
            [key.name.clone(), dash(&key.access.role), expiry(key, now, false), used(key), creator(key)]
        });
        return output::table(["NAME", "ROLE", "EXPIRES", "LAST USED", "CREATED BY"], rows);
    }
    let rows = keys.iter().map(|key| {
        [
            key.name.clone(),
            key.client_id.clone(),
            relative(key.created_at, "-"),
            creator(key),
            dash(&key.created_by_name),
            dash(&key.created_by),
            expiry(key, now, true),
            used(key),
            dash(&key.access.role),
            dash(&key.access.scopes.join(" ")),
            dash(&place(&key.access)),
        ]
    });
    let heading = [
        "NAME",
        "CLIENT ID",
        "CREATED",
        "CREATED BY",
        "CREATOR'S NAME",
        "CREATOR'S SUBJECT",
        "EXPIRES",
        "LAST USED",
        "ROLE",
        "SCOPES",
        "PROJECT/DOMAIN",
    ];
    output::table(heading, rows)
}

/// One key, with one field for each line; never its secret, which the server does not have.
fn details(key: &ApiKey, now: i64) -> String {
    let moment = |moment: Option<i64>| moment.map(|at| time::moment(at, now));
    let reported = key.created_at.is_some();
    let rotation = key.previous_secret_expires_at.filter(|at| *at > now);
    let otherwise = |text: &str| if reported { text.to_owned() } else { String::new() };
    output::details([
        ("Name", key.name.clone()),
        ("Client ID", key.client_id.clone()),
        ("Created", moment(key.created_at).unwrap_or_default()),
        ("Created by", maker(&key.created_by_name, &key.created_by_email, &key.created_by)),
        ("Expires", moment(key.expires_at).unwrap_or_else(|| otherwise("never"))),
        ("Last used", moment(key.last_used_at).unwrap_or_else(|| otherwise("never"))),
        ("Role", key.access.role.clone()),
        ("Scopes", key.access.scopes.join(" ")),
        ("Project", key.access.project.clone()),
        ("Domain", key.access.domain.clone()),
        (
            "Old secret",
            rotation.map(|at| format!("works until {}", time::moment(at, now))).unwrap_or_default(),
        ),
    ])
}

/// The creator: name, e-mail address and subject, as far as they are known.
pub(crate) fn maker(name: &str, email: &str, subject: &str) -> String {
    match (name, email) {
        ("", "") => subject.to_owned(),
        ("", only) | (only, "") => format!("{only} ({subject})"),
        (name, email) => format!("{name} <{email}> ({subject})"),
    }
}

fn expiry(key: &ApiKey, now: i64, exact: bool) -> String {
    match key.expires_at {
        Some(at) if at <= now && !exact => "expired".to_owned(),
        Some(at) if at <= now => format!("expired {}", time::relative(at, now)),
        Some(at) => time::relative(at, now),
        None if key.created_at.is_none() => "-".to_owned(),
        None => "never".to_owned(),
    }
}

fn dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn place(access: &Access) -> String {
    match (access.project.as_str(), access.domain.as_str()) {
        ("", _) => String::new(),
        (project, "") => project.to_owned(),
        (project, domain) => format!("{project}/{domain}"),
    }
}

/// The limits of a key or rule, in words.
pub(crate) fn limits(access: &Access) -> String {
    let scopes = access.scopes.join(" ");
    [("role", &access.role), ("scopes", &scopes), ("project", &access.project), ("domain", &access.domain)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name} {value}"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        ApiKey {
            client_id: "my-ci".into(),
            name: "My CI".into(),
            access: Access {
                role: "viewer".into(),
                scopes: vec!["all".into(), "offline".into()],
                project: "flytesnacks".into(),
                domain: "development".into(),
            },
            created_by: "7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11".into(),
            created_by_email: "ada@example.com".into(),
            created_by_name: "Ada Lovelace".into(),
            created_at: Some(1_000_000),
            expires_at: Some(1_000_000 + 90 * 86_400),
            last_used_at: None,
            previous_secret_expires_at: Some(1_007_400),
        }
    }

    #[test]
    fn warning_names_keys_in_their_last_week() {
        let ends =
            |name: &str, at| ApiKey { name: name.into(), client_id: name.into(), expires_at: at, ..key() };
        let now = 1_000_000;
        let (gone, later, never) =
            (ends("gone", Some(now - 1)), ends("later", Some(now + LAST_WEEK + 1)), ends("never", None));
        assert_eq!(warning(&[gone.clone(), later.clone(), never.clone()], now), None);
        let soon = ends("soon", Some(now + LAST_WEEK));
        assert_eq!(
            warning(&[gone, soon.clone(), later], now).as_deref(),
            Some(
                "The API key soon stops working in 7 days. To renew: flyte rotate api-key soon --expires 90d"
            )
        );
        let text = warning(&[soon, ends("at-once", Some(now)), never], now).unwrap();
        assert!(text.starts_with("These API keys stop working within a week: soon, at-once. "), "{text}");
    }

    #[test]
    fn keys_have_a_table() {
        let hosted = ApiKey { client_id: "old".into(), name: "old".into(), ..ApiKey::default() };
        let expired = ApiKey { expires_at: Some(1_000_100), last_used_at: Some(1_000_140), ..key() };
        let keys = [key(), hosted, expired];
        let text = table(&keys, 1_000_200, true);
        insta::assert_snapshot!("key_table", anstream::adapter::strip_str(&text).to_string());
        insta::assert_snapshot!("key_table_narrow", output::fits(&table(&keys, 1_000_200, false)));
    }

    #[test]
    fn maker_has_the_known_parts() {
        assert_eq!(maker("Ada", "ada@example.com", "7c1"), "Ada <ada@example.com> (7c1)");
        assert_eq!(maker("CI", "", "ci"), "CI (ci)");
        assert_eq!(maker("", "ada@example.com", "7c1"), "ada@example.com (7c1)");
        assert_eq!((maker("", "", "7c1").as_str(), maker("", "", "").as_str()), ("7c1", ""));
    }

    #[test]
    fn key_has_details() {
        insta::assert_snapshot!(details(&key(), 1_000_200));
    }
}
