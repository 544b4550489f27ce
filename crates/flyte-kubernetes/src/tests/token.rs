//! Tokens: audience, pod, issuer, signature, life, names.

use serde_json::{Value, json};

use super::lab::{ACTIONS, AUDIENCE, Key, Lab, PODS, action, claims, id, pod};
use flyte_access::workload::{Workload, Workloads as _};
use flyte_store::RunId;
use flyte_testing::NOW;

/// A change of the claims of a token.
type Change = fn(&mut Value);

#[tokio::test]
async fn a_pod_is_the_run_and_action_of_its_task_action() {
    let lab = Lab::new().await;
    let found = lab.accepted(&lab.token("r-a0-1", "u1")).await;
    let run = RunId { project: "p".to_owned(), domain: "d".to_owned(), name: "r".to_owned() };
    assert_eq!(found.workload, Workload { id: id("r-a0-1", "u1"), run, action: "a0".to_owned() });
    assert_eq!((found.token_id.as_str(), found.expires_at), ("credential", NOW + 3600));
    assert_eq!(lab.cluster.running(&id("r-a0-1", "u1")).await.unwrap(), found.workload);
    assert!(lab.cluster.recognizes(&lab.token("r-a0-1", "u1")));
}

#[tokio::test]
async fn only_tokens_for_this_server_that_are_bound_to_a_pod_are_accepted() {
    let lab = Lab::new().await;
    lab.accepted(&lab.token("r-a0-1", "u1")).await;
    let audience = "the pod's token is for another audience than this server";
    let name = "the pod's token has an invalid name";
    let changes: [(Change, &str); 14] = [
        (|claims| claims["aud"] = json!(["https://kubernetes.default.svc"]), audience),
        (|claims| claims["aud"] = json!([AUDIENCE, "https://kubernetes.default.svc"]), audience),
        (|claims| claims["aud"] = json!(format!("{AUDIENCE}/")), audience),
        (|claims| claims["aud"] = json!([]), audience),
        (|claims| claims["aud"] = json!(""), audience),
        (
            |claims| drop(claims["kubernetes.io"].as_object_mut().unwrap().remove("pod")),
            "the token is bound to no pod: use a projected service-account token",
        ),
        (
            |claims| claims["kubernetes.io"]["namespace"] = json!("other"),
            "the pod is in a namespace that this server does not serve",
        ),
        (
            |claims| claims["iss"] = json!("https://elsewhere"),
            "the token is from another issuer than this cluster",
        ),
        (|claims| claims["exp"] = json!(NOW), "the pod's token has expired"),
        (|claims| claims["nbf"] = json!(NOW + 120), "the pod's token is not valid yet: check the clocks"),
        (|claims| claims["iat"] = json!(NOW + 120), "the pod's token is not valid yet: check the clocks"),
        (|claims| claims["kubernetes.io"]["pod"]["name"] = json!("a/b"), name),
        (|claims| claims["kubernetes.io"]["pod"]["uid"] = json!(""), name),
        (
            |claims| claims["kubernetes.io"]["serviceaccount"]["name"] = json!("admin"),
            "the pod has another service account than its token",
        ),
    ];
    for (change, why) in changes {
        let token = lab.token_with(change);
        assert_eq!(lab.refusal(&token).await, why, "{:?}", {
            let mut c = claims("flyte", "r", "u");
            change(&mut c);
            c
        });
    }
    let unreadable: [Change; 4] = [
        |claims| drop(claims.as_object_mut().unwrap().remove("kubernetes.io")),
        |claims| drop(claims.as_object_mut().unwrap().remove("exp")),
        |claims| drop(claims.as_object_mut().unwrap().remove("aud")),
        |claims| claims["exp"] = json!("tomorrow"),
    ];
    for change in unreadable {
        let why = lab.refusal(&lab.token_with(change)).await;
        assert_eq!(why, "the token is neither of this server nor of a pod");
    }
    for text in ["", "a", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."] {
        assert!(lab.identify(text).await.is_err(), "{text}");
    }
}

