//! Tokens in an encrypted file, for machines without a keyring. It needs no installation and no password.
//!
//! The file is encrypted with AES-256-GCM, and its random key is in another directory. That protects the tokens in backups and
//! copies of one directory. It does not protect them from a program that runs as this user and can read both directories;
//! without a password, nothing can. See `docs/reference/tokens.md`.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use flyte_config::busy;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{Backend, Login, LoginDetails, SharedEntry, StoreError, StoreOptions, TokenStore};
use crate::token::fingerprint;

/// The beginning of each file: the format and its version.
const MAGIC: &[u8] = b"flyte-tokens 1\n";
/// Length of the key, in bytes.
const KEY_LEN: usize = 32;
/// The longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// The number of bytes that must be writable before a refresh token is used: more than any login has.
const PROBE_BYTES: usize = 64 * 1024;

/// The file of one endpoint, or of one password.
#[derive(Clone, Debug)]
pub(super) struct EncryptedFile {
    /// What the file is for. The encryption covers it, so that no file can take the place of another.
    label: String,
    path: PathBuf,
    key_path: PathBuf,
}

/// The encrypted content.
#[derive(Serialize, Deserialize)]
struct Content {
    tokens: SharedEntry,
    details: Option<LoginDetails>,
}

impl EncryptedFile {
    /// The file of these options; `None` if there is no directory for it.
    pub(super) fn new(options: &StoreOptions) -> Option<Self> {
        Some(Self {
            label: options.service.clone(),
            path: options.data_dir.as_ref()?.join(format!("{}.tokens", fingerprint(&options.service))),
            key_path: options.state_dir.as_ref()?.join("tokens.key"),
        })
    }

    /// Finds the directory in which no login can be written, and the reason; `None` if both directories look writable. Nothing
    /// is written to find out. Also `None` if a login exists: then a failure to write is reported as an error.
    pub(super) fn find_unwritable_directory(&self) -> Option<(PathBuf, String)> {
        if self.path.exists() {
            return None;
        }
        [&self.path, &self.key_path].into_iter().find_map(|file| {
            let existing =
                file.ancestors().skip(1).find_map(|path| Some((path, path.symlink_metadata().ok()?)));
            let (directory, metadata) = existing?;
            let reason = match can_create_in(directory) {
                _ if !directory.is_dir() && !metadata.is_symlink() => "it is not a directory".to_owned(),
                Ok(()) => return None,
                Err(error) => error.to_string(),
            };
            Some((directory.to_owned(), reason))
        })
    }

    /// Whether the file exists.
    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The file of one password of `user` at `service`; `None` if there is no directory for it.
    pub(super) fn of_password(options: &StoreOptions, user: &str) -> Option<Self> {
        // No two pairs have the same label, because it begins with a length.
        let label = format!("password {} {}{user}", options.service.len(), options.service);
        Some(Self {
            path: options.data_dir.as_ref()?.join(format!("{}.password", fingerprint(&label))),
            key_path: options.state_dir.as_ref()?.join("tokens.key"),
            label,
        })
    }

    pub(super) fn read(&self) -> Result<Option<Login>, StoreError> {
        let content: Option<Content> = self.read_content()?;
        Ok(content.map(|content| content.tokens.into_login(content.details)))
    }

    /// Reads and decrypts the content. A damaged file is set aside and counts as absent.
    pub(super) fn read_content<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        let failed = |source| StoreError::file("read", &self.path, source);
        let mut sealed = Vec::new();
        let Some(file) = open_private(&self.path)? else { return Ok(None) };
        file.take(MAX_FILE_BYTES).read_to_end(&mut sealed).map_err(failed)?;
        let content = match read_key(&self.key_path)? {
            Some(key) => self.open(&key, &sealed),
            None => None,
        };
        let Some(content) = content else {
            self.set_aside();
            return Ok(None);
        };
        Ok(Some(content))
    }

    fn open<T: DeserializeOwned>(&self, key: &RandomizedNonceKey, sealed: &[u8]) -> Option<T> {
        let (nonce, ciphertext) = sealed.strip_prefix(MAGIC)?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let text = key.open_in_place(nonce, Aad::from(self.label.as_bytes()), &mut text).ok()?;
        serde_json::from_slice(text).ok()
    }

    /// Renames a file that cannot be decrypted. It is not deleted, because its key may be restored from a backup.
    fn set_aside(&self) {
        let aside = aside(&self.path);
        match fs::rename(&self.path, &aside) {
            Ok(()) => tracing::warn!(
                kept_as = %aside.display(),
                "the stored login is damaged or its key is gone; it was set aside, and you need to sign in again"
            ),
            Err(error) => tracing::warn!(%error, file = %self.path.display(), "the stored login is damaged"),
        }
    }

    pub(super) fn write(&self, login: &Login) -> Result<(), StoreError> {
        self.write_content(&Content { tokens: SharedEntry::of(login), details: login.details.clone() })
    }

    /// Encrypts the content and replaces the file.
    pub(super) fn write_content<T: Serialize>(&self, content: &T) -> Result<(), StoreError> {
        let key = self.key()?;
        let mut text =
            Zeroizing::new(serde_json::to_vec(content).map_err(|_| StoreError::Crypto("written as JSON"))?);
        let nonce = key
            .seal_in_place_append_tag(Aad::from(self.label.as_bytes()), &mut *text)
            .map_err(|_| StoreError::Crypto("encrypted"))?;
        let sealed = [MAGIC, nonce.as_ref(), text.as_slice()].concat();
        replace(&self.path, &sealed)
    }

    /// Reads the key, or creates it if there is none.
    fn key(&self) -> Result<RandomizedNonceKey, StoreError> {
        loop {
            if let Some(key) = read_key(&self.key_path)? {
                return Ok(key);
            }
            let mut bytes = Zeroizing::new([0; KEY_LEN]);
            rand::fill(bytes.as_mut_slice()).map_err(|_| StoreError::Crypto("given a key"))?;
            create_key(&self.key_path, &bytes)?;
            // Read it again: if two processes create a key at the same time, the first one counts.
        }
    }

    pub(super) fn remove(&self) -> Result<(), StoreError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::file("remove", &self.path, error))
            }
            _ => Ok(()),
        }
    }

    fn try_writing(&self) -> Result<(), StoreError> {
        self.key()?;
        let mut file = create_temporary(&self.path)?;
        file.write_all(&vec![0; PROBE_BYTES])
            .and_then(|()| file.as_file().sync_data())
            .map_err(|source| StoreError::file("write", &self.path, source))
    }

    /// Runs file work on a blocking thread, because it waits for the disk.
    pub(super) async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = self.clone();
        tokio::task::spawn_blocking(move || work(file))
            .await
            .unwrap_or(Err(StoreError::Crypto("stored: the work was interrupted")))
    }
}

