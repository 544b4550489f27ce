//! The user guide's page on authenticating (`tests/peers/authenticating.md`, as it was given): every snippet of it runs as
//! printed. Only the host, one path, and the user are added.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use flyte_config::{AuthType, Config, Environment};
use flyte_e2e::{
    Answer, CommandOutput, Machine, Person, Server, ShownDevice, binary, eventually, repository, target,
};

/// A snippet: its language and its text, without the indentation of the list that it may be in.
#[derive(Debug)]
struct Snippet {
    language: String,
    text: String,
}

/// All snippets of the page, in order.
fn snippets() -> Vec<Snippet> {
    let page = fs::read_to_string(repository().join("tests/peers/authenticating.md")).unwrap();
    let mut snippets: Vec<Snippet> = Vec::new();
    let mut open: Option<(usize, Snippet)> = None;
    for line in page.lines() {
        let indent = line.len() - line.trim_start().len();
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some((indent, Snippet { language: language.to_owned(), text: String::new() }));
            }
            (Some(_), Some("")) => snippets.push(open.take().unwrap().1),
            (Some((indent, snippet)), _) => {
                snippet.text.push_str(line.get((*indent).min(line.len())..).unwrap());
                snippet.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none());
    snippets
}

/// The snippet of a language with this beginning.
fn snippet(language: &str, beginning: &str) -> String {
    let found: Vec<_> = snippets()
        .into_iter()
        .filter(|snippet| snippet.language == language && snippet.text.trim_start().starts_with(beginning))
        .collect();
    assert!(!found.is_empty(), "no {language} snippet begins with {beginning:?}");
    found.into_iter().next().unwrap().text
}

/// The hosts that the page writes, longest first.
const HOSTS: [&str; 3] =
    ["your-endpoint.hosted.unionai.cloud", "your-endpoint.unionai.cloud", "your-union-endpoint"];

/// The text with a server's address instead of the page's.
fn at(server: &Server, text: &str) -> String {
    HOSTS.iter().fold(text.to_owned(), |text, host| text.replace(host, &server.endpoint()))
}

/// The environment of our Python package, made by `python/dev`.
fn ours() -> PathBuf {
    let environment = target().join("peers/ours");
    assert!(environment.join("bin/python").exists(), "run `python/dev` first");
    environment
}

/// A shell on a machine, with our command and our Python first in its PATH and trust in the server.
fn shell(machine: &Machine, server: &Server, directory: &Path, person: &Person, script: &str) -> Command {
    let paths = [binary("flyte").parent().unwrap().to_owned(), ours().join("bin")];
    let others = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(paths.into_iter().chain(std::env::split_paths(&others))).unwrap();
    let mut command = machine.command_with(person, "bash");
    command.args(["-euc", script]).current_dir(directory).env("PATH", path);
    // The machine trusts the server's authority, as it does a public one.
    command.env("SSL_CERT_FILE", server.ca());
    command
}

/// The same at a terminal, whose output is standard output.
fn terminal(machine: &Machine, server: &Server, directory: &Path, person: &Person, script: &str) -> Command {
    fs::write(directory.join("snippet.sh"), script).unwrap();
    shell(machine, server, directory, person, "exec script -qefc 'bash -eu snippet.sh' /dev/null")
}

/// Python with our package on a machine.
fn python(machine: &Machine, server: &Server, directory: &Path, person: &Person, program: &str) -> Command {
    fs::write(directory.join("snippet.py"), program).unwrap();
    terminal(machine, server, directory, person, "python snippet.py")
}

/// A directory `work` in a machine's home.
fn work(machine: &Machine) -> PathBuf {
    let work = machine.home().join("work");
    fs::create_dir_all(&work).unwrap();
    work
}

/// A server whose tasks run in the environment of our Python package.
fn server() -> Server {
    Server::with(&["--python", ours().to_str().unwrap()])
}

#[test]
fn page_is_complete() {
    let snippets = snippets();
    let count = |language| snippets.iter().filter(|snippet| snippet.language == language).count();
    assert_eq!((count("bash"), count("python"), count("yaml")), (15, 8, 3), "{snippets:#?}");
    assert_eq!(snippets.len(), 26);
}

/// Runs `flyte create config` as the page has it, in a home without a configuration, and reads what it wrote.
fn created(server: &Server, snippet: &str) -> (String, Config) {
    let machine = Machine::bare();
    let script = at(server, snippet);
    let _ = CommandOutput::of(&mut shell(&machine, server, machine.home(), &Person::Absent, &script)).ok();
    let file = fs::read_to_string(machine.config()).unwrap();
    let config = Config::load(Some(&machine.config()), &Environment::default()).unwrap();
    (file, config)
}

