//! What a decision costs with 100,000 bindings, and what a new snapshot costs.
//!
//! `cargo bench -p flyte-policy`. The target is less than 2 µs for each decision.
#![allow(clippy::unwrap_used, reason = "a benchmark is for developers only")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use flyte_model::Limit;
use flyte_policy::{Binding, Permission, PolicyRows, PolicySet, Subject};

/// 100,000 bindings: a role everywhere for each of 50,000 people, and 50,000 roles of groups in projects. Ada is in 20 groups.
fn rows() -> PolicyRows {
    let limit = |project: Option<String>| Limit { project, domain: None };
    let people = (0..50_000).map(|n| Binding {
        subject: Subject::user(&format!("user-{n}")),
        role: "viewer".to_owned(),
        limit: limit(None),
    });
    let groups = (0..50_000).map(|n| Binding {
        subject: Subject::group(&format!("group-{}", n % 500)),
        role: "contributor".to_owned(),
        limit: limit(Some(format!("project-{n}"))),
    });
    let members = (0..20).map(|n| (format!("group-{n}"), "ada".to_owned())).collect();
    PolicyRows { bindings: people.chain(groups).collect(), members, ..PolicyRows::default() }
}

fn policies(criterion: &mut Criterion) {
    let set = PolicySet::new(rows());
    let ada = Subject::user("ada");
    let grants = set.grants(&ada);
    assert!(grants.may(Permission::Run, "project-19", Some("development")));
    assert!(!grants.may(Permission::Run, "project-20", Some("development")));

    let mut group = criterion.benchmark_group("policies/100,000 bindings");
    group.bench_function("decide by the snapshot, 20 groups", |bencher| {
        bencher
            .iter(|| set.may(black_box(&ada), Permission::Run, black_box("project-20"), Some("development")));
    });
    group.bench_function("decide by a caller's grants, 20 groups", |bencher| {
        bencher.iter(|| grants.may(Permission::Run, black_box("project-20"), Some("development")));
    });
    let one = set.grants(&Subject::user("user-7"));
    group.bench_function("decide by a caller's grants, one role", |bencher| {
        bencher.iter(|| one.may(Permission::ViewRuns, black_box("project-20"), Some("development")));
    });
    group.bench_function("find a caller's grants, 20 groups", |bencher| {
        bencher.iter(|| set.grants(black_box(&ada)));
    });
    group.sample_size(10);
    group.bench_function("build the snapshot", |bencher| {
        bencher.iter_batched(rows, PolicySet::new, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, policies);
criterion_main!(benches);
