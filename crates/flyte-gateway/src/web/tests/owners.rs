//! Apps at their hosts, for callers who are limited to a project.

use flyte_access::door::{Location, Storage};
use flyte_access::token::MachineGrant;
use flyte_model::{Limit, PrincipalKind};

use super::*;
use crate::{
    Options, UpstreamOptions,
    tests::{
        backend::{Backend, answer},
        flyte::Flyte,
    },
};

/// A gateway to backends with these names and addresses.
pub(super) fn gateway(parts: &Parts, backends: &[(&str, SocketAddr)]) -> Arc<Gateway> {
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
    let options = |(name, address): &(&str, SocketAddr)| {
        UpstreamOptions::new(*name, format!("http://{address}").parse().unwrap())
    };
    Arc::new(Gateway::new(shared, Options::new(backends.iter().map(options).collect())))
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
        self.status_at(&format!("{label}.apps.example.com:8443"), token).await
    }

    async fn status_at(&self, host: &str, token: &str) -> u16 {
        self.ask("GET", host, "/", &[("authorization", token)]).await.status
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

#[tokio::test]
async fn the_backend_of_the_host_says_whose_the_app_is() {
    const LABEL: &str = "x-a-mine-development";
    let (main, gpu) = (format!("{LABEL}.apps.example.com"), format!("{LABEL}.apps.gpu.example.com"));
    let mine = Flyte { app: Some(("mine", "development", "x-a")), ..Flyte::default() };
    let other = Flyte { app: Some(("a-mine", "development", "x")), ..Flyte::default() };
    let down = Flyte { is_down: true, ..Flyte::default() };
    for (of_main, of_gpu, expected) in [
        (&mine, &other, [(&main, 200), (&gpu, 404)]),
        (&other, &mine, [(&main, 404), (&gpu, 200)]),
        // One that is down is no reason to refuse the apps of another one.
        (&down, &mine, [(&main, 503), (&gpu, 200)]),
        (&mine, &down, [(&main, 200), (&gpu, 503)]),
        // None of them has the apps of the other one.
        (&mine, &Flyte::default(), [(&main, 200), (&gpu, 404)]),
    ] {
        let (of_main, of_gpu) = (of_main.clone().serve().await, of_gpu.clone().serve().await);
        let front = Front::with(&[("main", of_main.address), ("gpu", of_gpu.address)], |_| {}).await;
        let token = front.limited("key", None).await;
        for (host, expected) in expected.iter().chain(&expected) {
            assert_eq!(front.status_at(host, &token).await, *expected, "{host}");
        }
    }
}

#[tokio::test]
async fn a_host_that_is_made_up_costs_one_question() {
    let backend = Flyte::default().serve().await;
    let front = Front::before(backend.address).await;
    let token = front.limited("key", None).await;
    // It can be read in many ways as the app of the caller's project, and as those of others.
    let label = "a-mine-b-mine-c-mine-d-mine-e-mine-f-mine-g";
    for _ in 0..3 {
        assert_eq!(front.status(label, &token).await, 404);
    }
    assert_eq!(backend.received().len(), 1);

    let busy: Vec<_> = (0..SLOTS).map(|_| front.web.slot().unwrap()).collect();
    assert_eq!(front.status("x-mine-development", &token).await, 503);
    assert_eq!(backend.received().len(), 1, "a request without a place asks nothing");
    drop(busy);
    assert_eq!(front.status("x-mine-development", &token).await, 404);
    assert_eq!(backend.received().len(), 2);
}

#[tokio::test]
async fn many_who_ask_at_the_same_time_share_one_question() {
    const CALLERS: usize = 8;
    let released = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&released);
    let backend = Backend::new(move |mut exchange| {
        let wait = Arc::clone(&wait);
        async move {
            exchange.read().await.unwrap();
            let _released = wait.acquire().await.unwrap();
            let id = json!({"project": "mine", "domain": "development", "name": "x"});
            let app = json!({"app": {"metadata": {"id": id}}});
            answer(&mut exchange, app.to_string().into());
        }
    })
    .await;
    let front = Front::before(backend.address).await;
    let token = front.limited("key", None).await;
    let asked =
        futures_util::future::join_all((0..CALLERS).map(|_| front.status("x-mine-development", &token)));
    let release = async {
        while front.web.slots.available_permits() > SLOTS - CALLERS {
            tokio::task::yield_now().await;
        }
        released.add_permits(1);
    };
    let (statuses, ()) = tokio::join!(asked, release);
    assert_eq!(statuses, [200; CALLERS]);
    assert_eq!(backend.received().len(), 1);
}
