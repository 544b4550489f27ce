//! `WebSockets` (RFC 6455) of the console and of apps.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::cookies;
use flyte_access::OpenStream;
use flyte_model::Stopping;

/// A request that asks for a WebSocket.
pub(super) struct Handshake(OnUpgrade);

impl Handshake {
    /// Reads a request: `None` if it does not ask for another protocol.
    ///
    /// # Errors
    /// Why the request is refused: it asks for another protocol than `WebSockets`.
    pub(super) fn of(request: &mut Request<Body>) -> Result<Option<Self>, &'static str> {
        let mut asked = request.headers().get_all(header::UPGRADE).iter();
        let Some(protocol) = asked.next() else { return Ok(None) };
        let is_listed = request.headers().get_all(header::CONNECTION).iter().any(|value| {
            value
                .to_str()
                .is_ok_and(|text| text.split(',').any(|option| option.trim().eq_ignore_ascii_case("upgrade")))
        });
        let is_socket = asked.next().is_none()
            && protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
            && is_listed
            && request.method() == Method::GET
            && request.version() == Version::HTTP_11;
        if !is_socket {
            return Err("only WebSockets are upgraded");
        }
        Ok(Some(Self(hyper::upgrade::on(request))))
    }

    /// Asks the server for the same.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }

    /// Connects both sides until one of them ends, the caller loses access, or the server stops.
    pub(super) fn accept(
        self,
        mut answer: http::Response<Incoming>,
        mut open: OpenStream,
        stopping: Stopping,
    ) -> Response {
        let mut headers = HeaderMap::new();
        for (name, value) in answer.headers() {
            if name.as_str().starts_with("sec-websocket-") || name == header::SET_COOKIE {
                headers.append(name.clone(), value.clone());
            }
        }
        cookies::strip_response(&mut headers);
        self.ask(&mut headers);
        let server = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            let (browser, server) = match tokio::try_join!(self.0, server) {
                Ok(both) => both,
                Err(error) => return tracing::debug!(%error, "a WebSocket was not opened"),
            };
            let (mut browser, mut server) = (TokioIo::new(browser), TokioIo::new(server));
            tokio::select! {
                biased;
                // Both connections are closed: a browser connects again, and is asked to sign in.
                why = open.ended() => tracing::debug!(%why, "a WebSocket was closed"),
                () = stopping.stopped() => {}
                copied = copy_bidirectional(&mut browser, &mut server) => {
                    if let Err(error) = copied {
                        tracing::debug!(%error, "a WebSocket ended");
                    }
                }
            }
        });
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        *response.headers_mut() = headers;
        response
    }
}
