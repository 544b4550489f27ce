//! What the gateway does between calls.

use std::sync::Arc;

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::Gateway;

/// The tasks that resolve names, close connections and check health. They end when this is dropped.
#[derive(Debug)]
pub struct Upkeep(#[expect(dead_code, reason = "ends the tasks when it is dropped")] JoinSet<()>);

impl Gateway {
    /// Starts what must be done between calls. The caller must be in a Tokio runtime.
    #[must_use]
    pub fn start_upkeep(self: &Arc<Self>) -> Upkeep {
        let mut tasks = JoinSet::new();
        for (index, options) in self.options.upstreams.iter().enumerate() {
            let gateway = Arc::clone(self);
            let mut ticks = interval(options.resolve_interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tasks.spawn(async move {
                loop {
                    ticks.tick().await;
                    gateway.backends[index].upstream.maintain().await;
                }
            });
            let Some(health) = &options.health else { continue };
            let gateway = Arc::clone(self);
            let mut ticks = interval(health.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tasks.spawn(async move {
                loop {
                    ticks.tick().await;
                    gateway.backends[index].upstream.check_health().await;
                }
            });
        }
        Upkeep(tasks)
    }
}
