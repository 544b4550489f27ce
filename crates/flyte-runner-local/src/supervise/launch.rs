//! The process that becomes the command: it gives up what the command must not have, and then its place.

use std::{
    collections::BTreeSet,
    ffi::{CString, OsStr},
    fs,
    io::{self, Write as _},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
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

/// The exit code where the command cannot be started, as of shells.
pub(super) const CANNOT_START: u8 = 126;
/// What of Landlock is asked for; of it, what the kernel has.
const LANDLOCK: ABI = ABI::V6;
/// How much likelier than others the system kills the command where memory runs out.
const OOM_SCORE: &str = "500";

/// Becomes the command of the process in `directory`; returns only why it cannot.
pub(super) fn run(parent: &str, directory: &Path) -> io::Error {
    match prepare(parent, directory) {
        Ok(Spec { command, environment, .. }) => {
            let (program, arguments) = command.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
            // Only now, behind the sandbox: what the task's variables have loaded (LD_PRELOAD) must not be loaded before it.
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
    // A task that dies does not fill the disk with its memory.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum })?;
    // Where it cannot be written the system chooses whom it kills as ever.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    if let Some(sandbox) = &spec.sandbox {
        let enforced = restrict(sandbox, directory)?;
        if let Some(lack) = lack(enforced) {
            if sandbox.required {
                return Err(io::Error::other(lack));
            }
            // Into the task's log, where whoever is surprised looks.
            let _ = writeln!(
                io::stderr(),
                "flyte-server: {lack}; runner.sandbox = \"required\" runs nothing then"
            );
        }
    }
    Ok(spec)
}

/// Keeps this process from what is hidden. Landlock knows only what is allowed, with all that is below it: what is allowed is
/// everything beside the ways there.
fn restrict(sandbox: &Sandbox, directory: &Path) -> io::Result<RulesetStatus> {
    // What is not there cannot be read; nor can what is put there later, since the directory is not allowed.
    let hidden: BTreeSet<PathBuf> = sandbox.hidden.iter().map(|path| real_path(path)).collect();
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))
        .and_then(|rules| rules.scope(Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    let (everything, reading) = (AccessFs::from_all(LANDLOCK), AccessFs::from_read(LANDLOCK));
    let mut rules = rules;
    for path in beside(&hidden)? {
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

/// What the sandbox lacks on this kernel, for people.
fn lack(enforced: RulesetStatus) -> Option<&'static str> {
    match enforced {
        RulesetStatus::FullyEnforced => None,
        RulesetStatus::PartiallyEnforced => Some(
            "this kernel has a part of Landlock only (Linux 6.12 has what is asked for): the task may be able to \
             truncate the server's files or to send signals to other processes",
        ),
        RulesetStatus::NotEnforced => {
            Some("this kernel has no Landlock, which keeps the task from the server's files")
        }
    }
}

/// The path without links, as far as it is there.
fn real_path(path: &Path) -> PathBuf {
    match (fs::canonicalize(path), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => real_path(parent).join(name),
        (Err(_), ..) => path.to_owned(),
    }
}

/// What is beside the `hidden` paths and beside the directories that they are in. Links are left out: what they lead to counts,
/// and that may be hidden.
fn beside(hidden: &BTreeSet<PathBuf>) -> io::Result<Vec<PathBuf>> {
    let ways: BTreeSet<&Path> = hidden.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    let mut found = Vec::new();
    for way in &ways {
        // Below what is hidden, all is.
        if way.ancestors().any(|path| hidden.contains(path)) {
            continue;
        }
        // A directory that we cannot list is one that the command can only go through.
        for entry in fs::read_dir(way).into_iter().flatten() {
            let entry = entry?;
            let path = entry.path();
            if !hidden.contains(&path) && !ways.contains(path.as_path()) && !entry.file_type()?.is_symlink() {
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
    // What is not there, or not for us, need not be allowed.
    let (Ok(metadata), Ok(fd)) = (fs::metadata(path), PathFd::new(path)) else { return Ok(rules) };
    let access = if metadata.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) };
    rules.add_rule(PathBeneath::new(fd, access)).map_err(io::Error::other)
}

/// Looks for the program of a command as the system does, so that a missing one is told as such.
pub(super) fn find_program(command: &[String], path: Option<&String>, work: &Path) -> Result<(), String> {
    let Some(program) = command.first().filter(|program| !program.is_empty()) else {
        return Err("the command is empty".to_owned());
    };
    let runs = |candidate: &Path| candidate.is_file() && access(candidate, Access::EXEC_OK).is_ok();
    if CString::new(program.as_str()).is_err() {
        return Err(format!("{program:?} is no name of a program"));
    }
    if program.contains('/') {
        return if runs(&work.join(program)) {
            Ok(())
        } else {
            Err(format!("there is no program {program}"))
        };
    }
    let path = path.map_or("", String::as_str);
    let found = path
        .split(':')
        .any(|directory| runs(&work.join(OsStr::from_bytes(directory.as_bytes())).join(program)));
    if found { Ok(()) } else { Err(format!("there is no program {program:?} in {path}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_whole_or_told_of() {
        assert_eq!(lack(RulesetStatus::FullyEnforced), None);
        assert!(
            lack(RulesetStatus::PartiallyEnforced).is_some_and(|lack| lack.contains("a part of Landlock"))
        );
        assert!(lack(RulesetStatus::NotEnforced).is_some_and(|lack| lack.contains("no Landlock")));
    }

    #[test]
    fn everything_but_the_way_there_is_beside_a_directory() {
        let home = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(home.path()).unwrap();
        fs::create_dir_all(root.join("a/data/inside")).unwrap();
        fs::create_dir(root.join("b")).unwrap();
        fs::write(root.join("a/file"), "").unwrap();
        std::os::unix::fs::symlink(&root, root.join("b-link")).unwrap();
        let found = beside(&BTreeSet::from([root.join("a/data")])).unwrap();
        assert!(found.contains(&root.join("b")) && found.contains(&root.join("a/file")));
        assert!(found.contains(&PathBuf::from("/proc")));
        for path in &found {
            assert!(!root.join("a/data").starts_with(path), "{}", path.display());
            assert!(!path.starts_with(root.join("a/data")), "{}", path.display());
        }
        assert!(!found.contains(&root.join("b-link")));
        // Several, also where one is in another, and one that is not there.
        fs::write(root.join("b/key.pem"), "").unwrap();
        let hidden = ["a/data", "a/data/inside", "b/key.pem", "none/at/all"].map(|name| root.join(name));
        let found = beside(&BTreeSet::from(hidden)).unwrap();
        assert!(found.contains(&root.join("a/file")) && !found.contains(&root.join("b")), "{found:?}");
        assert!(!found.contains(&root.join("b/key.pem")) && !found.contains(&root.join("a")));
        assert!(!found.iter().any(|path| path.starts_with(root.join("a/data"))));
    }

    #[test]
    fn what_a_link_leads_to_is_hidden() {
        let home = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(home.path()).unwrap();
        fs::create_dir(root.join("archive")).unwrap();
        fs::write(root.join("archive/key1.pem"), "").unwrap();
        std::os::unix::fs::symlink("archive/key1.pem", root.join("key.pem")).unwrap();
        assert_eq!(real_path(&root.join("key.pem")), root.join("archive/key1.pem"));
        assert_eq!(real_path(&root.join("none/key.pem")), root.join("none/key.pem"));
    }

    #[test]
    fn a_program_is_looked_for_as_shells_do() {
        let work = tempfile::tempdir().unwrap();
        let path = "/usr/bin:/bin".to_owned();
        let find = |program: &str| find_program(&[program.to_owned()], Some(&path), work.path());
        assert_eq!(find("sh"), Ok(()));
        assert_eq!(find("/bin/sh"), Ok(()));
        assert_eq!(
            find("a0-that-is-not-there").unwrap_err(),
            "there is no program \"a0-that-is-not-there\" in /usr/bin:/bin"
        );
        assert_eq!(find("./run").unwrap_err(), "there is no program ./run");
        fs::write(work.path().join("run"), "#!/bin/sh\n").unwrap();
        assert!(find("./run").is_err(), "it cannot be executed");
        assert!(find("").is_err() && find("a\0b").is_err() && find_program(&[], None, work.path()).is_err());
    }
}
