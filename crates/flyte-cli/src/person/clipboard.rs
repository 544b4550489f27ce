//! The clipboard of the terminal that the person sits at, also through SSH: the terminal does it (OSC 52).

use std::io::{IsTerminal as _, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::progress::Progress;

/// Whether asking the terminal can be of use.
pub(super) fn is_there() -> bool {
    let capable = std::env::var("TERM").is_ok_and(|term| !matches!(term.as_str(), "" | "dumb" | "linux"));
    capable && std::io::stderr().is_terminal() && std::io::stdin().is_terminal()
}

/// Asks the terminal to put `text` into its clipboard. Whether it did, it does not tell.
pub(super) fn copy(progress: &Progress, text: &str) {
    let sequence = sequence(text, std::env::var_os("TMUX").is_some());
    progress.around(|| {
        // Not through anstream, which would take it out.
        let _ = std::io::stderr().write_all(sequence.as_bytes());
    });
    progress.tell("The link was sent to your terminal's clipboard; not every terminal takes it.");
}

/// OSC 52, wrapped for tmux where that is in between.
fn sequence(text: &str, tmux: bool) -> String {
    let plain = format!("\x1b]52;c;{}\x07", STANDARD.encode(text));
    if tmux { format!("\x1bPtmux;\x1b{plain}\x1b\\") } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_is_asked_by_osc_52() {
        assert_eq!(sequence("https://x", false), "\x1b]52;c;aHR0cHM6Ly94\x07");
        assert_eq!(sequence("ab", true), "\x1bPtmux;\x1b\x1b]52;c;YWI=\x07\x1b\\");
    }
}
