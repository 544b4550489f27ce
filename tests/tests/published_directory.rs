//! Every command of the unmodified published plugin for users, members, roles, policies and assignments.

use std::{fs, path::Path};

use flyte_e2e::{CommandOutput, Machine, Person, Server};

/// Runs the published command. No user is at the browser: the machine is signed in.
fn published(machine: &Machine, server: &Server, arguments: &[&str]) -> CommandOutput {
    let mut command = machine.published_flyte(server, &Person::Absent, arguments);
    CommandOutput::of(command.env("TERM", "dumb").env("COLUMNS", "400"))
}

/// What it prints for programs. Lists are JSON; a single object is written in Python's way.
fn text(machine: &Machine, server: &Server, arguments: &[&str]) -> String {
    let all: Vec<_> = ["-of", "json-raw"].iter().chain(arguments).copied().collect();
    published(machine, server, &all).ok().out.replace('\'', "\"")
}

/// An editor that replaces a line of the file that it opens.
fn editor(directory: &Path, from: &str, to: &str) -> String {
    let script = directory.join("editor");
    fs::write(&script, format!("sed -i 's|{from}|{to}|' \"$1\"\n")).unwrap();
    // Click takes an edit as cancelled if the file keeps its time.
    format!("sh {}", script.display())
}

fn edited(machine: &Machine, server: &Server, editor: &str, arguments: &[&str]) -> CommandOutput {
    let mut command = machine.published_flyte(server, &Person::Absent, arguments);
    CommandOutput::of(command.env("TERM", "dumb").env("COLUMNS", "400").env("EDITOR", editor)).ok()
}

