//! Tokens in an encrypted file, for machines without a keyring: nothing to install, nothing to type.
//!
//! AES-256-GCM with a random key that stands in another directory. That keeps tokens out of backups, copies and searches of
//! either directory; it does not keep them from somebody who can read both as this user, which nothing that asks for no
//! password can. `docs/reference/tokens.md` says more.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Backend, Login, LoginDetails, SharedEntry, StoreError, StoreOptions, TokenStore};
use crate::token::fingerprint;

/// What each file begins with: the format and its version.
const MAGIC: &[u8] = b"flyte-tokens 1\n";
/// Length of the key, in bytes.
const KEY_LEN: usize = 32;
/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// What must be writable before a refresh token is spent: more than any login takes.
const PROBE: usize = 64 * 1024;

/// The file of one endpoint.
#[derive(Clone, Debug)]
pub(super) struct EncryptedFile {
    service: String,
    path: PathBuf,
    key_path: PathBuf,
}

/// What is encrypted.
#[derive(Serialize, Deserialize)]
struct Content {
    tokens: SharedEntry,
    details: Option<LoginDetails>,
}

impl EncryptedFile {
    /// The file of these options; `None` where there is no directory for it.
    pub(super) fn new(options: &StoreOptions) -> Option<Self> {
        Some(Self {
            service: options.service.clone(),
            path: options.data_dir.as_ref()?.join(format!("{}.tokens", fingerprint(&options.service))),
            key_path: options.state_dir.as_ref()?.join("tokens.key"),
        })
    }

    /// The directory that keeps a login from being written here, and why. `None` where nothing does, as far as can be told
    /// without writing, or where there is a login already: that is a person's, and an error at writing is told them.
    pub(super) fn unwritable(&self) -> Option<(PathBuf, String)> {
        if self.path.exists() {
            return None;
        }
        [&self.path, &self.key_path].into_iter().find_map(|file| {
            let there = file.ancestors().skip(1).find_map(|path| Some((path, path.symlink_metadata().ok()?)));
            let (directory, metadata) = there?;
            let reason = match can_create_in(directory) {
                _ if !directory.is_dir() && !metadata.is_symlink() => "it is not a directory".to_owned(),
                Ok(()) => return None,
                Err(error) => error.to_string(),
            };
            Some((directory.to_owned(), reason))
        })
    }

    /// Whether there is one.
    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    fn read(&self) -> Result<Option<Login>, StoreError> {
        let failed = |source| StoreError::file("read", &self.path, source);
        let mut sealed = Vec::new();
        let Some(file) = open_private(&self.path)? else { return Ok(None) };
        file.take(MAX_FILE).read_to_end(&mut sealed).map_err(failed)?;
        let content = match read_key(&self.key_path)? {
            Some(key) => self.open(&key, &sealed),
            None => None,
        };
        let Some(content) = content else {
            self.set_aside();
            return Ok(None);
        };
        Ok(Some(content.tokens.into_login(content.details)))
    }

    fn open(&self, key: &RandomizedNonceKey, sealed: &[u8]) -> Option<Content> {
        let (nonce, ciphertext) = sealed.strip_prefix(MAGIC)?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let text = key.open_in_place(nonce, Aad::from(self.service.as_bytes()), &mut text).ok()?;
        serde_json::from_slice(text).ok()
    }

    /// Moves a file that cannot be read out of the way, without losing it: its key may come back from a backup.
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

    fn write(&self, login: &Login) -> Result<(), StoreError> {
        let key = self.key()?;
        let content = Content { tokens: SharedEntry::of(login), details: login.details.clone() };
        let mut text =
            Zeroizing::new(serde_json::to_vec(&content).map_err(|_| StoreError::Crypto("written as JSON"))?);
        let nonce = key
            .seal_in_place_append_tag(Aad::from(self.service.as_bytes()), &mut *text)
            .map_err(|_| StoreError::Crypto("encrypted"))?;
        let sealed = [MAGIC, nonce.as_ref(), text.as_slice()].concat();
        replace(&self.path, &sealed)
    }

    /// The key, made where there is none.
    fn key(&self) -> Result<RandomizedNonceKey, StoreError> {
        loop {
            if let Some(key) = read_key(&self.key_path)? {
                return Ok(key);
            }
            let mut bytes = Zeroizing::new([0; KEY_LEN]);
            rand::fill(bytes.as_mut_slice()).map_err(|_| StoreError::Crypto("given a key"))?;
            create_key(&self.key_path, &bytes)?;
            // Read back: of two processes that make one at the same time, the first wins.
        }
    }

