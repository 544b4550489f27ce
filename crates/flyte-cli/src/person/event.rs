//! Events of a sign-in for programs: one JSON object for each line.

use serde::Serialize;

use crate::output;

/// An event of a sign-in. The schema is part of the command's interface (docs/guide/headless.md).
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// The user must open this link.
    Link {
        /// The authorization request.
        url: &'a str,
        /// Whether a browser was opened.
        opened: bool,
    },
    /// The user must open this link on any device, and check the code.
    Code {
        /// The link with the code.
        url: &'a str,
        /// The link without the code.
        verification_uri: &'a str,
        /// The code.
        user_code: &'a str,
        /// The number that the page asks for, if it does.
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<&'a str>,
        /// How long the code is valid, in seconds.
        expires_in: u64,
    },
    /// The command needs a more recent or a different sign-in (RFC 9470).
    StepUp {
        /// The control plane.
        endpoint: &'a str,
        /// What the server requires, in words.
        wanted: &'a str,
    },
    /// This process waits for another one that is signing in to the same control plane.
    Waiting {
        /// The other process; `null` if it is unknown.
        process: Option<String>,
    },
    /// Information for the user before they continue.
    Notice {
        /// Complete sentences.
        text: &'a str,
    },
    /// The user is signed in.
    Done {
        /// The control plane.
        endpoint: &'a str,
        /// The user's e-mail address, user name or subject; `null` if the server does not say.
        name: Option<&'a str>,
    },
    /// The sign-in failed.
    Failed {
        /// What happened.
        error: String,
        /// What to do next, or `null`.
        next: Option<&'a str>,
    },
}

/// The destination of events.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Events {
    /// Standard output: the events are the command's result.
    Result,
    /// Standard error: the result is something else.
    Aside,
}

impl Events {
    /// Writes an event.
    pub(crate) fn write(self, event: &Event<'_>) {
        let Ok(line) = serde_json::to_string(event) else { return };
        match self {
            // A closed reader does not end the sign-in.
            Self::Result => drop(output::write(&format!("{line}\n"))),
            Self::Aside => output::tell(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_one_line_of_json() {
        let line = |event: Event<'_>| serde_json::to_string(&event).unwrap();
        assert_eq!(line(Event::Waiting { process: None }), r#"{"event":"waiting","process":null}"#);
        assert_eq!(
            line(Event::Link { url: "https://h/a", opened: true }),
            r#"{"event":"link","url":"https://h/a","opened":true}"#
        );
        assert_eq!(
            line(Event::Done { endpoint: "https://h", name: None }),
            r#"{"event":"done","endpoint":"https://h","name":null}"#
        );
        let failed = Event::Failed { error: "a\nb".to_owned(), next: None };
        assert_eq!(line(failed), r#"{"event":"failed","error":"a\nb","next":null}"#);
    }
}
