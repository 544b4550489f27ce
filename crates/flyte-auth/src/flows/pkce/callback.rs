//! The loopback listener that the browser returns to (RFC 8252 section 7.3).
//!
//! Any program may connect to a loopback port: a browser that requests a favicon, a port scanner, the script of another page. Only
//! a GET of the callback's path with this sign-in's state ends the wait. Everything else gets a short answer and changes nothing.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::SecretString;
use subtle::ConstantTimeEq as _;
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
};
use url::{Host, Url};

use super::page::{self, Page};
use crate::token::clean;

/// The longest query that is read, in bytes. Codes have a few hundred.
const MAX_QUERY_BYTES: usize = 16 * 1024;
/// The time that a connection has to send its request, so that idle connections end.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The time that the last page has to reach the browser.
const PAGE_TIMEOUT: Duration = Duration::from_secs(2);

/// The answer of the authorization server (RFC 6749 sections 4.1.2 and 4.1.2.1).
#[derive(Debug)]
pub struct Answer {
    /// The code, or the refusal.
    pub code: Result<SecretString, Refusal>,
    /// `iss` (RFC 9207).
    pub issuer: Option<String>,
}

/// Why the authorization server gave no code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The `error` code.
    pub error: String,
    /// The `error_description`.
    pub description: Option<String>,
}

/// Reads the query of a callback; `None` unless it answers the request with this `state`. A repeated parameter makes the query
/// invalid (RFC 6749 section 3.1).
#[must_use]
pub fn parse_answer(query: &str, state: &str) -> Option<Answer> {
    if query.len() > MAX_QUERY_BYTES {
        return None;
    }
    let mut found: [Option<String>; 5] = Default::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let slot = match name.as_ref() {
            "code" => 0,
            "state" => 1,
            "error" => 2,
            "error_description" => 3,
            "iss" => 4,
            _ => continue,
        };
        if found[slot].replace(value.into_owned()).is_some() {
            return None;
        }
    }
    let [code, given_state, error, description, issuer] = found;
    if !bool::from(given_state?.as_bytes().ct_eq(state.as_bytes())) {
        return None;
    }
    let code = match (code, error) {
        (None, Some(error)) => {
            Err(Refusal { error: clean(&error), description: description.as_deref().map(clean) })
        }
        (Some(code), None) if !code.is_empty() => Ok(SecretString::from(code)),
        _ => return None,
    };
    Some(Answer { code, issuer })
}

/// A bound port that does not answer yet.
pub(super) struct Listener(Vec<TcpListener>);

impl Listener {
    /// Binds the address of the redirect URI. For `localhost`, that is both loopback addresses.
    pub(super) async fn bind(redirect_uri: &Url) -> io::Result<Self> {
        let port = redirect_uri.port_or_known_default().unwrap_or_default();
        Self::bind_port(redirect_uri, port).await
    }

