//! Uploads of directories: each file under one root, with its path below the directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flyte_auth::http::Http;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use md5::{Digest as _, Md5};

use super::{Content, Progress, UploadError, Uploaded, Uploads, digest, unreadable};
use crate::project_domain::ProjectDomain;
use crate::transport::Transport;

/// How many files of a directory are sent at once.
const CONCURRENT_FILES: usize = 8;

impl<T: Transport> Uploads<T> {
    /// Uploads the files of a directory and of those below it, and returns the URL of the directory. `root` is the path that they
    /// are put under; if it is empty, it consists of a hash of their paths and contents, and `name`. Links to directories are not
    /// followed.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn upload_directory(
        &self,
        project_domain: &ProjectDomain,
        root: &str,
        name: &str,
        directory: &Path,
        http: &Http,
        progress: Progress,
    ) -> Result<Uploaded, UploadError> {
        let files = files(directory).map_err(|(path, error)| unreadable(&path, &error))?;
        if files.is_empty() {
            return Err(UploadError::Empty { path: directory.to_owned() });
        }
        let root = if root.is_empty() { root_of(directory, &files, name).await? } else { root.to_owned() };
        let uploads = files.iter().map(|relative| {
            let (root, progress) = (&root, progress.clone());
            async move {
                let content = Content::File(directory.join(relative));
                let uploaded = self.upload(project_domain, root, relative, &content, http, progress).await?;
                Ok::<_, UploadError>((relative, uploaded))
            }
        });
        let sent: Vec<_> = stream::iter(uploads).buffered(CONCURRENT_FILES).try_collect().await?;
        // All files have the same root, so the URL of the first one has that of the directory.
        let url =
            sent.first().and_then(|(relative, uploaded)| uploaded.native_url.strip_suffix(relative.as_str()));
        let native_url = url.map_or_else(
            || sent.first().map(|(_, uploaded)| uploaded.native_url.clone()).unwrap_or_default(),
            |url| url.trim_end_matches('/').to_owned(),
        );
        Ok(Uploaded { native_url, was_there: sent.iter().all(|(_, uploaded)| uploaded.was_there) })
    }
}

/// The root of a directory: the same for the same content.
async fn root_of(directory: &Path, files: &[String], name: &str) -> Result<String, UploadError> {
    let mut all = Md5::new();
    for relative in files {
        let (md5, _) = digest(&Content::File(directory.join(relative))).await?;
        all.update(relative.as_bytes());
        all.update([0]);
        all.update(md5);
    }
    let hash: String = all.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{hash}/{name}"))
}

/// The paths of all files below a directory, with `/` between their parts, sorted.
fn files(directory: &Path) -> Result<Vec<String>, (PathBuf, io::Error)> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in fs::read_dir(&path).map_err(|error| (path.clone(), error))? {
            let entry = entry.map_err(|error| (path.clone(), error))?;
            let kind = entry.file_type().map_err(|error| (entry.path(), error))?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if entry.path().is_file() {
                let path = entry.path();
                let relative = path.strip_prefix(directory).unwrap_or(&path);
                let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
                found.push(parts.join("/"));
            }
        }
    }
    found.sort();
    Ok(found)
}
