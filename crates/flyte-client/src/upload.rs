//! Uploads: the server says where, the content goes there by HTTP.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buffa_types::google::protobuf::Duration as WireDuration;
use bytes::Bytes;
use flyte_auth::{ConnectFailure, http::Http};
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::dataproxy::{
    CreateUploadLocationRequest, CreateUploadLocationResponse, DataProxyServiceClient,
};
use futures_util::stream;
use md5::{Digest as _, Md5};
use reqwest::{Body, StatusCode, header};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::client::Transport;
use crate::error::ClientError;
use crate::place::Place;

/// What our server answers among the headers of an upload location where the same content is there already.
pub const PRESENT: &str = "x-flyte-present";
/// How long the place to upload to is asked for, in seconds. Servers give no more than an hour.
const LIFE: i64 = 900;
/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(600);
/// How long is waited before the second attempt; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is tried.
const ATTEMPTS: u32 = 4;
/// How much of a file is read at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// Why something was not uploaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The server gave no place for it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The place does not take it.
    #[error("{host} does not take {name} ({status}){message}")]
    Refused {
        /// Who answered.
        host: String,
        /// What was uploaded.
        name: String,
        /// The status.
        status: StatusCode,
        /// What it said, after a colon.
        message: String,
    },
    /// Nobody answers there.
    #[error("no answer from {host}: {message}")]
    Unavailable {
        /// Who was asked.
        host: String,
        /// What happened.
        message: String,
    },
}

/// What is uploaded.
#[derive(Clone, Debug)]
pub enum Content {
    /// What is in memory.
    Bytes(Bytes),
    /// A file, read as it is sent.
    File(PathBuf),
}

/// Where something is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Its address for tasks, such as `s3://bucket/key`.
    pub native_url: String,
    /// Whether it was there before, so that nothing was sent.
    pub was_there: bool,
}

/// Called with how many bytes more were sent.
pub type Progress = std::sync::Arc<dyn Fn(u64) + Send + Sync>;

