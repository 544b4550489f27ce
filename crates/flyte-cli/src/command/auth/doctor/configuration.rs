//! Checks of the configuration: it exists, is readable and valid, and has no secrets.

use std::path::Path;

use flyte_auth::api_key;
use flyte_config::Config;
use flyte_hints::Hint as _;

use super::finding::Finding;
use crate::context::{self, Context};
use crate::failure::Failure;
use crate::global::Global;

const CHECK: &str = "configuration";
const SECRETS: &str = "secrets";

/// The effective configuration, if there is one, and the findings about it.
pub(super) struct Examined {
    pub(super) context: Context,
    pub(super) findings: Vec<Finding>,
}

pub(super) fn examine(global: Global) -> Result<Examined, Failure> {
    context::log(&global);
    let environment = context::environment()?;
    let loaded = Config::load(global.config.as_deref(), &environment);
    let (config, broken) = match loaded {
        Ok(config) => (config, None),
        // The command line and the machine can still be checked.
        Err(error) => (Config::default(), Some(Finding::fail(CHECK, &error).maybe_fix(error.hint()))),
    };
    // An unusable key has its own check.
    let key = context::api_key(&global, &environment).ok().flatten();
    let context = Context::with(global, config, environment, key);
    let findings = match broken {
        Some(finding) => vec![finding, Finding::skip(SECRETS, "the configuration cannot be read")],
        None => vec![found(&context), secrets(&context.config)],
    };
    Ok(Examined { context, findings })
}

fn found(context: &Context) -> Finding {
    let config = &context.config;
    let configure = "flyte create config --endpoint HOST";
    let Some(path) = &config.source else {
        let key = context.environment.variable(api_key::VARIABLE).is_some();
        return match (&config.admin.endpoint, key) {
            (Some(endpoint), _) => {
                Finding::pass(CHECK, format!("no file; {endpoint} comes from an option or variable"))
            }
            (None, true) => {
                Finding::pass(CHECK, format!("no file; {} names the control plane", api_key::VARIABLE))
            }
            (None, false) => Finding::fail(CHECK, "there is no configuration file").fix(configure),
        };
    };
    let Some(endpoint) = &config.admin.endpoint else {
        return Finding::fail(CHECK, format!("{} has no admin.endpoint", path.display())).fix(configure);
    };
    let unknown: Vec<_> = config.unknown_keys.iter().filter(|key| !key.names_a_secret()).collect();
    match unknown.first() {
        None => Finding::pass(CHECK, format!("{} ({endpoint})", path.display())),
        Some(first) => {
            let more = match unknown.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            Finding::warn(CHECK, format!("{first}{more}"))
                .fix("Check its spelling, or keep it if it belongs to another tool. All keys are in docs/reference/config.md.")
        }
    }
}

/// Checks whether secrets are in the file, or in a file that others can read.
fn secrets(config: &Config) -> Finding {
    let exposed = config.unknown_keys.iter().find(|key| key.names_a_secret());
    if let Some(key) = exposed {
        return Finding::fail(SECRETS, format!("{}: {} looks like a secret", key.origin, key.key)).fix(
            "Remove it and replace it with a new secret (flyte rotate api-key NAME), because copies of the file contain it. Name a file \
             (admin.clientSecretLocation) or a variable (admin.clientSecretEnvVar) with the secret instead.",
        );
    }
    let proxy = config.admin.http_proxy_url.as_ref();
    if proxy.is_some_and(|url| url.password().is_some()) {
        return Finding::warn(SECRETS, "admin.httpProxyURL has a password in it")
            .fix("Move the proxy's URL from the file to the variable HTTPS_PROXY.");
    }
    match &config.admin.client_secret_location {
        Some(path) => secret_file(path),
        None => Finding::pass(SECRETS, "none in the configuration"),
    }
}

/// Checks the file that admin.clientSecretLocation names.
fn secret_file(path: &Path) -> Finding {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Finding::fail(
                SECRETS,
                format!("{} (admin.clientSecretLocation): {error}", path.display()),
            )
            .fix("Write the client's secret to that file, or correct its name.");
        }
    };
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0 {
        return Finding::warn(SECRETS, format!("other users can read {}", path.display()))
            .fix(format!("chmod 600 {}", path.display()));
    }
    match metadata.len() {
        0 => Finding::fail(SECRETS, format!("{} (admin.clientSecretLocation) is empty", path.display()))
            .fix("Write the client's secret to that file."),
        _ => Finding::pass(SECRETS, format!("in {}, which only you can read", path.display())),
    }
}
