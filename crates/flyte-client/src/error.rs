//! What can go wrong with a call.

use std::error::Error;

use connectrpc::{ConnectError, ErrorCode};
use flyte_auth::AuthError;
use flyte_config::Endpoint;

/// Longest message of a server that is repeated, in characters.
const LONGEST_MESSAGE: usize = 400;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no such thing.
    #[error("not found: {message}")]
    NotFound {
        /// What the server says.
        message: String,
    },
    /// There is one already.
    #[error("already there: {message}")]
    AlreadyExists {
        /// What the server says.
        message: String,
    },
    /// The server does not take what was sent.
    #[error("the server refuses the request: {message}")]
    InvalidArgument {
        /// What the server says.
        message: String,
    },
    /// The caller is known but may not do this.
    #[error("permission denied: {message}")]
    PermissionDenied {
        /// What the server says.
        message: String,
    },
    /// The server does not accept the caller's credentials, or there are none.
    #[error("not logged in at {endpoint}: {message}")]
    Unauthenticated {
        /// The control plane.
        endpoint: String,
        /// What the server says.
        message: String,
    },
    /// Nobody answers, or not in time.
    #[error("no answer from {endpoint}: {message}")]
    Unavailable {
        /// The control plane.
        endpoint: String,
        /// What happened.
        message: String,
    },
    /// Somebody answers who is no control plane, such as a web console.
    #[error("{endpoint} is not a Flyte control plane: {found}")]
    WrongEndpoint {
        /// The address.
        endpoint: String,
        /// What is there instead.
        found: String,
    },
    /// The server does not know the call.
    #[error("{endpoint} does not offer this: {message}")]
    Unsupported {
        /// The control plane.
        endpoint: String,
        /// What the server says.
        message: String,
    },
    /// Any other failure at the server.
    #[error("the server failed ({code}): {message}")]
    Server {
        /// The Connect code.
        code: &'static str,
        /// What the server says.
        message: String,
    },
    /// The transport failed for a reason of its own, such as a login that did not succeed.
    #[error("{0}")]
    Transport(#[source] Box<ConnectError>),
}

impl ClientError {
    /// Classifies a failed call to `endpoint`.
    pub(crate) fn from_connect(error: ConnectError, endpoint: &Endpoint) -> Self {
        let endpoint = endpoint.to_string();
        if let Some(found) = what_answered(&error) {
            return Self::WrongEndpoint { endpoint, found };
        }
        if error.source().is_some() {
            return Self::Transport(Box::new(error));
        }
        let message = clean(error.message.as_deref().unwrap_or_default(), error.code);
        match error.code {
            ErrorCode::NotFound => Self::NotFound { message },
            ErrorCode::AlreadyExists => Self::AlreadyExists { message },
            ErrorCode::InvalidArgument | ErrorCode::OutOfRange | ErrorCode::FailedPrecondition => {
                Self::InvalidArgument { message }
            }
            ErrorCode::PermissionDenied => Self::PermissionDenied { message },
            ErrorCode::Unauthenticated => Self::Unauthenticated { endpoint, message },
            ErrorCode::Unavailable | ErrorCode::DeadlineExceeded | ErrorCode::ResourceExhausted => {
                Self::Unavailable { endpoint, message }
            }
            ErrorCode::Unimplemented => Self::Unsupported { endpoint, message },
            code => Self::Server { code: code.as_str(), message },
        }
    }

