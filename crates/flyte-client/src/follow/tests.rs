use std::collections::VecDeque;
use std::sync::Mutex;

use buffa::Message as _;
use connectrpc::ErrorCode;
use flyte_idl::flyteidl2::dataproxy::{TailLogsRequest, TailLogsResponse};
use flyte_idl::flyteidl2::workflow::{WatchActionDetailsRequest, WatchActionDetailsResponse};
use serde_json::json;

use super::*;
use crate::action::{ROOT, RunId};
use crate::project_domain::ProjectDomain;
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
    let id = RunId::new(ProjectDomain::new("p", "d"), "r1").action(ROOT);
    let mut follow = server.client().follow(id);
    let mut told = Vec::new();
    while let Some(event) = follow.next().await.unwrap() {
        told.push(match event {
            Event::Changed(details) => format!("{} {}", details.action.phase, details.action.attempts),
            Event::Line(attempt, line) => format!("{attempt}: {}", line.text),
            Event::Lost(_) => "lost".to_owned(),
            Event::Found => "found".to_owned(),
        });
    }
    assert!(follow.last().unwrap().action.phase.is_over());
    told
}

#[tokio::test(start_paused = true)]
async fn phases_and_lines_are_returned_until_the_last_attempt_ends() {
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
async fn a_lost_connection_is_reopened_without_repeated_lines() {
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
async fn a_missing_action_is_an_error() {
    let server = Server::default().on(WATCH, |_: WatchActionDetailsRequest| Err(ErrorCode::NotFound));
    let mut follow = server.client().follow(RunId::default().action(ROOT));
    assert!(matches!(follow.next().await, Err(ClientError::NotFound { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_action_without_a_log_ends() {
    let server = Server::default()
        .on(WATCH, |_: WatchActionDetailsRequest| Ok(Answer::Stream(vec![details("ABORTED", 0)])))
        .on(TAIL, |_: TailLogsRequest| Err(ErrorCode::NotFound));
    assert_eq!(followed(&server).await, ["aborted 0"]);
}

/// A server that fails from its third call until a time.
fn failing_until(
    back: Instant,
    phases: &'static [&'static str],
    logs: &'static [&'static [&'static str]],
) -> Server {
    let (phases, logs) =
        (Mutex::new(VecDeque::from(phases.to_vec())), Mutex::new(VecDeque::from(logs.to_vec())));
    let began = Instant::now();
    let is_away = move || (began..back).contains(&Instant::now()) && Instant::now() > began;
    Server::default()
        .on(WATCH, move |_: WatchActionDetailsRequest| match is_away() {
            true => Err(ErrorCode::Unavailable),
            false => Ok(Answer::Cut(vec![details(phases.lock().unwrap().pop_front().unwrap(), 1)])),
        })
        .on(TAIL, move |_: TailLogsRequest| match is_away() {
            true => Err(ErrorCode::Unavailable),
            false => {
                let mut logs = logs.lock().unwrap();
                let found = vec![lines(logs[0])];
                // After the outage, the whole log is sent each time.
                Ok(if logs.len() == 1 {
                    Answer::Stream(found)
                } else {
                    logs.pop_front();
                    Answer::Cut(found)
                })
            }
        })
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_reported_once_and_the_log_continues_at_its_position() {
    let back = Instant::now() + Duration::from_secs(58);
    let server = failing_until(back, &["RUNNING", "SUCCEEDED"], &[&["one", "two"], &["one", "two", "three"]]);
    let told = followed(&server).await;
    assert_eq!(told, ["running 1", "1: one", "1: two", "lost", "found", "1: three", "succeeded 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_not_reported() {
    let back = Instant::now() + Duration::from_millis(1500);
    let server = failing_until(back, &["RUNNING", "SUCCEEDED"], &[&["one"], &["one", "two"]]);
    assert_eq!(followed(&server).await, ["running 1", "1: one", "1: two", "succeeded 1"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_after_the_end_loses_no_line() {
    let back = Instant::now() + Duration::from_secs(30);
    let server = failing_until(back, &["SUCCEEDED"], &[&["one"], &["one", "two"]]);
    assert_eq!(followed(&server).await, ["succeeded 1", "1: one", "lost", "found", "1: two"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_minute_is_an_error() {
    let began = Instant::now();
    let server = failing_until(began + Duration::from_secs(3600), &["RUNNING"], &[&["one"], &[]]);
    let mut follow = server.client().follow(RunId::new(ProjectDomain::new("p", "d"), "r1").action(ROOT));
    let error = loop {
        match follow.next().await {
            Ok(event) => assert!(event.is_some()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error}");
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(60) && took < Duration::from_secs(63), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_call_is_retried_only_if_the_action_is_known_to_exist() {
    let began = Instant::now();
    let calls = Mutex::new(0);
    let server = Server::default().on(WATCH, move |_: WatchActionDetailsRequest| {
        *calls.lock().unwrap() += 1;
        match *calls.lock().unwrap() {
            ..4 => Err(ErrorCode::Unavailable),
            _ => Ok(Answer::Stream(vec![details("ABORTED", 0)])),
        }
    });
    let id = RunId::default().action(ROOT);
    let mut follow = server.client().follow(id.clone());
    assert!(matches!(follow.next().await, Err(ClientError::Unavailable { .. })) && began.elapsed().is_zero());
    let mut follow = server.client().follow(id).known();
    assert!(matches!(follow.next().await, Ok(Some(Event::Changed(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_token_expired_is_reopened_without_a_notice() {
    let watches = Mutex::new(VecDeque::from([Some("RUNNING"), Some("SUCCEEDED"), None]));
    let logs = Mutex::new(VecDeque::from([&["one"][..], &["one", "two"], &["one", "two"]]));
    let server = Server::default()
        .on(WATCH, move |_: WatchActionDetailsRequest| match watches.lock().unwrap().pop_front().flatten() {
            Some(phase) => Ok(Answer::Failed(vec![details(phase, 1)], ErrorCode::Unauthenticated)),
            None => Err(ErrorCode::Unauthenticated),
        })
        .on(TAIL, move |_: TailLogsRequest| match logs.lock().unwrap().pop_front() {
            Some(found) => Ok(Answer::Failed(vec![lines(found)], ErrorCode::Unauthenticated)),
            None => Ok(Answer::Stream(vec![lines(&["one", "two"])])),
        });
    assert_eq!(followed(&server).await, ["running 1", "1: one", "1: two", "succeeded 1"]);

    // If a new token is rejected too, it is an error.
    let server = Server::default().on(WATCH, |_: WatchActionDetailsRequest| Err(ErrorCode::Unauthenticated));
    let mut follow = server.client().follow(RunId::default().action(ROOT)).known();
    assert!(matches!(follow.next().await, Err(ClientError::Unauthenticated { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_silent_log_does_not_delay_changes_of_the_state() {
    let server = Server::default()
        .on(WATCH, |_: WatchActionDetailsRequest| {
            Ok(Answer::Stream(["RUNNING", "FAILED"].map(|phase| details(phase, 1)).to_vec()))
        })
        .on(TAIL, |_: TailLogsRequest| Ok(Answer::Never));
    assert_eq!(followed(&server).await, ["running 1", "failed 1"]);
}
