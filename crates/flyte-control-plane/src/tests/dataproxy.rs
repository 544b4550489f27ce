use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, header::HOST};
use md5::{Digest as _, Md5};
use serde_json::json;

use super::*;
use flyte_model::{Limit, Role};

const CREATE_UPLOAD: &str = "/flyteidl2.dataproxy.DataProxyService/CreateUploadLocation";
const UPLOAD_INPUTS: &str = "/flyteidl2.dataproxy.DataProxyService/UploadInputs";
const SELECT_CLUSTER: &str = "/flyteidl2.cluster.ClusterService/SelectCluster";

/// A server with an object store and a project, and its data directory.
async fn server() -> (tempfile::TempDir, Server) {
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().to_owned();
    let server = Server::with(move |config| {
        config.data_dir = data_dir;
        config.objects.max_upload_size = 4096;
    })
    .await;
    server.plane.objects.prepare().unwrap();
    for project in ["flytesnacks", "other"] {
        server.json(CREATE, Some("Root"), &json!({"project": {"id": project}})).await;
    }
    (home, server)
}

fn md5(content: &str) -> String {
    STANDARD.encode(Md5::digest(content))
}

fn location(filename: &str, content: &str) -> Value {
    json!({"project": "flytesnacks", "domain": "development", "filename": filename, "contentMd5": md5(content)})
}

impl Server {
    /// The signed URL and the native URL of an upload location.
    async fn upload_location(&self, request: &Value) -> (String, String) {
        let answer = self.json(CREATE_UPLOAD, Some("Root"), request).await.json();
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text("signedUrl"), text("nativeUrl"))
    }

    /// Sends a request whose only credential is the URL.
    async fn use_url(&self, method: Method, url: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let path = url.strip_prefix("https://localhost:8443").unwrap();
        let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost:8443");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body).unwrap()).await
    }

    async fn upload(&self, url: &str, content: &str) -> Answer {
        self.use_url(Method::PUT, url, &[("content-md5", &md5(content))], content.to_owned().into()).await
    }
}

