//! The name of the signed-in person, from the UserInfo endpoint (OpenID Connect Core section 5.3).

use std::time::Duration;

use reqwest::header::AUTHORIZATION;

use crate::{
    answer::Members,
    discovery::Provider,
    http::{self, Http},
    token::{AccessToken, clean},
};

/// The time that the endpoint has to answer. The name is for a message that can be written without it.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The e-mail address, otherwise the user name of the person that `token` is for. `None` if the control plane itself has no such
/// endpoint (the token is not sent to other servers), or does not answer.
pub(crate) async fn account(http: &Http, provider: &Provider, token: &AccessToken) -> Option<String> {
    let url = provider.userinfo_endpoint().filter(|url| http.is_own(url))?.clone();
    let asking = async {
        let request = http.get(url).ok()?.header(AUTHORIZATION, format!("Bearer {}", token.secret()));
        let response = request.send().await.ok().filter(|response| response.status().is_success())?;
        http::read(response, MAX_ANSWER_BYTES).await.ok()?
    };
    let body = tokio::time::timeout(TIMEOUT, asking).await.ok()??;
    let answer = Members::parse(&body).ok()?;
    let text = |name| answer.text(&[name]).ok().flatten();
    let account = text("email").or_else(|| text("preferred_username"))?;
    Some(clean(&account)).filter(|account| !account.is_empty())
}
