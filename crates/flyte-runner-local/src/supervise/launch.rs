//! The process that becomes the command. It drops the permissions that the command must not have, then executes the command.

use std::{
    collections::BTreeSet,
    ffi::{CString, OsStr},
    fs,
    io::{self, Write as _},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::{Component, Path, PathBuf},
    process::Command,
};

use landlock::{
    ABI, Access as _, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use rustix::{
    fs::{Access, access},
    process::{Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit},
};

use crate::process::{Sandbox, Spec};

/// The exit code if the command cannot be started. Shells use the same code.
pub(super) const CANNOT_START: u8 = 126;
/// The requested version of Landlock. An older kernel enforces the part that it supports.
const LANDLOCK_VERSION: ABI = ABI::V6;
/// The variable with the directories in which the Python packages look for modules, below the directory where they unpack the
/// code.
const MODULE_DIRECTORIES_VARIABLE: &str = "_F_SYS_PATH";
/// The largest number of such directories. More are left to the command.
const MAX_MODULE_DIRECTORIES: usize = 100;
/// The OOM score adjustment (proc(5)). If the machine runs out of memory, the system kills the command before others.
const OOM_SCORE_ADJUSTMENT: &str = "500";

/// Executes the command of the process in `directory`. Returns only if this fails.
pub(super) fn run(parent: &str, directory: &Path) -> io::Error {
    match prepare(parent, directory) {
        Ok(Spec { command, environment, .. }) => {
            if let Some(value) = environment.get(MODULE_DIRECTORIES_VARIABLE) {
                create_module_directories(Path::new("."), value);
            }
            let (program, arguments) = command.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
            // The variables are set after the sandbox: LD_PRELOAD must not load a library before the sandbox is active.
            let error = Command::new(program).args(arguments).env_clear().envs(environment).exec();
            io::Error::new(error.kind(), format!("cannot start {program:?}: {error}"))
        }
        Err(error) => error,
    }
}

fn prepare(parent: &str, directory: &Path) -> io::Result<Spec> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().map(|pid| pid.as_raw_nonzero().to_string()).as_deref() != Some(parent) {
        return Err(io::Error::other("the supervisor has ended"));
    }
    let spec: Spec = serde_json::from_slice(&fs::read(directory.join("spec.json"))?)?;
    // A core dump of a task could fill the disk.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum })?;
    // If this fails, the system uses its default score.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJUSTMENT);
    if let Some(sandbox) = &spec.sandbox {
        let enforced = restrict(sandbox, directory)?;
        if let Some(missing) = describe_missing(enforced) {
            if sandbox.required {
                return Err(io::Error::other(missing));
            }
            // Standard error is the task's log, so the user of the task sees this warning.
            let _ = writeln!(
                io::stderr(),
                "flyte-server: {missing}. To refuse tasks on such kernels, set runner.sandbox = \"required\""
            );
        }
    }
    Ok(spec)
}

/// Creates the directories below `work` in which the command looks for modules. The published package adds them to `sys.path`
/// before it unpacks the code, and Python ignores a directory of `sys.path` for good if it does not exist at the first import.
/// This process is in the sandbox already, so the command itself could create the same directories.
fn create_module_directories(work: &Path, value: &str) {
    for entry in value.split(':').take(MAX_MODULE_DIRECTORIES).map(Path::new) {
        if entry.components().all(|part| matches!(part, Component::CurDir | Component::Normal(_))) {
            // If this fails, the command reports the module that it cannot import.
            let _ = fs::create_dir_all(work.join(entry));
        }
    }
}

