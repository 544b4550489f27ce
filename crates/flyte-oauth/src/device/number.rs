//! Number matching: the device shows a two-digit number, and the page asks for it before it approves the device. A user who was sent
//! a link does not see the number, so approving by mistake needs more than a click (RFC 8628 section 5.4).

use aws_lc_rs::{error::Unspecified, rand};

use crate::error::{ErrorCode, OAuthError};
use flyte_settings::NumberMatching;

/// The parameter of a device authorization request with which a client says that it shows a number: our extension.
pub(super) const PARAMETER: &str = "number_matching";
/// The smallest number, so that all have two digits.
const SMALLEST: u8 = 10;
/// How many numbers there are.
const COUNT: u8 = 90;

/// The number for a device; `None` if the page does not ask for one.
///
/// # Errors
/// [`ErrorCode::NumberMatchingRequired`] if the server demands a number and the client does not show one, `invalid_request` for
/// another value of the parameter.
pub(super) fn choose(setting: NumberMatching, wanted: Option<&str>) -> Result<Option<u8>, OAuthError> {
    let wanted = match wanted {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(OAuthError::invalid_request("number_matching must be true or false")),
    };
    match (setting, wanted) {
        (NumberMatching::Off, _) | (NumberMatching::Optional, false) => Ok(None),
        (NumberMatching::Required, false) => Err(OAuthError::new(
            ErrorCode::NumberMatchingRequired,
            "this server demands that the device shows a number (number_matching), which this client did not ask for",
        )),
        (_, true) => Ok(Some(generate()?)),
    }
}

/// Generates a number; all have the same probability.
fn generate() -> Result<u8, Unspecified> {
    loop {
        let mut byte = [0];
        rand::fill(&mut byte)?;
        if byte[0] < 2 * COUNT {
            return Ok(SMALLEST + byte[0] % COUNT);
        }
    }
}

/// Reads what a user entered; `None` if it is not a number of two digits.
pub(super) fn parse(text: &str) -> Option<u8> {
    let text = text.trim();
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_and_the_client_decide() {
        use NumberMatching::{Off, Optional, Required};
        for (setting, wanted, expected) in [
            (Off, None, Ok(false)),
            (Off, Some("true"), Ok(false)),
            (Optional, None, Ok(false)),
            (Optional, Some("false"), Ok(false)),
            (Optional, Some("true"), Ok(true)),
            (Required, Some("true"), Ok(true)),
            (Required, None, Err(ErrorCode::NumberMatchingRequired)),
            (Required, Some("false"), Err(ErrorCode::NumberMatchingRequired)),
            (Optional, Some("yes"), Err(ErrorCode::InvalidRequest)),
        ] {
            let found = choose(setting, wanted).map(|number| number.is_some()).map_err(|error| error.code);
            assert_eq!(found, expected, "{setting:?} {wanted:?}");
        }
    }

    #[test]
    fn numbers_have_two_digits() {
        let mut seen: Vec<_> = (0..3000).map(|_| generate().unwrap()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.iter().all(|number| (10..=99).contains(number)) && seen.len() > 80, "{seen:?}");
        for (text, number) in [
            ("47", Some(47)),
            (" 47 ", Some(47)),
            ("07", Some(7)),
            ("7", None),
            ("470", None),
            ("4x", None),
            ("", None),
        ] {
            assert_eq!(parse(text), number, "{text}");
        }
    }
}
