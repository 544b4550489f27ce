//! `flyte get audit`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::audit::{Event, Filter};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time::{self, Period};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Only events of this kind, such as signed_in or api_key_created
    #[arg(long, value_name = "EVENT", default_value = "", hide_default_value = true)]
    event: String,

    /// Only what this one did: the subject of a person, or the client ID of a key
    #[arg(long, value_name = "SUBJECT", default_value = "", hide_default_value = true)]
    subject: String,

    /// Only events of the last while, such as 24h or 7d
    #[arg(long, value_name = "DURATION", value_parser = time::lasting)]
    since: Option<Period>,

    /// The most events to show, the newest first
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: u32,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let now = Clock::default().now();
    let filter = Filter {
        event: arguments.event,
        subject: arguments.subject,
        since: arguments.since.map(|period| period.before(now)),
        limit: Some(arguments.limit),
    };
    let audit = context.client()?.audit();
    let events = context.run("Reading the audit log", async {
        let listed = audit.list(filter).collect().await;
        listed.map_err(|error| Failure::client("cannot read the audit log", &error))
    })?;
    if events.is_empty() {
        output::tell("No such events found.");
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &events, |events| table(events))?;
    if format == Format::Table && u32::try_from(events.len()) == Ok(arguments.limit) {
        output::tell(&format!("These are the newest {}; there may be more: --limit COUNT.", arguments.limit));
    }
    Ok(Exit::Success)
}

fn table(events: &[Event]) -> String {
    let rows = events.iter().map(|event| {
        let details = event.details.iter().map(|(name, value)| format!("{name}={value}"));
        [
            time::date(event.at),
            event.event.clone(),
            event.subject.clone(),
            event.client_id.clone(),
            event.address.clone(),
            event.object.clone(),
            details.collect::<Vec<_>>().join(" "),
        ]
    });
    output::table(["WHEN", "EVENT", "WHO", "CLIENT", "FROM", "TO WHAT", "DETAILS"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_a_table() {
        let event = Event {
            id: 7,
            at: 1_795_557_600,
            event: "api_key_created".into(),
            subject: "admin".into(),
            client_id: "flyte-cli".into(),
            address: "127.0.0.1".into(),
            object: "ci".into(),
            details: [("role".to_owned(), "viewer".to_owned())].into(),
        };
        let text = anstream::adapter::strip_str(&table(&[event])).to_string();
        assert_eq!(
            text,
            "WHEN                     EVENT            WHO    CLIENT     FROM       TO WHAT  DETAILS\n\
             2026-11-24 22:00:00 UTC  api_key_created  admin  flyte-cli  127.0.0.1  ci       role=viewer\n"
        );
    }
}
