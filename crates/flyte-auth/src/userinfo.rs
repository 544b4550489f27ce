//! Who has signed in, as the UserInfo endpoint says (OpenID Connect Core section 5.3).

use std::time::Duration;

use reqwest::header::AUTHORIZATION;

use crate::{
    answer::Members,
    discovery::Provider,
    http::{self, Http},
    token::{AccessToken, clean},
};

/// How long the answer is waited for. The name is for a line on the screen, which is written without it otherwise.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// The e-mail address or else the user name of the person that `token` is for. `None` if the control plane has no such endpoint of
/// its own, or does not answer: the token is shown to no other server.
pub(crate) async fn account(http: &Http, provider: &Provider, token: &AccessToken) -> Option<String> {
    let url = provider.userinfo_endpoint().filter(|url| http.is_own(url))?.clone();
    let asking = async {
        let request = http.get(url).ok()?.header(AUTHORIZATION, format!("Bearer {}", token.secret()));
        let response = request.send().await.ok().filter(|response| response.status().is_success())?;
        http::read(response, MAX_ANSWER).await.ok()?
    };
    let body = tokio::time::timeout(PATIENCE, asking).await.ok()??;
    let answer = Members::parse(&body).ok()?;
    let text = |name| answer.text(&[name]).ok().flatten();
    let account = text("email").or_else(|| text("preferred_username"))?;
    Some(clean(&account)).filter(|account| !account.is_empty())
}
