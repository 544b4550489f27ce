//! The style sheets, the script and the logo, compiled in. Each file name contains a hash of the content, so browsers can cache
//! the file for ever and still load a new version at once.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::error::error_page;

struct Asset {
    name: String,
    content_type: &'static str,
    content: &'static str,
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("flyte", "css", "text/css; charset=utf-8", include_str!("../assets/flyte.css"))
});
static CONSOLE_STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("console", "css", "text/css; charset=utf-8", include_str!("../assets/console.css"))
});
static ADMIN_STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("admin", "css", "text/css; charset=utf-8", include_str!("../assets/admin.css"))
});
static CONSOLE_SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("console", "js", "text/javascript; charset=utf-8", include_str!("../assets/console.js"))
});
static PASSWORD_SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("password", "js", "text/javascript; charset=utf-8", include_str!("../assets/password.js"))
});
static MARK: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("mark", "svg", "image/svg+xml", include_str!("../assets/mark.svg")));

impl Asset {
    fn new(stem: &str, extension: &str, content_type: &'static str, content: &'static str) -> Self {
        let hash = digest(&SHA256, content.as_bytes());
        let hash: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { name: format!("{stem}.{hash}.{extension}"), content_type, content }
    }
}

/// File name of the style sheet under `/assets/`.
#[must_use]
pub fn style() -> &'static str {
    &STYLE.name
}

/// File name of the style sheet of the console under `/assets/`.
#[must_use]
pub fn console_style() -> &'static str {
    &CONSOLE_STYLE.name
}

/// File name of the style sheet of the administrators' pages under `/assets/`.
#[must_use]
pub fn admin_style() -> &'static str {
    &ADMIN_STYLE.name
}

/// File name of the script of the console under `/assets/`.
#[must_use]
pub fn console_script() -> &'static str {
    &CONSOLE_SCRIPT.name
}

/// File name of the script of pages with passwords under `/assets/`.
#[must_use]
pub fn password_script() -> &'static str {
    &PASSWORD_SCRIPT.name
}

/// File name of the logo under `/assets/`.
#[must_use]
pub fn mark() -> &'static str {
    &MARK.name
}

/// `GET /assets/{name}`
pub async fn serve(Path(name): Path<String>) -> Response {
    let assets = [&*STYLE, &*CONSOLE_STYLE, &*ADMIN_STYLE, &*CONSOLE_SCRIPT, &*PASSWORD_SCRIPT, &*MARK];
    match assets.into_iter().find(|asset| asset.name == name) {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, asset.content_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.content,
        )
            .into_response(),
        None => error_page(StatusCode::NOT_FOUND, "Not found", "This server has no file at this address."),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The colours of each scheme, light first; each value is the relative luminance (WCAG 2.2).
    fn schemes() -> Vec<HashMap<&'static str, f64>> {
        let blocks = |asset: &'static Asset| {
            asset.content.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap())
        };
        let both = blocks(&STYLE).zip(blocks(&CONSOLE_STYLE));
        both.map(|(one, other)| one.lines().chain(other.lines()).filter_map(colour).collect()).collect()
    }

    fn colour(line: &'static str) -> Option<(&'static str, f64)> {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": #")?;
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&value[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        Some((name, 0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)))
    }

    #[test]
    fn every_colour_has_enough_contrast_with_its_background() {
        let schemes = schemes();
        assert_eq!(schemes.len(), 2);
        for colours in schemes {
            for (minimum, front, backs) in [
                (4.5, "text", &["surface", "ground", "code-ground", "quiet-hover"][..]),
                (4.5, "muted", &["surface", "ground", "code-ground"]),
                (4.5, "on-accent", &["accent", "accent-hover"]),
                (4.5, "alert-text", &["alert-ground"]),
                (3.0, "control-line", &["surface"]),
                (3.0, "alert-text", &["surface"]),
                (4.5, "accent", &["surface", "ground"]),
                (4.5, "good-text", &["good-ground"]),
                (4.5, "busy-text", &["busy-ground"]),
                (4.5, "log-red", &["code-ground"]),
                (4.5, "log-green", &["code-ground"]),
                (4.5, "log-yellow", &["code-ground"]),
                (4.5, "log-blue", &["code-ground"]),
                (4.5, "log-magenta", &["code-ground"]),
                (4.5, "log-cyan", &["code-ground"]),
                (3.0, "ring", &["surface", "ground"]),
            ] {
                for back in backs {
                    let (one, other) = (colours[front], colours[back]);
                    let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                    assert!(contrast >= minimum, "{front} on {back}: {contrast:.2}");
                }
            }
        }
    }
}
