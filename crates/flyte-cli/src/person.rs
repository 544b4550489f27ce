//! Interaction with the user at the terminal during a sign-in.

mod clipboard;
mod device;
mod event;
mod qr;

use std::io::IsTerminal as _;
use std::time::Duration;

use async_trait::async_trait;
use flyte_auth::flows::device::DeviceCode;
use flyte_auth::oauth::ClientId;
use flyte_auth::{Activity, AuthError, Holder, Interaction, StepUp};
use flyte_hints::Hint as _;
use url::Url;

pub(crate) use self::event::{Event, Events};
use crate::keyboard;
use crate::output;
use crate::progress::Progress;
use crate::time;

/// Talks to the user over standard error; standard output is for results.
#[derive(Debug)]
pub(crate) struct Terminal {
    progress: Progress,
    interactive: bool,
    /// The destination of events for programs, if requested.
    events: Option<Events>,
    /// Whether messages for users go to standard error. With events for programs, only if it is a terminal.
    speaks: bool,
    selects_account: bool,
    /// Whether to report how a sign-in ended. `flyte auth login` reports it itself as its result.
    reports_end: bool,
    /// The link to copy, while one is shown.
    link: std::sync::Mutex<Option<Url>>,
}

impl Terminal {
    /// `asked` says that the user asked to sign in. Then a user is assumed even without a terminal, for example in an editor,
    /// but never in a CI job.
    pub(crate) fn new(progress: Progress, asked: bool) -> Self {
        let interactive = (asked && !flyte_auth::in_ci()) || keyboard::user_can_read();
        Self {
            progress,
            interactive,
            events: None,
            speaks: true,
            selects_account: false,
            reports_end: true,
            link: std::sync::Mutex::default(),
        }
    }

    /// Writes events for programs to standard error instead of words, unless that is a terminal.
    #[must_use]
    pub(crate) fn with_events(mut self) -> Self {
        self.speaks = std::io::stderr().is_terminal();
        self.events = (!self.speaks).then_some(Events::Aside);
        self
    }

    /// The interaction of `flyte auth login`. If events are requested, they are the command's result.
    #[must_use]
    pub(crate) fn of_login(mut self, selects_account: bool, events: bool) -> Self {
        self.reports_end = false;
        self.selects_account = selects_account;
        if events {
            self.speaks = std::io::stderr().is_terminal();
            self.events = Some(Events::Result);
        }
        self
    }

    fn event(&self, event: &Event<'_>) {
        if let Some(events) = self.events {
            self.progress.around(|| events.write(event));
        }
    }

    fn tell(&self, text: &str) {
        if self.speaks {
            self.progress.tell(&flyte_hints::with_command(text, crate::installed_name()));
        }
    }

    fn link(&self) -> std::sync::MutexGuard<'_, Option<Url>> {
        self.link.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The sentence that ends a sign-in.
pub(crate) fn signed_in(endpoint: &str, name: Option<&str>) -> String {
    let name = name.map(|name| format!(" as {}", output::printable(name))).unwrap_or_default();
    format!("Signed in to {endpoint}{name}.")
}

#[async_trait]
impl Interaction for Terminal {
    fn is_interactive(&self) -> bool {
        self.interactive
    }

    fn next_step(&self, error: &AuthError) -> Option<String> {
        error.hint()
    }

    fn authorize_url(&self, url: &Url, opened: bool) {
        self.event(&Event::Link { url: url.as_str(), opened });
        let first = if opened {
            "A browser was opened for you to sign in. If you do not see it, open this link:"
        } else {
            "Open this link in your browser to sign in:"
        };
        self.tell(&format!("{first}\n\n{url}\n"));
        if std::io::stdin().is_terminal() {
            self.tell(
                "If the browser is on another machine, its last page does not load. Copy the address of that page, \
                 paste it here and press Enter.\n",
            );
        }
        self.progress.show("Waiting for your sign-in in the browser");
    }

    fn selects_account(&self) -> bool {
        self.selects_account
    }

