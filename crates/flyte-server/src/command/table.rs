//! Listings, for people.

use std::fmt::Write as _;

/// Rows under their headings, each column as wide as its longest cell.
pub(super) fn table<const COLUMNS: usize>(headings: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let headings = headings.map(str::to_owned);
    let all = || std::iter::once(&headings).chain(rows);
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|column| all().map(|row| row[column].chars().count()).max().unwrap_or_default());
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a String does not fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["ü".to_owned(), "long".to_owned()], ["longer".to_owned(), String::new()]];
        assert_eq!(table(["A", "B"], &rows), "A       B\nü       long\nlonger\n");
        assert_eq!(table(["A", "B"], &[]), "A  B\n");
    }
}
