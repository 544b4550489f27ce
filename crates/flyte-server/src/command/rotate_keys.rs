//! `flyte-server rotate-keys`: a new signing key, also while the server runs.

use std::sync::Arc;

use crate::bootstrap::BootstrapError;
use flyte_audit::{Event, Kind};
use flyte_keys::{SealingKey, SigningKeys};
use flyte_model::clock::Clock;
use flyte_settings::Config;

/// Creates a signing key; with `revoke` removes the others.
pub(super) async fn run(config: &Config, revoke: bool) -> Result<String, BootstrapError> {
    let store = Arc::new(super::open_store(config)?);
    let records = Arc::clone(&store);
    let sealing = SealingKey::load_or_create(&config.data_dir.join("sealing.key"))?;
    let keys = SigningKeys::load(store, sealing, Clock::default(), &config.tokens).await?;
    if revoke {
        keys.replace_all().await?;
        super::record(&records, Event::new(Kind::KeysReplaced)).await?;
        return Ok("Created a new signing key and removed all others. Tokens signed with them are refused: within a second by \
                   this server, within 5 minutes by other servers that verify its tokens.\n"
            .to_owned());
    }
    keys.rotate_now().await?;
    super::record(&records, Event::new(Kind::KeysRotated)).await?;
    Ok("Created a new signing key. Tokens signed before stay valid until they expire; if the old key has leaked, run: \
     flyte-server rotate-keys --revoke\n"
        .to_owned())
}
