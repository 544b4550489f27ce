use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::bootstrap;
use flyte_model::{ClientId, Limit, Rights, Role, Scope, clock::Clock};
use flyte_runner_local::process::{self, Found};
use flyte_secrets::opaque_token;
use flyte_settings::Config;
use flyte_store::{AccountLinkStore as _, ApiKey, ApiKeyStore as _, UserStore as _};
use flyte_store_sqlite::SqliteStore;

const NOW: i64 = 1_800_000_000;
const OUTPUTS: &str = "objects://p/d/runs/r1/a0/1/outputs.pb";

/// A data directory of a server, with an object and the directories of two attempts.
struct World {
    home: TempDir,
    config: Config,
    clock: Clock,
}

impl World {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = Config::for_test(&home.path().join("data"));
        let world = Self { home, config, clock: Clock::manual(NOW) };
        let server = world.start().await;
        server.app.embedded().unwrap().objects.put(OUTPUTS, Bytes::from_static(b"outputs")).await.unwrap();
        for (attempt, file) in [("1", "exit.json"), ("2", "lock")] {
            let directory = world.data().join("attempts/p/d/r1/a0").join(attempt);
            fs::create_dir_all(directory.join("work")).unwrap();
            for name in [file, "log.jsonl", "token", "work/large"] {
                fs::write(directory.join(name), "1\n").unwrap();
            }
        }
        world
    }

    fn data(&self) -> &Path {
        &self.config.data_dir
    }

    fn backup(&self) -> PathBuf {
        self.home.path().join("backup")
    }

    async fn start(&self) -> bootstrap::Prepared {
        bootstrap::prepare(self.config.clone(), Vec::new(), self.clock.clone()).await.unwrap()
    }

    fn create(&self) -> Created {
        create(&self.config, &self.backup(), &self.clock).unwrap()
    }

    async fn restore(&self, name: &str, keep_sessions: bool) -> Result<(Restored, Config), BackupError> {
        let target = self.home.path().join(name);
        let restored = restore(&self.backup(), &target, None, keep_sessions, &self.clock).await?;
        Ok((restored, Config::for_test(&target)))
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.data().join("flyte.db")).unwrap()
    }
}

/// All paths below the directory to which other users have access.
fn exposed(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        if metadata.permissions().mode() & 0o077 != 0 {
            found.push(entry.path());
        }
        if metadata.is_dir() {
            found.extend(exposed(&entry.path()));
        }
    }
    found
}

fn key(name: &str, secret: &str) -> ApiKey {
    ApiKey {
        client_id: name.parse().unwrap(),
        name: name.to_owned(),
        secret_hash: Some(opaque_token::hash(secret)),
        previous_secret: None,
        jwks: None,
        rights: Rights { role: Role::Contributor, scopes: [Scope::ALL].into(), limit: Limit::default() },
        created_by: "ada".to_owned(),
        created_at: NOW,
        expires_at: None,
        last_used_at: None,
        family_id: format!("family-{name}"),
    }
}

