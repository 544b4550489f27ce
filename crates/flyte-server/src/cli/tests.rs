//! Parsing of the command line, and its help.

use clap::builder::StyledStr;

use flyte_model::Limit;

use super::*;

fn parse(arguments: &[&str]) -> Invocation {
    let matches = command().try_get_matches_from([&["flyte-server"], arguments].concat()).unwrap();
    Invocation::from_matches(&matches)
}

#[test]
fn the_definition_is_valid() {
    command().debug_assert();
}

#[test]
fn no_command_serves() {
    assert_eq!(parse(&[]).command, Action::Serve);
    assert_eq!(parse(&["serve"]).command, Action::Serve);
    assert!(parse(&[]).flags.settings.is_empty());
}

#[test]
fn flags_are_accepted_before_and_after_the_command() {
    for arguments in [["--tls", "off", "check-config"], ["check-config", "--tls", "off"]] {
        let invocation = parse(&arguments);
        assert_eq!(invocation.command, Action::CheckConfig);
        assert_eq!(invocation.flags.settings["tls.mode"], "off");
    }
}

#[test]
fn a_list_is_repeated_or_separated_by_commas() {
    let invocation = parse(&["--tls-host-name", "a,b", "--tls-host-name", "c", "--allow-plaintext"]);
    assert_eq!(invocation.flags.settings["tls.host-names"], "a,b,c");
    assert_eq!(invocation.flags.settings["tls.allow-plaintext"], "true");
}

#[test]
fn accounts_clients_and_keys_have_commands() {
    assert_eq!(parse(&["rotate-keys"]).command, Action::RotateKeys { revoke: false });
    assert_eq!(parse(&["rotate-keys", "--revoke"]).command, Action::RotateKeys { revoke: true });
    let add = ["user", "add", "ada@example.org", "--admin", "--data-dir", "d"];
    let invocation = parse(&add);
    let user = NewUser {
        email: "ada@example.org".to_owned(),
        name: None,
        admin: true,
        role: None,
        limit: Limit::default(),
        password_file: None,
    };
    assert_eq!(invocation.command, Action::User(UserAction::Add(user)));
    assert_eq!(invocation.flags.settings["data-dir"], "d");
    let disable = UserAction::Disable { email: "ada@example.org".to_owned() };
    assert_eq!(parse(&["user", "disable", "ada@example.org"]).command, Action::User(disable));
    let add = ["client", "add", "web", "--redirect-uri", "https://a/1", "--redirect-uri", "https://a/2"];
    let client = NewClient {
        id: "web".to_owned(),
        name: None,
        public: false,
        jwks: None,
        redirect_uris: vec!["https://a/1".to_owned(), "https://a/2".to_owned()],
        post_logout_redirect_uris: vec![],
        grant_types: vec!["authorization_code".to_owned(), "refresh_token".to_owned()],
        scopes: vec!["openid".to_owned(), "profile".to_owned(), "email".to_owned()],
        may_keep_api_keys: false,
        id_token_signed_response_alg: None,
    };
    assert_eq!(parse(&add).command, Action::Client(ClientAction::Add(client)));
    for incomplete in [&["user"][..], &["client"], &["user", "add"], &["client", "remove"]] {
        assert!(command().try_get_matches_from([&["flyte-server"], incomplete].concat()).is_err());
    }
}

#[test]
fn health_completions_and_manual_pages_have_commands() {
    assert_eq!(parse(&["health"]).command, Action::Health { ready: false });
    assert_eq!(parse(&["health", "--ready", "--listen", "[::]:1"]).command, Action::Health { ready: true });
    assert_eq!(parse(&["completion", "zsh"]).command, Action::Completion(Shell::Zsh));
    assert_eq!(parse(&["gen", "man", "d"]).command, Action::Manual("d".into()));
    for incomplete in [&["completion"][..], &["gen"], &["gen", "man"], &["completion", "cmd"]] {
        assert!(command().try_get_matches_from([&["flyte-server"], incomplete].concat()).is_err());
    }
}

#[test]
fn a_password_is_reset_for_an_account() {
    let invocation = parse(&["reset-password", "ada@example.org", "--password-file", "p"]);
    let (email, password_file) = ("ada@example.org".to_owned(), Some("p".into()));
    assert_eq!(
        invocation.command,
        Action::ResetPassword { email, password_file, end_keys: false, link: false }
    );
    let invocation = parse(&["user", "reset-password", "ada@example.org", "--link"]);
    let email = "ada@example.org".to_owned();
    let link = Action::ResetPassword { email, password_file: None, end_keys: false, link: true };
    assert_eq!(invocation.command, link);
    assert!(command().try_get_matches_from(["flyte-server", "reset-password"]).is_err());
}

/// All commands with their full names, and both forms of their help.
fn helps(command: &mut Command, parents: &str, found: &mut Vec<(String, StyledStr)>) {
    let name = format!("{parents}{}", command.get_name());
    found.push((format!("{name} -h"), command.render_help()));
    found.push((format!("{name} --help"), command.render_long_help()));
    for command in command.get_subcommands_mut() {
        helps(command, &format!("{name} "), found);
    }
}

fn all_helps() -> Vec<(String, String)> {
    let mut command = command().term_width(80);
    command.build();
    let mut found = Vec::new();
    helps(&mut command, "", &mut found);
    found.into_iter().map(|(name, help)| (name, help.to_string())).collect()
}

#[test]
fn every_help_fits_a_terminal_of_80_columns() {
    let helps = all_helps();
    assert!(helps.len() > 30, "{}", helps.len());
    for (name, help) in helps {
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "flyte-server {name}: {line}");
        }
    }
}

#[test]
fn commands_show_only_their_own_options() {
    for (name, help) in all_helps() {
        let serves =
            ["flyte-server -h", "flyte-server --help", "flyte-server serve -h", "flyte-server serve --help"];
        let shows = |flag: &str| help.contains(&format!("{flag} <"));
        assert_eq!(shows("--public-url"), serves.contains(&name.as_str()), "{name}:\n{help}");
        if !name.contains(" help") {
            // All commands need to know where the data is.
            assert!(shows("--config") && shows("--data-dir"), "{name}:\n{help}");
        }
    }
    // Hidden options are accepted too.
    let invocation =
        parse(&["user", "list", "--public-url", "https://flyte.example.com", "--listen", "[::]:1"]);
    assert_eq!(invocation.flags.settings["public-url"], "https://flyte.example.com");
    assert_eq!(invocation.flags.settings["listen"], "[::]:1");
}
