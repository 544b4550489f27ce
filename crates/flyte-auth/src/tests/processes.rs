//! Several processes, killed processes, and a full disk.
//!
//! A test that needs another process starts itself again with [`WORKER`] set. The new process then does the work of a worker.

use std::process::{Child, Command, Stdio};

use secrecy::ExposeSecret as _;

use super::*;
use crate::{
    AuthError, Credentials, Unattended,
    store::{self, StoreError, StoreOptions, TokenStore},
};

/// Set in a worker: its directory, the server's port and the time, separated by spaces.
const WORKER: &str = "FLYTE_TEST_WORKER";
/// The prefix of a worker's result in the output of the test harness.
const MARK: &str = "the worker's token: ";

/// The options of the encrypted file, which all workers use.
fn store_options(served: &Served) -> StoreOptions {
    StoreOptions {
        service: served.endpoint().keyring_service(),
        data_dir: Some(served.directory.path().join("data")),
        state_dir: Some(served.directory.path().join("state")),
        kind: Some(StoreKind::File),
        keyring_timeout: Duration::from_secs(1),
        unlock_timeout: Duration::from_secs(1),
    }
}

pub(super) fn encrypted_file(served: &Served) -> Arc<dyn TokenStore> {
    store::encrypted_file(&store_options(served))
}

/// Starts a worker for the test of this name, after a line of shell.
fn worker(test: &str, served: &Served, now: i64, prelude: &str) -> Child {
    worker_as("job", test, served, now, prelude)
}

