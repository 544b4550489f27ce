//! The table of the audit log, which `flyte get audit` and `flyte-server audit` print.

use std::collections::BTreeMap;

use super::table;

/// An event. Unknown texts are empty.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The time, Unix time in seconds.
    pub at: i64,
    /// The kind of event, in snake case.
    pub event: &'a str,
    /// The subject that acted.
    pub subject: &'a str,
    /// The e-mail address of the person that acted.
    pub email: &'a str,
    /// The name of the person or API key that acted.
    pub name: &'a str,
    /// If a run acted, the e-mail address of the person who started it.
    pub on_behalf_of_email: &'a str,
    /// The OAuth client.
    pub client_id: &'a str,
    /// The address that the request came from.
    pub address: &'a str,
    /// The object of the action.
    pub object: &'a str,
    /// More about the event.
    pub details: &'a BTreeMap<String, String>,
}

/// Formats events as a table of four columns, which fit into 80 characters, or of all columns if `wide`.
///
/// In the table of four columns, the object is short: a method has no package, and a run has no project.
pub fn events<'a>(events: impl IntoIterator<Item = Event<'a>>, wide: bool, width: Option<u16>) -> String {
    if !wide {
        let rows = events
            .into_iter()
            .map(|event| [moment(event.at), event.event.to_owned(), who(&event), short(&event)]);
        return table(["WHEN (UTC)", "EVENT", "WHO", "OBJECT"], &["WHO", "OBJECT"], rows, width);
    }
    let rows = events.into_iter().map(|event| {
        let details = event.details.iter().map(|(name, value)| format!("{name}={value}"));
        [
            moment(event.at),
            event.event.to_owned(),
            who(&event),
            event.name.to_owned(),
            event.subject.to_owned(),
            event.client_id.to_owned(),
            event.address.to_owned(),
            event.object.to_owned(),
            details.collect::<Vec<_>>().join(" "),
        ]
    });
    let headings = ["WHEN (UTC)", "EVENT", "WHO", "NAME", "SUBJECT", "CLIENT", "FROM", "OBJECT", "DETAILS"];
    table(headings, &["OBJECT", "DETAILS"], rows, width)
}

fn moment(at: i64) -> String {
    jiff::Timestamp::from_second(at)
        .map_or_else(|_| at.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Who acted: the e-mail address of a person, otherwise the subject or the client.
fn who(event: &Event<'_>) -> String {
    if !event.on_behalf_of_email.is_empty() {
        return format!("run of {}", event.on_behalf_of_email);
    }
    let known = [event.email, event.subject, event.client_id].into_iter().find(|text| !text.is_empty());
    known.unwrap_or("-").to_owned()
}

fn short(event: &Event<'_>) -> String {
    let object = event.object;
    if let Some((service, method)) = object.strip_prefix('/').and_then(|path| path.split_once('/')) {
        let service = service.rsplit('.').next().unwrap_or(service);
        return format!("{service}/{method}");
    }
    let detail = |name: &str| event.details.get(name).map_or("", String::as_str);
    let project_domain = format!("{}/{}/", detail("project"), detail("domain"));
    object.strip_prefix(&project_domain).filter(|rest| !rest.is_empty()).unwrap_or(object).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const ADA: &str = "7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11";

    fn event<'a>(event: &'a str, object: &'a str, details: &'a BTreeMap<String, String>) -> Event<'a> {
        Event {
            at: 1_795_557_600,
            event,
            subject: ADA,
            email: "ada@example.com",
            name: "Ada Lovelace",
            on_behalf_of_email: "",
            client_id: "flyte",
            address: "203.0.113.9",
            object,
            details,
        }
    }

    #[test]
    fn four_columns_fit_into_80_characters() {
        let (none, run) = (details(&[]), details(&[("project", "flytesnacks"), ("domain", "development")]));
        let key = Event {
            subject: "ci",
            email: "",
            name: "CI",
            client_id: "ci",
            ..event("call_denied", "/flyteidl2.project.ProjectService/CreateProject", &none)
        };
        let text = events(
            [
                event("api_key_created", "ci", &run),
                event("run_created", "flytesnacks/development/r8d1f0c2a9b7e6f5d4c3b", &run),
                key,
                Event { subject: "", email: "", name: "", client_id: "", ..event("keys_rotated", "", &none) },
                Event {
                    subject: "flytesnacks/development/r8d1",
                    email: "",
                    name: "",
                    on_behalf_of_email: "ada@example.com",
                    ..event("action_enqueued", "flytesnacks/development/r8d1/a1", &run)
                },
                event("signed_in", "", &none),
            ],
            false,
            None,
        );
        assert_eq!(
            text,
            "WHEN (UTC)           EVENT            WHO                     OBJECT\n\
             2026-11-24 22:00:00  api_key_created  ada@example.com         ci\n\
             2026-11-24 22:00:00  run_created      ada@example.com         r8d1f0c2a9b7e6f5d4c3b\n\
             2026-11-24 22:00:00  call_denied      ci                      ProjectService/CreateProject\n\
             2026-11-24 22:00:00  keys_rotated     -\n\
             2026-11-24 22:00:00  action_enqueued  run of ada@example.com  r8d1/a1\n\
             2026-11-24 22:00:00  signed_in        ada@example.com\n"
        );
    }

    #[test]
    fn only_objects_are_wrapped_on_a_narrow_terminal() {
        let none = details(&[]);
        let object = "a-task-with-a-name-that-goes-on.and-on:0123456789abcdef0123456789abcdef";
        let text = events([event("task_deployed", object, &none)], false, Some(80));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.lines().nth(1).unwrap().starts_with("2026-11-24 22:00:00  task_deployed  "), "{text}");
        assert!(text.lines().count() > 2, "{text}");
    }

    #[test]
    fn a_wide_table_has_all_columns() {
        let some = details(&[("project", "p"), ("domain", "d")]);
        let text = events([event("run_created", "p/d/r", &some)], true, None);
        assert_eq!(
            text,
            format!(
                "WHEN (UTC)           EVENT        WHO              NAME          SUBJECT                               \
                 CLIENT  FROM         OBJECT  DETAILS\n\
                 2026-11-24 22:00:00  run_created  ada@example.com  Ada Lovelace  {ADA}  \
                 flyte   203.0.113.9  p/d/r   domain=d project=p\n"
            )
        );
    }
}
