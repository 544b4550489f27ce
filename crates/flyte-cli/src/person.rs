//! The person at the terminal, as far as signing in needs one.

mod clipboard;
mod device;
mod qr;

use std::io::IsTerminal as _;
use std::time::Duration;

use async_trait::async_trait;
use flyte_auth::flows::device::DeviceCode;
use flyte_auth::{Doing, Holder, Interaction, StepUp};
use url::Url;

use crate::keyboard;
use crate::output;
use crate::progress::Progress;
use crate::time;

/// Talks to the person over standard error; standard output is for results.
#[derive(Debug)]
pub(crate) struct Terminal {
    progress: Progress,
    interactive: bool,
    /// The link to copy, while one is shown.
    link: std::sync::Mutex<Option<Url>>,
}

impl Terminal {
    /// `asked` tells that the person has asked to sign in, so that there is somebody even without a terminal.
    pub(crate) fn new(progress: Progress, asked: bool) -> Self {
        let interactive = asked || keyboard::somebody_watches();
        Self { progress, interactive, link: std::sync::Mutex::default() }
    }

    fn link(&self) -> std::sync::MutexGuard<'_, Option<Url>> {
        self.link.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Interaction for Terminal {
    fn is_interactive(&self) -> bool {
        self.interactive
    }

    fn authorize_url(&self, url: &Url, opened: bool) {
        let first = if opened {
            "A browser was opened for you to sign in. If you do not see it, open this link:"
        } else {
            "Please open the following link in your browser to authenticate:"
        };
        self.progress.tell(&format!("{first}\n\n{url}\n"));
        if std::io::stdin().is_terminal() {
            self.progress.tell(
                "If that browser is on another machine, its last page will not load: copy the address of that page, \
                 paste it here and press Enter.\n",
            );
        }
        self.progress.show("Waiting for you to sign in in the browser");
    }

    fn waiting(&self, holder: Option<&Holder>) {
        match holder {
            // It may take minutes, and somebody has to do something elsewhere: that stays on the screen.
            Some(holder) if holder.doing == Doing::SigningIn => {
                self.progress
                    .tell(&format!("Waiting for {holder}, which is signing in. Finish that, or stop it."));
            }
            Some(holder) => self.progress.show(format!("Waiting for {holder}, which is {}", holder.doing)),
            None => self.progress.show("Waiting for another flyte process"),
        }
    }

    fn notice(&self, text: &str) {
        self.progress.tell(text);
    }

    fn session_ended(&self, error: &flyte_auth::AuthError) {
        self.progress.tell(&format!("Sign in again: {error}.\n"));
    }

    fn done(&self) {
        *self.link() = None;
        self.progress.show("Signed in");
    }

    async fn pasted_url(&self) -> String {
        while let Some(line) = keyboard::line().await {
            if !line.trim().is_empty() {
                return line;
            }
        }
        // Nobody types any more; the browser may still come back.
        std::future::pending().await
    }

    fn device_instead(&self) {
        self.progress.tell(
            "There is no browser on this machine, so you sign in on another device. \
             (For a link that ends on this machine: flyte --auth-type pkce ...)",
        );
    }

    fn device_code(&self, code: &DeviceCode) {
        self.progress.tell(&device::prompt(code, qr::fitting(code.url.as_str()), clipboard::is_there()));
        *self.link() = Some(code.url.clone());
        self.code_expires_in(code.expires_in);
    }

    fn code_expires_in(&self, left: Duration) {
        let Some(link) = self.link().clone() else { return };
        // Without a terminal there is neither a countdown to see nor a line to read.
        if std::io::stdin().is_terminal() && keyboard::waiting_line().is_some_and(|line| line.trim() == "c") {
            clipboard::copy(&self.progress, link.as_str());
        }
        self.progress.show(device::countdown(left));
    }

    async fn new_code(&self, reason: &str) -> bool {
        *self.link() = None;
        self.progress.clear();
        if !self.interactive || !keyboard::somebody_types() {
            return false;
        }
        while keyboard::waiting_line().is_some() {}
        let mut sentence = reason.to_owned();
        if let Some(first) = sentence.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        self.progress.tell(&format!("{sentence}. Press Enter for a new one, or Ctrl-D to stop."));
        tokio::time::timeout(keyboard::PATIENCE, keyboard::line()).await.ok().flatten().is_some()
    }

    fn step_up(&self, endpoint: &str, step_up: &StepUp) {
        self.progress.tell(&format!("{endpoint} asks for {} before it does this.", step_up.in_words()));
    }

    fn credentials_end(&self, client_id: &str, at: i64, left: Duration) {
        let left = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let when = time::moment(at, at.saturating_sub(left));
        self.progress.tell(&format!(
            "The API key {client_id} stops working at {when}. A new secret and a new end: flyte rotate api-key {client_id} \
             --expires 90d"
        ));
    }

    fn command_says(&self, text: &str) {
        // As it is: it may be a question, which has no newline at its end.
        self.progress.around(|| output::say(text));
    }
}
