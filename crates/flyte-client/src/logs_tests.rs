use serde_json::json;

use super::*;

#[test]
fn a_message_of_a_log_is_its_lines() {
    let message: LogLine = serde_json::from_value(json!({
        "timestamp": "1970-01-01T00:00:01.500Z", "message": "one\r\n\ntwo\n", "originator": "SYSTEM"
    }))
    .unwrap();
    let found = lines(message, "r1");
    let texts: Vec<_> = found.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["one", "", "two"]);
    assert!(found.iter().all(|line| line.at == Some(1.5) && line.system && line.replica == "r1"));
    let bare = lines(LogLine::default(), "");
    assert_eq!(bare, [Line::default()]);
}
