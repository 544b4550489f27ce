//! What tasks have written themselves, made durable.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::Mutex;

/// Shares one synchronization, which takes long, among all that wait for one.
#[derive(Debug, Default)]
pub(super) struct Durable {
    /// How many were asked for.
    asked: AtomicU64,
    /// How many of them are met.
    met: Mutex<u64>,
}

impl Durable {
    /// Waits until a synchronization that began after this call has ended well; begins it by `synchronize` where no other
    /// call does.
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

    /// How many calls were met.
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
    async fn those_who_wait_share_one() {
        let (durable, begun) = (Durable::default(), Cell::new(0));
        let synchronize = || async {
            begun.set(begun.get() + 1);
            tokio::task::yield_now().await;
            Ok(())
        };
        // The first begins before it knows of the others, who share the next.
        for result in join_all((0..9).map(|_| durable.after(synchronize))).await {
            result.unwrap();
        }
        assert_eq!((begun.get(), durable.met().await), (2, 9));
        let failing = || async { Err(io::Error::other("the disk failed")) };
        durable.after(failing).await.unwrap_err();
        durable.after(synchronize).await.unwrap();
        assert_eq!((begun.get(), durable.met().await), (3, 11), "a failure meets nobody");
    }
}
