use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::*;
use crate::testing::{Answer, Server};

const LOCATION: &str = "flyteidl2.dataproxy.DataProxyService/CreateUploadLocation";

/// Starts an object store that answers one request with each of these statuses. Its thread returns the requests.
fn store(statuses: &'static [u16]) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/bucket/key?signature=s3cr3t", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        statuses
            .iter()
            .map(|status| {
                let (mut connection, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut chunk = [0; 4096];
                while !request.ends_with(b"content of it") {
                    let read = connection.read(&mut chunk).unwrap();
                    assert!(read > 0, "{}", String::from_utf8_lossy(&request));
                    request.extend_from_slice(&chunk[..read]);
                }
                write!(
                    connection,
                    "HTTP/1.1 {status} x\r\ncontent-length: 4\r\nconnection: close\r\n\r\nno\r\n"
                )
                .unwrap();
                String::from_utf8(request).unwrap()
            })
            .collect()
    });
    (url, served)
}

fn located(url: String, present: bool) -> Server {
    Server::default().on(LOCATION, move |request: CreateUploadLocationRequest| {
        assert_eq!(
            (request.project.as_str(), request.org.as_str(), request.content_length),
            ("p", "acme", 13)
        );
        assert_eq!(request.content_md5, Md5::digest(b"content of it").to_vec());
        let headers = if present { (PRESENT_HEADER, "true") } else { ("x-extra", "1") };
        Ok(Answer::one(&CreateUploadLocationResponse {
            signed_url: url.clone(),
            native_url: "s3://bucket/key".into(),
            headers: [(headers.0.to_owned(), headers.1.to_owned())].into_iter().collect(),
            ..Default::default()
        }))
    })
}

async fn upload(server: &Server, content: Content) -> (Result<Uploaded, UploadError>, u64) {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    let progress: Progress = Arc::new(move |more| {
        counted.fetch_add(more, Ordering::Relaxed);
    });
    let uploads = server.client().uploads();
    let here = "http://localhost:1".parse().unwrap();
    let http = flyte_auth::http::Http::new(&Default::default(), here).unwrap();
    let result =
        uploads.upload(&ProjectDomain::new("p", "d"), "", "a.tar.gz", &content, &http, progress).await;
    (result, sent.load(Ordering::Relaxed))
}

#[tokio::test]
async fn content_is_sent_to_the_upload_location_with_its_hash() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "content of it").unwrap();
    for content in [Content::Bytes("content of it".into()), Content::File(file.path().to_owned())] {
        let (url, store) = store(&[200]);
        let (result, sent) = upload(&located(url, false), content).await;
        assert_eq!(result.unwrap(), Uploaded { native_url: "s3://bucket/key".into(), was_there: false });
        assert_eq!(sent, 13);
        let request = store.join().unwrap().remove(0).to_lowercase();
        assert!(request.starts_with("put /bucket/key?signature=s3cr3t http/1.1"), "{request}");
        let md5 = format!("content-md5: {}", STANDARD.encode(Md5::digest(b"content of it"))).to_lowercase();
        for header in [md5.as_str(), "content-length: 13", "x-extra: 1"] {
            assert!(request.contains(header), "{header}: {request}");
        }
        assert!(!request.contains("authorization"));
    }
}

#[tokio::test]
async fn content_that_the_server_has_is_not_sent() {
    let (result, sent) =
        upload(&located("http://127.0.0.1:1/".into(), true), Content::Bytes("content of it".into())).await;
    assert!(result.unwrap().was_there);
    assert_eq!(sent, 0);
}

#[tokio::test]
async fn temporary_failures_are_retried_and_errors_do_not_show_the_url() {
    let (url, store) = store(&[503, 200]);
    let (result, _) = upload(&located(url, false), Content::Bytes("content of it".into())).await;
    assert!(!result.unwrap().was_there);
    assert_eq!(store.join().unwrap().len(), 2);
    let (url, store) = self::store(&[403]);
    let (result, _) = upload(&located(url, false), Content::Bytes("content of it".into())).await;
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "127.0.0.1 rejected a.tar.gz (403 Forbidden): no");
    store.join().unwrap();
    let (result, _) = upload(
        &located("http://127.0.0.1:1/?signature=s3cr3t".into(), false),
        Content::Bytes("content of it".into()),
    )
    .await;
    let text = result.unwrap_err().to_string();
    assert!(text.starts_with("no answer from 127.0.0.1") && !text.contains("s3cr3t"), "{text}");
    let (result, _) = upload(&located(String::new(), false), Content::File("/nowhere/at/all".into())).await;
    assert!(matches!(result, Err(UploadError::Read { .. })));
}
