//! Caching of results for later calls.

/// How the result of an action is cached for later calls of the same task with the same inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caching {
    /// The cache key: a hash of the task, its version and interface, and the inputs.
    pub key: String,
    /// Whether a cached result may be used.
    pub lookup: bool,
    /// Whether the action waits while another action with the same key is worked on.
    pub serialize: bool,
    /// The maximum age of a cached result, in milliseconds.
    pub max_age: Option<i64>,
}

/// The result of the cache lookup. The numbers are those of `flyteidl2.core.CatalogCacheStatus`, and are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// The task's results are not cached.
    Disabled = 0,
    /// The cache had no result.
    Miss = 1,
    /// The result of another action was used.
    Hit = 2,
    /// The action's result was put into the cache.
    Populated = 3,
    /// The lookup was skipped because the run asked for it.
    Skipped = 6,
}

impl CacheStatus {
    const ALL: [Self; 5] = [Self::Disabled, Self::Miss, Self::Hit, Self::Populated, Self::Skipped];

    /// Returns the status with this number, or `None` if no status has it.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as i64 == number)
    }
}
