//! `flyteauth.TrustService`: trust rules for workload identity federation. Only administrators may call it.

use std::sync::Arc;

use buffa::MessageField;
use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteauth::{
    Access, CreateTrustRequest, CreateTrustResponse, DeleteTrustRequest, DeleteTrustResponse,
    GetTrustRequest, GetTrustResponse, ListTrustsRequest, ListTrustsResponse, Trust, TrustService,
};
use uuid::Uuid;

use super::{
    created_by::{CreatedBy, Creators},
    is_keeper,
    rights::{self, Wanted},
};
use crate::Administration;
use flyte_access::{Caller, policy};
use flyte_audit::{Detail, Event, Kind};
use flyte_federation::rule;
use flyte_model::Rights;
use flyte_rpc::{allow, caller, invalid, store_error};
use flyte_store::TrustRule;

pub(super) struct Service {
    state: Arc<Administration>,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { state }
    }

    /// The rule of a request, checked.
    async fn rule(&self, message: Option<Trust>, caller: &Caller) -> Result<TrustRule, ConnectError> {
        let message = message.ok_or_else(|| invalid("trust", "is missing"))?;
        let rule = TrustRule {
            name: message.name,
            issuer: message.issuer,
            audience: message.audience,
            claims: message.claims.into_iter().collect(),
            jwks_uri: non_empty(message.jwks_uri),
            rights: self.rights(caller, message.access.into_option().unwrap_or_default()).await?,
            token_lifetime: Some(message.token_lifetime).filter(|lifetime| *lifetime != 0),
            created_by: caller.subject.clone(),
            created_at: self.state.clock.now(),
            last_used_at: None,
            family_id: Uuid::new_v4().to_string(),
        };
        rule::check(&rule).map_err(|mistake| ConnectError::invalid_argument(mistake.to_string()))?;
        Ok(rule)
    }

    async fn rights(&self, caller: &Caller, access: Access) -> Result<Rights, ConnectError> {
        let role = rights::role("trust.access.role", &access.role)?
            .ok_or_else(|| invalid("trust.access.role", "is missing: viewer, contributor or admin"))?;
        let Access { scopes, project, domain, .. } = access;
        Wanted { field: "trust.access", role, scopes, project, domain }.check(&self.state, caller).await
    }

    async fn one(&self, rule: TrustRule) -> Result<Trust, ConnectError> {
        let creator = Creators::new(&self.state).look_up(&rule.created_by).await?;
        Ok(message(rule, creator))
    }

    async fn record(&self, kind: Kind, context: &RequestContext, event: impl FnOnce(Event) -> Event) {
        let mut recorded = Event::new(kind);
        if let Ok(caller) = caller(context) {
            recorded = recorded.subject(&caller.subject).client(&caller.client_id);
        }
        self.state.audit.record(event(recorded)).await;
    }
}

fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn not_found(name: &str) -> ConnectError {
    ConnectError::not_found(format!("there is no trust rule {name:?}"))
}

fn message(rule: TrustRule, creator: CreatedBy) -> Trust {
    let Rights { role, scopes, limit } = rule.rights;
    Trust {
        name: rule.name,
        issuer: rule.issuer,
        audience: rule.audience,
        claims: rule.claims.into_iter().collect(),
        access: MessageField::some(Access {
            role: role.to_string(),
            scopes: scopes.into(),
            project: limit.project.unwrap_or_default(),
            domain: limit.domain.unwrap_or_default(),
            ..Access::default()
        }),
        token_lifetime: rule.token_lifetime.unwrap_or_default(),
        jwks_uri: rule.jwks_uri.unwrap_or_default(),
        created_by: rule.created_by,
        created_by_email: creator.email,
        created_by_name: creator.name,
        created_at: rule.created_at,
        last_used_at: rule.last_used_at.unwrap_or_default(),
        ..Trust::default()
    }
}

impl TrustService for Service {
    async fn create_trust<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateTrustRequest>,
    ) -> ServiceResult<impl Encodable<CreateTrustResponse> + Send + use<'a>> {
        let by_keeper = is_keeper(&self.state, caller(&context)?).await?;
        let now = self.state.clock.now();
        let verdict = policy::may_trust(caller(&context)?, by_keeper, now, "creating a trust rule");
        allow(&self.state.audit, &context, verdict).await?;
        let rule = self.rule(request.to_owned_message().trust.into_option(), caller(&context)?).await?;
        self.state.store.create_trust_rule(&rule).await.map_err(store_error)?;
        let limit = rule.rights.limit.clone();
        self.record(Kind::TrustCreated, &context, |event| {
            let event = event.object(&rule.name).detail(Detail::Issuer, &rule.issuer);
            let event = event.detail(Detail::Role, rule.rights.role).detail(Detail::Family, &rule.family_id);
            let event = limit.project.iter().fold(event, |event, it| event.detail(Detail::Project, it));
            limit.domain.iter().fold(event, |event, it| event.detail(Detail::Domain, it))
        })
        .await;
        Response::ok(CreateTrustResponse {
            trust: MessageField::some(self.one(rule).await?),
            ..CreateTrustResponse::default()
        })
    }

    async fn get_trust<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetTrustRequest>,
    ) -> ServiceResult<impl Encodable<GetTrustResponse> + Send + use<'a>> {
        let name = request.to_owned_message().name;
        let rule = self.state.store.trust_rule_by_name(&name).await.map_err(store_error)?;
        let rule = rule.ok_or_else(|| not_found(&name))?;
        Response::ok(GetTrustResponse {
            trust: MessageField::some(self.one(rule).await?),
            ..GetTrustResponse::default()
        })
    }

    async fn list_trusts<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListTrustsRequest>,
    ) -> ServiceResult<impl Encodable<ListTrustsResponse> + Send + use<'a>> {
        let rules = self.state.store.list_trust_rules().await.map_err(store_error)?;
        let mut creators = Creators::new(&self.state);
        let mut trusts = Vec::with_capacity(rules.len());
        for rule in rules {
            let creator = creators.look_up(&rule.created_by).await?;
            trusts.push(message(rule, creator));
        }
        Response::ok(ListTrustsResponse { trusts, ..ListTrustsResponse::default() })
    }

    async fn delete_trust<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteTrustRequest>,
    ) -> ServiceResult<impl Encodable<DeleteTrustResponse> + Send + use<'a>> {
        let name = request.to_owned_message().name;
        let family =
            self.state.store.delete_trust_rule(&name, self.state.clock.now()).await.map_err(store_error)?;
        let family = family.ok_or_else(|| not_found(&name))?;
        self.state.access.revoke_family(&family);
        self.record(Kind::TrustDeleted, &context, |event| event.object(&name).detail(Detail::Family, family))
            .await;
        Response::ok(DeleteTrustResponse::default())
    }
}
