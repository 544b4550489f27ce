//! The result of a check.

use std::fmt::Display;

use anstyle::{AnsiColor, Color, Style};
use serde::Serialize;

use crate::output;

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Everything is in order.
    Pass,
    /// It works, but may cause surprises.
    Warn,
    /// It prevents the user from signing in.
    Fail,
    /// It was not checked.
    Skip,
}

/// What a check found, and how to fix it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    pub(super) found: String,
    pub(super) fix: Option<String>,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, found: impl Display) -> Self {
        Self { check, verdict, found: found.to_string(), fix: None }
    }

    pub(super) fn pass(check: &'static str, found: impl Display) -> Self {
        Self::new(check, Verdict::Pass, found)
    }

    pub(super) fn warn(check: &'static str, found: impl Display) -> Self {
        Self::new(check, Verdict::Warn, found)
    }

    pub(super) fn fail(check: &'static str, found: impl Display) -> Self {
        Self::new(check, Verdict::Fail, found)
    }

    pub(super) fn skip(check: &'static str, why: impl Display) -> Self {
        Self::new(check, Verdict::Skip, why)
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    pub(super) fn maybe_fix(mut self, fix: Option<String>) -> Self {
        self.fix = fix;
        self
    }
}

/// All findings.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether no check failed.
    pub(super) ok: bool,
    checks: Vec<Finding>,
}

impl Report {
    pub(super) fn new(checks: Vec<Finding>) -> Self {
        Self { ok: checks.iter().all(|finding| finding.verdict != Verdict::Fail), checks }
    }

    pub(super) fn table(&self) -> String {
        let width = self.checks.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
        let mut text = String::new();
        for Finding { check, verdict, found, fix } in &self.checks {
            let (word, style) = match verdict {
                Verdict::Pass => ("pass", AnsiColor::Green.on_default()),
                Verdict::Warn => ("warn", AnsiColor::Yellow.on_default()),
                Verdict::Fail => ("fail", Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Red)))),
                Verdict::Skip => ("skip", Style::new().dimmed()),
            };
            text.push_str(&format!("{style}{word}{style:#}  {check:width$}  {}\n", output::printable(found)));
            if let Some(fix) = fix {
                text.push_str(&format!(
                    "{:indent$}fix: {}\n",
                    "",
                    output::printable(fix),
                    indent = width + 8
                ));
            }
        }
        let count = |wanted| self.checks.iter().filter(|finding| finding.verdict == wanted).count();
        let some = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (failures, warnings) = (count(Verdict::Fail), count(Verdict::Warn));
        let sum = match (failures, warnings) {
            (0, 0) => "Everything works.".to_owned(),
            (0, warnings) => format!("Nothing failed; {}.", some(warnings, "warning")),
            (failures, 0) => format!("{}.", some(failures, "failure")),
            (failures, warnings) => format!("{}, {}.", some(failures, "failure"), some(warnings, "warning")),
        };
        text + "\n" + &sum + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fix_is_below_its_finding() {
        let report = Report::new(vec![
            Finding::pass("clock", "right"),
            Finding::fail("certificate", "expired").fix("Renew it."),
            Finding::skip("sign-in", "the server cannot be reached"),
            Finding::warn("browser", "none\u{1b}[2J"),
        ]);
        assert!(!report.ok);
        let text = anstream::adapter::strip_str(&report.table()).to_string();
        assert_eq!(
            text,
            "pass  clock        right\n\
             fail  certificate  expired\n\
             \x20                  fix: Renew it.\n\
             skip  sign-in      the server cannot be reached\n\
             warn  browser      none [2J\n\
             \n1 failure, 1 warning.\n"
        );
        assert!(Report::new(vec![Finding::warn("browser", "none"), Finding::skip("x", "y")]).ok);
    }
}
