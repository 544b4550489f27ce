//! Opens browsers. The variable `BROWSER` takes precedence.

use std::{
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use url::Url;

/// The variable that names browsers.
const VARIABLE: &str = "BROWSER";
/// The separator of the commands in it: the same as in `PATH`, as Python's `webbrowser` reads it.
const SEPARATOR: char = if cfg!(windows) { ';' } else { ':' };
/// The time in which an immediate failure of a command is detected, for example without a display.
const STARTUP_TIME: Duration = Duration::from_millis(300);
/// Browsers that would take over the terminal.
const TEXT_BROWSERS: [&str; 6] = ["elinks", "links", "links2", "lynx", "w3m", "www-browser"];

/// Whether a browser can be opened on this machine. On Linux, that needs a display or `BROWSER`. On other systems, the person does
/// not see the browser through SSH.
#[must_use]
pub fn has_browser() -> bool {
    let has = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    is_visible(cfg!(target_os = "linux"), has)
}

fn is_visible(needs_display: bool, has: impl Fn(&str) -> bool) -> bool {
    [VARIABLE, "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].into_iter().any(&has)
        || !(needs_display || has("SSH_CONNECTION"))
}

/// Opens the person's browser. Returns `false` if there is none.
///
/// On Linux without a display and without `BROWSER`, it returns `false` without trying, because text browsers would take over the
/// terminal.
pub async fn open_browser(url: &Url) -> bool {
    if !has_browser() {
        return false;
    }
    let url = url.to_string();
    let opening = tokio::task::spawn_blocking(move || {
        let named = std::env::var(VARIABLE).unwrap_or_default();
        if browser_commands(&named).iter().any(|command| start(command, &url)) {
            return true;
        }
        let mut options = webbrowser::BrowserOptions::new();
        options.with_suppress_output(true);
        webbrowser::open_browser_with_options(webbrowser::Browser::Default, &url, &options).is_ok()
    });
    // A command that has not returned after this time is a browser in the foreground.
    match tokio::time::timeout(Duration::from_secs(5), opening).await {
        Ok(outcome) => outcome.unwrap_or(false),
        Err(_) => true,
    }
}

/// The commands of `BROWSER` with their arguments, in which `%s` is replaced with the address.
///
/// White space separates arguments, unless it is quoted as in a shell or belongs to the path of an existing file.
#[must_use]
pub fn browser_commands(variable: &str) -> Vec<Vec<String>> {
    if Path::new(variable.trim()).is_file() {
        return vec![vec![variable.trim().to_owned()]];
    }
    entries(variable).into_iter().filter_map(arguments).collect()
}

/// Splits at the unquoted separators.
fn entries(variable: &str) -> Vec<&str> {
    let mut quote = None;
    let is_separator = |c: char| {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        quote.is_none() && c == SEPARATOR
    };
    variable.split(is_separator).map(str::trim).filter(|entry| !entry.is_empty()).collect()
}

fn arguments(entry: &str) -> Option<Vec<String>> {
    // The longest prefix, up to white space, that is an existing file.
    let ends = entry.rmatch_indices(char::is_whitespace).map(|(at, _)| at);
    let file =
        std::iter::once(entry.len()).chain(ends).find(|end| Path::new(entry[..*end].trim_end()).is_file());
    let (mut command, rest) = match file {
        Some(end) => (vec![entry[..end].trim_end().to_owned()], &entry[end..]),
        None => (Vec::new(), entry),
    };
    command.extend(words(rest));
    // Python's `webbrowser` accepts `&` after commands that do not return.
    if command.last().is_some_and(|last| last == "&") {
        command.pop();
    }
    command.first().is_some_and(|program| !program.is_empty()).then_some(command)
}

/// Splits a command into words like a shell. A text with unbalanced quotation marks is split at white space.
fn words(text: &str) -> Vec<String> {
    let at_white_space = || text.split_whitespace().map(str::to_owned).collect();
    // On Windows a backslash is part of a path.
    if cfg!(windows) && !text.contains('"') {
        return at_white_space();
    }
    let text = if cfg!(windows) { text.replace('\\', "\\\\") } else { text.to_owned() };
    shlex::split(&text).unwrap_or_else(at_white_space)
}

/// Starts a browser without access to the terminal. Returns `false` if it fails immediately.
fn start(command: &[String], url: &str) -> bool {
    let Some((program, given)) = command.split_first() else { return false };
    let name = Path::new(program).file_stem().unwrap_or_default();
    if TEXT_BROWSERS.iter().any(|browser| name == *browser) {
        return false;
    }
    let mut arguments: Vec<_> = given.iter().map(|argument| argument.replace("%s", url)).collect();
    if !given.iter().any(|argument| argument.contains("%s")) {
        arguments.push(url.to_owned());
    }
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut browser) = started else { return false };
    let deadline = Instant::now() + STARTUP_TIME;
    while Instant::now() < deadline {
        match browser.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => thread::sleep(Duration::from_millis(10)),
            Err(_) => break,
        }
    }
    // The browser may run as long as the person uses it.
    thread::spawn(move || browser.wait());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_must_be_visible_to_the_person() {
        let visible = |needs_display, set: &[&str]| is_visible(needs_display, |name| set.contains(&name));
        assert!(!visible(true, &[]) && visible(true, &["DISPLAY"]));
        assert!(visible(true, &["BROWSER", "SSH_CONNECTION"]));
        assert!(visible(false, &[]) && !visible(false, &["SSH_CONNECTION"]));
        assert!(visible(false, &["SSH_CONNECTION", "DISPLAY"]));
        assert!(visible(false, &["SSH_CONNECTION", "BROWSER"]));
    }

    #[cfg(unix)]
    #[test]
    fn commands_may_have_white_space_and_quotation_marks() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("My Browser.sh");
        std::fs::write(&file, "").unwrap();
        let path = file.to_str().unwrap();
        let bare = |text: &str| text.replace("PATH", path);
        for (variable, expected) in [
            ("", vec![]),
            (" : ", vec![]),
            ("firefox", vec![vec!["firefox"]]),
            (
                "firefox:chromium --new-window %s",
                vec![vec!["firefox"], vec!["chromium", "--new-window", "%s"]],
            ),
            ("firefox %s &", vec![vec!["firefox", "%s"]]),
            ("PATH", vec![vec!["PATH"]]),
            (" PATH ", vec![vec!["PATH"]]),
            ("PATH --new %s", vec![vec!["PATH", "--new", "%s"]]),
            ("none:PATH:firefox", vec![vec!["none"], vec!["PATH"], vec!["firefox"]]),
            ("\"PATH\" %s", vec![vec!["PATH", "%s"]]),
            ("'/no/such browser' '%s'", vec![vec!["/no/such browser", "%s"]]),
            ("/no/such\\ browser", vec![vec!["/no/such browser"]]),
            ("sh -c 'open a:b %s'", vec![vec!["sh", "-c", "open a:b %s"]]),
            ("it's", vec![vec!["it's"]]),
        ] {
            let expected: Vec<Vec<_>> =
                expected.into_iter().map(|command| command.into_iter().map(bare).collect()).collect();
            assert_eq!(browser_commands(&bare(variable)), expected, "{variable}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_browser_is_started_with_the_address() {
        let directory = tempfile::tempdir().unwrap();
        let seen = directory.path().join("seen it");
        let command =
            |script: &str| vec!["sh".to_owned(), "-c".to_owned(), script.to_owned(), "sh".to_owned()];
        let url = "https://x/?a=1&b=$(2)%20";
        assert!(start(&command(&format!("echo \"$1\" > '{}'", seen.display())), url));
        assert_eq!(std::fs::read_to_string(&seen).unwrap().trim_end(), url, "no shell looks at it");
        assert!(!start(&command("exit 3"), url));
        assert!(!start(&["/no/such browser".to_owned()], url) && !start(&["lynx".to_owned()], url));
    }
}
