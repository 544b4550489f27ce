//! The published Python `flyte`, unmodified: it signs in at our server, and shares its logins with our command.

use flyte_e2e::{CommandOutput, Machine, Person, Server};

/// Runs `flyte get project` of the published package, with this user at the browser.
fn published_projects(machine: &Machine, server: &Server, person: &Person) {
    let output = CommandOutput::of(&mut machine.published_flyte(server, person, &["get", "project"])).ok();
    assert!(output.out.contains("flytesnacks"), "{output:?}");
}

/// The number of sign-ins at the server's page.
fn sign_ins(server: &Server) -> usize {
    server.logged(&["event=\"signed_in\""])
}

/// The number of successful token requests at the server.
fn issued(server: &Server) -> usize {
    server.logged(&["path=\"/oauth2/token\"", "status=200"])
}

#[test]
fn our_command_uses_the_published_clients_login() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.configure(&server);
    published_projects(&machine, &server, &Person::SignsIn(server.password_file()));
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    assert_eq!((sign_ins(&server), issued(&server)), (1, 1));

    // There is no user at the browser any more.
    let ours = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    assert!(ours.out.contains("flytesnacks"), "{ours:?}");
    let status = CommandOutput::of(&mut machine.flyte(&["auth", "status"])).ok();
    assert!(status.out.contains("Signed in:       yes"), "{status:?}");
    published_projects(&machine, &server, &Person::Absent);
    assert_eq!((sign_ins(&server), issued(&server)), (1, 1), "one login for both");
}

#[test]
fn published_client_uses_our_login_and_both_share_renewals() {
    let mut server = Server::with(&["--access-token-ttl", "1s"]);
    let machine = Machine::with_keyring();
    machine.sign_in_by_forms(&server);
    machine.wait_until_expired();
    // What is renewed now lasts.
    server.restart_with(&["--access-token-ttl", "1h"]);
    published_projects(&machine, &server, &Person::Absent);
    let renewed = issued(&server);
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    assert_eq!(issued(&server), renewed, "our command uses what the published one has renewed");

    // In the other direction: our command renews, and the published one uses it.
    server.restart_with(&["--access-token-ttl", "1s"]);
    let _ = CommandOutput::of(&mut machine.flyte(&["auth", "logout"])).ok();
    machine.sign_in_by_forms(&server);
    machine.wait_until_expired();
    server.restart_with(&["--access-token-ttl", "1h"]);
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    let renewed = issued(&server);
    published_projects(&machine, &server, &Person::Absent);
    assert_eq!(issued(&server), renewed, "the published command uses what ours has renewed");
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    assert_eq!(sign_ins(&server), 2, "the only sign-ins are the two logins");
}
