//! The encrypted file with damage, races and a full disk.

#[cfg(unix)]
use std::{
    env,
    process::{Child, Command, Stdio},
};

use proptest::prelude::*;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::oauth::{ClientId, Scope};

fn options(home: &Path, service: &str) -> StoreOptions {
    StoreOptions {
        service: service.to_owned(),
        data_dir: Some(home.join("data")),
        state_dir: Some(home.join("state")),
        kind: None,
        keyring_timeout: Duration::from_secs(1),
        unlock_timeout: Duration::from_secs(1),
    }
}

fn new(options: &StoreOptions) -> EncryptedFile {
    EncryptedFile::new(options).unwrap()
}

fn login(access: &str) -> Login {
    Login {
        access_token: SecretString::from(access),
        refresh_token: Some(SecretString::from("the-refresh-token")),
        details: Some(LoginDetails {
            access_token_sha256: fingerprint(access),
            issued_at: Some(1),
            expires_at: Some(2),
            scopes: Scope::parse_list("all"),
            client_id: ClientId::parse("flyte").unwrap(),
            issuer: "https://issuer.example".to_owned(),
            subject: None,
            auth_type: "Pkce".to_owned(),
        }),
    }
}

fn access(file: &EncryptedFile) -> Option<String> {
    file.read().unwrap().map(|login| login.access_token.expose_secret().to_owned())
}

#[test]
fn a_login_is_read_back_and_encrypted() {
    let home = tempfile::tempdir().unwrap();
    let file = new(&options(home.path(), "flyte.example"));
    assert_eq!(access(&file), None);
    file.write(&login("the-access-token")).unwrap();
    let back = file.read().unwrap().unwrap();
    assert_eq!(back.refresh_token.unwrap().expose_secret(), "the-refresh-token");
    assert_eq!(back.details, login("the-access-token").details);
    let bytes = fs::read(&file.path).unwrap();
    for word in ["the-access-token", "the-refresh-token", "flyte.example", "issuer"] {
        assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
    }
    // The file of another endpoint cannot be decrypted under this name.
    let other = new(&options(home.path(), "evil.example"));
    fs::copy(&file.path, &other.path).unwrap();
    assert_eq!(access(&other), None);
    file.remove().unwrap();
    file.remove().unwrap();
    assert_eq!(access(&file), None);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let file = new(&options(home.path(), "flyte.example"));
    file.write(&login("a")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file.path), mode(&file.key_path)), (0o600, 0o600));
    assert_eq!((mode(file.path.parent().unwrap()), mode(file.key_path.parent().unwrap())), (0o700, 0o700));
    for path in [&file.key_path, &file.path] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(access(&file).as_deref(), Some("a"));
        assert_eq!(mode(path), 0o600);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_readable_file_of_another_user_is_refused() {
    // Not even root may change the mode of this file.
    let error = open_private(Path::new("/proc/sys/kernel/ostype")).unwrap_err();
    assert!(matches!(&error, StoreError::Permissions { .. }), "{error:?}");
}

#[test]
fn a_changed_or_truncated_file_yields_no_login() {
    let home = tempfile::tempdir().unwrap();
    let file = new(&options(home.path(), "flyte.example"));
    file.write(&login("a")).unwrap();
    let (key, sealed) = (file.key().unwrap(), fs::read(&file.path).unwrap());
    assert!(file.open::<Content>(&key, &sealed).is_some());
    for length in 0..sealed.len() {
        assert!(file.open::<Content>(&key, &sealed[..length]).is_none(), "cut after {length} bytes");
    }
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(file.open::<Content>(&key, &changed).is_none(), "bit {bit} changed");
    }
}

#[test]
fn a_damaged_file_is_set_aside_and_signing_in_again_works() {
    let home = tempfile::tempdir().unwrap();
    let file = new(&options(home.path(), "flyte.example"));
    file.write(&login("a")).unwrap();
    let good = fs::read(&file.path).unwrap();
    for damaged in [Vec::new(), good[..good.len() - 1].to_vec(), MAGIC.to_vec(), b"{}".to_vec()] {
        fs::write(&file.path, &damaged).unwrap();
        assert_eq!(access(&file), None);
        assert!(!file.path.exists());
        file.write(&login("b")).unwrap();
        assert_eq!(access(&file).as_deref(), Some("b"));
    }
    let kept = fs::read_dir(file.path.parent().unwrap())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".corrupt-"))
        .count();
    assert!(kept >= 1);
    // A lost key counts as damage. A damaged key is replaced.
    fs::remove_file(&file.key_path).unwrap();
    assert_eq!(access(&file), None);
    file.write(&login("c")).unwrap();
    fs::write(&file.key_path, "short").unwrap();
    assert_eq!(access(&file), None);
    file.write(&login("d")).unwrap();
    assert_eq!(access(&file).as_deref(), Some("d"));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is the file's time")]
fn temporary_files_of_killed_processes_are_removed() {
    let home = tempfile::tempdir().unwrap();
    let file = new(&options(home.path(), "flyte.example"));
    file.write(&login("a")).unwrap();
    let directory = file.path.parent().unwrap();
    let (old, new) = (directory.join(".unfinished-old"), directory.join(".unfinished-new"));
    for (path, age) in [(&old, ABANDONED_AGE * 2), (&new, Duration::ZERO)] {
        let left = File::create(path).unwrap();
        left.set_modified(SystemTime::now() - age).unwrap();
    }
    file.write(&login("b")).unwrap();
    assert!(!old.exists() && new.exists(), "another process may be writing the new one");
    assert_eq!(access(&file).as_deref(), Some("b"));
}

