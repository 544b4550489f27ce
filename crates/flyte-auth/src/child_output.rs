//! Reads the output of a child process up to a known point.
//!
//! The end of the child does not end its pipe, because a process that it left behind may hold the pipe open forever. A time limit
//! would lose output on a busy machine. Instead, this process also keeps the writing end and writes a mark: all output that the child
//! wrote earlier comes before the mark, even if other processes hold the pipe.

use std::{
    io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write as _},
    process::Stdio,
    sync::mpsc,
    thread,
};

use uuid::Uuid;
use zeroize::Zeroizing;

/// The most bytes of a piece.
pub(crate) const CHUNK_BYTES: usize = 4096;

/// A piece of a child's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes, as they arrive. A piece can end in the middle of a line or a character.
    Written(&'a [u8]),
    /// The point that [`ChildOutput::sync`] or dropping [`ChildOutput`] waits for.
    Mark,
}

/// A pipe that a child writes to, with a thread that reads it. Dropping it passes on the child's output up to then, and ends the
/// thread.
#[derive(Debug)]
pub struct ChildOutput {
    writer: PipeWriter,
    mark: Vec<u8>,
    passed: Option<mpsc::Receiver<()>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl ChildOutput {
    /// Starts to read, and passes each piece to `sink`. The buffer is wiped at the end, because children may write secrets.
    ///
    /// # Errors
    /// If the system cannot create a pipe or a thread.
    pub fn read(sink: impl FnMut(Piece<'_>) + Send + 'static) -> io::Result<Self> {
        let (pipe, writer) = io::pipe()?;
        // The mark is random, so that no output is taken for it.
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
    /// If the process has too many open files.
    pub fn stdio(&self) -> io::Result<Stdio> {
        self.writer.try_clone().map(Stdio::from)
    }

    /// Waits until the sink has received everything that the child has written so far.
    pub fn sync(&mut self) {
        // Receiving fails if the sink panicked: then there is nothing to wait for.
        if self.writer.write_all(&self.mark).is_ok()
            && let Some(passed) = &self.passed
        {
            let _ = passed.recv();
        }
    }
}

impl Drop for ChildOutput {
    fn drop(&mut self) {
        // Without the receiver, the mark ends the thread.
        self.passed = None;
        let _ = self.writer.write_all(&self.mark);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn pass_on(mut pipe: PipeReader, mark: &[u8], mut sink: impl FnMut(Piece<'_>), pass: &mpsc::Sender<()>) {
    let mut buffer = Zeroizing::new(vec![0; CHUNK_BYTES + mark.len()]);
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

    /// Collects the output, with `|` for each mark.
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
    fn earlier_output_comes_before_the_mark() {
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
    fn a_process_that_is_left_behind_blocks_nothing() {
        let (mut output, came) = output();
        // The process left behind prints its ID and holds the pipe.
        let script = "sleep 600 & echo $!; printf 'the end'";
        shell(script, &output).wait().unwrap();
        output.sync();
        drop(output);
        let text = String::from_utf8(came.lock().unwrap().clone()).unwrap();
        let (process, rest) = text.split_once('\n').unwrap();
        assert_eq!(rest, "the end||");
        // The process was still running, so nothing waited for its end.
        assert!(Command::new("kill").arg(process).status().unwrap().success());
    }

    #[test]
    fn marks_are_found_across_reads() {
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
            // Usually the other thread reads this byte before the next one is written.
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