#[tokio::test]
async fn an_upload_must_match_its_announced_hash_and_length() {
    let (home, server) = server().await;
    let (url, native) = server.upload_location(&location("fast.tar.gz", "bundle")).await;
    assert!(native.starts_with("objects://flytesnacks/development/content/"), "{native}");
    let file = server.plane.objects.for_command(&native);
    assert!(file.starts_with(&format!("{}/objects/flytesnacks/development/content/", home.path().display())));
    assert!(file.ends_with("/fast.tar.gz"), "{file}");
    let answer = server.upload(&url, "bumble").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "another content, and Content-MD5: {answer:?}");
    let answer = server.use_url(Method::PUT, &url, &[], "bumble".into()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    assert!(!std::fs::exists(&file).unwrap());
    for _ in 0..2 {
        let answer = server.upload(&url, "bundle").await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "bundle");
    }
    assert_eq!(std::fs::read_dir(home.path().join("objects/.unfinished")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_upload_with_a_chosen_name_is_written_once() {
    let (_home, server) = server().await;
    let request = |content: &str| {
        let mut request = location("report.html", content);
        request["filenameRoot"] = "tracked-runs/r1/a0/1".into();
        request["contentLength"] = content.len().into();
        request
    };
    let (first, native) = server.upload_location(&request("one")).await;
    assert!(
        native.ends_with("/flytesnacks/development/uploads/tracked-runs/r1/a0/1/report.html"),
        "{native}"
    );
    assert_eq!(server.upload(&first, "one").await.status, StatusCode::OK);
    let (second, _) = server.upload_location(&request("two")).await;
    assert_eq!(server.upload(&second, "two").await.status, StatusCode::CONFLICT);
    assert_eq!(server.upload(&second, "three").await.status, StatusCode::BAD_REQUEST, "another length");
    assert_eq!(server.plane.objects.get(&native).await.unwrap().unwrap(), "one");
}

#[tokio::test]
async fn a_signed_url_expires_and_cannot_be_altered() {
    let (_home, server) = server().await;
    let mut request = location("x", "x");
    request["expiresIn"] = "60s".into();
    let (url, _) = server.upload_location(&request).await;
    for altered in [
        url.replace("/development/", "/production/"),
        url.replace("/x?", "/y?"),
        url.replace("/x?", "/..%2Fx?"),
        url.replace("md5=", "md5=0"),
        url.split('?').next().unwrap().to_owned(),
        "https://localhost:8443/objects/flytesnacks/development/x?signature=".to_owned(),
    ] {
        let answer = server.upload(&altered, "x").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{altered}: {answer:?}");
    }
    let answer = server.use_url(Method::GET, &url, &[], Body::empty()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "the URL is only for uploads");
    server.plane.clock.advance(60);
    let answer = server.upload(&url, "x").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(String::from_utf8_lossy(&answer.body).contains("Request has expired"), "{answer:?}");
}

#[tokio::test]
async fn stalled_uploads_of_one_url_do_not_block_others() {
    let (_home, server) = server().await;
    let server = Arc::new(server);
    let (url, _) = server.upload_location(&location("a", "one")).await;
    let (began, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let stalled: Vec<_> = (0..64)
        .map(|_| {
            let (server, url, began) = (Arc::clone(&server), url.clone(), began.clone());
            tokio::spawn(async move {
                let body = futures_util::stream::poll_fn(move |_| {
                    // The server reads this upload.
                    let _ = began.send(());
                    std::task::Poll::<Option<Result<Bytes, std::io::Error>>>::Pending
                });
                let answer = server.use_url(Method::PUT, &url, &[], Body::from_stream(body)).await;
                answer.status
            })
        })
        .collect();
    begun.recv().await.unwrap();
    for number in 0..20 {
        let content = number.to_string();
        let (url, _) = server.upload_location(&location("b", &content)).await;
        let uploaded =
            tokio::time::timeout(std::time::Duration::from_secs(50), server.upload(&url, &content));
        assert_eq!(uploaded.await.expect("the upload does not wait").status, StatusCode::OK);
    }
    stalled.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn an_upload_above_the_size_limit_is_rejected() {
    let (home, server) = server().await;
    let large = "x".repeat(4097);
    let (url, native) = server.upload_location(&location("x", &large)).await;
    assert_eq!(server.upload(&url, &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    // The request has no Content-Length.
    let chunks = large
        .clone()
        .into_bytes()
        .chunks(1000)
        .map(|c| Ok::<_, std::io::Error>(c.to_vec()))
        .collect::<Vec<_>>();
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let answer = server.use_url(Method::PUT, &url, &[], body).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    // The connection breaks during the upload.
    let broken = [Ok("xxx"), Err(std::io::Error::other("gone"))];
    let body = Body::from_stream(futures_util::stream::iter(broken));
    assert_eq!(server.use_url(Method::PUT, &url, &[], body).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.plane.objects.get(&native).await.unwrap(), None);
    assert_eq!(std::fs::read_dir(home.path().join("objects/.unfinished")).unwrap().count(), 0);
    let mut request = location("x", "x");
    request["contentLength"] = 4097.into();
    let (code, message) = server.json(CREATE_UPLOAD, Some("Root"), &request).await.error();
    assert_eq!(code, "invalid_argument");
    assert!(message.starts_with("content_length "), "{message}");
}

#[tokio::test]
async fn a_rejected_upload_location_names_the_invalid_field() {
    let (_home, server) = server().await;
    for (field, value, code, begins) in [
        ("project", json!(""), "invalid_argument", "request.project "),
        ("domain", json!(""), "invalid_argument", "request.domain "),
        ("project", json!("nowhere"), "not_found", "there is no project \"nowhere\""),
        ("domain", json!("nowhere"), "not_found", "project \"flytesnacks\" has no domain \"nowhere\""),
        ("contentMd5", json!("YQ=="), "invalid_argument", "content_md5 "),
        ("contentLength", json!("-1"), "invalid_argument", "content_length "),
        ("expiresIn", json!("0s"), "invalid_argument", "expires_in "),
        ("expiresIn", json!("3601s"), "invalid_argument", "expires_in "),
        ("filename", json!("../x"), "invalid_argument", "filename"),
        ("filename", json!("a\u{0}b"), "invalid_argument", "filename"),
        ("filenameRoot", json!("../../other/development"), "invalid_argument", "filename"),
    ] {
        let mut request = location("x", "x");
        request[field] = value.clone();
        let (got, message) = server.json(CREATE_UPLOAD, Some("Root"), &request).await.error();
        assert_eq!(got, code, "{field} {value}: {message}");
        assert!(message.starts_with(begins), "{field} {value}: {message}");
    }
}

#[tokio::test]
async fn upload_locations_need_the_contributor_role_and_access_to_the_project() {
    let (_home, server) = server().await;
    let (_, secret) = flyte_testing::api_key(&*server.plane.store, "ci", |key| {
        key.rights.limit = Limit { project: Some("flytesnacks".into()), domain: Some("development".into()) };
    })
    .await;
    let key = server.token_of("ci", secret.expose_secret()).await.unwrap();
    let (_, secret) =
        flyte_testing::api_key(&*server.plane.store, "viewer", |key| key.rights.role = Role::Viewer).await;
    let viewer = server.token_of("viewer", secret.expose_secret()).await.unwrap();
    let ask = async |token: &str, project: &str, domain: &str| {
        let request = json!({"project": project, "domain": domain, "filename": "x"});
        server.call(token, CREATE_UPLOAD, request).await
    };
    assert_eq!(ask(&key, "flytesnacks", "development").await.status, StatusCode::OK);
    for (project, domain) in [("flytesnacks", "production"), ("other", "development")] {
        let (code, _) = ask(&key, project, domain).await.error();
        assert_eq!(code, "not_found", "{project} {domain}");
    }
    let (code, _) = ask(&viewer, "flytesnacks", "development").await.error();
    assert_eq!(code, "permission_denied");
    let select = json!({"operation": "OPERATION_GET_ACTION_DATA"});
    assert_eq!(server.call(&viewer, SELECT_CLUSTER, select).await.json(), json!({}), "this server");
    for operation in ["OPERATION_UPLOAD_TRIGGER", "OPERATION_GET_IMAGE"] {
        let select = json!({"operation": operation});
        let (code, _) = server.call(&viewer, SELECT_CLUSTER, select).await.error();
        assert_eq!(code, "unimplemented", "{operation}");
    }
}

#[tokio::test]
async fn a_download_supports_ranges_and_cannot_run_scripts() {
    let (_home, server) = server().await;
    let native = server.plane.objects.native_url("flytesnacks", "development", "runs/r/report.html").unwrap();
    let key = server.plane.objects.key_of(&native).unwrap();
    let (url, expires_at) = crate::objects::download_url(&server.plane, key, 60);
    assert_eq!(expires_at, NOW + 60);
    let get =
        async |headers: &[(&str, &str)]| server.use_url(Method::GET, &url, headers, Body::empty()).await;
    assert_eq!(get(&[]).await.status, StatusCode::NOT_FOUND);
    server.plane.objects.put(&native, "<p>0123456789".into()).await.unwrap();
    let whole = get(&[]).await;
    assert_eq!((whole.status, &whole.body[..]), (StatusCode::OK, &b"<p>0123456789"[..]));
    assert_eq!(whole.header("content-type"), "text/html; charset=utf-8");
    assert!(whole.header("content-security-policy").starts_with("sandbox allow-scripts;"));
    assert!(!whole.header("content-security-policy").contains("allow-same-origin"));
    assert_eq!((whole.header("x-content-type-options"), whole.header("content-length")), ("nosniff", "13"));
    let part = get(&[("range", "bytes=3-5")]).await;
    assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &b"012"[..]));
    assert_eq!(part.header("content-range"), "bytes 3-5/13");
    let none = get(&[("range", "bytes=13-")]).await;
    assert_eq!(none.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(none.header("content-range"), "bytes */13");
    assert_eq!(server.upload(&url, "x").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn inputs_are_stored_by_content() {
    let (_home, server) = server().await;
    let inputs = |x: &str| json!({"literals": [{"name": "x", "value": {"scalar": {"primitive": {"stringValue": x}}}}]});
    let mut request = json!({
        "projectId": {"name": "flytesnacks", "domain": "development"},
        "inputs": inputs("a"),
        "taskSpec": {"taskTemplate": {"metadata": {"cacheIgnoreInputVars": ["x"]}}},
    });
    let upload = async |request: &Value| {
        let answer = server.json(UPLOAD_INPUTS, Some("Root"), request).await.json();
        let data = &answer["offloadedInputData"];
        let text = |name: &str| data[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text("uri"), text("inputsHash"))
    };
    let first = upload(&request).await;
    assert!(first.0.starts_with("objects://flytesnacks/development/inputs/"), "{first:?}");
    assert!(first.0.ends_with("/inputs.pb"));
    assert_eq!(upload(&request).await, first);
    let kept = server.plane.objects.get(&first.0).await.unwrap().unwrap();
    let kept = flyte_idl::flyteidl2::task::Inputs::decode_from_slice(&kept).unwrap();
    assert_eq!(serde_json::to_value(&kept).unwrap(), inputs("a"));
    request["inputs"] = inputs("b");
    let second = upload(&request).await;
    assert_ne!(second.0, first.0);
    assert_eq!(second.1, first.1, "the cache ignores x");
    request["baseDir"] =
        server.plane.objects.native_url("flytesnacks", "development", "mine").unwrap().into();
    assert!(upload(&request).await.0.contains("/flytesnacks/development/mine/inputs/"));
    for base in
        ["s3://elsewhere/x".to_owned(), server.plane.objects.native_url("other", "development", "x").unwrap()]
    {
        request["baseDir"] = base.into();
        let (code, message) = server.json(UPLOAD_INPUTS, Some("Root"), &request).await.error();
        assert_eq!(code, "invalid_argument");
        assert!(message.starts_with("base_dir "), "{message}");
    }
}
