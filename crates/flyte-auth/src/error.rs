//! What can go wrong, each with what a person can do about it.

mod connect;

use std::{io, path::PathBuf, sync::Arc};

use url::Url;

pub use self::connect::ConnectFailure;
use crate::{
    Absence, Doing, Holder, answer::Intermediary, api_key::ApiKeyError,
    flows::external_command::CommandFailure, store::StoreError,
};

/// Why there is no token. The message says what happened and why; [`AuthError::hint`] says what to do next.
///
/// It can be cloned, because all tasks that waited for one refresh or sign-in are told how that one failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The server did not answer, or not over a connection that can be trusted.
    #[error("cannot reach {url}: {failure}")]
    Unreachable {
        /// What was being reached, without a query.
        url: String,
        /// Why not.
        failure: ConnectFailure,
        /// What to do next, if there is something to do.
        hint: Option<String>,
        /// The underlying error.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// Something that is not a Flyte control plane answered.
    #[error("{url} is not a Flyte control plane: it answered {answer}")]
    WrongEndpoint {
        /// The endpoint.
        url: String,
        /// What it answered.
        answer: String,
    },
    /// What answered is not the control plane but something in front of it, such as a proxy or a firewall.
    #[error("{url} answered {answer}")]
    Answered {
        /// What was asked, without a query.
        url: String,
        /// What it answered.
        answer: Box<Intermediary>,
    },
    /// The control plane has no sign-in: it does not implement `AuthMetadataService`.
    #[error("the control plane at {endpoint} has no sign-in")]
    NoSignIn {
        /// The endpoint.
        endpoint: String,
    },
    /// Neither Flyte's own discovery nor a well-known document told where to sign in.
    #[error("{url} does not tell how to sign in: {reason}")]
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
    /// The provider tells no client ID and the configuration has none.
    #[error("{issuer} tells no client ID to sign in with")]
    NoClientId {
        /// The provider.
        issuer: String,
    },
    /// The authorization server refused a request (RFC 6749 sections 4.1.2.1 and 5.2).
    #[error("the authorization server refused: {}{}", .code, .description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// The `error` code.
        code: String,
        /// The `error_description`.
        description: Option<String>,
    },
    /// The authorization server answered with something that is not OAuth.
    #[error("{url} gave an answer that cannot be used: {reason}")]
    BadAnswer {
        /// The token endpoint.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The authorization server has no time now (HTTP status 429 or 503, `temporarily_unavailable`). It says nothing about
    /// credentials.
    #[error("{url} has no time now (HTTP status {status})")]
    Busy {
        /// The endpoint that was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long it asks to wait, in seconds (RFC 9110 section 10.2.3).
        retry_after: Option<u64>,
    },
    /// The person, or a policy, said no in the browser.
    #[error("the sign-in was denied{}", .description.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    AccessDenied {
        /// What the server said about it.
        description: Option<String>,
    },
    /// Nobody finished the sign-in in time.
    #[error("nobody finished signing in within {minutes} minutes")]
    TimedOut {
        /// How long it was waited for.
        minutes: u64,
    },
    /// An answer came from another issuer than the one asked (RFC 9207 section 2.4).
    #[error("the answer to the sign-in came from {actual:?} instead of {expected:?}")]
    IssuerMismatch {
        /// Who was asked.
        expected: String,
        /// Who answered.
        actual: String,
    },
    /// The loopback port of the redirect URI is taken and the server accepts no other.
    #[error("port {port} is taken by another program, and the server accepts no other port to come back to")]
    CallbackPort {
        /// The port.
        port: u16,
        /// Why it could not be bound.
        #[source]
        source: Arc<io::Error>,
    },
    /// A person has to sign in, and there is none.
    #[error("not signed in to {endpoint}, and {absence}")]
    LoginRequired {
        /// The endpoint.
        endpoint: String,
        /// Why no person can be asked.
        absence: Absence,
    },
    /// The server ended the login (`invalid_grant`), a person has to sign in again, and there is none.
    #[error("the session at {endpoint} has ended: the server no longer takes its refresh token{}", .reason.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    SessionEnded {
        /// The endpoint.
        endpoint: String,
        /// What the server said about it.
        reason: Option<String>,
    },
    /// The server wants the person to sign in again before it does this (RFC 9470), and that cannot be, or was not enough.
    #[error("{endpoint} asks for {wanted} before it does this, and {}", if *.tried { "the one just now was not enough" } else { "nobody can sign in here" })]
    StepUpRequired {
        /// The endpoint.
        endpoint: String,
        /// What it asks for, in words.
        wanted: String,
        /// The `--max-age` of a sign-in that would do, as the command takes it; `None` where any will.
        max_age: Option<String>,
        /// Whether the person has signed in because of it.
        tried: bool,
    },
    /// The server does not take a machine's credentials (RFC 6749 section 5.2).
    #[error("{endpoint} does not take the credentials of the client {client_id:?}: {code}{}", .description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    ClientRefused {
        /// The endpoint.
        endpoint: String,
        /// Whose credentials.
        client_id: String,
        /// The `error` code.
        code: String,
        /// The `error_description`.
        description: Option<String>,
    },
    /// What a machine proves itself with is not there or cannot be used. No secret is in the message.
    #[error("cannot use {place}: {reason}")]
    Credentials {
        /// Where it was looked for.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The API key is none.
    #[error("FLYTE_API_KEY cannot be used: {0}")]
    ApiKey(#[from] ApiKeyError),
    /// A command that prints a token did not. Its arguments are not in the message: they may hold a secret.
    #[error("the command {program:?} ({setting}) gave no token: {failure}")]
    Command {
        /// The program.
        program: String,
        /// Which key of the configuration names it.
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
    /// A device code was not approved in time (RFC 8628 section 3.5), or is used up.
    #[error("{reason}")]
    CodeEnded {
        /// What became of it.
        reason: &'static str,
    },
    /// The CI system's own token cannot be had.
    #[error("cannot get this job's own token from {source}: {reason}", source = .place)]
    IdToken {
        /// Where it comes from.
        place: String,
        /// Why not.
        reason: String,
    },
    /// The CI system's own token is for somebody else, and is not sent.
    #[error("this job's own token ({place}) is for {found}, not for {wanted}, and was not sent")]
    IdTokenAudience {
        /// Where it comes from.
        place: String,
        /// Its `aud`.
        found: String,
        /// Whom it has to be for.
        wanted: String,
    },
    /// The server does not take the CI system's token.
    #[error("{endpoint} does not trust this job's token: {code}{}", .description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    ExchangeRefused {
        /// The endpoint.
        endpoint: String,
        /// The `error` code.
        code: String,
        /// The `error_description`.
        description: Option<String>,
    },
    /// A pasted callback URL is another sign-in's, or none.
    #[error("the pasted address is not the end of this sign-in: its state is missing or another one's")]
    StateMismatch,
    /// The configured way to sign in is not one that this version has.
    #[error("authType {auth_type} cannot be used here")]
    UnsupportedAuthType {
        /// The configured value.
        auth_type: String,
    },
    /// The server refuses fresh tokens because the clocks disagree.
    #[error("this machine's clock is {seconds} seconds {} the server's, so that tokens look expired", if *.ahead { "ahead of" } else { "behind" })]
    ClockSkew {
        /// By how much.
        seconds: u64,
        /// Which way.
        ahead: bool,
    },
    /// The CA file cannot be used.
    #[error("cannot use the CA file {}: {reason}", .path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A request cannot be sent as it is: it is larger than can be kept for a second try, or not well-formed.
    #[error("the request cannot be sent: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
    /// A setting about proxies cannot be used. Its value may hold a password and is not in the message.
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
        /// Why.
        reason: String,
    },
    /// A file of the state directory cannot be used.
    #[error("cannot {action} {}: {source}", .path.display())]
    State {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: Arc<io::Error>,
    },
    /// Another process has had this login's lock for longer than it should take.
    #[error("{} has been {doing} at {endpoint} for too long, so this command stopped waiting", holder_in_words(.holder.as_deref()))]
    HeldUp {
        /// The endpoint.
        endpoint: String,
        /// The process, where that is known.
        holder: Option<Box<Holder>>,
        /// What it does.
        doing: Doing,
    },
    /// The tokens could not be read or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gave no random numbers.
    #[error("the operating system gave no random numbers")]
    Random,
    /// The task that worked on it died.
    #[error("signing in was interrupted")]
    Interrupted,
}

