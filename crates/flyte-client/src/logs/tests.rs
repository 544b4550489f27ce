use buffa::Message as _;
use serde_json::json;

use super::*;
use crate::action::{ROOT, RunId};
use crate::project_domain::ProjectDomain;
use crate::testing::{Answer, Server};

#[test]
fn a_log_message_is_split_into_lines() {
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

#[tokio::test]
async fn a_log_until_now_ends_at_the_servers_time() {
    let mut server = Server::default();
    server.date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    let server =
        server.on("flyteidl2.dataproxy.DataProxyService/TailLogs", |_: dataproxy::TailLogsRequest| {
            let lines = [
                json!({"timestamp": "1994-11-06T08:00:00Z", "message": "before"}),
                json!({"message": "whenever"}),
                json!({"timestamp": "1994-11-06T08:49:37.900Z", "message": "meanwhile"}),
                json!({"timestamp": "1994-11-06T08:49:38Z", "message": "after"}),
            ];
            let batches = lines.map(|line| json!({"logs": [{"lines": [line]}]}));
            let batch =
                |batch| serde_json::from_value::<dataproxy::TailLogsResponse>(batch).unwrap().encode_to_vec();
            // The stream fails after these lines, so a reader that waits for its end fails.
            Ok(Answer::Cut(batches.map(batch).to_vec()))
        });
    let id = RunId::new(ProjectDomain::new("p", "d"), "r1").action(ROOT);
    let logs = server.client().logs();
    let mut log = logs.of_action_until_now(&id, 1).await.unwrap();
    for text in ["before", "whenever", "meanwhile"] {
        assert_eq!(log.next().await.unwrap().unwrap().text, text);
    }
    assert!(log.next().await.unwrap().is_none());
    let mut whole = logs.of_action(&id, 1).await.unwrap();
    for text in ["before", "whenever", "meanwhile", "after"] {
        assert_eq!(whole.next().await.unwrap().unwrap().text, text);
    }
    assert!(whole.next().await.is_err());
}
