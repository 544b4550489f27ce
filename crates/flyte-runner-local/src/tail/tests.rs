//! Tests of followers with real files.

use std::{
    fs,
    pin::pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::*;
use crate::log::{Stream as Source, Writer};

const TIMEOUT: Duration = Duration::from_secs(100);
const EXIT: &str = r#"{"how":{"exited":{"code":0}},"started_at":0,"ended_at":0}"#;

/// A process whose end a test sets. Counts the checks of the end.
#[derive(Clone)]
struct FakeProcess {
    changes: watch::Receiver<()>,
    ended: Arc<AtomicBool>,
    checks: Arc<AtomicUsize>,
}

impl Followed for FakeProcess {
    async fn changed(&mut self) {
        self.changes.changed().await.unwrap();
    }

    async fn has_ended(&self) -> Result<bool, TailError> {
        self.checks.fetch_add(1, SeqCst);
        Ok(self.ended.load(SeqCst))
    }
}

/// The directory and the state of the followers of one test.
struct World {
    home: TempDir,
    logs: Arc<Logs>,
    changes: watch::Sender<()>,
    process: FakeProcess,
}

impl World {
    fn new() -> Self {
        let (changes, receiver) = watch::channel(());
        let process = FakeProcess { changes: receiver, ended: Arc::default(), checks: Arc::default() };
        Self { home: tempfile::tempdir().unwrap(), logs: Arc::default(), changes, process }
    }

    fn directory(&self) -> PathBuf {
        self.home.path().join("attempt")
    }

    fn tail(&self) -> Tail<FakeProcess> {
        self.logs.tail(self.directory(), self.process.clone())
    }

    /// Creates the directory and the log of the process.
    fn begin(&self) -> Writer {
        fs::create_dir(self.directory()).unwrap();
        Writer::create(&self.directory(), 8 << 20).unwrap()
    }

    fn end(&self) {
        let file = self.home.path().join("exit");
        fs::write(&file, EXIT).unwrap();
        fs::rename(file, self.directory().join("exit.json")).unwrap();
    }

    fn open_files(&self) -> Vec<PathBuf> {
        let all = fs::read_dir("/proc/self/fd").unwrap();
        let all = all.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
        all.filter(|file| file.starts_with(self.home.path())).collect()
    }
}

fn write(log: &mut Writer, texts: &[String]) {
    log.write(Timestamp::UNIX_EPOCH, Source::Stdout, texts).unwrap();
}

async fn texts(tail: &mut Tail<FakeProcess>) -> Option<Vec<String>> {
    let lines = timeout(TIMEOUT, tail.next()).await.expect("lines or the end").unwrap()?;
    Some(lines.into_iter().map(|line| line.text).collect())
}

#[tokio::test]
async fn a_new_line_wakes_all_followers_without_polling() {
    let world = World::new();
    let mut log = world.begin();
    let mut followers: Vec<_> = (0..20).map(|_| world.tail()).collect();
    for round in ["one", "two", "three"] {
        let waiting: JoinSet<_> =
            followers.drain(..).map(|mut tail| async move { (texts(&mut tail).await, tail) }).collect();
        // Most followers wait now. The others must also find the line.
        tokio::time::sleep(Duration::from_millis(20)).await;
        write(&mut log, &[round.to_owned()]);
        for (read, tail) in waiting.join_all().await {
            assert_eq!(read.unwrap(), [round]);
            followers.push(tail);
        }
        assert_eq!(world.logs.directories.watch_count(), 1);
    }
    drop(log);
    let open = world.open_files();
    assert!(open.is_empty(), "a waiting follower has no open file: {open:?}");
    let waiting: JoinSet<_> =
        followers.drain(..).map(|mut tail| async move { texts(&mut tail).await }).collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.end();
    assert!(waiting.join_all().await.iter().all(Option::is_none), "the stream ends with the process");
    assert_eq!(world.logs.directories.watch_count(), 0);
    // Each follower checked once, at the beginning. Notifications woke them later, not the poll interval.
    assert_eq!(world.process.checks.load(SeqCst), 20);
}

#[tokio::test]
async fn followers_miss_no_line_of_a_fast_writer() {
    const LINES: usize = 20_000;
    let world = World::new();
    let mut log = world.begin();
    let followers: JoinSet<_> = (0..8)
        .map(|_| {
            let mut tail = world.tail();
            async move {
                let mut all = Vec::new();
                while let Some(read) = texts(&mut tail).await {
                    all.extend(read);
                }
                all
            }
        })
        .collect();
    let writing = std::thread::spawn(move || {
        for number in 0..LINES {
            write(&mut log, &[number.to_string()]);
            if number % 1000 == 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    tokio::task::spawn_blocking(move || writing.join().unwrap()).await.unwrap();
    world.end();
    let expected: Vec<_> = (0..LINES).map(|number| number.to_string()).collect();
    for read in followers.join_all().await {
        assert!(read == expected, "{} lines", read.len());
    }
}

#[tokio::test]
async fn a_follower_waits_for_the_start_of_the_process() {
    let world = World::new();
    let mut tail = world.tail();
    let waiting = tokio::spawn(async move { (texts(&mut tail).await, tail) });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut log = world.begin();
    world.changes.send_replace(());
    write(&mut log, &["hello".to_owned()]);
    let (read, mut tail) = waiting.await.unwrap();
    assert_eq!(read.unwrap(), ["hello"]);
    // The supervisor was killed, so the directory does not show the end. `Followed` reports it after the last line.
    write(&mut log, &["bye".to_owned()]);
    world.process.ended.store(true, SeqCst);
    world.changes.send_replace(());
    assert_eq!(texts(&mut tail).await.unwrap(), ["bye"]);
    assert_eq!(texts(&mut tail).await, None);
}

#[tokio::test]
async fn changes_without_a_notification_are_found_by_polling() {
    let (short, never) = (Duration::from_millis(5), Duration::from_secs(1 << 30));
    for (poll_interval, unwatched_poll_interval) in [(never, short), (short, never)] {
        let mut world = World::new();
        world.logs = Arc::new(Logs { poll_interval, unwatched_poll_interval, ..Logs::default() });
        let mut log = world.begin();
        let mut tail = world.tail();
        // This happens if the user has the maximum number of watches.
        tail.watched = Watched::Never;
        let waiting = tokio::spawn(async move { (texts(&mut tail).await, tail) });
        // The follower checks the end at the beginning. It checks again only at the poll interval.
        let expected = if poll_interval == never { 1 } else { 2 };
        let checks = || world.process.checks.load(SeqCst);
        let enough = async {
            while checks() < expected {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(TIMEOUT, enough).await.expect("the follower checks without a notification");
        write(&mut log, &["hello".to_owned()]);
        let (read, mut tail) = waiting.await.unwrap();
        assert_eq!(read.unwrap(), ["hello"]);
        assert!(poll_interval != never || checks() == 1, "{}", checks());
        // The end has no notification. Only the follower with the short poll interval checks `Followed`.
        if poll_interval == short {
            world.process.ended.store(true, SeqCst);
        } else {
            world.end();
        }
        assert_eq!(texts(&mut tail).await, None);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_last_lines() {
    let world = World::new();
    let mut log = world.begin();
    write(&mut log, &["a".to_owned(), "b".to_owned()]);
    world.end();
    let mut stream = pin!(world.logs.follow(world.directory(), world.process.clone()));
    assert_eq!(stream.next().await.unwrap().unwrap().len(), 2);
    assert!(stream.next().await.is_none());
}
