//! A gateway on a port.

use std::{net::SocketAddr, sync::Arc};

use axum::{Extension, extract::DefaultBodyLimit, middleware};
use flyte_access::{
    Caller,
    door::{Location, Storage},
    testing,
};
use flyte_model::{Limit, PrincipalKind, Role, Scope, Stopping};
use flyte_policy::Grants;
use tokio::{net::TcpListener, task::JoinHandle};

use super::backend::Backend;
use crate::{Gateway, Options, Parts, UpstreamOptions};

/// No text is the URI of an object.
struct NoObjects;

impl Storage for NoObjects {
    fn locate<'u>(&self, _: &'u [u8]) -> Location<'u> {
        Location::Outside
    }
}

/// A running gateway.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) parts: testing::Parts,
    pub(super) stopping: Stopping,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A caller with all rights that there are.
pub(super) fn caller() -> Caller {
    Caller {
        subject: "rule:ada".to_owned(),
        principal: PrincipalKind::Federated,
        family_id: "family".to_owned(),
        scopes: [Scope::ALL, Scope::READ].into_iter().collect(),
        grants: Grants::of_role(Role::Admin, &Limit::default()),
        ..Caller::for_test()
    }
}

/// A caller that is limited to a project.
pub(super) fn limited(project: &str) -> Caller {
    let limit = Limit { project: Some(project.to_owned()), ..Limit::default() };
    Caller { grants: Grants::of_role(Role::Contributor, &limit), ..caller() }
}

impl Served {
    /// A gateway in front of this backend.
    pub(super) async fn before(backend: &Backend) -> Self {
        Self::with(backend.address, caller(), |_| {}).await
    }

    /// The same with other options, and for this caller.
    pub(super) async fn with(backend: SocketAddr, caller: Caller, change: impl FnOnce(&mut Options)) -> Self {
        let url = format!("http://{backend}").parse().unwrap();
        let mut options = Options::new(vec![UpstreamOptions::new("backend", url)]);
        change(&mut options);
        Self::of(options, caller).await
    }

    /// A gateway with these options.
    pub(super) async fn of(options: Options, caller: impl Into<Option<Caller>>) -> Self {
        let parts = testing::Parts::new(|config| config.http.max_streams = 4000).await;
        let stopping = Stopping::default();
        let shared = Parts {
            config: Arc::clone(&parts.config),
            clock: parts.clock.clone(),
            access: Arc::clone(&parts.access),
            store: Arc::clone(&parts.store),
            keys: Arc::clone(&parts.keys),
            audit: parts.audit.clone(),
            stopping: stopping.clone(),
            storage: Arc::new(NoObjects),
        };
        let gateway = Arc::new(Gateway::new(shared, options));
        let mut router = crate::router(gateway);
        if let Some(caller) = caller.into() {
            router = router.layer(Extension(Arc::new(caller)));
        }
        let router =
            router.layer(DefaultBodyLimit::disable()).layer(middleware::from_fn(flyte_http::drain::unread));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, parts, stopping, task }
    }
}
