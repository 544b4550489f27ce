//! The encrypted file under damage, races and a full disk.

use std::time::Duration;

use proptest::prelude::*;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;

fn options(home: &Path, service: &str) -> StoreOptions {
    StoreOptions {
        service: service.to_owned(),
        data_dir: home.join("data"),
        state_dir: home.join("state"),
        disable_keyring: false,
        keyring_timeout: Duration::from_secs(1),
    }
}

fn login(access: &str) -> Login {
    Login {
        access_token: SecretString::from(access),
        refresh_token: Some(SecretString::from("the-refresh-token")),
        details: Some(LoginDetails {
            access_token_sha256: fingerprint(access),
            issued_at: Some(1),
            expires_at: Some(2),
            scopes: vec!["all".to_owned()],
            client_id: "flyte".to_owned(),
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
fn a_login_comes_back_and_is_not_legible() {
    let home = tempfile::tempdir().unwrap();
    let file = EncryptedFile::new(&options(home.path(), "flyte.example"));
    assert_eq!(access(&file), None);
    file.write(&login("the-access-token")).unwrap();
    let back = file.read().unwrap().unwrap();
    assert_eq!(back.refresh_token.unwrap().expose_secret(), "the-refresh-token");
    assert_eq!(back.details, login("the-access-token").details);
    let bytes = fs::read(&file.path).unwrap();
    for word in ["the-access-token", "the-refresh-token", "flyte.example", "issuer"] {
        assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
    }
    // Another endpoint's file under this name is not this endpoint's login.
    let other = EncryptedFile::new(&options(home.path(), "evil.example"));
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
    let file = EncryptedFile::new(&options(home.path(), "flyte.example"));
    file.write(&login("a")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file.path), mode(&file.key_path)), (0o600, 0o600));
    assert_eq!((mode(file.path.parent().unwrap()), mode(file.key_path.parent().unwrap())), (0o700, 0o700));
    fs::set_permissions(&file.key_path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(access(&file).as_deref(), Some("a"));
    assert_eq!(mode(&file.key_path), 0o600);
}

#[test]
fn damage_is_set_aside_and_signing_in_again_works() {
    let home = tempfile::tempdir().unwrap();
    let file = EncryptedFile::new(&options(home.path(), "flyte.example"));
    file.write(&login("a")).unwrap();
    let good = fs::read(&file.path).unwrap();
    for damaged in [Vec::new(), good[..good.len() - 1].to_vec(), MAGIC.to_vec(), b"{}".to_vec()] {
        fs::write(&file.path, &damaged).unwrap();
        assert_eq!(access(&file), None);
        assert!(!file.exists());
        file.write(&login("b")).unwrap();
        assert_eq!(access(&file).as_deref(), Some("b"));
    }
    let kept = fs::read_dir(file.path.parent().unwrap())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".corrupt-"))
        .count();
    assert!(kept >= 1);
    // A lost key is like damage; a damaged one makes way for a new one.
    fs::remove_file(&file.key_path).unwrap();
    assert_eq!(access(&file), None);
    file.write(&login("c")).unwrap();
    fs::write(&file.key_path, "short").unwrap();
    assert_eq!(access(&file), None);
    file.write(&login("d")).unwrap();
    assert_eq!(access(&file).as_deref(), Some("d"));
}

#[test]
fn of_many_that_make_the_key_at_once_one_wins() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path(), "flyte.example");
    std::thread::scope(|scope| {
        for n in 0..16 {
            let file = EncryptedFile::new(&options);
            scope.spawn(move || {
                file.write(&login(&format!("token-{n}"))).unwrap();
                assert!(file.read().unwrap().is_some());
            });
        }
    });
    assert!(access(&EncryptedFile::new(&options)).unwrap().starts_with("token-"));
}

#[cfg(unix)]
#[test]
fn what_cannot_be_written_leaves_the_old_login() {
    // Root writes anywhere, so the obstacle is a file where the directory should be.
    let home = tempfile::tempdir().unwrap();
    let file = EncryptedFile::new(&options(home.path(), "flyte.example"));
    file.write(&login("a")).unwrap();
    let full = StoreError::file("write", &file.path, io::Error::from(io::ErrorKind::StorageFull));
    assert!(matches!(&full, StoreError::DiskFull { .. }));
    assert!(full.hint().unwrap().contains("df -h"));
    let blocked = EncryptedFile { path: file.path.join("impossible"), ..file.clone() };
    assert!(matches!(blocked.try_writing(), Err(StoreError::File { .. })));
    assert!(blocked.write(&login("b")).is_err());
    assert_eq!(access(&file).as_deref(), Some("a"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_changed_bit_yields_a_login(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let home = tempfile::tempdir().unwrap();
        let file = EncryptedFile::new(&options(home.path(), "flyte.example"));
        file.write(&login("a")).unwrap();
        let mut bytes = fs::read(&file.path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&file.path, &bytes).unwrap();
        prop_assert_eq!(access(&file), None);
    }
}