/// Denies this process access to the hidden paths. Landlock can only allow a path together with everything below it. So this
/// allows all siblings of the hidden paths and of their ancestors.
fn restrict(sandbox: &Sandbox, directory: &Path) -> io::Result<RulesetStatus> {
    // A hidden path may not exist. It stays hidden if it is created later, because its directory is not allowed.
    let hidden: BTreeSet<PathBuf> = sandbox.hidden.iter().map(|path| real_path(path)).collect();
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK_VERSION))
        .and_then(|rules| rules.scope(Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    let (everything, reading) = (AccessFs::from_all(LANDLOCK_VERSION), AccessFs::from_read(LANDLOCK_VERSION));
    let mut rules = rules;
    for path in siblings(&hidden)? {
        rules = allow(rules, &path, everything)?;
    }
    for path in sandbox.readable.iter().map(PathBuf::as_path).chain([directory]) {
        rules = allow(rules, path, reading)?;
    }
    let own = ["work", "tmp"].map(|name| directory.join(name));
    for path in sandbox.writable.iter().chain(&own) {
        rules = allow(rules, path, everything)?;
    }
    Ok(rules.restrict_self().map_err(io::Error::other)?.ruleset)
}

/// Describes the missing part of the sandbox on this kernel, for the user. `None` if the sandbox is complete.
fn describe_missing(enforced: RulesetStatus) -> Option<&'static str> {
    match enforced {
        RulesetStatus::FullyEnforced => None,
        RulesetStatus::PartiallyEnforced => Some(
            "this kernel supports only a part of Landlock (Linux 6.12 supports all of it): the task may be able to \
             truncate the server's files or to send signals to other processes",
        ),
        RulesetStatus::NotEnforced => {
            Some("this kernel does not support Landlock: the task can read the server's files")
        }
    }
}

/// Resolves the symbolic links of a path, as far as the path exists.
fn real_path(path: &Path) -> PathBuf {
    match (fs::canonicalize(path), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => real_path(parent).join(name),
        (Err(_), ..) => path.to_owned(),
    }
}

