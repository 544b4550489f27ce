//! Results: tables for users, JSON and YAML for programs.

use std::io::{self, Write as _};

use anstyle::Style;
use clap::ValueEnum;
pub(crate) use flyte_table::printable;
use serde::Serialize;

use crate::failure::Failure;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For users
    #[default]
    #[value(alias = "table-simple")]
    Table,
    /// For users, with more columns
    Wide,
    /// For programs
    #[value(alias = "json-raw")]
    Json,
    /// For programs and users
    Yaml,
}

impl Format {
    /// Every accepted word for a format.
    pub(crate) const NAMES: [&str; 6] = ["table", "table-simple", "wide", "json", "json-raw", "yaml"];
}

/// Writes text to standard output; colours go only to terminals that support them.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let written = || -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    };
    written().map_err(|error| Failure::output(&error))
}

/// Shows the user a message that is not a result, on standard error.
pub(crate) fn tell(text: &str) {
    // If standard error fails, there is nowhere to report it.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Shows another program's message to the user, unchanged.
pub(crate) fn say(text: &str) {
    let mut stderr = anstream::stderr();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Prints a value in a format for programs, or as `table` formats it.
pub(crate) fn print<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    match format {
        Format::Table | Format::Wide => write(&table(value)),
        format => write(&written(format, value)?),
    }
}

/// A value in a format for programs.
pub(crate) fn written<T: Serialize>(format: Format, value: &T) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new("cannot write the result").why(error);
    match format {
        Format::Yaml => serde_saphyr::to_string(value).map_err(|error| failed(&error)),
        Format::Json | Format::Table | Format::Wide => {
            serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| failed(&error))
        }
    }
}

/// Formats rows below a heading, without borders, and wraps them if the terminal is too narrow.
pub(crate) fn table<const COLUMNS: usize>(
    heading: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    headed(&flyte_table::table(heading, &[], rows, width()))
}

/// A table with its heading in bold.
pub(crate) fn headed(table: &str) -> String {
    let bold = Style::new().bold();
    match table.split_once('\n') {
        Some((heading, rows)) => format!("{bold}{heading}{bold:#}\n{rows}"),
        None => table.to_owned(),
    }
}

/// The maximum width of tables. In tests it does not depend on the terminal.
pub(crate) fn width() -> Option<u16> {
    if cfg!(test) { None } else { flyte_table::terminal_width() }
}

/// Formats names with their values, one for each line, without empty values.
pub(crate) fn details<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    flyte_table::details(rows)
}

/// Indents external text, for example a traceback, and removes control characters.
pub(crate) fn block(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| format!("  {}", printable(&line.replace('\t', "    "))))
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// Returns the plain text of a table, and checks that it fits 80 columns.
#[cfg(test)]
#[track_caller]
pub(crate) fn fits(table: &str) -> String {
    let text = anstream::adapter::strip_str(table).to_string();
    let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    assert!(longest <= 80, "{longest} columns:\n{text}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_format_names_parse() {
        for name in Format::NAMES {
            assert!(Format::from_str(name, false).is_ok(), "{name}");
        }
    }

    #[test]
    fn tables_are_clean_and_aligned() {
        let rows = [["a".into(), "first\u{1b}[2J\nproject".into()], ["longer".into(), String::new()]];
        let text = anstream::adapter::strip_str(&table(["ID", "NAME"], rows)).to_string();
        assert_eq!(text, "ID      NAME\na       first [2J project\nlonger\n");
    }

    #[test]
    fn block_keeps_lines_but_no_control_characters() {
        assert_eq!(
            block("Traceback:\r\n\tin f\x1b[2J\n\nValueError\n\n"),
            "  Traceback:\n      in f [2J\n\n  ValueError\n"
        );
    }
}
