//! Next steps if a call or an upload failed.

use flyte_auth::AuthError;
use flyte_client::bundle::unpack::UnpackError;
use flyte_client::code::CodeError;
use flyte_client::run::RerunError;
use flyte_client::upload::UploadError;
use flyte_client::{ClientError, DecidingRule};

use crate::Hint;

/// What to do if the object store refuses an upload or a download.
const STORE_REFUSES: &str =
    "Run it again; if it stays, show the message to the administrator of the server's object store";
/// What to do if the object store does not answer.
const STORE_IS_AWAY: &str =
    "Check the network, and that the object store of the server can be reached from here";

/// What to do about a failed call about a resource. `kind` is the resource's word in commands, for example `api-key`.
#[must_use]
pub fn resource(error: &ClientError, kind: &str) -> Option<String> {
    match error {
        ClientError::NotFound { .. } => Some(format!("List what there is: flyte get {kind}")),
        ClientError::AlreadyExists { .. } => {
            Some(format!("Choose another name, or look at what there is: flyte get {kind}"))
        }
        error => error.hint(),
    }
}

impl Hint for ClientError {
    /// The next step if it is not known what the call was about; otherwise see [`resource`].
    fn hint(&self) -> Option<String> {
        if let Some(error) = self.cause::<AuthError>() {
            return error.hint();
        }
        let text = match self {
            Self::InvalidArgument { .. } => "Correct the argument; see the command's --help",
            Self::PermissionDenied { rule: Some(rule), .. } => {
                let DecidingRule { name, rpc } = &**rule;
                return Some(format!(
                    "The rule that decided is \"{name}\". All rules: flyte auth can-i {rpc}"
                ));
            }
            Self::PermissionDenied { rule: None, .. } => "Check who you are: flyte whoami",
            Self::Unauthenticated { .. } => {
                "See which credentials are used: flyte auth status. A person signs in again with: flyte auth login"
            }
            Self::Unavailable { .. } => "Check the address and the network, then run the command again",
            Self::WrongEndpoint { .. } => {
                "Use the address of the control plane, not of its web pages: flyte create config --endpoint HOST"
            }
            Self::Unsupported { .. } => {
                "It is switched off at this server, or the server is older than this client: ask its administrator"
            }
            Self::Server { .. } => {
                "Run it again; if it stays, run it with -v and show the output to the server's administrator"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl Hint for UploadError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Client(error) => return error.hint(),
            Self::Read { .. } => "Check that the file is there and readable",
            Self::Refused { .. } => STORE_REFUSES,
            Self::Unavailable { .. } => STORE_IS_AWAY,
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl Hint for RerunError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Client(error) => return error.hint(),
            Self::Input { .. } => "List the inputs: flyte rerun RUN --help",
            Self::InputsGone(_) => {
                "Give every input as an option, or run the code again: flyte run FILE.py TASK"
            }
            Self::OutputsGone(_) => {
                "Give every input as an option. If you know that the inputs are still stored, add --allow-missing-outputs"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl Hint for CodeError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Client(error) => return error.hint(),
            Self::NoLink { .. } => "Download it with your own credentials of the object store",
            Self::Refused { .. } => STORE_REFUSES,
            Self::Unavailable { .. } => STORE_IS_AWAY,
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl Hint for UnpackError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Different(_) => "Give another directory, or replace the files with --force",
            Self::Read(_) | Self::Outside(_) => "Keep the archive instead of unpacking it: --no-extract",
            _ => return None,
        };
        Some(text.to_owned())
    }
}