fn holder_in_words(holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) if holder.is_suspended() => format!("{holder}, which is suspended,"),
        Some(holder) => holder.to_string(),
        None => "another process".to_owned(),
    }
}

impl AuthError {
    /// Whether the server may have done what it was asked although no answer arrived.
    pub(crate) fn answer_may_be_lost(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if !source.is_connect())
    }

    /// Whether the address may be an old one: what was found out about the server earlier is worth looking up again.
    pub(crate) fn may_have_moved(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::BadAnswer { .. } | Self::Busy { status: 503, .. })
    }

    /// Whether the cause is who the caller is (exit code 4 of the `flyte` command), not the network or the machine.
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
                    | Self::HeldUp { doing: Doing::SigningIn, .. }
                    | Self::Interrupted
            )
    }

    /// Whether it may go away by itself, for a server that has answered before: it is away or being replaced, and what stands
    /// in front of it may answer in its place meanwhile.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { failure, .. } => failure.is_temporary(),
            // Refused by what stands in front, for as long as the request is the same.
            Self::Answered { answer, .. } => !matches!(answer.status, 400 | 401 | 403 | 407 | 413 | 431),
            Self::Busy { .. }
            | Self::BadAnswer { .. }
            | Self::Discovery { .. }
            | Self::WrongEndpoint { .. } => true,
            _ => false,
        }
    }

    /// What to do next, where there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { hint, .. } => return hint.clone(),
            Self::WrongEndpoint { .. } => {
                "Give the control plane's address, not the web console's: `flyte create config --endpoint HOST`. If a proxy in \
                front of it wants its own sign-in, set admin.proxyCommand."
                    .to_owned()
            }
            Self::Answered { answer, .. } => return answer.hint(),
            Self::NoSignIn { .. } => "Most calls need none. To have one, put a proxy that checks tokens in front of it, with \
                flyte-server as its authorization server: docs/guide/backend.md."
                .to_owned(),
            Self::Discovery { .. } => {
                "Check admin.endpoint in the configuration: `flyte create config --endpoint HOST`.".to_owned()
            }
            Self::InsecureUrl { .. } => {
                "Ask the server's administrator to publish https addresses.".to_owned()
            }
            Self::NoClientId { .. } => {
                "Set admin.clientId in the configuration to the client that is registered there.".to_owned()
            }
            Self::StepUpRequired { tried: true, .. } => {
                "Ask the server's administrator what kind of sign-in it wants.".to_owned()
            }
            Self::StepUpRequired { max_age: Some(age), .. } => {
                format!("Run `flyte auth login --max-age {age}` in a terminal, then run this again at once.")
            }
            Self::Refused { code, .. } if code == "invalid_scope" => {
                "Check admin.scopes in the configuration: the server gives none of them.".to_owned()
            }
            Self::Busy { retry_after: Some(seconds), .. } => {
                format!("Nothing is wrong with the credentials. Try again in {seconds} seconds.")
            }
            Self::Busy { .. } => "Nothing is wrong with the credentials. Try again later.".to_owned(),
            Self::Refused { .. }
            | Self::AccessDenied { .. }
            | Self::TimedOut { .. }
            | Self::IssuerMismatch { .. }
            | Self::StepUpRequired { .. }
            | Self::Interrupted => "Run `flyte auth login` to try again.".to_owned(),
            Self::BadAnswer { .. } => {
                "The stored login was kept. Try again later; if it stays, tell the server's administrator."
                    .to_owned()
            }
            Self::CallbackPort { port, .. } => {
                format!("End the program that listens on port {port}, then run `flyte auth login`.")
            }
            Self::StateMismatch => {
                "Copy the whole address of the page that the browser ended on, from the link shown last."
                    .to_owned()
            }
            Self::LoginRequired { absence: Absence::Job(_), .. } => {
                "Give the job an API key (FLYTE_API_KEY) or let its own token sign in (docs/guide/ci.md). If a person is \
                present, set CI=false."
                    .to_owned()
            }
            Self::LoginRequired { absence: Absence::SigningIn(holder), .. } if holder.is_suspended() => {
                format!("Resume it (`fg`) or end it (`kill -9 {}`), and run `flyte auth login` in a terminal.", holder.pid)
            }
            Self::LoginRequired { absence: Absence::SigningIn(_), .. } => {
                "Finish that sign-in, then run this again.".to_owned()
            }
            Self::LoginRequired { .. } | Self::SessionEnded { .. } => {
                "Run `flyte auth login` in a terminal first.".to_owned()
            }
            Self::ClientRefused { .. } => "The key may be deleted, expired or rotated: create another with `flyte create api-key NAME`. \
                Where the configuration names client and secret, check admin.clientId and where its secret is."
                .to_owned(),
            Self::Credentials { .. } => {
                "Correct that, or remove it from the configuration; see `flyte create config --help`.".to_owned()
            }
            Self::ApiKey(error) => return Some(error.hint()),
            Self::Command { failure: CommandFailure::Missing, .. } => {
                "Name the command that prints the token: `flyte create config --endpoint HOST --command '...'`.".to_owned()
            }
            Self::Command { setting, .. } => {
                format!("Run the command of {setting} by hand: it has to print a token and nothing else.")
            }
            Self::NoDeviceFlow { .. } => "Sign in by the browser: `flyte auth login --auth-type pkce` prints a link, and takes \
                the address that the browser ends on."
                .to_owned(),
            Self::CodeEnded { .. } => "Run the command again for a new code.".to_owned(),
            Self::IdToken { .. } => "GitHub Actions: give the job `permissions: id-token: write`. GitLab: name FLYTE_ID_TOKEN under \
                `id_tokens:`. Elsewhere: set FLYTE_ID_TOKEN_FILE."
                .to_owned(),
            Self::IdTokenAudience { wanted, .. } => format!(
                "Let the CI system make it for the server: in GitLab `aud: {wanted}` below `FLYTE_ID_TOKEN:`, in Kubernetes \
                `audience: {wanted}` of the projected token. Where the trust rule names another audience, set \
                FLYTE_ID_TOKEN_AUDIENCE to it."
            ),
            Self::ExchangeRefused { .. } => "Let an administrator look at `flyte get trust`: issuer, audience and claims of a rule have to \
                fit the job; `flyte create trust` makes one."
                .to_owned(),
            Self::UnsupportedAuthType { .. } => {
                "Run `flyte create config --endpoint HOST --auth-type pkce`.".to_owned()
            }
            Self::ClockSkew { .. } => {
                "Set this machine's clock, for example with `timedatectl set-ntp true`.".to_owned()
            }
            Self::CaFile { .. } => {
                "Give the right file with `flyte create config --endpoint HOST --ca-cert-file FILE`."
                    .to_owned()
            }
            Self::Proxy { setting, .. } => format!("Correct {setting}, or unset it: http://USER:PASSWORD@HOST:PORT."),
            Self::Tls { .. } => {
                "Install the system's certificate authorities, for example the package ca-certificates.".to_owned()
            }
            Self::HeldUp { holder: Some(holder), .. } if holder.is_suspended() => {
                format!("Resume it (`fg`) or end it (`kill -9 {}`), then run the command again.", holder.pid)
            }
            Self::HeldUp { holder: Some(holder), .. } => {
                format!("End it (`kill {}`), then run the command again.", holder.pid)
            }
            Self::HeldUp { holder: None, .. } => {
                "End the other flyte or Python process, then run the command again.".to_owned()
            }
            Self::State { .. } => "Check that the directory exists, is yours and is not full.".to_owned(),
            Self::Store(error) => return error.hint(),
            Self::Random | Self::Request { .. } => return None,
        })
    }
}
