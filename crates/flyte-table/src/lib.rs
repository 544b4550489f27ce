//! Tables of the `flyte` and `flyte-server` commands: columns without borders.
//!
//! On a terminal, a table is not wider than the terminal: cells that do not fit are wrapped within their column. Elsewhere, for
//! example in a pipe, each row is one line.
#![forbid(unsafe_code)]

pub mod audit;

use std::io;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

/// The width of the terminal in columns; `None` if standard output is not a terminal.
#[must_use]
pub fn terminal_width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0)
}

/// Formats rows with their headings. Each line ends with a line feed.
///
/// If there is a `width`, cells of the columns `breakable` are wrapped, so that no line is longer. If `breakable` is empty, the
/// cells of all columns may be wrapped. Control characters become spaces, because they could move the cursor.
pub fn table<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    breakable: &[&str],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
    width: Option<u16>,
) -> String {
    let mut table = borderless();
    table.set_header(headings);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        for (column, heading) in table.column_iter_mut().zip(headings) {
            if !breakable.is_empty() && !breakable.contains(&heading) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }
    lines(table)
}

/// Formats names with their values, one on each line. Empty values are left out.
pub fn details<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = borderless();
    for (name, value) in rows {
        if !value.is_empty() {
            table.add_row([format!("{name}:"), printable(&value)]);
        }
    }
    lines(table)
}

fn borderless() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// Formats a table with two spaces between its columns.
fn lines(mut table: Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Replaces control characters with spaces. They could move the cursor or break the lines of a table.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [[String; 3]; 2] {
        [
            ["a".into(), "7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11".into(), "Ada Lovelace of London".into()],
            ["longer".into(), "b".into(), "first\u{1b}[2J\nproject".into()],
        ]
    }

    #[test]
    fn without_a_terminal_each_row_is_one_line() {
        let text = table(["ID", "SUBJECT", "NAME"], &[], rows(), None);
        assert_eq!(
            text,
            "ID      SUBJECT                               NAME\n\
             a       7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11  Ada Lovelace of London\n\
             longer  b                                     first [2J project\n"
        );
        assert_eq!(table(["A", "B"], &[], [], Some(80)), "A  B\n");
        assert_eq!(table(["A"], &[], [["\u{fc}".to_owned()]], None), "A\n\u{fc}\n");
    }

    #[test]
    fn cells_are_wrapped_if_the_terminal_is_narrow() {
        let text = table(["ID", "SUBJECT", "NAME"], &["NAME"], rows(), Some(60));
        assert_eq!(
            text,
            "ID      SUBJECT                               NAME\n\
             a       7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11  Ada Lovelace\n\
             \x20                                             of London\n\
             longer  b                                     first [2J\n\
             \x20                                             project\n"
        );
        for width in [40, 50, 60, 70] {
            let text = table(["ID", "SUBJECT", "NAME"], &[], rows(), Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{text}");
        }
        // A table that fits is not wrapped.
        let wide = table(["ID", "SUBJECT", "NAME"], &[], rows(), Some(80));
        assert_eq!(wide, table(["ID", "SUBJECT", "NAME"], &[], rows(), None));
    }

    #[test]
    fn details_leave_out_empty_values() {
        let text =
            details([("Name", "Ada".to_owned()), ("Picture", String::new()), ("E-mail", "a@b".to_owned())]);
        assert_eq!(text, "Name:    Ada\nE-mail:  a@b\n");
    }
}
