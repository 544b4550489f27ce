//! Durable refresh rotations by 64 callers at the same time, which share commits.
//!
//! `cargo bench -p flyte-store-sqlite --bench store`. The database is in the target directory, so the benchmark
//! measures the disk of that directory.
#![allow(clippy::unwrap_used, reason = "only developers run this")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flyte_model::{ClientId, Scope};
use flyte_secrets::SecretHash;
use flyte_store::{
    AuthorizationCode, BrowserSession, GrantStore as _, NewRefreshToken, RefreshRotation, SessionStore as _,
    User, UserStore as _,
};
use flyte_store_sqlite::SqliteStore;
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};

/// A time that is never reached.
const LATER: i64 = i64::MAX;

fn token_hash(caller: usize, n: u64) -> SecretHash {
    // Spread like real hashes, and different for each caller and number.
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    hash[8..16].copy_from_slice(&(caller as u64).to_le_bytes());
    hash
}

fn token(caller: usize, n: u64) -> NewRefreshToken {
    NewRefreshToken { token_hash: token_hash(caller, n), expires_at: LATER }
}

/// A signed-in user, with the number of the newest refresh token.
struct Caller {
    store: Arc<SqliteStore>,
    number: usize,
    newest: u64,
}

impl Caller {
    async fn sign_in(store: Arc<SqliteStore>, number: usize) -> Self {
        let code = AuthorizationCode {
            code_hash: token_hash(number, u64::MAX),
            family_id: number.to_string(),
            client_id: ClientId::from_static("flyte"),
            user_id: "ada".to_owned(),
            session_id: "session".to_owned(),
            authenticated_at: 0,
            redirect_uri: "http://localhost:53593/callback".to_owned(),
            code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned(),
            scopes: [Scope::OPENID, Scope::PROFILE, Scope::EMAIL, Scope::OFFLINE_ACCESS, Scope::ALL].into(),
            audience: None,
            nonce: None,
            expires_at: LATER,
        };
        assert!(store.create_code(&code).await.unwrap());
        store.redeem_code(&code.code_hash, Some(&token(number, 0)), 0).await.unwrap();
        Self { store, number, newest: 0 }
    }

    async fn rotate(&mut self, times: u64) {
        for _ in 0..times {
            let (old, next) = (token_hash(self.number, self.newest), token(self.number, self.newest + 1));
            let outcome = self
                .store
                .rotate_refresh_token(&old, &ClientId::from_static("flyte"), &next, 60, 0)
                .await
                .unwrap();
            assert!(matches!(outcome, RefreshRotation::Rotated(_)));
            self.newest += 1;
        }
    }
}

fn measure(runtime: &Runtime, callers: &mut [Caller], rotations: u64) -> Duration {
    let times = rotations.div_ceil(callers.len() as u64);
    let begun = Instant::now();
    runtime.block_on(join_all(callers.iter_mut().map(|caller| caller.rotate(times))));
    // The exact number of rotations, even if the callers cannot share them evenly.
    begun.elapsed().mul_f64(rotations as f64 / (times * callers.len() as u64) as f64)
}

fn rotations(criterion: &mut Criterion) {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut group = criterion.benchmark_group("refresh rotation");
    group.throughput(Throughput::Elements(1));
    for callers in [1, 64] {
        let store = SqliteStore::open(&directory.path().join(format!("{callers}.db"))).unwrap();
        let store = Arc::new(store);
        let mut signed_in = runtime.block_on(async {
            let ada = User {
                id: "ada".to_owned(),
                email: "ada@example.com".to_owned(),
                name: "Ada".to_owned(),
                password_hash: None,
                admin: false,
                created_at: 0,
                disabled_at: None,
            };
            store.create_user(&ada).await.unwrap();
            let session = BrowserSession {
                id: "session".to_owned(),
                cookie_hash: [0; 32],
                user_id: "ada".to_owned(),
                authenticated_at: 0,
                expires_at: LATER,
            };
            assert!(store.create_session(&session, None).await.unwrap());
            join_all((0..callers).map(|number| Caller::sign_in(Arc::clone(&store), number))).await
        });
        group.bench_function(format!("{callers} at a time"), |bencher| {
            bencher.iter_custom(|rotations| measure(&runtime, &mut signed_in, rotations));
        });
    }
    group.finish();
}

criterion_group!(benches, rotations);
criterion_main!(benches);
