//! Lines that the person types.

use std::io::{BufRead as _, IsTerminal as _};
use std::sync::OnceLock;

use tokio::sync::{Mutex, mpsc};

/// Lines of standard input, once somebody has asked for one, and only where it is a terminal: what is piped in is for the
/// command.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    lines: OnceLock<Mutex<mpsc::UnboundedReceiver<String>>>,
}

impl Keyboard {
    /// The next line; pends for ever where there is nobody to type one.
    pub(super) async fn line(&self) -> String {
        if !std::io::stdin().is_terminal() {
            return std::future::pending().await;
        }
        match self.lines().lock().await.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }

    /// A line that was typed already.
    pub(super) fn waiting_line(&self) -> Option<String> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        self.lines().try_lock().ok()?.try_recv().ok()
    }

    fn lines(&self) -> &Mutex<mpsc::UnboundedReceiver<String>> {
        self.lines.get_or_init(|| Mutex::new(read_lines()))
    }
}

/// They are read by a thread of its own, which the end of the process does not wait for, unlike the runtime's.
fn read_lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
