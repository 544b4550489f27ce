//! Limits how many tasks are in their starting phase at the same time.
//!
//! A task that starts loads its interpreter and imports packages. If many tasks do that on few processors, each takes so long that
//! time limits in the runtime of the published package expire. The starting phase is over when the processes of the task wait for
//! something, or have computed for a while.

use std::{sync::Arc, time::Duration};

use rustix::process::Pid;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use super::tree;

/// The time between two looks at the processes of a task.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The number of looks in a row, without a process that wants to compute, after which the task waits for something.
const QUIET_LOOKS: u32 = 3;
/// The computing time of all processes together after which the task has started.
const MAX_COMPUTING: Duration = Duration::from_secs(3);

/// The turns to start. Turns are given in the order in which they were requested.
#[derive(Clone, Debug)]
pub(crate) struct Starts(Option<Arc<Semaphore>>);

/// The right to start one task, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Starts {
    /// At most `limit` tasks start at the same time; 0 for no limit.
    pub(crate) fn at_most(limit: usize) -> Self {
        Self((limit > 0).then(|| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))))
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self) -> Turn {
        let Some(semaphore) = &self.0 else { return Turn { _permit: None } };
        // The semaphore is never closed.
        Turn { _permit: Arc::clone(semaphore).acquire_owned().await.ok() }
    }
}

/// The processes of a task at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Whether a process computes, wants to compute, or waits for a disk.
    pub(crate) is_busy: bool,
    /// The computing time of all processes together.
    pub(crate) computed: Duration,
}

/// What was seen of a starting task so far.
#[derive(Debug, Default)]
struct Phase {
    quiet: u32,
}

impl Phase {
    /// Adds a look, `None` if there is no process yet. Returns whether the starting phase is over.
    fn is_over(&mut self, look: Option<Look>) -> bool {
        let Some(look) = look else { return false };
        self.quiet = if look.is_busy { 0 } else { self.quiet + 1 };
        self.quiet >= QUIET_LOOKS || look.computed >= MAX_COMPUTING
    }
}

/// Waits until the starting phase of a supervisor's command is over. If the command ends before, this waits forever.
pub(crate) async fn over(supervisor: Pid) {
    let mut phase = Phase::default();
    loop {
        sleep(LOOK_INTERVAL).await;
        if phase.is_over(tree::look(supervisor)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn turns_are_limited_and_in_order() {
        let starts = Starts::at_most(2);
        let (first, _second) = (starts.turn().await, starts.turn().await);
        let (mut third, mut fourth) = (Box::pin(starts.turn()), Box::pin(starts.turn()));
        assert!((&mut third).now_or_never().is_none() && (&mut fourth).now_or_never().is_none());
        drop(first);
        assert!((&mut fourth).now_or_never().is_none(), "the third comes first");
        let third = third.now_or_never().unwrap();
        // A task that is aborted while it waits gives its turn to the next one.
        let mut fifth = Box::pin(starts.turn());
        assert!((&mut fifth).now_or_never().is_none());
        drop((third, fourth));
        assert!(fifth.now_or_never().is_some());
        let unlimited = Starts::at_most(0);
        let turns: Vec<_> = (0..1000).map(|_| unlimited.turn().now_or_never().unwrap()).collect();
        assert_eq!(turns.len(), 1000);
    }

    #[test]
    fn a_task_has_started_when_it_waits_or_has_computed() {
        let look = |is_busy, seconds| Some(Look { is_busy, computed: Duration::from_secs(seconds) });
        let over = |looks: &[Option<Look>]| {
            let mut phase = Phase::default();
            looks.iter().position(|look| phase.is_over(*look))
        };
        assert_eq!(over(&[look(false, 0), look(false, 0), look(false, 0)]), Some(2));
        // A short wait between imports is not the end.
        let (busy, quiet) = (look(true, 1), look(false, 1));
        assert_eq!(over(&[busy, quiet, quiet, busy, quiet, quiet, busy]), None);
        assert_eq!(over(&[busy, busy, look(true, 3)]), Some(2));
        // The supervisor has not started the command yet.
        assert_eq!(over(&[None, None, None, None]), None);
    }
}
