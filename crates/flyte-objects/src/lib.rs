//! The objects of tasks: code bundles, inputs, outputs, reports, files.
//!
//! An object lies in a project's domain ([`ObjectKey`]) and has a *native URL*, which tasks read and write themselves:
//! `objects://PROJECT/DOMAIN/PATH`, a file below `objects` in the data directory, or `s3://BUCKET/PREFIX/PROJECT/DOMAIN/PATH`.
//! The native URL of a file does not name the data directory, so that everything that is stored (the database, inputs, outputs)
//! stays valid when the directory is moved or restored elsewhere. Commands of tasks get the file's path ([`Objects::for_command`]).
//! Clients that are not tasks get a signed URL of this server ([`signed_url`]) from `DataProxyService`, for one object, one
//! method and a limited time; the control plane answers those.
//!
//! What is uploaded is staged in a file of its own until it is whole, checked, and on the disk; only then is it an object.
#![forbid(unsafe_code)]

mod bucket;
mod contents;
mod directory;
mod durable;
mod key;
pub mod relocate;
pub mod signed_url;
mod staged;
pub mod turns;
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
    key::{InvalidKey, ObjectKey},
    staged::{Staged, etag},
};
use flyte_settings::Config;

/// The largest object that is read into memory: messages such as inputs and outputs.
pub const MAX_MESSAGE: u64 = 64 << 20;
/// The largest message that is decoded for an answer: decoded and encoded again it takes many times that.
pub const MAX_DECODED: u64 = 8 << 20;
/// Messages decoded at a time; further ones wait.
const MAX_DECODES: usize = 4;
/// The scheme of the native URLs of files.
pub const SCHEME: &str = "objects://";
/// Schemes that may precede the path of an object's file.
const PATH_SCHEMES: [&str; 2] = ["file://", SCHEME];
/// The environment variable that lists the directories of objects for the libraries of tasks, as a JSON array: the current
/// one first, then former ones, which stored values of earlier runs may name.
const DIRECTORIES_VARIABLE: &str = "FLYTE_OBJECTS";
/// How long the bucket may take to answer for the first time.
const PROBE: Duration = Duration::from_secs(30);
/// How much of an object is read at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// Why objects cannot be kept as configured.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The credentials file.
    #[error("cannot use the credentials in {file}: {1}; see \"objects.credentials-file\"", file = .0.display())]
    Credentials(PathBuf, String),
    /// The bucket's settings.
    #[error("cannot use the bucket {0}: {1}")]
    Bucket(String, String),
}

