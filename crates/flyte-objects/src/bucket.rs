//! Objects in a bucket of S3 or of a service with the same protocol.

use std::{
    collections::BTreeMap, env, fs, io, os::unix::fs::FileExt as _, path::Path as FilePath, sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig,
    WriteMultipart,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Object, ObjectsError, Published,
    key::ObjectKey,
    staged::{Staged, blocking},
};
use flyte_settings::{BucketUrl, ObjectsConfig};

/// Larger objects are uploaded in parts of this size, in bytes. 10000 parts are allowed, which is more than an object
/// of S3 can have.
const PART_SIZE: u64 = 64 << 20;
/// The most parts that are uploaded at the same time.
const MAX_CONCURRENT_PARTS: usize = 2;
/// How long failed requests are retried.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// The region if neither the settings nor the environment have one.
const DEFAULT_REGION: &str = "us-east-1";

/// A bucket, or the objects with one prefix in it.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// The prefix of all keys: empty, or with a slash at its end.
    prefix: String,
    /// The environment variables that a process needs to read and write the bucket.
    environment: Vec<(String, SecretString)>,
}

impl Bucket {
    pub(super) fn open(url: &BucketUrl, config: &ObjectsConfig) -> Result<Self, ObjectsError> {
        let credentials = match &config.credentials_file {
            Some(path) => read_credentials(path)?,
            None => BTreeMap::new(),
        };
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(&url.bucket);
        let mut environment = of_process();
        let mut tell = |name: &str, value: &str| {
            environment.insert(name.to_owned(), SecretString::from(value.to_owned()));
        };
        for (key, variable) in [
            (AmazonS3ConfigKey::AccessKeyId, "AWS_ACCESS_KEY_ID"),
            (AmazonS3ConfigKey::SecretAccessKey, "AWS_SECRET_ACCESS_KEY"),
            (AmazonS3ConfigKey::Token, "AWS_SESSION_TOKEN"),
        ] {
            if let Some(value) = credentials.get(&variable.to_lowercase()) {
                builder = builder.with_config(key, value.expose_secret());
                tell(variable, value.expose_secret());
            }
        }
        match &config.region {
            Some(region) => {
                builder = builder.with_region(region);
                tell("AWS_REGION", region);
                tell("AWS_DEFAULT_REGION", region);
            }
            None if builder.get_config_value(&AmazonS3ConfigKey::Region).is_none()
                && builder.get_config_value(&AmazonS3ConfigKey::DefaultRegion).is_none() =>
            {
                builder = builder.with_region(DEFAULT_REGION);
                tell("AWS_REGION", DEFAULT_REGION);
                tell("AWS_DEFAULT_REGION", DEFAULT_REGION);
            }
            None => {}
        }
        if let Some(endpoint) = &config.endpoint {
            let text = endpoint.as_str().trim_end_matches('/');
            let plain = endpoint.scheme() == "http";
            builder = builder.with_endpoint(text).with_allow_http(plain);
            // AWS's own libraries and the published client use this name.
            for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "FLYTE_AWS_ENDPOINT"] {
                tell(variable, text);
            }
            if plain {
                tell("AWS_ALLOW_HTTP", "true");
            }
        }
        let retry = RetryConfig { max_retries: 5, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        let store = builder
            .with_retry(retry)
            .build()
            .map_err(|error| ObjectsError::Bucket(url.to_string(), error.to_string()))?;
        Ok(Self {
            store: Arc::new(store),
            prefix: url.prefix.clone(),
            environment: environment.into_iter().collect(),
        })
    }

    /// Returns the environment variables that a process needs to read and write the bucket.
    pub(super) fn environment(&self) -> &[(String, SecretString)] {
        &self.environment
    }

    /// Returns an error if the bucket does not respond.
    pub(super) async fn probe(&self) -> Result<(), Error> {
        let prefix = Path::parse(self.prefix.trim_end_matches('/'))?;
        self.store.list_with_delimiter(Some(&prefix)).await.map(drop)
    }

