use std::sync::{Arc, Mutex};

use flyte_idl::cloudidl::identity;

use super::*;
use crate::testing::{Answer, Server};

/// A server that has only the published services, and the assignments that it was sent.
fn hosted(sent: Arc<Mutex<Vec<wire::AssignIdentityRequest>>>) -> Server {
    Server::default()
        .on(
            "cloudidl.authorizer.AuthorizerService/AssignIdentity",
            move |request: wire::AssignIdentityRequest| {
                sent.lock().unwrap().push(request);
                Ok(Answer::one(&wire::AssignIdentityResponse::default()))
            },
        )
        .on("cloudidl.identity.MemberService/ListMembers", |_: identity::ListMembersRequest| {
            let user = common::User {
                id: UserIdentifier { subject: "s1".into(), ..Default::default() }.into(),
                spec: common::UserSpec { email: "ada@example.com".into(), ..Default::default() }.into(),
                ..Default::default()
            };
            let key = common::Application {
                id: ApplicationIdentifier { subject: "ci".into(), ..Default::default() }.into(),
                spec: common::AppSpec { name: "CI".into(), ..Default::default() }.into(),
                ..Default::default()
            };
            let member = |principal: common::enriched_identity::Principal| common::EnrichedIdentity {
                principal: Some(principal),
                ..Default::default()
            };
            let members = vec![member(user.into()), member(key.into())];
            Ok(Answer::one(&identity::ListMembersResponse { members, ..Default::default() }))
        })
        .on(
            "cloudidl.authorizer.AuthorizerService/ListIdentityAssignments",
            |request: wire::ListIdentityAssignmentsRequest| {
                let identity_assignments = request.identities.into_iter().map(|identity| {
                    let role = common::Role { id: role_id("acme", "viewer").into(), ..Default::default() };
                    wire::IdentityAssignment {
                        identity: identity.into(),
                        roles: vec![role],
                        ..Default::default()
                    }
                });
                let identity_assignments = identity_assignments.collect();
                Ok(Answer::one(&wire::ListIdentityAssignmentsResponse {
                    identity_assignments,
                    ..Default::default()
                }))
            },
        )
}

#[tokio::test]
async fn published_services_alone_are_enough() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let assignments = hosted(Arc::clone(&sent)).client().assignments();
    let (ada, ci) = (Subject::User("s1".into()), Subject::ApiKey("ci".into()));
    let role = |text: &str| Assigned::Role(text.parse().unwrap());
    assignments.assign(&ada, &Assigned::Policy("team".into())).await.unwrap();
    assignments.assign(&ci, &role("viewer")).await.unwrap();
    {
        use wire::assign_identity_request::Assignment;
        let sent = sent.lock().unwrap();
        assert!(matches!(&sent[0].assignment, Some(Assignment::PolicyId(id)) if id.name == "team"));
        assert!(matches!(&sent[1].assignment, Some(Assignment::RoleId(id)) if id.name == "viewer"));
        assert!(
            matches!(&sent[1].identity.principal, Some(Principal::ApplicationId(id)) if id.subject == "ci")
        );
    }
    // The published message has no place for these, so that they must not become roles everywhere.
    let group = Subject::Group("ml".into());
    for (subject, assigned) in [
        (&ada, role("viewer@alpha")),
        (&ci, role("viewer@/production")),
        (&group, role("viewer")),
        (&group, Assigned::Policy("team".into())),
    ] {
        let refused = assignments.assign(subject, &assigned).await;
        assert!(matches!(refused, Err(ClientError::Unsupported { .. })), "{subject:?} {assigned:?}");
        let refused = assignments.unassign(subject, &assigned).await;
        assert!(matches!(refused, Err(ClientError::Unsupported { .. })), "{subject:?} {assigned:?}");
    }
    assert_eq!(sent.lock().unwrap().len(), 2);
    let listed = assignments.list().await.unwrap();
    let names: Vec<_> = listed.iter().map(|it| (it.kind, it.name.as_str(), it.roles.len())).collect();
    assert_eq!(names, [(SubjectKind::User, "ada@example.com", 1), (SubjectKind::ApiKey, "CI", 1)]);
}
