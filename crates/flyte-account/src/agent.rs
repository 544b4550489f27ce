//! Browsers and programs in plain words, by their `User-Agent`. Users choose this text themselves, so it proves nothing.

/// Browsers and the words that show them, the most special first: most claim to be several.
const BROWSERS: [(&str, &str); 8] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Systems and the words that show them, the most special first.
const SYSTEMS: [(&str, &str); 8] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
    ("X11", "Unix"),
];

/// The longest name of another program, in characters.
const MAX_NAME: usize = 40;

/// A browser and its system, for example `Firefox on Linux`.
pub(crate) fn browser(agent: Option<&str>) -> String {
    let agent = agent.unwrap_or_default();
    let find = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, words)| *words)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("A browser on {system}"),
        (None, None) => "A browser".to_owned(),
    }
}

/// The name and the version of a program, for example `flyte-auth 0.1.0`; `None` if it says nothing that can be shown.
pub(crate) fn program(agent: Option<&str>) -> Option<String> {
    let first = agent?.split_ascii_whitespace().next()?;
    let is_shown = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+');
    let name: String = first.chars().filter(|c| is_shown(*c)).take(MAX_NAME).collect();
    let name = name.replacen('/', " ", 1);
    (!name.trim().is_empty()).then(|| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_named_with_their_system() {
        for (agent, words) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 \
                 Safari/537.36",
                "Chrome on Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 \
                 Safari/537.36 Edg/142.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.0 Safari/605.1.15",
                "Safari on Mac",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile \
                 Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.5.0", "A browser"),
            ("", "A browser"),
        ] {
            assert_eq!(browser(Some(agent)), words, "{agent}");
        }
        assert_eq!(browser(None), "A browser");
    }

    #[test]
    fn programs_are_named_by_their_first_product() {
        for (agent, words) in [
            ("flyte-auth/0.1.0", Some("flyte-auth 0.1.0")),
            ("python-httpx/0.28.1 extra", Some("python-httpx 0.28.1")),
            ("<script>/1", Some("script 1")),
            ("\u{202e}\u{4e2d}", None),
            ("", None),
        ] {
            assert_eq!(program(Some(agent)).as_deref(), words, "{agent}");
        }
        assert_eq!(program(Some(&"x".repeat(300))).unwrap().len(), MAX_NAME);
    }
}
