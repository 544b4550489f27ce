//! The principals that started runs of a backend.

use super::{Backend, client_id};
use crate::{Creator, CreatorKind, RunId, RunStarter};
use flyte_model::{Limit, Role};

fn starter(name: &str, started_at: i64) -> RunStarter {
    RunStarter {
        run: RunId { project: "p".to_owned(), domain: "d".to_owned(), name: name.to_owned() },
        creator: Creator {
            subject: "id-ada".to_owned(),
            kind: CreatorKind::Person,
            client_id: client_id("flyte"),
            family_id: "family".to_owned(),
            role: Role::Admin,
            limit: Limit::default(),
        },
        started_at,
    }
}

pub async fn a_starter_is_read_back_unchanged(store: Backend) {
    let limit = Limit { project: Some("p".to_owned()), domain: Some("d".to_owned()) };
    let key = Creator {
        subject: "ci".to_owned(),
        kind: CreatorKind::ApiKey,
        role: Role::Viewer,
        limit,
        ..starter("", 0).creator
    };
    let job = Creator { kind: CreatorKind::Federated, ..key.clone() };
    let all = [
        starter("a", 1),
        RunStarter { creator: key, ..starter("b", 2) },
        RunStarter { creator: job, ..starter("c", 3) },
    ];
    for one in &all {
        assert!(store.put_run_starter(one, 0).await.unwrap());
    }
    for one in all {
        assert_eq!(store.run_starter(&one.run).await.unwrap(), Some(one));
    }
    let elsewhere = RunId { domain: "other".to_owned(), ..starter("a", 1).run };
    assert_eq!(store.run_starter(&elsewhere).await.unwrap(), None);
}

pub async fn only_the_starter_of_an_earlier_run_is_replaced(store: Backend) {
    let (first, mut later) = (starter("a", 5), starter("a", 9));
    later.creator.subject = "id-grace".to_owned();
    later.creator.limit.project = Some("p".to_owned());
    assert!(store.put_run_starter(&first, 4).await.unwrap());
    // The name was free before the first one was recorded, so both are about the same run.
    for free_at in [0, 4, 5] {
        assert!(!store.put_run_starter(&later, free_at).await.unwrap());
        assert_eq!(store.run_starter(&first.run).await.unwrap().as_ref(), Some(&first));
    }
    // The name was free again.
    assert!(store.put_run_starter(&later, 6).await.unwrap());
    assert_eq!(store.run_starter(&later.run).await.unwrap(), Some(later));
}

pub async fn a_starter_is_deleted(store: Backend) {
    for name in ["a", "b"] {
        store.put_run_starter(&starter(name, 1), 0).await.unwrap();
    }
    for _ in 0..2 {
        store.delete_run_starter(&starter("a", 1).run).await.unwrap();
    }
    assert_eq!(store.run_starter(&starter("a", 1).run).await.unwrap(), None);
    assert!(store.run_starter(&starter("b", 1).run).await.unwrap().is_some());
}

pub async fn old_starters_are_deleted(store: Backend) {
    for (name, at) in [("old", 1), ("edge", 2), ("new", 3)] {
        store.put_run_starter(&starter(name, at), 0).await.unwrap();
    }
    assert_eq!(store.delete_run_starters(2).await.unwrap(), 1);
    assert_eq!(store.run_starter(&starter("old", 1).run).await.unwrap(), None);
    assert!(store.run_starter(&starter("edge", 2).run).await.unwrap().is_some());
}
