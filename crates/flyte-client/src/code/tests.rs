use connectrpc::ErrorCode;
use flyte_idl::flyteidl2::dataproxy::CreateDownloadLinkResponse;
use serde_json::{Value, json};

use super::*;
use crate::action::{ROOT, RunId};
use crate::project_domain::ProjectDomain;
use crate::testing::{Answer, Server};

fn located(template: Value) -> Option<CodeLocation> {
    location(&serde_json::from_value(json!({"taskTemplate": template})).unwrap())
}

fn at(name: &str, uri: &str, pickled: bool) -> Option<CodeLocation> {
    Some(CodeLocation { name: name.to_owned(), uri: uri.to_owned(), pickled })
}

#[test]
fn the_arguments_of_the_task_name_its_code() {
    let arguments = |flag: &str, uri: &str| json!(["a0", "--version", "v1", flag, uri, "--dest", "."]);
    let pod = |primary: &str| {
        let container = |name: &str, uri: &str| json!({"name": name, "args": arguments("--tgz", uri)});
        json!({"k8sPod": {
            "podSpec": {"containers": [container("side", "s3://b/1.tgz"), container("main", "s3://b/2.tgz")]},
            "primaryContainerName": primary,
        }})
    };
    for (template, expected) in [
        (
            json!({"container": {"args": arguments("--tgz", "s3://b/k/fast1.tar.gz")}}),
            at("fast1.tar.gz", "s3://b/k/fast1.tar.gz", false),
        ),
        (
            json!({"container": {"args": arguments("--pkl", "s3://b/code.pkl.gz")}}),
            at("code.pkl.gz", "s3://b/code.pkl.gz", true),
        ),
        (pod("main"), at("2.tgz", "s3://b/2.tgz", false)),
        (pod(""), at("1.tgz", "s3://b/1.tgz", false)),
        (
            json!({"metadata": {"codeBundleUri": "s3://b/code.pkl.gz?x=1"}}),
            at("code.pkl.gz", "s3://b/code.pkl.gz?x=1", true),
        ),
        // The name of the file is safe on any machine.
        (json!({"metadata": {"codeBundleUri": "s3://b/.."}}), at("code.tar.gz", "s3://b/..", false)),
        (json!({"metadata": {"codeBundleUri": "s3://b/c:\\x"}}), at("code.tar.gz", "s3://b/c:\\x", false)),
        (json!({"container": {"args": ["a0", "--tgz"]}}), None),
        (json!({"sql": {"statement": "select 1"}}), None),
    ] {
        assert_eq!(located(template.clone()), expected, "{template}");
    }
}

#[tokio::test]
async fn link_is_for_the_last_attempt_unless_another_is_named() {
    let details = json!({
        "status": {"attempts": 3},
        "task": {"taskTemplate": {"container": {"args": ["--tgz", "s3://b/code.tgz"]}}},
    });
    let details = serde_json::from_value::<wire::ActionDetails>(details).unwrap();
    let server = Server::default()
        .on("flyteidl2.workflow.RunService/GetActionDetails", move |_: wire::GetActionDetailsRequest| {
            let details = details.clone().into();
            Ok(Answer::one(&wire::GetActionDetailsResponse { details, ..Default::default() }))
        })
        .on(
            "flyteidl2.dataproxy.DataProxyService/CreateDownloadLink",
            |request: CreateDownloadLinkRequest| {
                let Some(Source::ActionAttemptId(attempt)) = request.source else { panic!("no attempt") };
                if attempt.attempt == 1 {
                    return Err(ErrorCode::InvalidArgument);
                }
                let urls = json!({"preSignedUrls": {"signedUrl": [format!("https://store/{}?s3cr3t", attempt.attempt)]}});
                Ok(Answer::one(&serde_json::from_value::<CreateDownloadLinkResponse>(urls).unwrap()))
            },
        );
    let code = server.client().code();
    let id = RunId::new(ProjectDomain::new("flytesnacks", "development"), "r1").action(ROOT);
    let link = code.link(&id, None).await.unwrap();
    assert_eq!(link.url.expose_secret(), "https://store/3?s3cr3t");
    assert!(!format!("{link:?}").contains("s3cr3t"), "{link:?}");
    assert_eq!(code.link(&id, Some(2)).await.unwrap().url.expose_secret(), "https://store/2?s3cr3t");
    // A backend that signs no links to code: the message says where the code is.
    let error = code.link(&id, Some(1)).await.unwrap_err();
    assert!(error.to_string().contains("s3://b/code.tgz"), "{error}");
}
