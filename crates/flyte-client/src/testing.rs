//! A fake server for tests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use buffa::Message;
use bytes::Bytes;
use connectrpc::ErrorCode;
use connectrpc::client::{ClientBody, ServiceTransport};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};

use crate::client::Client;
use crate::transport::Transport;

type Handler = Box<dyn Fn(&[u8]) -> Result<Answer, ErrorCode> + Send + Sync>;

/// An answer: one message, or a stream of messages.
pub(crate) enum Answer {
    One(Vec<u8>),
    Stream(Vec<Vec<u8>>),
    /// A stream whose connection breaks after these messages.
    Cut(Vec<Vec<u8>>),
    /// A stream that ends with an error after these messages.
    Failed(Vec<Vec<u8>>, ErrorCode),
    /// No answer.
    Never,
}

impl Answer {
    pub(crate) fn one(message: &impl Message) -> Self {
        Self::One(message.encode_to_vec())
    }
}

/// A server with a handler for each method. It records the calls.
#[derive(Clone, Default)]
pub(crate) struct Server {
    /// The `Date` of each answer.
    pub(crate) date: Option<&'static str>,
    handlers: Arc<Mutex<BTreeMap<String, Handler>>>,
    pub(crate) calls: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Sets the handler of a method, for example `flyteidl2.workflow.RunService/GetRunDetails`.
    pub(crate) fn on<M: Message + Default>(
        self,
        method: &str,
        answer: impl Fn(M) -> Result<Answer, ErrorCode> + Send + Sync + 'static,
    ) -> Self {
        let handler: Handler = Box::new(move |body| answer(M::decode_from_slice(body).unwrap()));
        self.handlers.lock().unwrap().insert(format!("/{method}"), handler);
        self
    }

    /// A client of this server in the organization `acme`.
    pub(crate) fn client(&self) -> Client<impl Transport> {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<ClientBody>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let client = Client::new(ServiceTransport::new(service), "https://localhost:1".parse().unwrap());
        client.unwrap().with_org(Some("acme".into()))
    }

    async fn answer(&self, request: Request<ClientBody>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let streaming = request.headers()["content-type"].to_str().unwrap().contains("connect+");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let message = if streaming { &body[5..] } else { &body[..] };
        self.calls.lock().unwrap().push(path.clone());
        let answer = {
            let handlers = self.handlers.lock().unwrap();
            handlers.get(&path).map_or(Err(ErrorCode::Unimplemented), |handler| handler(message))
        };
        let (status, content_type, body) = match answer {
            Ok(Answer::One(message)) => (200, "application/proto", message),
            Ok(Answer::Stream(messages)) => {
                let mut body: Vec<u8> = messages.iter().flat_map(|message| envelope(0, message)).collect();
                body.extend(envelope(2, b"{}"));
                (200, "application/connect+proto", body)
            }
            Ok(Answer::Cut(messages)) => {
                let body = messages.iter().flat_map(|message| envelope(0, message)).collect();
                (200, "application/connect+proto", body)
            }
            Ok(Answer::Failed(messages, code)) => {
                let mut body: Vec<u8> = messages.iter().flat_map(|message| envelope(0, message)).collect();
                let end = format!(r#"{{"error":{{"code":"{}","message":"told so"}}}}"#, code.as_str());
                body.extend(envelope(2, end.as_bytes()));
                (200, "application/connect+proto", body)
            }
            Ok(Answer::Never) => std::future::pending().await,
            Err(code) if streaming => {
                let error = format!(r#"{{"error":{{"code":"{}","message":"told so"}}}}"#, code.as_str());
                (200, "application/connect+proto", envelope(2, error.as_bytes()))
            }
            Err(code) => {
                let error = format!(r#"{{"code":"{}","message":"told so"}}"#, code.as_str());
                (code.http_status().as_u16(), "application/json", error.into_bytes())
            }
        };
        let mut response = Response::builder().status(status).header("content-type", content_type);
        if let Some(date) = self.date {
            response = response.header("date", date);
        }
        response.body(Full::new(body.into())).unwrap()
    }
}

/// Frames a message of a stream (Connect protocol).
fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flags], &length[..], message].concat()
}
