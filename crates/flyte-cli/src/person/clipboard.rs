//! Copies text to the clipboard of the user's terminal (OSC 52), which also works through SSH.

use std::io::{IsTerminal as _, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::progress::Progress;

/// Whether the terminal may support the clipboard.
pub(super) fn is_available() -> bool {
    let capable = std::env::var("TERM").is_ok_and(|term| !matches!(term.as_str(), "" | "dumb" | "linux"));
    capable && std::io::stderr().is_terminal() && std::io::stdin().is_terminal()
}

/// Asks the terminal to copy `text` to its clipboard. The terminal does not confirm it.
pub(super) fn copy(progress: &Progress, text: &str) {
    let sequence = sequence(text, std::env::var_os("TMUX").is_some());
    progress.around(|| {
        // Not through anstream, which would remove the sequence.
        let _ = std::io::stderr().write_all(sequence.as_bytes());
    });
    progress.tell("The link was sent to your terminal's clipboard. Some terminals do not support this.");
}

/// The OSC 52 sequence, wrapped for tmux if it is used.
fn sequence(text: &str, tmux: bool) -> String {
    let plain = format!("\x1b]52;c;{}\x07", STANDARD.encode(text));
    if tmux { format!("\x1bPtmux;\x1b{plain}\x1b\\") } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_is_osc_52() {
        assert_eq!(sequence("https://x", false), "\x1b]52;c;aHR0cHM6Ly94\x07");
        assert_eq!(sequence("ab", true), "\x1bPtmux;\x1b\x1b]52;c;YWI=\x07\x1b\\");
    }
}
