//! The objects of tasks: code bundles, inputs, outputs, reports and files.
//!
//! An object belongs to a domain of a project ([`ObjectKey`]) and has a *native URL*, which tasks read and write
//! directly. It is `objects://PROJECT/DOMAIN/PATH` for a file below `objects` in the data directory, or
//! `s3://BUCKET/PREFIX/PROJECT/DOMAIN/PATH`. The native URL of a file does not contain the data directory. So
//! everything that stores URLs (the database, inputs, outputs) stays valid if the directory is moved, or restored
//! elsewhere. Commands of tasks get the file's path ([`Objects::for_command`]). Clients other than tasks get a signed
//! URL of this server ([`signed_url`]) from `DataProxyService`, for one object, one method and a limited time. The
//! control plane serves those URLs.
//!
//! An upload is staged in its own file until it is complete, checked, and on the disk; only then it becomes an object.
#![forbid(unsafe_code)]

mod bucket;
mod contents;
mod directory;
mod durable;
mod error;
mod key;
pub mod relocate;
pub mod signed_url;
mod staged;
pub mod turns;
mod url;
pub mod walk;

use std::{
    io,
    path::{self, PathBuf},
    time::Duration,
};

use buffa::Message;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use secrecy::SecretString;
use tokio::{sync::Semaphore, time::timeout};

use self::{bucket::Bucket, directory::Directory, durable::Durable, staged::blocking, turns::Turns};
pub use self::{
    error::{ObjectError, ObjectsError},
    key::{InvalidKey, ObjectKey},
    staged::{Staged, etag},
    url::{SCHEME, below_one},
};
use flyte_settings::Config;

/// The largest object that is read into memory, in bytes: messages, for example inputs and outputs.
pub const MAX_MESSAGE: u64 = 64 << 20;
/// The largest message that is decoded for a response, in bytes. Decoding and encoding it takes many times that memory.
pub const MAX_DECODED: u64 = 8 << 20;
/// The most messages that are decoded at the same time. Further ones wait.
const MAX_DECODES: usize = 4;
/// The environment variable that lists the directories of objects for the libraries of tasks, as a JSON array. The
/// current directory comes first. Stored values of earlier runs can name the former ones.
const DIRECTORIES_VARIABLE: &str = "FLYTE_OBJECTS";
/// How long the bucket may take for its first response.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many bytes of an object are read at a time.
const CHUNK_SIZE: usize = 256 << 10;

/// An object that is being read.
pub struct Object {
    /// The length of the whole object, in bytes.
    pub length: u64,
    /// The requested part.
    pub content: BoxStream<'static, io::Result<Bytes>>,
}

/// The result of publishing content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Published {
    /// The object exists now, or existed before with the same content.
    Yes,
    /// An object with other content exists.
    Taken,
}

#[derive(Clone, Debug)]
enum Backend {
    Directory(Directory),
    Bucket(Bucket),
}

/// The storage of all objects.
#[derive(Debug)]
pub struct Objects {
    backend: Backend,
    unfinished: PathBuf,
    /// Prefix of the native URLs of all objects, without the slash at its end.
    base: String,
    /// Current and former paths of the directory of objects. Empty if objects are in a bucket.
    directories: Vec<String>,
    environment: Vec<(String, SecretString)>,
    uploads: Turns,
    decodes: Semaphore,
    durable: Durable,
}

impl Objects {
    /// Returns the turns of uploads.
    #[must_use]
    pub fn uploads(&self) -> &Turns {
        &self.uploads
    }

    /// Creates the storage from the configuration. It accesses neither directory nor bucket yet.
    ///
    /// # Errors
    /// [`ObjectsError`].
    pub fn new(config: &Config) -> Result<Self, ObjectsError> {
        let root = config.data_dir.join("objects");
        let root = path::absolute(&root).unwrap_or(root);
        // The name of a project never begins with a dot.
        let unfinished = root.join(".unfinished");
        let (base, directories, backend) = match &config.objects.url {
            Some(url) => (url.to_string(), Vec::new(), Backend::Bucket(Bucket::open(url, &config.objects)?)),
            None => {
                let directories = vec![root.display().to_string()];
                ("objects:/".to_owned(), directories, Backend::Directory(Directory::new(root)))
            }
        };
        let environment = match &backend {
            Backend::Directory(_) => environment_of(&directories),
            Backend::Bucket(bucket) => bucket.environment().to_vec(),
        };
        Ok(Self {
            backend,
            unfinished,
            base,
            directories,
            environment,
            uploads: Turns::default(),
            decodes: Semaphore::new(MAX_DECODES),
            durable: Durable::default(),
        })
    }

