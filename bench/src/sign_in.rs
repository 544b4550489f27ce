//! The authorization code flow, driven through whatever HTML forms the server shows.

use std::collections::BTreeMap;

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{
    Response, StatusCode,
    header::{COOKIE, LOCATION, SET_COOKIE},
};
use url::Url;

use crate::{BenchError, Metadata, Tokens};

/// The most pages and redirects that a sign-in may take.
const MAX_STEPS: usize = 24;

/// The cookies of one browser, all of them for one server.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn remember(&mut self, response: &Response) {
        for cookie in response.headers().get_all(SET_COOKIE) {
            let Some((name, rest)) = cookie.to_str().ok().and_then(|cookie| cookie.split_once('=')) else {
                continue;
            };
            let value = rest.split(';').next().unwrap_or_default();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn header(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}

/// An authorization code flow of one client for one person.
pub(crate) struct Flow<'a> {
    pub(crate) http: &'a reqwest::Client,
    pub(crate) metadata: &'a Metadata,
    pub(crate) client_id: &'a str,
    pub(crate) redirect_uri: &'a Url,
    pub(crate) scope: &'a str,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
}

impl Flow<'_> {
    /// Authorizes by PKCE and redeems the code.
    pub(crate) async fn tokens(&self, browser: &mut Browser) -> Result<Tokens, BenchError> {
        let verifier = random()?;
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref());
        let mut url = self.metadata.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", self.client_id)
            .append_pair("redirect_uri", self.redirect_uri.as_str())
            .append_pair("scope", self.scope)
            .append_pair("state", &random()?)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            // Providers grant `offline_access` only with a consent prompt (OpenID Connect Core section 11).
            .append_pair("prompt", "consent");
        let code = self.code(url, browser).await?;
        let response = self
            .http
            .post(self.metadata.token_endpoint.clone())
            .form(&[
                ("grant_type", "authorization_code"),
                ("client_id", self.client_id),
                ("redirect_uri", self.redirect_uri.as_str()),
                ("code", &code),
                ("code_verifier", &verifier),
            ])
            .send()
            .await?;
        if response.status() != StatusCode::OK {
            return Err(BenchError::Unexpected(format!(
                "token request answered {}: {}",
                response.status(),
                response.text().await?
            )));
        }
        Ok(response.json().await?)
    }

    /// Walks from the authorization request to the redirect back, filling in the forms on the way.
    async fn code(&self, start: Url, browser: &mut Browser) -> Result<String, BenchError> {
        let mut url = start;
        let mut form: Option<Vec<(String, String)>> = None;
        for _ in 0..MAX_STEPS {
            let request = match form.take() {
                Some(fields) => self.http.post(url.clone()).form(&fields),
                None => self.http.get(url.clone()),
            };
            let origin = url.origin().ascii_serialization();
            let response = request
                .header(COOKIE, browser.header())
                .header("origin", origin)
                .header("accept", "text/html")
                .send()
                .await?;
            browser.remember(&response);
            if let Some(location) = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()) {
                url = url.join(location)?;
                if url.as_str().starts_with(self.redirect_uri.as_str()) {
                    return url
                        .query_pairs()
                        .find_map(|(name, value)| (name == "code").then(|| value.into_owned()))
                        .ok_or_else(|| BenchError::Unexpected(format!("no code in the answer: {url}")));
                }
                continue;
            }
            let status = response.status();
            let page = response.text().await?;
            let Some(found) = Form::first_post(&page) else {
                return Err(BenchError::Unexpected(format!("no form on {url} ({status})")));
            };
            url = url.join(&found.action)?;
            form = Some(self.filled_in(found));
        }
        Err(BenchError::Unexpected(format!("the sign-in did not end after {MAX_STEPS} steps")))
    }

    fn filled_in(&self, form: Form) -> Vec<(String, String)> {
        form.fields
            .into_iter()
            .map(|(name, kind, value)| match (kind.as_str(), name.as_str()) {
                ("password", _) => (name, self.password.to_owned()),
                ("email", _) | (_, "login" | "username" | "email") => (name, self.user.to_owned()),
                _ => (name, value),
            })
            .collect()
    }
}

/// An HTML form: its address and its fields as (name, type, value).
struct Form {
    action: String,
    fields: Vec<(String, String, String)>,
}

impl Form {
    /// The first `method=post` form of a page.
    fn first_post(page: &str) -> Option<Self> {
        let mut rest = page;
        loop {
            let start = rest.find("<form")?;
            let body = &rest[start..];
            let end = body.find("</form>").unwrap_or(body.len());
            let form = &body[..end];
            rest = &body[end..];
            let tag = &form[..form.find('>')?];
            if !attribute(tag, "method").is_some_and(|method| method.eq_ignore_ascii_case("post")) {
                if rest.is_empty() {
                    return None;
                }
                continue;
            }
            let mut fields = Vec::new();
            // The first button is the one that agrees.
            let mut pressed = false;
            for part in form.split('<').skip(1) {
                let is_button = part.starts_with("button");
                if !(part.starts_with("input") || is_button && !pressed) {
                    continue;
                }
                let tag = &part[..part.find('>').unwrap_or(part.len())];
                pressed |= is_button;
                let kind = attribute(tag, "type").unwrap_or_else(|| "text".to_owned());
                if kind == "checkbox" {
                    continue;
                }
                if let Some(name) = attribute(tag, "name") {
                    fields.push((name, kind, attribute(tag, "value").unwrap_or_default()));
                }
            }
            return Some(Self { action: attribute(tag, "action").unwrap_or_default(), fields });
        }
    }
}

/// The value of an attribute of a tag, with the entities that attribute values are escaped by undone.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        let at = rest.find(&format!("{name}="))?;
        let preceded = rest[..at].ends_with(char::is_whitespace);
        let value = &rest[at + name.len() + 1..];
        if preceded {
            let raw = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
                _ => value.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default(),
            };
            return Some(
                raw.replace("&quot;", "\"")
                    .replace("&#34;", "\"")
                    .replace("&#39;", "'")
                    .replace("&#x27;", "'")
                    .replace("&#38;", "&")
                    .replace("&#60;", "<")
                    .replace("&#62;", ">")
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&amp;", "&"),
            );
        }
        rest = value;
    }
}

fn random() -> Result<String, BenchError> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|_| BenchError::Unexpected("no randomness".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_post_form_is_read_with_its_fields() {
        let page = r#"<form method="get" action="/no"><input name="q"></form>
            <form class="x" action="/login?a=1&amp;b=2" method="POST">
            <input type="hidden" name="csrf" value="a&quot;b"><input type=email name=email>
            <input type="password" name="password"><button name="decision" value="allow">Go</button>
            <button name="decision" value="deny">No</button></form>"#;
        let form = Form::first_post(page).expect("a form");
        assert_eq!(form.action, "/login?a=1&b=2");
        let names: Vec<_> =
            form.fields.iter().map(|(name, _, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(names, [("csrf", "a\"b"), ("email", ""), ("password", ""), ("decision", "allow")]);
    }
}
