//! Lines of files for spreadsheets, RFC 4180.

/// A line. A value that a spreadsheet could take for a formula begins with an apostrophe.
#[must_use]
pub fn csv_line<T: AsRef<str>>(values: &[T]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let safe = values.iter().map(|value| {
        // In some countries, spreadsheets begin a cell after each semicolon, too.
        let (mut safe, mut begins) = (String::new(), true);
        for c in value.as_ref().chars() {
            if begins && ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'].contains(&c) {
                safe.push('\'');
            }
            safe.push(c);
            begins = c == ';' || (begins && c == '"');
        }
        safe
    });
    // Writing to a Vec does not fail.
    let _ = writer.write_record(safe);
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_a_formula_or_breaks_a_line() {
        let text = |values: &[&str]| String::from_utf8(csv_line(values)).unwrap();
        assert_eq!(text(&["1", "a,b", "say \"hi\""]), "1,\"a,b\",\"say \"\"hi\"\"\"\r\n");
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1"] {
            assert_eq!(text(&["x", formula]).trim_end(), format!("x,'{formula}"), "{formula:?}");
        }
        assert_eq!(text(&["x;=1", "y;\"@A1"]), "x;'=1,\"y;\"\"'@A1\"\r\n");
        assert_eq!(
            text(&["", "two\nlines", "=HYPERLINK(1)", "@x"]),
            ",\"two\nlines\",'=HYPERLINK(1),'@x\r\n"
        );
        assert_eq!(text(&["a\r\nb=c"]), "\"a\r\nb=c\"\r\n");
    }
}
