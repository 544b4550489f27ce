//! Several processes that need a person: one of them asks, and refreshes do not wait for it.

use async_trait::async_trait;

#[cfg(target_os = "linux")]
use super::processes::encrypted_file;
use super::{
    processes::{is_worker, marked, marks, result_of, worker_as},
    *,
};
use crate::{
    AuthError, Unattended,
    store::{Backend, MemoryReason, StoreError, TokenStore},
};

/// A store into which another process writes a login after the first read.
#[derive(Debug, Default)]
struct WrittenMeanwhile(AtomicUsize);

#[async_trait]
impl TokenStore for WrittenMeanwhile {
    async fn load(&self) -> Result<Option<Login>, StoreError> {
        let reads = self.0.fetch_add(1, Ordering::SeqCst);
        Ok((reads > 0).then(|| login("theirs", "r0")))
    }
    async fn save(&self, _: &Login) -> Result<(), StoreError> {
        Ok(())
    }
    async fn clear(&self) -> Result<(), StoreError> {
        Ok(())
    }
    fn backend(&self) -> Backend {
        Backend::Memory(MemoryReason::Chosen)
    }
}

#[tokio::test]
async fn the_person_is_not_asked_if_another_process_has_signed_in_meanwhile() {
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let person = Person::new(&served, Habit::SignsIn);
    let session = served.session(AtTheScreen::new(&person));
    session.use_store_for_test(Arc::new(WrittenMeanwhile::default()));
    assert_eq!(session.token().await.unwrap().secret(), "theirs");
    assert_eq!(person.asked.load(Ordering::SeqCst), 0);
    // An explicit sign-in takes place even if there is a login.
    session.login().await.unwrap();
    assert_eq!(person.asked.load(Ordering::SeqCst), 1);
}

#[cfg(target_os = "linux")]
fn signal(child: &std::process::Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

fn go(served: &Served) {
    std::fs::write(served.directory.path().join("go"), "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn five_processes_ask_one_person_once_and_share_the_answer() {
    const TEST: &str = "sign_in_once::five_processes_ask_one_person_once_and_share_the_answer";
    if is_worker().await {
        return;
    }
    for (denies, answer) in [(true, "the sign-in was denied: not on a Sunday"), (false, "a1")] {
        let realm = Arc::new(Realm::default());
        realm.rules(|rules| rules.denies = denies);
        let served = realm.serve().await;
        let workers: Vec<_> = (0..5).map(|_| worker_as("person", TEST, &served, NOW, "")).collect();
        marked(&served, "asked", 1).await;
        marked(&served, "waiting", 4).await;
        go(&served);
        let asking = workers.iter().map(|worker| format!("process {} (", worker.id())).collect::<Vec<_>>();
        for worker in workers {
            assert_eq!(result_of(worker).await, answer);
        }
        assert_eq!((marks(&served, "asked").len(), realm.count("authorize")), (1, 1));
        for named in marks(&served, "waiting") {
            assert!(asking.iter().any(|process| named.starts_with(process)), "{named}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_another_process_is_renewed_if_its_token_has_expired() {
    const TEST: &str = "sign_in_once::a_login_of_another_process_is_renewed_if_its_token_has_expired";
    if is_worker().await {
        return;
    }
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let first = worker_as("person", TEST, &served, NOW, "");
    marked(&served, "asked", 1).await;
    // The token of the first process has expired when the second one reads it.
    let second = worker_as("person", TEST, &served, NOW + 4000, "");
    marked(&served, "waiting", 1).await;
    go(&served);
    assert_eq!((result_of(first).await, result_of(second).await), ("a1".to_owned(), "a2".to_owned()));
    assert_eq!((marks(&served, "asked").len(), realm.count("authorize")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_dies_leaves_nothing_behind() {
    const TEST: &str = "sign_in_once::a_sign_in_that_dies_leaves_nothing_behind";
    if is_worker().await {
        return;
    }
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let mut first = worker_as("person", TEST, &served, NOW, "");
    marked(&served, "asked", 1).await;
    let second = worker_as("person", TEST, &served, NOW, "");
    marked(&served, "waiting", 1).await;
    // A job does not wait, because no person can sign in there.
    let job = served.session_on_disk(Arc::new(Unattended));
    assert!(matches!(job.token().await, Err(AuthError::LoginRequired { .. })));
    first.kill().unwrap();
    first.wait().unwrap();
    go(&served);
    assert_eq!(result_of(second).await, "a1");
    assert_eq!(realm.count("authorize"), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn a_suspended_sign_in_blocks_no_other() {
    const TEST: &str = "sign_in_once::a_suspended_sign_in_blocks_no_other";
    if is_worker().await {
        return;
    }
    let realm = Arc::new(Realm::default());
    // The suspended process keeps the callback's port, so others need another port (RFC 8252 section 7.3).
    realm.rules(|rules| rules.any_port = true);
    let served = realm.serve().await;
    let mut suspended = worker_as("away", TEST, &served, NOW, "");
    marked(&served, "asked", 1).await;
    signal(&suspended, "-STOP");
    // Another tool signs in meanwhile, and its refresh token can be used.
    encrypted_file(&served).save(&login("a0", "r0")).await.unwrap();
    let renewed = result_of(worker_as("job", TEST, &served, NOW + 4000, "")).await;
    assert_eq!(renewed, "a1");
    assert!(served.session_on_disk(Arc::new(Unattended)).logout().await.unwrap().was_signed_in);
    // Without a login, the person signs in here instead and is notified of the reason.
    go(&served);
    assert_eq!(result_of(worker_as("person", TEST, &served, NOW, "")).await, "a2");
    let notices = marks(&served, "notice");
    assert!(
        notices.len() == 1 && notices[0].contains(&format!("process {} (", suspended.id())),
        "{notices:?}"
    );
    assert!(notices[0].contains("is suspended"), "{notices:?}");
    suspended.kill().unwrap();
    suspended.wait().unwrap();
}

#[tokio::test]
async fn signing_out_and_renewing_do_not_wait_for_a_sign_in_of_the_same_process() {
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let person = Person::new(&served, Habit::LooksAway);
    let session = served.session_on_disk(AtTheScreen::new(&person));
    session.keep_for_test(&login("a0", "r0")).await;
    let signing_in = tokio::spawn({
        let session = Arc::clone(&session);
        async move { session.login().await }
    });
    while person.asked.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    session.invalidate(&session.token().await.unwrap());
    assert_eq!(session.token().await.unwrap().secret(), "a1", "renewed meanwhile");
    assert!(session.logout().await.unwrap().was_signed_in);
    assert!(matches!(session.cached().await, Err(AuthError::LoginRequired { .. })));
    signing_in.abort();
}