    fn waiting(&self, holder: Option<&Holder>) {
        self.event(&Event::Waiting { process: holder.map(ToString::to_string) });
        match holder {
            // This can take minutes and needs the user elsewhere, so the message stays on the screen.
            Some(holder) if holder.activity == Activity::SigningIn => {
                self.tell(&format!(
                    "Waiting for {holder}, which is signing in. Finish that sign-in, or stop it."
                ));
            }
            Some(holder) => self.progress.show(format!("Waiting for {holder}, which is {}", holder.activity)),
            None => self.progress.show("Waiting for another flyte process"),
        }
    }

    fn notice(&self, text: &str) {
        self.event(&Event::Notice { text });
        self.tell(text);
    }

    fn session_ended(&self, error: &AuthError) {
        let text = format!("Sign in again: {error}.");
        self.event(&Event::Notice { text: &text });
        self.tell(&format!("{text}\n"));
    }

    fn done(&self) {
        *self.link() = None;
        self.progress.show("Signed in");
    }

    fn signed_in(&self, endpoint: &str, name: Option<&str>) {
        if self.reports_end {
            self.event(&Event::Done { endpoint, name });
            self.tell(&signed_in(endpoint, name));
        }
    }

    fn failed(&self, error: &AuthError) {
        if self.reports_end {
            self.event(&Event::Failed { error: error.to_string(), next: error.hint().as_deref() });
        }
    }

    async fn pasted_url(&self) -> String {
        while let Some(line) = keyboard::line().await {
            if !line.trim().is_empty() {
                return line;
            }
        }
        // No more input; the browser may still return.
        std::future::pending().await
    }

    fn device_instead(&self) {
        self.tell(
            "No browser found here; sign in on another device. \
             (To use a browser link instead: `flyte --auth-type pkce ...`)",
        );
    }

    fn device_code(&self, code: &DeviceCode) {
        self.event(&Event::Code {
            url: code.url.as_str(),
            verification_uri: code.verification_uri.as_str(),
            user_code: &code.user_code,
            number: code.number.as_deref(),
            expires_in: code.expires_in.as_secs(),
        });
        self.tell(&device::prompt(code, qr::fitting(code.url.as_str()), clipboard::is_available()));
        if self.selects_account {
            self.tell(
                "Before you approve, check the account on that page. You can choose another one there.\n",
            );
        }
        *self.link() = Some(code.url.clone());
        self.code_expires_in(code.expires_in);
    }

    fn code_expires_in(&self, left: Duration) {
        let Some(link) = self.link().clone() else { return };
        // Without a terminal, there is no countdown to show and no line to read.
        if std::io::stdin().is_terminal() && keyboard::waiting_line().is_some_and(|line| line.trim() == "c") {
            clipboard::copy(&self.progress, link.as_str());
        }
        self.progress.show(device::countdown(left));
    }

    async fn new_code(&self, reason: &str) -> bool {
        *self.link() = None;
        self.progress.clear();
        // A program that reads events starts the sign-in again by itself.
        if self.events.is_some() || !self.interactive || !keyboard::user_can_answer() {
            return false;
        }
        while keyboard::waiting_line().is_some() {}
        let mut sentence = reason.to_owned();
        if let Some(first) = sentence.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        self.tell(&format!("{sentence}. Press Enter for a new one, or Ctrl-D to stop."));
        tokio::time::timeout(keyboard::PATIENCE, keyboard::line()).await.ok().flatten().is_some()
    }

    fn step_up(&self, endpoint: &str, step_up: &StepUp) {
        let wanted = step_up.in_words();
        self.event(&Event::StepUp { endpoint, wanted: &wanted });
        self.tell(&format!("{endpoint} requires {wanted} for this."));
    }

    fn credentials_expire(&self, client_id: &ClientId, at: i64, left: Duration) {
        let left = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let when = time::moment(at, at.saturating_sub(left));
        self.progress.tell(&format!(
            "The API key {client_id} stops working at {when}. To renew it: flyte rotate api-key {client_id} \
             --expires 90d"
        ));
    }

    fn command_output(&self, text: &str) {
        // Unchanged: it may be a question without a newline at its end.
        self.progress.around(|| output::say(text));
    }
}
