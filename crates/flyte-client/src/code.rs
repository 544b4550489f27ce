//! The code of actions: the archive that was uploaded when the run was started.

use std::path::Path;
use std::time::Duration;

use connectrpc::ConnectError;
use flyte_auth::{ConnectFailure, http::Http};
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::common::ActionAttemptIdentifier;
use flyte_idl::flyteidl2::core::K8sPod;
use flyte_idl::flyteidl2::core::task_template::Target;
use flyte_idl::flyteidl2::dataproxy::create_download_link_request::Source;
use flyte_idl::flyteidl2::dataproxy::{ArtifactType, CreateDownloadLinkRequest, DataProxyServiceClient};
use flyte_idl::flyteidl2::task::TaskSpec;
use flyte_idl::flyteidl2::workflow as wire;
use flyte_idl::flyteidl2::workflow::action_details::Spec as ActionSpec;
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::action::ActionId;
use crate::error::ClientError;
use crate::transport::Transport;

/// The options of a task's arguments that name its code, and whether it is pickled.
const BUNDLE_OPTIONS: [(&str, bool); 2] = [("tgz", false), ("pkl", true)];
/// The end of a pickled bundle's name.
const PICKLED_EXTENSION: &str = ".pkl.gz";
/// The name of an archive whose URI has none that can be used.
const DEFAULT_NAME: &str = "code.tar.gz";
/// The name of a pod's most important container in the configuration of a task.
const PRIMARY_CONTAINER: &str = "primary_container_name";
/// The timeout of a download.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(600);

/// Why the code of an action cannot be downloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// A call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The action has no code bundle.
    #[error("action {} of run {} has no code bundle: its code is in its image", .0.name, .0.run.name)]
    NoBundle(ActionId),
    /// The server gives no link to the bundle.
    #[error("the server gives no link to the code at {uri}: {error}")]
    NoLink {
        /// The URI of the bundle.
        uri: String,
        /// The error of the call.
        error: Box<ClientError>,
    },
    /// The object store rejected the download.
    #[error("{host} rejected the download ({status})")]
    Refused {
        /// The host of the object store.
        host: String,
        /// The HTTP status.
        status: StatusCode,
    },
    /// The object store does not answer.
    #[error("no answer from {host}: {message}")]
    Unavailable {
        /// The host of the object store.
        host: String,
        /// The reason.
        message: String,
    },
    /// The file cannot be written.
    #[error("cannot write the code: {0}")]
    Write(#[source] std::io::Error),
}

/// Where the code of an action is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CodeLocation {
    /// The name of the bundle's file.
    pub name: String,
    /// The URI of the bundle for tasks, for example `s3://bucket/key`.
    pub uri: String,
    /// Whether the bundle is a pickled task instead of an archive of source files.
    pub pickled: bool,
}

/// A link to a code bundle. It allows a download without credentials.
#[derive(Clone, Debug)]
pub struct CodeLink {
    /// Where the code is stored.
    pub location: CodeLocation,
    url: SecretString,
}