/// Uploads through `flyteidl2.dataproxy.DataProxyService`.
#[derive(Clone)]
pub struct Uploads<T> {
    service: DataProxyServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Uploads<T> {
    pub(crate) fn new(service: DataProxyServiceClient<T>, endpoint: Endpoint, org: Option<String>) -> Self {
        Self { service, endpoint, org }
    }

    /// Uploads `content` as a file of this name. `http` knows the proxies, and whom to trust where the control plane
    /// itself takes the content and where another server does.
    ///
    /// # Errors
    /// [`UploadError`]; what can go away by itself is tried four times.
    pub async fn upload(
        &self,
        place: &Place,
        name: &str,
        content: &Content,
        http: &Http,
        progress: Progress,
    ) -> Result<Uploaded, UploadError> {
        let (md5, length) = digest(content).await?;
        let mut pause = PAUSE;
        for attempt in 1.. {
            let location = self.location(place, name, md5, length).await?;
            let native_url = location.native_url.clone();
            if location.headers.contains_key(PRESENT) {
                return Ok(Uploaded { native_url, was_there: true });
            }
            match self.put(name, content, &location, md5, length, http, &progress).await {
                Ok(()) => return Ok(Uploaded { native_url, was_there: false }),
                Err(error) if attempt >= ATTEMPTS || !error.may_go_away() => return Err(error),
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    async fn location(
        &self,
        place: &Place,
        name: &str,
        md5: [u8; 16],
        length: u64,
    ) -> Result<CreateUploadLocationResponse, ClientError> {
        let request = CreateUploadLocationRequest {
            project: place.project.clone(),
            domain: place.domain.clone(),
            org: self.org.clone().unwrap_or_default(),
            filename: name.to_owned(),
            expires_in: WireDuration { seconds: LIFE, ..Default::default() }.into(),
            content_md5: md5.to_vec(),
            content_length: i64::try_from(length).unwrap_or_default(),
            add_content_md5_metadata: true,
            ..Default::default()
        };
        let answer = self.service.create_upload_location(request).await;
        Ok(answer.map_err(|error| ClientError::from_connect(error, &self.endpoint))?.into_owned())
    }

    #[allow(clippy::too_many_arguments, reason = "one attempt of the above")]
    async fn put(
        &self,
        name: &str,
        content: &Content,
        location: &CreateUploadLocationResponse,
        md5: [u8; 16],
        length: u64,
        http: &Http,
        progress: &Progress,
    ) -> Result<(), UploadError> {
        let url: reqwest::Url = location.signed_url.parse().map_err(|_| ClientError::Server {
            code: "internal",
            message: "the place to upload to is no URL".to_owned(),
        })?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let client = http
            .client_for(&url)
            .map_err(|error| UploadError::Unavailable { host: host.clone(), message: error.to_string() })?;
        let asked = url.clone();
        let mut request = client
            .put(url)
            .timeout(TIMEOUT)
            .header("content-md5", STANDARD.encode(md5))
            .header(header::CONTENT_LENGTH, length)
            .header(header::CONTENT_TYPE, "application/octet-stream");
        if location.native_url.starts_with("abfs") {
            request = request.header("x-ms-blob-type", "BlockBlob");
        }
        for (name, value) in &location.headers {
            request = request.header(name, value);
        }
        let sent = request.body(body(content, progress.clone()).await?).send().await;
        let response = sent.map_err(|error| UploadError::Unavailable {
            host: host.clone(),
            message: match http.failure(&asked, &error) {
                // The address is a secret: whoever has it may upload there.
                ConnectFailure::Other(_) => chain(&error.without_url()),
                failure => failure.to_string(),
            },
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let text = response.text().await.unwrap_or_default();
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
        let message = if line.is_empty() { line } else { format!(": {line}") };
        Err(UploadError::Refused { host, name: name.to_owned(), status, message })
    }
}

impl UploadError {
    /// Whether it is worth another attempt, with another place to upload to.
    fn may_go_away(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Refused { status, message, .. } => {
                matches!(status.as_u16(), 408 | 429 | 500 | 502..=504)
                    // How object stores say that an upload has stalled.
                    || message.contains("RequestTimeout")
                    || message.to_ascii_lowercase().contains("expired")
            }
            Self::Client(_) | Self::Read { .. } => false,
        }
    }

    /// What the person can do next.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Client(error) => error.hint(),
            Self::Read { .. } => Some("Check that the file is there and readable"),
            Self::Refused { .. } => {
                Some("Run it again; if it stays, show the message to who runs the server's object store")
            }
            Self::Unavailable { .. } => {
                Some("Check the network, and that the object store of the server can be reached from here")
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

/// MD5 and length of a content.
async fn digest(content: &Content) -> Result<([u8; 16], u64), UploadError> {
    let path = match content {
        Content::Bytes(bytes) => return Ok((Md5::digest(bytes).into(), bytes.len() as u64)),
        Content::File(path) => path,
    };
    let mut file = File::open(path).await.map_err(|error| unreadable(path, &error))?;
    let mut md5 = Md5::new();
    let mut length = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).await.map_err(|error| unreadable(path, &error))?;
        if read == 0 {
            return Ok((md5.finalize().into(), length));
        }
        md5.update(&chunk[..read]);
        length += read as u64;
    }
}

/// A request's body that tells how far it is.
async fn body(content: &Content, progress: Progress) -> Result<Body, UploadError> {
    match content {
        Content::Bytes(bytes) => {
            let chunks = stream::unfold(bytes.clone(), move |mut rest| {
                let progress = progress.clone();
                async move {
                    if rest.is_empty() {
                        return None;
                    }
                    let chunk = rest.split_to(rest.len().min(CHUNK));
                    progress(chunk.len() as u64);
                    Some((Ok::<_, std::io::Error>(chunk), rest))
                }
            });
            Ok(Body::wrap_stream(chunks))
        }
        Content::File(path) => {
            let file = File::open(path).await.map_err(|error| unreadable(path, &error))?;
            let chunks = stream::try_unfold(file, move |mut file| {
                let progress = progress.clone();
                async move {
                    let mut chunk = vec![0; CHUNK];
                    let read = file.read(&mut chunk).await?;
                    chunk.truncate(read);
                    progress(read as u64);
                    Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(chunk), file)))
                }
            });
            Ok(Body::wrap_stream(chunks))
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> UploadError {
    UploadError::Read { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests;
