//! `cloudidl.identity.MemberService`: people and API keys in one listing.

use std::sync::Arc;

use connectrpc::{Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::cloudidl::identity::{ListMembersRequest, ListMembersResponse, MemberService};

use buffa::MessageField;
use flyte_idl::cloudidl::common::{
    AppSpec, Application, ApplicationIdentifier, EnrichedIdentity, enriched_identity::Principal,
};
use flyte_rpc::store_error;
use flyte_store::ApiKeyQuery;

use crate::{Administration, directory::Directory};

pub(super) struct Service {
    directory: Directory,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { directory: Directory::new(state) }
    }
}

/// The people and the API keys that are read at once: the listing has no pages.
const MOST: u32 = 1000;

fn member(principal: impl Into<Principal>) -> EnrichedIdentity {
    EnrichedIdentity { principal: Some(principal.into()), ..EnrichedIdentity::default() }
}

impl MemberService for Service {
    async fn list_members<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListMembersRequest>,
    ) -> ServiceResult<impl Encodable<ListMembersResponse> + Send + use<'a>> {
        let mut members = Vec::new();
        let mut token = String::new();
        loop {
            let (people, next) = self.directory.people(MOST, token).await?;
            for user in people {
                members.push(member(self.directory.person_message(user).await?));
            }
            if next.is_empty() {
                break;
            }
            token = next;
        }
        let state = &self.directory.state;
        let mut query = ApiKeyQuery { created_by: None, limit: MOST, page_token: String::new() };
        loop {
            let (keys, next) = state.store.list_api_keys(&query).await.map_err(store_error)?;
            for key in keys {
                members.push(member(Application {
                    id: MessageField::some(ApplicationIdentifier {
                        subject: key.client_id.into(),
                        ..ApplicationIdentifier::default()
                    }),
                    spec: MessageField::some(AppSpec {
                        name: key.name,
                        organization: state.config.org.clone(),
                        ..AppSpec::default()
                    }),
                    ..Application::default()
                }));
            }
            if next.is_empty() {
                break;
            }
            query.page_token = next;
        }
        Response::ok(ListMembersResponse { members, ..ListMembersResponse::default() })
    }
}
