//! A client on HTTP/2 that shows what it gets.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::SendRequest};
use http::{HeaderMap, Method, Request, StatusCode};
use tokio::{net::TcpStream, time::timeout};

use super::PATIENCE;

/// A connection.
#[derive(Clone)]
pub(super) struct Client {
    requests: SendRequest<Bytes>,
    address: SocketAddr,
}

/// What a client got.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: Option<HeaderMap>,
    /// `Err` if the stream was reset.
    pub(super) end: Result<(), h2::Error>,
}

impl Got {
    /// The status of gRPC, from the trailers or the headers.
    pub(super) fn grpc_status(&self) -> Option<&str> {
        let mut headers = [self.trailers.as_ref(), Some(&self.headers)].into_iter().flatten();
        headers.find_map(|headers| headers.get("grpc-status"))?.to_str().ok()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An answer that has begun.
pub(super) struct Open {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: RecvStream,
    pub(super) request: SendStream<Bytes>,
}

impl Open {
    /// The next data.
    pub(super) async fn data(&mut self) -> Option<Result<Bytes, h2::Error>> {
        let data = timeout(PATIENCE, self.body.data()).await.expect("data")?;
        if let Ok(data) = &data {
            let _ = self.body.flow_control().release_capacity(data.len());
        }
        Some(data)
    }

    /// Reads to the end.
    pub(super) async fn finish(mut self) -> Got {
        let (mut body, mut end, mut trailers) = (Vec::new(), Ok(()), None);
        while let Some(data) = self.data().await {
            match data {
                Ok(data) => body.extend_from_slice(&data),
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        if end.is_ok() {
            match timeout(PATIENCE, self.body.trailers()).await.expect("trailers") {
                Ok(got) => trailers = got,
                Err(error) => end = Err(error),
            }
        }
        Got { status: self.status, headers: self.headers, body: body.into(), trailers, end }
    }
}

impl Client {
    pub(super) async fn new(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        let (requests, connection) =
            h2::client::Builder::new().max_header_list_size(1 << 20).handshake(tcp).await.unwrap();
        tokio::spawn(connection);
        Self { requests, address }
    }

    /// Starts a request whose body is not complete.
    pub(super) async fn start(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        self.start_as(Method::POST, path, headers, false).await
    }

    pub(super) async fn start_as(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        is_complete: bool,
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut requests = self.requests.clone().ready().await.unwrap();
        requests.send_request(request.body(()).unwrap(), is_complete).unwrap()
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn open(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Open {
        let (answer, mut request) = self.start(path, headers).await;
        request.send_data(body, true).unwrap();
        Self::head(answer, request).await
    }

    /// Waits for the head of an answer.
    pub(super) async fn head(answer: h2::client::ResponseFuture, request: SendStream<Bytes>) -> Open {
        let answer = timeout(PATIENCE, answer).await.expect("an answer").unwrap();
        let (head, body) = answer.into_parts();
        Open { status: head.status, headers: head.headers, body, request }
    }

    /// Sends a request and reads the answer. A reset may overtake the head.
    pub(super) async fn call(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Got {
        let (answer, mut request) = self.start(path, headers).await;
        request.send_data(body.into(), true).unwrap();
        match timeout(PATIENCE, answer).await.expect("an answer") {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                Open { status: head.status, headers: head.headers, body, request }.finish().await
            }
            Err(error) => Got {
                status: StatusCode::default(),
                headers: HeaderMap::new(),
                body: Bytes::new(),
                trailers: None,
                end: Err(error),
            },
        }
    }
}

/// Headers of a call of this type.
pub(super) fn of_type(content_type: &str) -> [(&str, &str); 1] {
    [("content-type", content_type)]
}
