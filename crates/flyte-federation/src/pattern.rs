//! Patterns for claim values: `*` matches any characters except `/`, `**` matches any characters, every other
//! character matches itself.
//!
//! A pattern must match the whole value, so it cannot match a part by accident. The time is proportional to the
//! product of both lengths for every pattern: the matcher follows all possibilities at once, without backtracking.

use std::{fmt, str::FromStr};

/// The maximum length of a pattern, in bytes.
const MAX_BYTES: usize = 512;

/// A pattern for a claim value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Exactly this byte.
    Byte(u8),
    /// Any number of bytes other than `/`.
    Segment,
    /// Any number of any bytes.
    Any,
}

/// The text is not a valid pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is too long.
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Three or more stars in a row, which would look like another operator.
    #[error("has more than two * in a row")]
    Stars,
    /// Claims contain no control characters, so the rule would match nothing.
    #[error("has control characters")]
    Control,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(PatternError::TooLong);
        }
        if text.contains("***") {
            return Err(PatternError::Stars);
        }
        if text.chars().any(char::is_control) {
            return Err(PatternError::Control);
        }
        // Matching bytes is enough: in UTF-8 no character is part of another one, and `*` and `/` are one byte each.
        let mut pieces = Vec::with_capacity(text.len());
        for byte in text.bytes() {
            match (byte, pieces.last()) {
                (b'*', Some(Piece::Segment)) => {
                    pieces.pop();
                    pieces.push(Piece::Any);
                }
                (b'*', _) => pieces.push(Piece::Segment),
                (byte, _) => pieces.push(Piece::Byte(byte)),
            }
        }
        Ok(Self(pieces))
    }
}

