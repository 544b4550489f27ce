//! Several commands that need a sign-in: one asks, the others share the answer, and refreshes and jobs do not wait.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use flyte_e2e::{CommandOutput, Machine, Person, Server, binary, eventually, sign_in_elsewhere, target};

fn signal(process: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &process.id().to_string()]).status().unwrap().success());
}

/// Opens a callback URL, as the browser does in the end.
fn open(callback: &str) {
    let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let _ = http.get(callback).send().unwrap();
}

/// Starts `flyte auth login`, which waits for the user. Returns the command and the URL for the browser.
fn unfinished(machine: &Machine, name: &str) -> (Child, String) {
    let seen = machine.home().join(name);
    let login = machine
        .flyte_with(&Person::Looks(seen.clone()), &["auth", "login"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let url = eventually("the browser is opened", || fs::read_to_string(&seen).ok());
    (login, url)
}

/// A browser that appends its URLs to a file.
fn counting(machine: &Machine) -> (String, PathBuf) {
    let (script, opened) = (machine.home().join("browser.sh"), machine.home().join("opened"));
    fs::write(&script, format!("#!/bin/sh\necho \"$1\" >> {}\n", opened.display())).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&script).status().unwrap().success());
    (format!("{} %s", script.display()), opened)
}

/// `flyte` with a terminal, by `script` of util-linux; what it shows goes to a file.
fn at_a_terminal(machine: &Machine, arguments: &str, browser: &str, shown: &Path) -> Child {
    let line = format!("{} {arguments}", binary("flyte").display());
    let mut command = machine.command("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("BROWSER", browser);
    let output = File::create(shown).unwrap();
    // Kept open, because a terminal whose input has ended counts as unattended.
    command.stdin(Stdio::piped()).stdout(output).spawn().unwrap()
}

#[test]
fn suspended_sign_in_blocks_no_command() {
    let (server, machine) = (Server::with(&["--access-token-ttl", "1s"]), Machine::bare());
    machine.configure(&server);
    let (mut suspended, _) = unfinished(&machine, "first");
    signal(&suspended, "STOP");
    let named = format!("process {} (flyte)", suspended.id());

    // A job fails at once and names the process. Signing out and the status do not wait either.
    for arguments in [&["get", "project"][..], &["auth", "token"], &["whoami"]] {
        let output = CommandOutput::of(&mut machine.flyte(arguments)).failed(4);
        assert!(
            output.err.contains(&format!("{named} is suspended in the middle of a sign-in")),
            "{output:?}"
        );
        assert!(output.err.contains(&format!("kill -9 {}", suspended.id())), "{output:?}");
    }
    let _ = CommandOutput::of(&mut machine.flyte(&["auth", "logout"])).ok();
    let _ = CommandOutput::of(&mut machine.flyte(&["auth", "status"])).failed(4);

    // A new sign-in ignores the suspended one. Another one waits for the active one.
    let (browser, opened) = counting(&machine);
    let shown: Vec<_> = (0..3).map(|number| machine.home().join(format!("shown-{number}"))).collect();
    let mut commands: Vec<_> =
        shown.iter().map(|shown| at_a_terminal(&machine, "get project", &browser, shown)).collect();
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
    let url = eventually("a browser is opened", || read(&opened).lines().next().map(str::to_owned));
    eventually("the others wait", || {
        let waiting = shown.iter().filter(|shown| read(shown).contains("which is signing in")).count();
        (waiting >= 2).then_some(())
    });
    open(&sign_in_elsewhere(&server, &url));
    for (command, shown) in commands.iter_mut().zip(&shown) {
        let exit = eventually("it ends", || command.try_wait().unwrap());
        assert_eq!(exit.code(), Some(0), "{}", read(shown));
        assert!(read(shown).contains("flytesnacks"), "{}", read(shown));
    }
    assert_eq!(read(&opened).lines().count(), 1, "one browser for three commands: {}", read(&opened));

    // With a refresh token, no command waits, with or without a terminal.
    machine.wait_until_expired();
    let output = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    assert_eq!(output.err, "");
    let _ = CommandOutput::of(&mut machine.flyte(&["auth", "logout"])).ok();

    // After it is resumed, it continues and ends normally.
    signal(&suspended, "CONT");
    signal(&suspended, "KILL");
    suspended.wait().unwrap();
    machine.sign_in_by_forms(&server);
}

#[test]
fn five_commands_share_one_sign_in() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let (browser, opened) = counting(&machine);
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
    for denied in [true, false] {
        let _ = fs::remove_file(&opened);
        let shown: Vec<_> = (0..5).map(|number| machine.home().join(format!("shown-{number}"))).collect();
        let mut commands: Vec<_> =
            shown.iter().map(|shown| at_a_terminal(&machine, "get project", &browser, shown)).collect();
        let url = eventually("a browser is opened", || read(&opened).lines().next().map(str::to_owned));
        eventually("the others wait, and name the process", || {
            let waiting = |shown: &&PathBuf| {
                let text = read(shown);
                text.contains("Waiting for process ") && text.contains("(flyte), which is signing in")
            };
            (shown.iter().filter(waiting).count() == 4).then_some(())
        });
        // A job does not wait for them.
        let job = CommandOutput::of(&mut machine.flyte(&["get", "project"])).failed(4);
        assert!(job.err.contains("(flyte) is still signing in"), "{job:?}");

        if denied {
            let url = reqwest::Url::parse(&url).unwrap();
            let query = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
            let (callback, state, issuer) = (query("redirect_uri"), query("state"), server.url(""));
            open(&format!(
                "{callback}?error=access_denied&error_description=Not+today&state={state}&iss={issuer}"
            ));
        } else {
            open(&sign_in_elsewhere(&server, &url));
        }
        for (command, shown) in commands.iter_mut().zip(&shown) {
            let exit = eventually("it ends", || command.try_wait().unwrap());
            let text = read(shown);
            assert_eq!(exit.code(), Some(if denied { 4 } else { 0 }), "{text}");
            assert!(text.contains(if denied { "denied: Not today" } else { "flytesnacks" }), "{text}");
        }
        assert_eq!(read(&opened).lines().count(), 1, "{}", read(&opened));
    }
}

