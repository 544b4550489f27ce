use super::*;

const PATH: &str = "/account/activity";

fn record(at: i64, event: &str, subject: &str, object: Option<&str>) -> AuditRecord {
    AuditRecord {
        at,
        event: event.to_owned(),
        subject: Some(subject.to_owned()),
        client_id: None,
        address: Some("198.51.100.7".to_owned()),
        object: object.map(str::to_owned),
        details: [].into(),
    }
}

#[tokio::test]
async fn a_user_sees_the_own_events_newest_first_and_filtered() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    let day = 86_400;
    let records = [
        record(NOW - 3 * day, "signed_in", "user-Ada", None),
        record(NOW - 2 * day, "sign_in_failed", "user-Ada", None),
        record(NOW - day, "api_key_created", "user-Ada", Some("<b>ci</b>")),
        record(NOW, "signed_in", "user-Bob", None),
        record(NOW, "role_granted", "user-Bob", Some("user-Ada")),
    ];
    server.parts.store.append_audit_records(&records).await.unwrap();
    let events = async |query: &str| {
        let page = ada.page(&format!("{PATH}?{query}")).await;
        let rows =
            page.split("<td><bdi>").skip(1).map(|rest| rest.split("</bdi>").next().unwrap().to_owned());
        (rows.collect::<Vec<_>>(), page)
    };
    let key = "An API key was created: &#60;b&#62;ci&#60;/b&#62;.";
    let (rows, page) = events("").await;
    assert_eq!(rows, [key, "A sign-in failed.", "Signed in."]);
    assert_eq!(page.matches("look at this").count(), 1);
    assert_eq!(events("kind=signed_in").await.0, ["Signed in."]);
    // The clock starts on 2027-01-15 in UTC; both days count.
    assert_eq!(events("since=2027-01-13&until=2027-01-13").await.0, ["A sign-in failed."]);
    assert_eq!(events("since=2027-01-14").await.0, [key]);
    assert_eq!(events("until=2026-01-01").await.0.len(), 0);
    // What others did to the account, without the address of the administrator.
    let (rows, page) = events("by=others").await;
    assert_eq!(rows, ["A role was given: user-Ada."]);
    assert!(!page.contains("198.51.100.7"), "{page}");
    for query in ["kind=nothing", "since=yesterday", "since=2027-01-14&until=2027-01-13"] {
        let answer = ada.get(&format!("{PATH}?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.body.contains("role=\"alert\""), "{query}");
    }
    let csv = ada.page("/account/activity.csv?kind=api_key_created").await;
    let line =
        "2027-01-14T08:00:00Z,api_key_created,An API key was created: <b>ci</b>.,,198.51.100.7,<b>ci</b>";
    assert_eq!(csv, format!("time,event,what,client,address,object\r\n{line}\r\n"));
}

#[tokio::test]
async fn a_hundred_thousand_events_are_read_in_pages() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    for chunk in 0..100 {
        let records: Vec<_> = (0..1000)
            .map(|number| {
                let subject = if number % 2 == 0 { "user-Ada" } else { "user-Bob" };
                record(
                    NOW + chunk * 1000 + number,
                    "run_created",
                    subject,
                    Some(&format!("p/d/r{chunk}-{number}")),
                )
            })
            .collect();
        server.parts.store.append_audit_records(&records).await.unwrap();
    }
    let page = ada.page(PATH).await;
    assert!(page.contains("r99-998") && page.contains("r99-900") && !page.contains("r99-898"), "{page}");
    let next = page.split("<a href=\"").find(|rest| rest.starts_with("/account/activity?token=")).unwrap();
    let next = next.split('"').next().unwrap();
    let page = ada.page(next).await;
    assert!(page.contains("r99-898") && !page.contains("r99-900"), "{page}");
    // A token of another filter leads to the first page of the filter.
    let other = next.replace('?', "?kind=signed_in&");
    assert_eq!(ada.get(&other).await.location, format!("{PATH}?kind=signed_in"));
    let csv = ada.page("/account/activity.csv").await;
    assert_eq!(csv.lines().count(), 50_001);
    assert!(!csv.contains("-999,"), "the events of others");
}
