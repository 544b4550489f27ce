//! Headers and content that every page must or must not have.

use super::*;
use flyte_model::ClientId;
use flyte_pages::{
    CodeRefusal, ConsentView, DeviceView, LogoutView, assets, confirm_device_page, confirm_logout_page,
    consent_page, device_decided_page, enter_code_page, error_page, signed_out_page,
};

/// All pages, by name.
async fn pages(server: &Server) -> Vec<(&'static str, Page)> {
    let mut browser = server.browser();
    let mut pages = vec![
        ("home, signed out", browser.get("/").await),
        ("login", browser.get("/login").await),
        ("login for a client", browser.get(&login_for(AUTHORIZE)).await),
        ("login failed", browser.sign_in("ada@example.com", "wrong").await),
        ("login refused", browser.post("/login", &[]).await),
        ("signed out", browser.get("/signed-out").await),
        ("no such asset", browser.get("/assets/flyte.css").await),
        ("logged in", browser.sign_in("ada@example.com", PASSWORD).await),
        ("home", browser.get("/").await),
    ];
    let headers = browser.headers();
    let title = "A <b>title</b>";
    pages.push(("error", Page::read(error_page(StatusCode::BAD_REQUEST, title, "A & b.")).await));
    pages.push(("consent", Page::read(consent_page(&server.state.config, &headers, &consent_view())).await));
    pages.push(("logout", Page::read(confirm_logout_page(&headers, &logout_view())).await));
    let (email, typed) = ("ada@example.com", "\"><b>");
    pages.push(("enter a code", Page::read(enter_code_page(email, "", None)).await));
    for refusal in [CodeRefusal::NotACode, CodeRefusal::NotWaiting, CodeRefusal::Throttled { retry_after: 9 }]
    {
        pages.push(("code refused", Page::read(enter_code_page(email, typed, Some(refusal))).await));
    }
    let view = device_view();
    pages.push(("device", Page::read(confirm_device_page(&server.state.config, &headers, &view)).await));
    for approved in [true, false] {
        pages.push(("device decided", Page::read(device_decided_page(&view, approved)).await));
    }
    pages.push(("signed out, as a function", Page::read(signed_out_page()).await));
    pages
}

fn consent_view() -> ConsentView {
    ConsentView {
        client_name: "<script>alert(1)</script>".to_owned(),
        client_id: ClientId::from_static("other"),
        user_email: "ada@example.com".to_owned(),
        scopes: "openid all <b>odd</b>".parse().unwrap(),
        manages_api_keys: true,
        redirect_host: "app.example.com".to_owned(),
        request: "client_id=other&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb".to_owned(),
    }
}

fn logout_view() -> LogoutView {
    LogoutView {
        user_email: "ada@example.com".to_owned(),
        client_name: Some("App".to_owned()),
        request: "client_id=other".to_owned(),
        provider: None,
        redirect_uri: Some("com.example.app:/bye".to_owned()),
    }
}

fn device_view() -> DeviceView {
    DeviceView {
        client_name: "<script>alert(1)</script>".to_owned(),
        client_id: ClientId::from_static("other"),
        user_email: "ada@example.com".to_owned(),
        user_code: "WDJB-MJH7".to_owned(),
        address: "203.0.113.9".to_owned(),
        network: flyte_model::Proximity::Other,
        asks_number: true,
        is_number_missing: false,
        datetime: "2027-01-15T08:00Z".to_owned(),
        time: "08:00 UTC".to_owned(),
        age: "5 seconds ago".to_owned(),
        scopes: "openid all <b>odd</b>".parse().unwrap(),
    }
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let server = Server::start().await;
    for (name, page) in pages(&server).await {
        for (header, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(page.header(HeaderName::from_static(header)), value, "{name}");
        }
        assert!(page.header(HeaderName::from_static("permissions-policy")).contains("camera=()"), "{name}");
        assert_eq!(
            page.header(header::STRICT_TRANSPORT_SECURITY),
            "",
            "{name}: it would apply to every port"
        );
        let policy = page.all(header::CONTENT_SECURITY_POLICY);
        assert_eq!(policy.len(), 1, "{name}");
        for directive in ["default-src 'none'; ", "frame-ancestors 'none'; ", "base-uri 'none'"] {
            assert!(policy[0].contains(directive), "{name}: {policy:?}");
        }
        // Only the home page of a signed-in user has a script, and only that of this server.
        let rest = match name {
            "home" => policy[0].replace(" script-src 'self'; connect-src 'self';", ""),
            _ => policy[0].to_owned(),
        };
        for loose in ["unsafe", "*", "script-src", "connect-src", "data:;script", "https:"] {
            assert!(!rest.contains(loose) || name == "consent", "{name}: {policy:?}");
        }
    }
}

#[tokio::test]
async fn no_page_needs_content_that_the_policy_forbids() {
    let server = Server::start().await;
    for (name, page) in pages(&server).await {
        if page.status == StatusCode::SEE_OTHER {
            continue;
        }
        assert!(page.header(header::CONTENT_TYPE).starts_with("text/html"), "{name}");
        let script = format!("<script src=\"/assets/{}\" defer></script>", assets::console_script());
        let body = if name == "home" { page.body.replace(&script, "") } else { page.body };
        let body = body.to_lowercase();
        for forbidden in ["<script", "<style", " style=", "javascript:", " onclick", "src=", "//", "<iframe"]
        {
            let body = body.replace("--endpoint https://localhost:8443", "");
            assert!(!body.contains(forbidden), "{name}: {forbidden}");
        }
        assert!(body.contains("<html lang=\"en\">") && body.matches("<h1>").count() == 1, "{name}");
        let labels = body.matches("<label for=").count();
        let inputs = body.matches("<input ").count() - body.matches("type=\"hidden\"").count();
        assert_eq!(labels, inputs, "{name}: each control has a label");
        assert!(!body.contains("<form method=\"post\"") || body.contains("name=\"csrf\""), "{name}");
    }
}

