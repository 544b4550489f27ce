use std::fs;

use super::*;

fn objects() -> (tempfile::TempDir, Objects) {
    let home = tempfile::tempdir().unwrap();
    let objects = Objects::new(&Config::for_test(home.path())).unwrap();
    objects.prepare().unwrap();
    (home, objects)
}

fn unfinished(objects: &Objects) -> usize {
    fs::read_dir(&objects.unfinished).unwrap().count()
}

#[tokio::test]
async fn what_is_put_can_be_had_by_its_native_url_and_as_a_file() {
    let (home, objects) = objects();
    let url = objects.native_url("p", "d", "runs/r1/a0/out puts.pb").unwrap();
    let file = home.path().join("objects/p/d/runs/r1/a0/out puts.pb");
    assert_eq!(url, file.display().to_string());
    assert_eq!(objects.get(&url).await.unwrap(), None);
    for content in ["one", ""] {
        objects.put(&url, content.into()).await.unwrap();
        assert_eq!(objects.get(&url).await.unwrap().unwrap(), content);
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
    // As a task does.
    fs::write(&file, "two").unwrap();
    assert_eq!(objects.get(&url).await.unwrap().unwrap(), "two");
    assert_eq!(unfinished(&objects), 0);
    for scheme in ["file://", "objects://"] {
        assert_eq!(objects.get(&format!("{scheme}{url}")).await.unwrap().unwrap(), "two");
    }
    assert_eq!(objects.directory_of("p", "d").unwrap(), home.path().join("objects/p/d"));
}

#[tokio::test]
async fn a_url_that_is_none_of_ours_is_refused() {
    let (home, objects) = objects();
    let base = home.path().display();
    for url in [
        format!("file://{base}/flyte.db"),
        format!("file://{base}/objects/../flyte.db"),
        format!("file://{base}/objects/p/d/../../../flyte.db"),
        format!("file://{base}/objects-of-others/p/d/x"),
        format!("file://{base}/objects//etc/passwd"),
        format!("file://{base}/objects/p/d/"),
        format!("http://{base}/objects/p/d/x"),
        "s3://bucket/p/d/x".to_owned(),
        String::new(),
    ] {
        assert!(objects.key_of(&url).is_err(), "{url}");
        assert!(objects.get(&url).await.is_err(), "{url}");
        assert!(objects.put(&url, Bytes::new()).await.is_err(), "{url}");
    }
    let folder = objects.native_url("p", "d", "runs/r1").unwrap();
    assert_eq!(objects.key_of(&format!("{folder}/")).unwrap().path(), "runs/r1");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_read() {
    let (_home, objects) = objects();
    let url = objects.native_url("p", "d", "large").unwrap();
    objects.put(&url, Bytes::new()).await.unwrap();
    let file = fs::File::options().write(true).open(&url).unwrap();
    file.set_len(MAX_MESSAGE + 1).unwrap();
    assert!(matches!(objects.get(&url).await, Err(ObjectError::TooLarge { .. })));
}

#[tokio::test]
async fn an_unfinished_upload_leaves_nothing() {
    let (_home, objects) = objects();
    let staged = objects.stage().await.unwrap().write(&"half".into()).await.unwrap();
    assert_eq!((staged.length(), unfinished(&objects)), (4, 1));
    drop(staged);
    assert_eq!(unfinished(&objects), 0);
    // A process that is killed does not get to that.
    fs::write(objects.unfinished.join(".unfinished-x"), "half").unwrap();
    objects.prepare().unwrap();
    assert_eq!(unfinished(&objects), 0);
}
