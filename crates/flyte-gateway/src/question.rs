//! The gateway's own questions to a backend. Their answers reach no caller, so they carry no caller's identity.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    Upstream,
    upstream::{Answer, Outbound},
};

/// The longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes. It has specifications of tasks in it.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// The length of what is before a message in a stream, in bytes.
const HEAD: usize = 5;

/// A backend did not answer. The text is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unanswered(String);

impl Unanswered {
    /// The error if there is no backend of this name.
    pub(crate) fn unknown(name: &str) -> Self {
        Self(format!("there is no backend {name:?}"))
    }
}

impl Upstream {
    /// Asks a unary RPC, and returns the JSON of the answer; `None` if the backend says that something is not there.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(crate) async fn ask(&self, rpc: &str, question: &Value) -> Result<Option<Bytes>, Unanswered> {
        let body = Bytes::from(question.to_string());
        let asked = async {
            let answer = self.send_question(rpc, "application/json", body).await?;
            let status = answer.status();
            let collected = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
            let bytes = collected.map_err(|error| error.to_string())?.to_bytes();
            match status {
                StatusCode::OK => Ok(Some(bytes)),
                StatusCode::NOT_FOUND => Ok(None),
                status => Err(format!("it answered {status}")),
            }
        };
        self.in_time(rpc, asked).await
    }

    /// Asks a unary RPC that is expensive for the backend: only a few of these questions are open at the same time, and others wait,
    /// for as long as an answer may take.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(crate) async fn ask_rarely(&self, rpc: &str, question: &Value) -> Result<Option<Bytes>, Unanswered> {
        let admitted = async { self.expensive.acquire().await.map_err(|error| error.to_string()) };
        let _admitted = self.in_time(rpc, admitted).await?;
        self.ask(rpc, question).await
    }

    /// Asks an RPC that answers with a stream, and returns the JSON of the first message, without waiting for others; `None` if
    /// there is none.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(crate) async fn ask_first(&self, rpc: &str, question: &Value) -> Result<Option<Bytes>, Unanswered> {
        let question = question.to_string();
        let length = u32::try_from(question.len()).unwrap_or(u32::MAX);
        let body = [&[0], &length.to_be_bytes()[..], question.as_bytes()].concat();
        let asked = async {
            let answer = self.send_question(rpc, "application/connect+json", body.into()).await?;
            match answer.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(None),
                status => return Err(format!("it answered {status}")),
            }
            let mut body = answer.into_body();
            let mut read = Vec::new();
            loop {
                if let Some((head, rest)) = read.split_at_checked(HEAD) {
                    let [flags, length @ ..] = head else { return Ok(None) };
                    let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
                    if length > MAX_ANSWER_BYTES {
                        return Err("its answer is too large".to_owned());
                    }
                    if let Some(message) = rest.get(..length) {
                        // Other flags are those of the end. Nothing is compressed, because that was not asked for.
                        return Ok((*flags == 0).then(|| Bytes::copy_from_slice(message)));
                    }
                }
                let frame = body.frame().await.ok_or("its answer was cut off")?;
                if let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() {
                    read.extend_from_slice(&data);
                }
            }
        };
        self.in_time(rpc, asked).await
    }

    async fn send_question(
        &self,
        rpc: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<http::Response<Answer>, String> {
        let (scheme, authority) = self.base();
        let uri =
            Uri::builder().scheme(scheme).authority(authority).path_and_query(format!("/{rpc}")).build();
        let request = uri.and_then(|uri| {
            Request::builder()
                .method(Method::POST)
                .uri(uri)
                .header(header::CONTENT_TYPE, content_type)
                .header("connect-protocol-version", "1")
                .body(())
        });
        let request = request.map_err(|error| error.to_string())?;
        self.send(request, Outbound::whole(body)).await.map_err(|error| error.to_string())
    }

    async fn in_time<T>(
        &self,
        rpc: &str,
        asked: impl Future<Output = Result<T, String>>,
    ) -> Result<T, Unanswered> {
        let answer = timeout(TIMEOUT, asked).await;
        let answer = answer.unwrap_or_else(|_| Err("it did not answer in time".to_owned()));
        answer.map_err(|why| self.unanswered(rpc, &why))
    }

    /// The error if an answer says nothing.
    pub(crate) fn unanswered(&self, rpc: &str, why: &str) -> Unanswered {
        Unanswered(format!("the backend {:?} did not answer {rpc}: {why}", self.name()))
    }
}
