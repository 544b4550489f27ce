//! CI jobs with a pseudo-terminal (Buildkite, `docker run -t`) have no user, so `flyte` asks no questions.

use std::{fs, process::Stdio};

use flyte_e2e::{CommandOutput, Machine, Server, binary, eventually};

/// Runs `flyte` at a terminal whose input never ends, with more variables. Returns its exit code and output.
fn in_a_job(machine: &Machine, variables: &[(&str, &str)], arguments: &str) -> (Option<i32>, String) {
    let line = format!("{} {arguments}", binary("flyte").display());
    let shown = machine.home().join("shown");
    let mut command = machine.command("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.envs(variables.iter().copied());
    // If it opened a browser, it would wait for a user.
    command.env("BROWSER", "true %s");
    let output = fs::File::create(&shown).unwrap();
    let mut job = command.stdin(Stdio::piped()).stdout(output).spawn().unwrap();
    let exit = eventually("the job ends by itself", || job.try_wait().unwrap());
    (exit.code(), fs::read_to_string(&shown).unwrap())
}

#[test]
fn ci_job_fails_at_once_with_a_hint() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let ci = [("CI", "true")];
    for arguments in
        ["get project", "whoami", "auth token", "run no.py x", "auth login", "--headless get project"]
    {
        let (code, text) = in_a_job(&machine, &ci, arguments);
        assert_eq!(
            code,
            Some(if arguments.starts_with("run") { code.unwrap() } else { 4 }),
            "{arguments}: {text}"
        );
        assert!(!text.contains("https://localhost") || !text.contains("authorize"), "{arguments}: {text}");
        if !arguments.starts_with("run") {
            assert!(text.contains("this is a CI job (CI is set)"), "{text}");
            for way in ["FLYTE_API_KEY", "docs/guide/ci.md", "CI=false"] {
                assert!(text.contains(way), "{arguments}: {text}");
            }
        }
    }
    // Also with the variable of the CI system.
    for (name, value) in [
        ("BUILDKITE", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITLAB_CI", "true"),
        ("TF_BUILD", "True"),
        ("JENKINS_URL", "https://jenkins.example/"),
        ("TEAMCITY_VERSION", "2026.1"),
        ("BITBUCKET_BUILD_NUMBER", "7"),
    ] {
        let (code, text) = in_a_job(&machine, &[(name, value)], "get project");
        assert_eq!(code, Some(4), "{name}: {text}");
        assert!(text.contains(&format!("({name} is set)")), "{text}");
    }
}

#[test]
fn ci_job_gets_no_questions() {
    let (server, machine) = (Server::start(), Machine::bare());
    let ci = [("CI", "1")];
    let (code, text) = in_a_job(&machine, &ci, "create config");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--endpoint"), "{text}");
    assert!(!machine.config().exists());

    machine.sign_in_by_forms(&server);
    let _ = CommandOutput::of(&mut machine.flyte(&["create", "api-key", "kept"])).ok();
    let (code, text) = in_a_job(&machine, &ci, "delete api-key kept");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--yes") && !text.contains("[y/N]"), "{text}");
    let (code, text) = in_a_job(&machine, &ci, "create config --endpoint other.example.com");
    assert!(code != Some(0) && !text.contains("[y/N]"), "{text}");

    // Settings that came with a checkout.
    let checkout = machine.home().join("checkout");
    fs::create_dir(&checkout).unwrap();
    let settings = format!("admin:\n  endpoint: {}\n  proxyCommand: [\"true\"]\n", server.url(""));
    fs::write(checkout.join("config.yaml"), settings).unwrap();
    fs::remove_file(machine.config()).unwrap();
    let line = format!("sh -c 'cd checkout && {} get project'", binary("flyte").display());
    let mut command = machine.command("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("CI", "true");
    let output = CommandOutput::of(command.stdin(Stdio::null()));
    assert!(output.code != Some(0) && output.out.contains("There is no terminal to ask you"), "{output:?}");
}
