//! The key file, which encrypts the signing keys in the database. A copy of the database alone cannot sign anything.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac,
};
use zeroize::Zeroizing;

use super::KeyError;

const KEY_LEN: usize = 32;

/// The key that encrypts and authenticates, from the key file.
pub struct SealingKey {
    sealing: RandomizedNonceKey,
    /// Other keys, derived from that of the file.
    authentication: hmac::Key,
    hiding: RandomizedNonceKey,
}

impl SealingKey {
    /// Reads the key file. If it does not exist, creates it (32 random bytes, mode 0600).
    ///
    /// # Errors
    /// [`KeyError::KeyFile`] if the file cannot be read or written, does not hold a key, or can be read by other users
    /// than its owner.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match load(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match create(path) {
                // Another process has created it at the same moment.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(path),
                created => created,
            },
            loaded => loaded,
        }
        .map_err(|source| KeyError::KeyFile { path: path.to_owned(), source })
        .and_then(|key| Self::from_bytes(&key))
    }

    /// Generates a key that is not stored, for tests.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] if the system's random number generator fails.
    pub fn generate() -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        aws_lc_rs::rand::fill(&mut *key).map_err(|_| KeyError::Crypto("generating a sealing key"))?;
        Self::from_bytes(&key)
    }

    fn from_bytes(key: &[u8; KEY_LEN]) -> Result<Self, KeyError> {
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, key)
            .map_err(|_| KeyError::Crypto("preparing the sealing key"))?;
        let file = hmac::Key::new(hmac::HMAC_SHA256, key);
        let derived = hmac::sign(&file, b"flyte-server authentication v1");
        let authentication = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
        let derived = hmac::sign(&file, b"flyte-server hiding v1");
        let hiding = RandomizedNonceKey::new(&AES_256_GCM, derived.as_ref())
            .map_err(|_| KeyError::Crypto("preparing the key that hides"))?;
        Ok(Self { sealing, authentication, hiding })
    }

    /// Returns the HMAC-SHA-256 of a message. It is not valid for another `purpose`.
    pub(super) fn mac(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.authentication);
        context.update(purpose.as_bytes());
        context.update(b"\0");
        context.update(message);
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Encrypts `secret`. It can be decrypted only with the same `context`. The result begins with the nonce.
    pub(super) fn seal(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>, KeyError> {
        seal(&self.sealing, context, secret)
    }

    /// Decrypts the result of [`SealingKey::seal`]. Returns `None` if it was made with another key or context, or was
    /// altered.
    pub(super) fn open(&self, context: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        open(&self.sealing, context, sealed)
    }

    /// The same as [`SealingKey::seal`] with another key, for what leaves the server. How often that happens is limited by the
    /// random nonces: 2^32 times (NIST SP 800-38D section 8.3).
    pub(super) fn hide(&self, context: &str, content: &[u8]) -> Result<Vec<u8>, KeyError> {
        seal(&self.hiding, context, content)
    }

    /// Returns the content of [`SealingKey::hide`].
    pub(super) fn reveal(&self, context: &str, hidden: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        open(&self.hiding, context, hidden)
    }
}

fn seal(key: &RandomizedNonceKey, context: &str, secret: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut sealed = secret.to_vec();
    let nonce = key
        .seal_in_place_append_tag(Aad::from(context), &mut sealed)
        .map_err(|_| KeyError::Crypto("encrypting"))?;
    Ok([nonce.as_ref().as_slice(), &sealed].concat())
}

fn open(key: &RandomizedNonceKey, context: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut secret = Zeroizing::new(ciphertext.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key.open_in_place(nonce, Aad::from(context), &mut secret).ok()?.len();
    secret.truncate(length);
    Some(secret)
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

fn load(path: &Path) -> io::Result<Zeroizing<[u8; KEY_LEN]>> {
    let mut file = File::open(path)?;
    refuse_if_shared(&file)?;
    // One byte more than a key, so that a longer file is detected. The buffer never grows, so it leaves no copies in
    // memory.
    let mut content = Zeroizing::new([0; KEY_LEN + 1]);
    let mut length = 0;
    while length < content.len() {
        match file.read(&mut content[length..])? {
            0 => break,
            read => length += read,
        }
    }
    match content[..length].try_into() {
        Ok(key) => Ok(Zeroizing::new(key)),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a key file holds exactly {KEY_LEN} bytes; restore it from a backup"),
        )),
    }
}

#[cfg(unix)]
fn refuse_if_shared(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("users other than its owner have access to it (mode {mode:03o}); run `chmod 600` on it"),
    ))
}

#[cfg(not(unix))]
fn refuse_if_shared(_: &File) -> io::Result<()> {
    Ok(())
}

/// Writes a new key to a temporary file, and then renames it, unless a file exists at the path by then.
fn create(path: &Path) -> io::Result<Zeroizing<[u8; KEY_LEN]>> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    aws_lc_rs::rand::fill(&mut *key)
        .map_err(|_| io::Error::other("the system's random number generator failed"))?;
    let directory =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    // Temporary files have mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(&*key)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_file_is_created_once_and_only_its_owner_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        let sealed = SealingKey::load_or_create(&path).unwrap().seal("kid", b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let opened = SealingKey::load_or_create(&path).unwrap().open("kid", &sealed).unwrap();
        assert_eq!(*opened, b"secret");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_file_that_others_can_read_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        SealingKey::load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = SealingKey::load_or_create(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600") && error.contains("sealing.key"), "{error}");
        }
    }

    #[test]
    fn a_file_of_another_length_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        for length in [0, 31, 33, 4096] {
            fs::write(&path, vec![7; length]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = SealingKey::load_or_create(&path).unwrap_err().to_string();
            assert!(error.contains("32 bytes"), "{error}");
            assert_eq!(fs::metadata(&path).unwrap().len(), length as u64, "the file does not change");
        }
    }

    #[test]
    fn another_key_or_context_decrypts_nothing() {
        let key = SealingKey::generate().unwrap();
        let sealed = key.seal("kid", b"secret").unwrap();
        assert!(key.open("other", &sealed).is_none());
        assert!(SealingKey::generate().unwrap().open("kid", &sealed).is_none());
        for position in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[position] ^= 1;
            assert!(key.open("kid", &altered).is_none());
        }
        for length in 0..sealed.len() {
            assert!(key.open("kid", &sealed[..length]).is_none());
        }
    }
}
