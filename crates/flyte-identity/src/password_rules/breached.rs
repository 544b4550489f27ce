//! A list of passwords that leaked, as Have I Been Pwned publishes it: lines of `SHA-1:count`, sorted by the hash, in upper case.
//!
//! The file is tens of gigabytes large, so it stays on the disk. A look-up reads about 30 short pieces of it.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use secrecy::{ExposeSecret as _, SecretString};

/// The number of hexadecimal digits of a hash.
const DIGITS: usize = 40;
/// The longest line in bytes: the hash, a colon, a count, and the end of the line.
const MAX_LINE: usize = 64;

/// An open list.
#[derive(Debug)]
pub(super) struct BreachedList {
    file: Mutex<File>,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// The hash at the beginning of a line.
fn hash_of(line: &[u8]) -> io::Result<[u8; DIGITS]> {
    let hash: [u8; DIGITS] = line
        .get(..DIGITS)
        .and_then(|hash| hash.try_into().ok())
        .filter(|hash: &[u8; DIGITS]| hash.iter().all(u8::is_ascii_hexdigit))
        .ok_or_else(|| invalid("each line must begin with a SHA-1 hash in hexadecimal digits"))?;
    match line.get(DIGITS) {
        None | Some(b':' | b'\r' | b'\n') => Ok(hash.map(|digit| digit.to_ascii_uppercase())),
        Some(_) => Err(invalid("each line must be a SHA-1 hash, or a SHA-1 hash and a count after a colon")),
    }
}

/// Reads the first whole line that begins at `from` or after it: its position and its hash; `None` at the end.
fn line_after(file: &mut File, from: u64) -> io::Result<Option<(u64, [u8; DIGITS])>> {
    // The character before it shows whether a line begins here.
    let start = from.saturating_sub(1);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::with_capacity(2 * MAX_LINE);
    file.take(2 * MAX_LINE as u64).read_to_end(&mut bytes)?;
    let skipped = match from {
        0 => 0,
        _ => match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if bytes.len() < 2 * MAX_LINE => return Ok(None),
            None => return Err(invalid("a line is too long")),
        },
    };
    let line = &bytes[skipped..];
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    Ok(Some((start + skipped as u64, hash_of(line)?)))
}

impl BreachedList {
    /// Opens a list, and checks the form of its first line and of one in its middle.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        let first = line_after(&mut file, 0)?.ok_or_else(|| invalid("the file is empty"))?;
        if let Some(middle) = line_after(&mut file, length / 2)?
            && middle.1 < first.1
        {
            return Err(invalid("the lines must be sorted by their hashes"));
        }
        Ok(Self { file: Mutex::new(file) })
    }

    /// Whether the list has the password.
    pub(super) fn contains(&self, password: &SecretString) -> io::Result<bool> {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.expose_secret().as_bytes());
        let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        let mut wanted = [0; DIGITS];
        wanted.copy_from_slice(hex.as_bytes());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut low, mut high) = (0, file.seek(SeekFrom::End(0))?);
        // The line, if there is one, begins at `low` or after it, and before `high`.
        while low < high {
            let middle = low + (high - low) / 2;
            match line_after(&mut file, middle)? {
                Some((_, hash)) if hash == wanted => return Ok(true),
                Some((at, hash)) if hash < wanted && at < high => low = at + 1,
                _ => high = middle,
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &[String], end: &str) -> (tempfile::TempDir, io::Result<BreachedList>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        std::fs::write(&path, lines.iter().map(|line| format!("{line}{end}")).collect::<String>()).unwrap();
        let opened = BreachedList::open(&path);
        (directory, opened)
    }

    fn sha1(text: &str) -> String {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
    }

    #[test]
    fn every_password_of_the_list_is_found_and_no_other() {
        for (count, end) in [(1, "\n"), (2, "\r\n"), (3, "\n"), (500, "\r\n"), (501, "\n")] {
            let mut lines: Vec<_> =
                (0..count).map(|n| format!("{}:{}", sha1(&n.to_string()), n * n * 7)).collect();
            lines.sort();
            let (_directory, opened) = list(&lines, end);
            let opened = opened.unwrap();
            for n in 0..count {
                assert!(opened.contains(&n.to_string().into()).unwrap(), "{n} of {count}");
            }
            for n in count..count + 200 {
                assert!(!opened.contains(&n.to_string().into()).unwrap(), "{n} of {count}");
            }
        }
    }

    #[test]
    fn only_a_sorted_list_of_hashes_is_opened() {
        let (a, b) = (sha1("1"), sha1("3"));
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        assert!(list(&[low.clone(), high.clone()], "\n").1.is_ok(), "without counts");
        for (lines, what) in [
            (vec![high, low.clone()], "sorted"),
            (vec![], "empty"),
            (vec!["password".to_owned()], "SHA-1"),
            (vec![format!("{low}0")], "SHA-1"),
        ] {
            let error = list(&lines, "\n").1.unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
