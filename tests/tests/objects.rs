//! Objects: uploaded by the published client, unmodified, through our signed URLs, kept as files or in a bucket, and
//! downloaded again by links.

use std::{fs, path::Path};

use flyte_e2e::{CommandOutput, Machine, S3, Server, eventually, python, repository};
use reqwest::{StatusCode, blocking::Client};
use serde_json::{Value, json};

/// A machine with a login that the published client shares.
fn signed_in(server: &Server) -> Machine {
    let machine = Machine::with_keyring();
    machine.sign_in_by_forms(server);
    machine
}

/// Uploads with the published client. Returns the native URLs.
fn upload(server: &Server, machine: &Machine, paths: &[&Path]) -> Vec<String> {
    let mut command = machine.command(python());
    command.arg(repository().join("tests/peers/upload.py")).args(paths).env("SSL_CERT_FILE", server.ca());
    CommandOutput::of(&mut command).ok().out.lines().map(str::to_owned).collect()
}

/// A call of the control plane in JSON.
fn call(server: &Server, http: &Client, token: &str, method: &str, request: &Value) -> Value {
    let answer = http
        .post(server.url(&format!("/flyteidl2.{method}")))
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(request.to_string())
        .send()
        .unwrap();
    let status = answer.status();
    let text = answer.text().unwrap();
    assert!(status.is_success(), "{method}: {status} {text}");
    serde_json::from_str(&text).unwrap()
}

/// The signed URL of the code of a task that is deployed with the bundle at this native URL.
fn link_to_code(server: &Server, http: &Client, token: &str, native_url: &str) -> String {
    let id = json!({"project": "flytesnacks", "domain": "development", "name": "env.main", "version": "1"});
    let metadata = json!({"codeBundleUri": native_url, "runtime": {}});
    let container = json!({"image": "python", "args": ["a0"]});
    let template = json!({
        "id": {"resourceType": "TASK", "project": "flytesnacks", "domain": "development", "name": "env.main", "version": "1"},
        "type": "python", "metadata": metadata, "interface": {}, "container": container,
    });
    let deploy = json!({"taskId": id, "spec": {"taskTemplate": template, "shortName": "main", "environment": {"name": "env"}}});
    call(server, http, token, "task.TaskService/DeployTask", &deploy);
    let request = json!({"artifactType": "ARTIFACT_TYPE_CODE_BUNDLE", "taskId": id});
    let answer = call(server, http, token, "dataproxy.DataProxyService/CreateDownloadLink", &request);
    answer["preSignedUrls"]["signedUrl"][0].as_str().unwrap().to_owned()
}

/// Bytes that do not repeat soon.
fn content(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// Up and down again: a file larger than the limit of other requests, one larger than a part of an upload to S3, and a
/// directory; `kept` returns the object at a native URL.
fn goes_up_and_down(server: &Server, kept: impl Fn(&str) -> Vec<u8>) {
    let machine = signed_in(server);
    let work = tempfile::tempdir().unwrap();
    let (bundle, large) = (work.path().join("my bundle ü.tar.gz"), work.path().join("large"));
    fs::write(&bundle, content(5 << 20)).unwrap();
    fs::write(&large, content((64 << 20) + 1)).unwrap();
    let directory = work.path().join("directory");
    fs::create_dir(&directory).unwrap();
    for name in ["one", "two"] {
        fs::write(directory.join(name), name).unwrap();
    }
    let urls = upload(server, &machine, &[&bundle, &large, &directory]);
    assert!(urls[0].ends_with("/my bundle ü.tar.gz"), "{urls:?}");
    assert!(kept(&urls[0]) == content(5 << 20));
    assert!(kept(&urls[1]) == content((64 << 20) + 1));
    for name in ["one", "two"] {
        assert_eq!(kept(&format!("{}/{name}", urls[2])), name.as_bytes());
    }
    // Once more, as after an answer that was lost.
    assert_eq!(upload(server, &machine, &[&bundle, &large]), urls[..2]);

    let http = server.http();
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token"])).ok().out.trim().to_owned();
    let link = link_to_code(server, &http, &token, &urls[0]);
    let whole = http.get(&link).send().unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
    assert!(whole.bytes().unwrap() == content(5 << 20));
    let part = http.get(&link).header("range", "bytes=1048576-1048585").send().unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().unwrap(), content(5 << 20)[1 << 20..(1 << 20) + 10]);
    let forged = http.get(link.replace("expires=", "expires=1")).send().unwrap();
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);

    assert!(server.logged(&["path=\"/objects/flytesnacks/", "method=PUT"]) >= 6, "they are logged");
    let secret = link.split("signature=").nth(1).unwrap();
    assert_eq!(
        (server.logged(&["signature="]), server.logged(&[secret])),
        (0, 0),
        "without what they can do"
    );
    let unfinished = fs::read_dir(server.data().join("objects/.unfinished")).unwrap().count();
    assert_eq!(unfinished, 0);
}

#[test]
fn objects_are_stored_as_files() {
    let server = Server::start();
    goes_up_and_down(&server, |url| {
        let key = url.strip_prefix("objects://").unwrap_or_else(|| panic!("{url}"));
        assert!(key.starts_with("flytesnacks/development/"), "{url}");
        fs::read(server.data().join("objects").join(key)).unwrap()
    });
}

#[test]
fn objects_are_stored_in_a_bucket() {
    let s3 = S3::start();
    let http = Client::builder().no_proxy().build().unwrap();
    assert!(http.put(s3.url("/bucket")).send().unwrap().status().is_success());
    let settings = tempfile::tempdir().unwrap();
    let file = settings.path().join("server.toml");
    fs::write(
        &file,
        format!(
            "[objects]\nurl = \"s3://bucket/tasks\"\nendpoint = \"{}\"\nregion = \"eu-west-1\"\n\
             credentials-file = \"credentials\"\n",
            s3.url("/")
        ),
    )
    .unwrap();
    fs::write(
        settings.path().join("credentials"),
        "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = secret-of-the-bucket\n",
    )
    .unwrap();
    let server = Server::with(&["--config", file.to_str().unwrap()]);
    goes_up_and_down(&server, |url| {
        let key = url.strip_prefix("s3://bucket/").unwrap_or_else(|| panic!("{url}"));
        assert!(key.starts_with("tasks/flytesnacks/development/"), "{url}");
        s3.content("bucket", key)
    });
    assert_eq!(server.logged(&["secret-of-the-bucket"]), 0);
}

#[test]
fn server_starts_without_its_bucket_and_logs_it() {
    let s3 = S3::start();
    let settings = tempfile::tempdir().unwrap();
    let file = settings.path().join("server.toml");
    let text = format!("[objects]\nurl = \"s3://no-such-bucket\"\nendpoint = \"{}\"\n", s3.url("/"));
    fs::write(&file, text + "credentials-file = \"credentials\"\n").unwrap();
    let credentials = "[default]\naws_access_key_id = x\naws_secret_access_key = y\n";
    fs::write(settings.path().join("credentials"), credentials).unwrap();
    let server = Server::with(&["--config", file.to_str().unwrap()]);
    eventually("the log has the error", || {
        (server.logged(&["the bucket of objects cannot be used", "no-such-bucket"]) == 1).then_some(())
    });
}
