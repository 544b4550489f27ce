//! `flyte-server backup` and `flyte-server restore`.

use std::fmt::Write as _;

use crate::{
    backup::{self, BackupError, Manifest},
    cli::{Backup, Restore},
};
use flyte_model::clock::Clock;
use flyte_settings::Config;

/// The maximum number of unreadable files in the message.
const MAX_NAMED_FILES: usize = 10;

/// Creates or checks a backup; returns the message to print.
pub(super) async fn run(config: &Config, asked: Backup) -> Result<String, BackupError> {
    let Backup { directory, verify } = asked;
    if verify {
        let manifest = Manifest::read(&directory)?.ok_or_else(|| BackupError::Missing(directory.clone()))?;
        manifest.verify(&directory)?;
        return Ok(format!(
            "The backup of {} is complete: {} files, {}.\n",
            manifest.created_at,
            manifest.files.len(),
            size(manifest.files.iter().map(|entry| entry.size).sum())
        ));
    }
    let created = backup::create(config, &directory, &Clock::default())?;
    let mut message = format!(
        "Backed up {} to {}: {} files, {}; {} were new or changed.\n",
        config.data_dir.display(),
        directory.display(),
        created.files,
        size(created.bytes),
        created.copied
    );
    // Writing to a String does not fail.
    if let Some(url) = &config.objects.url {
        let _ = writeln!(message, "Objects in {url} are not included: back up the bucket separately.");
    }
    if !created.unreadable.is_empty() {
        let _ = writeln!(
            message,
            "{} files cannot be read and are missing: {}",
            created.unreadable.len(),
            created.unreadable.iter().take(MAX_NAMED_FILES).cloned().collect::<Vec<_>>().join(", ")
        );
    }
    Ok(message)
}

/// Restores a backup; returns the message to print.
pub(super) async fn restore(config: &Config, asked: Restore) -> Result<String, BackupError> {
    let Restore { directory, keep_sessions, revoked_in } = asked;
    let restored = backup::restore(
        &directory,
        &config.data_dir,
        revoked_in.as_deref(),
        keep_sessions,
        &Clock::default(),
    )
    .await?;
    let (manifest, ended) = (restored.manifest, restored.revoked);
    let mut message = format!(
        "Restored the backup of {} to {}: {} files.\n",
        manifest.created_at,
        config.data_dir.display(),
        manifest.files.len()
    );
    // Writing to a String does not fail.
    let _ = match keep_sessions {
        true => writeln!(
            message,
            "All sign-ins from that time are valid again, including those that were revoked since."
        ),
        false => writeln!(message, "Access tokens are refused, and all users must sign in again."),
    };
    let _ = match &restored.revoked_in {
        Some(former) => writeln!(
            message,
            "From {}: {} API keys stay deleted and {} keep their newer secret; {} accounts stay disabled and {} keep \
             their newer password.",
            former.display(),
            ended.api_keys_deleted,
            ended.api_keys_rotated,
            ended.users_disabled,
            ended.passwords_changed
        ),
        None if ended.api_keys > 0 => writeln!(
            message,
            "{} API keys and all passwords are those of that time. If one was revoked since, revoke it again: flyte get \
             api-key",
            ended.api_keys
        ),
        None => writeln!(message, "Passwords are those of that time."),
    };
    if let Some(url) = &manifest.bucket {
        let _ = writeln!(message, "The objects are in {url}, which the backup does not include.");
    }
    Ok(message)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
