//! `runner`: tasks that run on this machine.

use std::path::PathBuf;

use super::check::{any, between};
use crate::{
    setting::{
        Default::{Depends, Value},
        Setting,
    },
    value::{Bytes, SandboxMode, Seconds},
};

/// [`RunnerConfig::max_tasks`](crate::RunnerConfig::max_tasks).
pub static RUNNER_MAX_TASKS: Setting<usize> = Setting {
    key: "runner.max-tasks",
    flag: Some("max-tasks"),
    placeholder: "NUMBER",
    default: Depends("four times the number of processors, at least 8: most tasks wait most of the time"),
    help: "The most tasks that run at the same time. A task that waits for its subtasks does not count. Users, and the \
           runs of each user, take fair turns. With eight or more slots, the last slot is reserved for users without a \
           running task, and the one before it for runs without a running task. With four to seven slots, the last \
           slot is reserved for runs without a running task. With 0, no tasks run: they stay queued.",
    check: any,
};

/// [`RunnerConfig::max_starting`](crate::RunnerConfig::max_starting).
pub static RUNNER_MAX_STARTING: Setting<usize> = Setting {
    key: "runner.max-starting",
    flag: None,
    placeholder: "NUMBER",
    default: Depends("twice the number of processors"),
    help: "The most tasks that start at the same time. A task starts until its processes wait for something, or have \
           computed for three seconds: until then it loads its interpreter and imports packages. If too many tasks do \
           that at once, time limits of the published package expire. With 0, there is no limit.",
    check: any,
};

/// [`RunnerConfig::python`](crate::RunnerConfig::python).
pub static RUNNER_PYTHON: Setting<PathBuf> = Setting {
    key: "runner.python",
    flag: Some("python"),
    placeholder: "DIRECTORY",
    default: Depends("`$VIRTUAL_ENV` of the server, or the programs on its `PATH`"),
    help: "Directory of the virtual environment that tasks run in, for example `/home/ada/project/.venv`. Its `bin` is \
           the first entry of their `PATH`. It must have the package `flyte`, which brings the program `a0` that \
           starts tasks, and all packages that the tasks import. The server ignores the tasks' images.",
    check: any,
};

/// [`RunnerConfig::sandbox`](crate::RunnerConfig::sandbox).
pub static RUNNER_SANDBOX: Setting<SandboxMode> = Setting {
    key: "runner.sandbox",
    flag: None,
    placeholder: "auto|required|off",
    default: Value("auto"),
    help: "Whether Landlock (Linux 5.13 or later) protects the server's data directory from tasks. Tasks can then read \
           only their own files there, and the objects of their project and domain. `auto` uses Landlock if the kernel \
           supports it; `required` runs no task without it.",
    check: any,
};

/// [`RunnerConfig::allow_root`](crate::RunnerConfig::allow_root).
pub static RUNNER_ALLOW_ROOT: Setting<bool> = Setting {
    key: "runner.allow-root",
    flag: Some("allow-root"),
    placeholder: "true|false",
    default: Value("false"),
    help: "Whether tasks and apps run if the server itself runs as root. They would then be root too: anyone who may \
           start a run could do everything on this machine that the sandbox does not prevent, for example read other \
           users' files and install programs. It is better to give the server its own user. The setting has no effect \
           if the server is not root.",
    check: any,
};

/// [`RunnerConfig::max_runtime`](crate::RunnerConfig::max_runtime).
pub static RUNNER_MAX_RUNTIME: Setting<Seconds> = Setting {
    key: "runner.max-runtime",
    flag: None,
    placeholder: "DURATION",
    default: Depends("none"),
    help: "The longest that an attempt at a task may take, whatever the task's own timeout is.",
    check: |limit| between(limit, 1, 366 * 86_400),
};

/// [`RunnerConfig::max_memory`](crate::RunnerConfig::max_memory).
pub static RUNNER_MAX_MEMORY: Setting<Bytes> = Setting {
    key: "runner.max-memory",
    flag: None,
    placeholder: "SIZE",
    default: Depends("none"),
    help: "The most memory that an attempt at a task may use with all its processes, whatever the task's own limit is. \
           The server checks it four times a second, so the attempt can exceed it for a moment.",
    check: |size| if size.0 < 1 << 20 { Err("at least 1MiB is expected".to_owned()) } else { Ok(()) },
};

/// [`RunnerConfig::max_log_size`](crate::RunnerConfig::max_log_size).
pub static RUNNER_MAX_LOG_SIZE: Setting<Bytes> = Setting {
    key: "runner.max-log-size",
    flag: None,
    placeholder: "SIZE",
    default: Value("16MiB"),
    help: "The most that is kept of the log of an attempt at a task. The end of the log is kept.",
    check: |size| if size.0 < 1 << 20 { Err("at least 1MiB is expected".to_owned()) } else { Ok(()) },
};

/// [`RunnerConfig::grace_period`](crate::RunnerConfig::grace_period).
pub static RUNNER_GRACE_PERIOD: Setting<Seconds> = Setting {
    key: "runner.grace-period",
    flag: None,
    placeholder: "DURATION",
    default: Value("10s"),
    help: "How long an aborted or timed-out task may take to end after SIGTERM, before it is killed.",
    check: |period| between(period, 0, 3600),
};
