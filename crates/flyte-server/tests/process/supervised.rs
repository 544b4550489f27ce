//! Processes and their supervisors: what they are held to, and that nothing of them is left behind or lost.

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

    /// A number that the command has written to a file of its working directory.
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
    // One that nobody has looked after is gone all the same.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z")))
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn a_command_runs_in_its_directory_with_its_environment_alone() {
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
async fn a_command_that_is_not_there_is_told_as_such() {
    let mut world = World::new("");
    world.spec.command = vec!["a0-that-nobody-has".to_owned()];
    let How::NotStarted { why, missing } = world.run().await else { panic!("it was started") };
    assert!(missing && why.contains("a0-that-nobody-has") && why.contains("/usr/bin:/bin"), "{why}");
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    // A daemon: a session of its own, its parent gone, deaf to every polite signal.
    let daemon =
        "trap '' TERM HUP INT; echo $$ > unfinished; mv unfinished daemon; while :; do sleep 1; done";
    let script = "(setsid sh -c \"$DAEMON\" &); while [ ! -e daemon ]; do sleep 0.01; done";
    let mut world = World::new(script);
    world.spec.environment.insert("DAEMON".to_owned(), daemon.to_owned());
    assert_eq!(world.run().await, How::Exited { code: 0 });
    let daemon = world.number("daemon").await;
    assert!(!alive(daemon), "process {daemon} is still there");
}

#[tokio::test]
async fn stopping_is_polite_first_and_then_not() {
    let world = World::new("trap 'echo bye; exit 0' TERM; echo $$ > shell; sleep 1000 & wait");
    let process = world.start();
    let shell = world.number("shell").await;
    process.stop();
    let exit = ended(process).await;
    assert_eq!(exit.how, How::Stopped);
    assert_eq!(world.log(), ["bye", "the command was stopped as asked"]);
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
async fn a_command_is_held_to_its_time() {
    let mut world = World::new("echo begun; sleep 1000");
    world.spec.limits.seconds = Some(1);
    assert_eq!(world.run().await, How::TimedOut { seconds: 1 });
    assert_eq!(world.log(), ["begun", "the command was stopped: it took longer than 1 seconds"]);
}

#[tokio::test]
async fn a_command_is_held_to_its_memory() {
    // Two processes that have half of it each.
    let hog = "head -c 200000000 /dev/zero | tail | sleep 1000";
    let mut world = World::new(&format!("{hog} & {hog} & wait"));
    world.spec.limits.memory = Some(300 << 20);
    let How::OutOfMemory { used, limit } = world.run().await else { panic!("{:?}", world.log()) };
    assert!(used > limit && limit == 300 << 20, "{used}");
    assert!(world.log().last().unwrap().contains("its limit is 300 MiB"), "{:?}", world.log());
}

#[tokio::test]
async fn a_flood_of_output_is_bounded_and_holds_nothing_up() {
    let world = World::new("yes 'a line of the flood' | head -n 400000; echo the end");
    assert_eq!(world.run().await, How::Exited { code: 0 });
    let size = |name: &str| fs::metadata(world.path().join(name)).map_or(0, |file| file.len());
    assert!(size("log.jsonl") + size("log.1.jsonl") <= 1 << 20);
    assert_eq!(world.log().last().unwrap(), "the end");
}

#[tokio::test]
async fn who_did_not_start_it_finds_it_running_and_waits_for_its_end() {
    let world = World::new("while [ ! -e go ]; do sleep 0.01; done; exit 7");
    assert!(matches!(process::find(&world.path()).await.unwrap(), Found::NotStarted));
    let started = world.start();
    let Found::Running(found) = process::find(&world.path()).await.unwrap() else { panic!("it is running") };
    // Whoever has started it must see its end for the system to forget it; here it is us as well.
    let both = async { tokio::join!(ended(found), ended(started)) };
    fs::write(world.path().join("work/go"), "").unwrap();
    let (one, other) = both.await;
    assert_eq!(one.how, How::Exited { code: 7 });
    assert_eq!(one, other);
    assert!(one.ended_at >= one.started_at);
}

#[tokio::test]
async fn a_killed_supervisor_takes_everything_with_it() {
    let world = World::new(
        "echo $$ > shell.new; (setsid sh -c 'echo $$ > daemon.new; mv daemon.new daemon; sleep 1000' &); \
         mv shell.new shell; sleep 1000",
    );
    let mut process = world.start();
    let (shell, daemon) = (world.number("shell").await, world.number("daemon").await);
    kill("KILL", world.supervisor());
    // Even where no server looks: the system does this.
    until("the command is gone", || (!alive(shell)).then_some(())).await;
    assert!(matches!(process.ended().await.unwrap(), Found::Lost));
    assert!(!alive(daemon), "process {daemon} is still there");
    assert!(matches!(process::find(&world.path()).await.unwrap(), Found::Lost));
}

#[tokio::test]
async fn one_that_was_never_started_can_be() {
    let world = World::new("exit 0");
    // As a server leaves it that was killed just before it started the supervisor.
    fs::create_dir_all(world.path()).unwrap();
    fs::write(world.path().join("lock"), "").unwrap();
    assert!(matches!(process::find(&world.path()).await.unwrap(), Found::NotStarted));
    assert_eq!(world.run().await, How::Exited { code: 0 });
}

#[tokio::test]
async fn a_sandbox_keeps_a_command_from_what_is_hidden() {
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
    // What a setting names elsewhere.
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
    let unsupported = out.iter().any(|line| line.text.contains("this kernel has"));
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
async fn what_a_command_loads_is_loaded_behind_the_sandbox() {
    let mut world = World::new(":");
    // The linker complains in every program that is started with it.
    world.spec.environment.insert("LD_PRELOAD".to_owned(), "/nowhere/library.so".to_owned());
    assert_eq!(world.run().await, How::Exited { code: 0 });
    let complaints = world.log().iter().filter(|line| line.contains("/nowhere/library.so")).count();
    assert_eq!(complaints, 1, "by the command, not by what starts it: {:?}", world.log());
}

#[test]
fn nobody_else_starts_a_supervisor() {
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
