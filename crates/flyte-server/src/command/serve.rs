//! `flyte-server` and `flyte-server serve`.

use std::process::ExitCode;

use crate::{logging, serve};
use flyte_settings::Loaded;

/// Runs the server until a signal arrives.
pub(super) fn run(loaded: Loaded) -> ExitCode {
    if let Err(error) = logging::start(&loaded.config.log) {
        super::complain(&error);
        return ExitCode::from(super::USAGE);
    }
    super::block_on(async {
        match serve::run(loaded).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                super::complain(&error);
                ExitCode::from(super::FAILURE)
            }
        }
    })
}