/// Why an object cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The URL is none of this server's objects.
    #[error("{0:?} is not among this server's objects, which are below {1}")]
    Elsewhere(String, String),
    /// The URL names no object.
    #[error("the name of the object {0}")]
    Key(#[from] InvalidKey),
    /// It is too large to be read at once.
    #[error("the object is {length} bytes long; at most {most} are read at once")]
    TooLarge {
        /// Its length, in bytes.
        length: u64,
        /// How long it may be, in bytes.
        most: u64,
    },
    /// It is no message of the kind that it should be.
    #[error("the object cannot be decoded: {0}")]
    Undecodable(#[from] buffa::DecodeError),
    /// Another content is there.
    #[error("there is another object of this name with other content, which stays; take another name")]
    Taken,
    /// The disk failed.
    #[error("the object store failed: {0}")]
    Io(#[from] io::Error),
    /// The bucket failed.
    #[error("the object store failed: {0}")]
    Bucket(#[from] object_store::Error),
}

/// An object that is being read.
pub struct Object {
    /// All of its length, in bytes.
    pub length: u64,
    /// The part that was asked for.
    pub content: BoxStream<'static, io::Result<Bytes>>,
}

/// What came of publishing content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Published {
    /// It is there now, or was there before.
    Yes,
    /// Something else is there.
    Taken,
}

#[derive(Clone, Debug)]
enum Backend {
    Directory(Directory),
    Bucket(Bucket),
}

/// All objects.
#[derive(Debug)]
pub struct Objects {
    backend: Backend,
    unfinished: PathBuf,
    /// Prefix of the native URLs of all objects, without the slash at its end.
    base: String,
    /// Paths of the directory of objects, now and before it was moved. Empty if objects are in a bucket.
    directories: Vec<String>,
    environment: Vec<(String, SecretString)>,
    uploads: Turns,
    decodes: Semaphore,
    durable: Durable,
}

impl Objects {
    /// The turns of uploads.
    #[must_use]
    pub fn uploads(&self) -> &Turns {
        &self.uploads
    }

    /// The objects of a server that is set up so. Touches neither directory nor bucket yet.
    ///
    /// # Errors
    /// [`ObjectsError`].
    pub fn new(config: &Config) -> Result<Self, ObjectsError> {
        let root = config.data_dir.join("objects");
        let root = path::absolute(&root).unwrap_or(root);
        // No project's name begins with a dot.
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

    /// Adds earlier paths of the directory of objects: URLs of files that name them are about the same objects.
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

    /// The path of the directory of objects; `None` if they are in a bucket.
    #[must_use]
    pub fn directory(&self) -> Option<&str> {
        self.directories.first().map(String::as_str)
    }

    /// Makes what must be there, and removes the uploads that a killed process left unfinished.
    ///
    /// # Errors
    /// When the data directory cannot be written to.
    pub fn prepare(&self) -> io::Result<()> {
        // Uploads are staged here on their way to a bucket too.
        if let Some(root) = self.unfinished.parent() {
            directory::make(root)?;
        }
        staged::clear(&self.unfinished)
    }

    /// Makes inputs and outputs that name objects by paths of these former directories name them by native URLs; returns how
    /// many. Waits for the disk.
    ///
    /// # Errors
    /// When the disk fails; it can be done again.
    pub fn rewrite_contents(&self, former: &[String]) -> io::Result<usize> {
        match &self.backend {
            Backend::Directory(directory) => contents::rewrite(directory, &self.unfinished, former),
            Backend::Bucket(_) => Ok(0),
        }
    }

    /// Tells the log where the bucket does not answer as it should. The server starts all the same, without waiting for it:
    /// signing in does not depend on it.
    pub async fn probe(&self) {
        let Backend::Bucket(bucket) = &self.backend else { return };
        match timeout(PROBE, bucket.probe()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, url = self.base, "the bucket of objects cannot be used")
            }
            Err(_) => tracing::error!(url = self.base, "the bucket of objects does not answer"),
        }
    }

    /// The environment that lets a task's process read and write objects.
    #[must_use]
    pub fn environment(&self) -> &[(String, SecretString)] {
        &self.environment
    }

    /// The native URL of an object, or of what is common to the URLs of several (`runs/NAME`), in a project's domain.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn native_url(&self, project: &str, domain: &str, path: &str) -> Result<String, InvalidKey> {
        Ok(self.url_of(&ObjectKey::new(project, domain, path)?))
    }

    /// The native URL of a key. Nothing in it is escaped: that is how tasks' libraries read such URLs.
    #[must_use]
    pub fn url_of(&self, key: &ObjectKey) -> String {
        format!("{}/{key}", self.base)
    }

    /// Which object a native URL is about. One of a client's is to be compared with what its caller may see
    /// ([`ObjectKey::is_in`]). The path of a file, by which tasks know the same object, is accepted too.
    ///
    /// # Errors
    /// [`ObjectError::Elsewhere`] and [`ObjectError::Key`].
    pub fn key_of(&self, native_url: &str) -> Result<ObjectKey, ObjectError> {
        let rest = self.below(native_url);
        let rest = rest.ok_or_else(|| ObjectError::Elsewhere(native_url.to_owned(), self.base.clone()))?;
        Ok(ObjectKey::parse(rest.strip_suffix('/').unwrap_or(rest))?)
    }

    /// The part of a URL below the base.
    fn below<'a>(&self, native_url: &'a str) -> Option<&'a str> {
        if let Some(rest) = native_url.strip_prefix(&self.base).and_then(|rest| rest.strip_prefix('/'))
            && (!rest.starts_with('/') || self.directories.is_empty())
        {
            return Some(rest);
        }
        let path =
            PATH_SCHEMES.iter().find_map(|scheme| native_url.strip_prefix(scheme)).unwrap_or(native_url);
        below_one(&self.directories, path)
    }

    /// A native URL as commands of tasks get it: the path of the file, if objects are files. Everything else is unchanged.
    #[must_use]
    pub fn for_command(&self, native_url: &str) -> String {
        match (self.directory(), self.key_of(native_url)) {
            (Some(directory), Ok(key)) => format!("{directory}/{key}"),
            _ => native_url.to_owned(),
        }
    }

    /// The directory that holds the objects of a project's domain, where objects are files; it may not be there yet.
    #[must_use]
    pub fn directory_of(&self, project: &str, domain: &str) -> Option<PathBuf> {
        match &self.backend {
            Backend::Directory(directory) => Some(directory.root().join(project).join(domain)),
            Backend::Bucket(_) => None,
        }
    }

    /// Makes durable what tasks have written to files so far: they do not do so themselves. Nothing where objects are not files.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn synchronize(&self) -> io::Result<()> {
        let Backend::Directory(directory) = &self.backend else { return Ok(()) };
        self.durable
            .after(|| {
                let directory = directory.clone();
                blocking(move || directory.synchronize())
            })
            .await
    }

    /// Makes the directory at a native URL, where objects are files; what a task has planted on the way is not followed.
    /// Waits for the disk.
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

    /// The object at a native URL, whole; `None` where there is none.
    ///
    /// # Errors
    /// [`ObjectError`]; one longer than [`MAX_MESSAGE`] is not read.
    pub async fn get(&self, native_url: &str) -> Result<Option<Bytes>, ObjectError> {
        self.get_at_most(native_url, MAX_MESSAGE).await
    }

    /// The message in the object at a native URL; `None` where there is none.
    ///
    /// # Errors
    /// [`ObjectError`]; one longer than [`MAX_DECODED`] is not read.
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
            // Its writer may not have finished.
            if content.len() as u64 > most {
                return Err(ObjectError::TooLarge { length: content.len() as u64, most });
            }
        }
        Ok(Some(content.into()))
    }

    /// Makes `content` the object at a native URL, whatever was there.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn put(&self, native_url: &str, content: Bytes) -> Result<(), ObjectError> {
        let key = self.key_of(native_url)?;
        let staged = self.stage().await?.write(&content).await?.finish().await?;
        self.publish(staged, &key, true).await
    }

    /// An object from `from` on, for `length` bytes where that is given; `None` where there is none.
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
        Ok(Some(Object { length: whole, content: directory::stream(file, from, rest, CHUNK).boxed() }))
    }

    /// The length of an object, in bytes; `None` where there is none.
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

    /// Whether there is an object of this key, or are any below it: values name directories, too.
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

    /// A place for content that is not whole yet.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn stage(&self) -> io::Result<Staged> {
        Staged::begin(self.unfinished.clone()).await
    }

    /// Makes finished content an object; `replace` what is there, or leave it.
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

/// The part of `path` below one of these directories.
pub fn below_one<'a>(directories: &[String], path: &'a str) -> Option<&'a str> {
    directories.iter().find_map(|directory| path.strip_prefix(directory)?.strip_prefix('/'))
}

fn environment_of(directories: &[String]) -> Vec<(String, SecretString)> {
    let list = serde_json::Value::from(directories.to_vec()).to_string();
    vec![(DIRECTORIES_VARIABLE.to_owned(), SecretString::from(list))]
}

/// For tests.
#[cfg(any(test, feature = "testing"))]
impl Objects {
    /// The number of times that the files which tasks have written were made durable.
    pub async fn synchronized(&self) -> u64 {
        self.durable.met().await
    }
}

#[cfg(test)]
mod tests;
