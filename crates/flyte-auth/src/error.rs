//! Why there is no token.

mod connect;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use url::Url;

pub use self::connect::ConnectFailure;
use crate::{
    Absence, Activity, Holder, answer::Intermediary, api_key::ApiKeyError,
    flows::external_command::CommandFailure, http::Target, oauth::ClientId, store::StoreError,
};

/// Why there is no token. The message says what happened and why.
///
/// The error can be cloned, because all tasks that wait for the same refresh or sign-in receive it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The server did not answer, or not over a connection that can be trusted.
    #[error("cannot reach {url}: {failure}")]
    Unreachable {
        /// The requested address, without a query.
        url: String,
        /// Why the connection failed.
        failure: ConnectFailure,
        /// Which server it is.
        target: Target,
        /// The underlying error.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// Something that is not a Flyte control plane answered.
    #[error("{url} is not a Flyte control plane: it answered {answer}")]
    WrongEndpoint {
        /// The endpoint.
        url: String,
        /// The answer, in words.
        answer: String,
    },
    /// Something in front of the control plane answered, for example a proxy or a firewall.
    #[error("{url} answered {answer}")]
    Answered {
        /// The requested address, without a query.
        url: String,
        /// The answer.
        answer: Box<Intermediary>,
    },
    /// The control plane has no sign-in: it does not implement `AuthMetadataService`.
    #[error("the control plane at {endpoint} has no sign-in")]
    NoSignIn {
        /// The endpoint.
        endpoint: String,
    },
    /// Flyte's own discovery and the well-known documents do not say where to sign in.
    #[error("{url} does not say how to sign in: {reason}")]
    Discovery {
        /// The endpoint.
        url: String,
        /// What each source answered.
        reason: String,
    },
    /// Discovery named an address to which credentials must not go.
    #[error("the server names {url} as its {what}, which is not https: credentials are not sent there")]
    InsecureUrl {
        /// What the address is for.
        what: &'static str,
        /// The address.
        url: Url,
    },
    /// Neither the provider nor the configuration names a client ID.
    #[error("{issuer} names no client ID to sign in with")]
    NoClientId {
        /// The provider.
        issuer: String,
    },
    /// The authorization server refused a request (RFC 6749 sections 4.1.2.1 and 5.2).
    #[error("the authorization server refused: {}{}", .code, in_parentheses(.description.as_deref()))]
    Refused {
        /// The `error` code.
        code: String,
        /// The `error_description`.
        description: Option<String>,
    },
    /// The authorization server answered with something that is not OAuth.
    #[error("{url} gave an answer that cannot be used: {reason}")]
    BadAnswer {
        /// The requested endpoint.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The authorization server cannot answer now (HTTP status 429 or 503, `temporarily_unavailable`). This says nothing about
    /// the credentials.
    #[error("{url} is temporarily unavailable (HTTP {status})")]
    Busy {
        /// The requested endpoint.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The time after which to try again, in seconds (RFC 9110 section 10.2.3).
        retry_after: Option<u64>,
    },
    /// The person, or a policy, denied the sign-in in the browser.
    #[error("the sign-in was denied{}", .description.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    AccessDenied {
        /// The `error_description`.
        description: Option<String>,
    },
    /// The person did not finish the sign-in in time.
    #[error("the sign-in was not finished within {minutes} minutes")]
    TimedOut {
        /// The time limit.
        minutes: u64,
    },
    /// The answer came from another issuer than the requested one (RFC 9207 section 2.4).
    #[error("the answer to the sign-in came from {actual:?} instead of {expected:?}")]
    IssuerMismatch {
        /// The issuer that was asked.
        expected: String,
        /// The issuer that answered.
        actual: String,
    },
    /// The loopback port of the redirect URI is in use, and the server accepts no other.
    #[error("port {port} is in use by another program, and the server accepts no other port to come back to")]
    CallbackPort {
        /// The port.
        port: u16,
        /// Why the port could not be bound.
        #[source]
        source: Arc<io::Error>,
    },
    /// A person has to sign in, and this process cannot ask one.
    #[error("not signed in to {endpoint}, and {absence}")]
    LoginRequired {
        /// The endpoint.
        endpoint: String,
        /// Why no person can be asked.
        absence: Absence,
    },
    /// The server ended the login (`invalid_grant`), a person has to sign in again, and this process cannot ask one.
    #[error("the session at {endpoint} has ended{}", in_parentheses(.reason.as_deref()))]
    SessionEnded {
        /// The endpoint.
        endpoint: String,
        /// The reason that the server gave.
        reason: Option<String>,
    },
    /// The server requires a new sign-in for this call (RFC 9470), which is not possible or was not enough.
    #[error("{endpoint} asks for {wanted} before it does this, and {}", if *.tried { "the one just now was not enough" } else { "this process cannot ask you to sign in" })]
    StepUpRequired {
        /// The endpoint.
        endpoint: String,
        /// The required sign-in, in words.
        wanted: String,
        /// How long ago the required sign-in may be; `None` if its age does not matter.
        max_age: Option<Duration>,
        /// Whether the person has signed in because of this requirement.
        tried: bool,
    },
    /// The server rejected a machine's credentials (RFC 6749 section 5.2).
    #[error("{endpoint} rejected the credentials of the client \"{client_id}\": {code}{}", in_parentheses(.description.as_deref()))]
    ClientRefused {
        /// The endpoint.
        endpoint: String,
        /// The client.
        client_id: ClientId,
        /// The `error` code.
        code: String,
        /// The `error_description`.
        description: Option<String>,
    },
    /// A machine's credentials are missing or cannot be used. No secret is in the message.
    #[error("cannot use {location}: {reason}")]
    Credentials {
        /// Where the credentials should be, in words.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// The API key is not valid.
    #[error("FLYTE_API_KEY cannot be used: {0}")]
    ApiKey(#[from] ApiKeyError),
    /// A command that prints a token failed. Its arguments are not in the message, because they may hold a secret.
    #[error("the command {program:?} ({setting}) gave no token: {failure}")]
    Command {
        /// The program.
        program: String,
        /// The key of the configuration that names the command.
        setting: &'static str,
        /// What went wrong.
        failure: CommandFailure,
    },
    /// The server has no device authorization endpoint.
    #[error("{issuer} offers no sign-in on another device (it names no device authorization endpoint)")]
    NoDeviceFlow {
        /// The provider.
        issuer: String,
    },
    /// A device code was not approved in time (RFC 8628 section 3.5), or was used before.
    #[error("{reason}")]
    CodeEnded {
        /// Why the code cannot be used.
        reason: &'static str,
    },
    /// The CI system gave no token for this job.
    #[error("cannot get this job's own token from {location}: {reason}")]
    IdToken {
        /// Where the token should come from, in words.
        location: String,
        /// What went wrong.
        reason: String,
    },
    /// The audience of the CI system's token is another server, so the token is not sent.
    #[error("this job's own token ({location}) is for {found}, not for {wanted}, and was not sent")]
    IdTokenAudience {
        /// Where the token comes from, in words.
        location: String,
        /// Its audiences (`aud`).
        found: String,
        /// The required audience.
        wanted: String,
    },
    /// The server does not accept the CI system's token.
    #[error("{endpoint} does not trust this job's token: {code}{}", in_parentheses(.description.as_deref()))]
    ExchangeRefused {
        /// The endpoint.
        endpoint: String,
        /// The `error` code.
        code: String,
        /// The `error_description`.
        description: Option<String>,
    },
    /// A pasted callback URL does not belong to this sign-in.
    #[error(
        "the pasted address is not the end of this sign-in: its state is missing or belongs to another one"
    )]
    StateMismatch,
    /// This version does not have the configured way to sign in.
    #[error("authType {auth_type} cannot be used here")]
    UnsupportedAuthType {
        /// The configured value.
        auth_type: String,
    },
    /// The server rejects fresh tokens because the two clocks differ.
    #[error("this machine's clock is {seconds} seconds {} the server's, so that tokens look expired", if *.ahead { "ahead of" } else { "behind" })]
    ClockSkew {
        /// The difference.
        seconds: u64,
        /// Whether this machine's clock is ahead.
        ahead: bool,
    },
    /// The CA file cannot be used.
    #[error("cannot use the CA file {}: {reason}", .path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The request cannot be sent: it is too large to be kept for a second try, or it is malformed.
    #[error("the request cannot be sent: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
    /// A proxy setting cannot be used. Its value is not in the message, because it may hold a password.
    #[error("cannot use the proxy that {setting} names: {reason}")]
    Proxy {
        /// The setting or variable.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS cannot be set up on this machine.
    #[error("cannot set up TLS: {reason}")]
    Tls {
        /// What went wrong.
        reason: String,
    },
    /// A file of the state directory cannot be used.
    #[error("cannot {action} {}: {source}", .path.display())]
    State {
        /// The attempted action, a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The file system's error.
        source: Arc<io::Error>,
    },
    /// Another process has held this login's lock for longer than its work should take.
    #[error("{} has been {activity} at {endpoint} for too long to wait for", describe_holder(.holder.as_deref()))]
    HeldUp {
        /// The endpoint.
        endpoint: String,
        /// The process, if it is known.
        holder: Option<Box<Holder>>,
        /// What the process does.
        activity: Activity,
    },
    /// The tokens could not be read or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gave no random numbers.
    #[error("the operating system gave no random numbers")]
    Random,
    /// The task that worked on the sign-in or the refresh ended early.
    #[error("signing in was interrupted")]
    Interrupted,
}

fn in_parentheses(text: Option<&str>) -> String {
    text.map(|text| format!(" ({text})")).unwrap_or_default()
}

fn describe_holder(holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) if holder.is_suspended() => format!("{holder}, which is suspended,"),
        Some(holder) => holder.to_string(),
        None => "another process".to_owned(),
    }
}

