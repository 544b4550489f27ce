//! Apps at their hosts, for callers who are limited to a project.

use flyte_access::door::{Location, Storage};
use flyte_access::token::MachineGrant;
use flyte_model::{Limit, PrincipalKind};

use super::*;
use crate::{Options, UpstreamOptions, tests::flyte::Flyte};

/// A gateway to a backend at this address.
pub(super) fn gateway(parts: &Parts, address: SocketAddr) -> Arc<Gateway> {
    struct NoObjects;

    impl Storage for NoObjects {
        fn locate<'u>(&self, _: &'u [u8]) -> Location<'u> {
            Location::Outside
        }
    }

    let shared = crate::Parts {
        config: Arc::clone(&parts.config),
        clock: parts.clock.clone(),
        access: Arc::clone(&parts.access),
        store: Arc::clone(&parts.store),
        keys: Arc::clone(&parts.keys),
        audit: parts.audit.clone(),
        stopping: Stopping::default(),
        storage: Arc::new(NoObjects),
    };
    let url = format!("http://{address}").parse().unwrap();
    Arc::new(Gateway::new(shared, Options::new(vec![UpstreamOptions::new("backend", url)])))
}

impl Front {
    /// The token of a key that is limited to the project `mine`, and perhaps to a domain.
    async fn limited(&self, name: &str, domain: Option<&str>) -> String {
        let limit = Limit { project: Some("mine".to_owned()), domain: domain.map(str::to_owned) };
        let (key, _) = flyte_testing::api_key(&*self.parts.store, name, |key| key.rights.limit = limit).await;
        let grant = MachineGrant {
            principal: PrincipalKind::ApiKey,
            subject: key.client_id.to_string(),
            client_id: key.client_id.clone(),
            scopes: [Scope::ALL].into(),
            audience: None,
            family_id: key.family_id.clone(),
            lifetime: None,
        };
        let token = self.parts.access.tokens().issue_to_machine(&grant).unwrap().token;
        format!("Bearer {}", token.expose_secret())
    }

    async fn status(&self, label: &str, token: &str) -> u16 {
        let host = format!("{label}.apps.example.com:8443");
        self.ask("GET", &host, "/", &[("authorization", token)]).await.status
    }
}

#[tokio::test]
async fn callers_of_a_project_reach_its_apps_alone() {
    // The backend has one app with the name of this object, whatever the reading is.
    const LABEL: &str = "x-a-mine-development";
    for (app, whole, in_domain, elsewhere) in [
        (Some(("mine", "development", "x-a")), 200, 200, 404),
        (Some(("mine", "development", "X-a")), 200, 200, 404),
        (Some(("a-mine", "development", "x")), 404, 404, 404),
        (Some(("a", "mine-development", "x")), 404, 404, 404),
        // Another object: the label is none of the backend's names.
        (Some(("mine", "development", "other")), 404, 404, 404),
        (None, 404, 404, 404),
    ] {
        let backend = Flyte { app, ..Flyte::default() }.serve().await;
        let front = Front::before(backend.address).await;
        let tokens = [
            (front.limited("whole", None).await, whole),
            (front.limited("in-domain", Some("development")).await, in_domain),
            (front.limited("elsewhere", Some("production")).await, elsewhere),
        ];
        for (token, expected) in &tokens {
            assert_eq!(front.status(LABEL, token).await, *expected, "{app:?} {token}");
            // Also from memory.
            assert_eq!(front.status(LABEL, token).await, *expected, "{app:?} {token}");
        }
        let asked = backend.received().len();
        assert_eq!(front.status("dashboard", &tokens[0].0).await, 404);
        assert_eq!(backend.received().len(), asked, "a name without a project needs no question");
        // Callers without a limit reach each host.
        assert_eq!(front.status("dashboard", &format!("Bearer {}", front.token())).await, 200);
    }
}

#[tokio::test]
async fn without_an_answer_of_the_backend_no_app_is_reached() {
    let backend = Flyte { is_down: true, ..Flyte::default() }.serve().await;
    let front = Front::before(backend.address).await;
    let token = front.limited("key", None).await;
    assert_eq!(front.status("x-mine-development", &token).await, 503);
}