/// Calls about the code of actions.
#[derive(Clone)]
pub struct Code<T> {
    runs: wire::RunServiceClient<T>,
    data: DataProxyServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Code<T> {
    pub(crate) fn new(
        runs: wire::RunServiceClient<T>,
        data: DataProxyServiceClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        Self { runs, data, endpoint, org }
    }

    /// Asks for a link to the code of an action's attempt. `None` means the last attempt.
    ///
    /// # Errors
    /// [`CodeError::NoBundle`] and [`CodeError::NoLink`], and the errors of a call.
    pub async fn link(&self, id: &ActionId, attempt: Option<u32>) -> Result<CodeLink, CodeError> {
        let action_id = id.identifier(self.org.as_deref());
        let request =
            wire::GetActionDetailsRequest { action_id: action_id.clone().into(), ..Default::default() };
        let answer = self.runs.get_action_details(request).await.map_err(|error| self.error(error))?;
        let details = answer.into_owned().details.into_option().unwrap_or_default();
        let location = match &details.spec {
            Some(ActionSpec::Task(task)) => location(task),
            _ => None,
        };
        let location = location.ok_or_else(|| CodeError::NoBundle(id.clone()))?;
        let attempt = ActionAttemptIdentifier {
            action_id: action_id.into(),
            attempt: attempt.unwrap_or(details.status.attempts),
            ..Default::default()
        };
        let request = CreateDownloadLinkRequest {
            artifact_type: ArtifactType::ARTIFACT_TYPE_CODE_BUNDLE.into(),
            source: Some(Source::ActionAttemptId(Box::new(attempt))),
            ..Default::default()
        };
        let answer = self.data.create_download_link(request).await.map_err(|error| self.error(error));
        let urls = match answer {
            Ok(answer) => answer.into_owned().pre_signed_urls.into_option().unwrap_or_default().signed_url,
            // A session without rights has no other way to the code.
            Err(error @ (ClientError::PermissionDenied { .. } | ClientError::Unauthenticated { .. })) => {
                return Err(error.into());
            }
            Err(error) => return Err(CodeError::NoLink { uri: location.uri, error: Box::new(error) }),
        };
        let url = urls.into_iter().next().ok_or_else(|| ClientError::Server {
            code: "internal",
            message: "the server's answer contains no link to the code".to_owned(),
        })?;
        Ok(CodeLink { location, url: url.into() })
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

impl CodeLink {
    /// Downloads the bundle to a file, which is created or replaced. `http` has the proxies and the trusted certificates.
    ///
    /// # Errors
    /// [`CodeError::Refused`], [`CodeError::Unavailable`] and [`CodeError::Write`].
    pub async fn download(&self, http: &Http, to: &Path) -> Result<(), CodeError> {
        let url: Url = self.url.expose_secret().parse().map_err(|_| ClientError::Server {
            code: "internal",
            message: "the link to the code is not a URL".to_owned(),
        })?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let client = http
            .client_for(&url)
            .map_err(|error| CodeError::Unavailable { host: host.clone(), message: error.to_string() })?;
        let broken = |error: reqwest::Error| CodeError::Unavailable {
            host: host.clone(),
            message: match http.failure(&url, &error) {
                // The URL is a secret.
                ConnectFailure::Other(_) => error.without_url().to_string(),
                failure => failure.to_string(),
            },
        };
        let mut response = client.get(url.clone()).timeout(DOWNLOAD_TIMEOUT).send().await.map_err(broken)?;
        let status = response.status();
        if !status.is_success() {
            return Err(CodeError::Refused { host, status });
        }
        let mut file = File::create(to).await.map_err(CodeError::Write)?;
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            file.write_all(&chunk).await.map_err(CodeError::Write)?;
        }
        file.flush().await.map_err(CodeError::Write)
    }
}

/// Where the code of a task is stored: named by the arguments of its container or pod, otherwise by its metadata. `None` if the code
/// is in the image.
fn location(task: &TaskSpec) -> Option<CodeLocation> {
    let template = task.task_template.as_option()?;
    let arguments = match &template.target {
        Some(Target::Container(container)) => container.args.clone(),
        Some(Target::K8sPod(pod)) => {
            let primary = template.config.get(PRIMARY_CONTAINER).map(String::as_str).unwrap_or_default();
            pod_arguments(pod, primary)
        }
        _ => Vec::new(),
    };
    for (option, pickled) in BUNDLE_OPTIONS {
        let is_option = |argument: &&String| argument.strip_prefix("--") == Some(option);
        let mut values = arguments.iter().skip_while(|argument| !is_option(argument)).skip(1);
        if let Some(uri) = values.next().filter(|uri| !uri.is_empty()) {
            return Some(CodeLocation { name: file_name(uri), uri: uri.clone(), pickled });
        }
    }
    let uri = template.metadata.code_bundle_uri.clone();
    let pickled = path_of(&uri).to_ascii_lowercase().ends_with(PICKLED_EXTENSION);
    (!uri.is_empty()).then(|| CodeLocation { name: file_name(&uri), uri, pickled })
}

/// The arguments of a pod's most important container.
fn pod_arguments(pod: &K8sPod, primary: &str) -> Vec<String> {
    let spec = serde_json::to_value(&pod.pod_spec).unwrap_or_default();
    let containers = spec["containers"].as_array().cloned().unwrap_or_default();
    let name = if pod.primary_container_name.is_empty() { primary } else { &pod.primary_container_name };
    let chosen = containers.iter().find(|container| container["name"] == name).or(containers.first());
    let arguments = chosen.and_then(|container| container["args"].as_array());
    arguments.into_iter().flatten().filter_map(|argument| Some(argument.as_str()?.to_owned())).collect()
}

/// A URI without its query and fragment.
fn path_of(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or_default()
}

/// The last part of a URI, as the name of a file. The author of the task chose it, so it may be anything.
fn file_name(uri: &str) -> String {
    let name = path_of(uri).rsplit('/').next().unwrap_or_default();
    let usable = !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-+=@".contains(c));
    if usable { name.to_owned() } else { DEFAULT_NAME.to_owned() }
}

#[cfg(test)]
mod tests;
