//! Why a call failed.

use std::error::Error;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use buffa::Message as _;
use connectrpc::{ConnectError, ErrorCode};
use flyte_auth::AuthError;
use flyte_config::Endpoint;
use flyte_idl::google::rpc::ErrorInfo;

/// The longest server message that is repeated, in characters.
const MAX_MESSAGE_CHARS: usize = 400;

/// The type of the detail that names the deciding rule.
const ERROR_INFO: &str = "google.rpc.ErrorInfo";
/// The domain of its reasons.
const ERROR_DOMAIN: &str = "flyteauth";

/// The rule by which a `flyte-server` denied a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidingRule {
    /// The rule, for example `role` or `limit`.
    pub name: String,
    /// The RPC that was called: `package.Service/Method`.
    pub rpc: String,
}

impl DecidingRule {
    fn of(error: &ConnectError) -> Option<Self> {
        let detail = error.details.iter().find(|detail| detail.type_url.ends_with(ERROR_INFO))?;
        // Connect leaves padding out; some servers write it.
        let value = STANDARD_NO_PAD.decode(detail.value.as_deref()?.trim_end_matches('=')).ok()?;
        let mut info =
            ErrorInfo::decode_from_slice(&value).ok().filter(|info| info.domain == ERROR_DOMAIN)?;
        let mut word = |name: &str| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
            info.metadata.remove(name).filter(|text| !text.is_empty() && text.chars().all(is_part))
        };
        Some(Self { name: word("rule")?, rpc: word("rpc")? })
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The resource does not exist.
    #[error("not found: {message}")]
    NotFound {
        /// The server's message.
        message: String,
    },
    /// The resource exists already.
    #[error("already there: {message}")]
    AlreadyExists {
        /// The server's message.
        message: String,
    },
    /// The server rejected the request's content.
    #[error("the server refuses the request: {message}")]
    InvalidArgument {
        /// The server's message.
        message: String,
    },
    /// The caller is authenticated but may not make this call.
    #[error("permission denied: {message}")]
    PermissionDenied {
        /// The server's message.
        message: String,
        /// The rule that decided, if the server says it.
        rule: Option<Box<DecidingRule>>,
    },
    /// The server rejected the caller's credentials, or the caller has none.
    #[error("not logged in at {endpoint}: {message}")]
    Unauthenticated {
        /// The control plane.
        endpoint: String,
        /// The server's message.
        message: String,
    },
    /// The server did not answer, or not in time.
    #[error("no answer from {endpoint}: {message}")]
    Unavailable {
        /// The control plane.
        endpoint: String,
        /// What happened.
        message: String,
    },
    /// Another server answered, for example a web console.
    #[error("{endpoint} is not a Flyte control plane: {found}")]
    WrongEndpoint {
        /// The address.
        endpoint: String,
        /// The answer, in words.
        found: String,
    },
    /// The server does not have this method.
    #[error("{endpoint} does not offer this: {message}")]
    Unsupported {
        /// The control plane.
        endpoint: String,
        /// The server's message.
        message: String,
    },
    /// Any other failure of the server.
    #[error("the server failed ({code}): {message}")]
    Server {
        /// The Connect code.
        code: &'static str,
        /// The server's message.
        message: String,
    },
    /// The transport failed, for example because of a failed sign-in.
    #[error("{0}")]
    Transport(#[source] Box<ConnectError>),
}

impl ClientError {
    /// Classifies a failed call to `endpoint`.
    pub(crate) fn from_connect(error: ConnectError, endpoint: &Endpoint) -> Self {
        let endpoint = endpoint.to_string();
        if let Some(found) = describe_other_server(&error) {
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
            ErrorCode::PermissionDenied => {
                Self::PermissionDenied { message, rule: DecidingRule::of(&error).map(Box::new) }
            }
            ErrorCode::Unauthenticated => Self::Unauthenticated { endpoint, message },
            ErrorCode::Unavailable | ErrorCode::DeadlineExceeded | ErrorCode::ResourceExhausted => {
                Self::Unavailable { endpoint, message }
            }
            ErrorCode::Unimplemented => Self::Unsupported { endpoint, message },
            code => Self::Server { code: code.as_str(), message },
        }
    }