impl AuthError {
    /// Whether the server may have handled the request although no answer arrived.
    pub(crate) fn answer_may_be_lost(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if !source.is_connect())
    }

    /// Whether the server may have moved, so that discovery should run again.
    pub(crate) fn may_have_moved(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::BadAnswer { .. } | Self::Busy { status: 503, .. })
    }

    /// Whether the cause is the caller's identity, rather than the network or the machine.
    #[must_use]
    pub fn is_authentication(&self) -> bool {
        matches!(self, Self::Answered { answer, .. } if answer.status == 401)
            || matches!(
                self,
                Self::Refused { .. }
                    | Self::AccessDenied { .. }
                    | Self::TimedOut { .. }
                    | Self::IssuerMismatch { .. }
                    | Self::CallbackPort { .. }
                    | Self::LoginRequired { .. }
                    | Self::SessionEnded { .. }
                    | Self::StepUpRequired { .. }
                    | Self::StateMismatch
                    | Self::ClientRefused { .. }
                    | Self::Credentials { .. }
                    | Self::ApiKey(_)
                    | Self::Command { .. }
                    | Self::NoDeviceFlow { .. }
                    | Self::CodeEnded { .. }
                    | Self::IdToken { .. }
                    | Self::IdTokenAudience { .. }
                    | Self::ExchangeRefused { .. }
                    | Self::UnsupportedAuthType { .. }
                    | Self::NoClientId { .. }
                    | Self::ClockSkew { .. }
                    | Self::Store(_)
                    | Self::HeldUp { activity: Activity::SigningIn, .. }
                    | Self::Interrupted
            )
    }

    /// Whether the failure may go away by itself if the server has answered before: the server may be down or be replaced, and
    /// a proxy may answer in its place meanwhile.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { failure, .. } => failure.is_temporary(),
            // With these, what is in front of the server refuses the request itself: sending it again does not help.
            Self::Answered { answer, .. } => !matches!(answer.status, 400 | 401 | 403 | 407 | 413 | 431),
            Self::Busy { .. }
            | Self::BadAnswer { .. }
            | Self::Discovery { .. }
            | Self::WrongEndpoint { .. } => true,
            _ => false,
        }
    }
}
