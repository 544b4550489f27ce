//! The administrators' pages in a real Chromium: each of them on a desktop and on a phone, light and dark, checked by axe-core,
//! and all without JavaScript.

use std::{env, fs, path::Path};

use flyte_e2e::{Browser, ENTER, PASSWORD, Server, TAB, eventually};

/// Signs in, and is then at the page.
fn sign_in(browser: &Browser, server: &Server, path: &str) {
    browser.go(&server.url(path));
    browser.shows("Sign in");
    browser.fill("input[name=email]", "admin@localhost");
    browser.fill("input[name=password]", PASSWORD);
    browser.click("button[type=submit]");
    let _ = browser.arrives(path);
}

/// Fills in the fields of a form, by their names, and submits it.
fn submit(browser: &Browser, form: &str, fields: &[(&str, &str)]) {
    for (name, text) in fields {
        browser.fill(&format!("#{form} [name={name}]"), text);
    }
    browser.click(&format!("#{form} > button"));
}

#[test]
fn all_works_without_javascript() {
    let server = Server::start();
    let browser = Browser::without_javascript();
    sign_in(&browser, &server, "/admin/groups");
    browser.shows("Groups");
    browser.click("#state .next a");
    browser.shows("New group");
    submit(&browser, "create", &[("name", "Data Science"), ("description", "Models")]);
    browser.shows("Data Science");
    assert_eq!(browser.text(".notice"), "Created.");
    submit(&browser, "add-member", &[("user", "unknown@localhost")]);
    assert!(browser.text("[role=alert]").contains("There is no account"), "{}", browser.text("main"));
    browser.go(&browser.url());
    submit(&browser, "add-member", &[("user", "admin@localhost")]);
    eventually("the member is there", || browser.text("#members").contains("admin@localhost").then_some(()));
    submit(&browser, "grant-role", &[("role", "viewer"), ("project", "flytesnacks")]);
    eventually("the role is there", || browser.text("#roles").contains("project flytesnacks").then_some(()));
    // The buttons of rows submit a form that is elsewhere in the page.
    browser.click("#roles td button");
    eventually("the role is gone", || browser.text("#roles").contains("No roles").then_some(()));
    browser.click("#members td button");
    eventually("the member is gone", || browser.text("#members").contains("No members.").then_some(()));
    submit(&browser, "delete-group", &[("confirm", "Data Science")]);
    browser.shows("Groups");
    assert!(browser.text("#groups").contains("No groups yet."), "{}", browser.text("#groups"));
}

/// Things to look at.
fn furnish(browser: &Browser, server: &Server) {
    let fill = |path: &str, fields: &[(&str, &str)], heading: &str| {
        browser.go(&server.url(path));
        submit(browser, "create", fields);
        browser.shows(heading);
    };
    let user = [("email", "ada@example.com"), ("name", "Ada <script>alert(1)</script> Lovelace")];
    fill("/admin/users/new", &user, "ada@example.com");
    assert!(browser.text("#once").contains("https://"), "an invitation: {}", browser.text("main"));
    fill("/admin/groups/new", &[("name", "Data Science"), ("description", "Models")], "Data Science");
    submit(browser, "add-member", &[("user", "ada@example.com")]);
    submit(browser, "grant-role", &[("role", "contributor"), ("project", "flytesnacks")]);
    browser.go(&server.url("/admin/roles/new"));
    browser.click("input[value=view-runs]");
    submit(browser, "create", &[("name", "ml-ops"), ("description", "Looks after models")]);
    browser.shows("ml-ops");
    let policy = [("name", "readers"), ("role", "viewer"), ("project", "flytesnacks")];
    fill("/admin/policies/new", &policy, "readers");
    let issuer = "https://token.actions.githubusercontent.com";
    let rule = [("name", "ci"), ("issuer", issuer), ("audience", "flyte"), ("claims", "repository=acme/ml")];
    fill("/admin/trust/new", &rule, "ci");
}

/// Checks the page that the browser shows, and keeps a picture if `PICTURES` names a directory.
fn check(browser: &Browser, name: &str, size: (u32, u32), scheme: &str) {
    let found = browser.axe();
    assert!(found.is_empty(), "{name} {size:?} {scheme}: {found:#?}");
    assert!(!browser.overflows(), "{name} is wider than {}", size.0);
    if let Some(directory) = env::var_os("PICTURES") {
        let file =
            format!("{}-{}-{scheme}.png", name.trim_matches('/').replace(['/', '?', '='], "_"), size.0);
        fs::write(Path::new(&directory).join(file), browser.picture()).unwrap();
    }
}

#[test]
fn every_page_passes_axe_on_desktop_and_phone() {
    let server = Server::start();
    let browser = Browser::open();
    sign_in(&browser, &server, "/admin/users");
    furnish(&browser, &server);
    // The first pages of all areas, and the page of the first thing in each.
    let areas = [
        "users",
        "groups",
        "roles",
        "policies",
        "api-keys",
        "applications",
        "trust",
        "providers",
        "signing-keys",
        "audit",
        "settings",
    ];
    let mut pages: Vec<String> = areas.iter().map(|area| format!("/admin/{area}")).collect();
    pages.insert(0, "/admin".to_owned());
    for area in ["users", "groups", "roles", "policies", "trust"] {
        pages.push(format!("/admin/{area}/new"));
    }
    for area in ["users", "groups", "applications", "trust", "audit"] {
        browser.go(&server.url(&format!("/admin/{area}")));
        let script = "return document.querySelector('td a').getAttribute('href')";
        pages.push(browser.run(script).as_str().unwrap().to_owned());
    }
    pages.extend(["/admin/roles/ml-ops".to_owned(), "/admin/policies/readers".to_owned()]);
    for (size, scheme) in [((1280, 900), "light"), ((390, 844), "dark")] {
        browser.resize(size.0, size.1);
        browser.prefer(scheme);
        for page in &pages {
            browser.go(&server.url(page));
            assert!(browser.title().contains("Administration"), "{page}: {}", browser.title());
            check(&browser, page, size, scheme);
        }
    }
    // A mistake is announced, and what was typed is still there.
    browser.go(&server.url("/admin/roles/new"));
    submit(&browser, "create", &[("name", "Not a name")]);
    eventually("the mistake is shown", || browser.title().starts_with("Error").then_some(()));
    check(&browser, "mistake", (390, 844), "dark");

    // By keyboard: the search, from the beginning of the page.
    browser.resize(1280, 900);
    browser.go(&server.url("/admin/users"));
    for _ in 0..30 {
        browser.press(TAB);
        if browser.focus() == "q" {
            break;
        }
    }
    assert_eq!(browser.focus(), "q");
    browser.press("lovelace");
    browser.press(ENTER);
    let _ = browser.arrives("q=lovelace");
    let users = browser.text("#users");
    assert!(users.contains("ada@example.com") && !users.contains("admin@localhost"), "{users}");
}
