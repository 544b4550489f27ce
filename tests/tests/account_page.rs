//! The pages of a user's own account in a real Chromium: on a phone, with the keyboard, and what they end at a terminal.

use flyte_e2e::{Browser, CommandOutput, ENTER, Machine, PASSWORD, Server, TAB};

/// What keeps the page from being usable on a phone or with a screen reader, in words.
const FAULTS: &str = r#"
    const faults = [];
    const width = document.documentElement.scrollWidth;
    if (width > innerWidth) faults.push(`the page is ${width} pixels wide`);
    if (document.querySelectorAll("h1").length !== 1) faults.push("the page has not one h1");
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`two elements are ${id}`);
    const names = new Set();
    for (const control of document.querySelectorAll("button, .button, summary, select, input:not([type=hidden])")) {
        const name = control.labels?.length ? control.labels[0].textContent : control.textContent;
        if (!name.trim()) faults.push(`no name: ${control.outerHTML}`);
        // The label around a checkbox is its target too.
        const target = control.type === "checkbox" ? control.closest("label") ?? control : control;
        const height = target.getBoundingClientRect().height;
        if (height > 0 && height < 44) faults.push(`${height} pixels high: ${control.outerHTML}`);
    }
    for (const element of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
        const value = `${element.getAttribute("aria-labelledby") ?? ""} ${element.getAttribute("aria-describedby") ?? ""}`;
        for (const id of value.split(" ").filter(Boolean)) {
            if (!document.getElementById(id)) faults.push(`nothing is ${id}`);
        }
    }
    return faults.join("\n");
"#;

#[test]
fn an_account_is_managed_on_a_phone_and_with_the_keyboard() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in_by_forms(&server);
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();

    let browser = Browser::open();
    browser.resize(390, 844);
    // The sign-in leads back to the page.
    browser.go(&server.url("/account/keys"));
    browser.fill("input[name=email]", "admin@localhost");
    browser.fill("input[name=password]", PASSWORD);
    browser.click("button[type=submit]");
    browser.shows("API keys");
    browser.fill("#name", "phone");
    browser.press(ENTER);
    browser.shows("phone was created");
    assert!(browser.text(".secret").len() > 60);
    assert_eq!(browser.run(FAULTS), "", "a new secret");
    browser.go(&browser.url());
    browser.shows("API keys");
    assert!(browser.text("[role=status]").contains("shown once"), "{}", browser.text("main"));

    browser.go(&server.url("/account"));
    let links = browser.run("return [...document.querySelectorAll('.entries a')].map((link) => link.href)");
    let links: Vec<_> =
        links.as_array().unwrap().iter().map(|link| link.as_str().unwrap().to_owned()).collect();
    assert!(links.len() >= 5, "{links:?}");
    for link in std::iter::once(server.url("/account")).chain(links) {
        browser.go(&link);
        assert_eq!(browser.run(FAULTS), "", "{link}");
    }

    browser.go(&server.url("/account/sessions"));
    browser.shows("Browsers, terminals and devices");
    for _ in 0..30 {
        if browser.focus() == "Sign out everywhere except this browser" {
            break;
        }
        browser.press(TAB);
    }
    assert_eq!(browser.focus(), "Sign out everywhere except this browser");
    browser.press(ENTER);
    let _ = browser.arrives("ended=others");
    assert!(browser.text("[role=status]").contains("is signed out"), "{}", browser.text("main"));
    // The login of the terminal has ended at once, and its command says so.
    let refused = CommandOutput::of(&mut machine.flyte(&["get", "project"]));
    assert!(refused.err.contains("session") && refused.err.contains("ended"), "{refused:?}");
    browser.go(&server.url("/account/sessions"));
    browser.shows("Browsers, terminals and devices");
}
