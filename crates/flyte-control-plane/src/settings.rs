//! `flyteidl2.settings.SettingsService`: the settings of organizations, domains and projects for runs. This server has none:
//! reads return empty settings, and changes are rejected.

use std::sync::Arc;

use buffa::MessageField;
use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteidl2::settings::{
    CreateSettingsRequest, CreateSettingsResponse, GetSettingsForEditRequest, GetSettingsForEditResponse,
    GetSettingsRequest, GetSettingsResponse, Settings, SettingsKey, SettingsRecord, SettingsService,
    UpdateSettingsRequest, UpdateSettingsResponse,
};

use super::{invalid, project::is_domain, project_domain};
use crate::ControlPlane;

pub(super) struct Service {
    plane: Arc<ControlPlane>,
}

impl Service {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }

    /// The settings key of a request, checked and completed for the response.
    async fn key(&self, key: Option<&SettingsKey>) -> Result<SettingsKey, ConnectError> {
        let mut key = key.cloned().unwrap_or_default();
        key.org.clone_from(&self.plane.config.org);
        match (key.project.as_str(), key.domain.as_str()) {
            ("", "") => Ok(key),
            ("", domain) if is_domain(domain) => Ok(key),
            ("", domain) => Err(ConnectError::not_found(format!("there is no domain {domain:?}"))),
            (_, "") => Err(invalid("key.domain", "is missing: a project's settings are those of one domain")),
            (project, domain) => {
                project_domain::check(&self.plane, "key", project, domain).await?;
                Ok(key)
            }
        }
    }
}

fn not_supported() -> ConnectError {
    ConnectError::unimplemented(
        "this server keeps no settings of projects and domains: set them in the code of the task or its environment; \
         those of the server itself are in its configuration (`flyte-server check-config`)",
    )
}

impl SettingsService for Service {
    async fn get_settings<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetSettingsRequest>,
    ) -> ServiceResult<impl Encodable<GetSettingsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let key = self.key(request.key.as_option()).await?;
        Response::ok(GetSettingsResponse {
            settingsRecord: MessageField::some(SettingsRecord {
                key: MessageField::some(key),
                settings: MessageField::some(Settings::default()),
                ..SettingsRecord::default()
            }),
            ..GetSettingsResponse::default()
        })
    }

    async fn get_settings_for_edit<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetSettingsForEditRequest>,
    ) -> ServiceResult<impl Encodable<GetSettingsForEditResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let key = self.key(request.key.as_option()).await?;
        Response::ok(GetSettingsForEditResponse {
            requestedKey: MessageField::some(key),
            ..GetSettingsForEditResponse::default()
        })
    }

    async fn create_settings<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, CreateSettingsRequest>,
    ) -> ServiceResult<impl Encodable<CreateSettingsResponse> + Send + use<'a>> {
        Err::<Response<CreateSettingsResponse>, _>(not_supported())
    }

    async fn update_settings<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, UpdateSettingsRequest>,
    ) -> ServiceResult<impl Encodable<UpdateSettingsResponse> + Send + use<'a>> {
        Err::<Response<UpdateSettingsResponse>, _>(not_supported())
    }
}
