//! Sessions: the login of one control plane, and calls to it.

use std::sync::{Arc, Mutex, PoisonError};

use connectrpc::client::CallOptions;
use flyte_auth::api_key::ApiKey;
use flyte_auth::oauth::ClientId;
use flyte_auth::{AccessToken, Session as Login, SessionOptions, Transport};
use flyte_client::Client;
use flyte_client::raw::RawCalls;
use flyte_config::{AuthType, Config};
use http::{HeaderName, HeaderValue};
use pyo3::prelude::*;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::awaiting::awaitable;
use crate::failure::Failure;
use crate::options::{Parameters, Secrets, Settings};
use crate::prompt::Prompt;
use crate::runtime::wait;
use crate::settings;
use crate::stream::Stream;
use crate::wire::Method;

/// The login of one control plane, and calls to it. Creating it uses neither the network nor the keyring.
#[pyclass(frozen, module = "flyte_auth._native")]
pub(crate) struct Session {
    options: SessionOptions,
    config: Config,
    prompt: Arc<Prompt>,
    /// What works in this process. The lock is only held while attached to the interpreter, so that no fork leaves it taken.
    live: Mutex<Option<Live>>,
}

/// A header with a token: its name, its value, and the token's expiry (Unix time in seconds) if it is known.
type Header = (String, String, Option<i64>);

/// A session in one process: a forked child has none of its parent's threads and connections.
#[derive(Clone)]
pub(crate) struct Live {
    process: u32,
    login: Arc<Login>,
    calls: RawCalls<Transport>,
    pub(crate) prompt: Arc<Prompt>,
}

#[pymethods]
impl Session {
    /// A session by these parameters, a JSON object. `show` is called with what a person is to be shown, as JSON.
    #[new]
    #[pyo3(signature = (parameters, *, api_key=None, client_secret=None, show=None, interactive=false))]
    fn new(
        parameters: &str,
        api_key: Option<String>,
        client_secret: Option<String>,
        show: Option<Py<PyAny>>,
        interactive: bool,
    ) -> PyResult<Self> {
        let parameters: Parameters = serde_json::from_str(parameters)
            .map_err(|error| Failure::argument(format!("the parameters of the session: {error}")))?;
        let secrets = Secrets {
            api_key: api_key.map(SecretString::from),
            client_secret: client_secret.map(SecretString::from),
        };
        let prompt = Prompt::new(show, interactive);
        let shown: Arc<Prompt> = Arc::clone(&prompt);
        let Settings { options, config } = parameters.settings(secrets, shown)?;
        Ok(Self { options, config, prompt, live: Mutex::new(None) })
    }

    /// The configuration in effect, as JSON (see `config`).
    fn config(&self) -> String {
        settings::text(&self.config)
    }

    /// Calls a method (`package.Service/Method`) with a request in proto-JSON and returns the answer in proto-JSON. Signs the
    /// user in if needed. `headers` are sent only with this call.
    ///
    /// Raises `CallError`, and `KeyboardInterrupt` at Ctrl-C, which ends the call.
    #[pyo3(signature = (method, request="{}", headers=None))]
    fn call(
        &self,
        py: Python<'_>,
        method: &str,
        request: &str,
        headers: Option<Vec<(String, String)>>,
    ) -> PyResult<String> {
        let live = self.live(py)?;
        let work = live.call(py, method, request, headers)?;
        wait(py, &live.prompt, work)
    }

