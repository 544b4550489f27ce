//! Reads from a response whether the server accepted the token, in each of the three protocols.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::StepUp;

/// The flag of the message that ends a stream of the Connect protocol.
const END_STREAM: u8 = 0b10;
/// The length of the prefix of each message of a stream: a flag, and the message's length in four bytes.
const PREFIX_LEN: usize = 5;
/// The longest end-of-stream message that is read, in bytes.
const MAX_END_BYTES: usize = 64 * 1024;

/// The server's verdict on the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server accepted it, as far as the response shows.
    Accepted,
    /// The server rejected it.
    Rejected,
    /// The server accepted it, but the person has to sign in again for this call. A refresh does not help.
    StepUp(StepUp),
}

impl Verdict {
    fn rejected_if(rejected: bool) -> Self {
        if rejected { Self::Rejected } else { Self::Accepted }
    }
}

/// Reads the verdict, and returns it with the unchanged response.
///
/// A rejection is HTTP 401 (also for unary calls of the Connect protocol), or gRPC's status 16 in the headers. In a stream, the
/// rejection may be in the first frame (Connect's end-of-stream message, gRPC's trailers), so this function waits for that frame.
pub(super) async fn read(response: Response<reqwest::Body>) -> (Verdict, Response<reqwest::Body>) {
    if let Some(step_up) = StepUp::of(response.headers()) {
        return (Verdict::StepUp(step_up), response);
    }
    if response.status() == StatusCode::UNAUTHORIZED
        || response.headers().get("grpc-status").is_some_and(|status| status == "16")
    {
        return (Verdict::Rejected, response);
    }
    let kind =
        response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let connect = kind.starts_with("application/connect+");
    if !connect && !kind.starts_with("application/grpc") {
        return (Verdict::Accepted, response);
    }
    let (parts, mut body) = response.into_parts();
    let mut seen = Vec::new();
    let mut rejected = false;
    let mut start = Vec::new();
    while let Some(frame) = body.frame().await {
        let mut more = false;
        match &frame {
            Ok(frame) if frame.is_trailers() => {
                rejected = frame
                    .trailers_ref()
                    .and_then(|trailers| trailers.get("grpc-status"))
                    .is_some_and(|status| status == "16");
            }
            Ok(frame) if connect => {
                start.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                match ends_unauthenticated(&start) {
                    Some(verdict) => rejected = verdict,
                    None => more = true,
                }
            }
            _ => {}
        }
        seen.push(frame);
        if !more {
            break;
        }
    }
    seen.reverse();
    let verdict = Verdict::rejected_if(rejected);
    (verdict, Response::from_parts(parts, reqwest::Body::wrap(Resumed { seen, rest: body })))
}

/// Whether the first message of a Connect stream ends the stream with `unauthenticated`; `None` if more bytes are needed.
fn ends_unauthenticated(start: &[u8]) -> Option<bool> {
    #[derive(serde::Deserialize)]
    struct End {
        error: Option<Failure>,
    }
    #[derive(serde::Deserialize)]
    struct Failure {
        code: String,
    }
    let (prefix, message) = start.split_at_checked(PREFIX_LEN)?;
    let length = usize::try_from(u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]])).ok()?;
    if prefix[0] != END_STREAM || length > MAX_END_BYTES {
        return Some(false);
    }
    let end: Option<End> = serde_json::from_slice(message.get(..length)?).ok();
    Some(end.and_then(|end| end.error).is_some_and(|error| error.code == "unauthenticated"))
}

/// A body whose first frames were read.
struct Resumed {
    /// The read frames, in reverse order.
    seen: Vec<Result<Frame<Bytes>, reqwest::Error>>,
    rest: reqwest::Body,
}

impl Body for Resumed {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        match self.seen.pop() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.seen.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.seen.is_empty() { self.rest.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(flag: u8, text: &str) -> Vec<u8> {
        let mut bytes = vec![flag];
        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    async fn read_stream(kind: &str, chunks: Vec<Vec<u8>>) -> (bool, Vec<u8>) {
        let frames = chunks.into_iter().rev().map(|chunk| Ok(Frame::data(Bytes::from(chunk)))).collect();
        let body = reqwest::Body::wrap(Resumed { seen: frames, rest: reqwest::Body::from("") });
        let response = Response::builder().header("content-type", kind).body(body).unwrap();
        let (verdict, response) = read(response).await;
        (verdict == Verdict::Rejected, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    const UNAUTHENTICATED: &str = r#"{"error":{"code":"unauthenticated","message":"expired"}}"#;

    #[tokio::test]
    async fn a_stream_that_ends_unauthenticated_is_a_rejection_and_unchanged() {
        let end = message(END_STREAM, UNAUTHENTICATED);
        let kind = "application/connect+proto";
        for at in 0..end.len() {
            let chunks = vec![end[..at].to_vec(), end[at..].to_vec()];
            assert_eq!(read_stream(kind, chunks).await, (true, end.clone()), "split at {at}");
        }
        let denied = message(END_STREAM, r#"{"error":{"code":"permission_denied"}}"#);
        assert_eq!(read_stream(kind, vec![denied.clone()]).await, (false, denied));
        let data = [message(0, "data"), end.clone()].concat();
        assert_eq!(
            read_stream(kind, vec![data.clone()]).await,
            (false, data),
            "the stream has begun and must not be repeated"
        );
        assert_eq!(read_stream("application/proto", vec![end.clone()]).await, (false, end));
    }

    #[tokio::test]
    async fn a_step_up_is_not_a_rejection_of_the_token() {
        for (status, grpc) in [(401, None), (200, Some("16"))] {
            let challenge = "Bearer error=\"insufficient_user_authentication\", max_age=\"900\"";
            let mut response = Response::builder()
                .status(status)
                .header("www-authenticate", challenge)
                .body("".into())
                .unwrap();
            if let Some(status) = grpc {
                response.headers_mut().insert("grpc-status", http::HeaderValue::from_static(status));
            }
            let expected = StepUp::within(std::time::Duration::from_secs(900));
            assert_eq!(read(response).await.0, Verdict::StepUp(expected));
        }
    }

    #[tokio::test]
    async fn the_trailers_of_grpc_are_read() {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("16"));
        let body = Resumed { seen: vec![Ok(Frame::trailers(trailers))], rest: reqwest::Body::from("") };
        let response = Response::builder()
            .header("content-type", "application/grpc+proto")
            .body(reqwest::Body::wrap(body))
            .unwrap();
        let (verdict, response) = read(response).await;
        assert_eq!(verdict, Verdict::Rejected);
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "16");
    }

    proptest! {
        #[test]
        fn no_start_of_a_stream_panics(start in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = ends_unauthenticated(&start);
        }
    }
}
