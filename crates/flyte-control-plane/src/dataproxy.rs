//! `flyteidl2.dataproxy.DataProxyService`: uploads and downloads for clients that are not tasks.

pub(crate) mod inputs;
mod link;

use std::sync::Arc;

use buffa::MessageField;
use buffa_types::google::protobuf::Duration;
use bytes::Bytes;
use connectrpc::{
    ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use flyte_idl::flyteidl2::{
    common::OffloadedInputData,
    dataproxy::{
        CreateDownloadLinkRequest, CreateDownloadLinkResponse, CreateUploadLocationRequest,
        CreateUploadLocationResponse, DataProxyService, GetActionDataRequest, GetActionDataResponse,
        PreSignedURLs, TailLogsRequest, TailLogsResponse, UploadInputsRequest, UploadInputsResponse,
        tail_logs_response::Logs,
        upload_inputs_request::{Id, Task},
    },
    task::TaskSpec,
};
use futures_util::StreamExt as _;
use uuid::Uuid;

use super::{
    action_data, caller, invalid, logs, object_error, project_domain, run, store_error, task::decode,
    timestamp,
};
use crate::{
    ControlPlane,
    objects::{download_url, sign},
};
use flyte_objects::{
    ObjectKey,
    signed_url::{MAX_LIFE, Method, Permit, hex, owner},
};
use flyte_runs::data::outputs_uri;
use flyte_store::TaskId;

/// A header in an upload location: the content is already stored. A client that sends the header with the upload does no
/// harm.
const PRESENT_HEADER: &str = "x-flyte-present";
/// The default lifetime of the URL of an upload, in seconds.
const DEFAULT_LIFETIME_SECONDS: i64 = 900;

pub(super) struct Service {
    plane: Arc<ControlPlane>,
}

impl Service {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }

    /// The names of the inputs that the cache key of the task ignores.
    async fn ignored_inputs(&self, task: Option<&Task>) -> Result<Vec<String>, ConnectError> {
        let ignored = |spec: &TaskSpec| spec.task_template.metadata.cache_ignore_input_vars.clone();
        match task {
            Some(Task::TaskSpec(spec)) => Ok(ignored(spec)),
            // CreateRun reports whether the task can be run.
            Some(Task::TaskId(id)) => {
                let id = TaskId {
                    project: id.project.clone(),
                    domain: id.domain.clone(),
                    name: id.name.clone(),
                    version: id.version.clone(),
                };
                let found = self.plane.store.task_by_id(&id).await.map_err(store_error)?;
                found.map_or(Ok(Vec::new()), |task| Ok(ignored(&decode(&task.spec)?)))
            }
            Some(Task::TriggerName(_)) | None => Ok(Vec::new()),
        }
    }

    /// The key of the uploaded object: named by the hash of the content, or by the caller.
    fn upload_key(
        request: &CreateUploadLocationRequest,
        md5: Option<&[u8; 16]>,
    ) -> Result<ObjectKey, ConnectError> {
        let name = match request.filename.as_str() {
            "" => Uuid::new_v4().simple().to_string(),
            name => name.trim_start_matches('/').to_owned(),
        };
        let path = match (request.filename_root.trim_matches('/'), md5) {
            ("", Some(md5)) => format!("content/{}/{name}", hex(md5)),
            ("", None) => format!("uploads/{}/{name}", Uuid::new_v4().simple()),
            (root, _) => format!("uploads/{root}/{name}"),
        };
        ObjectKey::new(&request.project, &request.domain, &path)
            .map_err(|why| invalid("filename_root or filename", &why.to_string()))
    }
}

/// The lifetime of a URL, in seconds.
fn life(expires_in: Option<&Duration>) -> Result<i64, ConnectError> {
    let life = match expires_in {
        None => DEFAULT_LIFETIME_SECONDS,
        // A fraction of a second counts as a whole second.
        Some(given) => given.seconds.saturating_add(i64::from(given.nanos > 0)),
    };
    if (1..=MAX_LIFE).contains(&life) {
        return Ok(life);
    }
    Err(invalid("expires_in", &format!("is not between 1 and {MAX_LIFE} seconds")))
}

