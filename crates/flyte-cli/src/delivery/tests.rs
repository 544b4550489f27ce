use std::fs;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn to_file(path: &Path, force: bool) -> Delivery {
    Delivery { output: Some(path.to_owned()), force, pipe_to: Vec::new(), _format: Format::Table }
}

#[cfg(unix)]
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
fn file_is_private_and_not_overwritten_without_force() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    to_file(&path, false).prepare().unwrap().hand_over(&secret("one"), &secret("")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    #[cfg(unix)]
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let failure = to_file(&path, false).prepare().unwrap_err();
    assert!(format!("{failure:?}").contains("it already exists; no key was created"), "{failure:?}");
    #[cfg(unix)]
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    to_file(&path, true).prepare().unwrap().hand_over(&secret("two"), &secret("")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    #[cfg(unix)]
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(directory.path()), ["key"]);
}

#[test]
fn file_created_meanwhile_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let outlet = to_file(&path, false).prepare().unwrap();
    fs::write(&path, "another's").unwrap();
    outlet.hand_over(&secret("one"), &secret("")).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
    assert_eq!(names(directory.path()), ["key"]);
}

#[test]
fn dropped_outlet_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    drop(to_file(&directory.path().join("key"), false).prepare().unwrap());
    #[cfg(unix)]
    {
        // The end of its input would look like an empty secret.
        let line = format!("cat && touch {}/taken", directory.path().display());
        drop(to_shell(&line).prepare().unwrap());
    }
    assert_eq!(names(directory.path()), Vec::<String>::new());
    to_file(&directory.path().join("no/such/key"), false).prepare().unwrap_err();
    to_file(directory.path(), true).prepare().unwrap_err();
}

#[cfg(unix)]
#[test]
fn command_reads_exactly_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let taken = directory.path().join("taken");
    let outlet = to_shell(&format!("cat > {}", taken.display())).prepare().unwrap();
    outlet.hand_over(&secret("the key"), &secret("")).unwrap();
    assert_eq!(fs::read_to_string(&taken).unwrap(), "the key");
}

#[cfg(unix)]
#[test]
fn failing_command_is_a_failure() {
    let failure = to_shell("cat > /dev/null; exit 3").prepare().unwrap().hand_over(&secret("k"), &secret(""));
    let failure = format!("{:?}", failure.unwrap_err());
    assert!(failure.contains("cannot pass the key to sh") && failure.contains("exit status: 3"), "{failure}");
    // Longer than the buffer of a pipe, so that a missing reader is noticed.
    let long = secret(&"x".repeat(1 << 20));
    let failure = to_shell("exec <&-; exit 0").prepare().unwrap().hand_over(&long, &secret("")).unwrap_err();
    assert!(format!("{failure:?}").contains("it did not read the key"), "{failure:?}");
    let missing = Delivery { pipe_to: vec!["/no/such/program".into()], ..to_shell("") };
    assert!(format!("{:?}", missing.prepare().unwrap_err()).contains("no key was created"));
}

#[test]
fn format_is_not_mistaken_for_a_file() {
    for word in ["json", "yaml", "table", "JSON"] {
        assert!(file(word).unwrap_err().contains(&format!("--output-format {word}")));
    }
    assert_eq!(file("./json"), Ok(PathBuf::from("./json")));
}

#[test]
fn program_is_found_on_the_search_path() {
    let missing =
        Delivery { pipe_to: vec!["no-such-program-of-ours".into()], ..to_file(Path::new("x"), false) };
    let missing = Delivery { output: None, ..missing };
    assert!(format!("{:?}", missing.examine().unwrap_err()).contains("there is no such program"));
    // Windows finds cmd.exe, and with the whole name too.
    for program in if cfg!(windows) { ["cmd", "cmd.exe"] } else { ["sh", "/bin/sh"] } {
        assert!(is_on_path(&program.into()), "{program}");
    }
    assert_eq!(with_exe(Path::new("a.b/kubectl")), PathBuf::from("a.b/kubectl.exe"));
}
