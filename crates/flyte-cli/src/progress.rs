//! Shows that the command is waiting.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// A spinner on standard error if that is a terminal, or else nothing. Clones share one line.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<ProgressBar>);

impl Progress {
    /// Creates a spinner that shows nothing yet, or never anything if `hidden`.
    pub(crate) fn new(hidden: bool) -> Self {
        let bar = ProgressBar::no_length();
        if hidden || !std::io::stderr().is_terminal() {
            bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        bar.set_style(ProgressStyle::default_spinner());
        Self(Arc::new(bar))
    }

    /// Shows `message` until the next message or [`Self::clear`].
    pub(crate) fn show(&self, message: impl Into<String>) {
        if !self.0.is_hidden() {
            self.0.set_message(message.into());
            self.0.enable_steady_tick(Duration::from_millis(120));
        }
    }

    /// Shows the user a message that stays on the screen.
    pub(crate) fn tell(&self, text: &str) {
        self.0.suspend(|| output::tell(text));
    }

    /// Hides the spinner while `work` uses the terminal.
    pub(crate) fn around(&self, work: impl FnOnce()) {
        self.0.suspend(work);
    }

    /// Like [`Self::around`], but returns the result of `work`.
    pub(crate) fn around_result<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.suspend(work)
    }

    /// Removes the spinner.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
