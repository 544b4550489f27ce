//! The published Python `flyte`, unmodified: it signs in at our server, and shares its logins with our command.

use flyte_e2e::{Machine, Person, Server, Told};

/// Runs `flyte get project` of the published package, without a browser unless there is a person.
fn published_projects(machine: &Machine, server: &Server, person: &Person) {
    let told = Told::by(&mut machine.published_flyte(server, person, &["get", "project"])).ok();
    assert!(told.out.contains("flytesnacks"), "{told:?}");
}

/// How many times somebody signed in at the server's page.
fn sign_ins(server: &Server) -> usize {
    server.logged(&["event=\"signed_in\""])
}

/// How many token requests the server has answered well.
fn issued(server: &Server) -> usize {
    server.logged(&["path=\"/oauth2/token\"", "status=200"])
}

#[test]
fn it_signs_in_and_our_command_uses_its_login() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.configure(&server);
    published_projects(&machine, &server, &Person::SignsIn(server.password_file()));
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    assert_eq!((sign_ins(&server), issued(&server)), (1, 1));

    // Nobody is at the browser any more.
    let ours = Told::by(&mut machine.flyte(&["get", "project"])).ok();
    assert!(ours.out.contains("flytesnacks"), "{ours:?}");
    let status = Told::by(&mut machine.flyte(&["auth", "status"])).ok();
    assert!(status.out.contains("Signed in:       yes"), "{status:?}");
    published_projects(&machine, &server, &Person::Absent);
    assert_eq!((sign_ins(&server), issued(&server)), (1, 1), "one login for both");
}

#[test]
fn it_uses_our_login_and_either_goes_on_where_the_other_has_renewed() {
    let mut server = Server::with(&["--access-token-ttl", "1s"]);
    let machine = Machine::with_keyring();
    machine.sign_in_by_forms(&server);
    machine.wait_until_expired();
    // What is renewed now lasts.
    server.restart_with(&["--access-token-ttl", "1h"]);
    published_projects(&machine, &server, &Person::Absent);
    let renewed = issued(&server);
    let _ = Told::by(&mut machine.flyte(&["get", "project"])).ok();
    assert_eq!(issued(&server), renewed, "our command uses what the published one has renewed");

    // The other way round: our command renews, the published one uses it.
    server.restart_with(&["--access-token-ttl", "1s"]);
    let _ = Told::by(&mut machine.flyte(&["auth", "logout"])).ok();
    machine.sign_in_by_forms(&server);
    machine.wait_until_expired();
    server.restart_with(&["--access-token-ttl", "1h"]);
    let _ = Told::by(&mut machine.flyte(&["get", "project"])).ok();
    let renewed = issued(&server);
    published_projects(&machine, &server, &Person::Absent);
    assert_eq!(issued(&server), renewed, "the published command uses what ours has renewed");
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    assert_eq!(sign_ins(&server), 2, "nobody signed in but at the two logins");
}
