//! Our command without a browser, and without a user, with a third-party authorization server: npm's
//! `oidc-provider`.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
};

use flyte_e2e::{Certificate, CommandOutput, Flaw, Machine, OidcProvider, eventually, python, repository};

/// A machine without a keyring and without a browser, set up by `flyte create config`.
fn machine_for(provider: &OidcProvider, certificate: &Certificate, options: &[&str]) -> Machine {
    let machine = Machine::bare();
    let (endpoint, ca) = (provider.endpoint(), certificate.ca().display().to_string());
    let mut arguments = vec!["create", "config", "--force", "--endpoint", &endpoint, "--ca-cert-file", &ca];
    arguments.extend(options);
    let _ = CommandOutput::of(&mut machine.flyte(&arguments)).ok();
    machine
}

/// Starts a command that signs in, with its standard output in a pipe and its standard error in a file.
fn start(machine: &Machine, arguments: &[&str]) -> Child {
    let err = File::create(machine.home().join("err")).unwrap();
    machine.flyte(arguments).stdout(Stdio::piped()).stderr(err).spawn().unwrap()
}

fn read_stderr(machine: &Machine) -> String {
    fs::read_to_string(machine.home().join("err")).unwrap_or_default()
}

/// The last shown link, when `count` links were shown.
fn link(machine: &Machine, count: usize) -> String {
    const WORDS: &str = "To Authenticate, navigate in a browser to the following URL:\n";
    eventually("the link is shown", || {
        let output = read_stderr(machine);
        let links: Vec<_> = output.split(WORDS).skip(1).collect();
        let whole = links.last()?.split_once('\n')?.0.to_owned();
        (links.len() == count).then_some(whole)
    })
}

/// Runs a user with a phone, who approves or denies.
fn telephone(certificate: &Certificate, options: &[&str], link: &str) -> String {
    let script = repository().join("tests/peers/approve-device.py");
    let mut command = Command::new(python());
    CommandOutput::of(command.arg(script).args(options).arg(certificate.ca()).arg(link)).ok().out
}

#[test]
fn sign_in_on_another_device() {
    let certificate = Certificate::new(Flaw::None);
    let provider = OidcProvider::start(&certificate, 2);
    let machine =
        machine_for(&provider, &certificate, &["--auth-type", "headless", "--client-id", "flyte-native"]);
    let config = fs::read_to_string(machine.config()).unwrap();
    assert!(config.contains("authType: DeviceFlow\n"), "{config}");

    let login = start(&machine, &["auth", "token", "--headless"]);
    let link = link(&machine, 1);
    assert!(link.starts_with(&format!("https://{}/device?user_code=", provider.endpoint())), "{link}");
    let code = link.split_once("user_code=").unwrap().1;
    assert!(read_stderr(&machine).starts_with("\nTo Authenticate,"), "the user guide's words come first");
    assert!(read_stderr(&machine).contains(&format!("this code: {code}\n")), "{}", read_stderr(&machine));
    let page = telephone(&certificate, &[], &link);
    assert!(page.starts_with("200 ") && page.contains("Sign-in Success"), "{page}");
    let output = CommandOutput::from(login.wait_with_output().unwrap()).ok();
    assert_eq!(output.out.lines().count(), 1, "the token alone: {}", output.out.lines().count());
    assert_eq!(provider.log().matches("device_code").count(), 1, "{}", provider.log());

    // The login is stored and renewed like any other.
    machine.wait_until_expired();
    let renewed = CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login"])).ok();
    assert_ne!(renewed.out, output.out);
    assert!(provider.log().contains("granted refresh_token"), "{}", provider.log());
    // Another mode does not use it.
    let other =
        CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login", "--auth-type", "pkce"]));
    let _ = other.failed(4);
}

#[test]
fn refused_and_expired_codes_are_reported() {
    let certificate = Certificate::new(Flaw::None);
    let provider = OidcProvider::start_with(&certificate, 60, &[("DEVICE_TTL", "8")]);
    // No mode is configured: without a browser, `flyte` uses another device and says so.
    let machine = machine_for(&provider, &certificate, &["--client-id", "flyte-native"]);
    let login = start(&machine, &["auth", "login"]);
    let page = telephone(&certificate, &["--deny"], &link(&machine, 1));
    assert!(page.contains("interrupted"), "{page}");
    let _ = CommandOutput::from(login.wait_with_output().unwrap()).failed(4);
    let denied = read_stderr(&machine);
    assert!(denied.contains("No browser found here") && denied.contains("--auth-type pkce"), "{denied}");
    assert!(denied.contains("the sign-in was denied"), "{denied}");

    let login = start(&machine, &["auth", "login"]);
    let _ = link(&machine, 1);
    let _ = CommandOutput::from(login.wait_with_output().unwrap()).failed(4);
    let expired = read_stderr(&machine);
    assert!(expired.contains("expired before it was approved") && expired.contains("new code"), "{expired}");
    // Neither created a login.
    let _ = CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login"])).failed(4);
}

