//! The pages that the browser shows at the end of a sign-in. They have no script, no external resource, and no text of the request.

use crate::AuthError;

/// A page and its status.
#[derive(Debug)]
pub(crate) struct Page {
    /// HTTP status code.
    pub(crate) status: u16,
    /// The HTML document.
    pub(crate) html: String,
}

/// The page after a successful sign-in.
pub(crate) fn signed_in() -> Page {
    page(
        200,
        "You are signed in",
        "ok",
        "You can close this tab and go back to your terminal or notebook.",
        "",
    )
}

/// The page after a failed sign-in, with the next step if there is one.
pub(crate) fn failed(error: &AuthError, next: Option<&str>) -> Page {
    let title =
        if matches!(error, AuthError::AccessDenied { .. }) { "Sign-in was denied" } else { "Sign-in failed" };
    page(400, title, "bad", &sentence(&error.to_string()), next.unwrap_or_default())
}

/// The page for a request that is not a callback.
pub(crate) fn unrelated() -> Page {
    page(404, "Nothing here", "bad", "This address only waits for the end of a sign-in to Flyte.", "")
}

/// The page for the callback of another sign-in.
pub(crate) fn stale() -> Page {
    page(
        400,
        "This sign-in is not the one in progress",
        "bad",
        "It may belong to an earlier attempt. Use the tab that was opened last.",
        "To start again, go back to your terminal or notebook.",
    )
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

fn page(status: u16, title: &str, mood: &str, text: &str, next: &str) -> Page {
    let next =
        if next.is_empty() { String::new() } else { format!("<p class=\"next\">{}</p>", escaped(next)) };
    let mark = if mood == "ok" {
        r#"<path d="M14 25l7 7 14-15" fill="none" stroke="currentColor" stroke-width="3.5" stroke-linecap="round" stroke-linejoin="round"/>"#
    } else {
        r#"<path d="M24 14v13m0 6v.5" fill="none" stroke="currentColor" stroke-width="3.5" stroke-linecap="round"/>"#
    };
    let html = format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title} · Flyte</title><style>{CSS}</style></head>
<body><main><svg class="{mood}" width="56" height="56" viewBox="0 0 48 48" aria-hidden="true"><circle cx="24" cy="24" r="22" fill="currentColor" opacity=".14"/>{mark}</svg>
<h1>{title}</h1><p>{text}</p>{next}</main></body></html>
"#,
        title = escaped(title),
        text = escaped(text),
    );
    Page { status, html }
}

/// The style; its SHA-256 is in the page's Content-Security-Policy.
pub(crate) const CSS: &str = ":root{color-scheme:light dark;--bg:#f6f5fa;--card:#fff;--ink:#1c1a27;--soft:#5d5970;--line:#e4e1ee;--ok:#167a4a;--bad:#b3261e}\
@media(prefers-color-scheme:dark){:root{--bg:#14121c;--card:#1d1a28;--ink:#f1eff8;--soft:#b3aec7;--line:#322e42;--ok:#5ad19a;--bad:#ff8f87}}\
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:24px;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\
main{max-width:420px;width:100%;padding:40px 32px;text-align:center;background:var(--card);border:1px solid var(--line);border-radius:16px}\
h1{margin:16px 0 8px;font-size:22px;line-height:1.3;font-weight:650}p{margin:0;color:var(--soft)}.next{margin-top:16px;font-size:14px}.ok{color:var(--ok)}.bad{color:var(--bad)}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_text_is_escaped() {
        let error = AuthError::AccessDenied { description: Some("<script>alert(1)</script>".to_owned()) };
        let html = failed(&error, Some("Do <this>.")).html;
        assert!(html.contains("Do &lt;this&gt;."), "{html}");
        assert!(
            !html.contains("<script>") && html.contains("&lt;script&gt;") && html.contains("denied"),
            "{html}"
        );
    }
}
