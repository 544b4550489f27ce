//! Calls about the same name wait for each other, so that what the backend was asked is still true when it gets the call.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};

use super::{
    PATIENCE,
    backend::{Backend, Exchange, answer},
    client::{Client, of_type},
    flyte::{CREATE_APP, CREATE_RUN, GET_APP, LIST_RUNS, forwarded, identifier_json},
    gateway::{Served, limited},
};

const JSON: &str = "application/json";

/// The field with the identifier in a request, and two identifiers with the same name for the backend.
fn same_names(path: &str) -> [Value; 2] {
    match path {
        CREATE_RUN => {
            ["development", "production"].map(|domain| json!({"runId": identifier_json("mine", domain, "r")}))
        }
        CREATE_APP => [("x", "a-mine-b"), ("x-mine-a", "b")].map(
            |(name, domain)| json!({"app": {"metadata": {"id": identifier_json("mine", domain, name)}}}),
        ),
        path => panic!("{path}"),
    }
}

/// A backend that creates things only when it may.
async fn slow() -> (Backend, watch::Sender<bool>) {
    let (go, gone) = watch::channel(false);
    let created = Arc::new(Mutex::new(None::<Value>));
    let backend = Backend::new(move |mut exchange: Exchange| {
        let (mut gone, created) = (gone.clone(), Arc::clone(&created));
        async move {
            let path = exchange.head.uri.path().to_owned();
            let body = exchange.read().await.unwrap_or_default();
            let there = created.lock().unwrap().clone();
            let json = match (path.as_str(), there) {
                (CREATE_RUN | CREATE_APP, _) => {
                    let _ = gone.wait_for(|gone| *gone).await;
                    let request: Value = serde_json::from_slice(&body).unwrap();
                    *created.lock().unwrap() = Some(request);
                    json!({})
                }
                (GET_APP, Some(request)) => request,
                (GET_APP, None) => {
                    let response = Response::builder().status(404).body(()).unwrap();
                    let _ = exchange.respond.send_response(response, true);
                    return;
                }
                (LIST_RUNS, Some(request)) => {
                    json!({"runs": [{"action": {"id": {"run": request["runId"]}}}]})
                }
                (LIST_RUNS, None) => json!({}),
                (path, _) => panic!("{path} was asked"),
            };
            if exchange
                .respond
                .poll_reset(&mut std::task::Context::from_waker(std::task::Waker::noop()))
                .is_pending()
            {
                answer(&mut exchange, json.to_string().into());
            }
        }
    })
    .await;
    (backend, go)
}

#[tokio::test]
async fn a_name_is_not_taken_while_another_call_takes_it() {
    for path in [CREATE_RUN, CREATE_APP] {
        for goes_away in [false, true] {
            let (backend, go) = slow().await;
            let served = Served::with(backend.address, limited("mine"), |_| {}).await;
            let client = Client::new(served.address).await;
            let [first, second] = same_names(path).map(|request| Bytes::from(request.to_string()));
            let (first_answer, mut first_request) = client.start(path, &of_type(JSON)).await;
            first_request.send_data(first, true).unwrap();
            while forwarded(&backend).is_empty() {
                tokio::task::yield_now().await;
            }
            if goes_away {
                first_request.send_reset(h2::Reason::CANCEL);
            }
            let (second_answer, mut second_request) = client.start(path, &of_type(JSON)).await;
            second_request.send_data(second, true).unwrap();
            let both = async {
                while forwarded(&backend).len() < 2 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            // It would come at once.
            assert!(timeout(Duration::from_millis(200), both).await.is_err(), "{path} {goes_away}");
            go.send(true).unwrap();
            let second = timeout(PATIENCE, second_answer).await.unwrap().unwrap();
            assert_eq!(second.status(), 409, "{path} {goes_away}");
            if !goes_away {
                let first = timeout(PATIENCE, first_answer).await.unwrap().unwrap();
                assert_eq!(first.status(), 200, "{path}");
            }
            assert_eq!(forwarded(&backend), [path]);
        }
    }
}

#[tokio::test]
async fn a_request_that_does_not_end_keeps_no_name_from_others() {
    for path in [CREATE_RUN, CREATE_APP] {
        let (backend, go) = slow().await;
        go.send(true).unwrap();
        let served = Served::with(backend.address, limited("mine"), |_| {}).await;
        let client = Client::new(served.address).await;
        let [first, second] = same_names(path).map(|request| super::frame(0, request.to_string().as_bytes()));
        let (answer, mut request) = client.start(path, &of_type("application/grpc+json")).await;
        request.send_data(first.clone(), false).unwrap();
        let [_, own] = same_names(path);
        let got = client.call(path, &of_type(JSON), own.to_string()).await;
        assert_eq!(got.status, 200, "{path}: {got:?}");
        request.send_data(Bytes::new(), true).unwrap();
        let got = Client::head(answer, request).await.finish().await;
        assert_eq!(got.grpc_status(), Some("6"), "{path}: {got:?}");
        // Two messages are none that could be judged as one.
        let both = [first, second].concat();
        let got = client.call(path, &of_type("application/grpc+json"), both).await;
        assert_eq!(got.grpc_status(), Some("3"), "{path}: {got:?}");
        assert_eq!(forwarded(&backend), [path]);
    }
}
