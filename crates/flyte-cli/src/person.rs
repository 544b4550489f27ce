//! The person at the terminal, as far as signing in needs one.

use std::io::{BufRead as _, IsTerminal as _};
use std::sync::OnceLock;

use async_trait::async_trait;
use flyte_auth::Interaction;
use tokio::sync::{Mutex, mpsc};
use url::Url;

use crate::progress::Progress;

/// Talks to the person over standard error; standard output is for results.
#[derive(Debug)]
pub(crate) struct Terminal {
    progress: Progress,
    interactive: bool,
    /// Lines of standard input, once somebody has asked for one.
    lines: OnceLock<Mutex<mpsc::UnboundedReceiver<String>>>,
}

impl Terminal {
    /// `asked` tells that the person has asked to sign in, so that there is somebody even without a terminal.
    pub(crate) fn new(progress: Progress, asked: bool) -> Self {
        let interactive = asked || std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
        Self { progress, interactive, lines: OnceLock::new() }
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

    fn waiting(&self) {
        self.progress.show("Waiting for another flyte process to finish signing in");
    }

    fn done(&self) {
        self.progress.show("Signed in");
    }

    async fn pasted_url(&self) -> String {
        if !std::io::stdin().is_terminal() {
            return std::future::pending().await;
        }
        let lines = self.lines.get_or_init(|| Mutex::new(read_lines()));
        match lines.lock().await.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }
}

/// Lines of standard input. They are read by a thread of its own, which the end of the process does not wait for,
/// unlike the runtime's.
fn read_lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if !line.trim().is_empty() && sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
