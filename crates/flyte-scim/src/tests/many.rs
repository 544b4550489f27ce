//! Listings of many resources take a few statements, however many resources they have.

use super::*;

#[tokio::test]
async fn a_page_of_users_and_groups_has_their_memberships() {
    let server = Server::start().await;
    let mut users = Vec::new();
    for n in 0..30 {
        users.push(server.user(&format!("u{n:02}")).await);
    }
    for n in 0..30 {
        server.group(&format!("g{n:02}"), &[&users[n], &users[(n + 1) % 30]]).await;
    }
    let list = server.get("/Users?sortBy=userName&count=200").await.with(200);
    for (n, user) in list["Resources"].as_array().unwrap().iter().enumerate() {
        let mut groups: Vec<_> =
            user["groups"].as_array().unwrap().iter().map(|it| it["display"].as_str().unwrap()).collect();
        groups.sort_unstable();
        let mut expected = [format!("g{n:02}"), format!("g{:02}", (n + 29) % 30)];
        expected.sort_unstable();
        assert_eq!(groups, expected, "{user}");
    }
    let list = server.get("/Groups?sortBy=displayName&sortOrder=descending&count=200").await.with(200);
    for (n, group) in list["Resources"].as_array().unwrap().iter().rev().enumerate() {
        let mut members: Vec<_> =
            group["members"].as_array().unwrap().iter().map(|it| it["value"].as_str().unwrap()).collect();
        members.sort_unstable();
        let mut expected = [users[n].as_str(), users[(n + 1) % 30].as_str()];
        expected.sort_unstable();
        assert_eq!(members, expected, "{group}");
    }
}
