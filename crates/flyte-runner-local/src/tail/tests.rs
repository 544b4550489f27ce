//! Followers of real files.

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

const END: Duration = Duration::from_secs(100);
const EXIT: &str = r#"{"how":{"exited":{"code":0}},"started_at":0,"ended_at":0}"#;

/// A process whose end is told, and how often somebody asked for it.
#[derive(Clone)]
struct Told {
    changes: watch::Receiver<()>,
    ended: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Followed for Told {
    async fn changed(&mut self) {
        self.changes.changed().await.unwrap();
    }

    async fn has_ended(&self) -> Result<bool, TailError> {
        self.asked.fetch_add(1, SeqCst);
        Ok(self.ended.load(SeqCst))
    }
}

struct World {
    home: TempDir,
    logs: Arc<Logs>,
    changes: watch::Sender<()>,
    told: Told,
}

impl World {
    fn new() -> Self {
        let (changes, receiver) = watch::channel(());
        let told = Told { changes: receiver, ended: Arc::default(), asked: Arc::default() };
        Self { home: tempfile::tempdir().unwrap(), logs: Arc::default(), changes, told }
    }

    fn directory(&self) -> PathBuf {
        self.home.path().join("attempt")
    }

    fn tail(&self) -> Tail<Told> {
        self.logs.tail(self.directory(), self.told.clone())
    }

    /// Begins the process.
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

async fn texts(tail: &mut Tail<Told>) -> Option<Vec<String>> {
    let lines = timeout(END, tail.next()).await.expect("something comes").unwrap()?;
    Some(lines.into_iter().map(|line| line.text).collect())
}

#[tokio::test]
async fn what_is_written_wakes_all_followers_and_none_asks_more_than_once() {
    let world = World::new();
    let mut log = world.begin();
    let mut followers: Vec<_> = (0..20).map(|_| world.tail()).collect();
    for round in ["one", "two", "three"] {
        let waiting: JoinSet<_> =
            followers.drain(..).map(|mut tail| async move { (texts(&mut tail).await, tail) }).collect();
        // So that most of them wait by now; those that do not must find it all the same.
        tokio::time::sleep(Duration::from_millis(20)).await;
        write(&mut log, &[round.to_owned()]);
        for (read, tail) in waiting.join_all().await {
            assert_eq!(read.unwrap(), [round]);
            followers.push(tail);
        }
        assert_eq!(world.logs.directories.watches(), 1);
    }
    drop(log);
    let open = world.open_files();
    assert!(open.is_empty(), "who waits has no file open: {open:?}");
    let waiting: JoinSet<_> =
        followers.drain(..).map(|mut tail| async move { texts(&mut tail).await }).collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.end();
    assert!(waiting.join_all().await.iter().all(Option::is_none), "the stream ends with the process");
    assert_eq!(world.logs.directories.watches(), 0);
    // Once each, at the beginning: they were woken, and did not look by themselves.
    assert_eq!(world.told.asked.load(SeqCst), 20);
}

#[tokio::test]
async fn nothing_is_lost_while_it_is_written() {
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
async fn one_that_has_not_begun_is_waited_for() {
    let world = World::new();
    let mut tail = world.tail();
    let waiting = tokio::spawn(async move { (texts(&mut tail).await, tail) });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut log = world.begin();
    world.changes.send_replace(());
    write(&mut log, &["hello".to_owned()]);
    let (read, mut tail) = waiting.await.unwrap();
    assert_eq!(read.unwrap(), ["hello"]);
    // Its supervisor is killed: nothing tells the end but what is known of it elsewhere, later than its last line.
    write(&mut log, &["bye".to_owned()]);
    world.told.ended.store(true, SeqCst);
    world.changes.send_replace(());
    assert_eq!(texts(&mut tail).await.unwrap(), ["bye"]);
    assert_eq!(texts(&mut tail).await, None);
}

#[tokio::test]
async fn what_nobody_tells_is_found_in_time() {
    let (short, never) = (Duration::from_millis(5), Duration::from_secs(1 << 30));
    for (look, slow_look) in [(never, short), (short, never)] {
        let mut world = World::new();
        world.logs = Arc::new(Logs { look, slow_look, ..Logs::default() });
        let mut log = world.begin();
        let mut tail = world.tail();
        // As where the system watches no more directories for this user.
        tail.watched = Watched::Never;
        let waiting = tokio::spawn(async move { (texts(&mut tail).await, tail) });
        // It asks at the beginning, and then only if it looks for the end everywhere.
        let asks = if look == never { 1 } else { 2 };
        let asked = || world.told.asked.load(SeqCst);
        let enough = async {
            while asked() < asks {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(END, enough).await.expect("it asks by itself");
        write(&mut log, &["hello".to_owned()]);
        let (read, mut tail) = waiting.await.unwrap();
        assert_eq!(read.unwrap(), ["hello"]);
        assert!(look != never || asked() == 1, "{}", asked());
        // Nor does anything tell of its end, which only the one of the two looks for everywhere.
        if look == short {
            world.told.ended.store(true, SeqCst);
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
    let mut stream = pin!(world.logs.follow(world.directory(), world.told.clone()));
    assert_eq!(stream.next().await.unwrap().unwrap().len(), 2);
    assert!(stream.next().await.is_none());
}
