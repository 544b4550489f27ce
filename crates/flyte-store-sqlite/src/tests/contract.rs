//! The contract of the store, in memory and with a file.

use flyte_store::contract::Backend;

use crate::SqliteStore;

mod in_memory {
    use super::*;

    fn backend() -> Backend {
        Backend::new(SqliteStore::in_memory().unwrap(), ())
    }

    flyte_store::contract!(backend);
}

mod on_file {
    use super::*;

    fn backend() -> Backend {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("flyte.db")).unwrap();
        Backend::new(store, directory)
    }

    flyte_store::contract!(backend);
}
