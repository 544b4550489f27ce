//! Commands that print a token.

use std::path::Path;

use super::*;

/// A JWT that expires at this time.
fn jwt(expires_at: i64) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(json!({ "exp": expires_at }).to_string()))
}

#[tokio::test]
async fn a_commands_output_is_the_token_until_it_expires() {
    let (_, served) = realm(|_| {}).await;
    let counter = served.directory.path().join("runs");
    let count = || std::fs::read_to_string(&counter).unwrap_or_default().lines().count();
    let runs = |token: &str| Credentials {
        command: shell(&format!("echo run >> {}; printf '  {token}\\n\\n'", counter.display())),
        ..Credentials::default()
    };
    let session = machine(&served, AuthType::ExternalCommand, runs(&jwt(NOW + 100)));
    let token = session.token().await.unwrap();
    assert_eq!((token.secret(), token.expires_at()), (jwt(NOW + 100).as_str(), Some(NOW + 100)));
    session.token().await.unwrap();
    assert_eq!(count(), 1);
    session.options().clock.advance(99);
    session.token().await.unwrap();
    assert_eq!(count(), 2);
    // A token with an unknown expiry is used until the server rejects it.
    let opaque = machine(&served, AuthType::ExternalCommand, runs("opaque"));
    opaque.token().await.unwrap();
    opaque.options().clock.advance(1_000_000);
    let token = opaque.token().await.unwrap();
    assert_eq!((token.secret(), count()), ("opaque", 3));
    opaque.invalidate(&token);
    opaque.token().await.unwrap();
    assert_eq!(count(), 4);
}

#[tokio::test]
async fn a_commands_token_works_without_discovery() {
    let received: Arc<Mutex<Vec<String>>> = Arc::default();
    let served = Served::new(Certificate::Good, |_| {
        let received = Arc::clone(&received);
        Router::new().route(
            "/x.Y/GetZ",
            post(move |headers: HeaderMap| async move {
                received.lock().unwrap().push(headers["authorization"].to_str().unwrap().to_owned());
            }),
        )
    })
    .await;
    let credentials = Credentials { command: command(&["echo", "opaque"]), ..Credentials::default() };
    let session = machine(&served, AuthType::ExternalCommand, credentials);
    assert_eq!(send(&session, served.url("x.Y/GetZ"), b"").await.unwrap().0, 200);
    assert_eq!(*received.lock().unwrap(), ["Bearer opaque"]);
}

#[tokio::test]
async fn a_commands_standard_error_is_shown_and_its_failure_is_an_error() {
    let listener = Recorder::default();
    let failure = |words: Vec<String>| {
        let listener = &listener;
        async move {
            let error = external_command::token(&words, "admin.command", listener).await.unwrap_err();
            assert!(error.is_authentication() && error.to_string().contains("admin.command"), "{error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
            match error {
                AuthError::Command { failure, .. } => failure,
                other => panic!("{other:?}"),
            }
        }
    };
    let failed = failure(shell("printf 'Password: ' >&2; echo s3cret; exit 3")).await;
    assert!(matches!(failed, CommandFailure::Failed(status) if status.contains('3')));
    assert_eq!(*listener.0.lock().unwrap(), "Password: ", "unchanged, without a newline");
    assert_eq!(failure(shell("echo '  '")).await, CommandFailure::Empty);
    assert_eq!(failure(Vec::new()).await, CommandFailure::Missing);
    assert!(matches!(failure(command(&["/nowhere/at-all", "s3cret"])).await, CommandFailure::NotStarted(_)));
    for output in ["a b", r#"{"token":"s3cret"}"#, "\\303\\251", "a\\033[31m"] {
        let failed = failure(shell(&format!("printf '{output}'"))).await;
        assert!(matches!(failed, CommandFailure::NotAToken(_)), "{output}");
    }
    assert!(matches!(failure(shell("yes s3cret | head -c 200000")).await, CommandFailure::NotAToken(_)));
    // Without a shell, nothing is expanded.
    let words = command(&["echo", "$HOME;x"]);
    let token = external_command::token(&words, "admin.command", &listener).await.unwrap();
    assert_eq!(token.expose_secret(), "$HOME;x");
}

#[tokio::test]
async fn all_output_of_a_command_is_passed_on_before_its_token() {
    for _ in 0..20 {
        let listener = Recorder::default();
        // More than a pipe holds, until the end.
        let words = shell("head -c 200000 /dev/zero >&2; printf token; printf end >&2");
        let token = external_command::token(&words, "admin.command", &listener).await.unwrap();
        assert_eq!(token.expose_secret(), "token");
        let output = listener.0.lock().unwrap();
        assert_eq!((output.len(), output.ends_with("\0end")), (200_003, true));
    }
}

#[tokio::test]
async fn a_process_that_a_command_leaves_behind_delays_no_token() {
    let listener = Recorder::default();
    let words = shell("sleep 600 & echo $! >&2; echo token");
    let token = external_command::token(&words, "admin.command", &listener).await.unwrap();
    assert_eq!(token.expose_secret(), "token");
    let process = listener.0.lock().unwrap().trim().to_owned();
    // The process was still running, so nothing waited for its end.
    assert!(std::process::Command::new("kill").arg(process).status().unwrap().success());
}

#[tokio::test]
async fn a_command_that_hangs_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let words = shell(&format!("echo $$ > {}; exec sleep 600", file.display()));
    let limit = Duration::from_millis(300);
    let outcome = external_command::token_within(limit, &words, "admin.command", &Unattended).await;
    assert!(
        matches!(outcome, Err(AuthError::Command { failure: CommandFailure::TimedOut(_), .. })),
        "{outcome:?}"
    );
    let process = format!("/proc/{}/stat", std::fs::read_to_string(&file).unwrap().trim());
    for _ in 0..200 {
        // The process is gone or a zombie.
        match std::fs::read_to_string(Path::new(&process)) {
            Ok(text) if !text.contains(") Z") => tokio::time::sleep(Duration::from_millis(10)).await,
            _ => return,
        }
    }
    panic!("it still runs");
}
