//! The API server, as far as this crate uses it. Each request has a time limit; watches have their own.

use std::{path::Path, time::Duration};

use futures_util::{Stream, StreamExt as _};
use http::Request;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    core::WatchEvent,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The maximum time of a request that is not a watch, and of the head of a watch's answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The status of a watch whose version is too old (Kubernetes API concepts, "410 Gone responses").
const GONE: u16 = 410;
/// The page size of lists.
const PAGE: u32 = 500;

/// The reason why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The settings for the connection cannot be used.
    #[error("the connection to the API server cannot be set up: {0}")]
    Settings(String),
    /// The API server did not answer in time.
    #[error("the API server did not answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// The version of the watch is too old: list again.
    #[error("the API server no longer has the version that the watch began with")]
    Gone,
    /// The service account of this server may not do this.
    #[error("the API server refused {path}: {message}; check the Role of this server's service account")]
    Forbidden {
        /// The path of the request.
        path: String,
        /// The message of the API server.
        message: String,
    },
    /// The request failed.
    #[error("{path}: {message}")]
    Failed {
        /// The path of the request.
        path: String,
        /// The reason.
        message: String,
    },
}

/// A page of a list.
#[derive(Debug, Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMeta,
    items: Vec<T>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

/// A list, and the version from which a watch continues it.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    /// The objects.
    pub(crate) items: Vec<T>,
    /// `metadata.resourceVersion` of the list.
    pub(crate) version: String,
}

/// The client of the API server.
#[derive(Clone)]
pub(crate) struct ApiServer(Client);

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiServer")
    }
}

impl ApiServer {
    /// Prepares the client: with the service account of this pod, or with a file in the form of `~/.kube/config`. It sends
    /// nothing yet.
    ///
    /// # Errors
    /// [`ApiError::Settings`].
    pub(crate) async fn new(kubeconfig: Option<&Path>) -> Result<Self, ApiError> {
        let settings = |error: &dyn std::error::Error| ApiError::Settings(error.to_string());
        let mut config = match kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|error| settings(&error))?;
                let options = KubeConfigOptions::default();
                Config::from_custom_kubeconfig(file, &options).await.map_err(|error| settings(&error))?
            }
            None => Config::incluster().map_err(|error| settings(&error))?,
        };
        config.connect_timeout = Some(TIMEOUT);
        // A failed request is repeated when its result is needed again, within the limits of this crate.
        config.default_retry = false;
        Ok(Self(Client::try_from(config).map_err(|error| settings(&error))?))
    }

    /// The namespace of this server's service account, or of the context in the file.
    pub(crate) fn default_namespace(&self) -> &str {
        self.0.default_namespace()
    }

    /// Gets a document that is not an API object.
    pub(crate) async fn text(&self, path: &str) -> Result<String, ApiError> {
        let request = get(path)?;
        within(self.0.request_text(request)).await?.map_err(|error| failed(path, error))
    }

    /// Gets an object; `None` if it does not exist.
    pub(crate) async fn object<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ApiError> {
        let request = get(path)?;
        match within(self.0.request(request)).await? {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(failed(path, error)),
        }
    }

    /// Creates an object and returns it with what the API server has added.
    pub(crate) async fn create<T: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        object: &T,
    ) -> Result<R, ApiError> {
        let body = serde_json::to_vec(object).map_err(|error| wrong(path, &error))?;
        let request = Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| wrong(path, &error))?;
        within(self.0.request(request)).await?.map_err(|error| failed(path, error))
    }

    /// Lists all objects of a collection. `selector` is a label selector, or empty.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        selector: &str,
    ) -> Result<Listed<T>, ApiError> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let url = format!("{path}?limit={PAGE}&labelSelector={selector}&continue={}", encoded(&next));
            let request = get(&url)?;
            let page: Page<T> =
                within(self.0.request(request)).await?.map_err(|error| failed(path, error))?;
            items.extend(page.items);
            next = page.metadata.next;
            if next.is_empty() {
                return Ok(Listed { items, version: page.metadata.resource_version });
            }
        }
    }

    /// Watches a collection from a version on. The API server ends the watch after `seconds`.
    pub(crate) async fn watch<T>(
        &self,
        path: &str,
        selector: &str,
        version: &str,
        seconds: u32,
    ) -> Result<impl Stream<Item = Result<WatchEvent<T>, ApiError>> + Send + use<T>, ApiError>
    where
        T: DeserializeOwned + Clone + Send + 'static,
    {
        let url = format!(
            "{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&labelSelector={selector}\
             &resourceVersion={}",
            encoded(version)
        );
        let events = within(self.0.request_events::<T>(get(&url)?)).await?;
        let path = path.to_owned();
        let events = events.map_err(|error| failed(&path, error))?;
        Ok(events.map(move |event: kube::Result<_>| event.map_err(|error| failed(&path, error))))
    }
}

fn get(path: &str) -> Result<Request<Vec<u8>>, ApiError> {
    Request::get(path).body(Vec::new()).map_err(|error| wrong(path, &error))
}

async fn within<T>(request: impl Future<Output = T>) -> Result<T, ApiError> {
    tokio::time::timeout(TIMEOUT, request).await.map_err(|_| ApiError::TimedOut)
}

fn wrong(path: &str, error: &dyn std::error::Error) -> ApiError {
    ApiError::Failed { path: path.to_owned(), message: error.to_string() }
}

fn failed(path: &str, error: kube::Error) -> ApiError {
    match error {
        kube::Error::Api(status) if status.code == GONE => ApiError::Gone,
        kube::Error::Api(status) if status.code == 403 => {
            ApiError::Forbidden { path: path.to_owned(), message: status.message }
        }
        kube::Error::Api(status) => {
            ApiError::Failed { path: path.to_owned(), message: format!("{} {}", status.code, status.message) }
        }
        error => {
            let mut last: &dyn std::error::Error = &error;
            while let Some(source) = last.source() {
                last = source;
            }
            wrong(path, last)
        }
    }
}

/// Returns a text with everything but unreserved characters encoded (RFC 3986 section 2.1).
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