    /// Adds former paths of the directory of objects. URLs with these paths name the same objects.
    #[must_use]
    pub fn with_former_directories(mut self, former: Vec<String>) -> Self {
        if let Backend::Directory(_) = &self.backend {
            for directory in former {
                if !self.directories.contains(&directory) {
                    self.directories.push(directory);
                }
            }
            self.environment = environment_of(&self.directories);
        }
        self
    }

    /// Returns the path of the directory of objects, or `None` if they are in a bucket.
    #[must_use]
    pub fn directory(&self) -> Option<&str> {
        self.directories.first().map(String::as_str)
    }

    /// Creates the directories, and removes the unfinished uploads of a killed process.
    ///
    /// # Errors
    /// The data directory is not writable.
    pub fn prepare(&self) -> io::Result<()> {
        // Uploads to a bucket are staged here too.
        if let Some(root) = self.unfinished.parent() {
            directory::make(root)?;
        }
        staged::clear(&self.unfinished)
    }

    /// Rewrites inputs and outputs that name objects by paths in these former directories, so that they use native
    /// URLs. Returns their number. Blocks on the disk.
    ///
    /// # Errors
    /// The disk fails; the work can be repeated.
    pub fn rewrite_contents(&self, former: &[String]) -> io::Result<usize> {
        match &self.backend {
            Backend::Directory(directory) => contents::rewrite(directory, &self.unfinished, former),
            Backend::Bucket(_) => Ok(0),
        }
    }

