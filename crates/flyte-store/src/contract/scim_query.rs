//! Provisioning by SCIM: listings.

use std::sync::Arc;

use super::{
    Backend, NOW,
    scim::{create, create_with, data, done, group},
};
use crate::{
    ScimCondition, ScimField, ScimOperator, ScimOrder, ScimQuery, ScimRules, ScimSortKey, ScimUserData,
    ScimUserFilter, ScimValue,
};

fn test(field: ScimField, operator: ScimOperator, text: &str) -> ScimCondition {
    ScimCondition::Test(field, operator, ScimValue::Text(text.to_owned()))
}

pub async fn users_are_found_by_what_is_stored(store: Backend) {
    use ScimField::{Active, Created, DisplayName, Emails, ExternalId, Groups, Id, UserName};
    use ScimOperator::{Contains, EndsWith, Equal, Greater, GreaterOrEqual, Present, StartsWith};
    for name in ["ada", "bob", "cyd"] {
        create(&store, name).await;
    }
    let bare = ScimUserData { external_id: None, display_name: None, active: false, ..data("dan") };
    done(create_with(&store, &ScimRules::default(), &bare).await);
    group(&store, "ml", &["id-bob@example.com".to_owned()]).await;
    let is_not = |condition| ScimCondition::Not(Box::new(condition));
    let flag = |flag| ScimCondition::Test(Active, Equal, ScimValue::Flag(flag));
    let time = |operator, at| ScimCondition::Test(Created, operator, ScimValue::Time(at));
    for (condition, expected) in [
        (test(UserName, Equal, "ADA@example.COM"), "ada"),
        (test(ExternalId, Equal, "ext-bob"), "bob"),
        (test(ExternalId, Equal, "EXT-bob"), ""),
        (test(Id, Equal, "id-cyd@example.com"), "cyd"),
        (test(Emails, Equal, "Ada@home.example"), "ada"),
        (test(Emails, StartsWith, "b"), "bob"),
        (test(DisplayName, Equal, "cyd"), "cyd"),
        (test(UserName, StartsWith, ""), "ada bob cyd dan"),
        (test(UserName, EndsWith, ""), "ada bob cyd dan"),
        (test(UserName, EndsWith, "B@example.com"), "bob"),
        (test(UserName, Contains, "%"), ""),
        (test(UserName, Greater, "bob@example.com"), "cyd dan"),
        (test(ExternalId, Present, ""), "ada bob cyd"),
        (is_not(test(ExternalId, Equal, "ext-ada")), "bob cyd dan"),
        (is_not(test(DisplayName, Present, "")), "dan"),
        (test(Groups, Equal, "id-ml"), "bob"),
        (flag(false), "dan"),
        (flag(true), "ada bob cyd"),
        (time(GreaterOrEqual, NOW), "ada bob cyd dan"),
        (time(Greater, NOW), ""),
        (ScimCondition::All(vec![flag(true), test(UserName, Contains, "b")]), "bob"),
        (
            ScimCondition::Any(vec![test(UserName, StartsWith, "a"), test(UserName, StartsWith, "d")]),
            "ada dan",
        ),
        (test(ScimField::Members, Equal, "x"), ""),
    ] {
        let condition = Some(condition);
        let query = ScimQuery { client: "okta".to_owned(), condition, limit: 10, ..ScimQuery::default() };
        let (users, total) = store.list_scim_users(&query, None).await.unwrap();
        let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
        assert_eq!((names.join(" ").as_str(), total), (expected, names.len() as u64), "{query:?}");
    }
    let by = |by, descending| Some(ScimOrder { by, descending });
    let title = || ScimSortKey::Attribute(vec!["title".to_owned()]);
    for (order, expected) in [
        (by(ScimSortKey::Field(UserName), true), "dan cyd bob ada"),
        (by(ScimSortKey::Field(DisplayName), false), "ada bob cyd dan"),
        (by(ScimSortKey::Field(Emails), true), "dan cyd bob ada"),
        (by(title(), true), "dan cyd bob ada"),
        (by(title(), false), "ada bob cyd dan"),
    ] {
        let query = ScimQuery { client: "okta".to_owned(), order, limit: 10, ..ScimQuery::default() };
        let (users, _) = store.list_scim_users(&query, None).await.unwrap();
        let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names.join(" "), expected, "{query:?}");
    }
}

pub async fn listings_have_parts_and_a_true_total(store: Backend) {
    for name in ["ada", "bob", "cyd", "dan", "eve"] {
        create(&store, name).await;
    }
    let query = |skip, limit| ScimQuery { client: "okta".to_owned(), skip, limit, ..ScimQuery::default() };
    let has_b_or_d: ScimUserFilter = Arc::new(|user| user.attributes.contains('d'));
    for (skip, limit, filter, expected, total) in [
        (0, 2, None, "ada bob", 5),
        (4, 2, None, "eve", 5),
        (9, 2, None, "", 5),
        (0, 0, None, "", 5),
        (0, 2, Some(&has_b_or_d), "ada cyd", 3),
        (2, 2, Some(&has_b_or_d), "dan", 3),
    ] {
        let (users, found) = store.list_scim_users(&query(skip, limit), filter.cloned()).await.unwrap();
        let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
        assert_eq!((names.join(" ").as_str(), found), (expected, total), "{skip} {limit}");
    }
    group(&store, "a", &["id-ada@example.com".to_owned()]).await;
    group(&store, "b", &[]).await;
    let (groups, total) = store.list_scim_groups(&query(1, 5)).await.unwrap();
    assert_eq!((groups.len(), groups[0].name.as_str(), total), (1, "b", 2));
    for (condition, expected) in [
        (test(ScimField::DisplayName, ScimOperator::Equal, "A"), 1),
        (test(ScimField::Members, ScimOperator::Equal, "id-ada@example.com"), 1),
        (test(ScimField::Members, ScimOperator::Present, ""), 1),
        (test(ScimField::UserName, ScimOperator::Equal, "a"), 0),
    ] {
        let query = ScimQuery { condition: Some(condition), ..query(0, 5) };
        assert_eq!(store.list_scim_groups(&query).await.unwrap().1, expected, "{query:?}");
    }
}
