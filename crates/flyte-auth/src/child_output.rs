//! What a child process writes, read up to a point that is known.
//!
//! The end of a pipe does not show that a child has ended: a process that it left behind may hold the pipe open for ever. A
//! bound on the time that reading takes would lose output on a busy machine. So we keep a writing end ourselves and write a
//! mark: everything that the child wrote before comes before the mark, even if other processes hold the pipe.

use std::{
    io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write as _},
    process::Stdio,
    sync::mpsc,
    thread,
};

use uuid::Uuid;
use zeroize::Zeroizing;

/// The most bytes that are passed on at a time.
pub(crate) const CHUNK: usize = 4096;

/// A part of what a child writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes, as they come: a piece can end within a line or a character.
    Written(&'a [u8]),
    /// The point that [`ChildOutput::sync`] or the drop of [`ChildOutput`] waits for.
    Mark,
}

/// A pipe that a child writes to, read by a thread of its own. Dropping it passes on what the child wrote before, and ends
/// the thread.
#[derive(Debug)]
pub struct ChildOutput {
    writer: PipeWriter,
    mark: Vec<u8>,
    passed: Option<mpsc::Receiver<()>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl ChildOutput {
    /// Starts to read; `sink` takes each piece. The buffer is wiped at the end, for children that write secrets.
    ///
    /// # Errors
    /// When the system gives no pipe or no thread.
    pub fn read(sink: impl FnMut(Piece<'_>) + Send + 'static) -> io::Result<Self> {
        let (pipe, writer) = io::pipe()?;
        // Random, so that nothing that a child writes is taken for it.
        let mark = format!("\0{}\n", Uuid::new_v4().simple()).into_bytes();
        let (pass, passed) = mpsc::channel();
        let reader = thread::Builder::new().name("child output".to_owned()).spawn({
            let mark = mark.clone();
            move || pass_on(pipe, &mark, sink, &pass)
        })?;
        Ok(Self { writer, mark, passed: Some(passed), reader: Some(reader) })
    }

    /// The child's end of the pipe, for one of its streams.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn stdio(&self) -> io::Result<Stdio> {
        self.writer.try_clone().map(Stdio::from)
    }

    /// Waits until the sink has taken everything that the child has written by now.
    pub fn sync(&mut self) {
        // It fails if the sink panicked: then there is nothing to wait for.
        if self.writer.write_all(&self.mark).is_ok()
            && let Some(passed) = &self.passed
        {
            let _ = passed.recv();
        }
    }
}

impl Drop for ChildOutput {
    fn drop(&mut self) {
        // With the receiver gone, the mark ends the thread.
        self.passed = None;
        let _ = self.writer.write_all(&self.mark);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn pass_on(mut pipe: PipeReader, mark: &[u8], mut sink: impl FnMut(Piece<'_>), pass: &mpsc::Sender<()>) {
    let mut buffer = Zeroizing::new(vec![0; CHUNK + mark.len()]);
    let mut held = 0;
    loop {
        let length = match read(&mut pipe, &mut buffer[held..]) {
            Ok(read @ 1..) => held + read,
            _ => return,
        };
        let mut rest = &buffer[..length];
        while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
            write(&mut sink, &rest[..at]);
            sink(Piece::Mark);
            if pass.send(()).is_err() {
                return;
            }
            rest = &rest[at + mark.len()..];
        }
        // The rest may end with the beginning of a mark.
        held = (1..mark.len().min(rest.len() + 1))
            .rev()
            .find(|&count| rest.ends_with(&mark[..count]))
            .unwrap_or_default();
        write(&mut sink, &rest[..rest.len() - held]);
        buffer.copy_within(length - held..length, 0);
    }
}

fn write(sink: &mut impl FnMut(Piece<'_>), bytes: &[u8]) {
    if !bytes.is_empty() {
        sink(Piece::Written(bytes));
    }
}

fn read(pipe: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match pipe.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{
        process::{Child, Command},
        sync::{Arc, Mutex},
    };

    use super::*;

    /// What has come, with `|` for each mark.
    fn output() -> (ChildOutput, Arc<Mutex<Vec<u8>>>) {
        let came = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&came);
        let output = ChildOutput::read(move |piece| {
            sink.lock().unwrap().extend_from_slice(match piece {
                Piece::Written(bytes) => bytes,
                Piece::Mark => b"|",
            });
        });
        (output.unwrap(), came)
    }

    fn shell(script: &str, output: &ChildOutput) -> Child {
        Command::new("sh").args(["-c", script]).stdout(output.stdio().unwrap()).spawn().unwrap()
    }

    #[test]
    fn everything_that_was_written_before_comes_before_the_mark() {
        let (mut output, came) = output();
        for _ in 0..20 {
            shell("head -c 200000 /dev/zero", &output).wait().unwrap();
            output.sync();
            let length = came.lock().unwrap().len();
            assert_eq!(length, 200_001);
            assert_eq!(came.lock().unwrap().drain(..).next_back(), Some(b'|'));
        }
    }

    #[test]
    fn a_process_that_is_left_behind_holds_nobody_up() {
        let (mut output, came) = output();
        // It says who it is, and that it has the pipe.
        let script = "sleep 600 & echo $!; printf 'the end'";
        shell(script, &output).wait().unwrap();
        output.sync();
        drop(output);
        let text = String::from_utf8(came.lock().unwrap().clone()).unwrap();
        let (process, rest) = text.split_once('\n').unwrap();
        assert_eq!(rest, "the end||");
        // It was still there: nothing has waited for its end.
        assert!(Command::new("kill").arg(process).status().unwrap().success());
    }

    #[test]
    fn marks_are_found_wherever_reads_are_cut() {
        let (pipe, mut writer) = io::pipe().unwrap();
        let (pass, passed) = mpsc::channel();
        let came = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&came);
        let reader = thread::spawn(move || {
            pass_on(
                pipe,
                b"\0mark\n",
                |piece| {
                    if let Piece::Written(bytes) = piece {
                        sink.lock().unwrap().extend_from_slice(bytes);
                    }
                },
                &pass,
            );
        });
        let text = b"a\0\0mar\0mark\nb\0mark\n\0mark\n\0ma";
        for byte in text {
            writer.write_all(&[*byte]).unwrap();
            // Read before the next one is written, most of the time.
            thread::yield_now();
        }
        for _ in 0..3 {
            passed.recv().unwrap();
        }
        writer.write_all(b"x\0mark\n").unwrap();
        passed.recv().unwrap();
        drop(writer);
        reader.join().unwrap();
        assert_eq!(came.lock().unwrap().as_slice(), b"a\0\0marb\0max");
    }
}
