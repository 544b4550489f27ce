//! Tables for people: columns without borders, as `flyte` and `flyte-server` print them.
//!
//! On a terminal a table is made as narrow as that is: cells that do not fit are broken over several lines, so that each
//! column stays a column. Elsewhere, as in a pipe, each row is one line.
#![forbid(unsafe_code)]

pub mod audit;

use std::io;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

/// The width of the terminal that standard output goes to, in columns; `None` where it goes somewhere else.
#[must_use]
pub fn terminal_width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0)
}

/// Rows below their headings, each line ending in a line feed.
///
/// With a `width`, the cells of the columns `breakable` (of all columns where it is empty) are broken so that lines get no
/// longer than that, if it can be. Control characters in cells become blanks: they could move the cursor.
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

/// Names with their values, one in a line; what has no value is left out.
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

/// The lines of a table: columns two blanks apart, nothing before the first one and behind the last.
fn lines(mut table: Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A text without control characters: they could move the cursor, and tear a table's lines apart.
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
    fn rows_are_lines_where_no_terminal_is() {
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
    fn cells_are_broken_where_the_terminal_is_narrow() {
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
        // What fits is not touched.
        let wide = table(["ID", "SUBJECT", "NAME"], &[], rows(), Some(80));
        assert_eq!(wide, table(["ID", "SUBJECT", "NAME"], &[], rows(), None));
    }

    #[test]
    fn details_leave_out_what_is_empty() {
        let text =
            details([("Name", "Ada".to_owned()), ("Picture", String::new()), ("E-mail", "a@b".to_owned())]);
        assert_eq!(text, "Name:    Ada\nE-mail:  a@b\n");
    }
}
