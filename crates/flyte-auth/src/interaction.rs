//! How a sign-in talks to the person.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use url::Url;

use crate::{
    AuthError, Holder, StepUp,
    browser::{has_browser, open_browser},
    clock::UnixTime,
    flows::device::DeviceCode,
    oauth::ClientId,
};

/// How a sign-in talks to the person. Each user interface implements it.
#[async_trait]
pub trait Interaction: fmt::Debug + Send + Sync {
    /// Whether a person can be asked. If `false`, a flow that needs a person fails at once with
    /// [`AuthError::LoginRequired`].
    fn is_interactive(&self) -> bool;

    /// Says what the person can do about an error, for the page in the browser.
    fn next_step(&self, _error: &AuthError) -> Option<String> {
        None
    }

    /// Opens the browser; `false` if there is none. Must not block or write to the terminal.
    async fn open_browser(&self, url: &Url) -> bool {
        open_browser(url).await
    }

    /// Whether a browser can be opened on this machine. If not, and if the configuration does not choose a flow, the person
    /// signs in on another device.
    fn has_browser(&self) -> bool {
        has_browser()
    }

    /// Says that the person signs in on another device because no browser was found.
    fn device_instead(&self) {
        tracing::info!("no browser was found: sign in on another device");
    }

    /// Shows the link and the code for signing in on another device.
    fn device_code(&self, code: &DeviceCode) {
        self.authorize_url(&code.url, false);
    }

    /// Reports, once a second, how long the code can still be used.
    fn code_expires_in(&self, _left: Duration) {}

    /// Offers a new code after the previous one ended for this reason. Returns whether the person wants it.
    async fn new_code(&self, _reason: &str) -> bool {
        false
    }

    /// Says that the person has to sign in again because the server at `endpoint` requires it (RFC 9470).
    fn step_up(&self, endpoint: &str, step_up: &StepUp) {
        tracing::info!("{endpoint} asks for {} before it does this", step_up.in_words());
    }

    /// Warns that the client's secret expires soon: at `at`, in `left`.
    fn credentials_expire(&self, client_id: &ClientId, at: UnixTime, left: Duration) {
        let hours = left.as_secs() / 3600;
        tracing::warn!("the API key {client_id} stops working in {hours} hours (Unix time {at})");
    }

    /// Passes on the standard error of a command that prints a token, as it arrives.
    fn command_output(&self, text: &str) {
        tracing::warn!("{}", text.trim_end());
    }

    /// Shows where to sign in. `opened` says whether a browser was opened there; if not, the person must see the URL.
    fn authorize_url(&self, url: &Url, opened: bool);

    /// Says that another process refreshes the login or signs in, and that this process waits for it. `holder` is that process,
    /// if it is known.
    fn waiting(&self, holder: Option<&Holder>);

    /// Shows the person a notice of whole sentences before the sign-in continues.
    fn notice(&self, text: &str) {
        tracing::warn!("{text}");
    }

    /// Says that the previous login has ended, before the person is asked to sign in again.
    fn session_ended(&self, error: &AuthError) {
        tracing::warn!("{error}");
    }

    /// Says that the sign-in succeeded.
    fn done(&self);

    /// Says that the person is now signed in to `endpoint`, and that the tokens are stored. `name` is the account of the ID
    /// token; `None` without an ID token.
    fn signed_in(&self, _endpoint: &str, _name: Option<&str>) {}

    /// Says that a sign-in failed after it began. The caller receives the error too.
    fn failed(&self, _error: &AuthError) {}

    /// Whether the person wants to choose the account. Otherwise the browser's current account is used.
    fn selects_account(&self) -> bool {
        false
    }

    /// Says that the pasted text is not the callback of this sign-in, before the link is shown again.
    fn unusable_paste(&self, error: &AuthError) {
        tracing::warn!("{error}");
    }

    /// Waits for a callback URL that the person pastes because their browser is on another machine. Never completes if nothing
    /// can be pasted.
    async fn pasted_url(&self) -> String {
        std::future::pending().await
    }
}

/// No person, for jobs. Every flow that needs a person fails at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unattended;

#[async_trait]
impl Interaction for Unattended {
    fn is_interactive(&self) -> bool {
        false
    }
    async fn open_browser(&self, _: &Url) -> bool {
        false
    }
    fn authorize_url(&self, _: &Url, _: bool) {}
    fn waiting(&self, _: Option<&Holder>) {}
    fn done(&self) {}
}

/// Whether the person can see a prompt of the system, for example the prompt of a locked keyring.
pub(crate) fn has_display() -> bool {
    let has = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(has)
        || !(cfg!(target_os = "linux") || has("SSH_CONNECTION") || has("SSH_TTY"))
}

