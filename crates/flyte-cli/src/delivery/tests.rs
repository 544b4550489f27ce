use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn to_file(path: &Path, force: bool) -> Delivery {
    Delivery { output: Some(path.to_owned()), force, pipe_to: Vec::new(), _format: Format::Table }
}

fn to_shell(line: &str) -> Delivery {
    let words = ["sh", "-c", line].map(OsString::from).to_vec();
    Delivery { output: None, force: false, pipe_to: words, _format: Format::Table }
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_is_private_whole_and_never_overwritten_unasked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    to_file(&path, false).prepare().unwrap().hand_over(&secret("one"), &secret("")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let failure = to_file(&path, false).prepare().unwrap_err();
    assert!(format!("{failure:?}").contains("it exists already, and no key was made"), "{failure:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    to_file(&path, true).prepare().unwrap().hand_over(&secret("two"), &secret("")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(directory.path()), ["key"]);
}

#[test]
fn a_file_that_appears_meanwhile_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let outlet = to_file(&path, false).prepare().unwrap();
    fs::write(&path, "another's").unwrap();
    outlet.hand_over(&secret("one"), &secret("")).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
    assert_eq!(names(directory.path()), ["key"]);
}

#[test]
fn a_place_without_its_secret_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    drop(to_file(&directory.path().join("key"), false).prepare().unwrap());
    // It would take the end of its input for an empty secret.
    let line = format!("cat && touch {}/taken", directory.path().display());
    drop(to_shell(&line).prepare().unwrap());
    assert_eq!(names(directory.path()), Vec::<String>::new());
    to_file(&directory.path().join("no/such/key"), false).prepare().unwrap_err();
    to_file(directory.path(), true).prepare().unwrap_err();
}

#[test]
fn a_command_reads_exactly_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let taken = directory.path().join("taken");
    let outlet = to_shell(&format!("cat > {}", taken.display())).prepare().unwrap();
    outlet.hand_over(&secret("the key"), &secret("")).unwrap();
    assert_eq!(fs::read_to_string(&taken).unwrap(), "the key");
}

#[test]
fn a_command_that_fails_is_a_failure() {
    let failure = to_shell("cat > /dev/null; exit 3").prepare().unwrap().hand_over(&secret("k"), &secret(""));
    let failure = format!("{:?}", failure.unwrap_err());
    assert!(failure.contains("cannot hand the key to sh") && failure.contains("exit status: 3"), "{failure}");
    // Longer than a pipe holds: it shows that nobody reads.
    let long = secret(&"x".repeat(1 << 20));
    let failure = to_shell("exec <&-; exit 0").prepare().unwrap().hand_over(&long, &secret("")).unwrap_err();
    assert!(format!("{failure:?}").contains("it did not read the key"), "{failure:?}");
    let missing = Delivery { pipe_to: vec!["/no/such/program".into()], ..to_shell("") };
    assert!(format!("{:?}", missing.prepare().unwrap_err()).contains("no key was made"));
}

#[test]
fn a_format_is_not_taken_for_a_file() {
    for word in ["json", "yaml", "table", "JSON"] {
        assert!(file(word).unwrap_err().contains(&format!("--output-format {word}")));
    }
    assert_eq!(file("./json"), Ok(PathBuf::from("./json")));
}