/// Lists the siblings of the `hidden` paths and of their ancestors. Symbolic links are left out: Landlock checks their
/// targets, and a target may be hidden.
fn siblings(hidden: &BTreeSet<PathBuf>) -> io::Result<Vec<PathBuf>> {
    let ancestors: BTreeSet<&Path> = hidden.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    let mut found = Vec::new();
    for ancestor in &ancestors {
        // Everything below a hidden path is hidden.
        if ancestor.ancestors().any(|path| hidden.contains(path)) {
            continue;
        }
        // The command cannot list this directory if this process cannot.
        for entry in fs::read_dir(ancestor).into_iter().flatten() {
            let entry = entry?;
            let path = entry.path();
            if !hidden.contains(&path)
                && !ancestors.contains(path.as_path())
                && !entry.file_type()?.is_symlink()
            {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> io::Result<RulesetCreated> {
    // A path that does not exist or is not accessible needs no rule.
    let (Ok(metadata), Ok(fd)) = (fs::metadata(path), PathFd::new(path)) else { return Ok(rules) };
    let access = if metadata.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK_VERSION) };
    rules.add_rule(PathBeneath::new(fd, access)).map_err(io::Error::other)
}

/// Searches the program of a command in the same way as the system, to report a missing program.
pub(super) fn find_program(command: &[String], path: Option<&String>, work: &Path) -> Result<(), String> {
    let Some(program) = command.first().filter(|program| !program.is_empty()) else {
        return Err("the command is empty".to_owned());
    };
    let is_executable = |candidate: &Path| candidate.is_file() && access(candidate, Access::EXEC_OK).is_ok();
    if CString::new(program.as_str()).is_err() {
        return Err(format!("{program:?} is not a valid program name"));
    }
    if program.contains('/') {
        return if is_executable(&work.join(program)) {
            Ok(())
        } else {
            Err(format!("cannot find the program {program}"))
        };
    }
    let path = path.map_or("", String::as_str);
    let found = path
        .split(':')
        .any(|directory| is_executable(&work.join(OsStr::from_bytes(directory.as_bytes())).join(program)));
    if found { Ok(()) } else { Err(format!("cannot find the program {program:?} in {path}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_sandbox_is_described() {
        assert_eq!(describe_missing(RulesetStatus::FullyEnforced), None);
        assert!(
            describe_missing(RulesetStatus::PartiallyEnforced)
                .is_some_and(|text| text.contains("a part of Landlock"))
        );
        assert!(
            describe_missing(RulesetStatus::NotEnforced)
                .is_some_and(|text| text.contains("not support Landlock"))
        );
    }

    #[test]
    fn directories_of_modules_are_created_below_the_working_directory() {
        let home = tempfile::tempdir().unwrap();
        let work = home.path().join("work");
        fs::create_dir(&work).unwrap();
        create_module_directories(&work, "./.:./src/below::lib:../outside:src/../../outside");
        let absolute = home.path().join("absolute");
        create_module_directories(&work, absolute.to_str().unwrap());
        assert!(work.join("src/below").is_dir() && work.join("lib").is_dir());
        assert_eq!(fs::read_dir(&work).unwrap().count(), 2);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn siblings_exclude_the_ancestors_of_hidden_paths() {
        let home = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(home.path()).unwrap();
        fs::create_dir_all(root.join("a/data/inside")).unwrap();
        fs::create_dir(root.join("b")).unwrap();
        fs::write(root.join("a/file"), "").unwrap();
        std::os::unix::fs::symlink(&root, root.join("b-link")).unwrap();
        let found = siblings(&BTreeSet::from([root.join("a/data")])).unwrap();
        assert!(found.contains(&root.join("b")) && found.contains(&root.join("a/file")));
        assert!(found.contains(&PathBuf::from("/proc")));
        for path in &found {
            assert!(!root.join("a/data").starts_with(path), "{}", path.display());
            assert!(!path.starts_with(root.join("a/data")), "{}", path.display());
        }
        assert!(!found.contains(&root.join("b-link")));
        // Several paths: one contains another, and one does not exist.
        fs::write(root.join("b/key.pem"), "").unwrap();
        let hidden = ["a/data", "a/data/inside", "b/key.pem", "none/at/all"].map(|name| root.join(name));
        let found = siblings(&BTreeSet::from(hidden)).unwrap();
        assert!(found.contains(&root.join("a/file")) && !found.contains(&root.join("b")), "{found:?}");
        assert!(!found.contains(&root.join("b/key.pem")) && !found.contains(&root.join("a")));
        assert!(!found.iter().any(|path| path.starts_with(root.join("a/data"))));
    }

    #[test]
    fn the_target_of_a_link_is_hidden() {
        let home = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(home.path()).unwrap();
        fs::create_dir(root.join("archive")).unwrap();
        fs::write(root.join("archive/key1.pem"), "").unwrap();
        std::os::unix::fs::symlink("archive/key1.pem", root.join("key.pem")).unwrap();
        assert_eq!(real_path(&root.join("key.pem")), root.join("archive/key1.pem"));
        assert_eq!(real_path(&root.join("none/key.pem")), root.join("none/key.pem"));
    }

    #[test]
    fn a_program_is_found_in_path_or_by_its_path() {
        let work = tempfile::tempdir().unwrap();
        let path = "/usr/bin:/bin".to_owned();
        let find = |program: &str| find_program(&[program.to_owned()], Some(&path), work.path());
        assert_eq!(find("sh"), Ok(()));
        assert_eq!(find("/bin/sh"), Ok(()));
        assert_eq!(
            find("a0-that-is-not-there").unwrap_err(),
            "cannot find the program \"a0-that-is-not-there\" in /usr/bin:/bin"
        );
        assert_eq!(find("./run").unwrap_err(), "cannot find the program ./run");
        fs::write(work.path().join("run"), "#!/bin/sh\n").unwrap();
        assert!(find("./run").is_err(), "the file is not executable");
        assert!(find("").is_err() && find("a\0b").is_err() && find_program(&[], None, work.path()).is_err());
    }
}
