//! The output for the user who started the server.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use flyte_identity::first_password::FirstAdmin;
use flyte_settings::Config;

/// Shows the address and the next steps: as text on a terminal, otherwise in the log. Both contain the path of the
/// file with the first administrator's password, but never the password.
pub(super) fn show(config: &Config, ca: Option<&Path>, first_admin: Option<&FirstAdmin>) {
    if io::stderr().is_terminal() {
        let text = text(config, ca, first_admin);
        // A failure does no harm: the password stays in its file.
        let _ = io::stderr().write_all(text.as_bytes());
    } else {
        if let Some(upstream) = &config.upstream {
            tracing::info!(upstream = %upstream.url, clusters = upstream.clusters.len(), "calls go to a Flyte 2 backend");
        }
        tracing::info!(command = client_command(config, ca), "set up clients with this command");
        if let Some(FirstAdmin { email, password_file }) = first_admin {
            tracing::warn!(
                email,
                file = %password_file.display(),
                "the first administrator's password is the first line of this file; sign in, which removes it, or remove it"
            );
        }
    }
    if let Some(value) = missing_public_url(config) {
        tracing::warn!(
            listen = %config.listen,
            public_url = value,
            "other machines can reach this server, but its public-url is localhost, so they cannot sign in. Set public-url \
             to the address that they use"
        );
    }
}

/// The command that sets up a client.
fn client_command(config: &Config, ca: Option<&Path>) -> String {
    let mut command = format!("flyte create config --endpoint {}", config.issuer());
    if let Some(ca) = ca {
        // Writing to a String does not fail.
        let _ = write!(command, " --ca-cert-file {}", ca.display());
    }
    // A backend has projects of its own.
    if config.upstream.is_none() {
        command += " --project flytesnacks --domain development";
    }
    command
}

fn text(config: &Config, ca: Option<&Path>, first_admin: Option<&FirstAdmin>) -> String {
    let backend = config.upstream.as_ref().map_or_else(String::new, |upstream| {
        let clusters =
            upstream.clusters.iter().map(|cluster| format!("  {} at {}\n", cluster.name, cluster.url));
        format!("Its backend is at {}\n{}", upstream.url, clusters.collect::<String>())
    });
    let mut text = format!(
        "\nFlyte is at {}\n{backend}\nIn another terminal:\n  {}\n  flyte get project\n\n",
        config.issuer(),
        client_command(config, ca)
    );
    if let Some(FirstAdmin { email, password_file }) = first_admin {
        let _ = write!(
            text,
            "Sign in as the administrator. This removes the file with the password:\n  e-mail    {email}\n  password  {}\n\n",
            password_file.display()
        );
    }
    text
}

/// The right value of `public-url`, if other machines can reach the server and the setting contains `localhost`. The
/// administrator of a proxy in front of the server must find the address themselves.
fn missing_public_url(config: &Config) -> Option<String> {
    let ip = config.listen.ip();
    if ip.is_loopback() || !flyte_model::is_loopback(&config.public_url) {
        return None;
    }
    let host = match ip.is_unspecified() {
        true => host_name(),
        false if ip.is_ipv6() => format!("[{ip}]"),
        false => ip.to_string(),
    };
    Some(format!("https://{host}:{}", config.listen.port()))
}

/// The name of this machine in the kernel.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "HOST".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use flyte_settings::ClusterUrl;

    use super::*;

    #[test]
    fn a_server_for_other_machines_needs_a_public_address() {
        let mut config = Config::for_test("/data".as_ref());
        assert_eq!(missing_public_url(&config), None);
        config.listen = "192.0.2.7:8443".parse().unwrap();
        assert_eq!(missing_public_url(&config).as_deref(), Some("https://192.0.2.7:8443"));
        config.listen = "[::]:443".parse().unwrap();
        assert_eq!(missing_public_url(&config), Some(format!("https://{}:443", host_name())));
        config.public_url = "https://flyte.example.com/".parse().unwrap();
        assert_eq!(missing_public_url(&config), None);
    }

    #[test]
    fn the_backends_are_shown() {
        let text = |config: &Config| text(config, None, None);
        let mut config = Config::for_test("/data".as_ref());
        assert!(!text(&config).contains("backend") && text(&config).contains("flytesnacks"));
        config.upstream = Some(crate::testing::upstream("http://flyte:8090"));
        let clusters = &mut config.upstream.as_mut().unwrap().clusters;
        clusters.push(ClusterUrl { name: "gpu".to_owned(), url: "https://gpu".parse().unwrap() });
        let text = text(&config);
        assert!(text.contains("Its backend is at http://flyte:8090/\n  gpu at https://gpu/\n"), "{text}");
        assert!(!text.contains("flytesnacks"), "its projects are not known: {text}");
    }

    #[test]
    fn the_password_is_never_shown() {
        let config = Config::for_test("/data".as_ref());
        let first =
            FirstAdmin { email: "a@b".to_owned(), password_file: "/data/first-admin-password".into() };
        let text = text(&config, Some("/data/ca.pem".as_ref()), Some(&first));
        assert!(
            text.contains(
                "flyte create config --endpoint https://localhost:8443 --ca-cert-file /data/ca.pem "
            )
        );
        assert!(text.contains("password  /data/first-admin-password\n"), "{text}");
    }
}