/// Starts a worker in a role: a `job` without a person, a `person` whose browser continues when the file `go` exists, or a person
/// who is `away`.
pub(super) fn worker_as(role: &str, test: &str, served: &Served, now: i64, prelude: &str) -> Child {
    let described = format!("{} {} {now} {role}", served.directory.path().display(), served.port);
    Command::new("sh")
        .args(["-c", &format!("{prelude} exec \"$0\" --exact tests::{test} --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env(WORKER, described)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A person in a worker. Files record that the worker waits and what the person is shown.
#[derive(Debug)]
struct Elsewhere {
    person: Arc<AtTheScreen>,
    directory: PathBuf,
}

impl Elsewhere {
    fn mark(&self, what: &str, text: &str) {
        std::fs::write(self.directory.join(format!("{what}-{}", std::process::id())), text).unwrap();
    }
}

#[async_trait::async_trait]
impl Interaction for Elsewhere {
    fn is_interactive(&self) -> bool {
        true
    }
    async fn open_browser(&self, url: &Url) -> bool {
        self.mark("asked", url.as_str());
        while !self.directory.join("go").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.person.open_browser(url).await
    }
    fn authorize_url(&self, _: &Url, _: bool) {}
    fn waiting(&self, holder: Option<&crate::Holder>) {
        self.mark("waiting", &holder.map(ToString::to_string).unwrap_or_default());
    }
    fn notice(&self, text: &str) {
        self.mark("notice", text);
    }
    fn done(&self) {}
}

/// The texts of the marks that workers have written.
pub(super) fn marks(served: &Served, what: &str) -> Vec<String> {
    let entries = std::fs::read_dir(served.directory.path()).unwrap().flatten();
    let marks = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{what}-")));
    marks.map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect()
}

/// Waits until this many workers have written a mark.
pub(super) async fn marked(served: &Served, what: &str, count: usize) {
    for _ in 0..6000 {
        if marks(served, what).len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("fewer than {count} workers are {what}");
}

/// The work of a worker: gets a token with the files of the directory, like a command.
async fn work(described: &str) -> Result<String, AuthError> {
    let mut parts = described.split(' ');
    let directory = PathBuf::from(parts.next().unwrap());
    let port: u16 = parts.next().unwrap().parse().unwrap();
    let now: i64 = parts.next().unwrap().parse().unwrap();
    let habit = match parts.next().unwrap() {
        "job" => None,
        "person" => Some(Habit::SignsIn),
        _ => Some(Habit::LooksAway),
    };
    let interaction: Arc<dyn Interaction> = match habit {
        None => Arc::new(Unattended),
        Some(habit) => Arc::new(Elsewhere {
            person: AtTheScreen::new(&Person::trusting(&directory.join("ca.pem"), habit)),
            directory: directory.clone(),
        }),
    };
    let endpoint: Endpoint = format!("localhost:{port}").parse().unwrap();
    let (data_dir, state_dir) = (Some(directory.join("data")), Some(directory.join("state")));
    let session = Session::new(SessionOptions {
        endpoint: endpoint.clone(),
        auth_type: AuthType::Pkce,
        auth_type_chosen: true,
        headless: false,
        match_number: false,
        credentials: Credentials::default(),
        http: HttpOptions { ca_cert_file: Some(directory.join("ca.pem")), ..HttpOptions::default() },
        overrides: Overrides::default(),
        token_store: Some(StoreKind::File),
        data_dir,
        state_dir,
        interaction,
        clock: Clock::manual(now),
    });
    session.token().await.map(|token| token.secret().to_owned())
}

/// Does the work if this process is a worker, whose work may fail. Returns whether it is a worker.
pub(super) async fn is_worker() -> bool {
    let Ok(described) = std::env::var(WORKER) else { return false };
    match work(&described).await {
        Ok(token) => println!("\n{MARK}{token}"),
        Err(error) => println!("\n{MARK}{error}"),
    }
    true
}

/// Waits for the result of a worker without blocking the runtime.
pub(super) async fn result_of(child: Child) -> String {
    tokio::task::spawn_blocking(|| wait_for_result(child)).await.unwrap()
}

/// Waits for the result of a worker.
fn wait_for_result(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.split_once(MARK).map(|(_, token)| token.to_owned()))
        .unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_an_expired_token_make_one_refresh() {
    if let Ok(described) = std::env::var(WORKER) {
        println!("\n{MARK}{}", work(&described).await.unwrap());
        return;
    }
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    encrypted_file(&served).save(&login("a0", "r0")).await.unwrap();
    let test = "processes::processes_that_share_an_expired_token_make_one_refresh";
    let workers: Vec<_> = (0..20).map(|_| worker(test, &served, NOW + 4000, "")).collect();
    let tokens = tokio::task::spawn_blocking(|| workers.into_iter().map(wait_for_result).collect::<Vec<_>>());
    assert_eq!(tokens.await.unwrap(), vec!["a1"; 20]);
    assert_eq!(realm.count("token"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_any_moment_of_a_refresh_loses_no_session() {
    if let Ok(described) = std::env::var(WORKER) {
        println!("\n{MARK}{}", work(&described).await.unwrap());
        return;
    }
    let realm = Arc::new(Realm::default());
    let served = Arc::new(realm.serve().await);
    let file = encrypted_file(&served);
    file.save(&login("a0", "r0")).await.unwrap();
    let test = "processes::a_process_killed_at_any_moment_of_a_refresh_loses_no_session";
    let mut now = NOW;
    let mut next_worker = || {
        now += 4000;
        worker(test, &served, now, "")
    };
    // The time of a complete refresh, including the start of the process.
    let started = std::time::Instant::now();
    let child = next_worker();
    result_of(child).await;
    let whole = started.elapsed();
    let (mut unfinished, mut finished) = (0, 0);
    let rounds = 60;
    for round in 0..rounds {
        let before = realm.count("token");
        let mut child = next_worker();
        tokio::time::sleep(whole.mul_f64(1.1 * f64::from(round) / f64::from(rounds))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let kept = file.load().await.unwrap().expect("the login still exists and can be read");
        let kept = kept.refresh_token.unwrap().expose_secret().to_owned();
        let active = format!("r{}", realm.generation.load(Ordering::SeqCst));
        assert!(
            kept == active || kept == *realm.parent.lock().unwrap(),
            "round {round}: {kept} is not active"
        );
        if realm.count("token") > before && kept != active {
            unfinished += 1;
        }
        if realm.count("token") > before && kept == active {
            finished += 1;
        }
    }
    println!("{finished} stored the answer, {unfinished} lost it, of {rounds}");
    // The rounds cover the whole refresh: some processes were killed before it was sent, and some after its answer was stored.
    assert!(
        finished > 0 && finished + unfinished < rounds,
        "{finished} finished, {unfinished} lost the answer"
    );
    let child = next_worker();
    let token = result_of(child).await;
    assert_eq!(token, format!("a{}", realm.generation.load(Ordering::SeqCst)));
    // The killed processes left only temporary files behind, which are removed later.
    let left = std::fs::read_dir(served.directory.path().join("data")).unwrap().count();
    assert!(left <= usize::try_from(rounds).unwrap() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_uses_no_refresh_token_and_keeps_the_login() {
    if let Ok(described) = std::env::var(WORKER) {
        let error = work(&described).await.unwrap_err();
        assert!(matches!(&error, AuthError::Store(StoreError::DiskFull { .. })), "{error:?}");
        println!("\n{MARK}{error}");
        return;
    }
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let file = encrypted_file(&served);
    file.save(&login("a0", "r0")).await.unwrap();
    // No file may grow, so every write fails as on a full disk. The signal for that is ignored.
    let full = "trap '' XFSZ; ulimit -f 0;";
    let child =
        worker("processes::a_full_disk_uses_no_refresh_token_and_keeps_the_login", &served, NOW + 4000, full);
    let message = result_of(child).await;
    assert!(message.contains("disk is full"), "{message}");
    assert_eq!(realm.count("token"), 0, "the refresh token is not used");
    let kept = file.load().await.unwrap().unwrap();
    assert_eq!(kept.refresh_token.unwrap().expose_secret(), "r0");
}
