//! Creates whatever the server needs and does not have yet.
//!
//! Each step is atomic and is skipped if it was done before. So if a first start was killed at any moment, the next
//! start completes it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::{
    app::{App, Parts, Serves},
    data_dir::{DataDir, DataDirError},
    pods,
    tls::{Tls, TlsError},
    upstream::{self, UpstreamFileError},
};
use flyte_access::{
    Access,
    door::{self, NotPrefix},
};
use flyte_audit::{Audit, Detail, Event, Kind};
use flyte_federation::{TrustedIssuers, issuers::CaFileError};
use flyte_identity::{
    BreachedFileError, PasswordError, PasswordOwner, PasswordRules, Passwords,
    first_password::{self, FirstAdmin, RemoveError},
};
use flyte_keys::{KeyError, SealingKey, SigningKeys};
use flyte_model::{
    Scopes,
    clock::{Clock, UnixTime},
};
use flyte_oauth::{OutsideSignIns, token::REGISTRABLE_GRANTS};
use flyte_objects::{Objects, ObjectsError};
use flyte_provider::Providers;
use flyte_secrets::write_atomically;
use flyte_settings::{Config, PublicClientConfig, ShownSetting};
use flyte_store::{Client, ClientKind, Project, ProjectState, Store, StoreError, User};
use flyte_store_sqlite::SqliteStore;

/// The name of the first administrator.
const ADMINISTRATOR: &str = "Administrator";
/// The project of a new server.
const FIRST_PROJECT: &str = "flytesnacks";
/// Additional loopback redirect URIs of the public client. The port may be any (RFC 8252 section 7.3).
const LOOPBACK_REDIRECT_URIS: [&str; 2] = ["http://127.0.0.1/callback", "http://[::1]/callback"];

