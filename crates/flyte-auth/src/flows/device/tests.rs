//! The clock is paused and advances only while a task waits, so an hour of polling takes no time.

use std::{collections::VecDeque, sync::Mutex};

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;

/// A server that gives prepared answers and records when it was polled.
#[derive(Debug)]
struct Prepared {
    start: Instant,
    lifetime: u64,
    answers: Mutex<VecDeque<Result<&'static str, &'static str>>>,
    polls: Mutex<Vec<u64>>,
    codes: Mutex<u32>,
}

impl Prepared {
    /// `Ok` is an access token, `Err` an OAuth error or `network`. After the last answer, the code stays pending.
    fn new(lifetime: u64, answers: &[Result<&'static str, &'static str>]) -> Self {
        Self {
            start: Instant::now(),
            lifetime,
            answers: Mutex::new(answers.iter().copied().collect()),
            polls: Mutex::default(),
            codes: Mutex::new(0),
        }
    }

    fn polls(&self) -> Vec<u64> {
        self.polls.lock().unwrap().clone()
    }
}

fn refused(code: &str) -> AuthError {
    AuthError::Refused { code: code.to_owned(), description: None }
}

impl Server for Prepared {
    async fn authorize(&self) -> Result<Authorization, AuthError> {
        *self.codes.lock().unwrap() += 1;
        let body = format!(
            r#"{{"device_code":"d","user_code":"TKBJXFFW","verification_uri":"https://signin.example.com/activate",
                "expires_in":{},"interval":5}}"#,
            self.lifetime
        );
        parse(&"https://signin.example.com/device".parse().unwrap(), 200, body.as_bytes())
    }

    async fn poll(&self, device_code: &SecretString) -> Result<TokenResponse, AuthError> {
        assert_eq!(device_code.expose_secret(), "d");
        self.polls.lock().unwrap().push(self.start.elapsed().as_secs());
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Err("authorization_pending"));
        match answer {
            Ok(token) => {
                TokenResponse::parse("https://x/", 200, format!(r#"{{"access_token":"{token}"}}"#).as_bytes())
            }
            Err("network") => {
                Err(AuthError::BadAnswer { url: "https://x/".into(), reason: "HTTP status 502".into() })
            }
            Err(code) => Err(refused(code)),
        }
    }
}

/// A person who records what they are shown, and accepts a number of new codes.
#[derive(Debug, Default)]
struct Reader {
    shown: Mutex<Vec<DeviceCode>>,
    left: Mutex<Vec<u64>>,
    reasons: Mutex<Vec<String>>,
    takes: Mutex<u32>,
}

#[async_trait]
impl Interaction for Reader {
    fn is_interactive(&self) -> bool {
        true
    }
    fn authorize_url(&self, _: &Url, _: bool) {}
    fn waiting(&self, _: Option<&crate::Holder>) {}
    fn done(&self) {}
    fn device_code(&self, code: &DeviceCode) {
        self.shown.lock().unwrap().push(code.clone());
    }
    fn code_expires_in(&self, left: Duration) {
        self.left.lock().unwrap().push(left.as_secs());
    }
    async fn new_code(&self, reason: &str) -> bool {
        self.reasons.lock().unwrap().push(reason.to_owned());
        let mut takes = self.takes.lock().unwrap();
        let taken = *takes > 0;
        *takes = takes.saturating_sub(1);
        taken
    }
}

const PENDING: Result<&str, &str> = Err("authorization_pending");

