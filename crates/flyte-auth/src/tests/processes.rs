//! Several processes, processes that die, and a disk that is full.
//!
//! A test that needs another process runs itself again with [`WORKER`] set; that one then does the worker's part.

use std::process::{Child, Command, Stdio};

use secrecy::ExposeSecret as _;

use super::*;
use crate::{
    AuthError, Credentials, Unattended,
    store::{self, StoreError, StoreOptions, TokenStore},
};

/// Set in a worker: its directory, the server's port and the time, separated by spaces.
const WORKER: &str = "FLYTE_TEST_WORKER";
/// How a worker tells its token among what the test harness prints.
const MARK: &str = "the worker's token: ";

/// Every session of a worker keeps tokens in the encrypted file.
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

/// Starts a worker for the test of this name, through a shell prelude.
fn worker(test: &str, served: &Served, now: i64, prelude: &str) -> Child {
    worker_as("job", test, served, now, prelude)
}

/// Starts a worker in a role: a `job`, with nobody there; a `person`, whose browser goes on once there is a file `go`; or
/// somebody who is `away`.
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

/// A person in a worker. That they wait for another process, and what they are told, is in files.
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

/// How many workers have left a mark, and with what texts.
pub(super) fn marks(served: &Served, what: &str) -> Vec<String> {
    let entries = std::fs::read_dir(served.directory.path()).unwrap().flatten();
    let marks = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{what}-")));
    marks.map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect()
}

/// Waits until so many workers have left a mark.
pub(super) async fn marked(served: &Served, what: &str, count: usize) {
    for _ in 0..6000 {
        if marks(served, what).len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("fewer than {count} workers are {what}");
}

/// A worker's part: gets a token by what stands in the files, as a command would.
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

/// [`work`] in a worker of a test whose workers may fail; whether this is one.
pub(super) async fn is_worker() -> bool {
    let Ok(described) = std::env::var(WORKER) else { return false };
    match work(&described).await {
        Ok(token) => println!("\n{MARK}{token}"),
        Err(error) => println!("\n{MARK}{error}"),
    }
    true
}

/// What a worker got, once it has ended, beside the runtime.
pub(super) async fn told_by(child: Child) -> String {
    tokio::task::spawn_blocking(|| told(child)).await.unwrap()
}

/// What a worker got, once it has ended.
fn told(child: Child) -> String {
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
    let tokens = tokio::task::spawn_blocking(|| workers.into_iter().map(told).collect::<Vec<_>>());
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
    // How long a whole refresh takes, from the start of the process on.
    let started = std::time::Instant::now();
    let child = next_worker();
    tokio::task::spawn_blocking(|| told(child)).await.unwrap();
    let whole = started.elapsed();
    let (mut unfinished, mut finished) = (0, 0);
    let rounds = 60;
    for round in 0..rounds {
        let before = realm.count("token");
        let mut child = next_worker();
        tokio::time::sleep(whole.mul_f64(1.1 * f64::from(round) / f64::from(rounds))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let kept = file.load().await.unwrap().expect("the login is still there and can be read");
        let kept = kept.refresh_token.unwrap().expose_secret().to_owned();
        let in_force = format!("r{}", realm.generation.load(Ordering::SeqCst));
        assert!(kept == in_force || kept == *realm.parent.lock().unwrap(), "round {round}: {kept} is burnt");
        if realm.count("token") > before && kept != in_force {
            unfinished += 1;
        }
        if realm.count("token") > before && kept == in_force {
            finished += 1;
        }
    }
    println!("{finished} kept the answer, {unfinished} lost it, of {rounds}");
    // The sweep really went across the refresh: some were killed before it was sent, some after it was kept.
    assert!(
        finished > 0 && finished + unfinished < rounds,
        "{finished} finished, {unfinished} lost the answer"
    );
    let child = next_worker();
    let token = tokio::task::spawn_blocking(|| told(child)).await.unwrap();
    assert_eq!(token, format!("a{}", realm.generation.load(Ordering::SeqCst)));
    // What the dead have left behind is swept up in time and is no login.
    let left = std::fs::read_dir(served.directory.path().join("data")).unwrap().count();
    assert!(left <= usize::try_from(rounds).unwrap() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_spends_no_refresh_token_and_keeps_the_login() {
    if let Ok(described) = std::env::var(WORKER) {
        let error = work(&described).await.unwrap_err();
        assert!(matches!(&error, AuthError::Store(StoreError::DiskFull { .. })), "{error:?}");
        println!("\n{MARK}{error} {}", error.hint().unwrap());
        return;
    }
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let file = encrypted_file(&served);
    file.save(&login("a0", "r0")).await.unwrap();
    // No file may grow: every write fails as on a full disk (instead of by a signal, which is ignored).
    let full = "trap '' XFSZ; ulimit -f 0;";
    let child = worker(
        "processes::a_full_disk_spends_no_refresh_token_and_keeps_the_login",
        &served,
        NOW + 4000,
        full,
    );
    let message = tokio::task::spawn_blocking(|| told(child)).await.unwrap();
    assert!(message.contains("disk is full") && message.contains("df -h"), "{message}");
    assert_eq!(realm.count("token"), 0, "the refresh token is not spent");
    let kept = file.load().await.unwrap().unwrap();
    assert_eq!(kept.refresh_token.unwrap().expose_secret(), "r0");
}
