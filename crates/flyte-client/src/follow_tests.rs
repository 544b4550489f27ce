use std::collections::VecDeque;
use std::sync::Mutex;

use buffa::Message as _;
use connectrpc::ErrorCode;
use flyte_idl::flyteidl2::dataproxy::{TailLogsRequest, TailLogsResponse};
use flyte_idl::flyteidl2::workflow::{WatchActionDetailsRequest, WatchActionDetailsResponse};
use serde_json::json;

use super::*;
use crate::action::{ROOT, RunId};
use crate::place::Place;
use crate::testing::{Answer, Server};

const WATCH: &str = "flyteidl2.workflow.RunService/WatchActionDetails";
const TAIL: &str = "flyteidl2.dataproxy.DataProxyService/TailLogs";

fn details(phase: &str, attempts: u32) -> Vec<u8> {
    let details = json!({"details": {"id": {"name": "a0"}, "status": {"phase": format!("ACTION_PHASE_{phase}"), "attempts": attempts}}});
    serde_json::from_value::<WatchActionDetailsResponse>(details).unwrap().encode_to_vec()
}

fn lines(lines: &[&str]) -> Vec<u8> {
    let lines: Vec<_> = lines.iter().map(|line| json!({"message": format!("{line}\n")})).collect();
    serde_json::from_value::<TailLogsResponse>(json!({"logs": [{"lines": lines}]})).unwrap().encode_to_vec()
}

async fn followed(server: &Server) -> Vec<String> {
    let id = RunId::new(Place::new("p", "d"), "r1").action(ROOT);
    let mut follow = server.client().follow(id);
    let mut told = Vec::new();
    while let Some(event) = follow.next().await.unwrap() {
        told.push(match event {
            Event::Changed(details) => format!("{} {}", details.action.phase, details.action.attempts),
            Event::Line(attempt, line) => format!("{attempt}: {}", line.text),
        });
    }
    assert!(follow.last().unwrap().action.phase.is_over());
    told
}

#[tokio::test(start_paused = true)]
async fn phases_and_lines_come_through_retries_until_the_end() {
    let server = Server::default()
        .on(WATCH, |_: WatchActionDetailsRequest| {
            let phases = [("QUEUED", 0), ("RUNNING", 1), ("QUEUED", 1), ("RUNNING", 2), ("SUCCEEDED", 2)];
            Ok(Answer::Stream(phases.map(|(phase, attempts)| details(phase, attempts)).to_vec()))
        })
        .on(TAIL, |request: TailLogsRequest| {
            Ok(Answer::Stream(vec![lines(&[if request.attempt == 1 { "first" } else { "second" }, "end"])]))
        });
    let told = followed(&server).await;
    let of = |kind: &str| told.iter().filter(|line| line.starts_with(kind)).cloned().collect::<Vec<_>>();
    assert_eq!(of("1:"), ["1: first", "1: end"]);
    assert_eq!(of("2:"), ["2: second", "2: end"]);
    assert_eq!(told.first().map(String::as_str), Some("queued 0"));
    assert!(told.contains(&"succeeded 2".to_owned()), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_made_again_and_no_line_is_told_twice() {
    let watches = Mutex::new(VecDeque::from([("RUNNING", true), ("FAILED", true)]));
    let logs = Mutex::new(VecDeque::from([vec!["one", "two"], vec!["one", "two", "three"]]));
    let server = Server::default()
        .on(WATCH, move |_: WatchActionDetailsRequest| match watches.lock().unwrap().pop_front() {
            Some((phase, _)) => Ok(Answer::Stream(vec![details(phase, 1)])),
            None => Err(ErrorCode::Unavailable),
        })
        .on(TAIL, move |_: TailLogsRequest| match logs.lock().unwrap().pop_front() {
            Some(found) => Ok(Answer::Stream(vec![lines(&found)])),
            None => Err(ErrorCode::NotFound),
        });
    let told = followed(&server).await;
    let written: Vec<_> = told.iter().filter(|line| line.starts_with("1:")).map(String::as_str).collect();
    assert_eq!(written, ["1: one", "1: two", "1: three"]);
    assert!(told.contains(&"failed 1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_followed() {
    let server = Server::default().on(WATCH, |_: WatchActionDetailsRequest| Err(ErrorCode::NotFound));
    let mut follow = server.client().follow(RunId::default().action(ROOT));
    assert!(matches!(follow.next().await, Err(ClientError::NotFound { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_never_wrote_anything_ends_as_well() {
    let server = Server::default()
        .on(WATCH, |_: WatchActionDetailsRequest| Ok(Answer::Stream(vec![details("ABORTED", 0)])))
        .on(TAIL, |_: TailLogsRequest| Err(ErrorCode::NotFound));
    assert_eq!(followed(&server).await, ["aborted 0"]);
}