    /// Whether it may go away by itself: the server is away, is being replaced, or has failed for a reason of its own. A call of
    /// a server that has answered before is worth another try then.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Server { .. } => true,
            Self::Transport(_) => self.cause::<AuthError>().is_none_or(AuthError::is_temporary),
            _ => false,
        }
    }

    /// What the person can do next.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { .. } => Some("List what there is: flyte get project"),
            Self::AlreadyExists { .. } => Some("Look at it, or choose another name: flyte get project"),
            Self::InvalidArgument { .. } => Some("Correct the argument; see the command's --help"),
            Self::PermissionDenied { .. } => Some("Check who you are: flyte whoami"),
            Self::Unauthenticated { .. } => Some(
                "See which credentials are used: flyte auth status. A person signs in again with: flyte auth login",
            ),
            Self::Unavailable { .. } => Some("Check the address and the network, then run the command again"),
            Self::WrongEndpoint { .. } => Some(
                "Use the address of the control plane, not of its web pages: flyte create config --endpoint HOST",
            ),
            Self::Unsupported { .. } => Some(
                "It is switched off at this server, or the server is older than this client: ask its administrator",
            ),
            Self::Server { .. } => {
                Some("Run it again; if it stays, run it with -v and show the output to who runs the server")
            }
            Self::Transport(_) => None,
        }
    }

    /// The first error of type `E` that caused this one, such as the authentication engine's.
    #[must_use]
    pub fn cause<E: Error + 'static>(&self) -> Option<&E> {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }
}

/// What answered instead of a control plane, by the answer's headers.
fn what_answered(error: &ConnectError) -> Option<String> {
    let header = |name: &str| error.response_headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(location) = header("location") {
        let place = location.split(['?', '#']).next().unwrap_or_default();
        return Some(format!("it redirects to {}", clean(place, error.code)));
    }
    let gateway = matches!(
        error.code,
        ErrorCode::Unavailable | ErrorCode::Unauthenticated | ErrorCode::PermissionDenied
    );
    let content_type = header("content-type")?;
    let is_page = content_type.starts_with("text/html");
    let is_foreign = error.code == ErrorCode::Unknown
        && !content_type.starts_with("application/proto")
        && !content_type.starts_with("application/json");
    if is_page && !gateway {
        return Some("it answers with a web page".to_owned());
    }
    is_foreign.then(|| format!("it answers with {}", clean(content_type, error.code)))
}

/// A server's text in one line, without control characters (they could move the terminal's cursor), not too long.
fn clean(message: &str, code: ErrorCode) -> String {
    let words: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST_MESSAGE) {
        line.truncate(end);
        line.push('…');
    }
    if line.is_empty() { code.as_str().replace('_', " ") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &"flyte.example.com".parse().unwrap())
    }

    #[test]
    fn codes_are_classified_and_hinted() {
        for (code, expected) in [
            (ErrorCode::NotFound, "not found: x"),
            (ErrorCode::AlreadyExists, "already there: x"),
            (ErrorCode::InvalidArgument, "the server refuses the request: x"),
            (ErrorCode::PermissionDenied, "permission denied: x"),
            (ErrorCode::Unauthenticated, "not logged in at https://flyte.example.com: x"),
            (ErrorCode::Unavailable, "no answer from https://flyte.example.com: x"),
            (ErrorCode::Unimplemented, "https://flyte.example.com does not offer this: x"),
            (ErrorCode::DataLoss, "the server failed (data_loss): x"),
        ] {
            let error = classify(ConnectError::new(code, "x"));
            assert_eq!(error.to_string(), expected);
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn a_cause_is_found_through_the_chain() {
        let cause = std::io::Error::other("browser");
        let error = classify(ConnectError::unavailable_from_transport("send", cause));
        assert!(matches!(error, ClientError::Transport(_)));
        assert_eq!(error.cause::<std::io::Error>().unwrap().to_string(), "browser");
        assert!(error.cause::<std::fmt::Error>().is_none());
    }

    #[test]
    fn a_servers_text_cannot_control_the_terminal_and_is_cut() {
        let error = classify(ConnectError::not_found(format!("a\x1b[2J\n\tb{}", "c".repeat(1000))));
        let text = error.to_string();
        assert!(
            text.starts_with("not found: a [2J bccc") && text.ends_with('…') && text.chars().count() < 430,
            "{text}"
        );
        assert_eq!(classify(ConnectError::not_found("")).to_string(), "not found: not found");
    }
}
