//! Files that another process has open. Windows refuses to replace or open them; other systems do not.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

/// The time that another process has to close a file. Readers and writers of these files need milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// Renames a finished temporary file to `path`, over an existing file. On Windows, waits up to two seconds for other processes to
/// close that file, for example another command that reads it, or a virus scanner.
///
/// # Errors
/// Those of the rename. The temporary file is then removed, and the file at `path` is unchanged.
pub fn persist(file: NamedTempFile, path: &Path) -> io::Result<File> {
    let mut file = Some(file);
    retry(is_busy, |_| {
        let temporary = file.take().ok_or_else(|| io::Error::other("the temporary file is gone"))?;
        temporary.persist(path).map_err(|failed| {
            file = Some(failed.file);
            failed.error
        })
    })
}

/// Opens a file for reading. On Windows, waits up to two seconds if another process is replacing it.
///
/// # Errors
/// Those of [`File::open`].
pub fn open(path: &Path) -> io::Result<File> {
    retry(is_busy, |_| File::open(path))
}

/// Whether an error says that another process has the file open.
fn is_busy(error: &io::Error) -> bool {
    /// `ERROR_ACCESS_DENIED`, which replacing an open file yields, `ERROR_SHARING_VIOLATION` and `ERROR_LOCK_VIOLATION`.
    const BUSY: [i32; 3] = [5, 32, 33];
    cfg!(windows) && error.raw_os_error().is_some_and(|code| BUSY.contains(&code))
}

/// Calls `attempt`, with the number of attempts before it, until it fails for another reason than `busy`, or for too long.
fn retry<T>(
    busy: impl Fn(&io::Error) -> bool,
    mut attempt: impl FnMut(u128) -> io::Result<T>,
) -> io::Result<T> {
    let attempts = PATIENCE.as_millis() / PAUSE.as_millis();
    for number in 0..attempts {
        match attempt(number) {
            Err(error) if busy(&error) => std::thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    attempt(attempts)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_busy_file_is_tried_again_and_other_errors_are_not() {
        let busy = || io::Error::from(io::ErrorKind::ResourceBusy);
        let is_busy = |error: &io::Error| error.kind() == io::ErrorKind::ResourceBusy;
        assert_eq!(retry(is_busy, |number| if number < 3 { Err(busy()) } else { Ok(number) }).unwrap(), 3);
        let mut calls = 0;
        let outcome = retry(is_busy, |_| {
            calls += 1;
            io::Result::<()>::Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert_eq!((outcome.unwrap_err().kind(), calls), (io::ErrorKind::StorageFull, 1));
    }

    #[test]
    fn readers_and_writers_do_not_stop_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let file = NamedTempFile::new_in(directory.path()).unwrap();
                        fs::write(file.path(), "1").unwrap();
                        persist(file, &path).unwrap();
                        assert_eq!(io::read_to_string(open(&path).unwrap()).unwrap().len(), 1);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_rename_keeps_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("directory");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("content"), "").unwrap();
        // On Windows, this takes all of the patience.
        persist(NamedTempFile::new_in(directory.path()).unwrap(), &path).unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