#[tokio::test]
async fn only_keys_of_the_cluster_sign() {
    let lab = Lab::new().await;
    let good = lab.token("r-a0-1", "u1");
    lab.accepted(&good).await;
    let forged = Key::new("one").sign(&claims("flyte", "r-a0-1", "u1"));
    assert_eq!(lab.refusal(&forged).await, "the signature of the pod's token is invalid");
    let unknown = Key::new("two").sign(&claims("flyte", "r-a0-1", "u1"));
    let why = lab.refusal(&unknown).await;
    assert_eq!(why, "the pod's token was signed by a key that the cluster does not have");
    // A public key is not a secret.
    let header = jsonwebtoken::Header { kid: Some("one".to_owned()), ..Default::default() };
    let secret = jsonwebtoken::EncodingKey::from_secret(lab.key.jwk()["x"].as_str().unwrap().as_bytes());
    let symmetric = jsonwebtoken::encode(&header, &claims("flyte", "r-a0-1", "u1"), &secret).unwrap();
    let why = lab.refusal(&symmetric).await;
    assert_eq!(why, "the pod's token is signed with an algorithm that is not accepted");
}

#[tokio::test]
async fn a_token_of_a_year_is_accepted_for_a_day() {
    let lab = Lab::new().await;
    let year = 365 * 86_400;
    let long = lab.token_with(|claims| claims["exp"] = json!(NOW + year));
    assert_eq!(lab.accepted(&long).await.expires_at, NOW + 86_400);
    let asked_for = lab.token_with(|claims| {
        claims["exp"] = json!(NOW + year);
        claims["kubernetes.io"]["warnafter"] = json!(NOW + 3607);
    });
    assert_eq!(lab.accepted(&asked_for).await.expires_at, NOW + 3607);
    lab.clock.advance(3607);
    assert_eq!(lab.refusal(&asked_for).await, "the pod's token has expired");
    lab.clock.advance(86_400 - 3607);
    assert_eq!(lab.refusal(&long).await, "the pod's token has expired");
}

#[tokio::test]
async fn names_that_look_alike_when_joined_are_different() {
    let lab = Lab::with(
        |config| config.namespaces = ["flyte", "prod", "prod-etl"].map(str::to_owned).to_vec(),
        |_| {},
        true,
    )
    .await;
    // A pod of the run `prod-etl` and action `writer`; a TaskAction of the run `prod` and action `etl-writer` would have the
    // same name.
    let mut task_action = action("prod-etl");
    task_action["metadata"]["name"] = json!("prod-etl-writer");
    task_action["spec"]["actionName"] = json!("writer");
    lab.stub.put(ACTIONS, task_action);
    let mut running = pod("prod-etl-writer-1", "u2", "prod-etl");
    running["metadata"]["labels"]["flyte.org/action"] = json!("writer");
    running["metadata"]["ownerReferences"][0]["name"] = json!("prod-etl-writer");
    lab.stub.put(PODS, running.clone());
    let found = lab.accepted(&lab.token("prod-etl-writer-1", "u2")).await;
    assert_eq!((found.workload.run.name.as_str(), found.workload.action.as_str()), ("prod-etl", "writer"));
    // The labels of the other reading are a lie.
    running["metadata"]["labels"]["flyte.org/run"] = json!("prod");
    running["metadata"]["labels"]["flyte.org/action"] = json!("etl-writer");
    lab.stub.put(PODS, running);
    lab.refused(&lab.token("prod-etl-writer-1", "u2"), "the labels of the pod differ from its task action")
        .await;

    // The same for namespace and pod: `prod-etl`/`writer` and `prod`/`etl-writer`.
    for (namespace, name, run) in [("prod-etl", "writer", "x"), ("prod", "etl-writer", "y")] {
        let mut task_action = action(run);
        task_action["metadata"]["namespace"] = json!(namespace);
        lab.stub.put(&ACTIONS.replace("flyte/task", &format!("{namespace}/task")), task_action);
        let mut running = pod(name, &format!("uid-{run}"), run);
        running["metadata"]["namespace"] = json!(namespace);
        lab.stub.put(&PODS.replace("flyte", namespace), running);
    }
    for (namespace, name, uid, run) in [
        ("prod-etl", "writer", "uid-x", Some("x")),
        ("prod", "etl-writer", "uid-y", Some("y")),
        ("prod-etl", "writer", "uid-y", None),
        ("prod", "writer", "uid-x", None),
        ("prod", "etl-writer", "uid-x", None),
    ] {
        let token = lab.key.sign(&claims(namespace, name, uid));
        match run {
            Some(run) => assert_eq!(lab.accepted(&token).await.workload.run.name, run),
            None => assert!(lab.identify(&token).await.is_err(), "{namespace} {name} {uid}"),
        }
    }
}