    /// Whether the failure may go away by itself if the server has answered before: the server may be down, be replaced, or have
    /// failed. Then the call is worth another try.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Server { .. } => true,
            Self::Transport(_) => self.cause::<AuthError>().is_none_or(AuthError::is_temporary),
            _ => false,
        }
    }

    /// The first source of type `E`, for example an [`AuthError`].
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

/// Describes a server that is not a control plane, by the headers of its answer; `None` for a control plane.
fn describe_other_server(error: &ConnectError) -> Option<String> {
    let header = |name: &str| error.response_headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(location) = header("location") {
        let address = location.split(['?', '#']).next().unwrap_or_default();
        return Some(format!("it redirects to {}", clean(address, error.code)));
    }
    let may_be_gateway = matches!(
        error.code,
        ErrorCode::Unavailable | ErrorCode::Unauthenticated | ErrorCode::PermissionDenied
    );
    let content_type = header("content-type")?;
    let is_page = content_type.starts_with("text/html");
    let is_other_type = error.code == ErrorCode::Unknown
        && !["application/proto", "application/json", "application/connect+"]
            .iter()
            .any(|of_calls| content_type.starts_with(of_calls));
    if is_page && !may_be_gateway {
        return Some("it answers with a web page".to_owned());
    }
    is_other_type.then(|| format!("it answers with {}", clean(content_type, error.code)))
}

/// Makes a server's text safe for a terminal: one line, without control characters, with a limited length.
fn clean(message: &str, code: ErrorCode) -> String {
    let words: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MAX_MESSAGE_CHARS) {
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
    fn codes_are_classified() {
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
        }
    }

    #[test]
    fn a_denial_names_the_rule_that_decided() {
        let info = |domain: &str, metadata: &[(&str, &str)]| {
            let metadata =
                metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let info = ErrorInfo { domain: domain.to_owned(), metadata, ..ErrorInfo::default() };
            let detail = connectrpc::ErrorDetail::from_message(ERROR_INFO, &info);
            match classify(ConnectError::permission_denied("no").with_detail(detail)) {
                ClientError::PermissionDenied { rule, .. } => rule.map(|rule| *rule),
                error => panic!("{error}"),
            }
        };
        let rpc = ("rpc", "flyteidl2.workflow.RunService/CreateRun");
        let decided = DecidingRule { name: "role".to_owned(), rpc: rpc.1.to_owned() };
        assert_eq!(info("flyteauth", &[("rule", "role"), rpc]), Some(decided));
        for (domain, metadata) in [
            ("googleapis.com", [("rule", "role"), rpc]),
            ("flyteauth", [("setting", "role"), rpc]),
            // It is shown in a command to type.
            ("flyteauth", [("rule", "role"), ("rpc", "x; rm -rf ~")]),
            ("flyteauth", [("rule", "\u{1b}[2J"), rpc]),
        ] {
            assert_eq!(info(domain, &metadata), None, "{domain} {metadata:?}");
        }
    }

    #[test]
    fn a_cause_is_found_in_the_chain_of_sources() {
        let cause = std::io::Error::other("browser");
        let error = classify(ConnectError::unavailable_from_transport("send", cause));
        assert!(matches!(error, ClientError::Transport(_)));
        assert_eq!(error.cause::<std::io::Error>().unwrap().to_string(), "browser");
        assert!(error.cause::<std::fmt::Error>().is_none());
    }

    #[test]
    fn a_servers_text_has_no_control_characters_and_a_limited_length() {
        let error = classify(ConnectError::not_found(format!("a\x1b[2J\n\tb{}", "c".repeat(1000))));
        let text = error.to_string();
        assert!(
            text.starts_with("not found: a [2J bccc") && text.ends_with('…') && text.chars().count() < 430,
            "{text}"
        );
        assert_eq!(classify(ConnectError::not_found("")).to_string(), "not found: not found");
    }
}
