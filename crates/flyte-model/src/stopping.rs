//! The end of the server, as what would otherwise go on for ever hears of it.

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
    /// From now on the server is stopping: streams are to end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is.
    pub async fn stopped(&self) {
        // The sender is this value itself: it is there.
        let _ = self.0.subscribe().wait_for(|stopping| *stopping).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_of_it_also_later() {
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
