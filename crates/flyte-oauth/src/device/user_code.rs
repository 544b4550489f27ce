//! The code that a user copies from the device to the browser (RFC 8628 section 6.1).

use std::fmt;

use aws_lc_rs::{error::Unspecified, rand};

use flyte_secrets::{SecretHash, opaque_token};

/// The characters of a code: Crockford's Base32. It has no letters that look like `0` or `1`, and without `U` fewer
/// offensive words occur.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The number of characters: 40 bits.
const LENGTH: usize = 8;
/// The number of characters in a group.
const GROUP: usize = 4;

/// A user code: 40 random bits, shown as `XXXX-XXXX`. It is hard to guess because it expires after minutes and
/// attempts are limited (`flyte_identity::Throttle`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UserCode([u8; LENGTH]);

impl UserCode {
    /// Generates a code.
    ///
    /// # Errors
    /// The system returns no random numbers.
    pub fn generate() -> Result<Self, Unspecified> {
        let mut code = [0; LENGTH];
        rand::fill(&mut code)?;
        // 256 is a multiple of 32, so all characters have the same probability.
        Ok(Self(code.map(|byte| ALPHABET[usize::from(byte) % ALPHABET.len()])))
    }

    /// Parses a typed code. Accepts small letters, hyphens and spaces anywhere, `O` for `0`, and `I` or `L` for `1`.
    /// `None` if the text is not a code.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = [0; LENGTH];
        let mut length = 0;
        for character in text.chars().filter(|character| !is_separator(*character)) {
            let symbol = match character.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let symbol = u8::try_from(symbol).ok().filter(|symbol| ALPHABET.contains(symbol))?;
            *code.get_mut(length)? = symbol;
            length += 1;
        }
        (length == LENGTH).then_some(Self(code))
    }

    /// The hash that is stored, and by which attempts are counted.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        opaque_token::hash(&self.to_string())
    }
}

/// Separators in typed or pasted codes: any space, any dash.
fn is_separator(character: char) -> bool {
    character.is_whitespace() || matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '_' | '.')
}

/// The displayed form: two groups.
impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, symbol) in self.0.iter().enumerate() {
            if at > 0 && at % GROUP == 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*symbol))?;
        }
        Ok(())
    }
}

/// Omits the code: it allows answering for the device.
impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<String> {
        UserCode::parse(text).map(|code| code.to_string())
    }

    #[test]
    fn typed_codes_are_parsed() {
        for text in [
            "WDJB-M0H1",
            "wdjb-m0h1",
            "WDJBM0H1",
            "wdjb m0h1",
            " WdJb-MohI\n",
            "WDJB\u{2013}MOHL",
            "W-D-J-B-M-0-H-1",
            "wdjb - m0hl",
            "WDJB\u{a0}M0H1",
        ] {
            assert_eq!(read(text).as_deref(), Some("WDJB-M0H1"), "{text:?}");
        }
        for text in [
            "",
            "-",
            "WDJB-M0H",
            "WDJB-M0H12",
            "WDJB-M0HU",
            "WDJB/M0H1",
            "WDJB-M0H\u{e9}",
            "ＷDJB-M0H1",
            "ſDJB-M0H1",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn codes_differ_and_use_the_whole_alphabet() {
        let codes: BTreeSet<_> = (0..500).map(|_| UserCode::generate().unwrap().to_string()).collect();
        assert_eq!(codes.len(), 500);
        let symbols: BTreeSet<_> = codes.iter().flat_map(|code| code.bytes()).collect();
        assert_eq!(symbols.len(), ALPHABET.len() + 1);
        assert!(!symbols.iter().any(|symbol| b"ILOUilou".contains(symbol)));
    }

    #[test]
    fn the_code_is_not_in_debug() {
        let code = UserCode::parse("WDJB-M0H1").unwrap();
        assert_eq!(format!("{code:?}"), "UserCode(…)");
    }

    /// A code, and one of its spellings.
    fn written() -> impl Strategy<Value = (UserCode, String)> {
        let symbols = prop::array::uniform8(0..ALPHABET.len());
        let style = prop::array::uniform8((any::<bool>(), any::<bool>(), "[- \u{2013}\u{a0}._]{0,2}"));
        (symbols, style).prop_map(|(symbols, style)| {
            let code = UserCode(symbols.map(|at| ALPHABET[at]));
            let mut text = String::new();
            for (symbol, (lower, alike, separator)) in code.0.into_iter().zip(style) {
                let symbol = match (symbol, alike, lower) {
                    (b'0', true, _) => b'O',
                    (b'1', true, true) => b'L',
                    (b'1', true, false) => b'I',
                    _ => symbol,
                };
                let symbol = if lower { symbol.to_ascii_lowercase() } else { symbol };
                text.push(char::from(symbol));
                text.push_str(&separator);
            }
            (code, text)
        })
    }

    proptest! {
        #[test]
        fn every_spelling_is_the_same_code((code, text) in written()) {
            prop_assert!(UserCode::parse(&text) == Some(code));
            prop_assert_eq!(UserCode::parse(&text).unwrap().hash(), code.hash());
        }

        #[test]
        fn a_displayed_code_is_parsed(_seed in any::<u8>()) {
            let code = UserCode::generate().unwrap();
            let shown = code.to_string();
            prop_assert!(shown.len() == 9 && shown.as_bytes()[4] == b'-');
            prop_assert!(shown.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)));
            prop_assert!(UserCode::parse(&shown) == Some(code));
        }

        #[test]
        fn every_text_is_parsed_or_refused(text in "\\PC{0,24}") {
            if let Some(code) = UserCode::parse(&text) {
                prop_assert!(UserCode::parse(&code.to_string()) == Some(code));
            }
        }
    }
}
