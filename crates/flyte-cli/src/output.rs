//! Results: tables for people, JSON and YAML for programs.

use std::io::{self, Write as _};

use anstyle::Style;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    #[value(alias = "table-simple")]
    Table,
    /// For programs
    #[value(alias = "json-raw")]
    Json,
    /// For programs and people
    Yaml,
}

impl Format {
    /// Every word that is taken for a format.
    pub(crate) const NAMES: [&str; 5] = ["table", "table-simple", "json", "json-raw", "yaml"];
}

/// Writes text to standard output; colours go to terminals that want them only.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let written = || -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    };
    written().map_err(|error| Failure::output(&error))
}

/// Tells the person something that is no result, on standard error.
pub(crate) fn tell(text: &str) {
    // Where nobody can be told, nobody can be told that either.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Passes on what another program tells the person, as it is.
pub(crate) fn say(text: &str) {
    let mut stderr = anstream::stderr();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Prints a value in a format for programs, or as `table` makes it.
pub(crate) fn print<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    match format {
        Format::Table => write(&table(value)),
        format => write(&written(format, value)?),
    }
}

/// A value in a format for programs.
pub(crate) fn written<T: Serialize>(format: Format, value: &T) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new("cannot write the result").why(error);
    match format {
        Format::Yaml => serde_saphyr::to_string(value).map_err(|error| failed(&error)),
        Format::Json | Format::Table => {
            serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| failed(&error))
        }
    }
}

/// Rows below a heading, without borders.
pub(crate) fn table<const COLUMNS: usize>(
    heading: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut table = borderless();
    table.set_header(heading);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    let bold = Style::new().bold();
    let mut text = String::new();
    for (index, line) in lines(table).enumerate() {
        match index {
            0 => text.push_str(&format!("{bold}{line}{bold:#}\n")),
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

/// Names with their values, one in a line; what has no value is left out.
pub(crate) fn details<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = borderless();
    for (name, value) in rows {
        if !value.is_empty() {
            table.add_row([format!("{name}:"), printable(&value)]);
        }
    }
    lines(table).map(|line| line + "\n").collect()
}

fn borderless() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The lines of a table: columns two spaces apart, nothing before the first one and behind the last.
fn lines(mut table: Table) -> impl Iterator<Item = String> {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().into_iter()
}

/// A server's text without control characters: they could move the cursor, and tear a table's lines apart.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text of several lines from elsewhere, such as a traceback, each line indented; nothing in it can move the cursor.
pub(crate) fn block(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| format!("  {}", printable(&line.replace('\t', "    "))))
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_format_is_one() {
        for name in Format::NAMES {
            assert!(Format::from_str(name, false).is_ok(), "{name}");
        }
    }

    #[test]
    fn tables_are_clean_and_lined_up() {
        let rows = [["a".into(), "first\u{1b}[2J\nproject".into()], ["longer".into(), String::new()]];
        let text = anstream::adapter::strip_str(&table(["ID", "NAME"], rows)).to_string();
        assert_eq!(text, "ID      NAME\na       first [2J project\nlonger\n");
    }

    #[test]
    fn a_block_keeps_its_lines_and_nothing_else_that_controls() {
        assert_eq!(
            block("Traceback:\r\n\tin f\x1b[2J\n\nValueError\n\n"),
            "  Traceback:\n      in f [2J\n\n  ValueError\n"
        );
    }

    #[test]
    fn details_leave_out_what_is_empty() {
        let text =
            details([("Name", "Ada".to_owned()), ("Picture", String::new()), ("E-mail", "a@b".to_owned())]);
        assert_eq!(text, "Name:    Ada\nE-mail:  a@b\n");
    }
}
