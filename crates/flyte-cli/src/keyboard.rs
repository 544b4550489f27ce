//! Reads the lines that the user types, with one reader for the whole process. Two readers would take each other's lines, and
//! the one that holds standard input would block the other forever.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Mutex, mpsc};

/// How long a question waits for an answer. A pseudo-terminal without a user looks like a terminal.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Whether a user can see the output: there is a terminal, and this is not a CI job, which may have a pseudo-terminal.
pub(crate) fn user_can_read() -> bool {
    (io::stdin().is_terminal() || io::stderr().is_terminal()) && !flyte_auth::in_ci()
}

/// Whether a user can type an answer.
pub(crate) fn user_can_answer() -> bool {
    io::stdin().is_terminal() && !flyte_auth::in_ci()
}

/// Lines of standard input. They are read from the first request on, and only from a terminal: piped input is for the
/// command.
static LINES: OnceLock<Mutex<UnboundedReceiver<String>>> = OnceLock::new();

fn lines() -> &'static Mutex<UnboundedReceiver<String>> {
    LINES.get_or_init(|| Mutex::new(read_lines()))
}

/// The next line; `None` if no user can type one, or if the user ended the input (Ctrl-D).
pub(crate) async fn line() -> Option<String> {
    if !io::stdin().is_terminal() {
        return None;
    }
    lines().lock().await.recv().await
}

/// A line that was already typed.
pub(crate) fn waiting_line() -> Option<String> {
    if !io::stdin().is_terminal() {
        return None;
    }
    lines().try_lock().ok()?.try_recv().ok()
}

/// Discards lines that were typed earlier, for example during a sign-in: they do not answer a new question.
pub(crate) fn forget() {
    if let Some(lines) = LINES.get() {
        let mut lines = lines.blocking_lock();
        while lines.try_recv().is_ok() {}
    }
}

/// Waits for the next line, for at most [`PATIENCE`]. It blocks, so do not call it inside the runtime.
pub(crate) fn answer() -> Option<String> {
    if !io::stdin().is_terminal() {
        return None;
    }
    let mut lines = lines().blocking_lock();
    let started = Instant::now();
    next_line(&mut lines, || {
        std::thread::sleep(Duration::from_millis(20));
        started.elapsed()
    })
}

/// Waits for the next line. `pause` waits a moment and returns the total time; the wait ends when that reaches [`PATIENCE`].
fn next_line(lines: &mut UnboundedReceiver<String>, mut pause: impl FnMut() -> Duration) -> Option<String> {
    let mut waited = Duration::ZERO;
    loop {
        match lines.try_recv() {
            Ok(line) => return Some(line),
            Err(mpsc::error::TryRecvError::Empty) if waited < PATIENCE => waited = pause(),
            Err(_) => return None,
        }
    }
}

/// Reads lines in a separate thread. The process does not wait for it at its end, unlike for the runtime's threads.
fn read_lines() -> UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        // A line that is not valid text still counts as a line.
        while input.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            if sender.send(text.trim_end_matches(['\r', '\n']).to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unanswered_question_times_out() {
        let (typing, mut lines) = mpsc::unbounded_channel();
        let mut minutes = 0;
        let mut clock = |typed_after| {
            minutes += 1;
            if minutes == typed_after {
                typing.send("yes".to_owned()).unwrap();
            }
            Duration::from_secs(60 * minutes)
        };
        assert_eq!(next_line(&mut lines, || clock(4)).as_deref(), Some("yes"));
        assert_eq!(next_line(&mut lines, || clock(u64::MAX)), None);
        assert_eq!(minutes, 5);
        drop(typing);
        assert_eq!(next_line(&mut lines, || panic!("the input has ended")), None);
    }
}
