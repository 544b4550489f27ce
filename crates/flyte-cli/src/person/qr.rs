//! A picture of a link that a telephone can read.

use std::io::IsTerminal as _;

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use terminal_size::{Height, Width, terminal_size_of};

/// Lines around the picture that have to be seen with it.
const LINES_AROUND: u16 = 9;

/// The picture, where standard error is a terminal that has room for it.
pub(super) fn fitting(text: &str) -> Option<String> {
    let stderr = std::io::stderr();
    if !stderr.is_terminal() || std::env::var("TERM").is_ok_and(|term| term == "dumb") {
        return None;
    }
    let (Width(width), Height(height)) = terminal_size_of(stderr)?;
    within(text, width, height.saturating_sub(LINES_AROUND))
}

/// The picture, where it is not larger than that.
fn within(text: &str, width: u16, height: u16) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    // The library calls that dark which it fills: here that is the light, so that it is right also where colours are taken
    // out and the terminal is dark. Black on white, whatever the terminal's own colours are: not every telephone reads it the other way round.
    let picture = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build();
    let columns = picture.lines().map(|line| line.chars().count()).max()?;
    if columns > usize::from(width) || picture.lines().count() > usize::from(height) {
        return None;
    }
    Some(picture.lines().map(|line| format!("\x1b[97;40m{line}\x1b[0m\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_drawn_only_where_there_is_room() {
        let link = "https://signin.example.com/activate?user_code=TKBJXFFW";
        let picture = within(link, 80, 40).unwrap();
        let plain = anstream::adapter::strip_str(&picture).to_string();
        let (columns, lines) = (plain.lines().next().unwrap().chars().count(), plain.lines().count());
        assert!(columns.abs_diff(2 * lines) <= 1, "{columns} x {lines}");
        // Four modules of white all around (ISO/IEC 18004 section 5.3.8): two lines of half blocks.
        assert!(plain.lines().take(2).all(|line| line.chars().all(|c| c == '\u{2588}')), "{plain}");
        let (columns, lines) = (u16::try_from(columns).unwrap(), u16::try_from(lines).unwrap());
        assert!(within(link, columns, lines).is_some());
        assert!(within(link, columns - 1, lines).is_none() && within(link, columns, lines - 1).is_none());
        assert!(within(&"x".repeat(4000), 1000, 1000).is_none(), "more than any picture holds");
    }
}
