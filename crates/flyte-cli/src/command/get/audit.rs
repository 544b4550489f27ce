//! `flyte get audit`

use std::net::IpAddr;

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::audit::{Event, Filter};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time::Moment;

pub(crate) const HELP: &str = "\
Events must match all filters. A TIME is a duration before now (2h, 7d), a time with its zone (2026-11-24T22:00:00Z), or a day \
(2026-11-24, from midnight UTC). With --output wide, the table shows all fields of each event.

For example:
  flyte get audit --email ada@example.com --since 7d
  flyte get audit --object 'flytesnacks/development/*' --event run_aborted
  flyte get audit --since 2026-11-24 --until 2026-11-25 -o json";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Only events of this kind, for example signed_in or api_key_created
    #[arg(long, value_name = "EVENT", default_value = "", hide_default_value = true)]
    event: String,

    /// Only events of this subject: the subject of a user, or the client ID of a key
    #[arg(long, value_name = "SUBJECT", default_value = "", hide_default_value = true)]
    subject: String,

    /// Only events of the user with this e-mail address, ignoring case; earlier addresses match, too
    #[arg(long, value_name = "EMAIL", value_parser = email)]
    email: Option<String>,

    /// Only events with this object, for example a key's client ID; * at the end matches any continuation
    #[arg(long, value_name = "OBJECT", default_value = "", hide_default_value = true)]
    object: String,

    /// Only events in this project
    #[arg(short, long, value_name = "NAME")]
    project: Option<String>,

    /// Only events in this domain
    #[arg(short, long, value_name = "NAME")]
    domain: Option<String>,

    /// Only events from this IP address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,

    /// Only events since this time
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,

    /// Only events before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,

    /// Maximum number of events to show, newest first
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: u32,
}

/// Checks that a text looks like an e-mail address.
fn email(text: &str) -> Result<String, &'static str> {
    match text.split_once('@') {
        Some((name, host)) if !name.is_empty() && !host.is_empty() => Ok(text.to_owned()),
        _ => Err("it is not an e-mail address"),
    }
}

impl Arguments {
    fn filter(self, now: i64) -> Result<Filter, Failure> {
        let (since, until) = (self.since.map(|since| since.at(now)), self.until.map(|until| until.at(now)));
        if let (Some(since), Some(until)) = (since, until)
            && until <= since
        {
            return Err(Failure::new("--until must be after --since").exit(Exit::Usage));
        }
        Ok(Filter {
            event: self.event,
            subject: self.subject,
            email: self.email.unwrap_or_default(),
            object: self.object,
            project: self.project.unwrap_or_default(),
            domain: self.domain.unwrap_or_default(),
            address: self.address.map(|address| address.to_string()).unwrap_or_default(),
            since,
            until,
            limit: Some(self.limit),
        })
    }
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let limit = arguments.limit;
    let filter = arguments.filter(Clock::default().now())?;
    let audit = context.client()?.audit();
    let events = context.run("Reading the audit log", async {
        let listed = audit.list(filter).collect().await;
        listed.map_err(|error| Failure::client("cannot read the audit log", &error))
    })?;
    if events.is_empty() {
        output::tell("No matching events.");
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &events, |events| table(events, context.global.wide))?;
    if format == Format::Table && u32::try_from(events.len()) == Ok(limit) {
        output::tell(&format!("Showing the newest {limit} events. For more, use --limit COUNT."));
    }
    Ok(Exit::Success)
}

fn table(events: &[Event], wide: bool) -> String {
    let rows = events.iter().map(|event| flyte_table::audit::Event {
        at: event.at,
        event: &event.event,
        subject: &event.subject,
        email: &event.email,
        name: &event.name,
        on_behalf_of_email: &event.on_behalf_of_email,
        client_id: &event.client_id,
        address: &event.address,
        object: &event.object,
        details: &event.details,
    });
    output::headed(&flyte_table::audit::events(rows, wide, output::width()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::command::get;

    #[test]
    fn table_of_events_fits() {
        let event = Event {
            id: 7,
            at: 1_795_557_600,
            event: "api_key_created".into(),
            subject: "7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11".into(),
            email: "ada@example.com".into(),
            name: "Ada Lovelace".into(),
            client_id: "flyte-cli".into(),
            address: "127.0.0.1".into(),
            object: "ci".into(),
            details: [("role".to_owned(), "viewer".to_owned())].into(),
            ..Event::default()
        };
        assert_eq!(
            output::fits(&table(std::slice::from_ref(&event), false)),
            "WHEN (UTC)           EVENT            WHO              OBJECT\n\
             2026-11-24 22:00:00  api_key_created  ada@example.com  ci\n"
        );
        let wide = table(&[event], true);
        for known in
            ["7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11", "Ada Lovelace", "flyte-cli", "127.0.0.1", "role=viewer"]
        {
            assert!(wide.contains(known), "{known}: {wide}");
        }
    }

    fn arguments(line: &str) -> Result<Arguments, clap::Error> {
        let cli = Cli::try_parse_from(format!("flyte get audit {line}").split_whitespace())?;
        let Command::Get(get::Command::Audit(arguments)) = cli.command else { panic!("{:?}", cli.command) };
        Ok(arguments)
    }

    #[test]
    fn filter_has_the_typed_values() {
        let line = "--email ada@example.com --object r* -p p -d d --address ::1 --since 1h --until 2001-09-09 --limit 7";
        let refused = arguments(line).unwrap().filter(2_000_000_000).unwrap_err();
        assert_eq!(refused.summary(), "--until must be after --since");
        let filter = arguments(&line.replace("1h", "2001-09-08")).unwrap().filter(0).unwrap();
        let expected = Filter {
            email: "ada@example.com".into(),
            object: "r*".into(),
            project: "p".into(),
            domain: "d".into(),
            address: "::1".into(),
            since: Some(999_907_200),
            until: Some(999_993_600),
            limit: Some(7),
            ..Filter::default()
        };
        assert_eq!(filter, expected);
        assert_eq!(
            arguments("").unwrap().filter(0).unwrap(),
            Filter { limit: Some(100), ..Filter::default() }
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (line, flag) in [
            ("--email ada", "--email <EMAIL>"),
            ("--address localhost", "--address <ADDRESS>"),
            ("--since yesterday", "--since <TIME>"),
            ("--until 2026-11-24T22:00", "--until <TIME>"),
        ] {
            let error = arguments(line).unwrap_err().to_string();
            assert!(error.contains(flag), "{line}: {error}");
        }
    }
}
