//! Processes and their supervisors: their limits, and that no process is left behind or lost.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use flyte_runner_local::{
    log::{self, Stream},
    process::{self, Exit, Found, How, Limits, Process, Sandbox, Spec, Supervisor},
};
use tempfile::TempDir;

struct World {
    directory: TempDir,
    spec: Spec,
}

impl World {
    fn new(script: &str) -> Self {
        let environment = [("PATH", "/usr/bin:/bin"), ("GREETING", "hello")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let spec = Spec {
            command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            environment: BTreeMap::from(environment),
            limits: Limits { seconds: None, memory: None, log: 1 << 20, grace: 1 },
            sandbox: None,
        };
        Self { directory: TempDir::new().unwrap(), spec }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("attempt")
    }

    fn start(&self) -> Process {
        let supervisor = Supervisor::with_program(env!("CARGO_BIN_EXE_flyte-server").into());
        supervisor.start(&self.path(), &self.spec).unwrap()
    }

    async fn run(&self) -> How {
        ended(self.start()).await.how
    }

    fn log(&self) -> Vec<String> {
        log::tail(&self.path(), 1000).unwrap().into_iter().map(|line| line.text).collect()
    }

    /// Returns a number that the command has written to a file in its working directory.
    async fn number(&self, file: &str) -> u32 {
        let path = self.path().join("work").join(file);
        until("the command has written it", || {
            let text = fs::read_to_string(&path).ok()?;
            text.strip_suffix('\n')?.parse().ok()
        })
        .await
    }

    fn supervisor(&self) -> u32 {
        fs::read_to_string(self.path().join("lock")).unwrap().trim().parse().unwrap()
    }
}

async fn ended(mut process: Process) -> Exit {
    match tokio::time::timeout(Duration::from_secs(60), process.ended()).await.unwrap().unwrap() {
        Found::Ended(exit) => exit,
        other => panic!("{other:?}"),
    }
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn alive(pid: u32) -> bool {
    // A zombie counts as ended.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z")))
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn a_command_runs_in_its_directory_with_only_its_environment() {
    let world = World::new("pwd; env; echo wrong >&2; printf half; exit 3");
    assert_eq!(world.run().await, How::Exited { code: 3 });
    let lines = log::tail(&world.path(), 100).unwrap();
    let mut out: Vec<_> =
        lines.iter().filter(|line| line.stream == Stream::Stdout).map(|line| &*line.text).collect();
    out.sort_unstable();
    let work = world.path().join("work").display().to_string();
    let mark = format!("FLYTE_SUPERVISED={}", world.path().display());
    let pwd = format!("PWD={work}");
    let mut expected = vec![&*mark, "GREETING=hello", "PATH=/usr/bin:/bin", &*pwd, &*work, "half"];
    expected.sort_unstable();
    out.retain(|line| !line.starts_with("SHLVL=") && !line.starts_with("_=") && !line.starts_with("OLDPWD="));
    assert_eq!(out, expected);
    let wrong = lines.iter().find(|line| line.stream == Stream::Stderr).unwrap();
    assert_eq!(wrong.text, "wrong");
    assert!(wrong.time.as_second() > 1_700_000_000);
    assert!(matches!(process::find(&world.path()).await.unwrap(), Found::Ended(_)));
    let again = Supervisor::with_program(env!("CARGO_BIN_EXE_flyte-server").into());
    let refused = again.start(&world.path(), &world.spec).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn a_missing_command_is_reported() {
    let mut world = World::new("");
    world.spec.command = vec!["a0-that-does-not-exist".to_owned()];
    let How::NotStarted { why, missing } = world.run().await else { panic!("it was started") };
    assert!(missing && why.contains("a0-that-does-not-exist") && why.contains("/usr/bin:/bin"), "{why}");
}

#[tokio::test]
async fn remaining_processes_of_a_command_are_ended() {
    // A daemon with its own session and without its parent, which ignores all signals that can be ignored.
    let daemon =
        "trap '' TERM HUP INT; echo $$ > unfinished; mv unfinished daemon; while :; do sleep 1; done";
    let script = "(setsid sh -c \"$DAEMON\" &); while [ ! -e daemon ]; do sleep 0.01; done";
    let mut world = World::new(script);
    world.spec.environment.insert("DAEMON".to_owned(), daemon.to_owned());
    assert_eq!(world.run().await, How::Exited { code: 0 });
    let daemon = world.number("daemon").await;
    assert!(!alive(daemon), "process {daemon} still runs");
}

#[tokio::test]
async fn a_stop_sends_sigterm_first_and_then_kills() {
    let world = World::new("trap 'echo bye; exit 0' TERM; echo $$ > shell; sleep 1000 & wait");
    let process = world.start();
    let shell = world.number("shell").await;
    process.stop();
    let exit = ended(process).await;
    assert_eq!(exit.how, How::Stopped);
    assert_eq!(world.log(), ["bye", "the command was stopped on request"]);
    assert!(!alive(shell));

    let deaf = World::new(
        "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $! > child; wait; sleep 1000",
    );
    let process = deaf.start();
    let child = deaf.number("child").await;
    process.stop();
    assert_eq!(ended(process).await.how, How::Stopped);
    assert!(!alive(child));
}

#[tokio::test]
async fn a_command_is_limited_in_time() {
    let mut world = World::new("echo begun; sleep 1000");
    world.spec.limits.seconds = Some(1);
    assert_eq!(world.run().await, How::TimedOut { seconds: 1 });
    assert_eq!(world.log(), ["begun", "the command was stopped because it ran longer than 1 seconds"]);
}

#[tokio::test]
async fn a_command_is_limited_in_memory() {
    // Two processes, each with half of the memory.
    let hog = "head -c 200000000 /dev/zero | tail | sleep 1000";
    let mut world = World::new(&format!("{hog} & {hog} & wait"));
    world.spec.limits.memory = Some(300 << 20);
    let How::OutOfMemory { used, limit } = world.run().await else { panic!("{:?}", world.log()) };
    assert!(used > limit && limit == 300 << 20, "{used}");
    assert!(world.log().last().unwrap().contains("its limit is 300 MiB"), "{:?}", world.log());
}

#[tokio::test]
async fn a_flood_of_output_is_bounded_and_blocks_nothing() {
    let world = World::new("yes 'a line of the flood' | head -n 400000; echo the end");
    assert_eq!(world.run().await, How::Exited { code: 0 });
    let size = |name: &str| fs::metadata(world.path().join(name)).map_or(0, |file| file.len());
    assert!(size("log.jsonl") + size("log.1.jsonl") <= 1 << 20);
    assert_eq!(world.log().last().unwrap(), "the end");
}

#[tokio::test]
async fn another_process_finds_it_running_and_waits_for_its_end() {
    let world = World::new("while [ ! -e go ]; do sleep 0.01; done; exit 7");
    assert!(matches!(process::find(&world.path()).await.unwrap(), Found::NotStarted));
    let started = world.start();
    let Found::Running(found) = process::find(&world.path()).await.unwrap() else { panic!("it is running") };
    // The process that started the supervisor must wait for it, so that the system removes it; here it is this test.
    let both = async { tokio::join!(ended(found), ended(started)) };
    fs::write(world.path().join("work/go"), "").unwrap();
    let (one, other) = both.await;
    assert_eq!(one.how, How::Exited { code: 7 });
    assert_eq!(one, other);
    assert!(one.ended_at >= one.started_at);
}

#[tokio::test]
async fn all_processes_end_with_a_killed_supervisor() {
    let world = World::new(
        "echo $$ > shell.new; (setsid sh -c 'echo $$ > daemon.new; mv daemon.new daemon; sleep 1000' &); \
         mv shell.new shell; sleep 1000",
    );
    let mut process = world.start();
    let (shell, daemon) = (world.number("shell").await, world.number("daemon").await);
    kill("KILL", world.supervisor());
    // Without a server too: the system does this.
    until("the command has ended", || (!alive(shell)).then_some(())).await;
    assert!(matches!(process.ended().await.unwrap(), Found::Lost));
    assert!(!alive(daemon), "process {daemon} still runs");
    assert!(matches!(process::find(&world.path()).await.unwrap(), Found::Lost));
}

#[tokio::test]
async fn a_process_that_was_never_started_can_be_started() {
    let world = World::new("exit 0");
    // The state after a server was killed just before it started the supervisor.
    fs::create_dir_all(world.path()).unwrap();
    fs::write(world.path().join("lock"), "").unwrap();
    assert!(matches!(process::find(&world.path()).await.unwrap(), Found::NotStarted));
    assert_eq!(world.run().await, How::Exited { code: 0 });
}

#[tokio::test]
async fn a_sandbox_hides_files_from_a_command() {
    let script = "cat $DATA/secret && echo read; echo x > $DATA/new && echo written; \
                  cat $DATA/given/file; cat $DATA/attempt/spec.json > /dev/null && echo own; echo x > x && cat x; \
                  echo y > ../lock && echo locked; echo z > $DATA/objects/z && cat $DATA/objects/z; \
                  cat $OUTSIDE/password && echo outside; cat $OUTSIDE/beside; \
                  kill -0 $OTHER && echo signalled; cat /etc/passwd > /dev/null && echo system";
    let mut world = World::new(script);
    let data = world.directory.path().to_owned();
    for name in ["given", "objects"] {
        fs::create_dir(data.join(name)).unwrap();
    }
    fs::write(data.join("secret"), "secret").unwrap();
    fs::write(data.join("given/file"), "given\n").unwrap();
    let environment = &mut world.spec.environment;
    environment.insert("DATA".to_owned(), data.display().to_string());
    environment.insert("OTHER".to_owned(), std::process::id().to_string());
    // A file elsewhere that a setting names.
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("password"), "secret\n").unwrap();
    fs::write(outside.path().join("beside"), "beside\n").unwrap();
    environment.insert("OUTSIDE".to_owned(), outside.path().display().to_string());
    world.spec.sandbox = Some(Sandbox {
        hidden: vec![data.clone(), outside.path().join("password")],
        readable: vec![data.join("given")],
        writable: vec![data.join("objects")],
        required: true,
    });
    let how = world.run().await;
    let out: Vec<_> = log::tail(&world.path(), 100).unwrap();
    let unsupported = out.iter().any(|line| line.text.contains("this kernel "));
    if unsupported {
        assert_eq!(how, How::Exited { code: 126 }, "it is required, so nothing was started");
        return;
    }
    let out: Vec<_> =
        out.iter().filter(|line| line.stream == Stream::Stdout).map(|line| line.text.as_str()).collect();
    assert_eq!(out, ["given", "own", "x", "z", "beside", "system"]);
    assert!(!data.join("new").exists());
}

#[tokio::test]
async fn the_libraries_of_a_command_are_loaded_inside_the_sandbox() {
    let mut world = World::new(":");
    // The linker prints an error in every program that starts with this setting.
    world.spec.environment.insert("LD_PRELOAD".to_owned(), "/nowhere/library.so".to_owned());
    assert_eq!(world.run().await, How::Exited { code: 0 });
    let complaints = world.log().iter().filter(|line| line.contains("/nowhere/library.so")).count();
    assert_eq!(complaints, 1, "from the command, not from its starter: {:?}", world.log());
}

#[test]
fn only_the_server_starts_a_supervisor() {
    let world = World::new("");
    fs::create_dir_all(world.path()).unwrap();
    fs::write(world.path().join("lock"), "").unwrap();
    let supervise = |directory: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flyte-server"));
        command.arg("supervise").arg(directory).stdin(std::process::Stdio::null()).output().unwrap()
    };
    let output = supervise(&world.path());
    assert_eq!(output.status.code(), Some(126));
    assert!(String::from_utf8_lossy(&output.stderr).contains("only the server starts this"), "{output:?}");
}
