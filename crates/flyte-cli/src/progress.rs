//! Shows that something is being waited for.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// A spinner on standard error, where that is a terminal; nothing elsewhere. Clones show on the same line.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<ProgressBar>);

impl Progress {
    /// One that shows nothing yet.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::no_length();
        if !std::io::stderr().is_terminal() {
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

    /// Tells the person something that stays.
    pub(crate) fn tell(&self, text: &str) {
        self.0.suspend(|| output::tell(text));
    }

    /// Does something with the terminal while the spinner is not in the way.
    pub(crate) fn around(&self, work: impl FnOnce()) {
        self.0.suspend(work);
    }

    /// As [`Self::around`], for what can fail.
    pub(crate) fn around_result<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.suspend(work)
    }

    /// Takes the spinner away.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