/// Why no person can be asked to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// There is no terminal.
    NoTerminal,
    /// This is a CI job, because this variable is set.
    Job(&'static str),
    /// There is no terminal, and this other process is signing the person in.
    SigningIn(Box<Holder>),
}

impl Absence {
    /// Finds out why no person can be asked in this process.
    pub(crate) fn of_this_process() -> Self {
        ci_variable().map_or(Self::NoTerminal, Self::Job)
    }
}

impl fmt::Display for Absence {
    /// Writes the reason as a clause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTerminal => f.write_str("this is not an interactive session"),
            Self::Job(variable) => {
                write!(f, "this is a CI job ({variable} is set)")
            }
            Self::SigningIn(holder) if holder.is_suspended() => {
                write!(f, "{holder} is suspended in the middle of a sign-in")
            }
            Self::SigningIn(holder) => write!(f, "{holder} is still signing in"),
        }
    }
}

/// The variables that CI systems set in their jobs, besides `CI`, which most of them set.
const CI_VARIABLES: [&str; 44] = [
    "AC_APPCIRCLE",
    "AGOLA_GIT_REF",
    "APPCENTER_BUILD_ID",
    "APPVEYOR",
    "BITBUCKET_BUILD_NUMBER",
    "BITBUCKET_COMMIT",
    "BITRISE_IO",
    "BUDDY_WORKSPACE_ID",
    "BUILDER_OUTPUT",
    "BUILDKITE",
    "CF_BUILD_ID",
    "CIRCLECI",
    "CIRRUS_CI",
    "CI_BUILD_ID",
    "CI_NAME",
    "CI_XCODE_PROJECT",
    "CM_BUILD_ID",
    "CODEBUILD_BUILD_ID",
    "CONTINUOUS_INTEGRATION",
    "DRONE",
    "EARTHLY_CI",
    "EAS_BUILD",
    "GITEA_ACTIONS",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "GO_PIPELINE_LABEL",
    "GO_PIPELINE_NAME",
    "HARNESS_BUILD_ID",
    "HEROKU_TEST_RUN_ID",
    "HUDSON_URL",
    "JENKINS_URL",
    "MAGNUM",
    "NETLIFY",
    "PROW_JOB_ID",
    "SCREWDRIVER",
    "SEMAPHORE",
    "TASKCLUSTER_ROOT_URL",
    "TEAMCITY_VERSION",
    "TF_BUILD",
    "TRAVIS",
    "VELA",
    "VERCEL",
    "WOODPECKER",
    "bamboo_planKey",
];

/// Whether this is a CI job, by the variables that CI systems set. A CI job has no person, although many CI systems give their
/// jobs a pseudo-terminal. `CI=false` (or `0`) takes precedence over the other variables.
#[must_use]
pub fn in_ci() -> bool {
    ci_variable().is_some()
}

/// The variable that says that this is a CI job.
fn ci_variable() -> Option<&'static str> {
    ci_variable_of(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

fn ci_variable_of(variable: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    let on = |value: &str| {
        !matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "false" | "no" | "off")
    };
    match variable("CI").filter(|value| !value.trim().is_empty()) {
        Some(value) => on(&value).then_some("CI"),
        None => CI_VARIABLES.into_iter().find(|name| variable(name).is_some_and(|value| on(&value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_tell_a_ci_job() {
        let job = |set: &[(&str, &str)]| {
            let find = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            ci_variable_of(find)
        };
        assert_eq!((job(&[]), job(&[("TERM", "xterm"), ("CI", " ")])), (None, None));
        for set in [
            ("CI", "true"),
            ("CI", "1"),
            ("CI", "woodpecker"),
            ("BUILDKITE", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITLAB_CI", "true"),
            ("TF_BUILD", "True"),
            ("TEAMCITY_VERSION", "2026.1 (build 1)"),
            ("CODEBUILD_BUILD_ID", "a:b"),
            ("JENKINS_URL", "http://j"),
            ("bamboo_planKey", "P"),
        ] {
            assert_eq!(job(&[set]), Some(set.0), "{set:?}");
        }
        for no in ["false", "0", "no", "OFF"] {
            assert_eq!(job(&[("CI", no), ("GITHUB_ACTIONS", "true")]), None, "CI takes precedence");
        }
        assert_eq!(job(&[("NETLIFY", "false")]), None);
    }

    #[test]
    fn the_list_of_ci_systems_is_sorted_without_duplicates() {
        assert!(CI_VARIABLES.is_sorted() && CI_VARIABLES.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
