//! The check by the API server.

use serde_json::{Value, json};

use super::lab::{AUDIENCE, Lab, PODS, pod};
use flyte_access::workload::{WorkloadError, Workloads as _};
use flyte_settings::KubernetesVerification;

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const REFUSED: &str = "the cluster refused the pod's token";

/// The answer about a good token of the pod `r-a0-1`.
fn good() -> Value {
    json!({
        "authenticated": true,
        "audiences": [AUDIENCE],
        "user": {
            "username": "system:serviceaccount:flyte:default", "uid": "uid-of-default",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {
                "authentication.kubernetes.io/pod-name": ["r-a0-1"],
                "authentication.kubernetes.io/pod-uid": ["u1"],
            },
        },
    })
}

async fn lab() -> Lab {
    let review = |config: &mut flyte_settings::KubernetesConfig| {
        config.verification = KubernetesVerification::TokenReview;
    };
    let lab = Lab::with(review, |_| {}, true).await;
    lab.stub.set(|content| content.review = good());
    lab
}

#[tokio::test]
async fn the_api_server_is_asked_about_our_audience() {
    let lab = lab().await;
    let token = lab.token("r-a0-1", "u1");
    let found = lab.identify(&token).await.unwrap();
    assert_eq!((found.workload.run.name.as_str(), found.workload.action.as_str()), ("r", "a0"));
    assert_eq!(lab.stub.content().reviews, [json!({"token": token, "audiences": [AUDIENCE]})]);
    assert_eq!(lab.stub.requests(PODS), 0, "nothing is listed or watched");
}

#[tokio::test]
async fn an_answer_must_be_about_this_audience_and_this_pod() {
    let lab = lab().await;
    let answers: [fn(&mut Value); 9] = [
        |answer| answer["authenticated"] = json!(false),
        |answer| drop(answer.as_object_mut().unwrap().remove("authenticated")),
        |answer| drop(answer.as_object_mut().unwrap().remove("audiences")),
        |answer| answer["audiences"] = json!([]),
        |answer| answer["audiences"] = json!(["https://kubernetes.default.svc"]),
        |answer| answer["user"]["username"] = json!("system:serviceaccount:flyte:admin"),
        |answer| answer["user"]["extra"]["authentication.kubernetes.io/pod-uid"] = json!(["u2"]),
        |answer| answer["user"]["extra"]["authentication.kubernetes.io/pod-name"] = json!(["r-a0-1", "b"]),
        |answer| drop(answer["user"].as_object_mut().unwrap().remove("extra")),
    ];
    for (n, change) in answers.into_iter().enumerate() {
        let mut answer = good();
        change(&mut answer);
        lab.stub.set(|content| content.review = answer.clone());
        // Another token each time: refused ones are remembered.
        let token = lab.token_with(|claims| claims["jti"] = json!(format!("token-{n}")));
        assert_eq!(lab.refusal(&token).await, REFUSED, "{answer}");
    }
}

#[tokio::test]
async fn a_refused_token_is_not_reviewed_again_at_once() {
    let lab = lab().await;
    lab.stub.set(|content| content.review = json!({"authenticated": false, "error": "invalid"}));
    let token = lab.token("r-a0-1", "u1");
    for _ in 0..20 {
        assert_eq!(lab.refusal(&token).await, REFUSED);
    }
    assert_eq!(lab.stub.requests(REVIEWS), 1);
    // What is refused without a review is not sent.
    let audience = lab.token_with(|claims| claims["aud"] = json!(["https://kubernetes.default.svc"]));
    assert!(lab.identify(&audience).await.is_err());
    assert_eq!(lab.stub.requests(REVIEWS), 1);
    lab.stub.set(|content| content.review = good());
    lab.clock.advance(30);
    assert!(lab.identify(&token).await.is_ok());
}

#[tokio::test]
async fn the_tokens_of_ended_pods_are_refused_although_the_review_accepts_them() {
    let lab = lab().await;
    let token = lab.token("r-a0-1", "u1");
    let workload = lab.identify(&token).await.unwrap().workload;
    let mut ended = pod("r-a0-1", "u1", "r");
    ended["status"]["phase"] = json!("Succeeded");
    lab.stub.put(PODS, ended);
    assert_eq!(lab.refusal(&token).await, "the pod has ended");
    lab.stub.put(PODS, pod("r-a0-1", "u2", "r"));
    assert_eq!(lab.refusal(&token).await, "the pod has ended", "a new pod of the same name");
    lab.stub.delete(PODS, "r-a0-1");
    assert_eq!(lab.refusal(&token).await, "the pod has ended");
    assert!(matches!(
        lab.cluster.running(&workload.id).await,
        Err(WorkloadError::Invalid("the pod has ended"))
    ));
    let mut lies = pod("r-a0-1", "u1", "r");
    lies["metadata"]["labels"]["flyte.org/project"] = json!("other");
    lab.stub.put(PODS, lies);
    assert_eq!(lab.refusal(&token).await, "the labels of the pod differ from its task action");
}

#[tokio::test]
async fn a_review_that_fails_says_nothing_about_the_token() {
    let lab = lab().await;
    let token = lab.token("r-a0-1", "u1");
    lab.stub.set(|content| content.is_down = true);
    let error = lab.identify(&token).await.unwrap_err();
    assert!(matches!(error, WorkloadError::Unavailable(_)), "{error:?}");
    lab.stub.set(|content| content.is_down = false);
    assert!(lab.identify(&token).await.is_ok());
}
