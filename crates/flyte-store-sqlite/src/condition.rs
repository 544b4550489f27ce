//! Conditions as SQL.

use rusqlite::types::Value;

use flyte_store::Test;

/// Returns the SQL expression that is true if `column` passes the test, and adds the values of the comparison to
/// `values`.
pub(super) fn expression(column: &str, test: &Test, negated: bool, values: &mut Vec<Value>) -> String {
    let mut text = |text: &String| values.push(Value::Text(text.clone()));
    let expression = match test {
        Test::OneOf(texts) => {
            texts.iter().for_each(&mut text);
            format!("{column} IN ({})", vec!["?"; texts.len()].join(", "))
        }
        Test::Contains(part) => {
            text(part);
            format!("instr({column}, ?) > 0")
        }
        Test::ContainsIgnoringCase(part) => {
            text(part);
            format!("instr(lower({column}), lower(?)) > 0")
        }
        Test::EndsWith(end) => {
            text(end);
            text(end);
            format!("substr({column}, length({column}) - length(?) + 1) = ?")
        }
        Test::AtLeast(number) => {
            values.push(Value::Integer(*number));
            format!("{column} >= ?")
        }
        Test::MoreThan(number) => {
            values.push(Value::Integer(*number));
            format!("{column} > ?")
        }
    };
    if negated { format!("NOT ({expression})") } else { expression }
}