#[test]
fn no_command_waits_for_a_killed_sign_in() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let (mut killed, _) = unfinished(&machine, "killed");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let output = CommandOutput::of(&mut machine.flyte(&["get", "project"])).failed(4);
    assert!(output.err.contains("this is not an interactive session"), "{output:?}");
    machine.sign_in_by_forms(&server);
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
}

/// A library that disables `flock` in a program, as on file systems without locks.
fn without_flock(machine: &Machine) -> PathBuf {
    let (source, library) = (machine.home().join("flock.c"), target().join("tmp/without-flock.so"));
    fs::write(
        &source,
        "#include <errno.h>\nint flock(int file, int how) { (void)file; (void)how; errno = ENOLCK; return -1; }\n",
    )
    .unwrap();
    fs::create_dir_all(library.parent().unwrap()).unwrap();
    let mut compiler = machine.command("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    assert!(compiler.status().expect("cc is missing: install build-essential").success());
    library
}

#[test]
fn one_refresh_and_one_sign_in_without_file_locks() {
    let mut server = Server::with(&["--access-token-ttl", "1s"]);
    let machine = Machine::bare();
    let library = without_flock(&machine);
    let locks = machine.home().join(".local/state/flyte/locks");
    let held = || {
        let entries = fs::read_dir(&locks).unwrap().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "held")).count()
    };
    machine.sign_in_by_forms(&server);
    machine.wait_until_expired();
    // The new token is to outlive the stampede.
    server.restart_with(&[]);
    let issued = || server.logged(&["path=\"/oauth2/token\"", "status=200"]);
    let before = issued();
    let token = || {
        let mut command = machine.flyte(&["auth", "token", "--no-login"]);
        command.env("LD_PRELOAD", &library).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let processes: Vec<_> = (0..20).map(|_| token()).collect();
    for process in processes {
        let output = CommandOutput::from(process.wait_with_output().unwrap()).ok();
        assert_eq!(output.err, "");
    }
    assert_eq!((issued() - before, held()), (1, 0));

    // The lock of a killed sign-in is taken over at once, because its process no longer exists.
    let _ = CommandOutput::of(machine.flyte(&["auth", "logout"]).env("LD_PRELOAD", &library)).ok();
    let seen = machine.home().join("killed");
    let mut killed = machine
        .flyte_with(&Person::Looks(seen.clone()), &["auth", "login"])
        .env("LD_PRELOAD", &library)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the browser is opened", || fs::read_to_string(&seen).ok());
    let job = CommandOutput::of(machine.flyte(&["get", "project"]).env("LD_PRELOAD", &library)).failed(4);
    assert!(job.err.contains(&format!("process {} (flyte) is still signing in", killed.id())), "{job:?}");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(held(), 1);
    let job = CommandOutput::of(machine.flyte(&["get", "project"]).env("LD_PRELOAD", &library)).failed(4);
    assert!(job.err.contains("this is not an interactive session"), "{job:?}");
    assert_eq!(held(), 0, "nothing is left");
}
