//! Token requests of API keys through the whole router, with 1,000 and with 1,000,000 keys stored: the second must not be slower
//! than the first.
//!
//! `cargo bench -p flyte-server --bench api_keys`; the database lies in the target directory. Storing a million keys takes a few
//! minutes; `KEYS=100000` stores fewer.
#![allow(clippy::unwrap_used, reason = "only developers run this")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flyte_http::Readiness;
use flyte_model::{Limit, Rights, Role, Scope, clock::Clock};
use flyte_secrets::{api_key_secret, opaque_token};
use flyte_server::{app::App, bootstrap, router::router};
use flyte_settings::{Environment, Flags, load};
use flyte_store::ApiKey;
use futures_util::future::join_all;
use http::{Request, header};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

fn key(n: usize, secret: &SecretString) -> ApiKey {
    ApiKey {
        client_id: format!("key-{n}").parse().unwrap(),
        name: format!("key {n}"),
        secret_hash: Some(opaque_token::hash(secret.expose_secret())),
        previous_secret: None,
        jwks: None,
        rights: Rights { role: Role::Contributor, scopes: [Scope::ALL].into(), limit: Limit::default() },
        created_by: "ada".to_owned(),
        created_at: 0,
        expires_at: None,
        last_used_at: None,
        family_id: format!("family-{n}"),
    }
}

/// Stores keys until there are `count`, all with the same secret.
async fn store(app: &App, stored: &mut usize, count: usize, secret: &SecretString) {
    while *stored < count {
        let next = (*stored + 256).min(count);
        let keys: Vec<_> = (*stored..next).map(|n| key(n, secret)).collect();
        for outcome in join_all(keys.iter().map(|key| app.store.create_api_key(key))).await {
            outcome.unwrap();
        }
        *stored = next;
    }
}

async fn issue(router: Router, n: usize, secret: &SecretString) {
    let body = format!(
        "grant_type=client_credentials&scope=all&client_id=key-{n}&client_secret={}",
        secret.expose_secret()
    );
    let request = Request::post("/oauth2/token")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), 200);
}

fn bench(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let settings = BTreeMap::from([
        ("data-dir", directory.path().join("data").display().to_string()),
        ("listen", "127.0.0.1:0".to_owned()),
        ("tls.mode", "off".to_owned()),
    ]);
    let config = load(&Flags { file: None, settings }, &Environment::from([])).unwrap().config;
    let prepared = runtime.block_on(bootstrap::prepare(config, Vec::new(), Clock::default())).unwrap();
    let app = Arc::clone(&prepared.app);
    let router = router(Arc::clone(&app), Readiness::default());
    let secret = api_key_secret::generate().unwrap();
    let most = std::env::var("KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let mut group = criterion.benchmark_group("client_credentials");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    let mut stored = 0;
    for count in [1_000, most] {
        runtime.block_on(store(&app, &mut stored, count, &secret));
        let turn = AtomicUsize::new(0);
        group.bench_function(format!("{count} keys"), |bencher| {
            bencher.iter(|| {
                // Spread over all keys, so that no page of the index is likelier to be in the cache than another.
                let n = turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(7919) % count;
                runtime.block_on(issue(router.clone(), n, &secret));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
