//! The reference page of the settings, written from their definitions.

use std::fmt::Write as _;

use super::{
    setting::{AnySetting, Default},
    settings::{ALL, SECTIONS},
};

/// The content of `docs/reference/server-config.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(
        "<!-- Written by `flyte-server config-reference`; edit crates/flyte-server/src/config/settings.rs instead. -->\n\
         # Settings of flyte-server\n\n\
         Each setting can be given in the configuration file, as an environment variable or, where it has a flag, on \
         the command line. A flag wins over the environment, the environment over the file, the file over the \
         default.\n\n\
         The file is `$XDG_CONFIG_HOME/flyte-server.toml` (`~/.config/flyte-server.toml`), or the one that `--config` \
         or `FLYTE_SERVER_CONFIG` names. It is TOML; a key that is not in this list is an error. Relative paths in it \
         count from its own directory. An empty environment variable counts as not set. Lists are arrays of strings \
         in the file, and separated by commas elsewhere. Durations are written as `60s`, `15m`, `1h`, `30d` or \
         `1h30m`, sizes as `64KiB` or `4MiB`.\n\n\
         `flyte-server check-config` shows the effective settings and where each comes from.\n",
    );
    for (section, title) in SECTIONS {
        // Writing to a String does not fail.
        let _ = write!(page, "\n## {title}\n");
        if !section.is_empty() {
            let _ = write!(page, "\nIn the file: section `[{section}]`.\n");
        }
        for setting in ALL.iter().filter(|setting| setting.section().0 == section) {
            entry(&mut page, *setting);
        }
    }
    page
}

fn entry(page: &mut String, setting: &dyn AnySetting) {
    let (_, name) = setting.section();
    let flag = setting
        .flag()
        .map_or_else(|| "none".to_owned(), |flag| format!("`--{flag} {}`", setting.placeholder()));
    let default = match setting.default() {
        Default::Value("") => "empty".to_owned(),
        Default::Value(value) => format!("`{value}`"),
        Default::Depends(description) => description.to_owned(),
    };
    let _ = write!(
        page,
        "\n### `{name}`\n\n{help}\n\n\
         - Type: {description}\n- Default: {default}\n- Environment: `{variable}`\n- Flag: {flag}\n",
        help = setting.help(),
        description = setting.description(),
        variable = setting.variable(),
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_in_the_repository_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/server-config.md");
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page == markdown(), "run: flyte-server config-reference > docs/reference/server-config.md");
    }

    #[test]
    fn every_setting_is_in_the_page_once() {
        let page = markdown();
        for setting in ALL {
            assert_eq!(page.matches(&format!("`{}`\n", setting.variable())).count(), 1, "{}", setting.key());
        }
    }
}
