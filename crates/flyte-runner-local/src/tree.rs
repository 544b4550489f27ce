//! The processes that a process has started, by what `/proc` tells.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::process::MARK;

/// How often what a killed supervisor left is looked for again; each time what is found is killed.
const SWEEPS: u32 = 200;

/// A process at a moment. Numbers are used again; together with when it began it is one process and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) pid: Pid,
    parent: i32,
    session: i32,
    began: u64,
    /// Ended, and its parent has not looked yet.
    ended: bool,
}

/// Every process that has been started by `root`, or by one that has, and has not ended.
pub(super) fn descendants(root: Pid) -> Vec<Member> {
    let mut children: BTreeMap<i32, Vec<Member>> = BTreeMap::new();
    for member in all() {
        children.entry(member.parent).or_default().push(member);
    }
    let mut found = Vec::new();
    let mut open = vec![root.as_raw_nonzero().get()];
    while let Some(parent) = open.pop() {
        for member in children.remove(&parent).unwrap_or_default() {
            open.push(member.pid.as_raw_nonzero().get());
            if !member.ended {
                found.push(member);
            }
        }
    }
    found
}

/// Sends a signal to exactly this process; one that has ended is left alone.
pub(super) fn signal(member: &Member, signal: Signal) {
    let Ok(fd) = pidfd_open(member.pid, PidfdFlags::empty()) else { return };
    if look(member.pid.as_raw_nonzero().get()).is_some_and(|now| now.began == member.began) {
        // It may end at this moment.
        let _ = pidfd_send_signal(fd, signal);
    }
}

/// Bytes of memory that nobody else has, of all these processes together; what they have mapped from files, which the
/// system can drop, is not counted. Cheap where it is far from `interesting`.
pub(super) fn memory(members: &[Member], interesting: u64) -> u64 {
    let resident: u64 = members.iter().map(|member| kilobytes(member, "status", &["VmRSS:"])).sum();
    if resident * 1024 <= interesting {
        return resident * 1024;
    }
    // Pages that processes share after a fork are counted in parts.
    let exact =
        members.iter().map(|member| match kilobytes(member, "smaps_rollup", &["Pss_Anon:", "Pss_Shmem:"]) {
            0 => kilobytes(member, "status", &["RssAnon:", "RssShmem:"]),
            shared_out => shared_out,
        });
    exact.sum::<u64>() * 1024
}

fn kilobytes(member: &Member, file: &str, names: &[&str]) -> u64 {
    let text =
        fs::read_to_string(format!("/proc/{}/{file}", member.pid.as_raw_nonzero())).unwrap_or_default();
    let values = text.lines().filter_map(|line| {
        let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
        rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    values.sum()
}

/// Kills what is left of the process in `directory` after its supervisor was killed: the system has killed the command
/// itself, but not what that has started. They are known by their session, or by the mark in their environment.
pub(super) fn kill_rest(directory: &Path, supervisor: Pid) {
    let mark = format!("{MARK}={}", directory.display());
    for _ in 0..SWEEPS {
        let left: Vec<_> = all()
            .into_iter()
            .filter(|member| !member.ended && member.pid != supervisor)
            .filter(|member| member.session == supervisor.as_raw_nonzero().get() || marked(member, &mark))
            .collect();
        if left.is_empty() {
            return;
        }
        for member in &left {
            signal(member, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    tracing::error!(directory = %directory.display(), "processes of a task cannot be killed");
}

fn marked(member: &Member, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", member.pid.as_raw_nonzero())).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}

fn all() -> Vec<Member> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| look(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn look(pid: i32) -> Option<Member> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads `/proc/PID/stat` (proc(5)): the name of the program stands in parentheses and may hold anything.
fn parse(pid: i32, stat: &str) -> Option<Member> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_ascii_whitespace().collect();
    Some(Member {
        pid: Pid::from_raw(pid)?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        began: fields.get(19)?.parse().ok()?,
        ended: matches!(*fields.first()?, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let stat = "42 (a) R 1 (x) S 7 42 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        let member = parse(42, stat).unwrap();
        assert_eq!((member.parent, member.session, member.began, member.ended), (7, 41, 12345, false));
        for broken in ["", "42", "42 (a", "42 (a) S", "42 (a) S x y z"] {
            assert_eq!(parse(42, broken), None, "{broken}");
        }
    }

    #[test]
    fn children_of_children_are_found_and_measured() {
        let mut shell =
            Command::new("sh").args(["-c", "sleep 60 & wait"]).stdout(Stdio::null()).spawn().unwrap();
        let root = Pid::from_raw(i32::try_from(std::process::id()).unwrap()).unwrap();
        let shell_pid = Pid::from_child(&shell);
        let sleeping = loop {
            let found = descendants(shell_pid);
            if let Some(member) = found.first() {
                break *member;
            }
        };
        assert!(descendants(root).iter().any(|member| member.pid == sleeping.pid));
        assert!(memory(&[sleeping], u64::MAX) > 0);
        signal(&Member { began: sleeping.began + 1, ..sleeping }, Signal::KILL);
        assert!(shell.try_wait().unwrap().is_none(), "another process of that number is left alone");
        signal(&sleeping, Signal::KILL);
        shell.wait().unwrap();
    }
}
