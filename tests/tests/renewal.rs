//! Renewing a token, when processes die, when there are many of them, and when the server is not there.

use std::{
    collections::BTreeSet,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use flyte_e2e::{CommandOutput, Machine, Server, WebServer};

const TOKEN: [&str; 3] = ["auth", "token", "--no-login"];

/// The number of successful token requests at the server.
fn issued(server: &Server) -> usize {
    server.logged(&["path=\"/oauth2/token\"", "status=200"])
}

/// Starts `flyte auth token`.
fn start_token(machine: &Machine) -> Child {
    machine.flyte(&TOKEN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Random durations below a limit, after which a process is killed.
fn moments(seed: u64) -> impl FnMut(Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let mut state = seed ^ u64::try_from(now & u128::from(u64::MAX)).unwrap() | 1;
    move |limit| {
        // Xorshift is good enough here.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        limit.mul_f64((state % 10_000) as f64 / 10_000.0)
    }
}

#[test]
fn kill_nine_during_a_refresh_loses_no_session() {
    const MACHINES: usize = 8;
    const ROUNDS: usize = 25;
    let server = Server::with(&["--access-token-ttl", "1s"]);
    let machines: Vec<_> = (0..MACHINES).map(|_| Machine::bare()).collect();
    for machine in &machines {
        machine.sign_in_by_forms(&server);
    }
    let before = issued(&server);
    // A token lives a second: the machines wait for their expiry at the same time.
    let killed: usize = thread::scope(|scope| {
        let play = |(seed, machine): (usize, &Machine)| {
            let mut moment = moments(seed as u64 + 1);
            // As long as a whole refresh takes on this machine now, and a bit more.
            let mut whole = Duration::from_millis(200);
            let mut killed = 0;
            for round in 0..ROUNDS {
                machine.wait_until_expired();
                let mut victim = start_token(machine);
                thread::sleep(moment(whole));
                victim.kill().unwrap();
                killed += usize::from(victim.wait().unwrap().code().is_none());
                let started = Instant::now();
                let output = CommandOutput::of(&mut machine.flyte(&TOKEN));
                assert_eq!(output.code, Some(0), "the session is lost in round {round}: {output:?}");
                whole = (whole + started.elapsed().mul_f64(1.2)) / 2;
            }
            killed
        };
        let threads: Vec<_> =
            machines.iter().enumerate().map(|each| scope.spawn(move || play(each))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let refreshes = issued(&server) - before;
    // Some died before the renewal, and some after it without the answer.
    assert!(killed > MACHINES * ROUNDS / 4, "only {killed} were killed in time");
    assert!(refreshes > MACHINES * ROUNDS, "no process died after its request: {refreshes} refreshes");
}

#[test]
fn hundred_processes_with_an_expired_token_refresh_once() {
    let mut server = Server::with(&["--access-token-ttl", "1s"]);
    let machine = Machine::bare();
    machine.sign_in_by_forms(&server);
    machine.wait_until_expired();
    // The new token is to outlive the stampede.
    server.restart_with(&[]);
    let before = issued(&server);
    let processes: Vec<_> = (0..100).map(|_| start_token(&machine)).collect();
    let tokens: BTreeSet<_> = processes
        .into_iter()
        .map(|process| CommandOutput::from(process.wait_with_output().unwrap()).ok().out)
        .collect();
    assert_eq!(tokens.len(), 1, "all have the same token");
    assert_eq!(issued(&server) - before, 1);
}

#[test]
fn unreachable_server_ends_no_session() {
    let mut server = Server::with(&["--access-token-ttl", "1s"]);
    let machine = Machine::bare();
    machine.sign_in_by_forms(&server);
    machine.wait_until_expired();
    server.signal("KILL");
    server.wait();
    let output = CommandOutput::of(&mut machine.flyte(&TOKEN)).failed(1);
    assert!(output.err.contains("the connection was refused"), "{output:?}");
    assert!(output.err.contains("next: Check that the server runs"), "{output:?}");
    server.start_again();
    let _ = CommandOutput::of(&mut machine.flyte(&TOKEN)).ok();
}

#[test]
fn failing_server_ends_no_session() {
    let mut server = Server::with(&["--access-token-ttl", "1s"]);
    let machine = Machine::bare();
    machine.sign_in_by_forms(&server);
    machine.wait_until_expired();
    // A proxy without a backend replaces the server, and answers with a web page.
    server.signal("KILL");
    server.wait();
    let proxy = WebServer::at(server.port(), &server.pem(), 503);
    let output = CommandOutput::of(&mut machine.flyte(&TOKEN)).failed(1);
    assert!(output.err.contains("503") && output.err.contains("next: "), "{output:?}");
    assert!(proxy.log().contains("POST /"), "it was asked: {}", proxy.log());
    drop(proxy);
    server.start_again();
    let _ = CommandOutput::of(&mut machine.flyte(&TOKEN)).ok();
}