#[async_trait]
impl TokenStore for EncryptedFile {
    async fn load(&self) -> Result<Option<Login>, StoreError> {
        self.run_blocking(|file| file.read()).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.run_blocking(|file| file.try_writing()).await
    }

    async fn save(&self, login: &Login) -> Result<(), StoreError> {
        let login = login.clone();
        self.run_blocking(move |file| file.write(&login)).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.run_blocking(|file| file.remove()).await
    }

    fn backend(&self) -> Backend {
        Backend::EncryptedFile(self.path.clone())
    }
}

/// Whether files can be created in a directory.
#[cfg(unix)]
fn can_create_in(directory: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    access(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from)
}

/// Whether files can be created in a directory. On other systems, only writing finds that out.
#[cfg(not(unix))]
fn can_create_in(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A free name for a damaged file: `....corrupt-TIME`.
#[expect(clippy::disallowed_methods, reason = "a name, which nothing compares with a clock")]
fn aside(path: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    (0..=u32::MAX)
        .map(|n| match n {
            0 => path.with_extension(format!("corrupt-{now}")),
            n => path.with_extension(format!("corrupt-{now}-{n}")),
        })
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| path.with_extension("corrupt"))
}

/// Reads a key from a file; `None` if there is no file, or if it holds no key.
fn read_key(path: &Path) -> Result<Option<RandomizedNonceKey>, StoreError> {
    let Some(file) = open_private(path)? else { return Ok(None) };
    // The buffer has room for more than a key and never grows, because growing would leave a copy behind that is not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * KEY_LEN));
    file.take(KEY_LEN as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| StoreError::file("read", path, source))?;
    if bytes.len() != KEY_LEN {
        // This program never leaves a partial key behind. Rename the file so that a new key can be created.
        let aside = aside(path);
        tracing::warn!(kept_as = %aside.display(), "the key of the stored logins is damaged");
        fs::rename(path, aside).map_err(|error| StoreError::file("move", path, error))?;
        return Ok(None);
    }
    RandomizedNonceKey::new(&AES_256_GCM, &bytes).map(Some).map_err(|_| StoreError::Crypto("decrypted"))
}

/// Writes a whole key, unless there is one.
fn create_key(path: &Path, bytes: &[u8; KEY_LEN]) -> Result<(), StoreError> {
    let failed = |source| StoreError::file("write", path, source);
    let mut file = create_temporary(path)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_directory(path),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error.error)),
    }
}

/// Replaces a file atomically: if the process or the machine fails, the file has the old content or the new content.
fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let failed = |source| StoreError::file("write", path, source);
    let mut file = create_temporary(path)?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    busy::persist(file, path).map_err(failed)?;
    sync_directory(path)
}

/// The prefix of temporary files.
const UNFINISHED: &str = ".unfinished-";
/// The age at which a temporary file counts as left behind by a killed process. Writing one takes a moment.
const ABANDONED_AGE: Duration = Duration::from_mins(10);

/// Removes temporary files that killed processes left behind. Each is encrypted, or a key that was never used.
fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let old = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && old().is_some_and(|age| age > ABANDONED_AGE)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Creates a temporary file (mode 0600) next to `path`, in a directory that only its owner can read.
fn create_temporary(path: &Path) -> Result<tempfile::NamedTempFile, StoreError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(|source| StoreError::file("create", directory, source))?;
    sweep(directory);
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(directory)
        .map_err(|source| StoreError::file("write", path, source))
}

/// Makes a rename durable.
#[cfg(unix)]
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    if let Some(directory) = path.parent() {
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| StoreError::file("write", path, source))?;
    }
    Ok(())
}

/// Makes a rename durable. Windows does so by itself, and opens no directories.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// Opens a private file; `None` if it does not exist. If other users can read it, its mode is corrected. If another user owns it,
/// that is an error.
fn open_private(path: &Path) -> Result<Option<File>, StoreError> {
    let failed = |source| StoreError::file("read", path, source);
    let file = match busy::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            // Only the owner can change the mode.
            file.set_permissions(fs::Permissions::from_mode(0o600))
                .map_err(|_| StoreError::Permissions { path: path.to_owned() })?;
            tracing::warn!(file = %path.display(), "other users could read this file of the stored logins; now they cannot");
        }
    }
    Ok(Some(file))
}

#[cfg(test)]
mod tests;