#[tokio::test]
async fn a_backup_is_made_beside_the_server_and_restored_elsewhere() {
    let world = World::new().await;
    let server = world.start().await;
    let ca = fs::read(world.data().join("ca.pem")).unwrap();
    let first = world.create();
    assert!(first.files >= 8 && first.copied == first.files, "{first:?}");
    assert_eq!(first.unreadable, [""; 0]);
    assert_eq!(fs::metadata(world.backup()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(exposed(&world.backup()), [""; 0].map(PathBuf::from));
    assert_eq!(world.create().copied, 0, "nothing has changed");
    server
        .app
        .embedded()
        .unwrap()
        .objects
        .put("objects://p/d/new", Bytes::from_static(b"new"))
        .await
        .unwrap();
    assert_eq!(world.create().copied, 1);
    Manifest::read(&world.backup()).unwrap().unwrap().verify(&world.backup()).unwrap();
    drop(server);
    fs::rename(world.data(), world.home.path().join("gone")).unwrap();

    let (restored, config) = world.restore("elsewhere/data", false).await.unwrap();
    assert_eq!(restored.revoked_in, None);
    assert_eq!(exposed(&config.data_dir), [""; 0].map(PathBuf::from));
    let attempts = config.data_dir.join("attempts/p/d/r1/a0");
    assert!(attempts.join("1/log.jsonl").exists() && !attempts.join("1/token").exists());
    assert!(!attempts.join("1/work").exists());
    assert!(matches!(process::find(&attempts.join("2")).await.unwrap(), Found::Lost));
    let server = bootstrap::prepare(config.clone(), Vec::new(), world.clock.clone()).await.unwrap();
    assert!(server.first_admin.is_some(), "the administrator has not signed in yet");
    assert_eq!(server.app.embedded().unwrap().objects.get(OUTPUTS).await.unwrap().unwrap(), "outputs");
    assert_eq!(
        server.app.embedded().unwrap().objects.get("objects://p/d/new").await.unwrap().unwrap(),
        "new"
    );
    assert_eq!(fs::read(config.data_dir.join("ca.pem")).unwrap(), ca);
    assert!(server.app.store.user_by_email("admin@localhost").await.unwrap().is_some());
}

#[tokio::test]
async fn existing_files_are_not_overwritten() {
    let world = World::new().await;
    world.create();
    let other = world.home.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter"), "mine").unwrap();
    assert!(matches!(create(&world.config, &other, &world.clock), Err(BackupError::NotABackup(_))));
    for nested in [world.data().join("backup"), world.home.path().to_owned()] {
        assert!(create(&world.config, &nested, &world.clock).is_err(), "{}", nested.display());
    }
    assert!(matches!(world.restore("other", false).await, Err(BackupError::TargetNotEmpty(_))));
    assert!(matches!(world.restore("data", false).await, Err(BackupError::TargetNotEmpty(_))));
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
    // A server does not start after an interrupted restore, which can be repeated.
    let (_, config) = world.restore("new", false).await.unwrap();
    fs::write(config.data_dir.join("restoring"), "").unwrap();
    let refused =
        bootstrap::prepare(config.clone(), Vec::new(), world.clock.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("was interrupted"), "{refused}");
    world.restore("new", false).await.unwrap();
    bootstrap::prepare(config, Vec::new(), world.clock.clone()).await.unwrap();
    fs::set_permissions(world.backup(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(create(&world.config, &world.backup(), &world.clock), Err(BackupError::Exposed(_))));
}

#[tokio::test]
async fn damage_is_reported_before_anything_is_created() {
    let world = World::new().await;
    world.create();
    let manifest = Manifest::read(&world.backup()).unwrap().unwrap();
    let entry = manifest.files.iter().find(|entry| entry.path.ends_with("outputs.pb")).unwrap();
    let content = manifest::content(&world.backup(), &entry.sha256);
    for damage in [Some("outputz"), None] {
        match damage {
            Some(damage) => fs::write(&content, damage).unwrap(),
            None => fs::remove_file(&content).unwrap(),
        }
        let message = world.restore("new", false).await.unwrap_err().to_string();
        assert!(message.contains("outputs.pb is missing or has been changed"), "{message}");
        assert!(!world.home.path().join("new").exists());
    }
    // The next backup repairs it.
    assert_eq!(world.create().copied, 1);
    world.restore("new", false).await.unwrap();
    let text = fs::read_to_string(world.backup().join("manifest")).unwrap();
    fs::write(world.backup().join("manifest"), text.replace("objects/p/d", "objects/q/d")).unwrap();
    let message = world.restore("newer", false).await.unwrap_err().to_string();
    assert!(message.contains("manifest has been changed"), "{message}");
    assert!(matches!(
        restore(world.data(), &world.home.path().join("x"), None, false, &world.clock).await,
        Err(BackupError::Missing(_))
    ));
}

#[tokio::test]
async fn an_interrupted_backup_keeps_the_previous_one() {
    let world = World::new().await;
    world.create();
    let before = Manifest::read(&world.backup()).unwrap().unwrap();
    // The state after a killed backup: contents that may not have reached the disk, and half a file.
    let server = world.start().await;
    server
        .app
        .embedded()
        .unwrap()
        .objects
        .put("objects://p/d/new", Bytes::from_static(b"new"))
        .await
        .unwrap();
    let sha256 = flyte_objects::signed_url::hex(
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"new").as_ref(),
    );
    let torn = manifest::content(&world.backup(), &sha256);
    fs::create_dir_all(torn.parent().unwrap()).unwrap();
    fs::write(&torn, "\0\0\0").unwrap();
    fs::write(world.backup().join(".unfinished-x"), "half").unwrap();
    before.verify(&world.backup()).unwrap();
    world.create();
    assert!(!world.backup().join(".unfinished-x").exists());
    Manifest::read(&world.backup()).unwrap().unwrap().verify(&world.backup()).unwrap();
    assert_eq!(fs::read(&torn).unwrap(), b"new");
}

#[tokio::test]
async fn links_that_tasks_plant_are_not_followed() {
    let world = World::new().await;
    let secret = world.home.path().join("secret");
    fs::write(&secret, "of the administrator's").unwrap();
    symlink(&secret, world.data().join("objects/p/d/link")).unwrap();
    symlink(world.home.path(), world.data().join("objects/p/d/folder")).unwrap();
    world.create();
    let manifest = Manifest::read(&world.backup()).unwrap().unwrap();
    assert!(!manifest.files.iter().any(|entry| entry.path.contains("link") || entry.path.contains("folder")));
    assert!(manifest.files.iter().any(|entry| entry.path == "objects/p/d/runs/r1/a0/1/outputs.pb"));
    assert!(!manifest.files.iter().any(|entry| entry.path.contains("token") || entry.path.contains("work")));
}

#[tokio::test]
async fn a_restore_keeps_revocations() {
    let world = World::new().await;
    let store = world.store().await;
    for (name, secret) in [("kept", "1"), ("deleted", "2"), ("rotated", "3")] {
        store.create_api_key(&key(name, secret)).await.unwrap();
    }
    let admin = store.user_by_email("admin@localhost").await.unwrap().unwrap();
    let link = flyte_identity::account_link::link(&admin, flyte_store::LinkPurpose::Password, NOW, 3600);
    let link_token = opaque_token::hash("link");
    assert!(store.create_account_link(&link, &link_token).await.unwrap());
    world.create();
    store.delete_api_key(&ClientId::from_static("deleted"), NOW).await.unwrap();
    let newer = opaque_token::hash("4");
    {
        let connection = rusqlite::Connection::open(world.data().join("flyte.db")).unwrap();
        connection
            .execute("UPDATE api_keys SET secret_hash = ?1 WHERE client_id = 'rotated'", [newer])
            .unwrap();
    }
    store.set_password_hash(&admin.id, "newer", NOW).await.unwrap();

    let (restored, config) = world.restore("new", false).await.unwrap();
    assert_eq!(restored.revoked_in, Some(world.data().join("flyte.db")));
    let expected = (1, 1, 0, 1, 2);
    let ended = restored.revoked;
    let counts = (
        ended.api_keys_deleted,
        ended.api_keys_rotated,
        ended.users_disabled,
        ended.passwords_changed,
        ended.api_keys,
    );
    assert_eq!(counts, expected);
    let restored = SqliteStore::open(&config.data_dir.join("flyte.db")).unwrap();
    assert!(restored.api_key_by_id(&ClientId::from_static("deleted")).await.unwrap().is_none());
    assert_eq!(
        restored.api_key_by_id(&ClientId::from_static("rotated")).await.unwrap().unwrap().secret_hash,
        Some(newer)
    );
    assert!(restored.api_key_by_id(&ClientId::from_static("kept")).await.unwrap().is_some());
    let admin = restored.user_by_email("admin@localhost").await.unwrap().unwrap();
    assert_eq!(admin.password_hash.as_deref(), Some("newer"));
    let link = async |store: &SqliteStore| store.account_link_by_token(&link_token, NOW).await.unwrap();
    assert_eq!(link(&restored).await, None, "it was used after the backup");
    let count = |path: &Path| -> i64 {
        let connection = rusqlite::Connection::open(path.join("flyte.db")).unwrap();
        connection.query_row("SELECT count(*) FROM signing_keys", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(&config.data_dir), 0, "earlier tokens are refused");
    let (_, kept) = world.restore("kept", true).await.unwrap();
    assert!(count(&kept.data_dir) > 0);
    assert_eq!(link(&SqliteStore::open(&kept.data_dir.join("flyte.db")).unwrap()).await, None);
}
