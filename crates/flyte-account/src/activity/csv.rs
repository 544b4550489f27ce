//! Events as CSV (RFC 4180), as spreadsheets read it.

use flyte_store::StoredAuditRecord;

use super::{rfc3339, sentence};

/// The names of the columns.
pub(super) const HEADER: &str = "time,event,what,client,address,object\r\n";

/// The line of an event.
pub(super) fn line(stored: &StoredAuditRecord, address: Option<&str>) -> String {
    let record = &stored.record;
    let fields = [
        rfc3339(record.at),
        record.event.clone(),
        sentence::of(record),
        record.client_id.clone().unwrap_or_default(),
        address.unwrap_or_default().to_owned(),
        record.object.clone().unwrap_or_default(),
    ];
    let mut line = fields.map(|text| field(&text)).join(",");
    line.push_str("\r\n");
    line
}

/// A field. Spreadsheets take texts with certain first characters for formulas, so these get an apostrophe.
fn field(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_neither_split_nor_formulas() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=HYPERLINK(1)", "\"'=HYPERLINK(1)\""),
            ("@x", "\"'@x\""),
        ] {
            assert_eq!(field(text), expected);
        }
    }
}