#[test]
fn configurations_match_the_page() {
    let server = Server::start();
    let dns = format!("dns:///{}", server.endpoint());
    let yaml = |beginning: &str| {
        let all: Vec<_> = snippets().into_iter().filter(|snippet| snippet.language == "yaml").collect();
        let one = all.iter().find(|snippet| snippet.text.contains(beginning)).unwrap();
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("config.yaml");
        fs::write(&file, at(&server, &one.text)).unwrap();
        Config::load(Some(&file), &Environment::default()).unwrap()
    };
    // The page's YAML has the effect of what the command writes, which leaves out what is so anyway.
    let (file, config) =
        created(&server, "flyte create config --endpoint https://your-endpoint.unionai.cloud");
    assert!(!file.contains("authType") && !file.contains("insecure"), "{file}");
    let said = yaml("insecure: false");
    assert_eq!((said.admin.auth_type, said.admin.insecure), (config.admin.auth_type, config.admin.insecure));
    assert_eq!(said.admin.endpoint, config.admin.endpoint);
    assert!(file.contains(&dns), "{file}");
    let with_project =
        snippets().into_iter().find(|snippet| snippet.text.contains("--project flytesnacks")).unwrap();
    let (file, config) = created(&server, &with_project.text);
    assert!(file.contains(&dns) && !config.admin.insecure, "{file}");
    assert_eq!(config.task.project.as_deref(), Some("flytesnacks"));
    assert_eq!(config.task.domain.as_deref(), Some("development"));

    let headless =
        snippet("bash", "flyte create config --endpoint http://your-endpoint.unionai.cloud --auth-type");
    let (file, config) = created(&server, &headless);
    assert!(file.starts_with(&format!("admin:\n  authType: DeviceFlow\n  endpoint: {dns}\n")), "{file}");
    let said = yaml("authType: DeviceFlow\n");
    assert_eq!(
        (said.admin.auth_type, &said.admin.endpoint),
        (config.admin.auth_type, &config.admin.endpoint)
    );
    let said = yaml("# or DeviceFlow");
    assert_eq!(said.admin.auth_type, AuthType::Pkce);
    assert_eq!(said.admin.endpoint, config.admin.endpoint);
}

