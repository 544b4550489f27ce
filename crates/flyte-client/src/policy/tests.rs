use std::sync::{Arc, Mutex};

use connectrpc::ErrorCode;

use super::*;
use crate::testing::{Answer, Server};

#[tokio::test]
async fn a_policy_is_whole_or_not_there() {
    let stored: Arc<Mutex<Option<Policy>>> = Arc::default();
    let [created, bound, read, deleted] = std::array::from_fn(|_| Arc::clone(&stored));
    let server = Server::default()
        .on("cloudidl.identity.PolicyService/CreatePolicy", move |request: wire::CreatePolicyRequest| {
            *created.lock().unwrap() = request.policy.into_option().map(Policy::from);
            Ok(Answer::one(&wire::CreatePolicyResponse::default()))
        })
        .on(
            "cloudidl.identity.PolicyService/CreatePolicyBinding",
            move |request: wire::CreatePolicyBindingRequest| {
                let grant = Grant::from(request.binding.into_option().unwrap());
                if grant.role == "unknown" {
                    return Err(ErrorCode::InvalidArgument);
                }
                bound.lock().unwrap().as_mut().unwrap().bindings.push(grant);
                Ok(Answer::one(&wire::CreatePolicyBindingResponse::default()))
            },
        )
        .on("cloudidl.identity.PolicyService/GetPolicy", move |_: wire::GetPolicyRequest| {
            let Policy { name, bindings, .. } = read.lock().unwrap().clone().ok_or(ErrorCode::NotFound)?;
            let policy = common::Policy {
                id: policy_id("acme", &name).into(),
                bindings: bindings.iter().map(|grant| grant.binding("acme")).collect(),
                ..Default::default()
            };
            Ok(Answer::one(&wire::GetPolicyResponse { policy: policy.into(), ..Default::default() }))
        })
        .on("cloudidl.identity.PolicyService/DeletePolicy", move |_: wire::DeletePolicyRequest| {
            *deleted.lock().unwrap() = None;
            Ok(Answer::one(&wire::DeletePolicyResponse::default()))
        });
    let policies = server.client().policies();
    let bindings = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Grant>>();
    let policy =
        Policy { name: "team".into(), bindings: bindings(&["viewer", "ops@a/b"]), ..Policy::default() };
    assert_eq!(policies.create(policy.clone()).await.unwrap(), policy);
    let wrong = Policy { bindings: bindings(&["viewer", "unknown@a"]), ..policy };
    assert!(matches!(policies.create(wrong).await, Err(ClientError::InvalidArgument { .. })));
    assert!(matches!(policies.get("team").await, Err(ClientError::NotFound { .. })));
}
