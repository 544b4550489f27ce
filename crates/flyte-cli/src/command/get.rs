//! `flyte get`

mod action;
pub(crate) mod api_key;
pub(crate) mod app;
pub(crate) mod assignment;
mod audit;
mod code;
mod condition;
mod config;
pub(crate) mod group;
pub(crate) mod io;
pub(crate) mod logs;
mod member;
pub(crate) mod policy;
pub(crate) mod project;
pub(crate) mod role;
pub(crate) mod run;
pub(crate) mod secret;
mod settings;
mod task;
mod trigger;
pub(crate) mod trust;
pub(crate) mod user;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::{Exit, Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the actions of a run, or one action in detail
    #[command(visible_alias = "actions")]
    Action(action::Arguments),
    /// Show API keys, or one key in detail; never a secret
    #[command(visible_alias = "api-keys")]
    ApiKey(api_key::Arguments),
    /// Show apps, or one app in detail
    #[command(visible_alias = "apps")]
    App(app::Arguments),
    /// Show who has which roles and policies; for administrators
    #[command(visible_alias = "assignments", after_help = assignment::HELP)]
    Assignment(assignment::Arguments),
    /// Show the audit log: who did what, from which address, and when; for administrators
    #[command(after_help = audit::HELP)]
    Audit(audit::Arguments),
    /// List or download the code of a run or of one of its actions
    #[command(after_help = code::HELP)]
    Code(code::Arguments),
    /// Show what a run waits for: its conditions, which `flyte signal condition` answers
    #[command(visible_alias = "conditions")]
    Condition(condition::Arguments),
    /// Show the configuration that commands use
    #[command(after_help = config::HELP)]
    Config,
    /// Show groups of users, or one group in detail; for administrators
    #[command(visible_alias = "groups")]
    Group(group::Arguments),
    /// Show the inputs and outputs of an action
    Io(io::Arguments),
    /// Show the log of a run or of one of its actions
    #[command(visible_alias = "log")]
    Logs(logs::Arguments),
    /// Show users and API keys together, or the members of a group; for administrators
    #[command(visible_alias = "members")]
    Member(member::Arguments),
    /// Show policies, or one policy in detail; for administrators
    #[command(visible_alias = "policies")]
    Policy(policy::Arguments),
    /// Show projects, or one project in detail
    #[command(visible_alias = "projects")]
    Project(project::Arguments),
    /// Show roles, or one role in detail; for administrators
    #[command(visible_alias = "roles")]
    Role(role::Arguments),
    /// Show runs, newest first, or one run in detail
    #[command(visible_alias = "runs")]
    Run(run::Arguments),
    /// Show secrets, or one secret in detail; never a value
    #[command(visible_alias = "secrets", after_help = secret::HELP)]
    Secret(secret::Arguments),
    /// Show the settings of the organization, of a domain or of a project
    #[command(visible_alias = "setting", after_help = settings::HELP)]
    Settings(settings::Arguments),
    /// Show deployed tasks, the versions of one task, or one version in detail
    #[command(visible_alias = "tasks")]
    Task(task::Arguments),
    /// Show triggers, those of one task, or one trigger in detail
    #[command(visible_alias = "triggers")]
    Trigger(trigger::Arguments),
    /// Show trust rules, or one rule in detail; for administrators
    #[command(visible_alias = "trusts")]
    Trust(trust::Arguments),
    /// Show accounts, or one account in detail; for administrators
    #[command(visible_alias = "users")]
    User(user::Arguments),
}

pub(crate) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Action(arguments) => action::run(arguments, context),
        Command::ApiKey(arguments) => api_key::run(arguments, context),
        Command::App(arguments) => app::run(arguments, context),
        Command::Assignment(arguments) => assignment::run(arguments, context),
        Command::Audit(arguments) => audit::run(arguments, context),
        Command::Code(arguments) => code::run(&arguments, context),
        Command::Condition(arguments) => condition::run(arguments, context),
        Command::Config => config::run(context),
        Command::Group(arguments) => group::run(arguments, context),
        Command::Io(arguments) => io::run(&arguments, context),
        Command::Logs(arguments) => logs::run(&arguments, context),
        Command::Member(arguments) => member::run(arguments, context),
        Command::Policy(arguments) => policy::run(arguments, context),
        Command::Project(arguments) => project::run(arguments, context),
        Command::Role(arguments) => role::run(arguments, context),
        Command::Run(arguments) => run::run(arguments, context),
        Command::Secret(arguments) => secret::run(arguments, context),
        Command::Settings(arguments) => settings::run(&arguments, context),
        Command::Task(arguments) => task::run(arguments, context),
        Command::Trigger(arguments) => trigger::run(arguments, context),
        Command::Trust(arguments) => trust::run(arguments, context),
        Command::User(arguments) => user::run(arguments, context),
    }
}
