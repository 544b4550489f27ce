//! Plain scalars: finds the type of a scalar, and writes text as a scalar that is read as the same text.
//!
//! The published client reads YAML 1.1, in which `yes` is a boolean. Other tools read YAML 1.2. Text that either version reads as
//! another type is quoted.

/// The type of a plain (unquoted) scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    Null,
    Boolean(bool),
    Number,
    Text,
}

/// Finds the type of a plain scalar, by YAML 1.1 and 1.2 together.
pub(crate) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        _ => {}
    }
    if let Some(boolean) = boolean(text) {
        return Plain::Boolean(boolean);
    }
    let digits = text.trim_start_matches(['+', '-', '.']);
    let number = match digits.as_bytes() {
        [b'0', b'x' | b'o' | b'b', rest @ ..] => {
            !rest.is_empty() && rest.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'_')
        }
        [b'0'..=b'9', ..] => {
            digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'_' | b'.' | b'e' | b'E' | b'+' | b'-'))
                && digits.matches('.').count() <= 1
        }
        _ => matches!(digits.to_ascii_lowercase().as_str(), "inf" | "nan") && text.contains('.'),
    };
    if number { Plain::Number } else { Plain::Text }
}

/// Parses a boolean in the spellings of YAML 1.1, in upper or lower case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    let word = text.to_ascii_lowercase();
    match word.as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Writes text as a scalar of block style: plain if possible, otherwise quoted.
pub(crate) fn write(text: &str) -> String {
    write_where(text, |c| matches!(c, '[' | ']'))
}

/// Writes text as a scalar within `[...]`, where brackets are special.
pub(crate) fn write_in_flow(text: &str) -> String {
    write_where(text, |_| false)
}

fn write_where(text: &str, also_plain: impl Fn(char) -> bool) -> String {
    let plain = resolve(text) == Plain::Text
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_' | '.'))
        && !text.ends_with(':')
        && text.chars().all(|c| {
            c.is_ascii_alphanumeric()
                || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '+' | '=')
                || also_plain(c)
        });
    if plain {
        return text.to_owned();
    }
    let printable =
        |c: char| matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{10000}'..);
    if text.chars().all(|c| printable(c) && !matches!(c, '\u{2028}' | '\u{2029}')) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if printable(c) && !matches!(c, '\u{2028}' | '\u{2029}') => quoted.push(c),
            c => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_resolve_as_in_yaml_1_1_and_1_2() {
        for text in ["", "~", "null", "NULL"] {
            assert_eq!(resolve(text), Plain::Null, "{text}");
        }
        for (text, boolean) in [("true", true), ("Yes", true), ("ON", true), ("false", false), ("no", false)]
        {
            assert_eq!(resolve(text), Plain::Boolean(boolean), "{text}");
        }
        for text in [
            "0", "42", "-1", "+1", "1.5", ".5", "1e3", "1_000", "0x1F", "0o17", "017", ".inf", "-.inf",
            ".NaN",
        ] {
            assert_eq!(resolve(text), Plain::Number, "{text}");
        }
        for text in ["a", "127.0.0.1", "1a", "dns:///x", "inf", "truex", "0xzz", "localhost:80"] {
            assert_eq!(resolve(text), Plain::Text, "{text}");
        }
    }

    #[test]
    fn text_is_quoted_only_if_necessary() {
        for (text, written) in [
            ("dns:///acme.example.com:8443", "dns:///acme.example.com:8443"),
            ("dns:///[::1]:8443", "dns:///[::1]:8443"),
            ("/home/ada/ca.pem", "/home/ada/ca.pem"),
            ("true", "'true'"),
            ("42", "'42'"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it''s'"),
            ("# no comment", "'# no comment'"),
            ("a\nb", "\"a\\nb\""),
        ] {
            assert_eq!(write(text), written);
        }
        assert_eq!(write_in_flow("[a]"), "'[a]'");
    }
}
