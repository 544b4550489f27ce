//! Checks of this machine: where it stores tokens, and whether it has a browser.

use std::path::Path;
use std::time::Duration;

use flyte_auth::SessionOptions;
use flyte_auth::store::{self, Backend, MemoryReason, StoreError, StoreOptions};
use flyte_config::{AuthType, StoreKind};
use flyte_hints::Hint as _;

use super::finding::Finding;
use crate::context::Context;

const KEYRING: &str = "keyring";
const BROWSER: &str = "browser";
const DISPLAYS: [&str; 3] = ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"];
/// Programs with which desktops open links; the first one found is used.
const OPENERS: [&str; 6] = ["xdg-open", "gio", "gnome-open", "kde-open", "x-www-browser", "wslview"];

pub(super) async fn examine(options: &SessionOptions) -> [Finding; 2] {
    let store = StoreOptions {
        service: options.endpoint.keyring_service(),
        data_dir: options.data_dir.clone(),
        state_dir: options.state_dir.clone(),
        kind: options.token_store,
        keyring_timeout: store::KEYRING_TIMEOUT,
        // Do not prompt: a locked keyring is a finding.
        unlock_timeout: Duration::ZERO,
    };
    let browser = browser(options.auth_type, &options.endpoint.dns(), variable, is_program);
    let keyring = match options.auth_type.is_for_people() {
        true => keyring(&store).await,
        false => Finding::skip(KEYRING, format!("not needed: {} stores no login", options.auth_type)),
    };
    [keyring, browser]
}

pub(super) fn without_endpoint(context: &Context) -> [Finding; 2] {
    [
        Finding::skip(KEYRING, "no control plane is configured"),
        browser(context.config.admin.auth_type, "HOST", variable, is_program),
    ]
}

async fn keyring(options: &StoreOptions) -> Finding {
    let opened = async {
        let store = store::open(options).await?;
        store.probe().await?;
        store.load().await?;
        Ok::<_, StoreError>(store.backend())
    };
    match opened.await {
        Ok(backend @ Backend::Keyring(_)) => {
            Finding::pass(KEYRING, format!("{backend}: tokens can be stored"))
        }
        Ok(backend @ Backend::EncryptedFile(_)) if options.kind == Some(StoreKind::File) => {
            Finding::pass(KEYRING, format!("not used, because of the configuration: {backend}"))
        }
        Ok(Backend::EncryptedFile(path)) => {
            let why = if cfg!(target_os = "linux") && variable("DBUS_SESSION_BUS_ADDRESS").is_none() {
                "there is no desktop session with one (no D-Bus session bus)"
            } else {
                "no keyring service answers"
            };
            Finding::warn(
                KEYRING,
                format!("none: {why}. Tokens are stored in an encrypted file instead: {}", path.display()),
            )
            .fix("You need to do nothing. To use a keyring, install gnome-keyring (or KWallet) and log in to a desktop session.")
        }
        Ok(Backend::Memory(MemoryReason::Chosen) | Backend::Nowhere) => Finding::warn(
            KEYRING,
            "the configuration stores tokens in memory, so you must sign in for each command",
        )
        .fix("To stay signed in, remove tokenStore: memory (or disableKeyring, or FLYTE_TOKEN_STORE)."),
        Ok(Backend::Memory(reason)) => Finding::warn(
            KEYRING,
            format!("tokens are stored in memory, so you must sign in for each command: {reason}"),
        )
        .fix("Set HOME (or XDG_DATA_HOME and XDG_STATE_HOME) to a writable directory."),
        Err(error) => Finding::fail(KEYRING, &error).maybe_fix(error.hint()),
    }
}