#[test]
fn killed_sign_in_leaves_nothing_behind() {
    let certificate = Certificate::new(Flaw::None);
    let provider = OidcProvider::start(&certificate, 60);
    let machine =
        machine_for(&provider, &certificate, &["--auth-type", "headless", "--client-id", "flyte-native"]);
    let mut first = start(&machine, &["auth", "login"]);
    let _ = link(&machine, 1);
    let interrupted = Command::new("kill").args(["-INT", &first.id().to_string()]).status().unwrap();
    assert!(interrupted.success() && !first.wait().unwrap().success());
    let data = machine.home().join(".local/share/flyte");
    let left: Vec<_> =
        fs::read_dir(&data).into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    // No lock remains either: the next command asks at once.
    let second = start(&machine, &["auth", "login"]);
    let page = telephone(&certificate, &[], &link(&machine, 1));
    assert!(page.contains("Sign-in Success"), "{page}");
    let _ = CommandOutput::from(second.wait_with_output().unwrap()).ok();
}

#[test]
fn machines_authenticate_as_the_provider_requires() {
    let certificate = Certificate::new(Flaw::None);
    let provider = OidcProvider::start(&certificate, 60);
    let token = |machine: &Machine| CommandOutput::of(&mut machine.flyte(&["auth", "token"]));

    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "s3 cr:et%\n").unwrap();
    let file = secret.path().to_str().unwrap();
    let basic = machine_for(&provider, &certificate, &["--client-id", "ci", "--client-secret-file", file]);
    let first = token(&basic).ok();
    assert_eq!(first.err, "");
    let status = CommandOutput::of(&mut basic.flyte(&["auth", "status"])).ok();
    assert!(status.out.contains("ClientSecret") && status.out.contains("memory only"), "{status:?}");

    let key = provider.client_key().to_str().unwrap().to_owned();
    let signed =
        machine_for(&provider, &certificate, &["--client-id", "ci-key", "--client-private-key-file", &key]);
    let _ = token(&signed).ok();
    let granted = || provider.log().matches("granted client_credentials").count();
    // Two commands for the first machine, of which the status asks the server, and one for the second.
    assert_eq!(granted(), 3, "{}", provider.log());

    // A wrong or missing secret has its own error, without the secret.
    let variable = ["--client-id", "ci", "--client-secret-env-var", "CI_SECRET"];
    let machine = machine_for(&provider, &certificate, &variable);
    let wrong = CommandOutput::of(machine.flyte(&["auth", "token"]).env("CI_SECRET", "guess")).failed(4);
    assert!(wrong.err.contains("invalid_client") && wrong.err.contains("create api-key"), "{wrong:?}");
    assert!(!wrong.err.contains("guess"), "{wrong:?}");
    let missing = token(&machine).failed(4);
    assert!(missing.err.contains("CI_SECRET"), "{missing:?}");
    let right = CommandOutput::of(machine.flyte(&["auth", "token"]).env("CI_SECRET", "s3 cr:et%")).ok();
    assert!(!right.out.trim().is_empty());
    // No machine's token was stored.
    let _ = CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login", "--auth-type", "pkce"]))
        .failed(4);
}

#[test]
fn secret_is_in_the_body_if_the_provider_requires_it() {
    let certificate = Certificate::new(Flaw::None);
    let settings = [("CLIENT_AUTH", "none client_secret_post private_key_jwt")];
    let provider = OidcProvider::start_with(&certificate, 60, &settings);
    let machine = machine_for(
        &provider,
        &certificate,
        &["--client-id", "ci-post", "--client-secret-env-var", "CI_SECRET"],
    );
    let _ = CommandOutput::of(machine.flyte(&["auth", "token"]).env("CI_SECRET", "s3 cr:et%")).ok();
    assert!(provider.log().contains("granted client_credentials"), "{}", provider.log());
}

#[test]
fn api_key_is_enough() {
    let certificate = Certificate::new(Flaw::None);
    let provider = OidcProvider::start(&certificate, 60);
    let machine = Machine::bare();
    // The key in its longer form, since the provider has a port and the secret a colon.
    let mut encode = Command::new(python());
    encode.args(["-c", "import base64, sys; print(base64.b64encode(sys.argv[1].encode()).decode())"]);
    let key = CommandOutput::of(encode.arg(format!("{}:ci:s3 cr:et%:None", provider.endpoint()))).ok().out;
    let with_key = |arguments: &[&str]| {
        let mut command = machine.flyte(arguments);
        command.env("FLYTE_API_KEY", &key).env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca());
        command
    };
    let token = CommandOutput::of(&mut with_key(&["auth", "token"])).ok();
    assert_eq!((token.out.lines().count(), token.err.as_str()), (1, ""));
    assert!(provider.log().contains("granted client_credentials"), "{}", provider.log());
    let out = CommandOutput::of(&mut with_key(&["auth", "logout"])).ok();
    assert!(out.out.contains("You have no login"), "{out:?}");
    // The secret is sent only to its own endpoint.
    let elsewhere =
        CommandOutput::of(&mut with_key(&["auth", "token", "--endpoint", "evil.example.com"])).failed(4);
    assert!(elsewhere.err.contains("is not for") && !elsewhere.err.contains("s3 cr"), "{elsewhere:?}");
    // A truncated key has its own error.
    let cut = key.trim()[..key.trim().len() - 3].to_owned();
    let cut = CommandOutput::of(with_key(&["auth", "token"]).env("FLYTE_API_KEY", cut)).failed(4);
    assert!(cut.err.contains("incomplete"), "{cut:?}");
}