    /// The same as an awaitable, for the running event loop.
    #[pyo3(signature = (method, request="{}", headers=None))]
    fn call_async<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        request: &str,
        headers: Option<Vec<(String, String)>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let live = self.live(py)?;
        let work = live.call(py, method, request, headers)?;
        awaitable(py, live.prompt, async move { work.await.map(Some) })
    }

    /// Calls a method that answers with a stream: an iterator, sync and async, of answers in proto-JSON. It is called when the
    /// first is asked for.
    #[pyo3(signature = (method, request="{}", headers=None))]
    fn stream(
        &self,
        py: Python<'_>,
        method: &str,
        request: &str,
        headers: Option<Vec<(String, String)>>,
    ) -> PyResult<Stream> {
        let live = self.live(py)?;
        let found = Method::find(py, method)?;
        if !found.streams {
            return Err(Failure::argument(format!("{method} answers once; it is called with call")).into());
        }
        let request = found.request(request)?;
        Ok(Stream::new(live.calls, live.prompt, found, request, call_options(headers)?))
    }

    /// An API key of this control plane as one string, of a client and the secret that it was just given.
    ///
    /// Raises `CallError` if that cannot be written as one string.
    fn api_key(&self, client_id: String, client_secret: String) -> PyResult<String> {
        let client_id = ClientId::parse(&client_id)
            .ok_or_else(|| Failure::argument("the client ID of the API key is empty"))?;
        let key = ApiKey {
            endpoint: self.options.endpoint.clone(),
            client_id,
            client_secret: SecretString::from(client_secret),
            org: self.config.task.org.clone(),
        };
        let text = key.encode().map_err(|error| Failure::from(&error))?;
        Ok(text.expose_secret().to_owned())
    }

    /// Makes sure that there is a token, and signs the user in if needed.
    ///
    /// Raises `CallError`.
    fn sign_in(&self, py: Python<'_>) -> PyResult<()> {
        let live = self.live(py)?;
        wait(py, &live.prompt, live.token())
    }

    /// The same as an awaitable, for the running event loop.
    fn sign_in_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let live = self.live(py)?;
        let token = live.token();
        awaitable(py, live.prompt, async move { token.await.map(Some) })
    }

    /// Returns the header that carries a valid token: its name, its value and the time at which the token expires (Unix time in
    /// seconds), if that is known. Signs the user in if needed. `None` if calls carry no token.
    ///
    /// Raises `CallError`.
    fn authorization(&self, py: Python<'_>) -> PyResult<Option<Header>> {
        let live = self.live(py)?;
        wait(py, &live.prompt, live.authorization())
    }

    /// The same as an awaitable, for the running event loop.
    fn authorization_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let live = self.live(py)?;
        let work = live.authorization();
        awaitable(py, live.prompt, async move { work.await.map(Some) })
    }

    /// Notes that the server rejected this token: it is not used again.
    fn reject(&self, py: Python<'_>, token: String) -> PyResult<()> {
        let login = self.live(py)?.login;
        py.detach(|| login.invalidate(&AccessToken::from_secret(SecretString::from(token))));
        Ok(())
    }

    /// Signs in, whatever tokens there are. A machine gets a new token.
    ///
    /// Raises `CallError`.
    fn login(&self, py: Python<'_>) -> PyResult<()> {
        let live = self.live(py)?;
        wait(py, &live.prompt, live.sign_in())
    }

    /// The same as an awaitable, for the running event loop.
    fn login_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let live = self.live(py)?;
        let work = live.sign_in();
        awaitable(py, live.prompt, async move { work.await.map(Some) })
    }

    /// Signs out: revokes the tokens at the server if it can be reached, and deletes them here. Returns the result as JSON.
    ///
    /// Raises `CallError` if they could not be deleted.
    fn logout(&self, py: Python<'_>) -> PyResult<String> {
        let live = self.live(py)?;
        wait(py, &live.prompt, live.sign_out())
    }

    /// The same as an awaitable, for the running event loop.
    fn logout_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let live = self.live(py)?;
        let work = live.sign_out();
        awaitable(py, live.prompt, async move { work.await.map(Some) })
    }

    /// Returns the status of the login as JSON, without secrets and without using the network.
    ///
    /// Raises `CallError` if the store cannot be read.
    fn status(&self, py: Python<'_>) -> PyResult<String> {
        let live = self.live(py)?;
        wait(py, &live.prompt, live.standing())
    }

    /// The same as an awaitable, for the running event loop.
    fn status_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let live = self.live(py)?;
        let work = live.standing();
        awaitable(py, live.prompt, async move { work.await.map(Some) })
    }
}