    fn path(&self, key: &ObjectKey) -> Result<Path, Error> {
        Ok(Path::parse(format!("{}{key}", self.prefix))?)
    }

    pub(super) async fn length(&self, key: &ObjectKey) -> Result<Option<u64>, Error> {
        match self.store.head(&self.path(key)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns whether an object with this key, or one below it, exists.
    pub(super) async fn exists(&self, key: &ObjectKey) -> Result<bool, Error> {
        if self.length(key).await?.is_some() {
            return Ok(true);
        }
        let mut below = self.store.list(Some(&self.path(key)?));
        Ok(below.try_next().await?.is_some())
    }

    pub(super) async fn read(
        &self,
        key: &ObjectKey,
        from: u64,
        length: Option<u64>,
    ) -> Result<Option<Object>, Error> {
        let range = match length {
            Some(length) => Some(GetRange::Bounded(from..from.saturating_add(length))),
            None => (from > 0).then_some(GetRange::Offset(from)),
        };
        let options = GetOptions { range, ..GetOptions::default() };
        match self.store.get_opts(&self.path(key)?, options).await {
            Ok(found) => Ok(Some(Object {
                length: found.meta.size,
                content: found.into_stream().map_err(io::Error::other).boxed(),
            })),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Publishes finished content as an object. `replace` decides whether an existing object is replaced.
    pub(super) async fn publish(
        &self,
        staged: Staged,
        key: &ObjectKey,
        replace: bool,
    ) -> Result<Published, Error> {
        let path = self.path(key)?;
        let length = staged.length();
        let mut content = Content { staged: Some(staged), at: 0 };
        if length <= PART_SIZE {
            let whole = content.next(length).await?;
            let mode = if replace { PutMode::Overwrite } else { PutMode::Create };
            return match self.store.put_opts(&path, whole.into(), PutOptions::from(mode)).await {
                Ok(_) => Ok(Published::Yes),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) if !replace => {
                    self.compare(key, content).await
                }
                Err(error) => Err(error),
            };
        }
        // Two uploads of the same name can both get here. If the name contains the hash of the content, their contents
        // are the same.
        if !replace && self.length(key).await?.is_some() {
            return self.compare(key, content).await;
        }
        let upload = self.store.put_multipart(&path).await?;
        let size = usize::try_from(PART_SIZE).unwrap_or(usize::MAX);
        let mut upload = WriteMultipart::new_with_chunk_size(upload, size);
        loop {
            match content.next(1 << 20).await {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => {
                    upload.wait_for_capacity(MAX_CONCURRENT_PARTS).await?;
                    upload.put(chunk);
                }
                Err(error) => {
                    upload.abort().await?;
                    return Err(error);
                }
            }
        }
        upload.finish().await?;
        Ok(Published::Yes)
    }

    /// Returns whether the content is the same as that of the existing object.
    async fn compare(&self, key: &ObjectKey, mut content: Content) -> Result<Published, Error> {
        content.at = 0;
        let Some(mut existing) = self.read(key, 0, None).await? else { return Ok(Published::Taken) };
        if existing.length != content.length() {
            return Ok(Published::Taken);
        }
        while let Some(chunk) = existing.content.try_next().await.map_err(generic)? {
            if content.next(chunk.len() as u64).await? != chunk {
                return Ok(Published::Taken);
            }
        }
        Ok(Published::Yes)
    }
}

/// Staged content that is read from beginning to end.
struct Content {
    staged: Option<Staged>,
    at: u64,
}

impl Content {
    fn length(&self) -> u64 {
        self.staged.as_ref().map_or(0, Staged::length)
    }

    /// Returns the next `most` bytes, or fewer at the end.
    async fn next(&mut self, most: u64) -> Result<Bytes, Error> {
        let Some(staged) = self.staged.take() else { return Ok(Bytes::new()) };
        let most = usize::try_from(most.min(staged.length() - self.at)).unwrap_or(usize::MAX);
        let at = self.at;
        let (staged, chunk) = blocking(move || {
            let mut chunk = vec![0; most];
            staged.file().as_file().read_exact_at(&mut chunk, at)?;
            Ok((staged, Bytes::from(chunk)))
        })
        .await
        .map_err(generic)?;
        self.staged = Some(staged);
        self.at += chunk.len() as u64;
        Ok(chunk)
    }
}

fn generic(error: io::Error) -> Error {
    Error::Generic { store: "S3", source: error.into() }
}

/// Returns the variables of this process that AWS's libraries read.
fn of_process() -> BTreeMap<String, SecretString> {
    let variables = env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let ours = variables.filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("FLYTE_AWS_"));
    ours.map(|(name, value)| (name, SecretString::from(value))).collect()
}

/// Returns the values of the profile `default` in a file with the format of `~/.aws/credentials`.
fn read_credentials(path: &FilePath) -> Result<BTreeMap<String, SecretString>, ObjectsError> {
    let wrong = |why: String| ObjectsError::Credentials(path.to_owned(), why);
    let text = fs::read_to_string(path).map(SecretString::from).map_err(|error| wrong(error.to_string()))?;
    let mut values = BTreeMap::new();
    let mut section = "";
    for line in text.expose_secret().lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
        } else if section == "default"
            && !line.starts_with(['#', ';'])
            && let Some((name, value)) = line.split_once('=')
        {
            values.insert(name.trim().to_lowercase(), SecretString::from(value.trim().to_owned()));
        }
    }
    for needed in ["aws_access_key_id", "aws_secret_access_key"] {
        if !values.contains_key(needed) {
            return Err(wrong(format!("the profile [default] has no {needed}")));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_from_the_default_profile() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials");
        fs::write(
            &path,
            "[other]\naws_access_key_id = no\n[default]\n# a comment\nAWS_Access_Key_Id=AKIA\n\
             aws_secret_access_key = s=cret \n; aws_session_token = no\n",
        )
        .unwrap();
        let values = read_credentials(&path).unwrap();
        assert_eq!(values["aws_access_key_id"].expose_secret(), "AKIA");
        assert_eq!(values["aws_secret_access_key"].expose_secret(), "s=cret");
        assert!(!values.contains_key("aws_session_token"));
        assert!(!format!("{values:?}").contains("s=cret"));
        fs::write(&path, "[default]\naws_access_key_id = AKIA\n").unwrap();
        let message = read_credentials(&path).unwrap_err().to_string();
        assert!(message.contains("aws_secret_access_key") && message.contains("credentials"), "{message}");
        assert!(read_credentials(&directory.path().join("none")).is_err());
    }

    #[test]
    fn the_environment_of_tasks_follows_the_settings() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials");
        fs::write(&path, "[default]\naws_access_key_id = AKIA\naws_secret_access_key = secret\n").unwrap();
        let config = ObjectsConfig {
            url: None,
            endpoint: Some("http://127.0.0.1:5000/".parse().unwrap()),
            region: Some("eu-west-1".to_owned()),
            credentials_file: Some(path),
            max_upload_size: 1024,
        };
        let bucket = Bucket::open(&"s3://b/tasks".parse().unwrap(), &config).unwrap();
        let told = |name: &str| {
            let found = bucket.environment().iter().find(|(given, _)| given == name);
            found.map(|(_, value)| value.expose_secret().to_owned()).unwrap_or_default()
        };
        assert_eq!(told("AWS_ACCESS_KEY_ID"), "AKIA");
        assert_eq!(told("AWS_SECRET_ACCESS_KEY"), "secret");
        assert_eq!(told("AWS_REGION"), "eu-west-1");
        assert_eq!(told("FLYTE_AWS_ENDPOINT"), "http://127.0.0.1:5000");
        assert_eq!(told("AWS_ENDPOINT_URL"), "http://127.0.0.1:5000");
        assert_eq!(told("AWS_ALLOW_HTTP"), "true");
        assert!(!format!("{bucket:?}").contains("secret\""), "{bucket:?}");
        let key = ObjectKey::new("p", "d", "a/ü b%2F").unwrap();
        assert_eq!(bucket.path(&key).unwrap().as_ref(), "tasks/p/d/a/ü b%2F");
    }
}