    /// Binds a free port, and returns the redirect URI with that port.
    pub(super) async fn bind_any(redirect_uri: &Url) -> io::Result<(Self, Url)> {
        let listener = Self::bind_port(redirect_uri, 0).await?;
        let port = match listener.0.first() {
            Some(first) => first.local_addr()?.port(),
            None => return Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        let mut redirect_uri = redirect_uri.clone();
        redirect_uri.set_port(Some(port)).map_err(|()| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok((listener, redirect_uri))
    }

    async fn bind_port(redirect_uri: &Url, port: u16) -> io::Result<Self> {
        match redirect_uri.host() {
            Some(Host::Ipv4(address)) if address.is_loopback() => {
                Ok(Self(vec![TcpListener::bind((address, port)).await?]))
            }
            Some(Host::Ipv6(address)) if address.is_loopback() => {
                Ok(Self(vec![TcpListener::bind((address, port)).await?]))
            }
            Some(Host::Domain("localhost")) => {
                let v4 = TcpListener::bind(("127.0.0.1", port)).await?;
                let port = v4.local_addr()?.port();
                match TcpListener::bind(("::1", port)).await {
                    Ok(v6) => Ok(Self(vec![v4, v6])),
                    // Browsers try ::1 first: if another program listens there, it would get the code.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
                    // This machine has no IPv6.
                    Err(_) => Ok(Self(vec![v4])),
                }
            }
            // Codes must come back to this machine.
            _ => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// Starts to answer requests.
    pub(super) fn listen(self, path: String, state: String) -> Callbacks {
        let (sender, receiver) = mpsc::channel(1);
        let expected = Arc::new(Expected { path, state, answers: sender, delivered: Notify::new() });
        let mut listeners = JoinSet::new();
        for listener in self.0 {
            let expected = Arc::clone(&expected);
            listeners.spawn(async move {
                let mut connections = JoinSet::new();
                loop {
                    let Ok((stream, _)) = listener.accept().await else { continue };
                    let expected = Arc::clone(&expected);
                    connections.spawn(async move {
                        let took_part = AtomicBool::new(false);
                        let service = service_fn(|request| expected.answer(request, &took_part));
                        let _ = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .header_read_timeout(REQUEST_TIMEOUT)
                            .max_buf_size(MAX_QUERY_BYTES * 2)
                            .keep_alive(false)
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                        if took_part.into_inner() {
                            expected.delivered.notify_one();
                        }
                    });
                    while connections.try_join_next().is_some() {}
                }
            });
        }
        Callbacks { answers: receiver, expected, _listeners: listeners }
    }
}

/// The request that the listener waits for.
struct Expected {
    path: String,
    state: String,
    answers: mpsc::Sender<(Answer, oneshot::Sender<Page>)>,
    /// Notified when the connection that brought the answer has received its page.
    delivered: Notify,
}

impl Expected {
    async fn answer(
        &self,
        request: Request<Incoming>,
        took_part: &AtomicBool,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(respond(self.page(&request, took_part).await))
    }

    async fn page(&self, request: &Request<Incoming>, took_part: &AtomicBool) -> Page {
        if request.method() != Method::GET || request.uri().path() != self.path {
            return page::unrelated();
        }
        let Some(answer) = parse_answer(request.uri().query().unwrap_or_default(), &self.state) else {
            return page::stale();
        };
        let (sender, receiver) = oneshot::channel();
        // The channel holds one answer: a second one (a reloaded tab) does not fit.
        if self.answers.try_send((answer, sender)).is_err() {
            return page::stale();
        }
        took_part.store(true, Ordering::Relaxed);
        receiver.await.unwrap_or_else(|_| page::stale())
    }
}

fn respond(page: Page) -> Response<Full<Bytes>> {
    let style = STANDARD.encode(digest::digest(&digest::SHA256, page::CSS.as_bytes()));
    let policy =
        format!("default-src 'none'; style-src 'sha256-{style}'; frame-ancestors 'none'; base-uri 'none'");
    let mut response = Response::new(Full::new(Bytes::from(page.html)));
    *response.status_mut() = hyper::StatusCode::from_u16(page.status).unwrap_or_default();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONNECTION, "close"),
    ] {
        if let Ok(value) = header::HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    response
}

/// The incoming answers. Dropping it frees the port.
pub(super) struct Callbacks {
    answers: mpsc::Receiver<(Answer, oneshot::Sender<Page>)>,
    expected: Arc<Expected>,
    /// Ends the listeners and their connections when dropped.
    _listeners: JoinSet<()>,
}

impl Callbacks {
    /// Waits for the next answer, and returns it with a channel for the page that its browser shows.
    pub(super) async fn next(&mut self) -> Option<(Answer, oneshot::Sender<Page>)> {
        self.answers.recv().await
    }

    /// Gives the last page time to reach the browser.
    pub(super) async fn finish(self) {
        let _ = tokio::time::timeout(PAGE_TIMEOUT, self.expected.delivered.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn only_an_answer_to_this_sign_in_is_accepted() {
        let code = |query: &str| {
            parse_answer(query, "s").map(|answer| answer.code.map(|code| code.expose_secret().to_owned()))
        };
        assert_eq!(code("code=c&state=s&extra=1"), Some(Ok("c".to_owned())));
        for none in [
            "",
            "code=c",
            "state=s",
            "code=c&state=x",
            "code=&state=s",
            "code=c&code=d&state=s",
            "code=c&error=e&state=s",
        ] {
            assert_eq!(code(none), None, "{none}");
        }
        let refusal =
            parse_answer("error=access_denied&error_description=no%0Away&state=s&iss=i", "s").unwrap();
        assert_eq!(refusal.issuer.as_deref(), Some("i"));
        assert_eq!(
            refusal.code.unwrap_err(),
            Refusal { error: "access_denied".to_owned(), description: Some("noway".to_owned()) }
        );
    }

    #[tokio::test]
    async fn other_requests_change_nothing_and_the_answer_gets_its_page() {
        let (listener, uri) =
            Listener::bind_any(&Url::parse("http://localhost:53593/callback").unwrap()).await.unwrap();
        let mut callbacks = listener.listen("/callback".to_owned(), "right".to_owned());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = uri.as_str().trim_end_matches("/callback").to_owned();
        // A silent connection does not block others.
        let silent = tokio::net::TcpStream::connect(uri.socket_addrs(|| None).unwrap()[0]).await.unwrap();
        for (path, status) in
            [("/favicon.ico", 404), ("/callback?code=c&state=wrong", 400), ("/callback", 400), ("/", 404)]
        {
            assert_eq!(http.get(format!("{base}{path}")).send().await.unwrap().status(), status, "{path}");
        }
        let post = http.post(format!("{base}/callback?code=c&state=right")).send().await.unwrap();
        assert_eq!(post.status(), 404);

        let browser = tokio::spawn({
            let (http, base) = (http.clone(), base.clone());
            async move { http.get(format!("{base}/callback?code=c&state=right")).send().await.unwrap() }
        });
        let (answer, page) = callbacks.next().await.unwrap();
        assert_eq!(answer.code.unwrap().expose_secret(), "c");
        page.send(page::signed_in()).unwrap();
        callbacks.finish().await;
        let response = browser.await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(
            response.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'")
        );
        assert!(response.text().await.unwrap().contains("You are signed in"));
        drop(silent);
    }

    proptest! {
        #[test]
        fn no_query_panics_or_passes_without_the_state(query in "\\PC{0,300}") {
            prop_assert!(parse_answer(&query, "an-unguessable-state").is_none());
        }
    }
}
