//! What happens in a sign-in, for programs: one JSON object in a line.

use serde::Serialize;

use crate::output;

/// An event of a sign-in. The schema is part of the command's interface (docs/guide/headless.md).
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// The person has to open this link; `opened` tells that a browser was opened there.
    Link {
        /// The authorization request.
        url: &'a str,
        /// Whether a browser was opened.
        opened: bool,
    },
    /// The person has to open this link on any device, and to check the code.
    Code {
        /// The link with the code in it.
        url: &'a str,
        /// The link without the code.
        verification_uri: &'a str,
        /// The code.
        user_code: &'a str,
        /// How long the code can be used, in seconds.
        expires_in: u64,
    },
    /// The server wants a more recent sign-in, or another kind of it, for what the command does (RFC 9470).
    StepUp {
        /// The control plane.
        endpoint: &'a str,
        /// What it wants, in words.
        wanted: &'a str,
    },
    /// Another process signs in to the same control plane, and this one waits for it.
    Waiting {
        /// Which one; `null` if that is not known.
        process: Option<String>,
    },
    /// Something that the person should know before they go on.
    Notice {
        /// Whole sentences.
        text: &'a str,
    },
    /// The person is signed in.
    Done {
        /// The control plane.
        endpoint: &'a str,
        /// As whom: the e-mail address, user name or subject; `null` if the server does not say.
        name: Option<&'a str>,
    },
    /// The sign-in failed.
    Failed {
        /// What happened.
        error: String,
        /// What to do next; `null` if there is nothing.
        next: Option<&'a str>,
    },
}

/// Where events go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Events {
    /// To standard output: they are the command's result.
    Result,
    /// To standard error: the result is something else.
    Aside,
}

impl Events {
    /// Writes an event.
    pub(crate) fn write(self, event: &Event<'_>) {
        let Ok(line) = serde_json::to_string(event) else { return };
        match self {
            // A reader that has gone away does not end the sign-in.
            Self::Result => drop(output::write(&format!("{line}\n"))),
            Self::Aside => output::tell(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_objects_in_one_line() {
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