#[tokio::test]
async fn forms_lead_to_this_server_and_the_redirect_uri() {
    let server = Server::start().await;
    let forms = async |return_to: &str| {
        let page = server.browser().get(&login_for(return_to)).await;
        let policy = page.header(header::CONTENT_SECURITY_POLICY).to_owned();
        policy.split("; ").find_map(|part| part.strip_prefix("form-action ")).unwrap().to_owned()
    };
    for (return_to, sources) in [
        ("", "'self'"),
        (AUTHORIZE, "'self' http://localhost:53593"),
        (
            "/oauth2/authorize?client_id=flyte&redirect_uri=http://localhost:61234/callback",
            "'self' http://localhost:61234",
        ),
        ("/oauth2/authorize?client_id=flyte&redirect_uri=http://[::1]:61234/callback", "'self' http:"),
        ("/oauth2/authorize?client_id=flyte&redirect_uri=https://evil.example/callback", "'self'"),
        ("/oauth2/authorize?client_id=flyte&redirect_uri=http://localhost:53593/other", "'self'"),
        ("/oauth2/authorize?client_id=other&redirect_uri=http://localhost:53593/callback", "'self'"),
        ("/oauth2/authorize?client_id=flyte", "'self'"),
    ] {
        assert_eq!(forms(return_to).await, sources, "{return_to}");
    }
    // The page after a mistake must allow the second attempt too.
    let mut browser = server.browser();
    let page = browser.sign_in_for(AUTHORIZE, "ada@example.com", "wrong").await;
    assert!(
        page.header(header::CONTENT_SECURITY_POLICY).contains("form-action 'self' http://localhost:53593;")
    );
    let page = Page::read(consent_page(&server.state.config, &browser.headers(), &consent_view())).await;
    assert!(
        page.header(header::CONTENT_SECURITY_POLICY).contains("form-action 'self' https://app.example.com;")
    );
    let page = Page::read(confirm_logout_page(&browser.headers(), &logout_view())).await;
    assert!(page.header(header::CONTENT_SECURITY_POLICY).contains("form-action 'self' com.example.app:;"));
}

#[tokio::test]
async fn text_from_clients_is_escaped() {
    let server = Server::start().await;
    let consent =
        Page::read(consent_page(&server.state.config, &HeaderMap::new(), &consent_view())).await.body;
    assert!(consent.contains("Allow &#60;script&#62;alert(1)&#60;/script&#62;?"));
    assert!(consent.contains("Do everything that you can do in Flyte"));
    assert!(consent.contains("&#60;b&#62;odd&#60;/b&#62;"));
    let request = "value=\"client_id=other&#38;redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb\"";
    assert!(consent.contains(request), "{consent}");
    let device =
        Page::read(confirm_device_page(&server.state.config, &HeaderMap::new(), &device_view())).await.body;
    assert!(device.contains("Connect &#60;script&#62;alert(1)&#60;/script&#62;?"));
    assert!(device.contains("&#60;b&#62;odd&#60;/b&#62;"));
    let entered = Page::read(enter_code_page("a@b", "\"><b>", Some(CodeRefusal::NotACode))).await;
    assert_eq!(entered.field("user_code").unwrap(), "&#34;&#62;&#60;b&#62;");
    let error = Page::read(error_page(StatusCode::BAD_REQUEST, "A <b>title</b>", "A & b.")).await;
    assert_eq!(error.status, StatusCode::BAD_REQUEST);
    assert!(
        error.body.contains("<h1>A &#60;b&#62;title&#60;/b&#62;</h1>") && error.body.contains("A &#38; b.")
    );
}

#[tokio::test]
async fn assets_are_cached_for_ever_and_renamed_when_changed() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let home = browser.get("/").await.body;
    for name in [assets::style(), assets::mark()] {
        assert!(home.contains(&format!("href=\"/assets/{name}\"")));
    }
    for (name, kind) in [
        (assets::style(), "text/css; charset=utf-8"),
        (assets::console_style(), "text/css; charset=utf-8"),
        (assets::console_script(), "text/javascript; charset=utf-8"),
        (assets::mark(), "image/svg+xml"),
    ] {
        let asset = browser.get(&format!("/assets/{name}")).await;
        assert_eq!(asset.status, StatusCode::OK);
        assert_eq!(asset.header(header::CONTENT_TYPE), kind);
        assert_eq!(asset.header(header::CACHE_CONTROL), "public, max-age=31536000, immutable");
        assert_eq!(asset.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(asset.all(header::SET_COOKIE).is_empty());
    }
    for missing in ["/assets/flyte.css", "/assets/flyte.0000000000000000.css", "/assets/..%2Fflyte.css"] {
        assert_eq!(browser.get(missing).await.status, StatusCode::NOT_FOUND);
    }
}
