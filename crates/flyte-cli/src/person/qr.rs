//! QR codes for links, which a phone can read.

use std::io::IsTerminal as _;

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use terminal_size::{Height, Width, terminal_size_of};

/// The lines around the QR code that must be visible with it.
const LINES_AROUND: u16 = 9;

/// The QR code, if standard error is a terminal that is large enough.
pub(super) fn fitting(text: &str) -> Option<String> {
    let stderr = std::io::stderr();
    if !stderr.is_terminal() || std::env::var("TERM").is_ok_and(|term| term == "dumb") {
        return None;
    }
    let (Width(width), Height(height)) = terminal_size_of(stderr)?;
    within(text, width, height.saturating_sub(LINES_AROUND))
}

/// The QR code, if it is not larger than `width` and `height`.
fn within(text: &str, width: u16, height: u16) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    // The library fills "dark" modules. Here these are the light ones, so that the code is right on a dark terminal even
    // without colours. It is always black on white, because some phones cannot read an inverted code.
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
    fn code_is_drawn_only_if_it_fits() {
        let link = "https://signin.example.com/activate?user_code=TKBJXFFW";
        let picture = within(link, 80, 40).unwrap();
        let plain = anstream::adapter::strip_str(&picture).to_string();
        let (columns, lines) = (plain.lines().next().unwrap().chars().count(), plain.lines().count());
        assert!(columns.abs_diff(2 * lines) <= 1, "{columns} x {lines}");
        // A white border of four modules (ISO/IEC 18004 section 5.3.8): two lines of half blocks.
        assert!(plain.lines().take(2).all(|line| line.chars().all(|c| c == '\u{2588}')), "{plain}");
        let (columns, lines) = (u16::try_from(columns).unwrap(), u16::try_from(lines).unwrap());
        assert!(within(link, columns, lines).is_some());
        assert!(within(link, columns - 1, lines).is_none() && within(link, columns, lines - 1).is_none());
        assert!(within(&"x".repeat(4000), 1000, 1000).is_none(), "more than a QR code can contain");
    }
}
