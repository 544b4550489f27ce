//! Pages and searches of 100,000 users.
//!
//! `cargo bench -p flyte-store-sqlite --bench users`.
#![allow(clippy::unwrap_used, reason = "only developers run this")]

use criterion::{Criterion, criterion_group, criterion_main};
use flyte_model::Limit;
use flyte_store::{RoleIn, User, UserQuery, UserStore as _};
use flyte_store_sqlite::SqliteStore;
use futures_util::future::join_all;
use tokio::runtime::Builder;

const USERS: usize = 100_000;

fn users(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = runtime.block_on(async {
        let store = SqliteStore::open(&directory.path().join("flyte.db")).unwrap();
        let create = async |n: usize| {
            let user = User {
                id: format!("{n:032x}"),
                email: format!("person-{n:06}@example.com"),
                name: format!("Person Ünal {n}"),
                password_hash: None,
                admin: false,
                created_at: 0,
                disabled_at: (n.is_multiple_of(1000)).then_some(1),
            };
            let role = if n.is_multiple_of(10_000) { "admin" } else { "contributor" };
            let role = RoleIn { role: role.to_owned(), limit: Limit::default() };
            store.create_user_with(&user, &[role]).await.unwrap();
        };
        // Many at a time, so that they share commits.
        for first in (0..USERS).step_by(1000) {
            join_all((first..first + 1000).map(create)).await;
        }
        store
    });
    let all = UserQuery { limit: 50, ..UserQuery::default() };
    let text = |text: &str| UserQuery { text: text.to_owned(), ..all.clone() };
    let role = |role: &str| UserQuery { role: role.to_owned(), ..all.clone() };
    for (name, query) in [
        ("first page", all.clone()),
        ("address near the end", text("person-099999")),
        ("name in other case", text("ÜNAL 99998")),
        ("nothing matches", text("nowhere")),
        ("disabled", UserQuery { enabled: Some(false), ..all.clone() }),
        ("a rare role", role("admin")),
        ("a common role", role("contributor")),
    ] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(store.list_users(&query)).unwrap());
        });
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = users }
criterion_main!(benches);
