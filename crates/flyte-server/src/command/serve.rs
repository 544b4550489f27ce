//! `flyte-server` and `flyte-server serve`.

use std::process::ExitCode;

use crate::{logging, serve};
use flyte_settings::Config;

/// Runs the server until a signal arrives.
pub(super) fn run(config: Config) -> ExitCode {
    if let Err(error) = logging::start(&config.log) {
        super::complain(&error);
        return ExitCode::from(super::USAGE);
    }
    super::block_on(async {
        match serve::run(config).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                super::complain(&error);
                ExitCode::from(super::FAILURE)
            }
        }
    })
}