impl DataProxyService for Service {
    async fn create_upload_location<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateUploadLocationRequest>,
    ) -> ServiceResult<impl Encodable<CreateUploadLocationResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        project_domain::check(&self.plane, "request", &request.project, &request.domain).await?;
        let md5 = match request.content_md5.as_slice() {
            [] => None,
            md5 => Some(md5.try_into().map_err(|_| invalid("content_md5", "is not 16 bytes long"))?),
        };
        let length = match u64::try_from(request.content_length) {
            Ok(0) => None,
            Ok(length) if length <= self.plane.config.objects.max_upload_size as u64 => Some(length),
            Ok(_) => {
                let most = self.plane.config.objects.max_upload_size;
                return Err(invalid(
                    "content_length",
                    &format!("is more than {most}, the most that can be uploaded"),
                ));
            }
            Err(_) => return Err(invalid("content_length", "is negative")),
        };
        let life = life(request.expires_in.as_option())?;
        let key = Self::upload_key(&request, md5.as_ref())?;
        let native_url = self.plane.objects.url_of(&key);
        let expires_at = self.plane.clock.now() + life;
        // A path made from the hash can only have this content, so our client does not upload it again.
        let present = request.filename_root.is_empty() && md5.is_some() && {
            let there = self.plane.objects.length(&key).await.map_err(object_error)?;
            there.is_some_and(|there| length.is_none_or(|length| length == there))
        };
        let permit =
            Permit { method: Method::Put, key, expires_at, md5, length, owner: Some(owner(&caller.subject)) };
        let headers = present.then(|| (PRESENT_HEADER.to_owned(), "true".to_owned()));
        Response::ok(CreateUploadLocationResponse {
            headers: headers.into_iter().collect(),
            signed_url: sign(&self.plane, &permit),
            native_url,
            expires_at: timestamp::at(expires_at),
            ..CreateUploadLocationResponse::default()
        })
    }

    async fn upload_inputs<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, UploadInputsRequest>,
    ) -> ServiceResult<impl Encodable<UploadInputsResponse> + Send + use<'a>> {
        let raw = inputs::of_request(request.bytes())
            .ok_or_else(|| ConnectError::invalid_argument("the request is not well-formed"))?;
        let request = request.to_owned_message();
        let (project, domain) = match &request.id {
            Some(Id::RunId(run)) => (&run.project, &run.domain),
            Some(Id::ProjectId(project)) => (&project.name, &project.domain),
            None => return Err(invalid("id", "is missing: give run_id or project_id")),
        };
        project_domain::check(&self.plane, "id", project, domain).await?;
        let ignored = self.ignored_inputs(request.task.as_ref()).await?;
        let path = format!("inputs/{}/inputs.pb", inputs::address(&raw));
        let key = match request.base_dir.as_str() {
            "" => ObjectKey::new(project, domain, &path),
            base => {
                let base =
                    self.plane.objects.key_of(base).map_err(|why| invalid("base_dir", &why.to_string()))?;
                if !base.is_in(project, domain) {
                    return Err(invalid("base_dir", "is outside of the project and domain of the request"));
                }
                ObjectKey::new(project, domain, &format!("{}/{path}", base.path()))
            }
        }
        .map_err(|why| invalid("base_dir", &why.to_string()))?;
        let uri = self.plane.objects.url_of(&key);
        let hash = inputs::hash(&raw, &ignored);
        self.plane.objects.put(&uri, Bytes::from(raw)).await.map_err(object_error)?;
        Response::ok(UploadInputsResponse {
            offloaded_input_data: MessageField::some(OffloadedInputData {
                uri,
                inputs_hash: hash,
                ..OffloadedInputData::default()
            }),
            ..UploadInputsResponse::default()
        })
    }

    async fn create_download_link<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateDownloadLinkRequest>,
    ) -> ServiceResult<impl Encodable<CreateDownloadLinkResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let life = life(request.expires_in.as_option())?;
        let key = link::object(&self.plane, caller, &request).await?;
        let (url, expires_at) = download_url(&self.plane, key, life);
        Response::ok(CreateDownloadLinkResponse {
            pre_signed_urls: MessageField::some(PreSignedURLs {
                signed_url: vec![url],
                expires_at: timestamp::at(expires_at),
                ..PreSignedURLs::default()
            }),
            ..CreateDownloadLinkResponse::default()
        })
    }

    async fn get_action_data<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetActionDataRequest>,
    ) -> ServiceResult<impl Encodable<GetActionDataResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let action = run::action(&self.plane, "action_id", request.action_id.as_option()).await?;
        Response::ok(GetActionDataResponse {
            inputs: action_data::inputs(&self.plane, &action).await?.into(),
            outputs: action_data::outputs(&self.plane, &action).await?.into(),
            outputs_uri: outputs_uri(&action).unwrap_or_default(),
            inputs_uri: action.input_uri,
            ..GetActionDataResponse::default()
        })
    }

    async fn tail_logs(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, TailLogsRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<TailLogsResponse> + Send + use<>>> {
        let request = request.to_owned_message();
        let lines = logs::tail(&self.plane, request.action_id.as_option(), request.attempt).await?;
        Response::stream_ok(lines.map(|lines| {
            let logs = vec![Logs { lines: lines?, ..Logs::default() }];
            Ok(TailLogsResponse { logs, ..TailLogsResponse::default() })
        }))
    }
}
