//! Next steps if there is no token.

use std::time::Duration;

use flyte_auth::api_key::ApiKeyError;
use flyte_auth::flows::external_command::CommandFailure;
use flyte_auth::{Absence, AuthError};

use crate::{Hint, unreachable};

impl Hint for AuthError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Unreachable { failure, target, .. } => return unreachable(target, failure),
            Self::Answered { answer, .. } => return answer.hint(),
            Self::ApiKey(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::WrongEndpoint { .. } => {
                "Give the control plane's address, not the web console's: `flyte create config --endpoint HOST`. If a proxy in \
                front of it wants its own sign-in, set admin.proxyCommand."
            }
            Self::NoSignIn { .. } => {
                "Most calls need none. To have one, put a proxy that checks tokens in front of it, with \
                flyte-server as its authorization server: docs/guide/backend.md."
            }
            Self::Discovery { .. } => {
                "Check admin.endpoint in the configuration: `flyte create config --endpoint HOST`."
            }
            Self::InsecureUrl { .. } => "Ask the server's administrator to publish https addresses.",
            Self::NoClientId { .. } => {
                "Set admin.clientId in the configuration to the client that is registered there."
            }
            Self::StepUpRequired { tried: true, .. } => {
                "Ask the server's administrator what kind of sign-in it wants."
            }
            Self::StepUpRequired { max_age: Some(max_age), .. } => {
                let max_age = duration_argument(*max_age);
                return Some(format!(
                    "Run `flyte auth login --max-age {max_age}` in a terminal, then run this again at once."
                ));
            }
            Self::Refused { code, .. } if code == "invalid_scope" => {
                "Check admin.scopes in the configuration: the server gives none of them."
            }
            Self::Busy { retry_after: Some(seconds), .. } => {
                return Some(format!(
                    "Nothing is wrong with the credentials. Try again in {seconds} seconds."
                ));
            }
            Self::Busy { .. } => "Nothing is wrong with the credentials. Try again later.",
            Self::Refused { .. }
            | Self::AccessDenied { .. }
            | Self::TimedOut { .. }
            | Self::IssuerMismatch { .. }
            | Self::StepUpRequired { .. }
            | Self::Interrupted => "Run `flyte auth login` to try again.",
            Self::BadAnswer { .. } => {
                "The stored login was kept. Try again later; if it stays, tell the server's administrator."
            }
            Self::CallbackPort { port, .. } => {
                return Some(format!(
                    "End the program that listens on port {port}, then run `flyte auth login`."
                ));
            }
            Self::StateMismatch => {
                "Copy the whole address of the page that the browser ended on, from the link shown last."
            }
            Self::LoginRequired { absence: Absence::Job(_), .. } => {
                "Give the job an API key (FLYTE_API_KEY) or let its own token sign in (docs/guide/ci.md). If a person is \
                present, set CI=false."
            }
            Self::LoginRequired { absence: Absence::SigningIn(holder), .. } if holder.is_suspended() => {
                return Some(format!(
                    "Resume it (`fg`) or end it (`kill -9 {}`), and run `flyte auth login` in a terminal.",
                    holder.pid
                ));
            }
            Self::LoginRequired { absence: Absence::SigningIn(_), .. } => {
                "Finish that sign-in, then run this again."
            }
            Self::LoginRequired { .. } | Self::SessionEnded { .. } => {
                "Run `flyte auth login` in a terminal first."
            }
            Self::ClientRefused { .. } => {
                "The key may be deleted, expired or rotated: create another with `flyte create api-key NAME`. \
                If the configuration names client and secret, check admin.clientId and where its secret is."
            }
            Self::Credentials { .. } => {
                "Correct that, or remove it from the configuration; see `flyte create config --help`."
            }
            Self::Command { failure: CommandFailure::Missing, .. } => {
                "Name the command that prints the token: `flyte create config --endpoint HOST --command '...'`."
            }
            Self::Command { setting, .. } => {
                return Some(format!(
                    "Run the command of {setting} by hand: it has to print a token and nothing else."
                ));
            }
            Self::NoDeviceFlow { .. } => {
                "Sign in by the browser: `flyte auth login --auth-type pkce` prints a link, and takes \
                the address that the browser ends on."
            }
            Self::CodeEnded { .. } => "Run the command again for a new code.",
            Self::IdToken { .. } => {
                "GitHub Actions: give the job `permissions: id-token: write`. GitLab: name FLYTE_ID_TOKEN under \
                `id_tokens:`. Elsewhere: set FLYTE_ID_TOKEN_FILE."
            }
            Self::IdTokenAudience { wanted, .. } => {
                return Some(format!(
                    "Let the CI system make it for the server: in GitLab `aud: {wanted}` below `FLYTE_ID_TOKEN:`, in Kubernetes \
                    `audience: {wanted}` of the projected token. If the trust rule names another audience, set \
                    FLYTE_ID_TOKEN_AUDIENCE to it."
                ));
            }
            Self::ExchangeRefused { .. } => {
                "Let an administrator look at `flyte get trust`: issuer, audience and claims of a rule have to \
                fit the job; `flyte create trust` makes one."
            }
            Self::UnsupportedAuthType { .. } => "Run `flyte create config --endpoint HOST --auth-type pkce`.",
            Self::ClockSkew { .. } => {
                "Set this machine's clock, for example with `timedatectl set-ntp true`."
            }
            Self::CaFile { .. } => {
                "Give the right file with `flyte create config --endpoint HOST --ca-cert-file FILE`."
            }
            Self::Proxy { setting, .. } => {
                return Some(format!("Correct {setting}, or unset it: http://USER:PASSWORD@HOST:PORT."));
            }
            Self::Tls { .. } => {
                "Install the system's certificate authorities, for example the package ca-certificates."
            }
            Self::HeldUp { holder: Some(holder), .. } if holder.is_suspended() => {
                return Some(format!(
                    "Resume it (`fg`) or end it (`kill -9 {}`), then run the command again.",
                    holder.pid
                ));
            }
            Self::HeldUp { holder: Some(holder), .. } => {
                return Some(format!("End it (`kill {}`), then run the command again.", holder.pid));
            }
            Self::HeldUp { holder: None, .. } => {
                "End the other flyte or Python process, then run the command again."
            }
            Self::State { .. } => "Check that the directory exists, is yours and is not full.",
            // `Random`, `Request`: there is nothing that a person can do.
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// A duration as `--max-age` takes it, for example `15m`.
fn duration_argument(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

impl Hint for ApiKeyError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Flyte1 => "Create a key for this control plane: `flyte create api-key NAME`.",
            _ => {
                "Copy the whole key again, as one line and without quotation marks; a lost one is replaced with \
                `flyte create api-key NAME`."
            }
        };
        Some(text.to_owned())
    }
}
