//! A cluster under test, in front of a stub of the API server.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum_server::Handle;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::stub::{Place, Stub};
use crate::{Cluster, watch::Pace};
use flyte_access::workload::{WorkloadError, WorkloadId, WorkloadToken, Workloads as _};
use flyte_model::clock::Clock;
use flyte_settings::{KubernetesConfig, KubernetesVerification};
use flyte_testing::NOW;

pub(crate) const AUDIENCE: &str = "https://flyte.example.org";
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";
pub(crate) const PODS: &str = "/api/v1/namespaces/flyte/pods";
pub(crate) const ACTIONS: &str = "/apis/flyte.org/v1/namespaces/flyte/taskactions";
/// The longest that tests wait for something that must happen.
const LONG: Duration = Duration::from_secs(30);

/// A key of the cluster.
pub(crate) struct Key {
    kid: String,
    pair: KeyPair,
}

impl Key {
    pub(crate) fn new(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: KeyPair::generate().unwrap() }
    }

    pub(crate) fn jwk(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.pair.der_bytes();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..65]),
        })
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), typ: None, ..Header::new(Algorithm::ES256) };
        let key = EncodingKey::from_ec_der(&self.pair.serialize_der());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

/// The claims of a token of the pod `name`, as an API server writes them.
pub(crate) fn claims(namespace: &str, name: &str, uid: &str) -> Value {
    json!({
        "iss": ISSUER, "aud": [AUDIENCE], "exp": NOW + 3600, "iat": NOW, "nbf": NOW, "jti": "credential",
        "sub": format!("system:serviceaccount:{namespace}:default"),
        "kubernetes.io": {
            "namespace": namespace,
            "node": {"name": "node", "uid": "uid-of-node"},
            "pod": {"name": name, "uid": uid},
            "serviceaccount": {"name": "default", "uid": "uid-of-default"},
        },
    })
}

/// A pod of the action `a0` of a run, owned by the `TaskAction` `RUN-a0` with the UID `uid-of-RUN-a0`.
pub(crate) fn pod(name: &str, uid: &str, run: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "flyte", "uid": uid,
            "labels": {
                "flyte.org/run": run, "flyte.org/action": "a0", "flyte.org/project": "p",
                "flyte.org/domain": "d"
            },
            "ownerReferences": [{
                "apiVersion": "flyte.org/v1", "kind": "TaskAction", "name": format!("{run}-a0"),
                "uid": format!("uid-of-{run}-a0"), "controller": true
            }],
        },
        "spec": {"serviceAccountName": "default", "containers": []},
        "status": {"phase": "Running"},
    })
}

/// The `TaskAction` `RUN-a0`.
pub(crate) fn action(run: &str) -> Value {
    json!({
        "apiVersion": "flyte.org/v1", "kind": "TaskAction",
        "metadata": {"name": format!("{run}-a0"), "namespace": "flyte", "uid": format!("uid-of-{run}-a0")},
        "spec": {"runName": run, "actionName": "a0", "project": "p", "domain": "d", "inputUri": "s3://b/i"},
    })
}

pub(crate) fn id(name: &str, uid: &str) -> WorkloadId {
    WorkloadId { namespace: "flyte".to_owned(), name: name.to_owned(), uid: uid.to_owned() }
}

/// The cluster under test.
pub(crate) struct Lab {
    pub(crate) stub: Arc<Stub>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) clock: Clock,
    pub(crate) key: Key,
    pub(crate) ended: Arc<Mutex<Vec<WorkloadId>>>,
    pub(crate) place: Place,
    server: Option<Handle<SocketAddr>>,
    follow: JoinHandle<()>,
    _directory: TempDir,
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.follow.abort();
        if let Some(server) = &self.server {
            server.shutdown();
        }
    }
}

impl Lab {
    /// A cluster with the running pod `r-a0-1`, whose UID is `u1`.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}, |_| {}, true).await
    }

    pub(crate) async fn with(
        settings: impl FnOnce(&mut KubernetesConfig),
        pace: impl FnOnce(&mut Pace),
        is_up: bool,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (stub, place, key) = (Stub::new(), Place::new(), Key::new("one"));
        stub.set(|content| {
            content.issuer = ISSUER.to_owned();
            content.jwks = vec![key.jwk()];
        });
        stub.put(ACTIONS, action("r"));
        stub.put(PODS, pod("r-a0-1", "u1", "r"));
        let server = if is_up { Some(stub.serve(&place).await) } else { None };
        let config = config(&place, directory.path(), settings);
        let clock = Clock::manual(NOW);
        let mut cluster = Cluster::new(&config, AUDIENCE, clock.clone()).await.unwrap();
        cluster.pace.retry = Duration::from_millis(20);
        cluster.pace.max_retry = Duration::from_millis(200);
        cluster.patience = Duration::from_millis(50);
        pace(&mut cluster.pace);
        let cluster = Arc::new(cluster);
        let ended: Arc<Mutex<Vec<WorkloadId>>> = Arc::default();
        let reported = Arc::clone(&ended);
        let on_end = Arc::new(move |id: &WorkloadId| reported.lock().unwrap().push(id.clone()));
        let follow = tokio::spawn(Arc::clone(&cluster).follow(on_end));
        Self { stub, cluster, clock, key, ended, place, server, follow, _directory: directory }
    }

    /// Starts the API server if it was not.
    pub(crate) async fn start(&mut self) {
        self.server = Some(self.stub.serve(&self.place).await);
    }

    pub(crate) async fn identify(&self, token: &str) -> Result<WorkloadToken, WorkloadError> {
        self.cluster.identify(token).await
    }

    /// The token of a pod in the namespace `flyte`.
    pub(crate) fn token(&self, name: &str, uid: &str) -> String {
        self.key.sign(&claims("flyte", name, uid))
    }

    /// A token whose claims `change` has changed.
    pub(crate) fn token_with(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = claims("flyte", "r-a0-1", "u1");
        change(&mut claims);
        self.key.sign(&claims)
    }

    /// The reason why a token is refused.
    pub(crate) async fn refusal(&self, token: &str) -> &'static str {
        match self.identify(token).await {
            Err(WorkloadError::Invalid(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until a token is accepted.
    pub(crate) async fn accepted(&self, token: &str) -> WorkloadToken {
        let mut last = None;
        let found = tokio::time::timeout(LONG, async {
            loop {
                match self.identify(token).await {
                    Ok(found) => return found,
                    Err(error) => last = Some(error),
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("the token is not accepted: {last:?}"))
    }

    /// Waits until a token is refused for a reason.
    pub(crate) async fn refused(&self, token: &str, why: &str) {
        let outcome = async || match self.identify(token).await {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        eventually(why, async || outcome().await == why).await;
    }

    pub(crate) fn has_ended(&self, id: &WorkloadId) -> bool {
        self.ended.lock().unwrap().contains(id)
    }
}

fn config(place: &Place, directory: &Path, change: impl FnOnce(&mut KubernetesConfig)) -> KubernetesConfig {
    let kubeconfig = directory.join("config");
    place.write_kubeconfig(&kubeconfig);
    let mut config = KubernetesConfig {
        namespaces: vec!["flyte".to_owned()],
        audience: None,
        issuer: None,
        kubeconfig: Some(kubeconfig),
        verification: KubernetesVerification::Keys,
        max_token_age: 86_400,
    };
    change(&mut config);
    config
}

/// Waits for a condition that must come true.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
