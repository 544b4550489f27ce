//! Our commands for users, groups, roles, policies and assignments. The published plugin sees the same.

use std::fs;

use flyte_e2e::{CommandOutput, Machine, Person, Server};
use serde_json::Value;

#[test]
fn our_commands_keep_users_groups_roles_and_policies_and_the_published_plugin_sees_the_same() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in_by_forms(&server);
    let run = |line: &str| CommandOutput::of(&mut machine.flyte(&line.split(' ').collect::<Vec<_>>())).ok();
    let read = |line: &str| -> Value { serde_json::from_str(&run(&format!("{line} -o json")).out).unwrap() };
    let refused = |line: &str| {
        let output = CommandOutput::of(&mut machine.flyte(&line.split(' ').collect::<Vec<_>>()));
        assert_ne!(output.code, Some(0), "{output:?}");
        output
    };
    let published = |arguments: &[&str]| {
        let all: Vec<_> = ["-of", "json-raw"].iter().chain(arguments).copied().collect();
        let mut command = machine.published_flyte(&server, &Person::Absent, &all);
        CommandOutput::of(command.env("TERM", "dumb").env("COLUMNS", "400")).ok().out.replace('\'', "\"")
    };
    let file = |name: &str, text: &str| {
        let path = machine.home().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };

    // Roles: by permissions, by the plugin's file, and changed by an editor.
    run("create role ops --permission run,view-inventory --description Runs");
    let eye = file("eye.yaml", "name: eye\nactions: [ACTION_VIEW_IDENTITIES, view_flyte_inventory]\n");
    run(&format!("create role eye --file {eye}"));
    let wrong = refused(&format!("create role other --file {eye}"));
    assert!(wrong.err.contains("names other, and the definition names eye"), "{wrong:?}");
    let editor = file("editor", "sed -i 's|view-inventory$|deploy|' \"$1\"\n");
    let mut edit = machine.flyte(&["update", "role", "ops"]);
    let edited = CommandOutput::of(edit.env("EDITOR", format!("sh {editor}"))).ok();
    assert!(edited.err.contains("Changed role ops."), "{edited:?}");
    let ops = read("get role ops");
    assert_eq!(ops["description"], "Runs");
    assert!(ops["permissions"].as_array().unwrap().contains(&"deploy".into()), "{ops}");
    let seen = published(&["get", "role", "ops"]);
    assert!(seen.contains("ACTION_REGISTER_FLYTE_INVENTORY") && seen.contains("CREATE_FLYTE_EXEC"), "{seen}");
    assert!(run("get role").out.contains("contributor"));

    // Policies.
    run("create policy team --binding ops@flytesnacks/development --binding viewer --description Team");
    run("update policy team --add eye --remove viewer");
    let team = read("get policy team");
    let bindings: Vec<_> = team["bindings"].as_array().unwrap().iter().map(|it| it["role"].clone()).collect();
    assert_eq!(bindings.len(), 2, "{team}");
    assert!(bindings.contains(&"eye".into()) && bindings.contains(&"ops".into()), "{team}");
    let seen = published(&["get", "policy", "team"]);
    assert!(
        seen.contains("flytesnacks") && seen.contains("\"eye\"") && !seen.contains("\"viewer\""),
        "{seen}"
    );
    let unknown = refused("create policy broken --binding ops@nowhere");
    assert!(unknown.err.contains("names no project"), "{unknown:?}");
    assert!(refused("get policy broken").err.contains("flyte get policy"), "nothing is left of it");

    // Users.
    let create = "create user ada@example.com --first-name Ada --last-name Lovelace --role viewer \
                  --project flytesnacks --policy team";
    let made = run(create);
    let link = made.out.lines().last().unwrap_or_default();
    assert!(link.starts_with(&server.url("/invitation")), "{made:?}");
    let again = read("create user ada@example.com");
    assert!(
        again["invitation_url"].as_str().is_some_and(|url| url != link),
        "a new one replaces it: {again}"
    );
    let ada = read("get user ADA@example.com");
    assert_eq!((&ada["name"], &ada["policies"][0]), (&"Ada Lovelace".into(), &"team".into()));
    assert_eq!(
        (&ada["roles"][0]["role"], &ada["roles"][0]["project"]),
        (&"viewer".into(), &"flytesnacks".into())
    );
    assert!(ada["has_password"] == false && ada["invitation_url"].is_null(), "{ada}");
    let plain = read("create user bob@example.com --no-invitation");
    assert!(plain["invitation_url"].is_null() && plain["roles"][0]["role"] == "contributor", "{plain}");
    assert_eq!(ada["roles"].as_array().unwrap().len(), 1, "not the role of new accounts: {ada}");
    let subject = ada["subject"].as_str().unwrap();
    assert!(published(&["get", "user", subject]).contains("Lovelace"));
    let table = run("get user").out;
    assert!(table.contains("viewer@flytesnacks") && table.contains("admin@localhost"), "{table}");
    assert_eq!(read("get user --email unknown@example.com"), Value::Array(Vec::new()));
    run("update user ada@example.com --name Countess --disable");
    assert!(read("get user ada@example.com")["disabled_at"].is_i64());
    run("update user ada@example.com --enable");

    // Groups and their members.
    run("create group ml --description Models --member ada@example.com");
    run("create assignment --group ml --role contributor --project flytesnacks");
    let group = read("get group ml");
    assert_eq!(group["roles"][0]["role"], "contributor");
    assert!(run("get member --group ml").out.contains("ada@example.com"));
    run("update group ml --name ml-team --remove-member ada@example.com");
    assert_eq!(read("get member --group ml-team"), Value::Array(Vec::new()));
    assert!(run("get group").out.contains("ml-team"));

    // Assignments.
    run("create api-key robot");
    run("create assignment --creds-subject robot --policy team");
    run("create assignment --email ada@example.com --role ops --project flytesnacks --domain staging");
    run(&format!("create assignment --user-subject {subject} --policy viewer"));
    let seen = published(&["get", "assignment", "--email", "ada@example.com"]);
    assert!(seen.contains("team") && seen.contains("viewer") && seen.contains("ops"), "{seen}");
    let all = run("get assignment").out;
    assert!(all.contains("robot") && all.contains("ops@flytesnacks/staging"), "{all}");
    assert!(run("get member").out.contains("robot"));
    let asked = refused(
        "delete assignment --email ada@example.com --role ops --project flytesnacks --domain staging",
    );
    let command = "flyte delete assignment --email ada@example.com --role ops --project flytesnacks --domain staging --yes";
    assert!(asked.code == Some(2) && asked.err.contains(command), "{asked:?}");
    run(command.trim_start_matches("flyte "));
    run(&format!("delete assignment --user-subject {subject} --policy viewer --yes"));
    let seen = published(&["get", "assignment", "--email", "ada@example.com"]);
    assert!(seen.contains("team") && !seen.contains("staging"), "{seen}");
    let last = refused("delete assignment --email admin@localhost --role admin --yes");
    assert!(last.err.contains("last administrator"), "{last:?}");

    // What is in use stays, and what is deleted is gone for the plugin, too.
    let used = refused("delete role ops --yes");
    assert!(used.err.contains("cannot delete role ops"), "{used:?}");
    run("delete user ada@example.com --yes");
    run("delete group ml-team --yes");
    run("delete policy team --yes");
    run("delete role ops --yes");
    run("delete role eye --yes");
    assert!(!published(&["get", "role"]).contains("\"ops\""));
    assert!(refused("get user ada@example.com").err.contains("flyte get user"));
}

#[test]
fn the_home_page_says_if_a_user_has_no_role() {
    let server = Server::start();
    let password =
        CommandOutput::of(&mut server.command(&["user", "add", "eve@example.com", "--role", "none"])).ok();
    let password = password.out.lines().last().unwrap().trim().to_owned();
    let home = server.home_of("eve@example.com", &password);
    assert!(home.contains("You have no role yet") && home.contains("eve@example.com"), "{home}");
    assert!(!home.contains("cannot be shown now") && !home.contains("Your latest runs"), "{home}");
    let _ = CommandOutput::of(&mut server.command(&["user", "grant", "eve@example.com", "viewer"])).ok();
    assert!(server.home_of("eve@example.com", &password).contains("Your projects"));
    let users = CommandOutput::of(&mut server.command(&["user", "list"])).ok().out;
    assert!(users.lines().any(|line| line.starts_with("eve@") && line.contains("viewer")), "{users}");
}
