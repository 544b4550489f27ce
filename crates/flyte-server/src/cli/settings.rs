//! The flags of settings, which every command accepts.

use clap::{Arg, ArgAction, Command};

use flyte_settings::{
    AnySetting, Default, Form,
    settings::{ALL, SECTIONS},
};

/// The setting that says where the data is. Every command needs it.
const DATA_DIR: &str = "data-dir";

/// The flags of all settings that have one.
pub(super) fn arguments() -> impl Iterator<Item = Arg> {
    ALL.iter().filter_map(|setting| argument(*setting))
}

/// Shows the relevant settings in the help of a command. The command accepts all settings, so that a script can give
/// the same ones to every command.
pub(super) fn own_options(command: Command) -> Command {
    if command.get_name() == "serve" {
        return command;
    }
    command
        .args(arguments().map(|argument| if argument.get_id() == DATA_DIR { argument } else { argument.hide(true) }))
        .after_help("All options of `flyte-server serve` are accepted too, as are the settings in the file and the environment.")
}

/// The flag of a setting. The environment is read together with the file (`flyte_settings::load`), so that
/// `check-config` can show the origin of a value; here it is only mentioned.
fn argument(setting: &'static dyn AnySetting) -> Option<Arg> {
    let flag = setting.flag()?;
    let (section, _) = setting.section();
    let heading = SECTIONS.iter().find(|(name, _)| *name == section).map(|(_, title)| *title);
    let default = match setting.default() {
        Default::Value("") => "empty",
        Default::Value(value) => value,
        Default::Depends(description) => description,
    };
    let summary = setting.help().split_inclusive(". ").next().unwrap_or_default().trim_end_matches(". ");
    let notes = format!("[default: {}] [env: {}]", default.replace('`', ""), setting.variable());
    let argument = Arg::new(setting.key())
        .long(flag)
        .value_name(setting.placeholder())
        .global(true)
        .help(summary.trim_end_matches('.').replace('`', ""))
        .long_help(format!("{}\n\n{notes}", setting.help().replace('`', "")))
        .help_heading(heading);
    Some(match setting.form() {
        Form::Boolean => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false"),
        Form::List => argument.action(ArgAction::Append),
        Form::Text | Form::Path | Form::Number => argument,
    })
}
