//! The name that the command was installed under.

use std::borrow::Cow;

/// The first words after the command's name, which tell it from the word "flyte" in a sentence.
const FIRST_WORDS: [&str; 20] = [
    "abort",
    "auth",
    "build",
    "completion",
    "create",
    "delete",
    "deploy",
    "edit",
    "gen",
    "get",
    "prefetch",
    "proxy",
    "rerun",
    "rotate",
    "run",
    "serve",
    "signal",
    "start",
    "update",
    "whoami",
];

/// The text with the command's installed name in place of `flyte`. The Python wheel installs it as `flyte-auth`, because the
/// published SDK has another command of the name `flyte`.
#[must_use]
pub fn with_command<'a>(text: &'a str, command: &str) -> Cow<'a, str> {
    const NAME: &str = "flyte ";
    if command == "flyte" || !text.contains(NAME) {
        return Cow::Borrowed(text);
    }
    let mut named = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(NAME) {
        let (before, from) = rest.split_at(at);
        let after = &from[NAME.len()..];
        let is_word = !before.ends_with(|before: char| before.is_alphanumeric() || "-_./".contains(before));
        let next: &str = after.split(|next: char| !next.is_ascii_lowercase()).next().unwrap_or_default();
        let is_command = after.starts_with('-') || FIRST_WORDS.contains(&next);
        named.push_str(before);
        named.push_str(if is_word && is_command { command } else { "flyte" });
        named.push(' ');
        rest = after;
    }
    named.push_str(rest);
    Cow::Owned(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_command_gets_the_name() {
        for (text, named) in [
            ("Run `flyte auth login`.", "Run `flyte-auth auth login`."),
            ("flyte --auth-type pkce get project", "flyte-auth --auth-type pkce get project"),
            ("To renew it: flyte rotate api-key ci", "To renew it: flyte-auth rotate api-key ci"),
            (
                "another flyte process, not ~/.flyte or my-flyte get",
                "another flyte process, not ~/.flyte or my-flyte get",
            ),
            ("pip install flyte flyte-auth", "pip install flyte flyte-auth"),
            ("flyte get, then flyte run", "flyte-auth get, then flyte-auth run"),
        ] {
            assert_eq!(with_command(text, "flyte-auth"), named);
            assert_eq!(with_command(text, "flyte"), text);
        }
    }
}