async fn outcome(server: &Prepared, reader: &Reader) -> Result<String, AuthError> {
    Ok(run(server, reader).await?.access_token.expose_secret().to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_link_is_shown_and_polling_keeps_the_servers_interval() {
    let server = Prepared::new(600, &[PENDING, PENDING, Ok("a1")]);
    let reader = Reader::default();
    assert_eq!(outcome(&server, &reader).await.unwrap(), "a1");
    assert_eq!(server.polls(), [5, 10, 15]);
    let shown = reader.shown.lock().unwrap();
    assert_eq!(shown[0].url.as_str(), "https://signin.example.com/activate?user_code=TKBJXFFW");
    assert_eq!((shown.len(), shown[0].user_code.as_str()), (1, "TKBJXFFW"));
    let left = reader.left.lock().unwrap();
    assert!(left[0] == 600 && left.contains(&590) && left.is_sorted_by(|a, b| a >= b), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn slow_down_adds_five_seconds_permanently() {
    let server =
        Prepared::new(600, &[PENDING, Err("slow_down"), PENDING, Err("slow_down"), PENDING, Ok("a1")]);
    assert_eq!(outcome(&server, &Reader::default()).await.unwrap(), "a1");
    assert_eq!(server.polls(), [5, 10, 20, 30, 45, 60]);
}

#[tokio::test(start_paused = true)]
async fn polling_continues_after_network_failures() {
    let gone = Err("network");
    let server = Prepared::new(600, &[PENDING, gone, gone, gone, gone, PENDING, Ok("a1")]);
    assert_eq!(outcome(&server, &Reader::default()).await.unwrap(), "a1");
    assert_eq!(server.polls(), [5, 10, 20, 40, 70, 100, 105], "polled less often meanwhile");
}

#[tokio::test(start_paused = true)]
async fn an_expired_code_is_replaced_if_the_person_wants_a_new_one() {
    // One code expires by this side's clock, the other by the server's answer.
    let server = Prepared::new(12, &[PENDING, PENDING, PENDING, Err("expired_token"), Ok("a1")]);
    let reader = Reader { takes: Mutex::new(5), ..Reader::default() };
    assert_eq!(outcome(&server, &reader).await.unwrap(), "a1");
    assert_eq!(server.polls(), [5, 10, 17, 22, 27]);
    assert_eq!((reader.shown.lock().unwrap().len(), *server.codes.lock().unwrap()), (3, 3));
    assert!(reader.reasons.lock().unwrap().iter().all(|reason| reason.contains("expired")));

    let server = Prepared::new(12, &[]);
    let reader = Reader::default();
    let error = outcome(&server, &reader).await.unwrap_err();
    assert!(matches!(error, AuthError::CodeEnded { .. }) && error.is_authentication(), "{error:?}");

    assert_eq!(reader.left.lock().unwrap().last(), Some(&0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_and_an_unknown_code_are_distinguished() {
    for (answers, word) in
        [(vec![Err("network"), Err("invalid_grant")], "lost"), (vec![Err("invalid_grant")], "knows")]
    {
        let server = Prepared::new(600, &answers);
        let error = outcome(&server, &Reader::default()).await.unwrap_err();
        assert!(matches!(error, AuthError::CodeEnded { reason } if reason.contains(word)), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_polling_at_once() {
    let server = Prepared::new(600, &[PENDING, Err("access_denied"), Ok("a1")]);
    assert!(matches!(outcome(&server, &Reader::default()).await, Err(AuthError::AccessDenied { .. })));
    assert_eq!(server.polls(), [5, 10]);
    let server = Prepared::new(600, &[Err("unauthorized_client")]);
    assert!(matches!(outcome(&server, &Reader::default()).await, Err(AuthError::Refused { .. })));
}

#[test]
fn all_forms_of_answers_are_read() {
    let endpoint: Url = "https://x/device".parse().unwrap();
    let read = |status: u16, body: &str| parse(&endpoint, status, body.as_bytes());
    let least = r#"{"device_code":"d","user_code":"AB CD","verification_uri":"https://x/a?b=1"}"#;
    let least = read(200, least).unwrap();
    assert_eq!(least.interval, DEFAULT_INTERVAL);
    assert_eq!(least.shown.url.as_str(), "https://x/a?b=1&user_code=AB+CD");
    let whole = r#"{"device_code":"s3cret","user_code":"AB-CD","verification_url":"https://x/a","interval":0,
        "verification_uri_complete":"https://x/a#AB","expires_in":1e12}"#;
    let whole = read(200, whole).unwrap();
    assert_eq!((whole.interval, whole.shown.expires_in), (Duration::from_secs(1), MAX_LIFETIME));
    assert_eq!(whole.shown.url.as_str(), "https://x/a#AB");
    assert!(!format!("{whole:?}").contains("s3cret"));
    for odd in [
        r#"{"device_code":"d","user_code":1234,"verification_url":"https://x/","expires_in":"600","interval":"7"}"#,
        r#"{"device_code":12,"user_code":"1234","verification_uri":"","verification_url":"https://x/","interval":7.0}"#,
        r#"{"deviceCode":"d","userCode":"1234","verificationUri":"https://x/","expiresIn":"600s","interval":"7s"}"#,
        r#"{"device_code":"d","user_code":"1234","verification_uri":"https://x/","verification_uri_complete":"nowhere",
            "expires_in":null,"interval":"7","error":null}"#,
        r#"{"device_code":"d","user_code":"1234","verification_uri":["https://x/"],"verification_uri_complete":null,
            "expires_in":"soon","interval":7,"extra":{}}"#,
        "\u{feff}{\"device_code\":\"d\",\"user_code\":\"12\u{202e}34\",\"verification_uri\":\"https://x/\",\"interval\":[7]}",
        r#"{"device_code":"d","user_code":"9","user_code":"1234","verification_uri":"https://x/","verification_uri":null,
            "interval":"7","interval":"","verification_uri_complete":["https://x/1","https://x/2"],"expires_in":[]}"#,
    ] {
        let found = read(200, odd).unwrap();
        assert_eq!(
            (found.shown.user_code.as_str(), found.shown.verification_uri.as_str()),
            ("1234", "https://x/")
        );
        assert_eq!(
            (found.shown.expires_in, found.interval),
            (DEFAULT_LIFETIME, Duration::from_secs(7)),
            "{odd}"
        );
    }
    for (body, expected) in [
        (r#"{"device_code":"","user_code":"A","verification_uri":"https://x"}"#, "it has no device_code"),
        (r#"{"device_code":"d","user_code":" ","verification_uri":"https://x"}"#, "it has no user_code"),
        (
            r#"{"device_code":"s3cret","user_code":"A","verification_uri":"javascript:alert(1)"}"#,
            "its member verification_uri is \"javascript:alert(1)\"",
        ),
        (
            r#"{"device_code":{"x":"s3cret"},"user_code":"A","verification_uri":"https://x"}"#,
            "device_code is an object",
        ),
        (
            r#"{"access_token":"s3cret"}"#,
            "it has no device_code: it is an object with the members access_token",
        ),
        ("<html>", "it is a web page"),
    ] {
        let error = read(200, body).unwrap_err();
        assert!(matches!(error, AuthError::BadAnswer { .. }), "{body}");
        assert!(error.to_string().contains(expected) && !error.to_string().contains("s3cret"), "{error}");
    }
    // GitHub sends refusals with status 200.
    let refused = read(200, r#"{"error":"device_flow_disabled","error_description":"Switched off."}"#);
    assert!(matches!(refused, Err(AuthError::Refused { code, .. }) if code == "device_flow_disabled"));
    assert!(matches!(read(401, r#"{"error":"invalid_client"}"#), Err(AuthError::Refused { .. })));
}

proptest! {
    #[test]
    fn no_answer_causes_a_panic(status in 100_u16..600, body in ".{0,80}", expires_in in any::<f64>(), interval in any::<f64>()) {
        let endpoint: Url = "https://x/device".parse().unwrap();
        let _ = parse(&endpoint, status, body.as_bytes());
        let body = serde_json::json!({
            "device_code": "d", "user_code": body, "verification_uri": "https://x/", "expires_in": expires_in, "interval": interval,
        });
        let _ = parse(&endpoint, status, body.to_string().as_bytes());
    }
}
