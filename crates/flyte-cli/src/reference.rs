//! The reference pages, written from the definitions that they document.

use std::fmt::Write as _;

use clap::{Arg, Command};
use flyte_config::key::{self, Kind};

/// Writes the content of `docs/reference/cli.md`. `root` is the definition of the command line.
pub fn command_line(mut root: Command) -> String {
    root.build();
    let mut page = String::from(
        "<!-- Written by `flyte gen cli-reference`; edit crates/flyte-cli/src/cli.rs and src/command/ instead. -->\n\
         # The flyte command\n",
    );
    // Writing to a String cannot fail, here and below.
    let about = root.get_long_about().or(root.get_about()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "\n{about}\n\n## Global options\n\nUse them before or after the command.\n\n");
    options(&mut page, root.get_arguments().filter(|argument| argument.is_global_set()));
    if let Some(after) = root.get_after_help() {
        let _ = write!(page, "\n```text\n{after}\n```\n");
    }
    for command in root.get_subcommands() {
        section(&mut page, command, "flyte");
    }
    page
}

fn section(page: &mut String, command: &Command, parent: &str) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    if command.has_subcommands() {
        for command in command.get_subcommands() {
            section(page, command, &name);
        }
        return;
    }
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(page, "\n## {name}\n\n{about}\n\n```text\n{usage}\n```\n\n");
    let own = command.get_arguments().filter(|argument| !argument.is_global_set() && !argument.is_hide_set());
    options(page, own.filter(|argument| argument.get_id() != "help"));
    if let Some(after) = command.get_after_help() {
        let _ = write!(page, "\n```text\n{after}\n```\n");
    }
}

fn options<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    for argument in arguments {
        let mut names = Vec::new();
        if let Some(short) = argument.get_short() {
            names.push(format!("`-{short}`"));
        }
        let long =
            argument.get_long().into_iter().chain(argument.get_visible_aliases().into_iter().flatten());
        names.extend(long.map(|long| format!("`--{long}`")));
        let value = argument.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
        if names.is_empty() {
            names.push(format!("`{value}`"));
        } else if argument.get_action().takes_values()
            && let Some(last) = names.last_mut()
        {
            *last = format!("`{} {value}`", last.trim_matches('`'));
        }
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = write!(page, "- {}: {help}", names.join(", "));
        let values: Vec<_> = argument
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set() && argument.get_action().takes_values())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !values.is_empty() {
            let _ = write!(page, ". One of {}", values.join(", "));
        }
        page.push('\n');
    }
}

/// Writes the content of `docs/reference/config.md`.
#[must_use]
pub fn configuration() -> String {
    let mut page = String::from(
        "<!-- Written by `flyte gen config-reference`; edit crates/flyte-config/src/key.rs instead. -->\n\
         # Keys of config.yaml\n\n\
         Every Flyte tool reads the same file: the one that `--config` names, or else the first of these that exists:\n\n\
         1. `./config.yaml`, if it has one of the keys `admin`, `console`, `image`, `local` or `task` at the top; \
         a file of this name from another program is skipped\n\
         2. `./.flyte/config.yaml`\n\
         3. `.flyte/config.yaml` at the root of the git repository that the working directory is in\n\
         4. the file that `$UCTL_CONFIG` names; it must exist\n\
         5. the file that `$FLYTECTL_CONFIG` names; it must exist\n\
         6. `~/.union/config.yaml`\n\
         7. `~/.flyte/config.yaml`\n\n\
         A command line option takes precedence over an environment variable, and the variable over the file. An empty variable, and \
         an empty or null value in the file, count as not set. A value of the wrong type is an error that names file, line \
         and key; the published Python client ignores some of them silently. Unknown keys are ignored (`-v` lists them).\n\n\
         Relative paths are relative to the working directory, and `~` is the home directory.\n\n\
         The file contains no secrets: they are in the keyring, or in a file, variable or command that the file names. \
         `flyte create config` creates and changes it.\n",
    );
    let mut section = "";
    for key in key::ALL {
        if key.section != section {
            section = key.section;
            let _ = write!(page, "\n## {section}\n");
        }
        let kind = match key.kind {
            Kind::Text => "text",
            Kind::Boolean => "`true` or `false`; in a variable also `1`, `0`, `yes`, `no`, `on`, `off`",
            Kind::Command => "list of words; in a variable a JSON array, or words quoted as in a shell",
            Kind::Words => {
                "list of words; in a variable a JSON array, or words separated by commas or spaces"
            }
            Kind::Map => "names with their values; in a variable a JSON object",
        };
        let variables: Vec<_> = key.variables().map(|name| format!("`{name}`")).collect();
        let doc = key.doc.trim();
        let _ = write!(
            page,
            "\n### `{key}`\n\n{doc}\n\n- Type: {kind}\n- Environment: {}\n",
            variables.join(", else ")
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn assert_current(file: &str, page: &str, command: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(file);
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == page, "run: cargo run -p flyte-cli -- gen {command} > docs/reference/{file}");
    }

    #[test]
    fn committed_pages_are_current() {
        assert_current("cli.md", &command_line(Cli::command()), "cli-reference");
        assert_current("config.md", &configuration(), "config-reference");
    }

    #[test]
    fn pages_have_all_keys_and_commands() {
        let page = configuration();
        for key in key::ALL {
            assert_eq!(page.matches(&format!("### `{key}`\n")).count(), 1, "{key}");
        }
        let page = command_line(Cli::command());
        for command in [
            "abort action",
            "abort run",
            "auth login",
            "auth can-i",
            "auth doctor",
            "auth inspect-key",
            "create api-key",
            "create config",
            "create project",
            "create trust",
            "delete api-key",
            "delete app",
            "delete trust",
            "deploy",
            "get action",
            "get api-key",
            "get app",
            "get audit",
            "get io",
            "get logs",
            "get project",
            "get run",
            "get task",
            "get trust",
            "rotate api-key",
            "run",
            "whoami",
            "completion",
        ] {
            assert_eq!(page.matches(&format!("\n## flyte {command}\n")).count(), 1, "{command}");
        }
    }
}
