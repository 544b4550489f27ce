//! Durability of files that tasks have written themselves.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::Mutex;

/// Shares one synchronization, which takes long, among all callers that wait for one.
#[derive(Debug, Default)]
pub(super) struct Durable {
    /// The number of calls so far.
    asked: AtomicU64,
    /// The number of calls that are complete.
    met: Mutex<u64>,
}

impl Durable {
    /// Waits for the successful end of a synchronization that began after this call. If no other call starts one, this
    /// call does, with `synchronize`.
    pub(super) async fn after<F>(&self, synchronize: impl FnOnce() -> F) -> io::Result<()>
    where
        F: Future<Output = io::Result<()>>,
    {
        let own = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut met = self.met.lock().await;
        if *met >= own {
            return Ok(());
        }
        let meets = self.asked.load(Ordering::SeqCst);
        synchronize().await?;
        *met = meets;
        Ok(())
    }

    /// The number of complete calls.
    #[cfg(any(test, feature = "testing"))]
    pub(super) async fn met(&self) -> u64 {
        *self.met.lock().await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn waiting_callers_share_one_synchronization() {
        let (durable, begun) = (Durable::default(), Cell::new(0));
        let synchronize = || async {
            begun.set(begun.get() + 1);
            tokio::task::yield_now().await;
            Ok(())
        };
        // The first synchronization begins before the other calls, which share the next one.
        for result in join_all((0..9).map(|_| durable.after(synchronize))).await {
            result.unwrap();
        }
        assert_eq!((begun.get(), durable.met().await), (2, 9));
        let failing = || async { Err(io::Error::other("the disk failed")) };
        durable.after(failing).await.unwrap_err();
        durable.after(synchronize).await.unwrap();
        assert_eq!((begun.get(), durable.met().await), (3, 11), "a failure completes no call");
    }
}
