//! Texts that are shown to people, for example names of accounts.

/// The longest text, in bytes.
const MAX_BYTES: usize = 256;

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisplayTextError {
    /// It is too long.
    #[error("must have at most {MAX_BYTES} bytes")]
    TooLong,
    /// It has characters that are not shown, or that change how others are shown.
    #[error("must have no control characters and no marks that turn its direction")]
    Unprintable,
}

/// Checks a text for people.
///
/// # Errors
/// [`DisplayTextError`].
pub fn check_display_text(text: &str) -> Result<(), DisplayTextError> {
    if text.len() > MAX_BYTES {
        return Err(DisplayTextError::TooLong);
    }
    // Marks that turn the direction of text could make one name look like another.
    let turns =
        |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    match text.chars().any(|c| c.is_control() || turns(c)) {
        true => Err(DisplayTextError::Unprintable),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_pretend_to_be_others() {
        for text in ["", "Ada Lovelace", "Zoë 李", &"x".repeat(MAX_BYTES)] {
            assert_eq!(check_display_text(text), Ok(()), "{text}");
        }
        for text in ["a\nb", "a\u{202e}b", "\u{200f}", "\0"] {
            assert_eq!(check_display_text(text), Err(DisplayTextError::Unprintable), "{text:?}");
        }
        assert_eq!(check_display_text(&"x".repeat(MAX_BYTES + 1)), Err(DisplayTextError::TooLong));
    }
}