#[test]
fn published_commands_keep_users_roles_policies_and_assignments() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in_by_forms(&server);
    let run = |arguments: &[&str]| published(&machine, &server, arguments).ok();
    let read = |arguments: &[&str]| text(&machine, &server, arguments);
    let file = |name: &str, text: &str| {
        let path = machine.home().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };

    // Roles.
    let role = file(
        "role.yaml",
        "name: ops\ndescription: Runs\nactions: [ACTION_VIEW_FLYTE_INVENTORY, create_flyte_executions]\n",
    );
    run(&["create", "role", "ops", "--file", &role]);
    let edit = editor(machine.home(), "actions: \\[\\]", "actions: [ACTION_VIEW_IDENTITIES]");
    let made = edited(&machine, &server, &edit, &["create", "role", "eye", "--edit"]);
    assert!(made.out.contains("Successfully created role"), "{made:?}");
    let ops = read(&["get", "role", "ops"]);
    assert!(ops.contains("ACTION_CREATE_FLYTE_EXECUTIONS") && ops.contains("ROLE_TYPE_CUSTOM"), "{ops}");
    let all = read(&["get", "role"]);
    for name in ["viewer", "contributor", "admin", "ops", "eye"] {
        assert!(all.contains(&format!("{name:?}")), "{name}: {all}");
    }
    let edit = editor(machine.home(), "ACTION_CREATE_FLYTE_EXECUTIONS", "ACTION_VIEW_FLYTE_EXECUTIONS");
    let changed = edited(&machine, &server, &edit, &["update", "role", "ops"]);
    assert!(changed.out.contains("Successfully updated role"), "{changed:?}");
    let ops = read(&["get", "role", "ops"]);
    assert!(!ops.contains("ACTION_CREATE") && ops.contains("ACTION_VIEW_FLYTE_EXECUTIONS"), "{ops}");

    // Policies.
    let bindings = "bindings:\n- role: ops\n  resource: {project: flytesnacks}\n- role: viewer\n";
    let policy = file("policy.yaml", &format!("name: team\ndescription: The team\n{bindings}"));
    run(&["create", "policy", "team", "--file", &policy]);
    let edit = editor(machine.home(), "bindings: \\[\\]", "bindings: [{role: eye}]");
    let made = edited(&machine, &server, &edit, &["create", "policy", "eyes", "--edit"]);
    assert!(made.out.contains("Successfully created policy"), "{made:?}");
    let team = read(&["get", "policy", "team"]);
    assert!(team.contains("flytesnacks") && team.contains("The team"), "{team}");
    let edit = editor(machine.home(), "- role: viewer", "- role: contributor");
    let changed = edited(&machine, &server, &edit, &["update", "policy", "team"]);
    assert!(!changed.out.contains("No changes"), "{changed:?}");
    let team = read(&["get", "policy", "team"]);
    assert!(team.contains("contributor") && !team.contains("\"viewer\""), "{team}");
    let all = read(&["get", "policy"]);
    assert!(all.contains("\"team\"") && all.contains("\"eyes\"") && all.contains("\"admin\""), "{all}");

    // Users.
    let person = ["--first-name", "Jane", "--last-name", "Doe", "--email", "jane@example.com"];
    let create: Vec<_> =
        ["create", "user"].iter().chain(&person).chain(&["--policy", "team"]).copied().collect();
    let made = run(&create);
    assert!(made.out.contains("Assigned policy"), "{made:?}");
    let found = read(&["get", "user", "--email", "jane@example.com"]);
    assert!(found.contains("jane@example.com") && found.contains("Doe"), "{found}");
    let (_, subject) = found.split_once("\"subject\": \"").unwrap();
    let subject = subject.split('"').next().unwrap().to_owned();
    assert!(read(&["get", "user", &subject]).contains("jane@example.com"));
    assert!(read(&["get", "user"]).contains("jane@example.com"));

    // Members: also API keys.
    let key = run(&["create", "api-key", "--name", "robot"]);
    assert!(key.out.contains("robot"), "{key:?}");
    let members = read(&["get", "member"]);
    assert!(members.contains("robot") && members.contains("Jane"), "{members}");

    // Assignments.
    run(&["create", "assignment", "--email", "jane@example.com", "--policy", "eyes"]);
    run(&["create", "assignment", "--user-subject", &subject, "--policy", "viewer"]);
    run(&["create", "assignment", "--creds-subject", "robot", "--policy", "eyes"]);
    let jane = read(&["get", "assignment", "--user-subject", &subject]);
    for name in ["team", "eyes", "viewer"] {
        assert!(jane.contains(&format!("{name:?}")), "{name}: {jane}");
    }
    assert!(read(&["get", "assignment", "--creds-subject", "robot"]).contains("eyes"));
    assert!(read(&["get", "assignment", "--email", "jane@example.com"]).contains("eyes"));
    // Version 0.19.1 of the plugin blocks itself when it lists all assignments, whatever the server answers.
    let all = published(&machine, &server, &["get", "assignment"]);
    assert!(all.out.contains("robot") || all.err.contains("Deadlock detected"), "{all:?}");
    run(&["delete", "assignment", "--email", "jane@example.com", "--policy", "eyes", "--yes"]);
    run(&["delete", "assignment", "--user-subject", &subject, "--policy", "viewer", "--yes"]);
    run(&["delete", "assignment", "--creds-subject", "robot", "--policy", "eyes", "--yes"]);
    let jane = read(&["get", "assignment", "--user-subject", &subject]);
    assert!(jane.contains("team") && !jane.contains("eyes"), "{jane}");
    let last = published(
        &machine,
        &server,
        &["delete", "assignment", "--email", "admin@localhost", "--policy", "admin", "--yes"],
    );
    assert!(last.code != Some(0) && last.err.contains("last administrator"), "{last:?}");

    run(&["delete", "user", &subject, "--yes"]);
    let gone = published(&machine, &server, &["get", "user", &subject]);
    assert!(gone.code != Some(0) && gone.err.contains("there is no account"), "{gone:?}");
    for name in ["team", "eyes"] {
        run(&["delete", "policy", name, "--yes"]);
    }
    for name in ["ops", "eye"] {
        run(&["delete", "role", name, "--yes"]);
    }
    assert!(!read(&["get", "role"]).contains("\"ops\""));
    for event in ["user_created", "policy_assigned", "policy_unassigned", "user_deleted", "role_deleted"] {
        assert!(server.logged(&[&format!("event=\"{event}\"")]) > 0, "{event}");
    }
}