impl Session {
    /// Returns the parts for this process, and creates them if they do not exist yet.
    pub(crate) fn live(&self, py: Python<'_>) -> Result<Live, Failure> {
        let process = std::process::id();
        let mut held = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(live) if live.process == process => return Ok(live.clone()),
            _ => {}
        }
        let prompt = self.prompt.again(py);
        let shown: Arc<Prompt> = Arc::clone(&prompt);
        let options = SessionOptions { interaction: shown, ..self.options.clone() };
        let endpoint = options.endpoint.clone();
        let login = Login::new(options);
        let client = Client::new(Transport::new(Arc::clone(&login)), endpoint)
            .map_err(|error| Failure::from(&error))?;
        let live = Live { process, login, calls: client.raw(), prompt };
        // A parent's is kept without being used: dropping it would wait for its threads, which are not here.
        std::mem::forget(held.replace(live.clone()));
        Ok(live)
    }
}

impl Live {
    /// Makes sure that there is a token. Over plain HTTP none is sent, and with Passthrough the caller sends its own.
    fn token(&self) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let login = Arc::clone(&self.login);
        async move {
            let options = login.options();
            if options.endpoint.is_insecure() || options.auth_type == AuthType::Passthrough {
                return Ok(());
            }
            login.token().await.map(drop).map_err(|error| Failure::from(&error))
        }
    }

    fn authorization(&self) -> impl Future<Output = Result<Option<Header>, Failure>> + Send + 'static {
        let login = Arc::clone(&self.login);
        async move {
            let found = login.authorization().await.map_err(|error| Failure::from(&error))?;
            let Some(found) = found else { return Ok(None) };
            let value = found.value.to_str().map_err(|_| {
                Failure::argument("the access token has characters that a header cannot carry")
            })?;
            Ok(Some((found.name.to_string(), value.to_owned(), found.token.expires_at())))
        }
    }

    fn sign_in(&self) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let login = Arc::clone(&self.login);
        async move { login.login().await.map(drop).map_err(|error| Failure::from(&error)) }
    }

    fn sign_out(&self) -> impl Future<Output = Result<String, Failure>> + Send + 'static {
        let login = Arc::clone(&self.login);
        async move {
            let done = login.logout().await.map_err(|error| Failure::from(&error))?;
            Ok(json!({"was_signed_in": done.was_signed_in, "revoked": done.revoked}).to_string())
        }
    }

    fn standing(&self) -> impl Future<Output = Result<String, Failure>> + Send + 'static {
        let login = Arc::clone(&self.login);
        async move {
            let status = login.status().await.map_err(|error| Failure::from(&error))?;
            Ok(json!({
                "endpoint": login.options().endpoint.to_string(),
                "auth_type": login.options().auth_type.as_str(),
                "signed_in": status.signed_in,
                "kept_in": status.backend.to_string(),
                "expires_at": status.expires_at,
                "renews_itself": status.has_refresh_token,
                "issuer": status.issuer,
                "client_id": status.client_id,
                "subject": status.subject,
                "scopes": status.scopes,
            })
            .to_string())
        }
    }

    /// One call, not begun.
    fn call(
        &self,
        py: Python<'_>,
        name: &str,
        request: &str,
        headers: Option<Vec<(String, String)>>,
    ) -> Result<impl Future<Output = Result<String, Failure>> + Send + 'static, Failure> {
        let method = Method::find(py, name)?;
        if method.streams {
            return Err(Failure::argument(format!("{name} answers with a stream; it is called with stream")));
        }
        let request = method.request(request)?;
        let options = call_options(headers)?;
        let calls = self.calls.clone();
        Ok(async move {
            let answer = calls.unary(method.procedure, &request, options).await;
            method.answer(&answer.map_err(|error| Failure::call(&error, method.resource()))?)
        })
    }
}

/// Headers of one call. Their values may be secrets: they are in no error.
fn call_options(headers: Option<Vec<(String, String)>>) -> Result<CallOptions, Failure> {
    let mut options = CallOptions::default();
    for (name, value) in headers.unwrap_or_default() {
        let bad = |part: &str| Failure::argument(format!("the {part} of the header {name:?} cannot be sent"));
        let header = HeaderName::try_from(&name).map_err(|_| bad("name"))?;
        let mut value = HeaderValue::try_from(&value).map_err(|_| bad("value"))?;
        value.set_sensitive(true);
        options = options.with_header(header, value);
    }
    Ok(options)
}
