//! `flyte-server audit`.

use std::net::IpAddr;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use flyte_settings::settings;
use flyte_store::AuditQuery;
pub use flyte_time::Moment;

/// The events to show, and the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownEvents {
    /// The conditions on text. `limit` is the total number of events; the times are not set.
    pub query: AuditQuery,
    /// Only events since this time.
    pub since: Option<Moment>,
    /// Only events before this time.
    pub until: Option<Moment>,
    /// Show all details.
    pub wide: bool,
    /// Print JSON.
    pub json: bool,
}

/// The definition of the command.
pub(super) fn definition() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("audit")
        .about("Show who did what, from where, and when")
        .long_about(
            "Show who did what, from where, and when: the audit log in the database, the newest event first. Works while the \
             server runs; repeated events that the server still counts are not included yet.\n\nEvents must meet all conditions. \
             A TIME is a duration before now (2h, 7d), a time with its zone (2026-11-24T22:00:00Z), or a day (2026-11-24, \
             from midnight UTC).",
        )
        .arg(text("event", "EVENT", "Only events of this kind, for example signed_in"))
        .arg(text("subject", "SUBJECT", "Only actions of this user (by subject) or key (by client ID)"))
        .arg(
            text("email", "EMAIL", "Only actions of the user with this e-mail address, including earlier addresses")
                .value_parser(|text: &str| settings::email(text).map(|()| text.to_owned())),
        )
        .arg(text("object", "OBJECT", "Only actions on this object; * at the end matches any rest"))
        .arg(text("project", "NAME", "Only events in this project"))
        .arg(text("domain", "NAME", "Only events in the domain of this name"))
        .arg(text("address", "ADDRESS", "Only events from this IP address").value_parser(value_parser!(IpAddr)))
        .arg(text("since", "TIME", "Only events since this time").value_parser(value_parser!(Moment)))
        .arg(text("until", "TIME", "Only events before this time").value_parser(value_parser!(Moment)))
        .arg(
            text("limit", "COUNT", "Maximum number of events, the newest first")
                .value_parser(value_parser!(u32))
                .default_value("100"),
        )
        .arg(
            Arg::new("wide")
                .long("wide")
                .action(ArgAction::SetTrue)
                .help("Show all details of each event"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .conflicts_with("wide")
                .help("Print JSON, as flyte get audit -o json does"),
        )
}

impl ShownEvents {
    /// Reads the matches of [`definition`].
    pub(super) fn from_matches(matches: &ArgMatches) -> Self {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        Self {
            query: AuditQuery {
                limit: matches.get_one("limit").copied().unwrap_or_default(),
                event: text("event"),
                subject: text("subject"),
                email: text("email"),
                object: text("object"),
                project: text("project"),
                domain: text("domain"),
                address: matches.get_one::<IpAddr>("address").map(ToString::to_string),
                ..AuditQuery::default()
            },
            since: matches.get_one("since").copied(),
            until: matches.get_one("until").copied(),
            wide: matches.get_flag("wide"),
            json: matches.get_flag("json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<ShownEvents, clap::Error> {
        let matches = definition().try_get_matches_from(format!("audit {line}").split_whitespace())?;
        Ok(ShownEvents::from_matches(&matches))
    }

    #[test]
    fn conditions_are_parsed() {
        let text = |text: &str| Some(text.to_owned());
        let line = "--event signed_in --subject s --email a@b --object o* --project p --domain d --address ::1 \
                    --since 2h --until 2026-11-24T23:00:00+01:00 --limit 7 --json";
        let query = AuditQuery {
            limit: 7,
            event: text("signed_in"),
            subject: text("s"),
            email: text("a@b"),
            object: text("o*"),
            project: text("p"),
            domain: text("d"),
            address: text("::1"),
            ..AuditQuery::default()
        };
        let (since, until) = (Some(Moment::Ago("2h".parse().unwrap())), Some(Moment::At(1_795_557_600)));
        assert_eq!(parse(line).unwrap(), ShownEvents { query, since, until, wide: false, json: true });
        let all = AuditQuery { limit: 100, ..AuditQuery::default() };
        assert_eq!(
            parse("--wide").unwrap(),
            ShownEvents { query: all, since: None, until: None, wide: true, json: false }
        );
    }

    #[test]
    fn the_error_names_the_wrong_flag() {
        for (line, flag) in [
            ("--email ada", "--email <EMAIL>"),
            ("--address localhost", "--address <ADDRESS>"),
            ("--since yesterday", "--since <TIME>"),
            ("--since 1969-12-31", "--since <TIME>"),
            ("--until 2026-11-24T22:00", "--until <TIME>"),
            ("--limit many", "--limit <COUNT>"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(flag), "{line}: {error}");
        }
        assert_eq!("2026-11-24".parse(), Ok(Moment::At(1_795_557_600 - 22 * 3600)));
    }
}