impl Pattern {
    /// Whether the pattern matches `value`.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        // reached[n]: the first n pieces match the bytes read so far.
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        self.skip_stars(&mut reached);
        let mut next = vec![false; reached.len()];
        for byte in value.bytes() {
            next.fill(false);
            for (at, piece) in self.0.iter().enumerate().filter(|(at, _)| reached[*at]) {
                match piece {
                    Piece::Byte(own) if *own == byte => next[at + 1] = true,
                    Piece::Segment if byte != b'/' => next[at] = true,
                    Piece::Any => next[at] = true,
                    Piece::Byte(_) | Piece::Segment => {}
                }
            }
            self.skip_stars(&mut next);
            std::mem::swap(&mut reached, &mut next);
            if !reached.contains(&true) {
                return false;
            }
        }
        reached.last().copied().unwrap_or_default()
    }

    /// A star may match nothing.
    fn skip_stars(&self, reached: &mut [bool]) {
        for (at, piece) in self.0.iter().enumerate() {
            if reached[at] && !matches!(piece, Piece::Byte(_)) {
                reached[at + 1] = true;
            }
        }
    }

    /// The bytes that every matching value starts with.
    #[must_use]
    pub fn prefix(&self) -> Vec<u8> {
        let byte = |piece: &Piece| if let Piece::Byte(byte) = piece { Some(*byte) } else { None };
        self.0.iter().map_while(byte).collect()
    }

    /// Whether the pattern matches exactly one value.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Byte(_)))
    }

    /// Whether the pattern has no literal character, so that it restricts nothing or almost nothing.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        !self.0.iter().any(|piece| matches!(piece, Piece::Byte(_)))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            match piece {
                Piece::Byte(byte) => text.push(*byte),
                Piece::Segment => text.push(b'*'),
                Piece::Any => text.extend(b"**"),
            }
        }
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, value: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(value)
    }

    #[test]
    fn one_star_stops_at_a_slash_and_two_do_not() {
        for (pattern, value, expected) in [
            ("acme/app", "acme/app", true),
            ("acme/app", "acme/app2", false),
            ("acme/app", "xacme/app", false),
            ("acme/app", "ACME/app", false),
            ("acme/*", "acme/app", true),
            ("acme/*", "acme/", true),
            ("acme/*", "acme/app/x", false),
            ("acme/*", "acme-evil/app", false),
            ("acme*", "acme-evil/app", false),
            ("*/app", "acme/app", true),
            ("*/app", "evil/acme/app", false),
            ("**/app", "evil/acme/app", true),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/app:ref:refs/heads/main", true),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/app:ref:refs/heads/main2", false),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/a:ref:refs/heads/x:ref:refs/heads/main", false),
            ("repo:acme/*:ref:**", "repo:acme/a:ref:refs/heads/x", true),
            ("refs/heads/release-*", "refs/heads/release-1.2", true),
            ("refs/heads/release-*", "refs/heads/release-1/x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "ac", false),
            ("*", "", true),
            ("*", "/", false),
            ("**", "", true),
            ("**", "a/b\n\u{1f980}", true),
            ("*\u{1f980}", "x\u{1f980}", true),
            ("a.c", "abc", false),
            ("[a-z]", "b", false),
            ("a?", "ab", false),
        ] {
            assert_eq!(matches(pattern, value), expected, "{pattern} {value}");
        }
    }

    #[test]
    fn invalid_patterns_are_refused() {
        for (text, error) in [
            ("", PatternError::Empty),
            ("a***", PatternError::Stars),
            ("a\nb", PatternError::Control),
            (&"x".repeat(513), PatternError::TooLong),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(error), "{text:?}");
        }
        let error = "***".parse::<Pattern>().unwrap_err().to_string();
        assert_eq!(error, "has more than two * in a row");
    }

    #[test]
    fn many_stars_are_fast() {
        // A matcher with backtracking would not finish.
        let pattern: Pattern = "*a".repeat(250).parse().unwrap();
        assert!(!pattern.matches(&"a".repeat(249)));
        assert!(pattern.matches(&"a".repeat(2000)));
        let pattern: Pattern = "**/".repeat(160).parse().unwrap();
        assert!(!pattern.matches(&format!("{}x", "/".repeat(2000))));
    }

    /// A literal implementation of the definition; exponential.
    fn by_definition(pattern: &str, value: &str) -> bool {
        if let Some(rest) = pattern.strip_prefix("**") {
            return (0..=value.len())
                .filter(|at| value.is_char_boundary(*at))
                .any(|at| by_definition(rest, &value[at..]));
        }
        if let Some(rest) = pattern.strip_prefix('*') {
            let segment = value.find('/').unwrap_or(value.len());
            return (0..=segment)
                .filter(|at| value.is_char_boundary(*at))
                .any(|at| by_definition(rest, &value[at..]));
        }
        match (pattern.chars().next(), value.chars().next()) {
            (None, None) => true,
            (Some(own), Some(c)) if own == c => {
                by_definition(&pattern[own.len_utf8()..], &value[c.len_utf8()..])
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_matches_as_defined(pattern in "[ab/*\u{e9}]{1,8}", value in "[ab/\u{e9}]{0,8}") {
            if let Ok(parsed) = pattern.parse::<Pattern>() {
                prop_assert_eq!(parsed.matches(&value), by_definition(&pattern, &value));
            }
        }

        #[test]
        fn a_text_without_stars_matches_only_itself(text in "[^*\\p{Cc}]{1,40}", other in any::<String>()) {
            let pattern: Pattern = text.parse().unwrap();
            prop_assert!(pattern.is_literal() && pattern.matches(&text));
            prop_assert_eq!(pattern.matches(&other), text == other);
        }

        #[test]
        fn matching_values_start_with_the_prefix(pattern in "[ab/*]{1,8}", value in "[ab/]{0,12}") {
            if let Ok(parsed) = pattern.parse::<Pattern>()
                && parsed.matches(&value)
            {
                prop_assert!(value.as_bytes().starts_with(&parsed.prefix()));
            }
        }

        #[test]
        fn every_text_is_refused_or_parsed_and_formatted_back(text in any::<String>(), value in any::<String>()) {
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string(), text);
                let _ = pattern.matches(&value);
            }
        }
    }
}
