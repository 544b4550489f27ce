//! Lines that the person types: one reader for the whole process. Two would take each other's lines, and the one that holds
//! standard input would leave the other waiting for ever.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Mutex, mpsc};

/// How long somebody may take to answer a question. A pseudo-terminal that nobody sits at looks like a terminal.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Whether somebody sees what is written: there is a terminal, and this is no CI job, which may have a pseudo-terminal.
pub(crate) fn somebody_watches() -> bool {
    (io::stdin().is_terminal() || io::stderr().is_terminal()) && !flyte_auth::in_ci()
}

/// Whether somebody can type an answer.
pub(crate) fn somebody_types() -> bool {
    io::stdin().is_terminal() && !flyte_auth::in_ci()
}

/// Lines of standard input, once somebody has asked for one, and only where it is a terminal: what is piped in is for the
/// command.
static LINES: OnceLock<Mutex<UnboundedReceiver<String>>> = OnceLock::new();

fn lines() -> &'static Mutex<UnboundedReceiver<String>> {
    LINES.get_or_init(|| Mutex::new(read_lines()))
}

/// The next line; `None` where there is nobody to type one, or they have ended the input (Ctrl-D).
pub(crate) async fn line() -> Option<String> {
    if !io::stdin().is_terminal() {
        return None;
    }
    lines().lock().await.recv().await
}

/// A line that was typed already.
pub(crate) fn waiting_line() -> Option<String> {
    if !io::stdin().is_terminal() {
        return None;
    }
    lines().try_lock().ok()?.try_recv().ok()
}

/// Forgets what was typed before, while a sign-in was read: it answers no question that is still to be asked.
pub(crate) fn forget() {
    if let Some(lines) = LINES.get() {
        let mut lines = lines.blocking_lock();
        while lines.try_recv().is_ok() {}
    }
}

/// The next line, waited for outside of the runtime, for [`PATIENCE`] at most.
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

/// The next line, until `pause`, which lets some time go by and says how much has gone by in all, has reached [`PATIENCE`].
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

/// They are read by a thread of its own, which the end of the process does not wait for, unlike the runtime's.
fn read_lines() -> UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        // A line that is no text is one nevertheless.
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
    fn a_question_that_nobody_answers_has_an_end() {
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
