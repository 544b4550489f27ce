//! Browsers: whether one can be opened here, and opening it. `BROWSER` comes first, as everywhere.

use std::{
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use url::Url;

/// The variable that names browsers.
const VARIABLE: &str = "BROWSER";
/// What separates the commands in it: as in `PATH`, which is how Python's `webbrowser` reads it.
const SEPARATOR: char = if cfg!(windows) { ';' } else { ':' };
/// How long a command is watched that may fail at once, because it is no program or finds no display.
const FIRST_MOMENT: Duration = Duration::from_millis(300);
/// Browsers that would take over the terminal.
const IN_TERMINAL: [&str; 6] = ["elinks", "links", "links2", "lynx", "w3m", "www-browser"];

/// Whether a browser could be opened here: on Linux there has to be a display, or `BROWSER`. Elsewhere the browser is the
/// system's, which a person does not see through SSH.
#[must_use]
pub fn has_browser() -> bool {
    let has = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    is_seen(cfg!(target_os = "linux"), has)
}

fn is_seen(needs_display: bool, has: impl Fn(&str) -> bool) -> bool {
    [VARIABLE, "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].into_iter().any(&has)
        || !(needs_display || has("SSH_CONNECTION"))
}

/// Opens the person's browser; `false` where there is none to open.
///
/// `BROWSER` is honoured. On Linux without a display this is `false` without trying: the text browsers that a desktop-less
/// opener falls back to would take over the terminal.
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
    // An opener that has not returned by then is a browser running in the foreground: it is open.
    match tokio::time::timeout(Duration::from_secs(5), opening).await {
        Ok(outcome) => outcome.unwrap_or(false),
        Err(_) => true,
    }
}

/// The commands that `BROWSER` names, each with its arguments, `%s` standing for the address.
///
/// Blanks separate arguments unless they are quoted, as in a shell, or belong to the path of a file that exists.
#[must_use]
pub fn browser_commands(variable: &str) -> Vec<Vec<String>> {
    if Path::new(variable.trim()).is_file() {
        return vec![vec![variable.trim().to_owned()]];
    }
    entries(variable).into_iter().filter_map(arguments).collect()
}

/// Splits at the separators that are not quoted.
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
    // The longest beginning that is a file, up to a blank.
    let ends = entry.rmatch_indices(char::is_whitespace).map(|(at, _)| at);
    let file =
        std::iter::once(entry.len()).chain(ends).find(|end| Path::new(entry[..*end].trim_end()).is_file());
    let (mut command, rest) = match file {
        Some(end) => (vec![entry[..end].trim_end().to_owned()], &entry[end..]),
        None => (Vec::new(), entry),
    };
    command.extend(words(rest));
    // Python's readers want it at the end of what does not return.
    if command.last().is_some_and(|last| last == "&") {
        command.pop();
    }
    command.first().is_some_and(|program| !program.is_empty()).then_some(command)
}

/// The words of a command. What no shell could read is taken as it is.
fn words(text: &str) -> Vec<String> {
    let as_it_is = || text.split_whitespace().map(str::to_owned).collect();
    // On Windows a backslash is part of a path.
    if cfg!(windows) && !text.contains('"') {
        return as_it_is();
    }
    let text = if cfg!(windows) { text.replace('\\', "\\\\") } else { text.to_owned() };
    shlex::split(&text).unwrap_or_else(as_it_is)
}

/// Starts a browser; whether it did not fail at once. It may neither read from the terminal nor write to it.
fn start(command: &[String], url: &str) -> bool {
    let Some((program, given)) = command.split_first() else { return false };
    let name = Path::new(program).file_stem().unwrap_or_default();
    if IN_TERMINAL.iter().any(|browser| name == *browser) {
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
    let watched_until = Instant::now() + FIRST_MOMENT;
    while Instant::now() < watched_until {
        match browser.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => thread::sleep(Duration::from_millis(10)),
            Err(_) => break,
        }
    }
    // It may run for as long as the person browses.
    thread::spawn(move || browser.wait());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_of_use_where_the_person_sees_it() {
        let seen = |needs_display, set: &[&str]| is_seen(needs_display, |name| set.contains(&name));
        assert!(!seen(true, &[]) && seen(true, &["DISPLAY"]) && seen(true, &["BROWSER", "SSH_CONNECTION"]));
        assert!(seen(false, &[]) && !seen(false, &["SSH_CONNECTION"]));
        assert!(seen(false, &["SSH_CONNECTION", "DISPLAY"]) && seen(false, &["SSH_CONNECTION", "BROWSER"]));
    }

    #[cfg(unix)]
    #[test]
    fn commands_are_read_with_blanks_and_quotes() {
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
