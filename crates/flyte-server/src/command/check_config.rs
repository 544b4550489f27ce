//! `flyte-server check-config`: the effective settings, and whether a server could start with them.

use std::{
    fmt::Write as _,
    io,
    net::{TcpListener, TcpStream},
    process::ExitCode,
    time::Duration,
};

use url::Url;

use crate::{bootstrap, data_dir, tls, upstream};
use flyte_identity::{PasswordOwner, PasswordRules};
use flyte_model::clock::Clock;
use flyte_objects::Objects;
use flyte_settings::{AnySetting, Config, Environment, Loaded, Origin, TlsSource, settings};

/// Prints the settings and their problems; returns 0 if there are none, otherwise 1.
pub(super) fn run(loaded: &Loaded, environment: &Environment) -> ExitCode {
    let mut page = String::new();
    // Writing to a String does not fail.
    let _ = match &loaded.file {
        Some(path) => writeln!(page, "# Configuration file: {}", path.display()),
        None => writeln!(page, "# Configuration file: none"),
    };
    let effective = loaded.effective();
    for (section, _) in settings::SECTIONS {
        if !section.is_empty() {
            let _ = writeln!(page, "\n[{section}]");
        }
        for (setting, text, origin) in effective.iter().filter(|(s, ..)| s.section().0 == section) {
            line(&mut page, *setting, text, origin);
        }
    }
    for (name, values) in loaded.providers() {
        let _ = writeln!(page, "\n[providers.{name}]");
        for (key, value, origin) in values {
            let assignment =
                value.map_or_else(|| format!("# {key} is not set"), |value| format!("{key} = {value}"));
            let _ = writeln!(page, "{assignment:<52} # {origin}");
        }
    }
    let mut problems = problems(&loaded.config);
    for name in environment.unknown_settings() {
        let _ = writeln!(page, "\nNote: the environment variable {name} is not a setting.");
    }
    for note in unreachable(&loaded.config) {
        let _ = writeln!(page, "\nNote: {note}");
    }
    let server = data_dir::running_server(&loaded.config.data_dir);
    match (TcpListener::bind(loaded.config.listen), server) {
        (Err(error), Some(process)) if error.kind() == io::ErrorKind::AddrInUse => {
            let _ = writeln!(
                page,
                "\nNote: {} is in use, probably by the flyte-server of this data directory (process {process}). Stop it to \
                 check the port.",
                loaded.config.listen
            );
        }
        (Err(error), _) => problems.push(format!("cannot listen on {}: {error}", loaded.config.listen)),
        (Ok(_), _) => {}
    }
    let _ = writeln!(page);
    for problem in &problems {
        let _ = writeln!(page, "Problem: {problem}");
    }
    if problems.is_empty() {
        let when = if server.is_some() { ", after the running one has stopped" } else { "" };
        let _ = writeln!(page, "The server can start with these settings{when}.");
        return super::print(&page);
    }
    let _ = super::print(&page);
    ExitCode::from(super::FAILURE)
}

/// A setting as in the file, with its origin as a comment.
fn line(page: &mut String, setting: &dyn AnySetting, text: &str, origin: &Origin) {
    let (_, name) = setting.section();
    let assignment = match setting.in_file(text) {
        Some(value) => format!("{name} = {value}"),
        None => format!("# {name} is not set"),
    };
    let _ = writeln!(page, "{assignment:<52} # {origin}");
}

/// Notes on backends that cannot be reached now. The server starts without them, and is ready when the first one answers.
fn unreachable(config: &Config) -> Vec<String> {
    let Some(upstream) = &config.upstream else { return Vec::new() };
    let urls = [&upstream.url].into_iter().chain(upstream.clusters.iter().map(|cluster| &cluster.url));
    let patience = Duration::from_secs(upstream.connect_timeout.unsigned_abs());
    let connect = |url: &Url| {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in url.socket_addrs(|| None)? {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(_) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    let note = |url: &Url| {
        let error = connect(url).err()?;
        Some(format!(
            "the backend at {url} cannot be reached now: {error}. The server is not ready before it can."
        ))
    };
    urls.filter_map(note).collect()
}

/// Why the first administrator's password cannot be used.
fn password_problem(config: &Config, rules: &PasswordRules) -> Option<String> {
    let path = config.admin.password_file.as_ref()?;
    let owner = PasswordOwner { email: config.admin.email.clone(), name: String::new() };
    let checked = bootstrap::read_password(path).map(|password| rules.check(&password, &owner));
    match checked {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(weakness))) => Some(format!("the password in {}: {weakness}", path.display())),
        Ok(Err(error)) => Some(format!("\"passwords.breached-file\" cannot be read: {error}")),
        Err(error) => Some(error.to_string()),
    }
}

/// All problems that keep the server from starting, except the port.
fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    if let TlsSource::Files { certificate, key } = &config.tls.source {
        match tls::read_files(certificate, key).and_then(|loaded| Ok(loaded.details()?)) {
            Ok(details) => {
                let host = tls::Name::parse(config.public_url.host_str().unwrap_or_default());
                let now = Clock::default().now();
                if !details.names.iter().any(|name| name.matches(&host)) {
                    problems.push(format!("{}: the certificate is not for {host}", certificate.display()));
                }
                if details.not_after <= now {
                    problems.push(format!("{}: the certificate has expired", certificate.display()));
                } else if details.not_before > now {
                    problems.push(format!("{}: the certificate is not valid yet", certificate.display()));
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    match &config.upstream {
        Some(upstream) => problems.extend(upstream::check(upstream).err().map(|error| error.to_string())),
        None => problems.extend(Objects::new(config).err().map(|error| error.to_string())),
    }
    if let Err(error) = data_dir::check(&config.data_dir) {
        problems.push(error.to_string());
    }
    match PasswordRules::open(&config.password_rules) {
        Ok(rules) => problems.extend(password_problem(config, &rules)),
        Err(error) => problems.push(error.to_string()),
    }
    problems
}
