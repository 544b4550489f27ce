//! What the person who started the server sees.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use secrecy::ExposeSecret as _;

use crate::{bootstrap::FirstAdmin, config::Config};

/// Shows the address and how to go on, on a terminal; and the first administrator's password in any case, since there is no
/// other way to it. Goes to standard error beside the log, never into it.
///
/// # Errors
/// Where nobody reads standard error: the password has then not been told.
pub(super) fn show(config: &Config, ca: Option<&Path>, first_admin: Option<&FirstAdmin>) -> io::Result<()> {
    let mut text = String::new();
    if io::stderr().is_terminal() {
        text += &next_steps(config, ca);
    }
    if let Some(first_admin) = first_admin {
        text += &sign_in(first_admin);
    }
    io::stderr().write_all(text.as_bytes())
}

fn next_steps(config: &Config, ca: Option<&Path>) -> String {
    let mut text = String::new();
    let endpoint = config.issuer();
    // Writing to a String does not fail.
    let _ = writeln!(text, "\nFlyte is at {endpoint}\n\nIn another terminal:");
    match ca {
        Some(ca) => {
            let _ = writeln!(
                text,
                "  flyte create config --endpoint {endpoint} --ca-cert-file {} --project flytesnacks --domain development",
                ca.display()
            );
        }
        None => {
            let _ = writeln!(
                text,
                "  flyte create config --endpoint {endpoint} --project flytesnacks --domain development"
            );
        }
    }
    let _ = writeln!(text, "  flyte get project\n");
    text
}

fn sign_in(first_admin: &FirstAdmin) -> String {
    let lines = [
        "Sign in as the administrator. This is shown only once:".to_owned(),
        String::new(),
        format!("  e-mail    {}", first_admin.email),
        format!("  password  {}", first_admin.password.expose_secret()),
    ];
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    let edge = "─".repeat(width + 2);
    let mut text = format!("┌{edge}┐\n");
    for line in &lines {
        let _ = writeln!(text, "│ {line:<width$} │");
    }
    let _ = writeln!(text, "└{edge}┘");
    text
}
