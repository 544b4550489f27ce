//! Patterns of claims: `*` stands for any characters but `/`, `**` for any characters, everything else for itself.
//!
//! A pattern covers the whole value, so that there is none that matches by accident of what stands before or after. Matching
//! takes time proportional to the lengths of both, whatever they are: all ways to match are followed at once, none is tried
//! and taken back.

use std::{fmt, str::FromStr};

/// The longest pattern, in bytes.
const MAX_BYTES: usize = 512;

/// A pattern of a claim's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// This byte.
    Byte(u8),
    /// Any number of bytes that are not `/`.
    Segment,
    /// Any number of bytes.
    Any,
}

/// A text that is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing.
    #[error("is empty")]
    Empty,
    /// More than any claim needs.
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// `***` and the like, which would read as more than it is.
    #[error("has more than two * in a row")]
    Stars,
    /// A claim never has them, so that the rule would match nothing.
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
        // Bytes will do: no character of UTF-8 is part of another, and `*` and `/` are one byte each.
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
    /// Whether it covers `value`.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        // reached[n]: what was read so far is covered by the first n pieces.
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

    /// A star may stand for nothing.
    fn skip_stars(&self, reached: &mut [bool]) {
        for (at, piece) in self.0.iter().enumerate() {
            if reached[at] && !matches!(piece, Piece::Byte(_)) {
                reached[at + 1] = true;
            }
        }
    }

    /// What every value that it covers begins with.
    #[must_use]
    pub fn prefix(&self) -> Vec<u8> {
        let byte = |piece: &Piece| if let Piece::Byte(byte) = piece { Some(*byte) } else { None };
        self.0.iter().map_while(byte).collect()
    }

    /// Whether it covers one value only.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Byte(_)))
    }

    /// Whether it says nothing about the value, or hardly anything.
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
    fn a_star_stays_within_its_segment_and_two_do_not() {
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
    fn what_is_no_pattern_is_refused() {
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
    fn many_stars_take_no_longer() {
        // A matcher that tries and takes back would not come to an end.
        let pattern: Pattern = "*a".repeat(250).parse().unwrap();
        assert!(!pattern.matches(&"a".repeat(249)));
        assert!(pattern.matches(&"a".repeat(2000)));
        let pattern: Pattern = "**/".repeat(160).parse().unwrap();
        assert!(!pattern.matches(&format!("{}x", "/".repeat(2000))));
    }

    /// The definition, word by word; exponential.
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
        fn a_text_without_stars_matches_itself_alone(text in "[^*\\p{Cc}]{1,40}", other in any::<String>()) {
            let pattern: Pattern = text.parse().unwrap();
            prop_assert!(pattern.is_literal() && pattern.matches(&text));
            prop_assert_eq!(pattern.matches(&other), text == other);
        }

        #[test]
        fn what_matches_begins_with_the_prefix(pattern in "[ab/*]{1,8}", value in "[ab/]{0,12}") {
            if let Ok(parsed) = pattern.parse::<Pattern>()
                && parsed.matches(&value)
            {
                prop_assert!(value.as_bytes().starts_with(&parsed.prefix()));
            }
        }

        #[test]
        fn any_text_is_read_or_refused_and_reads_back(text in any::<String>(), value in any::<String>()) {
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string(), text);
                let _ = pattern.matches(&value);
            }
        }
    }
}