/// The reason why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The signing keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file of trusted issuers' certificate authorities cannot be used.
    #[error(transparent)]
    CaFile(#[from] CaFileError),
    /// The storage for task objects cannot be used.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// The first administrator's password cannot be used.
    #[error("the password in {}: {source}", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The password was refused or could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The list of passwords that leaked cannot be used.
    #[error(transparent)]
    BreachedFile(#[from] BreachedFileError),
    /// A file of the data directory cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file about the first administrator's password cannot be removed.
    #[error(transparent)]
    FirstPassword(#[from] RemoveError),
    /// A file of the connection to a backend cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamFileError),
    /// A prefix of the backend's objects is not one.
    #[error("\"projects.storage\": {0}")]
    Storage(#[from] NotPrefix),
    /// The connection to the API server of a cluster is not set up.
    #[error("the settings in [kubernetes]: {0}")]
    Kubernetes(#[from] flyte_kubernetes::ApiError),
    /// The operating system returned no random numbers.
    #[error("the operating system returned no random numbers")]
    Random,
}

/// A server that is ready to start.
#[derive(Debug)]
pub struct Prepared {
    /// Its parts.
    pub app: Arc<App>,
    /// The certificate; `None` if connections are not encrypted.
    pub tls: Option<Tls>,
    /// The data directory, locked until this value is dropped.
    pub data_dir: DataDir,
    /// The first administrator, while their password is in a file.
    pub first_admin: Option<FirstAdmin>,
}

/// Creates what is missing and opens the rest.
///
/// # Errors
/// [`BootstrapError`]. The next start finds what was created so far.
pub async fn prepare(
    config: Config,
    settings: Vec<ShownSetting>,
    clock: Clock,
) -> Result<Prepared, BootstrapError> {
    let data_dir = DataDir::open(&config.data_dir)?;
    let now = clock.now();
    let tls = Tls::open(&config, &data_dir, now)?;
    let sealing = SealingKey::load_or_create(&data_dir.file("sealing.key"))?;
    let store = SqliteStore::open(&data_dir.file("flyte.db"))?;
    let serves = match &config.upstream {
        None => Serves::Embedded(Arc::new(objects(&config, &data_dir, &store).await?)),
        Some(upstream) => {
            upstream::check(upstream)?;
            Serves::Upstream(Box::new(upstream.clone()), Arc::new(door::Backend::new(&config.projects)?))
        }
    };
    let store: Arc<dyn Store> = Arc::new(store);
    let keys = SigningKeys::load(Arc::clone(&store), sealing, clock.clone(), &config.tokens).await?;
    let keys = Arc::new(keys);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let passwords = Passwords::new(threads, PasswordRules::open(&config.password_rules)?);
    let administrative = Passwords::new(1, PasswordRules::open(&config.password_rules)?);
    store.put_client(&public_client(&config.public_client, now)).await?;
    if config.upstream.is_none() {
        first_project(&*store, now).await?;
    }
    let issuers = Arc::new(TrustedIssuers::new(config.trust.ca_file.clone(), clock.clone())?);
    let outside = OutsideSignIns::new(Providers::new(&config, &clock)?, &clock);
    let audit = Audit::start(Arc::clone(&store), clock.clone());
    let first_admin = first_admin(&config, &data_dir, &*store, &audit, &passwords, now).await?;
    if config.upstream.is_none() {
        prepare_tasks(&config, &data_dir)?;
    }
    let config = Arc::new(config);
    let access = Arc::new(Access::new(
        Arc::clone(&config),
        clock.clone(),
        Arc::clone(&store),
        Arc::clone(&keys),
        audit.clone(),
    ));
    let app = Arc::new(App::new(Parts {
        config,
        clock,
        store,
        keys,
        audit,
        access,
        issuers,
        outside,
        passwords,
        administrative,
        serves,
        settings,
    }));
    if let Some(embedded) = app.embedded() {
        let probed = Arc::clone(&embedded.objects);
        tokio::spawn(async move { probed.probe().await });
    }
    pods::accept(&app).await?;
    // Tokens that were revoked before this start are refused from the first request on.
    app.access.maintain().await?;
    Ok(Prepared { app, tls, data_dir, first_admin })
}

/// Opens the objects of tasks.
async fn objects(
    config: &Config,
    data_dir: &DataDir,
    store: &SqliteStore,
) -> Result<Objects, BootstrapError> {
    let objects = Objects::new(config)?;
    let directories = store.object_directories(objects.directory()).await?;
    let objects = objects.with_former_directories(directories.all);
    objects.prepare().map_err(|source| BootstrapError::File { path: data_dir.file("objects"), source })?;
    forget_moved(&objects, store, directories.pending).await?;
    Ok(objects)
}

/// Writes the files that tasks on this machine need.
fn prepare_tasks(config: &Config, data_dir: &DataDir) -> Result<(), BootstrapError> {
    flyte_runner_local::libraries::install(&config.data_dir)
        .map_err(|source| BootstrapError::File { path: data_dir.file("python"), source })?;
    flyte_runner_local::authorities::install(config).map_err(|source| BootstrapError::File {
        path: flyte_runner_local::authorities::file(&config.data_dir),
        source,
    })
}

/// Updates inputs and outputs of earlier runs after the data directory was moved.
async fn forget_moved(objects: &Objects, store: &SqliteStore, former: Vec<String>) -> Result<(), StoreError> {
    if former.is_empty() {
        return Ok(());
    }
    match objects.rewrite_contents(&former) {
        Ok(rewritten) => {
            tracing::info!(
                ?former,
                rewritten,
                "the data directory was moved: inputs and outputs that named it were rewritten"
            );
            store.object_directories_rewritten(former).await
        }
        Err(error) => {
            // The next start tries again. Everything else works.
            tracing::error!(%error, ?former, "inputs and outputs that name the former data directory could not be rewritten");
            Ok(())
        }
    }
}

/// The registration of the `flyte` command and the PyPI package `flyte`. Each start updates it from the
/// configuration.
fn public_client(config: &PublicClientConfig, now: UnixTime) -> Client {
    let mut redirect_uris = vec![config.redirect_uri.clone()];
    redirect_uris.extend(LOOPBACK_REDIRECT_URIS.map(str::to_owned));
    Client {
        id: config.client_id.clone(),
        name: "Flyte CLI".to_owned(),
        kind: ClientKind::Public,
        secret_hash: None,
        jwks: None,
        redirect_uris,
        post_logout_redirect_uris: Vec::new(),
        grant_types: REGISTRABLE_GRANTS.to_vec(),
        scopes: Scopes::supported(),
        first_party: true,
        may_keep_api_keys: false,
        id_token_signed_response_alg: None,
        created_at: now,
    }
}

async fn first_project(store: &dyn Store, now: UnixTime) -> Result<(), StoreError> {
    // A server with accounts has started before: its first project may have been renamed or archived.
    if store.any_user().await? {
        return Ok(());
    }
    let project = Project {
        id: FIRST_PROJECT.to_owned(),
        name: FIRST_PROJECT.to_owned(),
        description: "A first project to try things out in".to_owned(),
        labels: std::collections::BTreeMap::new(),
        state: ProjectState::Active,
        created_at: now,
        updated_at: now,
    };
    match store.create_project(&project).await {
        Err(StoreError::AlreadyExists { .. }) => Ok(()),
        other => other,
    }
}

async fn first_admin(
    config: &Config,
    data_dir: &DataDir,
    store: &dyn Store,
    audit: &Audit,
    passwords: &Passwords,
    now: UnixTime,
) -> Result<Option<FirstAdmin>, BootstrapError> {
    let mark = data_dir.file(first_password::MARK);
    if store.any_user().await? {
        if mark.exists() {
            replace_untold_password(config, data_dir, store, audit, passwords, now).await?;
            first_password::remove(&mark)?;
        }
        return Ok(first_password::read(data_dir.path()));
    }
    let email = config.admin.email.clone();
    let password = match &config.admin.password_file {
        Some(path) => read_password(path)?,
        None => make_up_password()?,
    };
    let owner = PasswordOwner { email: email.clone(), name: ADMINISTRATOR.to_owned() };
    let hash = passwords.hash(password.clone(), owner).await?;
    // The file comes before the account, so that the password is known if the start is killed at any moment.
    match &config.admin.password_file {
        Some(_) => first_password::remove(&data_dir.file(first_password::FILE))?,
        None => write_first_password(data_dir, &password, &email)?,
    }
    store
        .create_user(&User {
            id: Uuid::new_v4().to_string(),
            name: ADMINISTRATOR.to_owned(),
            email: email.clone(),
            password_hash: Some(hash),
            admin: true,
            created_at: now,
            disabled_at: None,
        })
        .await?;
    audit.record(Event::new(Kind::FirstAdminCreated).object(&email)).await;
    Ok(first_password::read(data_dir.path()))
}

fn write_first_password(
    data_dir: &DataDir,
    password: &SecretString,
    email: &str,
) -> Result<(), BootstrapError> {
    let path = data_dir.file(first_password::FILE);
    let content = SecretString::from(format!("{}\n{email}\n", password.expose_secret()));
    write_atomically(&path, content.expose_secret().as_bytes())
        .map_err(|source| BootstrapError::File { path, source })
}

/// After an interrupted first start of an earlier version, which did not show the password: sets a new one.
async fn replace_untold_password(
    config: &Config,
    data_dir: &DataDir,
    store: &dyn Store,
    audit: &Audit,
    passwords: &Passwords,
    now: UnixTime,
) -> Result<(), BootstrapError> {
    let marked = fs::read_to_string(data_dir.file(first_password::MARK)).unwrap_or_default();
    let Some(user) = store.user_by_email(marked.trim()).await? else { return Ok(()) };
    let password = match &config.admin.password_file {
        Some(path) => read_password(path)?,
        None => make_up_password()?,
    };
    let hash = passwords.hash(password.clone(), owner_of(&user)).await?;
    if config.admin.password_file.is_none() {
        write_first_password(data_dir, &password, &user.email)?;
    }
    store.set_password_hash(&user.id, &hash, now).await?;
    let event = Event::new(Kind::PasswordReset).object(&user.email);
    audit.record(event.detail(Detail::Reason, "the first start was interrupted")).await;
    Ok(())
}

/// Returns the first line of a password file.
///
/// # Errors
/// [`BootstrapError::PasswordFile`] if the file cannot be read.
pub fn read_password(path: &Path) -> Result<SecretString, BootstrapError> {
    let refused = |source| BootstrapError::PasswordFile { path: path.to_owned(), source };
    let content = fs::read_to_string(path).map(SecretString::from).map_err(refused)?;
    Ok(SecretString::from(content.expose_secret().lines().next().unwrap_or_default().to_owned()))
}

/// The user of an account's password, for the rules.
#[must_use]
pub fn owner_of(user: &User) -> PasswordOwner {
    PasswordOwner { email: user.email.clone(), name: user.name.clone() }
}

/// Hashes a new password for a command.
///
/// # Errors
/// [`BootstrapError`] if the rules of the settings do not allow it.
pub async fn hash_password(
    config: &Config,
    password: SecretString,
    owner: PasswordOwner,
) -> Result<String, BootstrapError> {
    Ok(Passwords::new(1, PasswordRules::open(&config.password_rules)?).hash(password, owner).await?)
}

/// Generates a password that cannot be guessed but can be typed, in groups of five.
///
/// # Errors
/// [`BootstrapError::Random`] if the system returns no random numbers.
pub fn make_up_password() -> Result<SecretString, BootstrapError> {
    Ok(Passwords::generate()?)
}
