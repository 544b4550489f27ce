use std::sync::{Arc, Mutex};

use connectrpc::client::ServiceTransport;
use connectrpc::{
    ConnectRpcService, Encodable, RequestContext, Response, Router, ServiceRequest, ServiceResult,
};
use flyte_idl::flyteauth::{TrustService, TrustServiceExt as _};

use super::*;
use crate::client::Client;

/// A fake server with trust rules.
#[derive(Default)]
struct Server(Mutex<BTreeMap<String, wire::Trust>>);

impl Server {
    fn find(&self, name: &str) -> Result<wire::Trust, ConnectError> {
        self.0.lock().unwrap().get(name).cloned().ok_or_else(|| ConnectError::not_found(name))
    }
}

impl TrustService for Server {
    async fn create_trust<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::CreateTrustRequest>,
    ) -> ServiceResult<impl Encodable<wire::CreateTrustResponse> + Send + use<'a>> {
        let mut trust = request.to_owned_message().trust.into_option().unwrap();
        assert_eq!((trust.created_by.as_str(), trust.created_at, trust.last_used_at), ("", 0, 0));
        trust.created_at = 1_000;
        self.0.lock().unwrap().insert(trust.name.clone(), trust.clone());
        Response::ok(wire::CreateTrustResponse { trust: trust.into(), ..Default::default() })
    }

    async fn get_trust<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::GetTrustRequest>,
    ) -> ServiceResult<impl Encodable<wire::GetTrustResponse> + Send + use<'a>> {
        let trust = self.find(&request.name)?;
        Response::ok(wire::GetTrustResponse { trust: trust.into(), ..Default::default() })
    }

    async fn list_trusts<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, wire::ListTrustsRequest>,
    ) -> ServiceResult<impl Encodable<wire::ListTrustsResponse> + Send + use<'a>> {
        let trusts = self.0.lock().unwrap().values().cloned().collect();
        Response::ok(wire::ListTrustsResponse { trusts, ..Default::default() })
    }

    async fn delete_trust<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::DeleteTrustRequest>,
    ) -> ServiceResult<impl Encodable<wire::DeleteTrustResponse> + Send + use<'a>> {
        self.find(&request.name)?;
        self.0.lock().unwrap().remove(&request.name);
        Response::ok(wire::DeleteTrustResponse::default())
    }
}

#[tokio::test]
async fn a_rule_is_created_listed_and_deleted() {
    let router = Arc::new(Server::default()).register(Router::new());
    let transport = ServiceTransport::new(ConnectRpcService::new(router));
    let trusts = Client::new(transport, "localhost".parse().unwrap()).unwrap().trusts();
    let new = NewTrust {
        name: "ci".into(),
        issuer: "https://issuer.example.com".into(),
        audience: "https://flyte.example.com".into(),
        claims: [("sub".to_owned(), "repo:acme/*".to_owned())].into(),
        access: Access { role: "viewer".into(), ..Access::default() },
        token_lifetime: Some(Duration::from_secs(900)),
        jwks_uri: String::new(),
    };
    let created = trusts.create(new.clone()).await.unwrap();
    assert_eq!((&created.claims, created.token_lifetime), (&new.claims, Some(900)));
    assert_eq!((created.created_at, created.last_used_at), (Some(1_000), None));
    assert_eq!(trusts.get("ci").await.unwrap(), created);
    assert_eq!(trusts.list().await.unwrap(), [created]);
    trusts.delete("ci").await.unwrap();
    assert_eq!(trusts.list().await.unwrap(), []);
    assert!(matches!(trusts.delete("ci").await.unwrap_err(), ClientError::NotFound { .. }));
}