#[test]
fn creating_the_configuration_again_switches_the_mode() {
    let server = Server::start();
    let machine = Machine::bare();
    machine.configure(&server);
    let before = fs::read_to_string(machine.config()).unwrap();
    // There is a person who agrees, at a terminal.
    let script = at(&server, &snippet("bash", "# Switch to PKCE"));
    let mut agreed = 0;
    for line in script.lines().filter(|line| line.starts_with("flyte ")) {
        let mut asked = terminal(&machine, &server, machine.home(), &Person::Absent, line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        asked.stdin.take().unwrap().write_all(b"y\n").unwrap();
        let output = CommandOutput::from(asked.wait_with_output().unwrap()).ok();
        assert!(output.out.contains("Config file"), "{output:?}");
        let now = fs::read_to_string(machine.config()).unwrap();
        let mode = if line.contains("headless") { "DeviceFlow" } else { "" };
        assert_eq!(now.contains("authType: DeviceFlow"), mode == "DeviceFlow", "{now}");
        // No other setting is lost.
        for kept in before.lines() {
            assert!(now.contains(kept), "{kept} is gone from {now}");
        }
        agreed += 1;
    }
    assert_eq!(agreed, 2);
}

#[test]
fn commands_sign_in_run_and_deploy() {
    let server = server();
    let machine = Machine::with_keyring();
    let directory = work(&machine);
    fs::copy(repository().join("tests/peers/page/app.py"), directory.join("app.py")).unwrap();
    machine.configure(&server);
    // A real browser opens, once.
    let person = Person::SignsIn(server.password_file());
    let first = snippet("bash", "flyte get project");
    let output = CommandOutput::of(&mut terminal(&machine, &server, &directory, &person, &first)).ok();
    assert!(output.out.contains("flytesnacks"), "{output:?}");
    let all = snippet("bash", "flyte get project\nflyte run app.py main\nflyte deploy app.py");
    let output = CommandOutput::of(&mut shell(&machine, &server, &directory, &Person::Absent, &all)).ok();
    assert!(output.out.contains("flytesnacks"), "{output:?}");
    assert_eq!(server.logged(&["event=\"signed_in\""]), 1);

    // What ran has succeeded, and what was deployed is listed by the page's Python.
    let run = eventually("the run has ended", || {
        let runs = CommandOutput::of(&mut machine.flyte(&["get", "run", "-o", "json"])).ok().out;
        runs.to_lowercase().contains("succeeded").then_some(runs)
    });
    assert!(run.contains("page.main"), "{run}");
    let program = at(&server, &snippet("python", "import flyte\nimport flyte.remote as remote"));
    let listed =
        CommandOutput::of(&mut python(&machine, &server, &directory, &Person::Absent, &program)).ok();
    assert!(listed.out.contains("page.main"), "{listed:?}");

    // From a configuration at a given path, and at the default path.
    let given = snippet("python", "import flyte\n\nflyte.init_from_config(\"/path/to/config.yaml\")")
        .replace("/path/to/config.yaml", machine.config().to_str().unwrap());
    let found = snippet("python", "flyte.init_from_config()");
    let program = format!(
        "{given}\n{found}\nfrom flyte.remote import Project\nprint([p.name for p in Project.listall()])\n"
    );
    let output =
        CommandOutput::of(&mut python(&machine, &server, &directory, &Person::Absent, &program)).ok();
    assert!(output.out.contains("flytesnacks"), "{output:?}");
}

#[test]
fn python_opens_the_browser() {
    let server = Server::start();
    let machine = Machine::bare();
    let program = at(&server, &snippet("python", "import flyte\nimport flyte.remote as remote"));
    let person = Person::SignsIn(server.password_file());
    let directory = work(&machine);
    let output = CommandOutput::of(&mut python(&machine, &server, &directory, &person, &program)).ok();
    assert!(output.out.contains("A browser was opened") && output.out.trim().ends_with("[]"), "{output:?}");
    // The next session is signed in already.
    let output =
        CommandOutput::of(&mut python(&machine, &server, &directory, &Person::Absent, &program)).ok();
    assert_eq!((output.out.trim(), server.logged(&["event=\"signed_in\""])), ("[]", 1), "{output:?}");
}

#[test]
fn command_shows_the_code_and_continues() {
    let server = Server::start();
    let machine = Machine::bare();
    let directory = work(&machine);
    let headless =
        snippet("bash", "flyte create config --endpoint http://your-endpoint.unionai.cloud --auth-type");
    let script = at(&server, &headless);
    let _ = CommandOutput::of(&mut shell(&machine, &server, &directory, &Person::Absent, &script)).ok();
    let transcript = snippet("bash", "$ flyte get app");
    let mut lines = transcript.lines();
    let command = lines.next().unwrap().strip_prefix("$ ").unwrap();
    let mut process = terminal(&machine, &server, &directory, &Person::Absent, command)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (shown, output) = ShownDevice::in_output(process.stdout.take().unwrap());
    assert_eq!(shown.answer(&server, Answer::Approve), "Flyte CLI is connected");
    assert!(process.wait().unwrap().success());
    let output = output.join().unwrap();
    let sentence = lines.find(|line| line.starts_with("To Authenticate")).unwrap();
    assert!(output.contains(sentence), "{output}");
    let url = output.split_whitespace().find(|word| word.contains("?user_code=")).unwrap();
    assert!(url.ends_with(&shown.code), "{output}");
}

#[test]
fn python_shows_the_code_without_a_browser() {
    let server = Server::start();
    let machine = Machine::bare();
    let directory = work(&machine);
    for (beginning, approved) in
        [("import flyte\n\n# Initialize with device flow", true), ("# In a Colab notebook", false)]
    {
        let program = at(&server, &snippet("python", beginning));
        let look = "from flyte.remote import Project\nprint([p.name for p in Project.listall()])\n";
        let mut process =
            python(&machine, &server, &directory, &Person::Absent, &format!("{program}\n{look}"))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
        // Once for the machine, not for each session.
        let output = if approved {
            let (shown, output) = ShownDevice::in_output(process.stdout.take().unwrap());
            assert_eq!(shown.answer(&server, Answer::Approve), "Flyte CLI is connected");
            assert!(process.wait().unwrap().success());
            output.join().unwrap()
        } else {
            CommandOutput::from(process.wait_with_output().unwrap()).ok().out
        };
        assert!(output.contains("flytesnacks"), "{output}");
        assert_eq!(output.contains("user_code="), approved, "{output}");
    }
}

/// The packages that the page installs with pip, `keyrings.alt` and `flyteplugins-union`, without their dependencies.
fn beside(lines: &str) -> PathBuf {
    let directory = target().join("peers/beside");
    for line in lines.lines() {
        // In a Dockerfile, with uv, or plainly.
        let Some((_, package)) = line.split_once("pip install ") else {
            assert!(line.is_empty() || line.starts_with('#'), "{line}");
            continue;
        };
        let module = package.trim().split(['.', '-']).next().unwrap();
        assert!(directory.join(module).exists(), "{package} is missing: run `./test --setup` first");
    }
    directory
}

#[test]
fn keys_work_with_the_installed_packages() {
    let server = Server::start();
    let machine = Machine::bare();
    machine.sign_in_by_forms(&server);
    let directory = work(&machine);
    let key =
        CommandOutput::of(&mut machine.flyte(&["create", "api-key", "my-ci-key"])).ok().out.trim().to_owned();
    let mut scripts = Vec::new();
    for (beginning, found) in [("flyte get api-key my-ci-key", true), ("flyte get api-key\n", true)] {
        let script = snippet("bash", beginning);
        let output =
            CommandOutput::of(&mut shell(&machine, &server, &directory, &Person::Absent, &script)).ok();
        assert_eq!(output.out.contains("my-ci-key"), found, "{output:?}");
        scripts.push(script);
    }

    let elsewhere = Machine::bare();
    let there = work(&elsewhere);
    let in_environment =
        |mut command: Command, key: &str| CommandOutput::of(command.env("FLYTE_API_KEY", key));
    let echo = snippet("bash", "echo $FLYTE_API_KEY");
    let output = in_environment(shell(&elsewhere, &server, &there, &Person::Absent, &echo), &key).ok();
    assert_eq!(output.out.trim(), key);
    let plain = snippet("python", "import flyte\nimport os");
    let script = snippet("python", "#!/usr/bin/env python3");
    let look = "\nfrom flyte.remote import Project, User\nprint([p.name for p in Project.listall()], User.get().subject())\n";
    let union = beside(&snippet("bash", "pip install flyteplugins-union"));
    let alternative = beside(&snippet("bash", "pip install keyrings.alt"));
    let every = snippets()
        .into_iter()
        .filter(|snippet| snippet.language == "bash" && snippet.text.contains("pip install"));
    assert_eq!(every.map(|snippet| beside(&snippet.text)).filter(|at| at == &union).count(), 4);
    assert_eq!(union, alternative);
    for program in [plain, script.clone()] {
        let program = format!("{program}{look}");
        for installed in [false, true] {
            let mut command = python(&elsewhere, &server, &there, &Person::Absent, &program);
            if installed {
                command.env("PYTHONPATH", &union);
            }
            let output = in_environment(command, &key).ok();
            assert!(output.out.contains("flytesnacks") && output.out.contains("my-ci-key"), "{output:?}");
        }
    }
    // As it says itself.
    let none = CommandOutput::of(&mut python(&elsewhere, &server, &there, &Person::Absent, &script));
    assert!(
        none.code == Some(1) && none.out.contains("FLYTE_API_KEY environment variable not set"),
        "{none:?}"
    );

    // Programs see the installed keyring, and need no further sign-in.
    let keyring = snippet("python", "import keyring");
    let mut looks = python(&machine, &server, &directory, &Person::Absent, &keyring);
    let output = CommandOutput::of(looks.env("PYTHONPATH", &alternative)).ok();
    assert!(output.out.contains("keyrings.alt.file.PlaintextKeyring"), "{output:?}");
    let mut again = shell(&machine, &server, &directory, &Person::Absent, "flyte get project");
    let output = CommandOutput::of(again.env("PYTHONPATH", &alternative)).ok();
    assert!(output.out.contains("flytesnacks"), "{output:?}");
    let program = "import flyte\nflyte.init_from_config()\nfrom flyte.remote import Project\nprint([p.name for p in Project.listall()])\n";
    let mut again = python(&machine, &server, &directory, &Person::Absent, program);
    let output = CommandOutput::of(again.env("PYTHONPATH", &alternative)).ok();
    assert!(output.out.contains("flytesnacks"), "{output:?}");
    assert_eq!(server.logged(&["event=\"signed_in\""]), 1);

    // The page's question is answered by a person, at a terminal.
    let delete = snippet("bash", "flyte delete api-key my-ci-key");
    let mut asked = terminal(&machine, &server, &directory, &Person::Absent, &delete)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    asked.stdin.take().unwrap().write_all(b"y\n").unwrap();
    let _ = CommandOutput::from(asked.wait_with_output().unwrap()).ok();
    let program = format!("{}{look}", snippet("python", "import flyte\nimport os"));
    let output = in_environment(python(&elsewhere, &server, &there, &Person::Absent, &program), &key);
    assert_ne!(output.code, Some(0), "{output:?}");
}