    fn remove(&self) -> Result<(), StoreError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::file("remove", &self.path, error))
            }
            _ => Ok(()),
        }
    }

    fn try_writing(&self) -> Result<(), StoreError> {
        self.key()?;
        let mut file = temporary(&self.path)?;
        file.write_all(&vec![0; PROBE])
            .and_then(|()| file.as_file().sync_data())
            .map_err(|source| StoreError::file("write", &self.path, source))
    }

    /// Runs file work beside the runtime: it waits for the disk.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = self.clone();
        tokio::task::spawn_blocking(move || work(file))
            .await
            .unwrap_or(Err(StoreError::Crypto("kept: the work was interrupted")))
    }
}

#[async_trait]
impl TokenStore for EncryptedFile {
    async fn load(&self) -> Result<Option<Login>, StoreError> {
        self.work(|file| file.read()).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.work(|file| file.try_writing()).await
    }

    async fn save(&self, login: &Login) -> Result<(), StoreError> {
        let login = login.clone();
        self.work(move |file| file.write(&login)).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.work(|file| file.remove()).await
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

/// Whether files can be created in a directory: found out by writing.
#[cfg(not(unix))]
fn can_create_in(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A name for a damaged file that no other has: `....corrupt-TIME`.
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

/// The key in a file; `None` where there is none or it is not one.
fn read_key(path: &Path) -> Result<Option<RandomizedNonceKey>, StoreError> {
    let Some(file) = open_private(path)? else { return Ok(None) };
    // One byte more than a key has, and no growing: a buffer that is left behind is not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * KEY_LEN));
    file.take(KEY_LEN as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| StoreError::file("read", path, source))?;
    if bytes.len() != KEY_LEN {
        // Not this program's doing: a key is linked into place whole. Out of the way, so that a new one can be made.
        let aside = aside(path);
        tracing::warn!(kept_as = %aside.display(), "the key of the stored logins is damaged");
        fs::rename(path, aside).map_err(|error| StoreError::file("move", path, error))?;
        return Ok(None);
    }
    RandomizedNonceKey::new(&AES_256_GCM, &bytes).map(Some).map_err(|_| StoreError::Crypto("decrypted"))
}

/// Puts a whole key where there is none; does nothing where there is one.
fn create_key(path: &Path, bytes: &[u8; KEY_LEN]) -> Result<(), StoreError> {
    let failed = |source| StoreError::file("write", path, source);
    let mut file = temporary(path)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_directory(path),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error.error)),
    }
}

/// Replaces a file so that, whenever the process or the machine dies, it has its old content or its new one.
fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let failed = |source| StoreError::file("write", path, source);
    let mut file = temporary(path)?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    sync_directory(path)
}

/// What temporary files are called until they are whole.
const UNFINISHED: &str = ".unfinished-";
/// When a temporary file is what a killed process left behind: writing one takes a moment.
const ABANDONED: Duration = Duration::from_mins(10);

/// Removes what killed processes left behind; each file is encrypted or a key that nothing was written with.
fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let old = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && old().is_some_and(|age| age > ABANDONED)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A temporary file (mode 0600) beside `path`, in a directory for its owner alone.
fn temporary(path: &Path) -> Result<tempfile::NamedTempFile, StoreError> {
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

/// Makes the renaming last beyond a power failure.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        OpenOptions::new()
            .read(true)
            .open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| StoreError::file("write", path, source))?;
    }
    Ok(())
}

/// Opens a file that nobody else may read; `None` where there is none. One that others can read, by somebody's copying, is
/// taken out of their sight; one whose owner is another is refused.
fn open_private(path: &Path) -> Result<Option<File>, StoreError> {
    let failed = |source| StoreError::file("read", path, source);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            // Only the owner can do this.
            file.set_permissions(fs::Permissions::from_mode(0o600))
                .map_err(|_| StoreError::Permissions { path: path.to_owned() })?;
            tracing::warn!(file = %path.display(), "others could read this file of the stored logins; now they cannot");
        }
    }
    Ok(Some(file))
}

#[cfg(test)]
mod tests;
