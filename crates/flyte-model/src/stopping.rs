//! A signal that the server is stopping, for work that would otherwise never end.

use tokio::sync::watch;

/// Whether the server is stopping; clones share it.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Sender<bool>);

impl Default for Stopping {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stopping {
    /// Signals that the server is stopping; streams then end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Returns whether the server is stopping.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the server is stopping.
    pub async fn stopped(&self) {
        // The sender is part of `self`, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|stopping| *stopping).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_waiter_sees_the_signal_even_later() {
        let stopping = Stopping::default();
        assert!(!stopping.is_stopping());
        let early = tokio::spawn({
            let stopping = stopping.clone();
            async move { stopping.stopped().await }
        });
        stopping.stop();
        early.await.unwrap();
        stopping.stopped().await;
        assert!(stopping.is_stopping());
    }
}
