//! Writes a log.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{Entry, Stream, current_file, previous_file};

/// The smallest limit of a log, in bytes. The longest line fits into half of it, even if JSON escapes each character.
pub const MIN_LOG_BYTES: u64 = 1 << 20;

/// Writes a log.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    file: File,
    segment: u64,
    size: u64,
    limit: u64,
}

impl Writer {
    /// Creates the log of the process in `directory`. The log keeps at most `limit` bytes, and at least [`MIN_LOG_BYTES`].
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(directory: &Path, limit: u64) -> io::Result<Self> {
        let limit = limit.max(MIN_LOG_BYTES);
        let (file, size) = create_segment(directory, 1)?;
        Ok(Self { directory: directory.to_owned(), file, segment: 1, size, limit })
    }

    /// Writes lines that were read at the same time.
    ///
    /// # Errors
    /// For example if the disk is full. The log then misses these lines, and no line is incomplete.
    pub fn write(&mut self, time: Timestamp, stream: Stream, lines: &[String]) -> io::Result<()> {
        let time = time.to_string();
        let mut buffer = Vec::new();
        for text in lines {
            let before = buffer.len();
            let entry = Entry::Line { time: time.clone(), stream, text: text.as_str().into() };
            serde_json::to_writer(&mut buffer, &entry)?;
            buffer.push(b'\n');
            if self.size + buffer.len() as u64 > self.limit / 2 {
                let line = buffer.split_off(before);
                self.append(&buffer)?;
                self.rotate()?;
                buffer = line;
            }
        }
        self.append(&buffer)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all(bytes) {
            Ok(()) => self.size += bytes.len() as u64,
            Err(error) => {
                // The next line would be appended to an incomplete line.
                let _ =
                    self.file.set_len(self.size).and_then(|()| self.file.seek(SeekFrom::Start(self.size)));
                return Err(error);
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(current_file(&self.directory), previous_file(&self.directory))?;
        (self.file, self.size) = create_segment(&self.directory, self.segment + 1)?;
        self.segment += 1;
        Ok(())
    }
}

fn create_segment(directory: &Path, segment: u64) -> io::Result<(File, u64)> {
    let path = current_file(directory);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut line = serde_json::to_vec(&Entry::Segment { segment })?;
    line.push(b'\n');
    file.write_all(&line)?;
    Ok((file, line.len() as u64))
}
