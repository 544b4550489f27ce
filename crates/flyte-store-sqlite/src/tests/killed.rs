//! The process is killed again and again at random moments. Confirmed writes must survive, and no write may be partial.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use futures_util::future::join_all;
use rusqlite::Connection;

use super::super::SqliteStore;
use flyte_model::{ClientId, Scopes};
use flyte_secrets::SecretHash;
use flyte_store::{
    AuthorizationCode, BrowserSession, CodeRedemption, GrantStore as _, NewRefreshToken, RefreshRotation,
    SessionStore as _, User, UserStore as _,
};

const DATABASE: &str = "FLYTE_SERVER_TEST_DATABASE";
const ROUND: &str = "FLYTE_SERVER_TEST_ROUND";
const KILLS: usize = 20;
/// The number of concurrent callers in the child process.
const CALLERS: usize = 8;

fn hash(round: &str, caller: usize, n: usize) -> SecretHash {
    let name = format!("{round} {caller} {n}");
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes()).as_ref());
    hash
}

fn token(round: &str, caller: usize, n: usize) -> NewRefreshToken {
    NewRefreshToken { token_hash: hash(round, caller, n), expires_at: 1000 }
}

fn code(round: &str, caller: usize) -> AuthorizationCode {
    AuthorizationCode {
        code_hash: hash(round, caller, usize::MAX),
        family_id: format!("{round} {caller}"),
        client_id: ClientId::from_static("flyte"),
        user_id: "ada".to_owned(),
        session_id: String::new(),
        authenticated_at: 0,
        redirect_uri: String::new(),
        code_challenge: String::new(),
        scopes: Scopes::new(),
        audience: None,
        nonce: None,
        expires_at: 1000,
    }
}

#[tokio::test]
#[ignore = "run by `confirmed_writes_survive_a_kill`, in its own process"]
async fn child_that_writes_until_it_is_killed() {
    let (path, round) = (env::var_os(DATABASE).unwrap(), env::var(ROUND).unwrap());
    let store = SqliteStore::open(path.as_ref()).unwrap();
    let (store, round) = (&store, round.as_str());
    join_all((0..CALLERS).map(|caller| async move {
        assert!(store.create_code(&code(round, caller)).await.unwrap());
        let first = token(round, caller, 0);
        let redeemed = store.redeem_code(&code(round, caller).code_hash, Some(&first), 1).await.unwrap();
        assert!(matches!(redeemed, CodeRedemption::Redeemed(_)));
        for n in 0.. {
            writeln!(std::io::stdout(), "answered {caller} {n}").unwrap();
            let (old, next) = (hash(round, caller, n), token(round, caller, n + 1));
            let rotated =
                store.rotate_refresh_token(&old, &ClientId::from_static("flyte"), &next, 0, 1).await.unwrap();
            assert!(matches!(rotated, RefreshRotation::Rotated(_)));
        }
    }))
    .await;
}

#[tokio::test]
async fn confirmed_writes_survive_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    let ada = User {
        id: "ada".to_owned(),
        email: "ada@example.com".to_owned(),
        name: String::new(),
        password_hash: None,
        admin: false,
        created_at: 0,
        disabled_at: None,
    };
    let session = BrowserSession {
        id: String::new(),
        cookie_hash: [0; 32],
        user_id: "ada".to_owned(),
        authenticated_at: 0,
        expires_at: 1000,
    };
    let store = SqliteStore::open(&path).unwrap();
    store.create_user(&ada).await.unwrap();
    assert!(store.create_session(&session, None).await.unwrap());
    drop(store);

    for kill in 0..KILLS {
        let round = kill.to_string();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
            .arg("tests::killed::child_that_writes_until_it_is_killed")
            .env(DATABASE, &path)
            .env(ROUND, &round)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut answered = [None; CALLERS];
        let mut read = |line: &str| {
            let Some((_, answer)) = line.split_once("answered ") else { return false };
            let (caller, n) = answer.split_once(' ').unwrap();
            answered[caller.parse::<usize>().unwrap()] = Some(n.parse::<usize>().unwrap());
            true
        };
        // At another moment each time, also before the first result of some callers.
        let mut until = 1 + kill * 7;
        while until > 0 {
            let line = lines.next().expect("the child writes until it is killed");
            until -= usize::from(read(&line));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(|line| {
            // The last line may end in the middle of a number; it then claims less, not more.
            if line.split(' ').count() >= 3 {
                read(&line);
            }
        });

        let store = SqliteStore::open(&path).unwrap();
        for (caller, n) in answered.iter().enumerate() {
            let Some(n) = n else { continue };
            let known = store
                .peek_refresh_token(&hash(&round, caller, *n), &ClientId::from_static("flyte"), 2)
                .await
                .unwrap();
            assert!(known.is_some(), "kill {kill}: token {n} of caller {caller} was confirmed and is lost");
        }
        drop(store);
        check(&path);
    }
}

/// Checks that the file is sound and has no partial writes.
fn check(path: &std::path::Path) {
    let connection = Connection::open(path).unwrap();
    let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
    let torn = "SELECT count(*) FROM families WHERE revoked_at IS NULL AND 1 <>
        (SELECT count(*) FROM refresh_tokens WHERE family = pk AND superseded_at IS NULL)";
    assert_eq!(count(torn), 0, "a family without exactly one valid refresh token");
    let dangling = "SELECT count(*) FROM refresh_tokens t WHERE successor IS NOT NULL AND NOT EXISTS
        (SELECT 1 FROM refresh_tokens WHERE token_hash = t.successor)";
    assert_eq!(count(dangling), 0, "a token whose successor does not exist");
    let both = "SELECT count(*) FROM codes JOIN families USING (code_hash)";
    assert_eq!(count(both), 0, "a code both redeemed and unredeemed");
}
