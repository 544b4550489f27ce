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
async fn an_object_is_read_by_its_native_url_and_as_a_file() {
    let (home, objects) = objects();
    let url = objects.native_url("p", "d", "runs/r1/a0/out puts.pb").unwrap();
    let file = home.path().join("objects/p/d/runs/r1/a0/out puts.pb");
    assert_eq!(url, "objects://p/d/runs/r1/a0/out puts.pb");
    assert_eq!(objects.for_command(&url), file.display().to_string());
    assert_eq!(objects.for_command("/etc/passwd"), "/etc/passwd");
    assert_eq!(objects.get(&url).await.unwrap(), None);
    for content in ["one", ""] {
        objects.put(&url, content.into()).await.unwrap();
        assert_eq!(objects.get(&url).await.unwrap().unwrap(), content);
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
    // A task writes the file directly.
    fs::write(&file, "two").unwrap();
    assert_eq!(objects.get(&url).await.unwrap().unwrap(), "two");
    assert_eq!(unfinished(&objects), 0);
    // Tasks use the path of the file.
    for scheme in ["", "file://", "objects://"] {
        let path = format!("{scheme}{}", file.display());
        assert_eq!(objects.url_of(&objects.key_of(&path).unwrap()), url);
        assert_eq!(objects.get(&path).await.unwrap().unwrap(), "two");
    }
    assert_eq!(objects.directory_of("p", "d").unwrap(), home.path().join("objects/p/d"));
}

#[tokio::test]
async fn a_foreign_url_is_rejected() {
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
        "objects:///p/d/x".to_owned(),
        "objects://p/d".to_owned(),
        "objects://p/d/../x".to_owned(),
        "/former/objects/p/d/x".to_owned(),
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
async fn a_former_path_names_the_same_object() {
    let (home, objects) = objects();
    let objects = objects.with_former_directories(vec!["/former/objects".to_owned()]);
    for url in ["/former/objects/p/d/x", "objects:///former/objects/p/d/x", "file:///former/objects/p/d/x"] {
        assert_eq!(objects.url_of(&objects.key_of(url).unwrap()), "objects://p/d/x");
        assert_eq!(objects.for_command(url), home.path().join("objects/p/d/x").display().to_string());
    }
    assert!(objects.key_of("/former/objects-2/p/d/x").is_err());
    let list = secrecy::ExposeSecret::expose_secret(&objects.environment()[0].1).to_owned();
    assert_eq!(list, format!("[\"{}/objects\",\"/former/objects\"]", home.path().display()));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_read() {
    let (_home, objects) = objects();
    let url = objects.native_url("p", "d", "large").unwrap();
    objects.put(&url, Bytes::new()).await.unwrap();
    let file = fs::File::options().write(true).open(objects.for_command(&url)).unwrap();
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
    // A killed process does not drop it.
    fs::write(objects.unfinished.join(".unfinished-x"), "half").unwrap();
    objects.prepare().unwrap();
    assert_eq!(unfinished(&objects), 0);
}
