//! Fixtures for the tests of this crate and of the crates above it.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "for tests")]

use std::sync::Arc;

use flyte_access::{Access, testing::Parts};
use flyte_audit::Audit;
use flyte_idl::flyteidl2::task::{RunSpec, TaskSpec};
use flyte_keys::SigningKeys;
use flyte_model::{ClientId, Limit, Role, clock::Clock};
use flyte_objects::Objects;
use flyte_settings::Config;
use flyte_store::{Creator, CreatorKind, RunId, Store, TaskRef};

use crate::{NewRun, NewTask, RunIdentities, Runs};

/// The parts of a server in memory that runs need.
#[derive(Clone, Debug)]
pub struct Server {
    /// The settings.
    pub config: Arc<Config>,
    /// The time, which tests set.
    pub clock: Clock,
    /// The database, in memory.
    pub store: Arc<dyn Store>,
    /// Sign the tokens.
    pub keys: Arc<SigningKeys>,
    /// The audit log.
    pub audit: Audit,
    /// Verifies callers.
    pub access: Arc<Access>,
    /// The runs.
    pub runs: Arc<Runs>,
    /// The objects of tasks. A test of objects must set a data directory and prepare them.
    pub objects: Arc<Objects>,
}

impl Server {
    /// An empty server at `https://localhost:8443/`, with the settings that `change` makes.
    pub async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let Parts { config, clock, store, keys, audit, access } = Parts::new(change).await;
        Self {
            runs: Arc::new(Runs::new(Arc::clone(&store), clock.clone(), Arc::clone(&access))),
            objects: Arc::new(Objects::new(&config).unwrap()),
            config,
            clock,
            store,
            keys,
            audit,
            access,
        }
    }

    /// Issues the tokens of runs.
    #[must_use]
    pub fn identities(&self) -> RunIdentities {
        RunIdentities::new(self.access.tokens().clone())
    }
}

/// A run of Ada's. Its root action calls a task with this specification and without inputs.
#[must_use]
pub fn new_run(id: RunId, spec: TaskSpec, output_base: String) -> NewRun {
    NewRun {
        id,
        creator: Creator {
            subject: "user-Ada".to_owned(),
            kind: CreatorKind::Person,
            client_id: ClientId::from_static("flyte"),
            family_id: "family".to_owned(),
            role: Role::Contributor,
            limit: Limit::default(),
        },
        spec: RunSpec::default(),
        source: 0,
        trigger: None,
        task: NewTask {
            task: TaskRef::default(),
            spec,
            input_uri: String::new(),
            cache_key: None,
            overwrite_cache: false,
        },
        output_base,
    }
}