    /// Logs an error if the bucket does not respond correctly. The server starts anyway and does not wait, because
    /// signing in does not depend on the bucket.
    pub async fn probe(&self) {
        let Backend::Bucket(bucket) = &self.backend else { return };
        match timeout(PROBE_TIMEOUT, bucket.probe()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, url = self.base, "the bucket of objects cannot be used");
            }
            Err(_) => tracing::error!(url = self.base, "the bucket of objects does not respond"),
        }
    }

    /// Returns the environment variables with which a task's process can read and write objects.
    #[must_use]
    pub fn environment(&self) -> &[(String, SecretString)] {
        &self.environment
    }

    /// Makes durable what tasks have written to files so far, because they do not do so themselves. It does nothing if
    /// objects are in a bucket.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn synchronize(&self) -> io::Result<()> {
        let Backend::Directory(directory) = &self.backend else { return Ok(()) };
        self.durable
            .after(|| {
                let directory = directory.clone();
                blocking(move || directory.synchronize())
            })
            .await
    }

    /// Creates the directory at a native URL, if objects are files, and follows no links of tasks. Blocks on the disk.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn make_directory(&self, native_url: &str) -> Result<(), ObjectError> {
        let key = self.key_of(native_url)?;
        match &self.backend {
            Backend::Directory(directory) => Ok(directory.make(&key)?),
            Backend::Bucket(_) => Ok(()),
        }
    }

    /// Returns the whole object at a native URL, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`ObjectError`]; an object longer than [`MAX_MESSAGE`] is not read.
    pub async fn get(&self, native_url: &str) -> Result<Option<Bytes>, ObjectError> {
        self.get_at_most(native_url, MAX_MESSAGE).await
    }

    /// Returns the message in the object at a native URL, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`ObjectError`]; an object longer than [`MAX_DECODED`] is not read.
    pub async fn decode<M: Message>(&self, native_url: &str) -> Result<Option<M>, ObjectError> {
        let _permit = self.decodes.acquire().await.map_err(io::Error::other)?;
        let Some(content) = self.get_at_most(native_url, MAX_DECODED).await? else { return Ok(None) };
        Ok(Some(M::decode_from_slice(&content)?))
    }

    async fn get_at_most(&self, native_url: &str, most: u64) -> Result<Option<Bytes>, ObjectError> {
        let Some(object) = self.read(&self.key_of(native_url)?, 0, None).await? else { return Ok(None) };
        if object.length > most {
            return Err(ObjectError::TooLarge { length: object.length, most });
        }
        let mut content = Vec::new();
        let mut chunks = object.content;
        while let Some(chunk) = chunks.try_next().await? {
            content.extend_from_slice(&chunk);
            // Its writer may still be writing.
            if content.len() as u64 > most {
                return Err(ObjectError::TooLarge { length: content.len() as u64, most });
            }
        }
        Ok(Some(content.into()))
    }

    /// Stores `content` as the object at a native URL, and replaces any existing object.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn put(&self, native_url: &str, content: Bytes) -> Result<(), ObjectError> {
        let key = self.key_of(native_url)?;
        let staged = self.stage().await?.write(&content).await?.finish().await?;
        self.publish(staged, &key, true).await
    }

    /// Returns an object, beginning at the byte `from`, with at most `length` bytes if that is set. Returns `None` if
    /// the object does not exist.
    ///
    /// # Errors
    /// [`ObjectError::Io`] and [`ObjectError::Bucket`].
    pub async fn read(
        &self,
        key: &ObjectKey,
        from: u64,
        length: Option<u64>,
    ) -> Result<Option<Object>, ObjectError> {
        let directory = match &self.backend {
            Backend::Directory(directory) => directory.clone(),
            Backend::Bucket(bucket) => return Ok(bucket.read(key, from, length).await?),
        };
        let key = key.clone();
        let Some((file, whole)) = blocking(move || directory.open(&key)).await? else { return Ok(None) };
        let rest = length.unwrap_or(u64::MAX).min(whole.saturating_sub(from));
        Ok(Some(Object { length: whole, content: directory::stream(file, from, rest, CHUNK_SIZE).boxed() }))
    }

    /// Returns the length of an object, in bytes, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`ObjectError::Io`] and [`ObjectError::Bucket`].
    pub async fn length(&self, key: &ObjectKey) -> Result<Option<u64>, ObjectError> {
        let directory = match &self.backend {
            Backend::Directory(directory) => directory.clone(),
            Backend::Bucket(bucket) => return Ok(bucket.length(key).await?),
        };
        let key = key.clone();
        Ok(blocking(move || directory.open(&key)).await?.map(|(_, length)| length))
    }

    /// Returns whether an object with this key, or any object below it, exists. Values can name directories too.
    ///
    /// # Errors
    /// [`ObjectError::Io`] and [`ObjectError::Bucket`].
    pub async fn exists(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        let directory = match &self.backend {
            Backend::Directory(directory) => directory.clone(),
            Backend::Bucket(bucket) => return Ok(bucket.exists(key).await?),
        };
        let key = key.clone();
        Ok(blocking(move || directory.exists(&key)).await?)
    }

    /// Begins to stage content.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn stage(&self) -> io::Result<Staged> {
        Staged::begin(self.unfinished.clone()).await
    }

    /// Publishes finished content as an object. `replace` decides whether an existing object is replaced.
    ///
    /// # Errors
    /// When the disk or the bucket fails.
    pub async fn publish(&self, staged: Staged, key: &ObjectKey, replace: bool) -> Result<(), ObjectError> {
        let published = match &self.backend {
            Backend::Directory(directory) => {
                let (directory, key) = (directory.clone(), key.clone());
                blocking(move || directory.publish(staged.file(), &key, replace)).await?
            }
            Backend::Bucket(bucket) => bucket.publish(staged, key, replace).await?,
        };
        match published {
            Published::Yes => Ok(()),
            Published::Taken => Err(ObjectError::Taken),
        }
    }
}

fn environment_of(directories: &[String]) -> Vec<(String, SecretString)> {
    let list = serde_json::Value::from(directories.to_vec()).to_string();
    vec![(DIRECTORIES_VARIABLE.to_owned(), SecretString::from(list))]
}

/// For tests.
#[cfg(any(test, feature = "testing"))]
impl Objects {
    /// Returns how many times the files of tasks were made durable.
    pub async fn synchronized(&self) -> u64 {
        self.durable.met().await
    }
}

#[cfg(test)]
mod tests;