#[test]
fn concurrent_threads_create_one_key() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path(), "flyte.example");
    std::thread::scope(|scope| {
        for n in 0..16 {
            let file = new(&options);
            scope.spawn(move || {
                file.write(&login(&format!("token-{n}"))).unwrap();
                assert!(file.read().unwrap().is_some());
            });
        }
    });
    assert!(access(&new(&options)).unwrap().starts_with("token-"));
}

#[cfg(unix)]
#[test]
fn a_failed_write_leaves_the_old_login() {
    // Root can write to any directory, so the obstacle is a file in place of the directory.
    let home = tempfile::tempdir().unwrap();
    let file = new(&options(home.path(), "flyte.example"));
    file.write(&login("a")).unwrap();
    let full = StoreError::file("write", &file.path, io::Error::from(io::ErrorKind::StorageFull));
    assert!(matches!(&full, StoreError::DiskFull { .. }));

    let blocked = EncryptedFile { path: file.path.join("impossible"), ..file.clone() };
    assert!(matches!(blocked.try_writing(), Err(StoreError::File { .. })));
    assert!(blocked.write(&login("b")).is_err());
    assert_eq!(access(&file).as_deref(), Some("a"));
}

/// The job of a separate process, and its home directory: see [`in_a_separate_process`].
#[cfg(unix)]
const JOB: &str = "FLYTE_TEST_STORE_JOB";
#[cfg(unix)]
const HOME: &str = "FLYTE_TEST_STORE_HOME";

/// Starts this test program again, for [`in_a_separate_process`] only, after a line of shell.
#[cfg(unix)]
fn start(before: &str, job: &str, home: &Path) -> Child {
    Command::new("sh")
        .args(["-c", &format!("{before} exec \"$0\" \"$@\"")])
        .arg(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "store::file::tests::in_a_separate_process"])
        .env(JOB, job)
        .env(HOME, home)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[cfg(unix)]
#[test]
#[ignore = "a process that other tests start"]
fn in_a_separate_process() {
    let (job, home) = (env::var(JOB).unwrap(), env::var_os(HOME).unwrap());
    let file = new(&options(Path::new(&home), "flyte.example"));
    match job.as_str() {
        "no room" => {
            for outcome in [file.try_writing(), file.write(&login("b"))] {
                assert!(matches!(&outcome, Err(StoreError::DiskFull { .. })), "{outcome:?}");
            }
        }
        token => {
            file.write(&login(token)).unwrap();
            assert!(file.read().unwrap().is_some());
        }
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_keeps_the_old_login_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let file = new(&options(home.path(), "flyte.example"));
    file.write(&login("a")).unwrap();
    // A write beyond this limit fails as on a full disk.
    let mut process = start("trap '' XFSZ; ulimit -f 0;", "no room", home.path());
    assert!(process.wait().unwrap().success());
    assert_eq!(access(&file).as_deref(), Some("a"));
    assert_eq!(fs::read_dir(file.path.parent().unwrap()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn concurrent_processes_create_one_key() {
    let home = tempfile::tempdir().unwrap();
    let mut processes: Vec<_> = (0..8).map(|n| start("", &format!("token-{n}"), home.path())).collect();
    for process in &mut processes {
        assert!(process.wait().unwrap().success());
    }
    let file = new(&options(home.path(), "flyte.example"));
    assert!(access(&file).unwrap().starts_with("token-"));
    // No process took the login of another for damage.
    assert_eq!(fs::read_dir(file.path.parent().unwrap()).unwrap().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_changed_bit_yields_a_login(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let home = tempfile::tempdir().unwrap();
        let file = new(&options(home.path(), "flyte.example"));
        file.write(&login("a")).unwrap();
        let mut bytes = fs::read(&file.path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&file.path, &bytes).unwrap();
        prop_assert_eq!(access(&file), None);
    }
}

#[tokio::test]
async fn without_a_writable_directory_a_login_is_in_memory_unless_the_file_was_chosen() {
    use flyte_config::StoreKind;

    use crate::store::{self, MemoryReason};
    let home = tempfile::tempdir().unwrap();
    // Root can write to any directory, but not below a file.
    fs::write(home.path().join("occupied"), "").unwrap();
    let occupied = home.path().join("occupied/flyte");
    let below = |data: Option<PathBuf>, state: Option<PathBuf>| StoreOptions {
        data_dir: data,
        state_dir: state,
        ..options(home.path(), "flyte.example")
    };
    let good = || Some(home.path().join("good/flyte"));
    let cases = [
        (below(None, None), "NoHome"),
        (below(good(), None), "NoHome"),
        (below(Some(occupied.clone()), good()), "Unwritable"),
        (below(good(), Some(occupied.clone())), "Unwritable"),
        (below(good(), good()), "EncryptedFile"),
    ];
    for (options, expected) in cases {
        let file = EncryptedFile::new(&options);
        let found = match file.as_ref().and_then(EncryptedFile::find_unwritable_directory) {
            _ if file.is_none() => "NoHome",
            Some((path, reason)) => {
                assert!(path.ends_with("occupied") && reason == "it is not a directory", "{path:?} {reason}");
                "Unwritable"
            }
            None => "EncryptedFile",
        };
        assert_eq!(found, expected);
        // The chosen store is used, and no other.
        let asked = store::open(&StoreOptions { kind: Some(StoreKind::File), ..options.clone() }).await;
        match expected {
            "NoHome" => assert!(matches!(asked, Err(StoreError::NoHome))),
            _ => assert!(matches!(asked.unwrap().backend(), Backend::EncryptedFile(_))),
        }
        let memory = store::open(&StoreOptions { kind: Some(StoreKind::Memory), ..options }).await.unwrap();
        assert_eq!(memory.backend(), Backend::Memory(MemoryReason::Chosen));
    }
    assert!(!home.path().join("good").exists(), "checking creates nothing");
}
