//! Uploads of code and files. The server names an upload location, and the client sends the content there over HTTP.

mod directory;

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

use crate::error::ClientError;
use crate::project_domain::ProjectDomain;
use crate::transport::Transport;

/// The header of an upload location that says that the server has the same content already. Only flyte-server sends it.
pub const PRESENT_HEADER: &str = "x-flyte-present";
/// The requested lifetime of an upload location, in seconds. Servers allow at most an hour.
const LOCATION_LIFETIME_SECONDS: i64 = 900;
/// The timeout of one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(600);
/// The pause before the second attempt. It doubles before each further attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The maximum number of attempts.
const MAX_ATTEMPTS: u32 = 4;
/// The size of the parts in which a file is read, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// Why an upload failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The server gave no upload location.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The directory has no files, and a directory is uploaded as its files.
    #[error("{} has no files", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// The object store refused the content.
    #[error("{host} rejected {name} ({status}){message}")]
    Refused {
        /// The host of the object store.
        host: String,
        /// The name of the uploaded file.
        name: String,
        /// The HTTP status.
        status: StatusCode,
        /// A colon and the message of the object store; empty if it sent none.
        message: String,
    },
    /// The object store does not answer.
    #[error("no answer from {host}: {message}")]
    Unavailable {
        /// The host of the object store.
        host: String,
        /// The reason.
        message: String,
    },
}

/// The content of an upload.
#[derive(Clone, Debug)]
pub enum Content {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file. It is read while it is sent.
    File(PathBuf),
}

/// The result of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The URL of the content for tasks, for example `s3://bucket/key`.
    pub native_url: String,
    /// Whether the server had the content already, so that nothing was sent.
    pub was_there: bool,
}

/// A callback that receives the number of bytes sent since its last call.
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

    /// Uploads `content` as a file with this name. `root` is the path that it is put under; if it is empty, the server chooses one by
    /// the content. `http` has the proxies and the trusted certificates, both for the control plane
    /// and for other servers. A temporary failure is retried, up to four attempts in all.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn upload(
        &self,
        project_domain: &ProjectDomain,
        root: &str,
        name: &str,
        content: &Content,
        http: &Http,
        progress: Progress,
    ) -> Result<Uploaded, UploadError> {
        let (md5, length) = digest(content).await?;
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let location = self.location(project_domain, root, name, md5, length).await?;
            let native_url = location.native_url.clone();
            if location.headers.contains_key(PRESENT_HEADER) {
                return Ok(Uploaded { native_url, was_there: true });
            }
            match self.put(name, content, &location, md5, length, http, &progress).await {
                Ok(()) => return Ok(Uploaded { native_url, was_there: false }),
                Err(error) if attempt >= MAX_ATTEMPTS || !error.is_temporary() => return Err(error),
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    async fn location(
        &self,
        project_domain: &ProjectDomain,
        root: &str,
        name: &str,
        md5: [u8; 16],
        length: u64,
    ) -> Result<CreateUploadLocationResponse, ClientError> {
        let request = CreateUploadLocationRequest {
            project: project_domain.project.clone(),
            domain: project_domain.domain.clone(),
            org: self.org.clone().unwrap_or_default(),
            filename: name.to_owned(),
            filename_root: root.to_owned(),
            expires_in: WireDuration { seconds: LOCATION_LIFETIME_SECONDS, ..Default::default() }.into(),
            content_md5: md5.to_vec(),
            content_length: i64::try_from(length).unwrap_or_default(),
            add_content_md5_metadata: true,
            ..Default::default()
        };
        let answer = self.service.create_upload_location(request).await;
        Ok(answer.map_err(|error| ClientError::from_connect(error, &self.endpoint))?.into_owned())
    }

    #[allow(clippy::too_many_arguments, reason = "one attempt of `upload`")]
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
            message: "the upload location is not a URL".to_owned(),
        })?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let client = http
            .client_for(&url)
            .map_err(|error| UploadError::Unavailable { host: host.clone(), message: error.to_string() })?;
        let asked = url.clone();
        let mut request = client
            .put(url)
            .timeout(ATTEMPT_TIMEOUT)
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
                // The URL is a secret: it allows an upload without credentials.
                ConnectFailure::Other(_) => root_cause(&error.without_url()),
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
    /// Whether another attempt, with a new upload location, may succeed.
    fn is_temporary(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Refused { status, message, .. } => {
                matches!(status.as_u16(), 408 | 429 | 500 | 502..=504)
                    // An object store sends this code if an upload stalls.
                    || message.contains("RequestTimeout")
                    || message.to_ascii_lowercase().contains("expired")
            }
            Self::Client(_) | Self::Read { .. } | Self::Empty { .. } => false,
        }
    }
}

/// The message of the innermost cause of an error.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

/// The MD5 and the length of the content.
async fn digest(content: &Content) -> Result<([u8; 16], u64), UploadError> {
    let path = match content {
        Content::Bytes(bytes) => return Ok((Md5::digest(bytes).into(), bytes.len() as u64)),
        Content::File(path) => path,
    };
    let mut file = File::open(path).await.map_err(|error| unreadable(path, &error))?;
    let mut md5 = Md5::new();
    let mut length = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).await.map_err(|error| unreadable(path, &error))?;
        if read == 0 {
            return Ok((md5.finalize().into(), length));
        }
        md5.update(&chunk[..read]);
        length += read as u64;
    }
}

/// Builds a request body that reports its progress.
async fn body(content: &Content, progress: Progress) -> Result<Body, UploadError> {
    match content {
        Content::Bytes(bytes) => {
            let chunks = stream::unfold(bytes.clone(), move |mut rest| {
                let progress = progress.clone();
                async move {
                    if rest.is_empty() {
                        return None;
                    }
                    let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
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
                    let mut chunk = vec![0; CHUNK_BYTES];
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
