//! Finds, measures and kills the descendants of a process (`/proc`).

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{process::DIRECTORY_VARIABLE, starting::Look};

/// The number of times that [`kill_rest`] searches for remaining processes and kills them.
const MAX_KILL_ROUNDS: u32 = 200;

/// The unit of computing time in `/proc` (`USER_HZ`), the same on all processors that we build for.
const TICKS_PER_SECOND: u64 = 100;

/// A process at one moment. The system reuses process IDs. The ID and the start time together identify a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) pid: Pid,
    parent: i32,
    session: i32,
    began: u64,
    /// Whether the process has ended and its parent has not collected its exit status.
    ended: bool,
    /// Whether the process computes, wants to compute, or waits for a disk.
    is_busy: bool,
    /// The computing time, with that of children whose exit status was collected, in clock ticks.
    computed: u64,
}

/// The running descendants of `root`.
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

/// What the descendants of a supervisor do at this moment. `None` if there are none.
pub(super) fn look(supervisor: Pid) -> Option<Look> {
    let members = descendants(supervisor);
    let ticks: u64 = members.iter().map(|member| member.computed).sum();
    (!members.is_empty()).then(|| Look {
        is_busy: members.iter().any(|member| member.is_busy),
        computed: Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND)),
    })
}

/// Sends a signal to exactly this process. Does nothing if it has ended.
pub(super) fn signal(member: &Member, signal: Signal) {
    let Ok(fd) = pidfd_open(member.pid, PidfdFlags::empty()) else { return };
    if read_member(member.pid.as_raw_nonzero().get()).is_some_and(|now| now.began == member.began) {
        // The process may end at this moment.
        let _ = pidfd_send_signal(fd, signal);
    }
}

/// The private memory of all these processes together, in bytes. Mapped files do not count, because the system can drop their
/// pages. A result below `threshold` is only an upper bound, which is cheaper to compute.
pub(super) fn memory(members: &[Member], threshold: u64) -> u64 {
    let resident: u64 = members.iter().map(|member| kilobytes(member, "status", &["VmRSS:"])).sum();
    if resident * 1024 <= threshold {
        return resident * 1024;
    }
    // Processes share pages after a fork. Each process counts its share of such pages.
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

/// Kills the remaining processes of the process in `directory` after its supervisor was killed. The system has killed the
/// command, but not the descendants of the command. Their session or an environment variable identifies them.
pub(super) fn kill_rest(directory: &Path, supervisor: Pid) {
    let variable = format!("{DIRECTORY_VARIABLE}={}", directory.display());
    for _ in 0..MAX_KILL_ROUNDS {
        let left: Vec<_> = all()
            .into_iter()
            .filter(|member| !member.ended && member.pid != supervisor)
            .filter(|member| {
                member.session == supervisor.as_raw_nonzero().get() || has_variable(member, &variable)
            })
            .collect();
        if left.is_empty() {
            return;
        }
        for member in &left {
            signal(member, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    tracing::error!(directory = %directory.display(), "cannot kill all processes of a task or app");
}

fn has_variable(member: &Member, wanted: &str) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", member.pid.as_raw_nonzero())).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
}

fn all() -> Vec<Member> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| read_member(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn read_member(pid: i32) -> Option<Member> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Parses `/proc/PID/stat` (proc(5)). The name of the program is in parentheses and may contain any character.
fn parse(pid: i32, stat: &str) -> Option<Member> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some(Member {
        pid: Pid::from_raw(pid)?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        began: fields.get(19)?.parse().ok()?,
        ended: matches!(*fields.first()?, "Z" | "X"),
        is_busy: matches!(*fields.first()?, "R" | "D"),
        // utime, stime, cutime and cstime.
        computed: (11..=14).filter_map(number).sum(),
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_program_name_may_contain_any_character() {
        let stat = "42 (a) R 1 (x) S 7 42 41 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 12345 0 0";
        let member = parse(42, stat).unwrap();
        assert_eq!((member.is_busy, member.computed), (false, 10));
        let running = parse(42, "42 (a) R 1 42 41").map(|member| member.is_busy);
        assert_eq!(running, None, "a line that is cut off");
        assert!(parse(42, &stat.replace(" S ", " R ")).unwrap().is_busy);
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
        assert!(
            shell.try_wait().unwrap().is_none(),
            "a process with the same ID and another start time gets no signal"
        );
        signal(&sleeping, Signal::KILL);
        shell.wait().unwrap();
    }
}