/// Checks whether a browser can be opened, without opening one.
fn browser(
    auth_type: AuthType,
    endpoint: &str,
    variable: impl Fn(&str) -> Option<String>,
    is_program: impl Fn(&str) -> bool,
) -> Finding {
    if auth_type != AuthType::Pkce {
        return Finding::skip(BROWSER, format!("not needed: authType is {auth_type}"));
    }
    let by_hand = format!(
        "Open the link that `flyte auth login` prints, in any browser; or sign in on another device: flyte create config \
         --endpoint {endpoint} --auth-type headless"
    );
    if let Some(browsers) = variable("BROWSER") {
        let commands = flyte_auth::browser_commands(&browsers);
        return match commands.iter().filter_map(|command| command.first()).any(|program| is_program(program))
        {
            true => Finding::pass(BROWSER, format!("by BROWSER ({browsers})")),
            false => Finding::warn(BROWSER, format!("BROWSER is {browsers}, but there is no such program"))
                .fix(format!("Correct or unset BROWSER. {by_hand}")),
        };
    }
    if !cfg!(target_os = "linux") && flyte_auth::has_browser() {
        return Finding::pass(BROWSER, "the system's browser");
    }
    if !DISPLAYS.iter().any(|name| variable(name).is_some()) {
        let place = if variable("SSH_CONNECTION").or_else(|| variable("SSH_TTY")).is_some() {
            "this is an SSH session without a display"
        } else {
            "there is no display (DISPLAY and WAYLAND_DISPLAY are not set)"
        };
        return Finding::warn(BROWSER, format!("no browser can be opened: {place}")).fix(by_hand);
    }
    match OPENERS.into_iter().find(|program| is_program(program)) {
        Some(program) => Finding::pass(BROWSER, format!("by {program}")),
        None => Finding::warn(BROWSER, "no program opens links (xdg-open), although there is a display")
            .fix(format!("Install xdg-utils, or set BROWSER. {by_hand}")),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a word names an executable program.
fn is_program(word: &str) -> bool {
    if word.contains('/') {
        return is_executable(Path::new(word));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| is_executable(&directory.join(word)))
}

fn is_executable(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    #[cfg(unix)]
    let executable = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let executable = true;
    metadata.is_file() && executable
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn look(auth_type: AuthType, variables: &[(&str, &str)], programs: &[&str]) -> (Verdict, String) {
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let finding = browser(auth_type, "dns:///h", variable, |word| programs.contains(&word));
        (finding.verdict, format!("{} | {}", finding.found, finding.fix.unwrap_or_default()))
    }

    #[test]
    fn browser_check_depends_on_mode_and_machine() {
        use Verdict::{Pass, Skip, Warn};
        for (auth_type, variables, programs, verdict, expected) in [
            (AuthType::Pkce, vec![("DISPLAY", ":0")], vec!["xdg-open"], Pass, "by xdg-open"),
            (AuthType::Pkce, vec![("DISPLAY", ":0")], vec![], Warn, "Install xdg-utils"),
            (AuthType::Pkce, vec![], vec!["xdg-open"], Warn, "there is no display"),
            (AuthType::Pkce, vec![("SSH_TTY", "/dev/pts/0")], vec![], Warn, "SSH session without a display"),
            (AuthType::Pkce, vec![], vec![], Warn, "--endpoint dns:///h --auth-type headless"),
            (AuthType::Pkce, vec![("BROWSER", "nope:lynx %s")], vec!["lynx"], Pass, "by BROWSER"),
            (
                AuthType::Pkce,
                vec![("BROWSER", "nope"), ("DISPLAY", ":0")],
                vec!["xdg-open"],
                Warn,
                "no such program",
            ),
            (AuthType::DeviceFlow, vec![], vec![], Skip, "not needed: authType is DeviceFlow"),
        ] {
            let (found, text) = look(auth_type, &variables, &programs);
            assert_eq!(found, verdict, "{variables:?} {text}");
            assert!(text.contains(expected), "{variables:?} {text}");
        }
    }

    #[test]
    fn program_is_an_executable_file() {
        assert!(is_program("sh") && is_program("/bin/sh"));
        assert!(!is_program("no-such-program") && !is_program("/etc/passwd") && !is_program("/bin"));
    }
}
