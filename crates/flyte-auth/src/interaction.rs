//! The person at the other end, as far as signing in needs one.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use url::Url;

use crate::{
    Holder, StepUp,
    browser::{has_browser, open_browser},
    clock::UnixTime,
    flows::device::DeviceCode,
};

/// How a flow talks to the person; the `flyte` command and the Python package each bring their own.
#[async_trait]
pub trait Interaction: fmt::Debug + Send + Sync {
    /// Whether there is anybody to ask. Where this is `false`, a flow that needs a person fails at once with
    /// [`AuthError::LoginRequired`](crate::AuthError::LoginRequired) instead of waiting for nobody.
    fn is_interactive(&self) -> bool;

    /// Opens the browser; `false` where there is none. Must neither block nor write to the terminal.
    async fn open_browser(&self, url: &Url) -> bool {
        open_browser(url).await
    }

    /// Whether a browser could be opened here at all. Where not, and where the configuration leaves it open, the person signs
    /// in on another device.
    fn has_browser(&self) -> bool {
        has_browser()
    }

    /// Says that the person signs in on another device because there is no browser here.
    fn device_instead(&self) {
        tracing::info!("there is no browser here: sign in on another device");
    }

    /// Shows where to sign in on another device, and the code for it.
    fn device_code(&self, code: &DeviceCode) {
        self.authorize_url(&code.url, false);
    }

    /// Tells, each second, how long the code can still be used.
    fn code_expires_in(&self, _left: Duration) {}

    /// Offers a new code after one ended for this reason; whether the person wants it.
    async fn new_code(&self, _reason: &str) -> bool {
        false
    }

    /// Says why the person signs in again: the server at `endpoint` asks for it (RFC 9470).
    fn step_up(&self, endpoint: &str, step_up: &StepUp) {
        tracing::info!("{endpoint} asks for {} before it does this", step_up.in_words());
    }

    /// Warns that what this machine proves itself with ends soon: the secret of the client, at `at`, in `left`.
    fn credentials_end(&self, client_id: &str, at: UnixTime, left: Duration) {
        let hours = left.as_secs() / 3600;
        tracing::warn!("the API key {client_id} stops working in {hours} hours (Unix time {at})");
    }

    /// Passes on what a command that gets a token writes to its standard error, as it comes.
    fn command_says(&self, text: &str) {
        tracing::warn!("{}", text.trim_end());
    }

    /// Shows where to sign in. `opened` tells whether a browser was opened there; where not, the person must see the URL.
    fn authorize_url(&self, url: &Url, opened: bool);

    /// Says that another process is at it (refreshing or signing in), which one where that is known, and that this one waits
    /// for it.
    fn waiting(&self, holder: Option<&Holder>);

    /// Tells the person something that they should know before they go on, in whole sentences.
    fn notice(&self, text: &str) {
        tracing::warn!("{text}");
    }

    /// Says that the login that was there has ended, in the server's own words, before the person is asked to sign in again.
    fn session_ended(&self, error: &crate::AuthError) {
        tracing::warn!("{error}");
    }

    /// Says that the sign-in succeeded.
    fn done(&self);

    /// Says that the person is signed in to `endpoint` now, and that the tokens are kept. `name` is the account by the ID
    /// token; `None` without one.
    fn signed_in(&self, _endpoint: &str, _name: Option<&str>) {}

    /// Says that a sign-in that has begun failed. The error is returned as well.
    fn failed(&self, _error: &crate::AuthError) {}

    /// Whether the person wants to choose the account; otherwise it is the one that the browser is signed in with.
    fn selects_account(&self) -> bool {
        false
    }

    /// Says that what was pasted is not the end of this sign-in, before the link is shown again.
    fn unusable_paste(&self, error: &crate::AuthError) {
        tracing::warn!("{error}");
    }

    /// The callback URL, pasted by the person because their browser is on another machine. Pends for ever where nothing
    /// can be pasted.
    async fn pasted_url(&self) -> String {
        std::future::pending().await
    }
}

/// Nobody: for jobs. Every flow that needs a person fails at once.
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

/// Whether a question of the system's, such as that of a locked keyring, is seen by the person.
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
    /// This is a CI job, as this variable says.
    Job(&'static str),
    /// There is no terminal, and this process is asking the person elsewhere.
    SigningIn(Box<Holder>),
}

impl Absence {
    /// Why no person can be asked in this process.
    pub(crate) fn here() -> Self {
        ci_variable().map_or(Self::NoTerminal, Self::Job)
    }
}

impl fmt::Display for Absence {
    /// Writes it as a clause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTerminal => f.write_str("this is not an interactive session"),
            Self::Job(variable) => {
                write!(f, "this is a CI job ({variable} is set), where nobody can sign in")
            }
            Self::SigningIn(holder) if holder.is_suspended() => {
                write!(f, "{holder} is suspended in the middle of a sign-in")
            }
            Self::SigningIn(holder) => write!(f, "{holder} is still signing in"),
        }
    }
}

/// What CI systems set in their jobs, beside `CI`, which most of them set.
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

/// Whether this is a CI job, by the variables that CI systems set: nobody is there then, although many of them give their jobs
/// a pseudo-terminal. `CI=false` (or `0`) says that somebody is, whatever else is set.
#[must_use]
pub fn in_ci() -> bool {
    ci_variable().is_some()
}

/// The variable by which this is a CI job.
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
    fn a_ci_job_is_known_by_what_its_system_sets() {
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
            assert_eq!(
                job(&[("CI", no), ("GITHUB_ACTIONS", "true")]),
                None,
                "somebody says that they are there"
            );
        }
        assert_eq!(job(&[("NETLIFY", "false")]), None);
    }

    #[test]
    fn the_list_of_ci_systems_is_in_order_and_tells_each_once() {
        assert!(CI_VARIABLES.is_sorted() && CI_VARIABLES.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
